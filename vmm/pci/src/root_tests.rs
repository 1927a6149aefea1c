// SPDX-License-Identifier: GPL-2.0 OR MIT

use proptest::prelude::*;

use super::*;
use crate::testing::{FakeAllocator, FakeDevice, FakeMachine};

fn windows() -> Windows {
    Windows {
        memory32: 0xd000_0000..0xe000_0000,
        memory64: 0x10_0000_0000..0x20_0000_0000,
        io: 0xc000..0xfff0,
    }
}

fn root() -> Arc<RootBus> {
    RootBus::new(
        Arc::new(FakeMachine::default()),
        windows(),
        Lines::nowhere(),
    )
    .unwrap()
}

fn ecam_u32(root: &Arc<RootBus>, offset: u64) -> u32 {
    let mut data = [0; 4];
    Ecam(root.clone()).read(offset, &mut data);
    u32::from_le_bytes(data)
}

#[test]
fn two_ways_to_the_same_register() {
    let root = root();
    let allocator = FakeAllocator::default();
    let slot = root.add(FakeDevice::new(&allocator)).unwrap();
    assert_eq!(
        slot,
        Slot {
            device: 1,
            function: 0
        }
    );
    let ports = ConfigPorts::new(root.clone());
    ports.write(0, &0x8000_0800u32.to_le_bytes());
    let mut data = [0; 2];
    ports.read(6, &mut data);
    assert_eq!(data, [0x48, 0x10]);
    assert_eq!(ecam_u32(&root, 0x8000), 0x1048_1af4);
    assert_eq!(ecam_u32(&root, 0x10000), u32::MAX);
}

#[test]
fn ports_need_the_enable_bit_and_bus_0() {
    let ports = ConfigPorts::new(root());
    for address in [0u32, 0x8001_0000] {
        ports.write(0, &address.to_le_bytes());
        let mut data = [0; 4];
        ports.read(0, &mut data);
        assert_eq!(u32::from_le_bytes(data), address);
        ports.read(4, &mut data);
        assert_eq!(data, [0xff; 4]);
    }
}

#[test]
fn functions_are_used_after_devices() {
    let root = root();
    let allocator = FakeAllocator::default();
    let slots: Vec<_> = (0..248)
        .map(|_| root.add(FakeDevice::new(&allocator)).unwrap())
        .collect();
    assert_eq!(
        slots[30],
        Slot {
            device: 31,
            function: 0
        }
    );
    assert_eq!(
        slots[31],
        Slot {
            device: 1,
            function: 1
        }
    );
    assert_eq!(
        slots[247],
        Slot {
            device: 31,
            function: 7
        }
    );
    assert!(matches!(
        root.add(FakeDevice::new(&allocator)),
        Err(RootError::Full)
    ));
    assert_eq!((ecam_u32(&root, 0x800c) >> 16) & 0x80, 0x80);
    assert_eq!((ecam_u32(&root, 0x000c) >> 16) & 0x80, 0);
}

#[test]
fn slots_are_plugged_and_unplugged() {
    let root = root();
    let allocator = FakeAllocator::default();
    let plug = || root.plug(FakeDevice::new(&allocator));
    let slots: Vec<_> = (0..31).map(|_| plug().unwrap()).collect();
    assert!(slots.iter().all(|slot| slot.function == 0));
    assert!(matches!(plug(), Err(RootError::NoSlot)));
    assert!(root.unplug(slots[4]));
    assert!(!root.unplug(slots[4]));
    assert_eq!(ecam_u32(&root, 5 << 15), u32::MAX);
    assert_eq!(plug().unwrap(), slots[4]);
    root.add(FakeDevice::new(&allocator)).unwrap();
    assert_eq!(root.functions_of(slots[0]), 2);
}

/// A function that is put on another's addresses gets them when it goes.
#[test]
fn addresses_are_handed_on() {
    let machine = Arc::new(FakeMachine::default());
    let root = RootBus::new(machine.clone(), windows(), Lines::nowhere()).unwrap();
    let allocator = FakeAllocator::default();
    let slots = [1, 2].map(|_| root.plug(FakeDevice::new(&allocator)).unwrap());
    for slot in slots {
        root.write(slot, 0x18, &0xd000_0000u32.to_le_bytes());
        root.write(slot, 4, &[2, 0]);
    }
    let answers = || {
        let mut data = [0; 1];
        machine.memory.read(0xd000_0000, &mut data);
        data == [2]
    };
    assert!(answers());
    assert!(root.unplug(slots[0]));
    assert!(answers(), "the second function has them now");
    root.write(slots[1], 4, &[0, 0]);
    assert!(!answers());
}

/// Functions of a device, and devices with the same line, share it; who goes lets go of it.
#[test]
fn functions_share_lines() {
    let changes = Arc::<Mutex<Vec<(u8, bool)>>>::default();
    let seen = changes.clone();
    let set = move |line, active| seen.lock().unwrap().push((line, active));
    let machine = Arc::new(FakeMachine::default());
    let root = RootBus::new(machine, windows(), Lines::new(Box::new(set))).unwrap();
    let allocator = FakeAllocator::default();
    let devices: Vec<_> = (1..=9).map(|_| FakeDevice::new(&allocator)).collect();
    let slots: Vec<_> = (devices.iter())
        .map(|device| root.plug(device.clone()).unwrap())
        .collect();
    let take = || std::mem::take(&mut *changes.lock().unwrap());
    for device in &devices {
        device.pin.update(|| true);
    }
    let expected: Vec<_> = [1, 2, 3, 4, 5, 6, 7, 0].map(|line| (line, true)).into();
    assert_eq!(take(), expected);
    assert!(root.unplug(slots[0]));
    assert!(take().is_empty());
    assert!(root.unplug(slots[8]));
    assert_eq!(take(), [(1, false)]);
    devices[8].pin.update(|| true);
    assert!(take().is_empty());
}

proptest! {
    #[test]
    fn any_access_is_harmless(
        accesses in prop::collection::vec(
            (any::<bool>(), any::<bool>(), any::<u64>(),
             prop::collection::vec(any::<u8>(), 0..9)), 0..64),
    ) {
        let root = root();
        root.add(FakeDevice::new(&FakeAllocator::default())).unwrap();
        let ecam = Ecam(root.clone());
        let ports = ConfigPorts::new(root);
        for (write, io, offset, mut data) in accesses {
            let (device, offset): (&dyn BusDevice, u64) =
                if io { (&ports, offset & 7) } else { (&ecam, offset & 0xfffff) };
            if write {
                device.write(offset, &data);
            } else {
                device.read(offset, &mut data);
            }
        }
    }
}
