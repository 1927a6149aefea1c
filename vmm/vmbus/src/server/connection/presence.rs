// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Devices and channels that come and go.

use std::sync::Arc;

use protocol::vmbus::message::{ChannelRelid, Kind, Message};
use protocol::vmbus::Guid;
use zerocopy::little_endian::U32;

use super::super::channels::Presence;
use super::super::inbox::Request;
use super::Connection;
use crate::channel::MoreChannels;
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
        match self.channels.add(device.clone(), index) {
            Ok(relid) => {
                if index == 0 {
                    device.offered(self.more(relid));
                }
                self.announce(relid);
            }
            Err(error) => {
                if let Some(held) = self.errors.pass() {
                    let name = device.name();
                    tracing::error!(held, %error, "{name}: there is no channel {index} of it");
                }
            }
        }
    }

    /// By which the device with this first channel asks for more.
    fn more(&self, primary: u16) -> MoreChannels {
        let inbox = self.inbox.clone();
        MoreChannels { inbox, primary }
    }

    /// The device whose first channel is `primary` wants `count` more in all. Those
    /// that the guest has still to let go of come when it has ([`released`](Self::released)).
    pub(in crate::server) fn offer_more(&mut self, primary: u16, count: u16) {
        let Some(entry) = self.channels.get_mut(primary) else {
            return;
        };
        // It may have been closed since.
        if entry.opened.is_none() {
            return;
        }
        entry.more = count;
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
        self.take_all_back(&relids);
    }

    /// Takes the device with this first channel from the guest, or another channel
    /// `index` of it, and offers it again once that has let go of it. One that is going
    /// anyway goes.
    pub(in crate::server) fn come_back(&mut self, primary: u16, index: u16) {
        let Some(entry) = self.channels.get_mut(primary) else {
            return;
        };
        if entry.done.is_some() || entry.presence != Presence::Offered {
            return;
        }
        let (device, inbox) = (entry.device.clone(), self.inbox.clone());
        let instance = device.identity().instance;
        if index != 0 {
            // The device wants to have so many, so it comes back by itself.
            let found = self.channels.find(instance, index);
            return self.take_all_back(found.as_slice());
        }
        let offer = move || {
            if let Some(inbox) = inbox.upgrade() {
                inbox.push(Request::Offer(device));
            }
        };
        self.rescind(instance, Box::new(offer));
    }

    /// Takes channels of a device back, the first one last. They are at rest when the
    /// guest hears of it.
    fn take_all_back(&mut self, relids: &[u16]) {
        let mut leaving = Vec::new();
        let mut device = None;
        for relid in relids {
            let entry = self.channels.get_mut(*relid);
            if let Some(entry) = entry.filter(|entry| entry.opened.is_some()) {
                entry.shut();
                leaving.push(entry.index);
                device = Some(entry.device.clone());
                self.counters.closed.inc();
            }
        }
        if let Some(device) = device {
            device.leave(&leaving);
        }
        for relid in relids {
            self.take_back(*relid);
        }
    }

    /// Tells the guest to let go of a channel that is not open. One that it does not
    /// know goes at once.
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
                let fate = self.faulty.fate(Kind::RESCIND);
                self.answer(fate, &Message::Rescind(&ChannelRelid { relid }));
            }
        }
    }

    pub(super) fn released(&mut self, body: &ChannelRelid) {
        match self.channels.known(body.relid.get()) {
            Some((relid, entry)) if entry.presence == Presence::Rescinded => {
                let (device, index) = (entry.device.clone(), entry.index);
                // A guest tears nothing down that belongs to what was taken away.
                self.gpadls.forget(relid.into());
                self.channels.remove(relid);
                self.offer_again(device, index);
            }
            _ => self.refuse(&format!("channel {} is released", body.relid.get())),
        }
    }

    /// Offers a channel whose number the guest has let go of, if it was asked for
    /// meanwhile.
    fn offer_again(&mut self, device: Arc<dyn Device>, index: u16) {
        let instance = device.identity().instance;
        let primary = self.channels.find(instance, 0);
        let primary = primary.and_then(|relid| self.channels.get_mut(relid));
        let is_wanted = primary.is_some_and(|entry| index != 0 && index <= entry.more);
        if is_wanted && !self.channels.indices(instance).contains(&index) {
            self.add(device, index);
        }
    }
}
