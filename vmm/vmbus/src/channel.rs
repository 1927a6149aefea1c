// SPDX-License-Identifier: GPL-2.0 OR MIT

//! An open channel, as its device has it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use protocol::hyperv::shared::Shared;
use protocol::vmbus::ring::control;
use vmm_sys_util::eventfd::EventFd;

use crate::memory::Pages;
use crate::server::Inbox;
use crate::synic::Synic;

/// A channel between guest and device.
pub struct Channel {
    /// The ring that the guest writes.
    pub to_host: Pages,
    /// The ring that the device writes.
    pub to_guest: Pages,
    /// Signalled by the guest when it has written, or has made room.
    pub kick: Arc<EventFd>,
    /// How the guest is signalled.
    pub interrupt: Arc<Interrupt>,
    /// By which the device asks for more channels.
    pub more: MoreChannels,
}

impl Channel {
    /// Whether the guest signals when it has made room in its ring.
    pub fn is_woken(&self) -> bool {
        control::is_woken(&self.to_host)
    }

    /// Size of both rings with their control pages, in bytes.
    pub fn size(&self) -> u64 {
        u64::from(self.to_host.size()).saturating_add(u64::from(self.to_guest.size()))
    }
}

/// The guest's end of a channel's signals: one flag, of a processor that the guest
/// chooses and may change.
pub struct Interrupt {
    synic: Arc<Synic>,
    flag: u16,
    target: Mutex<u32>,
}

impl Interrupt {
    pub(crate) fn new(synic: Arc<Synic>, flag: u16, vp: u32) -> Self {
        Self {
            synic,
            flag,
            target: Mutex::new(vp),
        }
    }

    /// Signals the guest.
    pub fn raise(&self) {
        // Held meanwhile, so that after a change the former processor gets none.
        let vp = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        self.synic.raise(*vp, self.flag);
    }

    /// Another processor gets the signals from now on.
    pub(crate) fn retarget(&self, vp: u32) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = vp;
    }
}

/// By which a device has the bus offer more channels of its own, or the whole device
/// anew.
#[derive(Clone)]
pub struct MoreChannels {
    pub(crate) inbox: Weak<Inbox>,
    pub(crate) primary: u16,
}

impl MoreChannels {
    /// Offers `count` more channels, which the guest may open or not. Those that
    /// it has already count.
    pub fn offer(&self, count: u16) {
        if let Some(inbox) = self.inbox.upgrade() {
            inbox.offer_more(self.primary, count);
        }
    }

    /// Has channel number `index` taken from the guest, and offered again once that
    /// has let go of it. With the first one, 0, that is the whole device.
    pub fn come_back(&self, index: u16) {
        if let Some(inbox) = self.inbox.upgrade() {
            inbox.come_back(self.primary, index);
        }
    }
}
