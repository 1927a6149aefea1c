// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The port against a model of a guest.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Barrier;

use proptest::prelude::*;

use super::port::*;
use super::*;
use hospes_device::memory::GuestMemory;
use protocol::vmballoon::{
    Call, Capabilities, Command, Entry, Operation, PageSize, Registers, Reply, Status,
};
use protocol::vmci::Handle;
use serde_json::{json, Value};
use std::sync::Arc;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use zerocopy::IntoBytes;

const MEMORY: u64 = 16 << 20;
const BATCH: u64 = 0x10;
const BELL: Handle = Handle::new(16, 7);

#[derive(Default)]
struct Bell(AtomicUsize);

impl Ringer for Bell {
    fn ring(&self, doorbell: Handle) {
        assert_eq!(doorbell, BELL);
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Bench {
    port: Port,
    memory: GuestMemory,
    bell: Arc<Bell>,
}

fn bench(offer: Offer) -> Bench {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY as usize)]);
    let memory = Arc::new(memory.unwrap());
    let bell = Arc::<Bell>::default();
    Bench {
        port: Port::new(&memory, offer, Some(bell.clone())),
        memory,
        bell,
    }
}

/// A guest that has begun with all there is.
fn started() -> Bench {
    let bench = bench(Offer::Capabilities(Capabilities::ALL));
    let reply = bench.call(Call::start(Capabilities::ALL));
    assert_eq!(reply.granted(Capabilities::ALL), Some(Capabilities::ALL));
    bench
}

impl Bench {
    /// Calls by way of registers, as a guest does.
    fn call(&self, call: Call) -> Reply {
        let registers: Registers = call.registers();
        let call = Call::from_registers(&registers).unwrap();
        Reply::from_registers(&self.port.serve(call).registers(&registers))
    }

    /// Has a batch done; what became of each page.
    fn batch(&self, operation: Operation, size: PageSize, pages: &[u64]) -> Vec<Status> {
        let entries = self.batch_entries(operation, size, pages);
        let numbers = entries.iter().map(|entry| entry.page());
        assert!(
            numbers.eq(pages.iter().copied()),
            "the host leaves numbers alone"
        );
        entries.iter().map(|entry| entry.status()).collect()
    }

    /// The same, as the host has left the entries.
    fn batch_entries(&self, operation: Operation, size: PageSize, pages: &[u64]) -> Vec<Entry> {
        let entries: Vec<_> = pages.iter().map(|page| Entry::new(*page)).collect();
        let address = GuestAddress(BATCH << 12);
        self.memory
            .write_slice(entries.as_bytes(), address)
            .unwrap();
        let reply = self.call(Call::batch(operation, size, BATCH, pages.len() as u64));
        assert_eq!(reply.status, Status::SUCCESS);
        let mut entries = entries;
        self.memory
            .read_slice(entries.as_mut_bytes(), address)
            .unwrap();
        entries
    }

    fn inject(&self, fault: Value) -> Result<u64, String> {
        let fault: Fault = serde_json::from_value(fault).map_err(|error| error.to_string())?;
        self.port.inject(fault).map_err(|error| error.to_string())
    }

    fn current(&self) -> u64 {
        self.port.status().current >> 12
    }
}

#[test]
fn a_guest_gives_single_pages_and_takes_them() {
    let bench = started();
    bench.port.set_target(8 << 12).unwrap();
    assert_eq!(
        bench
            .call(Call::get_target(4096))
            .target(Command::GET_TARGET),
        Some(8)
    );
    let lock = Call::single(Operation::Lock, 0x200);
    assert_eq!(bench.call(lock).target(Command::LOCK), Some(8));
    assert_eq!(bench.call(lock).status, Status::PAGE_LOCKED);
    assert_eq!(bench.current(), 1);
    let outside = Call::single(Operation::Lock, MEMORY >> 12);
    assert_eq!(bench.call(outside).status, Status::PAGE_INVALID);
    let unlock = Call::single(Operation::Unlock, 0x200);
    assert_eq!(bench.call(unlock).target(Command::UNLOCK), Some(8));
    assert_eq!(bench.call(unlock).status, Status::PAGE_UNLOCKED);
    let status = serde_json::to_value(bench.port.status()).unwrap();
    assert_eq!(status["guest_memory"], 16 << 20);
    assert_eq!(
        status["commands"]["lock"],
        json!({"calls": 3, "failures": 2, "refused": 0})
    );
    assert_eq!(status["pages"]["given_twice"], 1);
    assert_eq!(status["pages"]["not_given"], 1);
}

#[test]
fn batches_have_a_status_for_each_page() {
    let bench = started();
    use Operation::{Lock, Unlock};
    use PageSize::{Large, Small};
    let done = bench.batch(Lock, Small, &[0x300, 0x5000, 0x301, 0x300]);
    let expected = [
        Status::SUCCESS,
        Status::PAGE_INVALID,
        Status::SUCCESS,
        Status::PAGE_LOCKED,
    ];
    assert_eq!(done, expected);
    // The first holds two pages that are given, the second does not begin where it must.
    let done = bench.batch(Lock, Large, &[0x200, 0x401, 0x600]);
    assert_eq!(
        done,
        [Status::PAGE_LOCKED, Status::PAGE_INVALID, Status::SUCCESS]
    );
    assert_eq!(bench.current(), 2 + 512);
    let done = bench.batch(Unlock, Large, &[0x600, 0x200]);
    assert_eq!(done, [Status::SUCCESS, Status::PAGE_UNLOCKED]);
    for call in [
        Call::batch(Lock, Small, BATCH, 0),
        Call::batch(Lock, Small, BATCH, 513),
        Call::batch(Lock, Small, MEMORY >> 12, 1),
        Call::batch(Lock, Small, u64::MAX, 1),
    ] {
        assert_eq!(bench.call(call).status, Status::PAGE_INVALID, "{call:?}");
    }
    assert_eq!(bench.current(), 2);
}

#[test]
fn what_is_given_holds_zeroes_afterwards() {
    let bench = started();
    let (given, kept) = (GuestAddress(0x400 << 12), GuestAddress(0x401 << 12));
    for at in [given, kept] {
        bench.memory.write_obj(0xfeed_u64, at).unwrap();
    }
    bench.batch(Operation::Lock, PageSize::Small, &[0x400]);
    bench.batch(Operation::Unlock, PageSize::Small, &[0x400]);
    let value = |at| bench.memory.read_obj::<u64>(at).unwrap();
    assert_eq!((value(given), value(kept)), (0, 0xfeed));
}

#[test]
fn nothing_goes_before_the_start_and_after_the_end() {
    let bench = bench(Offer::Capabilities(Capabilities::ALL));
    let calls = [
        Call::get_target(1),
        Call::guest_id(),
        Call::single(Operation::Lock, 1),
    ];
    for call in calls {
        assert_eq!(bench.call(call).status, Status::RESET);
    }
    bench.call(Call::start(Capabilities::ALL));
    bench.batch(Operation::Lock, PageSize::Small, &[0x300, 0x301]);
    let end = bench.call(Call::start(Capabilities::default()));
    assert_eq!(end.status, Status::SUCCESS_WITH_CAPABILITIES);
    assert_eq!(
        end.capabilities,
        Capabilities::ALL,
        "what Linux has to hear"
    );
    assert_eq!(bench.current(), 0, "a guest that ends has its pages again");
    assert_eq!(bench.call(Call::get_target(1)).status, Status::RESET);
}

/// Pages are given before another vCPU ends all, and forgotten then, or they are not given.
#[test]
fn who_ends_on_another_vcpu_leaves_no_page_behind() {
    for _ in 0..100 {
        let bench = started();
        let entries: Vec<_> = (0x300..0x500).map(Entry::new).collect();
        let address = GuestAddress(BATCH << 12);
        bench
            .memory
            .write_slice(entries.as_bytes(), address)
            .unwrap();
        let give = Call::batch(Operation::Lock, PageSize::Small, BATCH, 512);
        let both = Barrier::new(2);
        let reply = std::thread::scope(|scope| {
            let giver = scope.spawn(|| {
                both.wait();
                bench.call(give)
            });
            both.wait();
            bench.call(Call::start(Capabilities::default()));
            giver.join().unwrap()
        });
        assert!(matches!(reply.status, Status::SUCCESS | Status::RESET));
        assert_eq!(bench.current(), 0);
    }
}

#[test]
fn a_guest_uses_only_what_it_was_granted() {
    let offered = Capabilities::BASIC.with(Capabilities::BATCHED_2M);
    let bench = bench(Offer::Capabilities(offered));
    let reply = bench.call(Call::start(Capabilities::ALL));
    assert_eq!(reply.granted(Capabilities::ALL), Some(offered));
    for call in [
        Call::batch(Operation::Lock, PageSize::Small, BATCH, 1),
        // It means nothing without batches.
        Call::batch(Operation::Lock, PageSize::Large, BATCH, 1),
        Call::doorbell_set(Some(BELL)),
        Call {
            command: Command(5),
            arg1: 0,
            arg2: 0,
        },
    ] {
        assert_eq!(bench.call(call).status, Status::COMMAND_INVALID, "{call:?}");
    }
    assert_eq!(bench.call(Call::doorbell_set(None)).status, Status::SUCCESS);
    assert_eq!(bench.port.status().guest["commands"]["unknown"], 0);
}

#[test]
fn an_old_host_names_no_capabilities() {
    let bench = bench(Offer::Legacy);
    let reply = bench.call(Call::start(Capabilities::ALL));
    assert_eq!(reply.status, Status::SUCCESS);
    assert_eq!(reply.granted(Capabilities::ALL), Some(Capabilities::BASIC));
    let lock = Call::single(Operation::Lock, 0x200);
    assert_eq!(bench.call(lock).status, Status::SUCCESS);
}

#[test]
fn a_new_target_rings() {
    let bench = started();
    let rings = || bench.bell.0.load(Ordering::SeqCst);
    bench.port.set_target(4 << 12).unwrap();
    assert_eq!(rings(), 0, "there is no doorbell yet");
    bench.call(Call::doorbell_set(Some(BELL)));
    bench.port.set_target(4 << 12).unwrap();
    assert_eq!(rings(), 0, "nothing has changed");
    bench.port.set_target(5 << 12).unwrap();
    assert_eq!(rings(), 1);
    bench.call(Call::doorbell_set(None));
    bench.port.set_target(6 << 12).unwrap();
    assert_eq!(rings(), 1);
    let error = bench.port.set_target(MEMORY + 4096).unwrap_err();
    assert!(error.contains("16777216"), "{error}");
}

#[test]
fn a_reset_is_ordered_and_ends_with_a_start() {
    let bench = started();
    bench.batch(Operation::Lock, PageSize::Small, &[0x300]);
    bench.inject(json!({"kind": "reset"})).unwrap();
    assert_eq!(bench.call(Call::get_target(1)).status, Status::RESET);
    assert_eq!(bench.port.status().guest["guest"], "reset");
    assert_eq!(
        bench.current(),
        1,
        "until the guest begins they are its host's"
    );
    bench.call(Call::start(Capabilities::ALL));
    assert_eq!(bench.current(), 0);
    assert_eq!(bench.call(Call::get_target(1)).status, Status::SUCCESS);
}

#[test]
fn pages_and_commands_fail_to_order() {
    let bench = started();
    use Operation::{Lock, Unlock};
    bench
        .inject(json!({"kind": "page", "code": 5, "operation": 6, "skip": 1, "count": 1}))
        .unwrap();
    let pages = [0x300, 0x301, 0x302];
    let done = bench.batch(Lock, PageSize::Small, &pages);
    assert_eq!(
        done,
        [Status::SUCCESS, Status::PAGE_PINNED, Status::SUCCESS]
    );
    assert_eq!(bench.current(), 2);
    bench
        .inject(json!({"kind": "command", "code": 8, "operation": 1, "count": 1}))
        .unwrap();
    assert_eq!(bench.call(Call::get_target(1)).status, Status::BUSY);
    assert_eq!(bench.call(Call::get_target(1)).status, Status::SUCCESS);
    let id = bench.inject(json!({"kind": "page", "code": 6})).unwrap();
    let single = Call::single(Unlock, 0x300);
    assert_eq!(bench.call(single).status, Status::PAGE_NOT_NEEDED);
    assert!(bench.port.clear_fault(id));
    assert_eq!(bench.call(single).status, Status::SUCCESS);
    for (fault, key) in [
        (json!({"kind": "page", "code": 32}), "code=32"),
        (json!({"kind": "page", "code": 0}), "code=0"),
        (json!({"kind": "reset", "operation": 1}), "operation"),
        (json!({"kind": "delay", "ms": 1}), "delay"),
        (json!({"kind": "page", "code": 1, "lun": 1}), "lun"),
    ] {
        let error = bench.inject(fault).unwrap_err();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn what_is_said_of_another_page_changes_nothing_else() {
    let bench = started();
    use Operation::{Lock, Unlock};
    bench
        .inject(json!({"kind": "stray", "skip": 1, "count": 1}))
        .unwrap();
    let single = Call::single(Lock, 0x200);
    assert_eq!(bench.call(single).status, Status::SUCCESS);
    let pages = [0x300, 0x302, 0x304];
    let entries = bench.batch_entries(Lock, PageSize::Small, &pages);
    let numbers: Vec<_> = entries.iter().map(|entry| entry.page()).collect();
    assert_eq!(numbers, [0x300, 0x303, 0x304]);
    assert!(entries.iter().all(|entry| entry.status().is_success()));
    assert_eq!(bench.current(), 4, "it was given all the same");
    bench
        .inject(json!({"kind": "stray", "operation": 8, "count": 1}))
        .unwrap();
    let large = bench.batch_entries(Lock, PageSize::Large, &[0x400]);
    assert_eq!(large[0].page(), 0x600);
    let done = bench.batch(Unlock, PageSize::Small, &pages);
    assert_eq!(done, [Status::SUCCESS; 3]);
    let error = bench
        .inject(json!({"kind": "stray", "code": 1}))
        .unwrap_err();
    assert!(error.contains("code"), "{error}");
}

proptest! {
    /// Whatever a guest calls, the record agrees with what it was answered.
    #[test]
    fn the_record_is_what_was_answered(
        steps in prop::collection::vec((0u32..12, prop_oneof![0u64..0x1100, any::<u64>()], 0u64..4), 1..60),
    ) {
        let bench = started();
        let mut model = BTreeSet::new();
        for (number, arg1, arg2) in steps {
            let call = Call { command: Command(number), arg1, arg2 };
            let address = GuestAddress(arg1.saturating_mul(4096));
            // The batch page may hold anything, and may be given itself.
            let mut before = [Entry::default(); 4];
            let _ = bench.memory.read_slice(before.as_mut_bytes(), address);
            let reply = bench.call(call);
            match (call.command, reply.status) {
                (Command::START, _) => model.clear(),
                (Command::LOCK, Status::SUCCESS) => prop_assert!(model.insert(arg1)),
                (Command::UNLOCK, Status::SUCCESS) => prop_assert!(model.remove(&arg1)),
                (command, Status::SUCCESS) if command.operation().is_some() => {
                    let (operation, size) = command.operation().unwrap();
                    let mut after = before;
                    bench.memory.read_slice(after.as_mut_bytes(), address).unwrap();
                    let done = after.iter().take(arg2 as usize);
                    for entry in done.filter(|entry| entry.status().is_success()) {
                        for page in entry.page()..entry.page() + size.pages() {
                            let is_right = match operation {
                                Operation::Lock => model.insert(page),
                                Operation::Unlock => model.remove(&page),
                            };
                            prop_assert!(is_right);
                        }
                    }
                }
                _ => {}
            }
            prop_assert_eq!(bench.current(), model.len() as u64);
        }
    }
}
