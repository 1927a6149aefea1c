// SPDX-License-Identifier: GPL-2.0

//! A channel's table of requests, for drivers that have one: the host is told a place in the table,
//! from 1 on, in place of an address.
//!
//! A free place holds the number of the next free one.

use super::{
    bindings,
    ring::{
        NO_REQUESTOR,
        REQUEST_ERROR, //
    },
    Channel, //
};
use core::ptr;
use kernel::prelude::*;

/// The request that is asked for, if any will do.
const ANY: u64 = u64::MAX;

type Table = bindings::vmbus_requestor;

impl Channel {
    /// Makes the table, if its driver wants one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn alloc_requests(self) -> Result {
        let raw = self.as_raw();
        // SAFETY: A valid channel that is closed, and whose table nobody uses.
        unsafe {
            let size = (*raw).rqstor_size;
            let table = &raw mut (*raw).requestor;
            super::lock::init_spinlock(
                &raw mut (*table).req_lock,
                c"vmbus_requestor::req_lock",
                kernel::static_lock_class!(),
            );
            if size == 0 {
                return Ok(());
            }
            let mut next = KVec::with_capacity(size as usize, GFP_KERNEL)?;
            for at in 1..u64::from(size) {
                next.push(at, GFP_KERNEL)?;
            }
            next.push(u64::MAX, GFP_KERNEL)?;
            let taken = bindings::bitmap_zalloc(size, bindings::GFP_KERNEL);
            if taken.is_null() {
                return Err(ENOMEM);
            }
            let (next, _, _) = next.into_raw_parts();
            (*table).req_arr = next;
            (*table).req_bitmap = taken;
            (*table).next_request_id = 0;
            (*table).size = size;
        }
        Ok(())
    }

    /// Frees the table.
    pub(crate) fn free_requests(self) {
        // SAFETY: A valid channel that is closed, so that nobody uses its table.
        unsafe {
            let table = &raw mut (*self.as_raw()).requestor;
            (*table).size = 0;
            bindings::kfree(ptr::replace(&raw mut (*table).req_arr, ptr::null_mut()).cast());
            bindings::kfree(ptr::replace(&raw mut (*table).req_bitmap, ptr::null_mut()).cast());
        }
    }
}

/// The word of the bitmap that a place is in, and its bit there.
///
/// # Safety
///
/// The place must be in the table.
unsafe fn bit(table: *mut Table, place: u64) -> (*mut usize, usize) {
    // SAFETY: By the safety requirement.
    let word = unsafe { (*table).req_bitmap.add((place / 64) as usize) };
    (word.cast(), 1 << (place % 64))
}

/// Puts an address into the table, and returns what stands for it.
///
/// # Safety
///
/// The channel must be open.
#[no_mangle]
unsafe extern "C" fn vmbus_next_request_id(
    channel: *mut bindings::vmbus_channel,
    address: u64,
) -> u64 {
    // SAFETY: By the safety requirement. The place is in the table, as was checked.
    unsafe {
        if (*channel).rqstor_size == 0 {
            return NO_REQUESTOR;
        }
        let table = &raw mut (*channel).requestor;
        let flags = bindings::spin_lock_irqsave(&raw mut (*table).req_lock);
        let place = (*table).next_request_id;
        let id = if place >= u64::from((*table).size) {
            REQUEST_ERROR
        } else {
            let entry = (*table).req_arr.add(place as usize);
            (*table).next_request_id = ptr::replace(entry, address);
            let (word, bit) = bit(table, place);
            *word |= bit;
            // 0 stands for what nobody has asked for.
            place + 1
        };
        bindings::spin_unlock_irqrestore(&raw mut (*table).req_lock, flags);
        id
    }
}

/// Takes what an id stands for out of the table, if it is `address`, or any will do. Returns it.
///
/// # Safety
///
/// The channel must be open, and the table's lock the caller's.
#[no_mangle]
unsafe extern "C" fn __vmbus_request_addr_match(
    channel: *mut bindings::vmbus_channel,
    id: u64,
    address: u64,
) -> u64 {
    // SAFETY: By the safety requirement. The place is in the table, as is checked.
    unsafe {
        if (*channel).rqstor_size == 0 {
            return NO_REQUESTOR;
        }
        let table = &raw mut (*channel).requestor;
        let Some(place) = id
            .checked_sub(1)
            .filter(|at| *at < u64::from((*table).size))
        else {
            return REQUEST_ERROR;
        };
        let (word, bit) = bit(table, place);
        if *word & bit == 0 {
            return REQUEST_ERROR;
        }
        let entry = (*table).req_arr.add(place as usize);
        let found = *entry;
        if address == ANY || found == address {
            *entry = (*table).next_request_id;
            (*table).next_request_id = place;
            *word &= !bit;
        }
        found
    }
}

/// [`__vmbus_request_addr_match`] with the lock taken here.
///
/// # Safety
///
/// The channel must be open.
#[no_mangle]
unsafe extern "C" fn vmbus_request_addr_match(
    channel: *mut bindings::vmbus_channel,
    id: u64,
    address: u64,
) -> u64 {
    // SAFETY: By the safety requirement.
    unsafe {
        let lock = &raw mut (*channel).requestor.req_lock;
        let flags = bindings::spin_lock_irqsave(lock);
        let found = __vmbus_request_addr_match(channel, id, address);
        bindings::spin_unlock_irqrestore(lock, flags);
        found
    }
}

/// Takes what an id stands for out of the table.
///
/// # Safety
///
/// The channel must be open.
#[no_mangle]
unsafe extern "C" fn vmbus_request_addr(channel: *mut bindings::vmbus_channel, id: u64) -> u64 {
    // SAFETY: By the safety requirement.
    unsafe { vmbus_request_addr_match(channel, id, ANY) }
}
