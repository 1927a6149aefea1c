// SPDX-License-Identifier: GPL-2.0

//! Which channel has which number (relid), for the interrupt handler.

use super::{
    bindings,
    Channel, //
};
use core::{
    ptr,
    sync::atomic::{
        AtomicPtr,
        AtomicU32,
        Ordering, //
    }, //
};
use kernel::sync::rcu;
use protocol::hyperv::event::FLAG_COUNT;

/// The channels by number. One that is in here is freed after a grace period of RCU at the
/// earliest.
pub(crate) struct Relids {
    channels: [AtomicPtr<bindings::vmbus_channel>; FLAG_COUNT as usize],
    highest: AtomicU32,
}

/// The only one.
pub(crate) static RELIDS: Relids = Relids {
    channels: [const { AtomicPtr::new(ptr::null_mut()) }; FLAG_COUNT as usize],
    highest: AtomicU32::new(0),
};

impl Relids {
    /// The highest number that there was.
    #[inline]
    pub(crate) fn highest(&self) -> u16 {
        self.highest.load(Ordering::Relaxed) as u16
    }

    /// Whether a channel can have this number. 0 is that of messages.
    pub(crate) fn is_possible(relid: u32) -> bool {
        relid > 0 && relid < u32::from(FLAG_COUNT)
    }

    /// The channel of a number, at most as long as the lock.
    #[inline]
    pub(crate) fn get(&self, relid: u32, _rcu: &rcu::Guard) -> Option<Channel> {
        let channel = self.channels.get(relid as usize)?.load(Ordering::Acquire);
        // SAFETY: A channel that is in the table is valid until the grace period after it.
        unsafe { Channel::from_raw(channel) }
    }

    /// Gives a number to a channel, unless another has it or it is none.
    pub(crate) fn set(&self, relid: u32, channel: Channel) -> bool {
        let Some(place) = self.channels.get(relid as usize) else {
            return false;
        };
        if !Self::is_possible(relid) || !place.load(Ordering::Relaxed).is_null() {
            return false;
        }
        self.highest.fetch_max(relid, Ordering::Relaxed);
        place.store(channel.as_raw(), Ordering::SeqCst);
        true
    }

    /// Takes the number of a channel back.
    pub(crate) fn clear(&self, relid: u32) {
        if let Some(place) = self.channels.get(relid as usize) {
            place.store(ptr::null_mut(), Ordering::SeqCst);
        }
    }
}
