// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The slot in order, and in every order that two processors can have.

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Mutex};
use std::vec::Vec;

use super::*;
use crate::hyperv::message::KIND_CHANNEL;
use crate::hyperv::shared::Shared;
use crate::hyperv::testing::{self, Atom, TestMemory};
use crate::hyperv::VMBUS_SINT;

fn message(value: u8) -> Message {
    Message::new(KIND_CHANNEL, 1, &[value; 4]).unwrap()
}

/// A page of which only the head of one slot exists.
fn page<A: Atom>() -> TestMemory<A> {
    TestMemory::new(4096, &[(u32::from(VMBUS_SINT) * SLOT_SIZE, 5)])
}

#[test]
fn one_message_after_the_other() {
    let slot = Slot::new(page::<testing::Std>(), VMBUS_SINT).unwrap();
    assert_eq!(slot.peek(), Ok(None));
    assert_eq!(slot.post(&message(1), true), Posted::Delivered);
    assert_eq!(slot.post(&message(2), true), Posted::Busy);
    assert_eq!(slot.peek(), Ok(Some(message(1))));
    assert_eq!(slot.release(KIND_CHANNEL), Released::EndOfMessage);
    assert_eq!(slot.post(&message(2), true), Posted::Delivered);
    assert_eq!(slot.release(77), Released::Changed);
    assert_eq!(slot.peek(), Ok(Some(message(2))));
    assert_eq!(slot.release(KIND_CHANNEL), Released::Done);
}

#[test]
fn a_message_that_is_not_the_last_asks_for_eom() {
    let slot = Slot::new(page::<testing::Std>(), VMBUS_SINT).unwrap();
    assert_eq!(slot.post(&message(1), false), Posted::Delivered);
    assert_eq!(slot.release(KIND_CHANNEL), Released::EndOfMessage);
}

#[test]
fn an_impossible_length_is_an_error() {
    let memory = page::<testing::Std>();
    let base = u32::from(VMBUS_SINT) * SLOT_SIZE;
    memory.store(base + SIZE_AND_FLAGS, 241);
    memory.store(base, KIND_CHANNEL);
    let slot = Slot::new(&memory, VMBUS_SINT).unwrap();
    let error = TooLong { kind: 1, size: 241 };
    assert_eq!(slot.peek(), Err(error));
    assert_eq!(slot.release(error.kind), Released::Done);
}

#[test]
fn there_are_sixteen_slots() {
    assert!(Slot::new(page::<testing::Std>(), 15).is_some());
    assert!(Slot::new(page::<testing::Std>(), 16).is_none());
    let short = TestMemory::<testing::Std>::new(512, &[]);
    assert!(Slot::new(&short, 1).is_some());
    assert!(Slot::new(&short, 2).is_none());
}

/// Host and guest with the wires between them: interrupts and writes of the EOM register.
///
/// Each is counted by one side only, and how far the other has got is that one's
/// own: loom has no order among stores of several threads to one word.
struct Machine {
    slot: Slot<TestMemory<testing::Loom>>,
    interrupts: AtomicU32,
    ends_of_message: AtomicU32,
    received: Mutex<Vec<u8>>,
}

struct Host {
    /// The first message is the last here.
    queue: Vec<u8>,
    seen: u32,
}

struct Guest {
    seen: u32,
}

impl Host {
    /// Posts until the slot is occupied.
    fn post(&mut self, machine: &Machine) {
        while let Some(next) = self.queue.last() {
            let is_last = self.queue.len() == 1;
            if machine.slot.post(&message(*next), is_last) == Posted::Busy {
                return;
            }
            self.queue.pop();
            machine.interrupts.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Posts if the guest has asked for it.
    fn run(&mut self, machine: &Machine) -> bool {
        let count = machine.ends_of_message.load(Ordering::SeqCst);
        let asked = core::mem::replace(&mut self.seen, count) != count;
        if asked {
            self.post(machine);
        }
        asked
    }
}

impl Guest {
    /// What one interrupt makes it do.
    fn run(&mut self, machine: &Machine) -> bool {
        let count = machine.interrupts.load(Ordering::SeqCst);
        let interrupted = core::mem::replace(&mut self.seen, count) != count;
        if interrupted {
            self.handle(machine);
        }
        interrupted
    }

    fn handle(&self, machine: &Machine) {
        let Some(message) = machine.slot.peek().unwrap() else {
            return;
        };
        assert_eq!(message.payload(), [message.payload()[0]; 4]);
        machine.received.lock().unwrap().push(message.payload()[0]);
        if machine.slot.release(message.kind()) == Released::EndOfMessage {
            machine.ends_of_message.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Whatever the order, all messages arrive, each once: no EOM is missing.
#[test]
fn no_message_is_left_behind() {
    loom::model(|| {
        let machine = Arc::new(Machine {
            slot: Slot::new(page(), VMBUS_SINT).unwrap(),
            interrupts: AtomicU32::new(0),
            ends_of_message: AtomicU32::new(0),
            received: Mutex::new(Vec::new()),
        });
        let mut host = Host {
            queue: [1].to_vec(),
            seen: 0,
        };
        host.post(&machine);
        // What comes later finds the slot occupied, or about to be emptied.
        host.queue = [3, 2].to_vec();
        let guest = {
            let machine = Arc::clone(&machine);
            loom::thread::spawn(move || {
                let guest = Guest { seen: 0 };
                // It polls, as a dying kernel does: no interrupt orders what it sees.
                guest.handle(&machine);
                guest.handle(&machine);
                guest
            })
        };
        host.post(&machine);
        let mut guest = guest.join().unwrap();
        while host.run(&machine) || guest.run(&machine) {}
        assert_eq!(*machine.received.lock().unwrap(), [1, 2, 3]);
    });
}
