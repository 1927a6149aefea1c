// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::sync::atomic::{AtomicUsize, Ordering};

use hospes_device::counters::Counted;
use hospes_pci::device::PciDevice;
use hospes_pci::msix::CONTROL_ENABLE;
use hospes_pci::stand_in::NoInterrupts;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::device::ActivateError;
use crate::notify::{NEEDS_RESET, NO_VECTOR};
use crate::testing::{self, GuestQueue, WRITE};

const QUEUE_SIZE: u16 = 16;
const DEVICE_FEATURE: u64 = 1 << 1;

const DRIVER_FEATURE_SELECT: u64 = 8;
const DRIVER_FEATURE: u64 = 12;
const CONFIG_VECTOR: u64 = 16;
const STATUS: u64 = 20;
const QUEUE_SELECT: u64 = 22;
const QUEUE_SIZE_REGISTER: u64 = 24;
const QUEUE_VECTOR: u64 = 26;
const QUEUE_ENABLE: u64 = 28;
const QUEUE_DESC: u64 = 32;
const ISR: u64 = 0x1000;
const DEVICE_CONFIG: u64 = 0x2000;
const NOTIFY: u64 = 0x3000;

/// Two queues, and memory of what it was told.
#[derive(Default)]
struct FakeDevice {
    activation: Mutex<Option<Activation>>,
    resets: AtomicUsize,
}

impl Counted for FakeDevice {
    fn counters(&self) -> Value {
        Value::Null
    }
}

impl VirtioDevice for FakeDevice {
    fn device_type(&self) -> u16 {
        8
    }

    fn pci_class(&self) -> [u8; 3] {
        [1, 0, 0]
    }

    fn features(&self) -> u64 {
        DEVICE_FEATURE
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; 2]
    }

    fn config_read(&self, offset: u64, data: &mut [u8]) {
        data.fill(offset as u8);
    }

    fn config_write(&self, _offset: u64, _data: &[u8]) {}

    fn activate(&self, activation: Activation) -> Result<(), ActivateError> {
        *self.activation.lock().unwrap() = Some(activation);
        Ok(())
    }

    fn reset(&self) {
        self.activation.lock().unwrap().take();
        self.resets.fetch_add(1, Ordering::SeqCst);
    }
}

struct Rig {
    device: Arc<FakeDevice>,
    pci: Arc<VirtioPci>,
    memory: GuestMemory,
}

fn rig() -> Rig {
    let device = Arc::new(FakeDevice::default());
    let memory = testing::memory();
    let pci = VirtioPci::new(device.clone(), &memory, &NoInterrupts).unwrap();
    Rig {
        device,
        pci,
        memory,
    }
}

impl Rig {
    fn write16(&self, offset: u64, value: u16) {
        self.pci.bar_write(0, offset, &value.to_le_bytes());
    }

    fn write32(&self, offset: u64, value: u32) {
        self.pci.bar_write(0, offset, &value.to_le_bytes());
    }

    fn read16(&self, offset: u64) -> u16 {
        let mut data = [0; 2];
        self.pci.bar_read(0, offset, &mut data);
        u16::from_le_bytes(data)
    }

    fn read32(&self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.pci.bar_read(0, offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn status(&self) -> u8 {
        let mut data = [0];
        self.pci.bar_read(0, STATUS, &mut data);
        data[0]
    }

    fn set_status(&self, status: u8) {
        self.pci.bar_write(0, STATUS, &[status]);
    }

    fn offered(&self) -> u64 {
        let half = |select| {
            self.write32(0, select);
            u64::from(self.read32(4))
        };
        half(0) | (half(1) << 32)
    }

    fn accept(&self, features: u64) {
        for (select, half) in [(0, features), (1, features >> 32)] {
            self.write32(DRIVER_FEATURE_SELECT, select);
            self.write32(DRIVER_FEATURE, half as u32);
        }
    }

    /// As a driver does it, up to FEATURES_OK.
    fn negotiate(&self) {
        self.set_status(0);
        self.set_status(1);
        self.set_status(3);
        self.accept(self.offered());
        self.set_status(11);
    }

    fn enable(&self, index: u16, queue: &GuestQueue) {
        let setup = queue.setup(true);
        self.write16(QUEUE_SELECT, index);
        self.write16(QUEUE_SIZE_REGISTER, setup.size);
        self.write16(QUEUE_VECTOR, index + 1);
        let addresses = [setup.descriptors, setup.available, setup.used];
        for (field, address) in (0..).zip(addresses) {
            self.write32(QUEUE_DESC + field * 8, address as u32);
            self.write32(QUEUE_DESC + field * 8 + 4, (address >> 32) as u32);
        }
        self.write16(QUEUE_ENABLE, 1);
    }

    /// Negotiates, enables queue 0 and starts the device.
    fn start(&self) -> GuestQueue {
        self.negotiate();
        let queue = GuestQueue::new(&self.memory, 0x1000, QUEUE_SIZE);
        self.enable(0, &queue);
        self.set_status(15);
        queue
    }

    fn running_queue(&self) -> Arc<VirtQueue> {
        let activation = self.device.activation.lock().unwrap();
        activation.as_ref().unwrap().queues[0].clone().unwrap()
    }
}

#[test]
fn the_function_is_a_modern_one() {
    let pci = rig().pci;
    let identity = pci.identity();
    assert_eq!((identity.vendor, identity.device), (0x1af4, 0x1048));
    assert!(identity.revision >= 1 && identity.subsystem >= 0x40);
    let capabilities = pci.capabilities();
    let types: Vec<_> = capabilities
        .iter()
        .map(|cap| (cap.body[0], cap.body[1]))
        .collect();
    assert_eq!(types, [(16, 1), (20, 2), (16, 3), (16, 4), (20, 5)]);
    let bars = pci.bars();
    assert_eq!(
        bars.iter().map(|bar| bar.size).collect::<Vec<_>>(),
        [0x4000, 0x2000]
    );
    assert_eq!(pci.msix().unwrap().msix.vectors(), 3);
    assert_eq!(pci.doorbells()[1].offset, NOTIFY + 4);
}

#[test]
fn many_queues_fit() {
    let layout = Layout::new(MAX_QUEUES, MAX_QUEUES + 1);
    assert_eq!(layout.pba_offset(), 0x5000);
    assert_eq!(layout.bars()[1].size, 0x8000);
    assert_eq!(
        layout.region(Layout::doorbell(MAX_QUEUES - 1)),
        Some((Region::Notify, 4092))
    );
    assert_eq!(layout.region(0x4000), None);
    assert_eq!(layout.region(COMMON_END), None);
}

const COMMON_END: u64 = 56;

#[test]
fn a_driver_negotiates_and_starts() {
    let rig = rig();
    rig.start();
    assert_eq!(rig.status(), 15);
    let activation = rig.device.activation.lock().unwrap();
    let activation = activation.as_ref().unwrap();
    assert_eq!(activation.features, features::OFFERED | DEVICE_FEATURE);
    assert!(activation.queues[0].is_some());
    assert!(activation.queues[1].is_none());
}

#[test]
fn features_that_were_not_offered_are_refused() {
    let rig = rig();
    for features in [features::VERSION_1 | (1 << 40), features::EVENT_IDX, 0] {
        rig.negotiate();
        rig.set_status(0);
        rig.set_status(3);
        rig.accept(features);
        rig.set_status(11);
        assert_eq!(rig.status(), 3, "{features:#x}");
        rig.set_status(7);
        assert_eq!(rig.status(), 3, "DRIVER_OK needs FEATURES_OK");
    }
    assert!(rig.device.activation.lock().unwrap().is_none());
}

#[test]
fn features_are_fixed_once_agreed() {
    let rig = rig();
    rig.negotiate();
    rig.accept(0);
    rig.write32(DRIVER_FEATURE_SELECT, 1);
    assert_eq!(rig.read32(DRIVER_FEATURE), 1, "VERSION_1 stays");
    rig.write32(DRIVER_FEATURE_SELECT, 2);
    assert_eq!(rig.read32(DRIVER_FEATURE), 0);
}

#[test]
fn a_ring_outside_memory_asks_for_a_reset() {
    let rig = rig();
    rig.negotiate();
    rig.write16(QUEUE_SELECT, 0);
    rig.write32(QUEUE_DESC + 4, 0xffff);
    rig.write16(QUEUE_ENABLE, 1);
    rig.set_status(15);
    assert_eq!(rig.status() & NEEDS_RESET, NEEDS_RESET);
    rig.set_status(0);
    assert_eq!(rig.status(), 0);
}

#[test]
fn queue_registers_keep_to_what_is_possible() {
    let rig = rig();
    rig.negotiate();
    rig.write16(QUEUE_SELECT, 1);
    for bad in [0, 3, QUEUE_SIZE * 2] {
        rig.write16(QUEUE_SIZE_REGISTER, bad);
        assert_eq!(rig.read16(QUEUE_SIZE_REGISTER), QUEUE_SIZE);
    }
    rig.write16(QUEUE_VECTOR, 2);
    assert_eq!(rig.read16(QUEUE_VECTOR), 2);
    rig.write16(QUEUE_VECTOR, 3);
    assert_eq!(rig.read16(QUEUE_VECTOR), NO_VECTOR);
    rig.write16(CONFIG_VECTOR, 3);
    assert_eq!(rig.read16(CONFIG_VECTOR), NO_VECTOR);
    rig.write16(QUEUE_SELECT, 2);
    assert_eq!(
        rig.read16(QUEUE_SIZE_REGISTER),
        0,
        "a queue that does not exist"
    );
}

#[test]
fn nothing_of_a_running_queue_can_be_changed() {
    let rig = rig();
    rig.start();
    rig.write16(QUEUE_SIZE_REGISTER, 8);
    rig.write32(QUEUE_DESC, 0);
    assert_eq!(rig.read16(QUEUE_SIZE_REGISTER), QUEUE_SIZE);
    assert_eq!(rig.read32(QUEUE_DESC), 0x1000);
}

#[test]
fn a_completion_is_signalled_through_msix() {
    let rig = rig();
    let mut guest = rig.start();
    let msix = rig.pci.msix().unwrap().msix;
    msix.write_table(16 + 12, &0_u32.to_le_bytes());
    msix.set_control(CONTROL_ENABLE);
    guest.describe_chain(0, &[(0x8000, 8, WRITE)]);
    guest.offer(0);
    rig.running_queue().drain(|chain| chain.complete(8));
    assert_eq!(guest.take_used(), [(0, 8)]);
    assert_eq!(msix.counters()["sent"], 1);
}

#[test]
fn notifications_reach_the_queue_both_ways() {
    let rig = rig();
    rig.start();
    let queue = rig.running_queue();
    rig.write16(NOTIFY, 0);
    assert_eq!(queue.kick().read().unwrap(), 1);
    rig.pci.doorbells()[0].event.write(1).unwrap();
    assert_eq!(queue.kick().read().unwrap(), 1);
    rig.write16(NOTIFY + 4, 1);
    assert!(queue.kick().read().is_err(), "that was another queue");
}

#[test]
fn a_reset_forgets_everything() {
    let rig = rig();
    rig.start();
    rig.write16(CONFIG_VECTOR, 0);
    rig.set_status(0);
    assert_eq!(rig.device.resets.load(Ordering::SeqCst), 2);
    assert_eq!(rig.status(), 0);
    assert_eq!(rig.read16(CONFIG_VECTOR), NO_VECTOR);
    rig.write16(QUEUE_SELECT, 0);
    assert_eq!(rig.read16(QUEUE_ENABLE), 0);
    assert_eq!(rig.read32(QUEUE_DESC), 0);
    let mut guest = rig.start();
    guest.describe_chain(0, &[(0x8000, 8, WRITE)]);
    guest.offer(0);
    rig.running_queue().drain(|chain| chain.complete(8));
    assert_eq!(guest.take_used(), [(0, 8)]);
}

#[test]
fn a_broken_ring_is_told_through_the_configuration_vector() {
    let rig = rig();
    rig.negotiate();
    rig.write16(CONFIG_VECTOR, 0);
    let mut queue = GuestQueue::new(&rig.memory, 0x1000, QUEUE_SIZE);
    rig.enable(0, &queue);
    rig.set_status(15);
    queue.offer(QUEUE_SIZE);
    rig.running_queue().drain(drop);
    assert_eq!(rig.status(), 15 | NEEDS_RESET);
    assert_eq!(rig.read16(ISR), 2);
    assert_eq!(rig.read16(ISR), 0);
}

#[test]
fn the_window_reaches_the_bar() {
    let rig = rig();
    let mut body = rig.pci.capabilities()[4].body.clone();
    body[6..10].copy_from_slice(&(STATUS as u32).to_le_bytes());
    body[10..14].copy_from_slice(&1_u32.to_le_bytes());
    rig.pci.capability_written(4, 6, 8, &body);
    assert_eq!(rig.status(), 0);
    body[14] = 1;
    rig.pci.capability_written(4, 14, 1, &body);
    assert_eq!(rig.status(), 1);
    let mut data = [0xff; 4];
    assert_eq!(rig.pci.capability_read(4, 14, &mut data), Some(()));
    assert_eq!(data, [1, 0, 0, 0]);
    assert_eq!(rig.pci.capability_read(3, 14, &mut data), None);
}

#[test]
fn device_configuration_is_the_devices() {
    assert_eq!(rig().read16(DEVICE_CONFIG + 0x22), 0x2222);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No sequence of accesses panics, and a reset is always the way out.
    #[test]
    fn any_accesses_can_be_reset(
        accesses in prop::collection::vec(
            (prop_oneof![0_u64..64, 0_u64..0x5000, any::<u64>()],
             prop_oneof![prop::collection::vec(0_u8..32, 0..9), prop::collection::vec(any::<u8>(), 0..9)]),
            0..60,
        ),
        running: bool,
    ) {
        let rig = rig();
        if running {
            rig.start();
        }
        for (offset, mut data) in accesses {
            rig.pci.bar_write(0, offset, &data);
            rig.pci.bar_read(0, offset, &mut data);
            rig.pci.capability_written(4, offset as usize, data.len(), &data);
            rig.pci.capability_read(4, offset as usize, &mut data);
        }
        rig.set_status(0);
        prop_assert_eq!(rig.status(), 0);
        let mut guest = rig.start();
        guest.describe_chain(0, &[(0x8000, 8, WRITE)]);
        guest.offer(0);
        rig.running_queue().drain(|chain| chain.complete(8));
        prop_assert_eq!(guest.take_used(), [(0, 8)]);
    }
}
