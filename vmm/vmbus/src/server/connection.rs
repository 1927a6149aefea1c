// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the guest's messages mean, and what becomes of devices that come and go.
//!
//! A wrong message is answered where the guest waits for an answer, and otherwise
//! reported and forgotten. A guest that makes contact again, as a second kernel
//! does, finds everything as the first one did.

use std::sync::{Arc, Weak};

use hospes_device::limit::{warn_limited, RateLimit};
use hospes_device::memory::GuestMemory;
use protocol::hyperv::hypercall::CONNECTION_MESSAGE;
use protocol::hyperv::VMBUS_SINT;
use protocol::vmbus::message::body::STATUS_SUCCESS;
use protocol::vmbus::message::{
    ChannelRelid, GpadlBody, GpadlCreated, GpadlHeader, GpadlTeardown, GpadlTorndown,
    InitiateContact, Message, ModifyChannel, ModifyChannelResponse, Open, OpenResult,
    VersionResponse,
};
use protocol::vmbus::{Guid, Version};
use zerocopy::little_endian::{U32, U64};

use super::channels::{Channels, Opened, Presence};
use super::counters::BusCounters;
use super::gpadls::{GpadlError, Gpadls};
use super::inbox::{Inbox, Request};
use super::outbox::Outbox;
use super::Settings;
use crate::channel::{Channel, Interrupt, MoreChannels};
use crate::device::{Device, Opening, Signals};
use crate::synic::Synic;

/// Status of what failed (Windows' `STATUS_UNSUCCESSFUL`).
const STATUS_FAILURE: u32 = 0xc000_0001;

/// Most messages that wait for a guest before no more of its own are handled.
const MAX_WAITING: usize = 512;

/// What bus and guest know of each other.
pub(super) struct Connection {
    settings: Settings,
    memory: GuestMemory,
    synic: Arc<Synic>,
    inbox: Weak<Inbox>,
    counters: Arc<BusCounters>,
    warnings: RateLimit,
    outbox: Outbox,
    /// None without a guest.
    version: Option<Version>,
    /// Whether new channels are offered as they come.
    has_asked: bool,
    channels: Channels,
    gpadls: Gpadls,
}

impl Connection {
    pub(super) fn new(
        settings: Settings,
        memory: GuestMemory,
        synic: Arc<Synic>,
        signals: Arc<dyn Signals>,
        inbox: Weak<Inbox>,
        counters: Arc<BusCounters>,
    ) -> Self {
        Self {
            settings,
            memory,
            outbox: Outbox::new(synic.clone()),
            synic,
            inbox,
            counters,
            warnings: RateLimit::default(),
            version: None,
            has_asked: false,
            channels: Channels::new(signals),
            gpadls: Gpadls::default(),
        }
    }

    /// Whether messages wait for the guest.
    pub(super) fn has_mail(&self) -> bool {
        self.outbox.has_mail()
    }

    /// Whether so many do that none of the guest's is to be handled.
    pub(super) fn is_stuffed(&self) -> bool {
        self.outbox.len() >= MAX_WAITING
    }

    /// Delivers what the guest takes now.
    pub(super) fn deliver(&mut self) {
        self.outbox.deliver();
    }

    /// Has the guest look at its slot once more.
    pub(super) fn remind(&self) {
        self.outbox.remind();
    }

    /// Handles a message of the guest's.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.counters.received.inc();
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(error) => return self.refuse(&format!("{error:?}")),
        };
        tracing::debug!(kind = message.kind().0, "message of the guest");
        match (message, self.version) {
            (Message::InitiateContact(body), _) => self.contact(body),
            (Message::Unload, _) => self.unload(),
            (_, None) => self.refuse("a message of a guest that has not made contact"),
            (Message::RequestOffers, _) => self.request_offers(),
            (Message::GpadlHeader(body, words), _) => self.gpadl(body, words),
            (Message::GpadlBody(body, words), _) => self.gpadl_body(body, words),
            (Message::GpadlTeardown(body), _) => self.gpadl_teardown(body),
            (Message::Open(body), _) => self.open(body),
            (Message::Close(body), _) => self.guest_closes(body),
            (Message::ModifyChannel(body), Some(version)) => self.modify(body, version),
            (Message::RelidReleased(body), _) => self.released(body),
            (other, _) => self.refuse(&format!("type {}", other.kind().0)),
        }
    }

    fn refuse(&self, why: &str) {
        self.counters.refused.inc();
        warn_limited!(self.warnings, "VMBus: a message makes no sense: {why}");
    }

    fn send(&mut self, message: &Message<'_>) {
        self.counters.sent.inc();
        self.outbox.send(message);
    }

    fn contact(&mut self, body: &InitiateContact) {
        let target = body.target_vp.get();
        let source = body
            .message_target()
            .map_or(VMBUS_SINT, |target| target.sint);
        if !self.synic.has(target) || source != VMBUS_SINT {
            return self.refuse(&format!("contact from VP {target}, source {source}"));
        }
        self.counters.contacts.inc();
        self.reset();
        self.outbox.redirect(target);
        let version = body.version();
        let (newest, oldest) = (self.settings.max_version, Settings::MIN_VERSION);
        if version > newest || version < oldest || !version.is_known() {
            return self.send(&Message::VersionResponse(&VersionResponse::REFUSE));
        }
        self.version = Some(version);
        self.counters.version.set(version);
        let answer = VersionResponse::accept(CONNECTION_MESSAGE);
        self.send(&Message::VersionResponse(&answer));
    }

    fn unload(&mut self) {
        self.counters.unloads.inc();
        self.reset();
        self.send(&Message::UnloadResponse);
    }

    fn request_offers(&mut self) {
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
    pub(super) fn offer(&mut self, device: Arc<dyn Device>) {
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
    pub(super) fn offer_more(&mut self, primary: u16, count: u16) {
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
    pub(super) fn rescind(&mut self, instance: Guid, done: Box<dyn FnOnce() + Send>) {
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
    pub(super) fn come_back(&mut self, primary: u16) {
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
    fn take_back(&mut self, relid: u16) {
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

    fn gpadl(&mut self, body: &GpadlHeader, words: &[U64]) {
        let (relid, gpadl) = (body.relid, body.gpadl);
        let result = match self.channels.known(relid.get()) {
            Some(_) => self.gpadls.begin(body, words),
            None => Err(GpadlError::Missing),
        };
        match result {
            Ok(None) => {}
            Ok(Some(_)) => self.gpadl_created(relid, gpadl, STATUS_SUCCESS),
            Err(error) => {
                self.refuse(&format!("GPADL {:#x}: {error}", gpadl.get()));
                self.gpadl_created(relid, gpadl, STATUS_FAILURE);
            }
        }
    }

    fn gpadl_body(&mut self, body: &GpadlBody, words: &[U64]) {
        match self.gpadls.proceed(body, words) {
            Ok(None) => {}
            Ok(Some(relid)) => self.gpadl_created(U32::new(relid), body.gpadl, STATUS_SUCCESS),
            Err((relid, error)) => {
                self.refuse(&format!("GPADL {:#x}: {error}", body.gpadl.get()));
                if let Some(relid) = relid {
                    self.gpadl_created(U32::new(relid), body.gpadl, STATUS_FAILURE);
                }
            }
        }
    }

    fn gpadl_created(&mut self, relid: U32, gpadl: U32, status: u32) {
        if status == STATUS_SUCCESS {
            self.counters.gpadls.inc();
        }
        let status = U32::new(status);
        self.send(&Message::GpadlCreated(&GpadlCreated {
            relid,
            gpadl,
            status,
        }));
    }

    /// The guest waits for the answer, so it gets one whatever it asked for.
    fn gpadl_teardown(&mut self, body: &GpadlTeardown) {
        let handle = body.gpadl.get();
        for relid in self.channels.using(handle) {
            self.refuse(&format!("GPADL {handle:#x} goes with channel {relid} open"));
            self.close(relid);
        }
        if self.gpadls.remove(handle) {
            self.counters.gpadls_torn_down.inc();
        }
        let gpadl = body.gpadl;
        self.send(&Message::GpadlTorndown(&GpadlTorndown { gpadl }));
    }

    /// What the device of a channel says of its opening, and what its first channel is.
    fn opening(&mut self, relid: u32) -> Option<(Opening, u16)> {
        let (_, entry) = self.channels.known(relid)?;
        let opening = entry.device.opening(entry.index);
        let instance = entry.device.identity().instance;
        Some((opening, *self.channels.of(instance).last()?))
    }

    fn open(&mut self, body: &Open) {
        let result = match self.opening(body.relid.get()) {
            Some((Opening::Rescinded, primary)) => return self.come_back(primary),
            Some((Opening::Refused, _)) => Err("its device does not want that".to_owned()),
            _ => self.try_open(body),
        };
        let status = match result {
            Ok(()) => STATUS_SUCCESS,
            Err(why) => {
                self.refuse(&format!(
                    "channel {} is not opened: {why}",
                    body.relid.get()
                ));
                STATUS_FAILURE
            }
        };
        self.send(&Message::OpenResult(&OpenResult {
            relid: body.relid,
            open_id: body.open_id,
            status: U32::new(status),
        }));
    }

    fn try_open(&mut self, body: &Open) -> Result<(), String> {
        let target = body.target_vp.get();
        if !self.synic.has(target) {
            return Err(format!("there is no VP {target}"));
        }
        let gpadl = body.ring_gpadl.get();
        let rings = self
            .gpadls
            .rings(&self.memory, gpadl, body.downstream_page.get());
        let (relid, entry) = (self.channels.known(body.relid.get()))
            .ok_or_else(|| "there is no such channel".to_owned())?;
        if entry.opened.is_some() || entry.presence == Presence::Rescinded {
            return Err("it is open already, or rescinded".to_owned());
        }
        let [to_host, to_guest] = rings.map_err(|error| error.to_string())?;
        let interrupt = Arc::new(Interrupt::new(self.synic.clone(), relid, target));
        let channel = Channel {
            to_host,
            to_guest,
            kick: entry.kick.clone(),
            interrupt: interrupt.clone(),
            more: MoreChannels {
                inbox: self.inbox.clone(),
                primary: relid,
            },
        };
        (entry.device.open(entry.index, channel)).map_err(|error| error.to_string())?;
        entry.opened = Some(Opened { gpadl, interrupt });
        self.counters.opened.inc();
        Ok(())
    }

    fn guest_closes(&mut self, body: &ChannelRelid) {
        let Some((relid, entry)) = self.channels.known(body.relid.get()) else {
            return self.refuse(&format!("channel {} is closed", body.relid.get()));
        };
        let (index, instance) = (entry.index, entry.device.identity().instance);
        if index != 0 {
            return self.close(relid);
        }
        // Without its first channel a device has no other.
        for relid in self.channels.of(instance) {
            self.close(relid);
            let entry = self.channels.get_mut(relid);
            if entry.is_some_and(|entry| entry.index != 0) {
                self.take_back(relid);
            }
        }
    }

    /// Closes a channel, if it is open.
    fn close(&mut self, relid: u16) {
        let Some(entry) = self.channels.get_mut(relid) else {
            return;
        };
        if entry.opened.take().is_some() {
            entry.device.close(entry.index);
            self.counters.closed.inc();
        }
    }

    fn modify(&mut self, body: &ModifyChannel, version: Version) {
        let target = body.target_vp.get();
        let is_possible = version.can_modify_channel() && self.synic.has(target);
        let opened = self.channels.known(body.relid.get());
        let opened = opened.and_then(|(_, entry)| entry.opened.as_ref());
        let status = match opened.filter(|_| is_possible) {
            Some(opened) => {
                opened.interrupt.retarget(target);
                STATUS_SUCCESS
            }
            None => {
                let relid = body.relid.get();
                self.refuse(&format!("channel {relid} cannot move to VP {target}"));
                STATUS_FAILURE
            }
        };
        if version.acknowledges_modify_channel() {
            self.send(&Message::ModifyChannelResponse(&ModifyChannelResponse {
                relid: body.relid,
                status: U32::new(status),
            }));
        }
    }

    fn released(&mut self, body: &ChannelRelid) {
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

    /// Closes everything and forgets the guest. Devices stay.
    pub(super) fn reset(&mut self) {
        let mut relids = self.channels.relids();
        let index_of = |channels: &mut Channels, relid: u16| {
            channels.get_mut(relid).map_or(0, |entry| entry.index)
        };
        // First channels last.
        relids.sort_by_key(|relid| index_of(&mut self.channels, *relid) == 0);
        for relid in relids {
            self.close(relid);
            let Some(entry) = self.channels.get_mut(relid) else {
                continue;
            };
            if entry.index != 0 || entry.presence == Presence::Rescinded {
                self.channels.remove(relid);
            } else {
                entry.presence = Presence::Hidden;
            }
        }
        self.gpadls.clear();
        self.version = None;
        self.has_asked = false;
    }
}
