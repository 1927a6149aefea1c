// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::EFD_NONBLOCK;

use super::*;
use crate::notify::{DRIVER_OK, NEEDS_RESET};
use crate::testing::{self, GuestQueue, Interrupts, INDIRECT, NEXT, WRITE};

const SIZE: u16 = 8;
const VECTOR: u16 = 1;
const BASE: u64 = 0x1000;
const BUFFER: u64 = 0x8000;
const TABLE: u64 = 0x4000;

struct Rig {
    memory: GuestMemory,
    guest: GuestQueue,
    queue: Arc<VirtQueue>,
    interrupts: Arc<Interrupts>,
    state: Arc<DeviceState>,
}

fn rig(event_idx: bool) -> Rig {
    let memory = testing::memory();
    let guest = GuestQueue::new(&memory, BASE, SIZE);
    let interrupts = Interrupts::new();
    let state = DeviceState::new(interrupts.clone());
    state.add_status(DRIVER_OK);
    let parts = QueueParts {
        index: 0,
        memory: memory.clone(),
        kick: Arc::new(EventFd::new(EFD_NONBLOCK).unwrap()),
        vector: VECTOR,
        state: state.clone(),
        counters: Arc::default(),
        warnings: Arc::default(),
    };
    let queue = VirtQueue::new(&guest.setup(event_idx), parts).unwrap();
    Rig {
        memory,
        guest,
        queue,
        interrupts,
        state,
    }
}

impl Rig {
    /// The fault in the chain that starts at descriptor 0.
    fn fault(&mut self) -> Option<ChainFault> {
        self.guest.offer(0);
        let chain = self.queue.pop().unwrap();
        let fault = chain.buffers().fault;
        chain.complete(0);
        assert_eq!(self.guest.take_used(), [(0, 0)]);
        fault
    }

    fn broken(&self) -> bool {
        self.state.status() & NEEDS_RESET != 0
    }
}

#[test]
fn a_chain_comes_back_with_what_was_written() {
    let mut rig = rig(true);
    rig.guest
        .describe_chain(2, &[(BUFFER, 16, 0), (BUFFER + 64, 8, WRITE)]);
    rig.guest.offer(2);
    let chain = rig.queue.pop().unwrap();
    assert_eq!(chain.buffers().readable.len(), 16);
    assert_eq!(chain.buffers().writable.len(), 8);
    assert_eq!(chain.buffers().fault, None);
    chain.complete(5);
    assert_eq!(rig.guest.take_used(), [(2, 5)]);
    assert_eq!(rig.interrupts.count(VECTOR), 1);
    assert!(rig.queue.pop().is_none());
}

#[test]
fn a_dropped_chain_comes_back_too() {
    let mut rig = rig(true);
    rig.guest.describe_chain(0, &[(BUFFER, 16, 0)]);
    rig.guest.offer(0);
    drop(rig.queue.pop());
    assert_eq!(rig.guest.take_used(), [(0, 0)]);
}

#[test]
fn the_queue_is_idle_only_after_what_follows_a_chain() {
    let mut rig = rig(true);
    rig.guest.describe_chain(0, &[(BUFFER, 16, 0)]);
    rig.guest.offer(0);
    let chain = rig.queue.pop().unwrap();
    chain.complete_then(0, |queue| {
        assert_eq!(queue.in_flight(), 1);
        queue.put_raw(7, 0);
    });
    assert_eq!(rig.queue.in_flight(), 0);
    assert_eq!(rig.guest.take_used(), [(0, 0), (7, 0)]);
}

#[test]
fn indirect_chains_may_be_longer_than_the_queue() {
    let mut rig = rig(true);
    let buffers: Vec<_> = (0..20).map(|i| (BUFFER + i * 64, 64, WRITE)).collect();
    testing::describe_chain(&rig.memory, TABLE, 0, &buffers);
    rig.guest.describe(0, TABLE, 20 * 16, INDIRECT, 0);
    rig.guest.offer(0);
    let chain = rig.queue.pop().unwrap();
    assert_eq!(chain.buffers().fault, None);
    assert_eq!(chain.buffers().writable.len(), 20 * 64);
}

#[test]
fn malformed_chains_are_told_apart() {
    let mut rig = rig(true);
    rig.guest.describe(0, BUFFER, 16, NEXT, 1);
    rig.guest.describe(1, BUFFER, 16, NEXT, 0);
    assert_eq!(rig.fault(), Some(ChainFault::Endless(usize::from(SIZE))));
    rig.guest.describe(0, BUFFER, 16, NEXT, SIZE);
    assert_eq!(rig.fault(), Some(ChainFault::Endless(1)));
    rig.guest
        .describe_chain(0, &[(BUFFER, 16, WRITE), (BUFFER, 16, 0)]);
    assert_eq!(rig.fault(), Some(ChainFault::Order));
    rig.guest.describe(0, TABLE, 15, INDIRECT, 0);
    assert_eq!(rig.fault(), Some(ChainFault::Empty));
    rig.guest.describe(0, u64::MAX - 8, 16, INDIRECT, 0);
    assert_eq!(rig.fault(), Some(ChainFault::Empty));
    rig.guest.describe(0, u64::MAX - 8, 16, 0, 0);
    assert!(matches!(rig.fault(), Some(ChainFault::Outside(_))));
    assert!(!rig.broken());
}

#[test]
fn the_buffers_before_a_bad_one_are_kept() {
    let mut rig = rig(true);
    let end = testing::MEMORY_SIZE as u64;
    let buffers = [(BUFFER, 16, 0), (BUFFER, 12, WRITE), (end, 1, WRITE)];
    rig.guest.describe_chain(0, &buffers);
    rig.guest.offer(0);
    let chain = rig.queue.pop().unwrap();
    assert!(matches!(
        chain.buffers().fault,
        Some(ChainFault::Outside(_))
    ));
    assert_eq!(chain.buffers().readable.len(), 16);
    assert_eq!(chain.buffers().writable.len(), 12);
}

#[test]
fn a_chain_has_a_limit() {
    let mut rig = rig(true);
    let buffers = vec![(BUFFER, 1, WRITE); MAX_SEGMENTS + 1];
    testing::describe_chain(&rig.memory, 0x10000, 0, &buffers);
    rig.guest
        .describe(0, 0x10000, (MAX_SEGMENTS as u32 + 1) * 16, INDIRECT, 0);
    assert_eq!(rig.fault(), Some(ChainFault::TooLong));
}

#[test]
fn a_head_that_does_not_exist_breaks_the_ring() {
    let mut rig = rig(true);
    rig.guest.offer(SIZE);
    assert!(rig.queue.pop().is_none());
    assert!(rig.broken());
    rig.guest.offer(0);
    assert!(rig.queue.pop().is_none());
    assert_eq!(rig.queue.counters().errors.get(), 1);
}

#[test]
fn an_index_that_jumps_breaks_the_ring() {
    let rig = rig(true);
    rig.guest.set_available_index(SIZE + 1);
    assert!(rig.queue.pop().is_none());
    assert!(rig.broken());
}

#[test]
fn a_ring_must_be_aligned_and_in_memory() {
    let memory = testing::memory();
    let good = GuestQueue::new(&memory, BASE, SIZE).setup(true);
    let bad = [
        QueueSetup { size: 0, ..good },
        QueueSetup { size: 6, ..good },
        QueueSetup {
            descriptors: good.descriptors + 1,
            ..good
        },
        QueueSetup {
            used: testing::MEMORY_SIZE as u64 - 4,
            ..good
        },
        QueueSetup {
            available: u64::MAX - 1,
            ..good
        },
        QueueSetup {
            descriptors: !0xf,
            ..good
        },
    ];
    for setup in bad {
        assert!(ring::Ring::new(&setup, &memory).is_err(), "{setup:x?}");
    }
}

#[test]
fn event_indices_suppress_interrupts() {
    let mut rig = rig(true);
    rig.guest.describe_chain(0, &[(BUFFER, 16, 0)]);
    rig.guest.set_used_event(1);
    rig.guest.offer(0);
    drop(rig.queue.pop());
    assert_eq!(rig.interrupts.count(VECTOR), 0);
    rig.guest.offer(0);
    drop(rig.queue.pop());
    assert_eq!(rig.interrupts.count(VECTOR), 1);
}

#[test]
fn without_event_indices_a_flag_suppresses_interrupts() {
    let mut rig = rig(false);
    rig.guest.describe_chain(0, &[(BUFFER, 16, 0)]);
    rig.guest.set_available_flags(1);
    rig.guest.offer(0);
    drop(rig.queue.pop());
    assert_eq!(rig.interrupts.count(VECTOR), 0);
    rig.guest.set_available_flags(0);
    rig.guest.offer(0);
    drop(rig.queue.pop());
    assert_eq!(rig.interrupts.count(VECTOR), 1);
}

#[test]
fn draining_serves_all_and_accounts_for_every_completion() {
    let mut rig = rig(true);
    for head in 0..SIZE {
        rig.guest.describe_chain(head, &[(BUFFER, 16, 0)]);
        rig.guest.offer(head);
    }
    let mut served = 0;
    rig.queue.drain(|chain| {
        served += 1;
        chain.complete(0);
    });
    assert_eq!(served, SIZE);
    assert_eq!(rig.guest.take_used().len(), usize::from(SIZE));
    let counters = rig.queue.counters();
    assert_eq!(counters.completions.get(), u64::from(SIZE));
    assert_eq!(
        counters.interrupts.get() + counters.suppressed.get(),
        u64::from(SIZE)
    );
    assert!(rig.interrupts.count(VECTOR) >= 1);
}

/// Without event indices the guest wants an interrupt whenever there is news.
#[test]
fn on_a_slow_device_no_completion_waits_for_the_next() {
    let mut rig = rig(false);
    for head in 0..2 {
        rig.guest.describe_chain(head, &[(BUFFER, 16, 0)]);
        rig.guest.offer(head);
    }
    let mut before = Vec::new();
    rig.queue.drain(|chain| {
        before.push(rig.interrupts.count(VECTOR));
        thread::sleep(Duration::from_millis(1));
        chain.complete(0);
    });
    assert_eq!(before, [0, 1]);
}

/// Nobody drains the queue here, so that a wait can only be given up.
#[test]
fn stopping_ends_the_wait_for_chains_to_be_served() {
    let mut rig = rig(true);
    rig.guest.describe_chain(0, &[(BUFFER, 16, 0)]);
    rig.guest.offer(0);
    let queue = rig.queue.clone();
    let waiter = thread::spawn(move || queue.catch_up());
    testing::eventually(|| rig.queue.kick().read().ok());
    rig.queue.stop();
    waiter.join().unwrap();
}

#[test]
fn a_completion_from_elsewhere_ends_the_wait() {
    let mut rig = rig(true);
    rig.guest.describe_chain(0, &[(BUFFER, 16, 0)]);
    rig.guest.offer(0);
    let chain = rig.queue.pop().unwrap();
    let (go, gone) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        gone.recv().ok();
        chain.complete(1);
    });
    rig.queue.stop();
    drop(go);
    rig.queue.wait_idle();
    assert_eq!(rig.guest.take_used(), [(0, 1)]);
    other.join().unwrap();
    rig.guest.offer(0);
    assert!(rig.queue.pop().is_none(), "a stopped queue takes nothing");
}

/// A descriptor as a hostile or a careless guest may write it.
fn descriptor() -> impl Strategy<Value = (u64, u32, u16, u16)> {
    let address = prop_oneof![0_u64..0x11_0000, any::<u64>()];
    let len = prop_oneof![0_u32..0x200, any::<u32>()];
    (address, len, 0_u16..8, 0_u16..SIZE + 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_ring_returns_each_head_once(
        table in prop::collection::vec(descriptor(), usize::from(SIZE)),
        nested in prop::collection::vec(descriptor(), 16),
        heads in prop::collection::vec(0_u16..SIZE + 1, 0..8),
        garbage in prop::option::of(any::<[u8; 16]>()),
        event_idx: bool,
    ) {
        let mut rig = rig(event_idx);
        for (index, (address, len, flags, next)) in (0..).zip(table) {
            rig.guest.describe(index, address, len, flags, next);
        }
        for (index, raw) in (0..).zip(nested) {
            testing::write_descriptor(&rig.memory, TABLE, index, raw);
        }
        for head in &heads {
            rig.guest.offer(*head);
        }
        if let Some(garbage) = garbage {
            rig.memory.write_slice(&garbage, GuestAddress(rig.guest.available())).unwrap();
        }
        let mut served = 0;
        rig.queue.drain(|chain| {
            let len = chain.buffers().writable.len();
            chain.complete(u32::try_from(len).unwrap_or(u32::MAX));
            served += 1;
        });
        let counters = rig.queue.counters();
        prop_assert_eq!(counters.requests.get(), served);
        prop_assert_eq!(counters.completions.get(), served);
        if garbage.is_none() {
            let used: Vec<_> = rig.guest.take_used().iter().map(|(head, _)| *head).collect();
            let expected: Vec<_> =
                heads.iter().take_while(|head| **head < SIZE).map(|head| u32::from(*head)).collect();
            prop_assert_eq!(used, expected);
        }
    }
}
