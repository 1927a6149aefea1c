// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The ring in one thread: against a queue, and against a peer that lies.

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec::Vec;

use super::control::{self, DATA, READ_INDEX, WRITE_INDEX};
use super::*;
use crate::hyperv::shared::Shared;
use crate::hyperv::testing::{Std, TestMemory};
use crate::vmbus::packet::{Header, Kind, Packet};

/// A ring with that many bytes of data.
fn ring(data: u32) -> TestMemory<Std> {
    let memory = TestMemory::new(DATA + data, &[(0, 17), (DATA, data as usize / 4)]);
    control::format(&memory);
    memory
}

fn header(id: u64) -> Header {
    Header::request(Kind::IN_BAND, id)
}

/// Takes one packet: its id and its payload.
fn take<M: Shared>(consumer: &mut Consumer<M>) -> Option<(u64, Vec<u8>)> {
    let incoming = consumer.next().unwrap()?;
    let mut bytes = [0; 1024];
    let packet = Packet::parse(incoming.copy_all(&mut bytes).unwrap()).unwrap();
    let mut payload = std::vec![0; packet.payload.len() + 1];
    assert_eq!(incoming.copy_payload(&mut payload), packet.payload.len());
    payload.pop();
    assert_eq!(payload, packet.payload);
    Some((packet.transaction_id, payload))
}

#[test]
fn sizes_are_those_of_linux() {
    assert_eq!(control::memory_size(4096), Some(8192));
    assert_eq!(control::memory_size(32 * 1024 - 1), Some(36 * 1024));
    assert_eq!(control::memory_size(32 * 1024), Some(32 * 1024));
    assert_eq!(control::memory_size(128 * 1024), Some(128 * 1024));
    assert_eq!(control::memory_size(u32::MAX), None);
    for size in [0, DATA, DATA + 31, DATA + 33, u32::MAX] {
        let memory = TestMemory::<Std>::new(size, &[]);
        assert_eq!(
            Producer::new(&memory).unwrap_err(),
            RingError::Size { size }
        );
    }
}

#[test]
fn only_the_first_packet_is_signalled() {
    let memory = ring(256);
    let mut producer = Producer::new(&memory).unwrap();
    let mut consumer = Consumer::new(&memory).unwrap();
    assert_eq!(producer.send(header(1), &[], &[]), Ok(Signal::Needed));
    assert_eq!(producer.send(header(2), &[], &[]), Ok(Signal::NotNeeded));
    consumer.mask();
    assert_eq!(take(&mut consumer), Some((1, [].to_vec())));
    assert_eq!(take(&mut consumer), Some((2, [].to_vec())));
    assert_eq!(consumer.release(), Ok(Signal::NotNeeded));
    assert_eq!(producer.send(header(3), &[], &[]), Ok(Signal::NotNeeded));
    assert_eq!(consumer.unmask(), Ok(true));
    assert_eq!(take(&mut consumer), Some((3, [].to_vec())));
    assert_eq!(consumer.release(), Ok(Signal::NotNeeded));
    assert_eq!(consumer.unmask(), Ok(false));
    assert_eq!(producer.send(header(4), &[], &[]), Ok(Signal::Needed));
}

#[test]
fn a_batch_is_one_index() {
    let memory = ring(256);
    let mut producer = Producer::new(&memory).unwrap();
    let mut consumer = Consumer::new(&memory).unwrap();
    let mut batch = producer.begin().unwrap();
    batch.push(header(1), &[], &[b"abc", b"defgh"]).unwrap();
    batch.push(header(2), &[&[7; 8]], &[b"x"]).unwrap();
    assert!(consumer.next().unwrap().is_none());
    assert_eq!(batch.commit(), Ok(Signal::Needed));
    assert_eq!(take(&mut consumer), Some((1, b"abcdefgh".to_vec())));
    let incoming = consumer.next().unwrap().unwrap();
    let mut extension = [0; 9];
    assert_eq!(incoming.copy_extension(3, &mut extension), 5);
    assert_eq!(extension, [7, 7, 7, 7, 7, 0, 0, 0, 0]);
    // Each packet is followed by the index that it began at.
    let mut trailer = [0; 16];
    memory.read(DATA + 24, &mut trailer[..8]);
    memory.read(DATA + 32 + 32, &mut trailer[8..]);
    assert_eq!(trailer, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0]);
    // What is not committed never was.
    drop(producer.begin().unwrap());
    assert_eq!(producer.begin().unwrap().commit(), Ok(Signal::NotNeeded));
}

#[test]
fn a_full_ring_is_waited_for() {
    let memory = ring(64);
    let mut producer = Producer::new(&memory).unwrap();
    let mut consumer = Consumer::new(&memory).unwrap();
    assert_eq!(producer.send(header(1), &[], &[]), Ok(Signal::Needed));
    assert_eq!(producer.send(header(2), &[], &[]), Ok(Signal::NotNeeded));
    // Sixteen bytes are left. Exactly full would be taken for empty.
    let error = PushError::Full { needed: 24 };
    assert_eq!(producer.send(header(3), &[], &[]), Err(error));
    let never = producer.send(header(3), &[], &[&[0; 40]]);
    assert_eq!(never, Err(PushError::TooLong));
    assert_eq!(producer.wait_for(24), Ok(Room::Later));
    assert!(take(&mut consumer).is_some());
    assert_eq!(consumer.release(), Ok(Signal::Needed));
    assert!(take(&mut consumer).is_some());
    assert_eq!(consumer.release(), Ok(Signal::NotNeeded));
    assert_eq!(producer.wait_for(24), Ok(Room::Now));
    assert_eq!(memory.load(control::PENDING_SEND_SIZE), 0);
    assert_eq!(producer.send(header(3), &[], &[]), Ok(Signal::Needed));
}

#[test]
fn without_the_feature_nobody_is_woken() {
    let memory = ring(64);
    memory.store(control::FEATURES, 0);
    assert!(!control::is_woken(&memory));
    let mut producer = Producer::new(&memory).unwrap();
    let mut consumer = Consumer::new(&memory).unwrap();
    while producer.send(header(1), &[], &[]).is_ok() {}
    assert_eq!(producer.wait_for(24), Ok(Room::Later));
    while take(&mut consumer).is_some() {}
    assert_eq!(consumer.release(), Ok(Signal::NotNeeded));
    assert_eq!(producer.wait_for(24), Ok(Room::Now));
}

#[test]
fn a_wrong_index_is_said_once() {
    let memory = ring(256);
    let mut producer = Producer::new(&memory).unwrap();
    let mut consumer = Consumer::new(&memory).unwrap();
    for index in [256, 4, u32::MAX] {
        memory.store(READ_INDEX, index);
        let error = RingError::ReadIndex { index, size: 256 };
        assert_eq!(Producer::new(&memory).unwrap_err(), error);
        memory.store(READ_INDEX, 0);
        memory.store(WRITE_INDEX, index);
        let error = RingError::WriteIndex { index, size: 256 };
        assert_eq!(Consumer::new(&memory).unwrap_err(), error);
    }
    assert!(matches!(consumer.next(), Err(RingError::WriteIndex { .. })));
    assert!(matches!(consumer.next(), Err(RingError::Dead)));
    assert_eq!(consumer.unmask(), Err(RingError::Dead));
    assert_eq!(consumer.release(), Err(RingError::Dead));
    memory.store(READ_INDEX, 300);
    let error = RingError::ReadIndex {
        index: 300,
        size: 256,
    };
    assert_eq!(
        producer.send(header(1), &[], &[]),
        Err(PushError::Ring(error))
    );
    assert_eq!(producer.free(), Err(RingError::Dead));
    assert_eq!(producer.begin().unwrap_err(), RingError::Dead);
}

#[test]
fn what_was_not_released_is_not_written() {
    let memory = ring(256);
    let mut producer = Producer::new(&memory).unwrap();
    let mut consumer = Consumer::new(&memory).unwrap();
    for id in 1..=4 {
        let _ = producer.send(header(id), &[], &[]).unwrap();
    }
    while take(&mut consumer).is_some() {}
    for index in [0, 24, 88] {
        let mut consumer = Consumer::new(&memory).unwrap();
        while take(&mut consumer).is_some() {}
        memory.store(WRITE_INDEX, index);
        let error = RingError::WriteIndex { index, size: 256 };
        assert_eq!(consumer.available(), Err(error));
        memory.store(WRITE_INDEX, 96);
    }
    // Up to where it began is as far as a producer may get.
    memory.store(WRITE_INDEX, 248);
    assert_eq!(consumer.available(), Ok(248 - 96));
}

#[test]
fn a_wrong_packet_is_said_once() {
    for (offset8, len8, end) in [
        (2, 3, 16),
        (2, 2, 16),
        (2, 31, 256 - 8),
        (1, 2, 24),
        (3, 2, 24),
        (2, 2, 8),
    ] {
        let memory = ring(256);
        let mut consumer = Consumer::new(&memory).unwrap();
        memory.store(DATA, (offset8 << 16) | 6);
        memory.store(DATA + 4, len8);
        memory.store(WRITE_INDEX, end);
        let error = consumer.next().unwrap_err();
        assert!(matches!(error, RingError::Packet { available, .. } if available == end));
        assert!(matches!(consumer.next(), Err(RingError::Dead)));
    }
}

/// What is done to a ring.
#[derive(Clone, Debug)]
enum Step {
    /// Packets in one batch, by the lengths of their payloads.
    Send(Vec<usize>),
    /// That many packets at most.
    Take(usize),
    Release,
    Mask,
    Unmask,
    WaitFor(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => vec(0_usize..150, 1..4).prop_map(Step::Send),
        4 => (1_usize..6).prop_map(Step::Take),
        3 => Just(Step::Release),
        1 => Just(Step::Mask),
        1 => Just(Step::Unmask),
        1 => (0_usize..150).prop_map(Step::WaitFor),
        1 => Just(Step::Restart),
    ]
}

/// What a ring should be: what is in it, and who has to be told.
#[derive(Default)]
struct Model {
    sent: u64,
    visible: VecDeque<(u64, Vec<u8>)>,
    used: u32,
    unreleased: u32,
    masked: bool,
}

fn entry(len: usize) -> u32 {
    u32::try_from(len.next_multiple_of(8) + 24).unwrap()
}

fn payload(id: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| (id as usize * 7 + at) as u8).collect()
}

impl Model {
    fn send(&mut self, producer: &mut Producer<&TestMemory<Std>>, size: u32, lens: &[usize]) {
        let was_empty = self.used == 0;
        let mut count = 0;
        let mut batch = producer.begin().unwrap();
        for len in lens {
            let (id, needed) = (self.sent, entry(*len));
            let data = payload(id, *len);
            let (left, right) = data.split_at(len / 3);
            let result = batch.push(header(id), &[], &[left, right]);
            if needed >= size {
                assert_eq!(result, Err(PushError::TooLong));
            } else if size - self.used <= needed {
                assert_eq!(result, Err(PushError::Full { needed }));
            } else {
                assert_eq!(result, Ok(()));
                self.sent += 1;
                self.used += needed;
                count += 1;
                let mut padded = data.clone();
                padded.resize(len.next_multiple_of(8), 0);
                self.visible.push_back((id, padded));
            }
        }
        let needed = was_empty && count > 0 && !self.masked;
        assert_eq!(batch.commit().unwrap().is_needed(), needed);
    }

    fn take(&mut self, consumer: &mut Consumer<&TestMemory<Std>>, most: usize) {
        for _ in 0..most {
            let expected = self.visible.pop_front();
            assert_eq!(take(consumer), expected);
            let Some((_, payload)) = expected else { return };
            self.unreleased += entry(payload.len());
        }
    }
}

proptest! {
    /// A ring is a queue with a size, whatever is done to it in which order.
    #[test]
    fn a_ring_is_a_queue(units in 4_u32..60, steps in vec(step(), 1..80)) {
        let size = units * 8;
        let memory = ring(size);
        let mut producer = Producer::new(&memory).unwrap();
        let mut consumer = Consumer::new(&memory).unwrap();
        let mut model = Model::default();
        let mut waits_for = 0;
        for step in steps {
            match step {
                Step::Send(lens) => model.send(&mut producer, size, &lens),
                Step::Take(most) => model.take(&mut consumer, most),
                Step::Release => {
                    let before = size - model.used;
                    model.used -= core::mem::take(&mut model.unreleased);
                    let after = size - model.used;
                    let needed = waits_for != 0 && before <= waits_for && after > waits_for;
                    prop_assert_eq!(consumer.release().unwrap().is_needed(), needed);
                }
                Step::Mask => {
                    consumer.mask();
                    model.masked = true;
                }
                Step::Unmask => {
                    prop_assert_eq!(consumer.unmask().unwrap(), !model.visible.is_empty());
                    model.masked = false;
                }
                Step::WaitFor(len) => {
                    let has_room = size - model.used > entry(len);
                    let room = producer.wait_for(entry(len)).unwrap();
                    prop_assert_eq!(room == Room::Now, has_room);
                    waits_for = if has_room { 0 } else { entry(len) };
                }
                Step::Restart => {
                    // Indices are all there is to know, once what was taken is released.
                    if model.unreleased == 0 {
                        producer = Producer::new(&memory).unwrap();
                        consumer = Consumer::new(&memory).unwrap();
                    }
                }
            }
            prop_assert_eq!(producer.free().unwrap(), size - model.used);
        }
    }

    /// A peer may write anything: no panic, no endless loop, nothing outside of the ring.
    #[test]
    fn any_memory_is_a_ring_or_not(
        data in vec(any::<u8>(), 256), indices: [u8; 2], len8 in 0_u16..40,
    ) {
        let memory = ring(256);
        memory.write(DATA, &data);
        let read = u32::from(indices[0] & !7);
        memory.write(DATA + read, &[6, 0, 2, 0]);
        memory.write(DATA + read + 4, &len8.to_le_bytes());
        memory.store(READ_INDEX, read);
        memory.store(WRITE_INDEX, u32::from(indices[1]));
        let Ok(mut consumer) = Consumer::new(&memory) else { return Ok(()) };
        let mut packets = 0;
        while let Ok(Some(incoming)) = consumer.next() {
            let mut bytes = [0; 256];
            let _ = Packet::parse(incoming.copy_all(&mut bytes).unwrap());
            packets += 1;
        }
        prop_assert!(packets <= 256 / 24);
        let _ = consumer.release();
    }
}
