// SPDX-License-Identifier: GPL-2.0 OR MIT

//! All channels by number (relid).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use protocol::vmbus::message::Offer;
use protocol::vmbus::{Guid, MAX_RELID};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};
use zerocopy::little_endian::U16;

use crate::channel::Interrupt;
use crate::device::{Device, Signals};

/// What is added to a channel's number to make its connection's.
const CONNECTION_BASE: u32 = 0x1_0000;

/// What the guest knows of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nothing yet.
    Hidden,
    /// It was offered.
    Offered,
    /// It was taken back, and the guest has not let go of it.
    Rescinded,
}

/// A channel that the guest has open.
pub(super) struct Opened {
    pub(super) gpadl: u32,
    pub(super) interrupt: Arc<Interrupt>,
}

/// One channel.
pub(super) struct Entry {
    pub(super) device: Arc<dyn Device>,
    /// 0, or which sub-channel.
    pub(super) index: u16,
    pub(super) kick: Arc<EventFd>,
    pub(super) presence: Presence,
    pub(super) opened: Option<Opened>,
    /// How many more channels the device wants, if this is its first one and open.
    pub(super) more: u16,
    /// Called when the channel is gone.
    pub(super) done: Option<Box<dyn FnOnce() + Send>>,
}

impl Entry {
    /// The channel as it is offered.
    pub(super) fn offer(&self, relid: u16) -> Offer {
        let identity = self.device.identity();
        let mut offer = Offer::new(
            identity.class,
            identity.instance,
            relid.into(),
            connection(relid),
        );
        offer.sub_channel_index = U16::new(self.index);
        offer
    }

    /// Notes that it is not open; says whether it was.
    pub(super) fn shut(&mut self) -> bool {
        self.more = 0;
        self.opened.take().is_some()
    }

    fn is_of(&self, instance: Guid) -> bool {
        self.device.identity().instance == instance
    }
}

fn connection(relid: u16) -> u32 {
    CONNECTION_BASE.saturating_add(relid.into())
}

/// The channels of one machine.
pub(super) struct Channels {
    entries: BTreeMap<u16, Entry>,
    signals: Arc<dyn Signals>,
}

impl Channels {
    pub(super) fn new(signals: Arc<dyn Signals>) -> Self {
        Self {
            entries: BTreeMap::new(),
            signals,
        }
    }

    /// Makes a channel that the guest does not know.
    pub(super) fn add(&mut self, device: Arc<dyn Device>, index: u16) -> io::Result<u16> {
        let relid = (1..=MAX_RELID)
            .find(|relid| !self.entries.contains_key(relid))
            .ok_or_else(|| io::Error::other(format!("all {MAX_RELID} numbers are taken")))?;
        let kick = Arc::new(EventFd::new(EFD_NONBLOCK)?);
        self.signals.bind(connection(relid), &kick)?;
        let entry = Entry {
            device,
            index,
            kick,
            presence: Presence::Hidden,
            opened: None,
            more: 0,
            done: None,
        };
        self.entries.insert(relid, entry);
        Ok(relid)
    }

    /// Removes a channel that is not open.
    pub(super) fn remove(&mut self, relid: u16) {
        let Some(mut entry) = self.entries.remove(&relid) else {
            return;
        };
        self.signals.unbind(connection(relid));
        if let Some(done) = entry.done.take() {
            done();
        }
    }

    pub(super) fn get_mut(&mut self, relid: u16) -> Option<&mut Entry> {
        self.entries.get_mut(&relid)
    }

    /// The channel that a message names, if the guest knows it.
    pub(super) fn known(&mut self, relid: u32) -> Option<(u16, &mut Entry)> {
        let relid = u16::try_from(relid).ok()?;
        let entry = self.entries.get_mut(&relid)?;
        (entry.presence != Presence::Hidden).then_some((relid, entry))
    }

    /// All numbers.
    pub(super) fn relids(&self) -> Vec<u16> {
        self.entries.keys().copied().collect()
    }

    /// The numbers of a device's channels, the first channel last.
    pub(super) fn of(&self, instance: Guid) -> Vec<u16> {
        let mut found: Vec<_> = (self.entries.iter())
            .filter(|(_, entry)| entry.is_of(instance))
            .map(|(relid, entry)| (entry.index, *relid))
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.into_iter().map(|(_, relid)| relid).collect()
    }

    /// Which of a device's channels there are, with those that the guest is to let go
    /// of: a guest that does not has no more numbers for that.
    pub(super) fn indices(&self, instance: Guid) -> Vec<u16> {
        (self.entries.values())
            .filter(|entry| entry.is_of(instance))
            .map(|entry| entry.index)
            .collect()
    }

    /// The number of a device's channel `index` that the guest was offered and has not
    /// been told to let go of.
    pub(super) fn find(&self, instance: Guid, index: u16) -> Option<u16> {
        let mut entries = self.entries.iter();
        let is_it = |entry: &Entry| {
            entry.is_of(instance) && entry.index == index && entry.presence == Presence::Offered
        };
        entries.find_map(|(relid, entry)| is_it(entry).then_some(*relid))
    }

    /// The open channels whose rings are in a GPADL.
    pub(super) fn using(&self, gpadl: u32) -> Vec<u16> {
        let uses = |entry: &Entry| {
            let opened = entry.opened.as_ref();
            opened.is_some_and(|opened| opened.gpadl == gpadl)
        };
        let found = self.entries.iter().filter(|(_, entry)| uses(entry));
        found.map(|(relid, _)| *relid).collect()
    }
}
