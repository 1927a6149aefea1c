// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the thread of a channel does.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use hospes_device::limit::warn_limited;
use hospes_device::memory::GuestMemory;
use hospes_device::worker::Service;
use hospes_scsi::fault::disarm;
use hospes_scsi::{Command, Driver};
use protocol::storvsp::init::{Action, Server};
use protocol::storvsp::outcome::Ending;
use protocol::storvsp::packet::status;
use protocol::storvsp::{Operation, Packet, ScsiRequest, Version};
use protocol::vmbus::packet::{Data, Packet as ChannelPacket};
use protocol::vmbus::ring::Consumer;

use super::fault::{About, Fate, Instead};
use super::port::Port;
use super::request::Request;
use super::resets::Reset;
use super::{Shared, MAX_IN_FLIGHT};
use crate::channel::MoreChannels;
use crate::memory::Pages;

/// Packets that are answered at most once a channel is to be taken away: more than a ring
/// holds, so that a guest that does not stop cannot keep it.
const MAX_SENT_AWAY: usize = 4 * MAX_IN_FLIGHT;

/// Serves one channel by way of a driver of the target.
pub(super) struct ChannelService {
    shared: Arc<Shared>,
    driver: Driver,
    port: Arc<Port>,
    index: u16,
    /// None once the ring is dead.
    consumer: Option<Consumer<Pages>>,
    server: Server,
    more: MoreChannels,
    memory: GuestMemory,
    /// The packet that is looked at, copied.
    packet: Vec<u8>,
    sent_away: usize,
}

/// Whether there is more to take from a ring.
enum Taken {
    All,
    /// Enough: what is left waits for answers that are owed.
    Enough,
    /// The ring is dead.
    Dead,
}

impl ChannelService {
    pub(super) fn new(
        shared: Arc<Shared>,
        driver: Driver,
        port: Arc<Port>,
        consumer: Consumer<Pages>,
        index: u16,
        more: MoreChannels,
    ) -> Self {
        let server = match index {
            0 => Server::new(Version::V6_2, shared.properties, shared.names()),
            _ => Server::sub_channel(),
        };
        // A reference count of its own, which no other channel's commands touch.
        let memory = Arc::new((**consumer.memory().memory()).clone());
        Self {
            shared,
            driver,
            port,
            index,
            consumer: Some(consumer),
            server,
            more,
            memory,
            packet: Vec::new(),
            sent_away: 0,
        }
    }

    /// Takes packets until there is none, with the guest's signals held off.
    fn drain(&mut self) {
        loop {
            let taken = self.take();
            self.driver.flush();
            match taken {
                Taken::All => {}
                Taken::Enough => return,
                Taken::Dead => return self.consumer = None,
            }
            let unmasked = self.consumer.as_mut().map(Consumer::unmask);
            match unmasked {
                Some(Ok(true)) => {}
                Some(Ok(false)) | None => return,
                Some(Err(error)) => {
                    self.warn(&format!("the guest's ring is dead: {error:?}"));
                    return self.consumer = None;
                }
            }
        }
    }

    fn take(&mut self) -> Taken {
        let Some(mut consumer) = self.consumer.take() else {
            return Taken::Dead;
        };
        consumer.mask();
        let taken = self.take_from(&mut consumer);
        match consumer.release() {
            Ok(signal) => self.port.signal(signal),
            Err(_) => return Taken::Dead,
        }
        self.consumer = Some(consumer);
        taken
    }

    fn take_from(&mut self, consumer: &mut Consumer<Pages>) -> Taken {
        loop {
            if self.port.is_busy() || self.sent_away >= MAX_SENT_AWAY {
                return Taken::Enough;
            }
            match consumer.next() {
                Ok(None) => return Taken::All,
                Ok(Some(incoming)) => {
                    let len = usize::try_from(incoming.descriptor().len()).unwrap_or(0);
                    let mut packet = std::mem::take(&mut self.packet);
                    packet.resize(len, 0);
                    if incoming.copy_all(&mut packet).is_some() {
                        self.handle(&packet);
                    }
                    self.packet = packet;
                }
                Err(error) => {
                    self.warn(&format!("the guest's ring is dead: {error:?}"));
                    return Taken::Dead;
                }
            }
        }
    }

    fn handle(&mut self, bytes: &[u8]) {
        self.port.record.counters.packets.inc();
        if self.port.leaving().is_some() {
            self.sent_away = self.sent_away.saturating_add(1);
        }
        let packet = match ChannelPacket::parse(bytes) {
            Ok(packet) => packet,
            Err(error) => return self.refuse_unreadable(bytes, &format!("{error:?}")),
        };
        let transaction = packet.transaction_id;
        let Some(request) = Packet::parse(packet.payload) else {
            return self.refuse(transaction, "it is too short");
        };
        if self.port.leaving().is_some() {
            return self.send_away(transaction, &request);
        }
        let about = About::request(&self.shared.kind, self.index, &request);
        let fate = self.shared.faulty.fate(&about);
        if request.operation() != Operation::EXECUTE_SRB {
            match fate.as_ref().map(|fate| (fate.is_dropped, fate.instead)) {
                Some((true, _)) => return,
                Some((_, Some(Instead::Refused(code)))) => {
                    return self.reply(transaction, Packet::answer(code), fate);
                }
                _ => {}
            }
        }
        match self.server.handle(&request) {
            Action::Answer(answer) => {
                if self.server.is_ready() {
                    self.port.set_ready();
                }
                self.reply(transaction, answer, fate);
            }
            Action::Offer(count, answer) => {
                self.more.offer(count);
                self.reply(transaction, answer, fate);
            }
            Action::Execute(request) => self.execute(transaction, request, &packet.data, fate),
            Action::Reset(operation, request) => self.shared.resets.add(Reset {
                port: self.port.clone(),
                transaction,
                operation,
                request,
                fate,
            }),
        }
    }

    /// Answers a packet of a guest that has not heard that the channel goes.
    #[cold]
    fn send_away(&mut self, transaction: u64, request: &Packet) {
        match self.server.handle(request) {
            Action::Answer(answer) | Action::Offer(_, answer) => {
                self.port.answer(transaction, &answer, None);
            }
            Action::Execute(request) => {
                Request::begin(self.port.clone(), transaction, request).send_away();
            }
            Action::Reset(..) => {
                let answer = Packet::answer(status::SUCCESS);
                self.port.answer(transaction, &answer, None);
            }
        }
    }

    /// Answers a packet there and then, unless its fate is another.
    fn reply(&self, transaction: u64, mut answer: Packet, fate: Option<Box<Fate>>) {
        let Some(fate) = fate else {
            return self.port.answer(transaction, &answer, None);
        };
        fate.adorn(&mut answer);
        if fate.delay.is_zero() {
            return self.port.answer(transaction, &answer, fate.wrong);
        }
        let port = self.port.clone();
        self.shared.faulty.late.after(fate.delay, move || {
            port.answer(transaction, &answer, fate.wrong);
        });
    }

    fn execute(
        &mut self,
        transaction: u64,
        request: ScsiRequest,
        data: &Data<'_>,
        fate: Option<Box<Fate>>,
    ) {
        self.port.record.counters.commands.inc();
        let mut request = Request::begin(self.port.clone(), transaction, request);
        match request.command(&self.shared.kind, &self.memory, data) {
            Ok(Some(command)) => match fate {
                None => self.submit(request, command, Duration::ZERO),
                Some(fate) => self.submit_wrongly(request, command, *fate),
            },
            Ok(None) => request.end_without_target(),
            Err(why) => {
                self.shared.counters.malformed.inc();
                self.warn(&format!("a command makes no sense: {why}"));
                request.end(&Ending::Invalid);
            }
        }
    }

    fn submit(&mut self, request: Request, command: Command, delay: Duration) {
        let complete = move |outcome| request.complete(outcome);
        self.driver.submit_after(command, delay, complete);
    }

    #[cold]
    fn submit_wrongly(&mut self, mut request: Request, mut command: Command, fate: Fate) {
        if fate.is_dropped {
            match self.shared.faulty.keep(request) {
                None => return,
                Some(back) => request = back,
            }
        }
        if fate.instead.is_some() {
            disarm(&mut command);
        }
        let delay = fate.delay;
        request.meet(fate);
        self.submit(request, command, delay);
    }

    /// A packet whose list of ranges is wrong. It is answered as what it would have
    /// been: a command ends, and does not leave its guest waiting.
    fn refuse_unreadable(&mut self, bytes: &[u8], why: &str) {
        let Some(envelope) = Envelope::of(bytes) else {
            return;
        };
        let request = Packet::parse(envelope.payload);
        if let Some(Action::Execute(request)) = request.map(|request| self.server.handle(&request))
        {
            self.shared.counters.malformed.inc();
            self.warn(&format!("a command makes no sense: {why}"));
            let request = Request::begin(self.port.clone(), envelope.transaction, request);
            return request.end(&Ending::Invalid);
        }
        self.refuse(envelope.transaction, why);
    }

    fn refuse(&self, transaction: u64, why: &str) {
        self.shared.counters.malformed.inc();
        self.warn(&format!("a packet makes no sense: {why}"));
        let answer = Packet::answer(status::INVALID_PARAMETER);
        self.port.answer(transaction, &answer, None);
    }

    fn warn(&self, what: &str) {
        warn_limited!(self.port.record.warnings, "{}: {what}", self.shared.name);
    }
}

/// What can be said of a packet without its extension.
struct Envelope<'a> {
    transaction: u64,
    payload: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        use protocol::vmbus::packet::Descriptor;
        use zerocopy::FromBytes;
        let (descriptor, _) = Descriptor::read_from_prefix(bytes).ok()?;
        Some(Self {
            transaction: descriptor.transaction_id.get(),
            payload: bytes.get(usize::try_from(descriptor.offset()).ok()?..)?,
        })
    }
}

impl Service<Port> for ChannelService {
    fn serve(&mut self, port: &Arc<Port>) {
        port.flush();
        self.drain();
    }

    fn sources(&self) -> Vec<RawFd> {
        self.driver.sources().collect()
    }

    fn woken(&mut self) {
        if self.driver.has_work() {
            self.driver.poll();
        }
    }

    fn settle(&mut self) {
        self.driver.settle();
    }
}

impl Drop for ChannelService {
    /// What a guest asked for before it hears that the channel goes is answered.
    fn drop(&mut self) {
        if self.port.leaving().is_some() {
            self.port.flush();
            self.drain();
        }
    }
}
