// SPDX-License-Identifier: GPL-2.0 OR MIT

//! VMBus: what a guest or a host may find in messages, packets and rings.
//!
//! The first byte chooses what the others are: one channel message, the messages
//! of a GPADL, one packet, steps of a ring that somebody else writes to, or a host's
//! list of versions of a service.

use std::cell::RefCell;

use protocol::hyperv::shared::Shared;
use protocol::vmbus::gpa::Ranges;
use protocol::vmbus::gpadl::{Assembler, Limits, Progress};
use protocol::vmbus::integration::{self, Refusal};
use protocol::vmbus::message::Message;
use protocol::vmbus::packet::{Header, Kind, Packet};
use protocol::vmbus::ring::control::{self, RingError, DATA};
use protocol::vmbus::ring::{Consumer, Producer, PushError};
use zerocopy::little_endian::U64;

use crate::input::Input;

/// Runs one of these.
///
/// # Panics
///
/// If what was read cannot be written and read again, a list grows beyond its
/// limits, or a ring is used after it was found to be wrong.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.u8() & 7 {
        0 => message(input.0),
        1 => gpadl(&mut input),
        2 => packet(input.0),
        3 => ring(&mut input),
        _ => negotiation(&mut input),
    }
}

/// What a guest's services speak.
const SPOKEN: [u32; 3] = [0x3_0000, 0x1_0000, 0x4_0001];

/// A host's list of versions, and the answer in its place.
fn negotiation(input: &mut Input<'_>) {
    let (frameworks, services) = (input.u8() & 3, input.u8() & 3);
    let frameworks = &SPOKEN[..usize::from(frameworks)];
    let services = &SPOKEN[..usize::from(services)];
    let before = input.0.to_vec();
    let mut packet = before.clone();
    let result = integration::answer(&mut packet, frameworks, services);
    assert_eq!(packet.len(), before.len());
    // Nothing is written but two counts, and two versions.
    let from = integration::HEADER_SIZE.min(before.len());
    assert_eq!(packet[..from], before[..from], "the headers");
    let end = (from + 16).min(before.len());
    assert_eq!(packet[end..], before[end..], "what is behind the answer");
    match result {
        Ok(agreed) => {
            assert!(frameworks.contains(&agreed.framework.to_u32()));
            assert!(services.contains(&agreed.service.to_u32()));
            // It is an answer that the guest itself would understand.
            let again = integration::answer(&mut packet, frameworks, services);
            assert_eq!(again, Ok(agreed));
        }
        Err(Refusal::Short { .. }) => assert_eq!(packet, before),
        Err(_) => assert_eq!(packet[from..from + 4], [0; 4]),
    }
}

fn message(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(240)];
    if let Ok(message) = Message::parse(bytes) {
        let encoded = message.encode().expect("no longer than it was");
        assert_eq!(Message::parse(encoded.as_slice()), Ok(message));
    }
}

/// Each message is a length and that many bytes.
fn gpadl(input: &mut Input<'_>) {
    let limits = Limits {
        pages: 64,
        ranges: 4,
    };
    let mut state: Option<(Assembler, u32)> = None;
    let mut list: Vec<U64> = Vec::new();
    while !input.is_empty() {
        let len = usize::from(input.u8()).min(240);
        let (result, words) = match (Message::parse(input.take(len)), &mut state) {
            (Ok(Message::GpadlHeader(header, words)), None) => {
                let result = Assembler::begin(header, words, limits);
                let count = u32::from(header.range_count.get());
                let progress = result.map(|(assembler, progress)| {
                    state = Some((assembler, count));
                    progress
                });
                (progress, words)
            }
            (Ok(Message::GpadlBody(body, words)), Some((assembler, _))) => {
                (assembler.proceed(body, words), words)
            }
            _ => continue,
        };
        let Ok(progress) = result else { return };
        list.extend(words);
        assert!(list.len() <= 64 + 4);
        if progress == Progress::Complete {
            return complete(&list, state.map_or(0, |(_, count)| count));
        }
    }
}

fn complete(list: &[U64], count: u32) {
    let ranges = Ranges::new(list, count).expect("found in order");
    assert_eq!(ranges.words().len(), list.len());
    let bytes: u64 = ranges
        .flat_map(|range| range.segments())
        .map(|segment| u64::from(segment.len))
        .sum();
    assert_eq!(bytes, ranges.total());
}

fn packet(bytes: &[u8]) {
    if let Ok(packet) = Packet::parse(bytes) {
        let mut again = vec![0; bytes.len()];
        let len = packet.encode(&mut again).expect("no longer than it was");
        assert_eq!(Packet::parse(&again[..len]), Ok(packet));
    }
}

/// Bytes of data of a ring.
const SIZE: u32 = 256;
/// Most packets that are in it.
const PACKETS: u32 = SIZE / 24;

/// Memory that another thread might write, but does not.
struct Memory(RefCell<Vec<u8>>);

impl Shared for Memory {
    fn size(&self) -> u32 {
        DATA + SIZE
    }

    fn load(&self, offset: u32) -> u32 {
        let mut bytes = [0; 4];
        self.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn load_acquire(&self, offset: u32) -> u32 {
        self.load(offset)
    }

    fn store(&self, offset: u32, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }

    fn store_release(&self, offset: u32, value: u32) {
        self.store(offset, value);
    }

    fn fence(&self) {}

    fn read(&self, offset: u32, into: &mut [u8]) {
        let start = offset as usize;
        into.copy_from_slice(&self.0.borrow()[start..start + into.len()]);
    }

    fn write(&self, offset: u32, from: &[u8]) {
        let start = offset as usize;
        self.0.borrow_mut()[start..start + from.len()].copy_from_slice(from);
    }
}

/// Each step is a byte and what it needs.
fn ring(input: &mut Input<'_>) {
    let memory = Memory(RefCell::new(vec![0; (DATA + SIZE) as usize]));
    control::format(&memory);
    let mut producer = Producer::new(&memory).expect("an empty ring");
    let mut consumer = Consumer::new(&memory).expect("an empty ring");
    while !input.is_empty() {
        match input.u8() & 7 {
            0 => memory.store(u32::from(input.u8() & 3) * 4, input.u32()),
            1 => {
                let bytes = input.take(8);
                memory.write(DATA + u32::from(input.u8() & !7), bytes);
            }
            2 => {
                let index = u32::from(input.u8());
                memory.store(control::WRITE_INDEX, index);
            }
            3 => drain(&mut consumer),
            4 => check(consumer.release().err(), || consumer.release().err()),
            5 => check(consumer.unmask().err(), || consumer.available().err()),
            6 => send(&mut producer, input),
            _ => {
                let needed = u32::from(input.u8());
                check(producer.wait_for(needed).err(), || producer.free().err());
            }
        }
    }
}

/// A ring that was found to be wrong says after that only that it is dead.
fn check(error: Option<RingError>, mut again: impl FnMut() -> Option<RingError>) {
    if error.is_some() {
        assert_eq!(again(), Some(RingError::Dead));
    }
}

fn drain(consumer: &mut Consumer<&Memory>) {
    let mut bytes = [0; SIZE as usize];
    for count in 0.. {
        assert!(count <= PACKETS, "more than there can be");
        match consumer.next() {
            Ok(None) => return,
            Ok(Some(incoming)) => {
                let copy = incoming.copy_all(&mut bytes).expect("within the ring");
                let _ = Packet::parse(copy);
                let mut part = [0; 8];
                let _ = incoming.copy_extension(4, &mut part);
                let _ = incoming.copy_payload(&mut part);
            }
            Err(_) => return check(Some(RingError::Dead), || consumer.available().err()),
        }
    }
}

fn send(producer: &mut Producer<&Memory>, input: &mut Input<'_>) {
    let Ok(mut batch) = producer.begin() else {
        return;
    };
    for _ in 0..input.u8() & 3 {
        let payload = vec![7; usize::from(input.u8())];
        let header = Header::request(Kind::IN_BAND, 1);
        match batch.push(header, &[], &[&payload]) {
            Ok(()) | Err(PushError::Full { .. } | PushError::TooLong) => {}
            Err(PushError::Ring(_)) => break,
        }
    }
    let error = batch.commit().err();
    let index = producer.index();
    assert!(index < SIZE && index % 8 == 0);
    check(error, || producer.free().err());
}
