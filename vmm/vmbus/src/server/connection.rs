// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the guest's messages mean, and what becomes of devices that come and go.
//!
//! A wrong message is answered where the guest waits for an answer, and otherwise
//! reported and forgotten. A guest that makes contact again, as a second kernel
//! does, finds everything as the first one did.
//!
//! - `presence`: devices and channels that come and go;
//! - `opening`: memory of channels, and channels that are opened, moved and closed.

mod opening;
mod presence;

use std::sync::{Arc, Weak};
use std::time::Duration;

use hospes_device::limit::{warn_limited, RateLimit};
use hospes_device::memory::GuestMemory;
use protocol::hyperv::hypercall::CONNECTION_MESSAGE;
use protocol::hyperv::VMBUS_SINT;
use protocol::vmbus::message::{InitiateContact, Kind, Message, VersionResponse};
use protocol::vmbus::Version;

use super::channels::{Channels, Presence};
use super::counters::BusCounters;
use super::fault::{Fate, FaultKind, Faulty, Forged};
use super::gpadls::Gpadls;
use super::inbox::{Inbox, Request};
use super::outbox::Outbox;
use super::Settings;
use crate::device::Signals;
use crate::synic::Synic;

/// Most messages that wait for a guest before no more of its own are handled.
const MAX_WAITING: usize = 512;

/// What bus and guest know of each other.
pub(super) struct Connection {
    settings: Settings,
    memory: GuestMemory,
    synic: Arc<Synic>,
    inbox: Weak<Inbox>,
    counters: Arc<BusCounters>,
    faulty: Arc<Faulty>,
    warnings: RateLimit,
    errors: RateLimit,
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
        faulty: Arc<Faulty>,
    ) -> Self {
        Self {
            settings,
            memory,
            outbox: Outbox::new(synic.clone()),
            synic,
            inbox,
            counters,
            faulty,
            warnings: RateLimit::default(),
            errors: RateLimit::default(),
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

    /// Sends what the guest waits for, unless its fate is another.
    fn answer(&mut self, fate: Fate, message: &Message<'_>) {
        if fate.is_dropped {
            return;
        }
        for _ in 0..=fate.more {
            if fate.delay.is_zero() {
                self.send(message);
            } else if let Some(later) = Forged::of(message) {
                self.send_after(fate.delay, later);
            }
        }
    }

    #[cold]
    fn send_after(&self, delay: Duration, message: Forged) {
        let inbox = self.inbox.clone();
        self.faulty.late.after(delay, move || {
            if let Some(inbox) = inbox.upgrade() {
                inbox.push(Request::Say(message));
            }
        });
    }

    /// Sends what was late.
    pub(super) fn say(&mut self, message: &Forged) {
        self.counters.sent.inc();
        self.outbox.put(message.slot, &message.payload);
    }

    /// Tells a guest that listens what is not so.
    pub(super) fn forge(&mut self, fault: &FaultKind) {
        if self.version.is_none() {
            return;
        }
        let first = self.channels.relids().first().copied();
        let entry = first.and_then(|relid| Some((relid, self.channels.get_mut(relid)?)));
        let template = entry.map(|(relid, entry)| entry.offer(relid));
        for message in Forged::by(fault, template) {
            self.say(&message);
        }
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
        let fate = self.faulty.fate(Kind::INITIATE_CONTACT);
        let version = body.version();
        let (newest, oldest) = (self.settings.max_version, Settings::MIN_VERSION);
        let is_spoken = version <= newest && version >= oldest && version.is_known();
        if !is_spoken || fate.refusal.is_some() {
            return self.answer(fate, &Message::VersionResponse(&VersionResponse::REFUSE));
        }
        self.version = Some(version);
        self.counters.version.set(version);
        let answer = VersionResponse::accept(CONNECTION_MESSAGE);
        self.answer(fate, &Message::VersionResponse(&answer));
    }

    fn unload(&mut self) {
        self.counters.unloads.inc();
        self.reset();
        let fate = self.faulty.fate(Kind::UNLOAD);
        self.answer(fate, &Message::UnloadResponse);
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
        self.faulty.late.release();
        self.version = None;
        self.has_asked = false;
    }
}
