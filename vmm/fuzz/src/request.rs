// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Requests on the queues of a virtio-scsi host.
//!
//! Four bytes: the queue with what was negotiated, a fault that is armed, the
//! numbers of descriptors and of heads. Then descriptors of six bytes each
//! (address, length, flags, next), heads, and the memory of the buffers.

use std::sync::{Arc, OnceLock};

use hospes_device::limit::RateLimit;
use hospes_device::memory::GuestMemory;
use hospes_scsi::UnitAddress;
use hospes_virtio::counters::QueueCounters;
use hospes_virtio::fault::{Fault, FaultKind};
use hospes_virtio::notify::{DeviceState, Interrupt, NO_VECTOR};
use hospes_virtio::queue::{QueueParts, QueueSetup, VirtQueue};
use hospes_virtio::scsi::{ScsiConfig, ScsiHost};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

use crate::backing::target;
use crate::input::Input;
use crate::machine::memory;

/// Entries of a queue.
const SIZE: u16 = 32;
/// Where the parts of the queue are.
const DESCRIPTORS: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
/// Where buffers are; 64 KiB.
const BUFFERS: u64 = 0x1_0000;
/// Memory of the guest.
const LEN: usize = 0x2_0000;
/// Feature bits: hot-plug, change, protection information.
const FEATURES: u64 = 0b110;
const PROTECTION: u64 = 0b1000;

/// What stays from run to run.
struct Fixed {
    memory: GuestMemory,
    kick: Arc<EventFd>,
    counters: Arc<QueueCounters>,
    warnings: Arc<RateLimit>,
    state: Arc<DeviceState>,
}

struct Silence;

impl Interrupt for Silence {
    fn signal(&self, _: u16) {}
}

fn fixed() -> &'static Fixed {
    static FIXED: OnceLock<Fixed> = OnceLock::new();
    FIXED.get_or_init(|| Fixed {
        memory: memory(LEN),
        kick: Arc::new(EventFd::new(EFD_NONBLOCK).expect("an eventfd")),
        counters: Arc::default(),
        warnings: Arc::default(),
        state: DeviceState::new(Arc::new(Silence)),
    })
}

/// Serves the requests of a queue.
///
/// # Panics
///
/// If a chain does not come back exactly once.
pub fn run(data: &[u8]) {
    let (fixed, mut input) = (fixed(), Input(data));
    let (setup, fault) = (input.u8(), input.u8());
    let queue = queue(fixed, setup, &mut input);
    let features = FEATURES | if setup & 4 != 0 { PROTECTION } else { 0 };
    let host = host();
    if let Some(kind) = kind_of(fault) {
        host.inject(Fault::new(kind)).expect("a possible fault");
    }
    let taken = fixed.counters.requests.get();
    let returned = fixed.counters.completions.get();
    host.serve_here(&queue, features);
    let address = UnitAddress { target: 0, lun: 0 };
    host.unit_added(address);
    host.capacity_changed(address);
    queue.stop();
    drop(host);
    queue.wait_idle();
    let taken = fixed.counters.requests.get() - taken;
    assert_eq!(fixed.counters.completions.get() - returned, taken);
}

/// A host with one small disk.
fn host() -> Arc<ScsiHost> {
    ScsiHost::new(&ScsiConfig::default(), target()).expect("a host")
}

/// Puts descriptors, heads and buffers into memory.
fn queue(fixed: &Fixed, setup: u8, input: &mut Input<'_>) -> Arc<VirtQueue> {
    let memory = &fixed.memory;
    let (descriptors, heads) = (u64::from(input.u8() & 31), u64::from(input.u8() & 7));
    memory
        .write_slice(&[0; 0x200], GuestAddress(DESCRIPTORS))
        .expect("memory");
    for index in 0..descriptors {
        memory
            .write_slice(&descriptor(input), GuestAddress(DESCRIPTORS + index * 16))
            .expect("memory");
    }
    memory
        .write_slice(&[0; 8], GuestAddress(AVAILABLE))
        .expect("memory");
    for index in 0..heads {
        let head = u16::from(input.u8());
        memory
            .write_obj(head, GuestAddress(AVAILABLE + 4 + index * 2))
            .expect("memory");
    }
    memory
        .write_obj(heads as u16, GuestAddress(AVAILABLE + 2))
        .expect("memory");
    memory
        .write_slice(&[0; 8], GuestAddress(USED))
        .expect("memory");
    let content = input.take(0x1_0000);
    memory
        .write_slice(content, GuestAddress(BUFFERS))
        .expect("memory");
    let ring = QueueSetup {
        size: SIZE,
        descriptors: DESCRIPTORS,
        available: AVAILABLE,
        used: USED,
        event_idx: setup & 8 != 0,
    };
    VirtQueue::new(&ring, fixed.parts(setup)).expect("a possible queue")
}

/// A descriptor: mostly in memory.
fn descriptor(input: &mut Input<'_>) -> [u8; 16] {
    let (address, len) = (u64::from(input.u16()), u32::from(input.u16()));
    let (flags, next) = (input.u8(), u16::from(input.u8()));
    let address = match flags >> 6 {
        3 => u64::MAX - address,
        2 => DESCRIPTORS + address,
        _ => BUFFERS + address,
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&address.to_le_bytes());
    bytes[8..12].copy_from_slice(&(len << ((flags >> 3) & 7)).to_le_bytes());
    bytes[12] = flags & 7;
    bytes[14..].copy_from_slice(&next.to_le_bytes());
    bytes
}

impl Fixed {
    fn parts(&self, setup: u8) -> QueueParts {
        QueueParts {
            index: match setup & 3 {
                2 => 0,
                3 => 1,
                _ => 2,
            },
            memory: self.memory.clone(),
            kick: self.kick.clone(),
            vector: NO_VECTOR,
            state: self.state.clone(),
            counters: self.counters.clone(),
            warnings: self.warnings.clone(),
        }
    }
}

/// A fault that is over at once, for some values.
fn kind_of(fault: u8) -> Option<FaultKind> {
    Some(match fault & 15 {
        1 => FaultKind::Drop {},
        2 => FaultKind::Response { code: fault >> 4 },
        3 => FaultKind::Unwritten {},
        4 => FaultKind::UsedTwice {},
        5 => FaultKind::UsedIndex {
            ahead: fault.into(),
        },
        6 => FaultKind::UsedUnknown { id: fault.into() },
        7 => FaultKind::TmfDrop {},
        8 => FaultKind::Garbage {
            sense_len: None,
            resid: None,
            qualifier: None,
            status: None,
            code: None,
        },
        9 => FaultKind::Events {
            number: fault.into(),
            event: None,
            reason: None,
            lun_field: None,
            missed: false,
        },
        _ => return None,
    })
}
