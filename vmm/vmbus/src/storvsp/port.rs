// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The device's end of an open channel: what is written to the guest, and how many
//! answers are owed.
//!
//! Answers come on whatever thread the target ends a command on, hence the lock.
//! One that finds the ring full waits here, in order, for the guest to make room;
//! the guest signals then, which wakes the channel's thread.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use hospes_device::counters::Counter;
use hospes_device::limit::{warn_limited, RateLimit};
use hospes_device::worker::Kicked;
use protocol::storvsp::{Operation, Packet, TRANSACTION_UNSOLICITED};
use protocol::vmbus::packet::{Header, Kind};
use protocol::vmbus::ring::{control, Consumer, Producer, PushError, RingError, Room, Signal};
use serde::Serialize;
use vmm_sys_util::eventfd::EventFd;
use zerocopy::IntoBytes;

use super::fault::Wrong;
use super::MAX_IN_FLIGHT;
use crate::channel::{Channel, Interrupt};
use crate::memory::Pages;

/// What is kept of a channel whether it is open or not.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) counters: PortCounters,
    /// Or a guest could have one message for each time that it opens the channel.
    pub(super) warnings: RateLimit,
}

/// What is counted of a channel.
#[derive(Debug, Default, Serialize)]
pub(super) struct PortCounters {
    /// Signals of the guest.
    kicks: Counter,
    /// Packets of the guest.
    pub(super) packets: Counter,
    /// Commands among them.
    pub(super) commands: Counter,
    /// Packets for the guest.
    answers: Counter,
    /// Times that the guest was signalled.
    signals: Counter,
    /// Answers that had to wait for room.
    waited: Counter,
}

/// The end of a channel.
pub(super) struct Port {
    kick: Arc<EventFd>,
    interrupt: Arc<Interrupt>,
    state: Mutex<State>,
    idle: Condvar,
    is_ready: AtomicBool,
    leaving: OnceLock<Leaving>,
    /// The ring that the guest writes, for what is wrong with it.
    to_host: Pages,
    pub(super) record: Arc<Record>,
}

/// What is about to be taken from the guest, which has not heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// The channel alone: commands may go by another one.
    Channel,
    /// The device.
    Device,
}

impl Leaving {
    /// What goes with these channels.
    pub(super) fn with(channels: &[u16]) -> Self {
        if channels.contains(&0) {
            Self::Device
        } else {
            Self::Channel
        }
    }
}

struct State {
    /// None once the channel is closed or its ring is dead.
    producer: Option<Producer<Pages>>,
    /// What waits for room.
    backlog: VecDeque<Outgoing>,
    /// Answers that are owed and not there yet.
    in_flight: usize,
}

/// A packet for the guest.
struct Outgoing {
    header: Header,
    packet: Packet,
    /// What is wrong with it.
    wrong: Option<Box<Wrong>>,
}

impl State {
    fn is_busy(&self) -> bool {
        self.in_flight.saturating_add(self.backlog.len()) >= MAX_IN_FLIGHT
    }
}

impl Port {
    /// The end of `channel`, and what the guest writes.
    pub(super) fn new(
        channel: Channel,
        record: Arc<Record>,
    ) -> io::Result<(Arc<Self>, Consumer<Pages>)> {
        if !channel.is_woken() {
            // An answer could wait for room for ever.
            return Err(io::Error::other(
                "the guest does not say when it has made room in a ring",
            ));
        }
        let bad = |error: RingError| io::Error::other(format!("{error:?}"));
        control::announce(&channel.to_guest);
        let producer = Producer::new(channel.to_guest).map_err(bad)?;
        let to_host = channel.to_host.clone();
        let consumer = Consumer::new(channel.to_host).map_err(bad)?;
        let port = Arc::new(Self {
            kick: channel.kick,
            interrupt: channel.interrupt,
            state: Mutex::new(State {
                producer: Some(producer),
                backlog: VecDeque::new(),
                in_flight: 0,
            }),
            idle: Condvar::new(),
            is_ready: AtomicBool::new(false),
            leaving: OnceLock::new(),
            to_host,
            record,
        });
        Ok((port, consumer))
    }

    /// Notes that one more answer is owed.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_add(1);
    }

    /// Whether so many are owed that no further packet is to be taken.
    pub(super) fn is_busy(&self) -> bool {
        self.lock().is_busy()
    }

    /// Gives an answer that was owed.
    pub(super) fn finish(
        self: &Arc<Self>,
        transaction: u64,
        packet: &Packet,
        wrong: Option<Box<Wrong>>,
    ) {
        let mut state = self.lock();
        let was_busy = state.is_busy();
        state.in_flight = state.in_flight.saturating_sub(1);
        let signal = self.reply(&mut state, transaction, packet, wrong);
        if state.in_flight == 0 {
            self.idle.notify_all();
        }
        let is_over = was_busy && !state.is_busy();
        drop(state);
        self.signal(signal);
        if is_over {
            // What was left in the ring. Where answers wait for room, the guest's
            // signal that there is some does the same.
            self.wake();
        }
    }

    /// An answer that was owed is not any more.
    pub(super) fn let_go(&self) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.in_flight == 0 {
            self.idle.notify_all();
        }
    }

    /// Answers a packet there and then.
    pub(super) fn answer(
        self: &Arc<Self>,
        transaction: u64,
        packet: &Packet,
        wrong: Option<Box<Wrong>>,
    ) {
        let signal = self.reply(&mut self.lock(), transaction, packet, wrong);
        self.signal(signal);
    }

    fn reply(
        self: &Arc<Self>,
        state: &mut State,
        transaction: u64,
        packet: &Packet,
        wrong: Option<Box<Wrong>>,
    ) -> Signal {
        match wrong {
            None => self.write(state, Header::completion(transaction), packet, None),
            Some(wrong) => self.reply_wrongly(state, transaction, *packet, wrong),
        }
    }

    #[cold]
    fn reply_wrongly(
        self: &Arc<Self>,
        state: &mut State,
        transaction: u64,
        mut packet: Packet,
        mut wrong: Box<Wrong>,
    ) -> Signal {
        wrong.overwrite(&mut packet);
        for (delay, by) in std::mem::take(&mut wrong.again) {
            let port = self.clone();
            by.after(delay, move || port.answer(transaction, &packet, None));
        }
        for id in std::mem::take(&mut wrong.unknown) {
            // The next one signals.
            let _ = self.write(state, Header::completion(id), &packet, None);
        }
        let header = Header::completion(transaction);
        let more = wrong.more;
        let signal = self.write(state, header, &packet, Some(wrong));
        for _ in 0..more {
            let _ = self.write(state, header, &packet, None);
        }
        signal
    }

    /// Says something to the guest, whether it can hear it or not, unless much waits
    /// to be said.
    pub(super) fn say(&self, packet: &Packet) {
        let header = Header::notice(Kind::IN_BAND, TRANSACTION_UNSOLICITED);
        let mut state = self.lock();
        if state.backlog.len() >= MAX_IN_FLIGHT {
            return;
        }
        let signal = self.write(&mut state, header, packet, None);
        drop(state);
        self.signal(signal);
    }

    /// Says something that the guest did not ask for, once it can hear it. Says
    /// whether it was said.
    pub(super) fn notify(&self, operation: Operation) -> bool {
        if !self.is_ready.load(Ordering::Acquire) {
            return false;
        }
        let header = Header::notice(Kind::IN_BAND, TRANSACTION_UNSOLICITED);
        let mut state = self.lock();
        // One that waits will have the guest look at everything.
        if (state.backlog.iter()).any(|other| other.header == header) {
            return false;
        }
        let signal = self.write(&mut state, header, &Packet::notice(operation), None);
        drop(state);
        self.signal(signal);
        true
    }

    /// The guest is ready for [notices](Self::notify).
    pub(super) fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Release);
    }

    /// Writes what waited for room, as far as there is some.
    pub(super) fn flush(&self) {
        let mut state = self.lock();
        let mut signal = Signal::NotNeeded;
        while let Some(outgoing) = state.backlog.pop_front() {
            match self.push(&mut state, &outgoing) {
                Some(pushed) if pushed.is_needed() => signal = pushed,
                Some(_) => {}
                None => {
                    state.backlog.push_front(outgoing);
                    break;
                }
            }
            if state.backlog.is_empty() {
                if let Some(producer) = &state.producer {
                    producer.stop_waiting();
                }
            }
        }
        drop(state);
        self.signal(signal);
    }

    /// Writes a packet, or has it wait behind those that do.
    fn write(
        &self,
        state: &mut State,
        header: Header,
        packet: &Packet,
        wrong: Option<Box<Wrong>>,
    ) -> Signal {
        if state.producer.is_none() {
            return Signal::NotNeeded;
        }
        let outgoing = Outgoing {
            header,
            packet: *packet,
            wrong,
        };
        if state.backlog.is_empty() {
            if let Some(signal) = self.push(state, &outgoing) {
                return signal;
            }
        }
        self.record.counters.waited.inc();
        state.backlog.push_back(outgoing);
        Signal::NotNeeded
    }

    /// Writes a packet; `None` if it has to wait.
    fn push(&self, state: &mut State, outgoing: &Outgoing) -> Option<Signal> {
        let Some(producer) = &mut state.producer else {
            return Some(Signal::NotNeeded);
        };
        loop {
            let needed = match outgoing.send(producer, &self.to_host) {
                Ok(signal) => {
                    self.record.counters.answers.inc();
                    return Some(signal);
                }
                Err(PushError::Full { needed }) => needed,
                Err(error) => {
                    warn_limited!(
                        self.record.warnings,
                        "the ring to the guest is dead: {error:?}"
                    );
                    state.producer = None;
                    state.backlog.clear();
                    return Some(Signal::NotNeeded);
                }
            };
            match producer.wait_for(needed) {
                // The guest has made room meanwhile, as often as it likes: each
                // time there is more than before.
                Ok(Room::Now) => {}
                Ok(Room::Later) => return None,
                Err(error) => {
                    warn_limited!(
                        self.record.warnings,
                        "the ring to the guest is dead: {error:?}"
                    );
                    state.producer = None;
                    state.backlog.clear();
                    return Some(Signal::NotNeeded);
                }
            }
        }
    }

    /// Signals the guest if that is needed.
    pub(super) fn signal(&self, signal: Signal) {
        if signal.is_needed() {
            self.record.counters.signals.inc();
            self.interrupt.raise();
        }
    }

    /// From now on commands end at once, as befits what is to be taken away.
    pub(super) fn leave(&self, what: Leaving) {
        let _ = self.leaving.set(what);
    }

    /// What is to be taken away, if anything is.
    pub(super) fn leaving(&self) -> Option<Leaving> {
        self.leaving.get().copied()
    }

    /// Writes what there is room for, and nothing more.
    pub(super) fn end(&self) {
        self.flush();
        self.close();
    }

    /// Writes nothing more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.producer = None;
        state.backlog.clear();
    }

    /// How many answers are owed.
    #[cfg(feature = "fuzzing")]
    pub(super) fn owed(&self) -> usize {
        self.lock().in_flight
    }

    /// Waits until no answer is owed any more.
    pub(super) fn wait_idle(&self) {
        let mut state = self.lock();
        while state.in_flight > 0 {
            state = (self.idle.wait(state)).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wake(&self) {
        // Only a counter that is about to overflow says no, and then the thread is
        // going to wake up anyway.
        let _ = self.kick.write(1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outgoing {
    fn send(&self, producer: &mut Producer<Pages>, to_host: &Pages) -> Result<Signal, PushError> {
        if let Some(wrong) = &self.wrong {
            match wrong.send(producer, to_host, self.header, &self.packet) {
                // It is too large for the ring.
                Err(PushError::TooLong) => {}
                result => return result,
            }
        }
        producer.send(self.header, &[], &[self.packet.as_bytes()])
    }
}

impl Kicked for Port {
    fn kick(&self) -> &EventFd {
        &self.kick
    }

    fn kicked(&self) {
        self.record.counters.kicks.inc();
    }
}
