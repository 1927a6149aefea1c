// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;
use crate::pin::Lines;
use crate::testing::{FakeAllocator, FakeDevice, FakeMachine};

struct Bench {
    allocator: FakeAllocator,
    machine: Arc<FakeMachine>,
    device: Arc<FakeDevice>,
    function: Function,
}

fn windows() -> Windows {
    Windows {
        memory32: 0xd000_0000..0xe000_0000,
        memory64: 0x10_0000_0000..0x20_0000_0000,
        io: 0xc000..0xd000,
    }
}

fn bench() -> Bench {
    let allocator = FakeAllocator::default();
    let machine = Arc::new(FakeMachine::default());
    let device = FakeDevice::new(&allocator);
    let function = Function::new(device.clone(), machine.clone(), Some(&mut windows())).unwrap();
    Bench {
        allocator,
        machine,
        device,
        function,
    }
}

fn read_u32(function: &Function, offset: usize) -> u32 {
    let mut data = [0; 4];
    function.config_read(offset, &mut data);
    u32::from_le_bytes(data)
}

/// Both kinds of BAR decode, and the function is a bus master.
const MEMORY_AND_IO: [u8; 2] = [7, 0];

#[test]
fn bars_decode_when_enabled_and_follow_moves() {
    let bench = bench();
    let mut data = [0; 1];
    bench.machine.memory.read(0x10_0000_0000, &mut data);
    assert_eq!(data, [0xff]);

    bench.function.config_write(config::COMMAND, &MEMORY_AND_IO);
    bench.machine.memory.read(0x10_0000_0005, &mut data);
    assert_eq!(data, [5]);
    bench.machine.io.write(0xc003, &[1]);
    assert_eq!(
        bench.device.last_write.load(Ordering::SeqCst),
        (3 << 32) | 3
    );
    assert_eq!(*bench.machine.doorbells.lock().unwrap(), [0x10_0000_3000]);

    bench.function.config_write(0x14, &0x18u32.to_le_bytes());
    bench.machine.memory.read(0x10_0000_0005, &mut data);
    assert_eq!(data, [0xff]);
    bench.machine.memory.read(0x18_0000_0005, &mut data);
    assert_eq!(data, [5]);
    assert_eq!(*bench.machine.doorbells.lock().unwrap(), [0x18_0000_3000]);

    bench.function.config_write(config::COMMAND, &[0, 0]);
    bench.machine.memory.read(0x18_0000_0005, &mut data);
    assert_eq!(data, [0xff]);
    assert!(bench.machine.doorbells.lock().unwrap().is_empty());
}

#[test]
fn a_bar_on_top_of_another_stays_unmapped_until_moved_away() {
    let bench = bench();
    bench.function.config_write(config::COMMAND, &MEMORY_AND_IO);
    bench
        .function
        .config_write(0x10, &0xd000_0000u32.to_le_bytes());
    bench.function.config_write(0x14, &[0; 4]);
    let mut data = [0; 1];
    bench.machine.memory.read(0xd000_0000, &mut data);
    assert_eq!(data, [2], "the 32-bit BAR came first");
    bench
        .function
        .config_write(0x10, &0xd800_0000u32.to_le_bytes());
    bench.machine.memory.read(0xd800_0001, &mut data);
    assert_eq!(data, [1]);
}

#[test]
fn msix_is_reached_through_capability_and_bar() {
    let bench = bench();
    // The device's own capability takes 0x40 to 0x46; MSI-X follows.
    assert_eq!(read_u32(&bench.function, 0x48), 0x0003_0011);
    assert_eq!(read_u32(&bench.function, 0x4c), 0x1000);
    assert_eq!(read_u32(&bench.function, 0x50), 0x2000);
    bench.function.config_write(config::COMMAND, &MEMORY_AND_IO);
    bench
        .function
        .config_write(0x4a, &msix::CONTROL_ENABLE.to_le_bytes());
    assert!(bench.device.msix.enabled());
    bench.device.msix.signal(2);
    let mut pba = [0; 8];
    bench.machine.memory.read(0x10_0000_2000, &mut pba);
    assert_eq!(pba, [4, 0, 0, 0, 0, 0, 0, 0]);
    bench.machine.memory.write(0x10_0000_102c, &[0; 4]);
    assert_eq!(bench.allocator.sent(2), 1);
}

#[test]
fn capability_writes_reach_the_device() {
    let bench = bench();
    bench.function.config_write(0x44, &[0xaa; 4]);
    assert_eq!(*bench.device.capability.lock().unwrap(), [6, 1, 0xaa, 3, 4]);
}

#[test]
fn reset_silences_the_function() {
    let bench = bench();
    bench.function.config_write(config::COMMAND, &MEMORY_AND_IO);
    bench
        .function
        .config_write(0x4a, &msix::CONTROL_ENABLE.to_le_bytes());
    bench.function.reset();
    assert_eq!(bench.device.resets.load(Ordering::SeqCst), 1);
    assert!(!bench.device.msix.enabled());
    assert_eq!(read_u32(&bench.function, config::COMMAND) & 0xffff, 0);
    let mut data = [0; 1];
    bench.machine.memory.read(0x10_0000_0000, &mut data);
    assert_eq!(data, [0xff]);
}

#[test]
fn interrupts_wait_for_the_bus_master_bit() {
    let bench = bench();
    let control = msix::CONTROL_ENABLE.to_le_bytes();
    bench.function.config_write(config::COMMAND, &[3, 0]);
    bench.function.config_write(0x4a, &control);
    bench.machine.memory.write(0x10_0000_101c, &[0; 4]);
    bench.device.msix.signal(1);
    assert_eq!(bench.allocator.sent(1), 0);
    bench.function.config_write(config::COMMAND, &MEMORY_AND_IO);
    assert_eq!(bench.allocator.sent(1), 1);
}

#[test]
fn a_pin_is_seen_in_the_status_and_switched_by_the_command() {
    let bench = bench();
    let level = Arc::new(Mutex::new(false));
    let seen = level.clone();
    let lines = Lines::new(Box::new(move |_, active| *seen.lock().unwrap() = active));
    bench.function.connect(lines.end(1));
    let is_active = || *level.lock().unwrap();
    let status = || (read_u32(&bench.function, config::COMMAND) >> 19) & 1;
    assert_eq!((read_u32(&bench.function, 0x3c) >> 8) & 0xff, 1);
    assert_eq!(status(), 0);
    bench.device.pin.update(|| true);
    assert_eq!((status(), is_active()), (1, true));
    bench.function.config_write(config::COMMAND, &[7, 4]);
    assert_eq!((status(), is_active()), (1, false));
    bench.function.config_write(config::COMMAND + 1, &[0]);
    assert!(is_active());
    bench.device.pin.update(|| false);
    assert_eq!((status(), is_active()), (0, false));
    bench.device.pin.update(|| true);
    bench.function.remove();
    assert!(!is_active());
}

#[test]
fn the_device_hears_of_switches_of_msix() {
    let bench = bench();
    let control = msix::CONTROL_ENABLE.to_le_bytes();
    bench.function.config_write(0x4a, &control);
    bench.function.config_write(0x4c, &control);
    assert_eq!(bench.device.switched.load(Ordering::SeqCst), 1);
}

#[test]
fn a_removed_function_is_an_empty_place() {
    let bench = bench();
    bench.function.config_write(config::COMMAND, &MEMORY_AND_IO);
    bench.function.remove();
    assert_eq!(bench.device.resets.load(Ordering::SeqCst), 1);
    // What was under way when it was removed changes nothing any more.
    bench.function.config_write(config::COMMAND, &MEMORY_AND_IO);
    bench.function.retry_bars();
    assert_eq!(read_u32(&bench.function, 0), u32::MAX);
    let mut data = [0; 1];
    bench.machine.memory.read(0x10_0000_0000, &mut data);
    assert_eq!(data, [0xff]);
    assert!(bench.machine.doorbells.lock().unwrap().is_empty());
}

#[test]
fn a_plugged_function_has_no_addresses_until_it_is_given_some() {
    let allocator = FakeAllocator::default();
    let machine = Arc::new(FakeMachine::default());
    let device = FakeDevice::new(&allocator);
    let function = Function::new(device, machine.clone(), None).unwrap();
    function.config_write(config::COMMAND, &MEMORY_AND_IO);
    assert_eq!(read_u32(&function, 0x18), 0);
    function.config_write(0x18, &0xd000_0000u32.to_le_bytes());
    let mut data = [0; 1];
    machine.memory.read(0xd000_0007, &mut data);
    assert_eq!(data, [9]);
}

proptest! {
    /// Whatever a guest writes, nothing panics, identity and the shape of the
    /// capabilities stay, and no address is claimed twice or left behind.
    #[test]
    fn any_access_is_harmless(
        accesses in prop::collection::vec(
            (prop_oneof![0usize..0x60, 0usize..4096],
             prop_oneof![
                 any::<[u8; 4]>().prop_map(|data| data.to_vec()),
                 prop::collection::vec(any::<u8>(), 0..9),
                 Just(vec![0xff; 4]),
                 Just(vec![3, 0]),
             ]), 0..64),
        addresses in prop::collection::vec(any::<u64>(), 0..8),
    ) {
        let bench = bench();
        let fixed = [0x00, 0x08, 0x2c, 0x34, 0x40, 0x4c, 0x50];
        let before = fixed.map(|offset| read_u32(&bench.function, offset));
        for (offset, mut data) in accesses {
            bench.function.config_write(offset, &data);
            bench.function.config_read(offset, &mut data);
        }
        for address in addresses {
            bench.machine.memory.write(address, &[0; 4]);
            bench.machine.memory.read(address, &mut [0; 4]);
        }
        prop_assert_eq!(before, fixed.map(|offset| read_u32(&bench.function, offset)));
        bench.function.reset();
        prop_assert!(bench.machine.doorbells.lock().unwrap().is_empty());
    }
}
