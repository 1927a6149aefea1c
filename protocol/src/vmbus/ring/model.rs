// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The ring in two threads, in every order that loom can think of.
//!
//! Each model ends with both sides asleep and states who must not be: a consumer
//! whose ring is not empty, or a producer that has room, without a signal on its
//! way. All packets have to be whole, too, in case an index were visible before
//! the data.
//!
//! What these models do not show: loom has no loads that see what is stored
//! later. That space is not used again before it was read rests on the order of
//! the read index, a release and an acquire, by argument alone.

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::Arc;
use loom::thread;

use super::control::{
    DATA, FEATURES, FEATURE_PENDING_SEND_SIZE, INTERRUPT_MASK, PENDING_SEND_SIZE,
};
use super::*;
use crate::hyperv::shared::Shared;
use crate::hyperv::testing::{Loom, TestMemory};
use crate::vmbus::packet::{Header, Kind};

/// Bytes of an entry without a payload.
const ENTRY: u32 = 24;

struct Channel {
    memory: TestMemory<Loom>,
    /// Number of signals so far. Only one side counts: loom has no order of its own
    /// among stores of several threads to one word.
    to_consumer: AtomicU32,
    to_producer: AtomicU32,
}

impl Channel {
    fn new(data: u32) -> Arc<Self> {
        let areas = [(0, 4), (FEATURES, 1), (DATA, data as usize / 4)];
        let memory = TestMemory::new(DATA + data, &areas);
        memory.store(FEATURES, FEATURE_PENDING_SEND_SIZE);
        Arc::new(Self {
            memory,
            to_consumer: AtomicU32::new(0),
            to_producer: AtomicU32::new(0),
        })
    }

    fn producer(&self) -> Producer<&TestMemory<Loom>> {
        Producer::new(&self.memory).unwrap()
    }

    fn consumer(&self) -> Consumer<&TestMemory<Loom>> {
        Consumer::new(&self.memory).unwrap()
    }

    /// Sends packets with these ids. Returns what is left when the ring is full.
    fn send(&self, producer: &mut Producer<&TestMemory<Loom>>, ids: core::ops::Range<u64>) -> u64 {
        for id in ids.clone() {
            match producer.send(Header::notice(Kind::IN_BAND, id), &[], &[]) {
                Ok(signal) if signal.is_needed() => signal_to(&self.to_consumer),
                Ok(_) => {}
                Err(PushError::Full { .. }) => return ids.end - id,
                Err(error) => panic!("{error:?}"),
            }
        }
        0
    }

    /// Takes what there is, each packet the one after `last`. Returns the last.
    fn drain(&self, consumer: &mut Consumer<&TestMemory<Loom>>, mut last: u64) -> u64 {
        while let Some(incoming) = consumer.next().unwrap() {
            let descriptor = incoming.descriptor();
            assert_eq!(descriptor.kind.get(), Kind::IN_BAND.0);
            assert_eq!(descriptor.transaction_id.get(), last + 1);
            last += 1;
        }
        if consumer.release().unwrap().is_needed() {
            signal_to(&self.to_producer);
        }
        last
    }
}

fn signal_to(side: &AtomicU32) {
    side.fetch_add(1, Ordering::SeqCst);
}

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // More switches than these find nothing else here and take minutes.
    builder.preemption_bound = Some(3);
    builder.check(check);
}

/// What a consumer does about one signal. Returns the last packet and whether it is still awake.
fn handle(
    channel: &Channel,
    consumer: &mut Consumer<&TestMemory<Loom>>,
    masks: bool,
) -> (u64, bool) {
    let mut last = 0;
    // At most twice, so that loom comes to an end.
    for _ in 0..2 {
        if masks {
            consumer.mask();
        }
        last = channel.drain(consumer, last);
        if !consumer.unmask().unwrap() {
            return (last, false);
        }
    }
    (last, true)
}

fn no_packet_is_left_behind(masks: bool) {
    model(move || {
        let channel = Channel::new(128);
        let host = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                let mut producer = channel.producer();
                assert_eq!(channel.send(&mut producer, 1..3), 0);
            })
        };
        let mut consumer = channel.consumer();
        let mut state = (0, false);
        let seen = channel.to_consumer.load(Ordering::SeqCst);
        if seen != 0 {
            state = handle(&channel, &mut consumer, masks);
        }
        host.join().unwrap();
        assert_eq!(channel.memory.load(INTERRUPT_MASK), 0);
        let (last, is_awake) = state;
        let is_signalled = channel.to_consumer.load(Ordering::SeqCst) > seen;
        let is_empty = consumer.available().unwrap() == 0;
        assert!(is_empty || is_signalled || is_awake, "asleep after {last}");
    });
}

/// A consumer that masks, drains and unmasks is never left asleep with packets.
#[test]
fn no_packet_is_left_behind_when_signals_are_masked() {
    no_packet_is_left_behind(true);
}

/// Neither is one that does not mask.
#[test]
fn no_packet_is_left_behind_when_signals_are_not_masked() {
    no_packet_is_left_behind(false);
}

/// A producer that waits for room is woken when there is some.
#[test]
fn no_producer_is_left_waiting_for_room() {
    model(|| {
        // Room for two entries, one of which is there.
        let channel = Channel::new(2 * ENTRY + 8);
        assert_eq!(channel.send(&mut channel.producer(), 1..2), 0);
        let guest = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                let mut consumer = channel.consumer();
                let last = channel.drain(&mut consumer, 0);
                channel.drain(&mut consumer, last)
            })
        };
        let mut producer = channel.producer();
        let left = channel.send(&mut producer, 2..4);
        let asleep = left != 0 && producer.wait_for(ENTRY).unwrap() == Room::Later;
        guest.join().unwrap();
        let has_room = producer.free().unwrap() > ENTRY;
        let is_signalled = channel.to_producer.load(Ordering::SeqCst) != 0;
        assert!(!asleep || !has_room || is_signalled);
        let pending = channel.memory.load(PENDING_SEND_SIZE);
        assert_eq!(pending != 0, asleep);
    });
}
