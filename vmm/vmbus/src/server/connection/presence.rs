// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Devices and channels that come and go.

use std::sync::Arc;

use protocol::vmbus::message::{ChannelRelid, Message};
use protocol::vmbus::Guid;
use zerocopy::little_endian::U32;

use super::super::channels::Presence;
use super::super::inbox::Request;
use super::Connection;
use crate::device::Device;

impl Connection {
    pub(super) fn request_offers(&mut self) {
        if std::mem::replace(&mut self.has_asked, true) {
            return self.refuse("offers are asked for twice");
        }
        for relid in self.channels.relids() {
            self.announce(relid);
        }
        self.send(&Message::AllOffersDelivered);
    }

    /// Offers a channel, if the guest wants to know.
    fn announce(&mut self, relid: u16) {
        if !self.has_asked {
            return;
        }
        let Some(entry) = self.channels.get_mut(relid) else {
            return;
        };
        if entry.presence == Presence::Hidden {
            entry.presence = Presence::Offered;
            let offer = entry.offer(relid);
            self.counters.offered.inc();
            self.send(&Message::Offer(&offer));
        }
    }

    /// A new device.
    pub(in crate::server) fn offer(&mut self, device: Arc<dyn Device>) {
        self.add(device, 0);
    }

    fn add(&mut self, device: Arc<dyn Device>, index: u16) {
        let name = device.name();
        match self.channels.add(device, index) {
            Ok(relid) => self.announce(relid),
            Err(error) => tracing::error!(%error, "{name}: no channel for it"),
        }
    }

    /// The device whose first channel is `primary` wants `count` more in all.
    pub(in crate::server) fn offer_more(&mut self, primary: u16, count: u16) {
        let Some(entry) = self.channels.get_mut(primary) else {
            return;
        };
        // It may have been closed since.
        if entry.opened.is_none() {
            return;
        }
        let device = entry.device.clone();
        let present = self.channels.indices(device.identity().instance);
        for index in (1..=count).filter(|index| !present.contains(index)) {
            self.add(device.clone(), index);
        }
    }

    /// Takes a device back from the guest.
    pub(in crate::server) fn rescind(&mut self, instance: Guid, done: Box<dyn FnOnce() + Send>) {
        let relids = self.channels.of(instance);
        let last = relids
            .last()
            .and_then(|relid| self.channels.get_mut(*relid));
        match last {
            Some(primary) => primary.done = Some(done),
            None => return done(),
        }
        for relid in relids {
            self.take_back(relid);
        }
    }

    /// Takes the device with this first channel from the guest, and offers it again
    /// once that has let go of it. One that is going anyway goes.
    pub(in crate::server) fn come_back(&mut self, primary: u16) {
        let Some(entry) = self.channels.get_mut(primary) else {
            return;
        };
        if entry.done.is_some() || entry.presence != Presence::Offered {
            return;
        }
        let (device, inbox) = (entry.device.clone(), self.inbox.clone());
        let instance = device.identity().instance;
        let offer = move || {
            if let Some(inbox) = inbox.upgrade() {
                inbox.push(Request::Offer(device));
            }
        };
        self.rescind(instance, Box::new(offer));
    }

    /// Tells the guest to let go of a channel. One that it does not know goes at once.
    pub(super) fn take_back(&mut self, relid: u16) {
        let Some(entry) = self.channels.get_mut(relid) else {
            return;
        };
        match entry.presence {
            Presence::Rescinded => {}
            Presence::Hidden => self.channels.remove(relid),
            Presence::Offered => {
                entry.presence = Presence::Rescinded;
                self.counters.rescinded.inc();
                let relid = U32::new(relid.into());
                self.send(&Message::Rescind(&ChannelRelid { relid }));
            }
        }
    }

    pub(super) fn released(&mut self, body: &ChannelRelid) {
        match self.channels.known(body.relid.get()) {
            Some((relid, entry)) if entry.presence == Presence::Rescinded => {
                self.close(relid);
                // A guest tears nothing down that belongs to what was taken away.
                self.gpadls.forget(relid.into());
                self.channels.remove(relid);
            }
            _ => self.refuse(&format!("channel {} is released", body.relid.get())),
        }
    }
}
