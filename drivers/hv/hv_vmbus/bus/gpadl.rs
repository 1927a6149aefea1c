// SPDX-License-Identifier: GPL-2.0

//! Memory that the host is told of, under a handle (GPADL).
//!
//! Where memory is encrypted it has to be decrypted for the host, unless the channel is the
//! paravisor's. If nobody can say whether it was, `decrypted` stays set in the kernel's structure,
//! and its owner leaves the memory alone for ever.

use super::{
    bus,
    messages::Pause,
    waiters::{
        Answer,
        Key, //
    },
    Bus, //
};
use crate::sys::{
    decrypt,
    encrypt,
    pfn_at,
    Channel,
    Gpadl, //
};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use protocol::{
    hyperv::PAGE_SIZE,
    vmbus::{
        gpa::RangeHeader,
        gpadl::Messages,
        message::{
            GpadlTeardown,
            Kind,
            Message, //
        }, //
    }, //
};
use zerocopy::little_endian::U32;

/// What the memory is for, and who has decrypted it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// The rings of a channel.
    Rings,
    /// Something of a driver's.
    Buffer,
    /// Something of a driver's who has decrypted it already.
    DecryptedBuffer,
}

impl Use {
    /// Whether memory has to be decrypted for that.
    fn needs_decryption(self, channel: Channel) -> bool {
        let (ring, memory) = channel.confidential();
        match self {
            Self::Rings => !ring,
            Self::Buffer => !memory,
            Self::DecryptedBuffer => false,
        }
    }
}

/// Tells the host about memory of whole pages at an address. Sleeps.
///
/// # Errors
///
/// `EDQUOT` if the host refuses, `ENODEV` if the channel is gone, `EINVAL` if that is no memory,
/// `ENOMEM`, or why the memory cannot be decrypted.
pub(crate) fn establish(
    channel: Channel,
    purpose: Use,
    address: usize,
    size: u32,
    gpadl: &mut Gpadl,
) -> Result {
    gpadl.decrypted = false;
    let bus = bus().ok_or(ENODEV)?;
    if purpose.needs_decryption(channel) {
        gpadl.decrypted = true;
        decrypt(address, size).inspect_err(|error| {
            pr_warn!(
                "Failed to set host visibility for new GPADL {}.\n",
                error.to_errno()
            );
        })?;
    }
    let result = bus.create(channel, address, size);
    match result {
        Ok(handle) => {
            gpadl.gpadl_handle = handle;
            gpadl.buffer = address as *mut c_void;
            gpadl.size = size;
        }
        Err(_) => take_back(gpadl, address, size),
    }
    result.map(|_| ())
}

fn take_back(gpadl: &mut Gpadl, address: usize, size: u32) {
    if gpadl.decrypted && encrypt(address, size).is_ok() {
        gpadl.decrypted = false;
    }
}

/// Has the host forget memory, which is ours again then. Sleeps.
///
/// # Errors
///
/// Why the memory cannot be encrypted again, or why the host could not be told.
pub(crate) fn teardown(channel: Channel, gpadl: &mut Gpadl) -> Result {
    let bus = bus().ok_or(ENODEV)?;
    match bus.forget(channel, gpadl.gpadl_handle) {
        // A host that has taken the channel away has forgotten its memory with it.
        Ok(()) => gpadl.gpadl_handle = 0,
        Err(error) if error == ENODEV => {}
        Err(error) => {
            pr_warn!("the host keeps memory: {}\n", error.to_errno());
            return Err(error);
        }
    }
    if !gpadl.decrypted {
        return Ok(());
    }
    encrypt(gpadl.buffer as usize, gpadl.size)
        .inspect(|()| gpadl.decrypted = false)
        .inspect_err(|error| {
            let errno = error.to_errno();
            pr_warn!(
                "Fail to set mem host visibility in GPADL teardown {}.\n",
                errno
            );
        })
}

impl Bus {
    fn create(&self, channel: Channel, address: usize, size: u32) -> Result<u32> {
        let (relid, handle) = (
            channel.relid_now(),
            self.next_gpadl.fetch_add(1, Ordering::Relaxed),
        );
        let range = RangeHeader {
            byte_count: U32::new(size),
            byte_offset: U32::ZERO,
        };
        let pages = size.div_ceil(PAGE_SIZE) as usize;
        let pfns = (0..pages).map(|page| pfn_at(address + page * PAGE_SIZE as usize));
        let messages = Messages::new(relid, handle, range, pfns).map_err(|_| EINVAL)?;
        let key = Key::Created {
            relid,
            gpadl: handle,
        };
        let answer = self.ask(key, Some(relid), None, || {
            for (at, message) in messages.enumerate() {
                let kind = if at == 0 {
                    Kind::GPADL_HEADER
                } else {
                    Kind::GPADL_BODY
                };
                self.post_encoded(&message, kind, Pause::Sleep)?;
            }
            Ok(())
        })?;
        match answer {
            Answer::Status(0) => Ok(handle),
            Answer::Status(status) => {
                pr_err!("Failed to establish GPADL: err = {:#x}\n", status);
                Err(EDQUOT)
            }
            _ => Err(EIO),
        }
    }

    fn forget(&self, channel: Channel, handle: u32) -> Result {
        let relid = channel.relid_now();
        let body = GpadlTeardown {
            relid: U32::new(relid),
            gpadl: U32::new(handle),
        };
        let key = Key::TornDown { gpadl: handle };
        self.ask(key, Some(relid), None, || {
            self.post(&Message::GpadlTeardown(&body))
        })?;
        Ok(())
    }
}
