// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The device as Linux' driver uses it.

use std::sync::atomic::{AtomicUsize, Ordering};

use hospes_device::interrupt::{MsiMessage, MsiVector};
use hospes_pci::msix::CONTROL_ENABLE;
use proptest::prelude::*;
use protocol::vmci::datagram::{self, Link};
use vm_memory::GuestMemoryMmap;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{Immutable, IntoBytes};

use super::*;

const BITMAP: u64 = 3;

/// Vectors that count what is sent by all of them.
#[derive(Clone, Default)]
struct Vectors(Arc<AtomicUsize>);

impl MsiAllocator for Vectors {
    fn allocate(&self) -> io::Result<Arc<dyn MsiVector>> {
        Ok(Arc::new(self.clone()))
    }
}

impl MsiVector for Vectors {
    fn signal(&self) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn set_message(&self, _: MsiMessage) -> io::Result<()> {
        Ok(())
    }
}

fn device() -> (Arc<Vmci>, GuestMemory, Vectors) {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]);
    let memory = Arc::new(memory.unwrap());
    let vectors = Vectors::default();
    (Vmci::new(&memory, &vectors).unwrap(), memory, vectors)
}

fn write(device: &Vmci, offset: u64, value: u32) {
    device.bar_write(REGISTERS, offset, &value.to_le_bytes());
}

fn read(device: &Vmci, offset: u64) -> u32 {
    let mut data = [0; 4];
    device.bar_read(REGISTERS, offset, &mut data);
    u32::from_le_bytes(data)
}

/// Sends a datagram byte by byte, and reads its result.
fn send<T: IntoBytes + Immutable>(device: &Vmci, resource: u32, payload: &T) -> Code {
    let header = datagram::header(resource, payload);
    for byte in header.as_bytes().iter().chain(payload.as_bytes()) {
        device.bar_write(REGISTERS, register::DATA_OUT, &[*byte]);
    }
    Code(read(device, register::RESULT) as i32)
}

fn link(device: &Vmci, doorbell: u32, index: u64) -> Code {
    let link = Link {
        handle: Handle::new(CONTEXT, doorbell).into(),
        index: U64::new(index),
    };
    send(device, resource::DOORBELL_LINK, &link)
}

/// As far as Linux has come when its driver is bound.
fn start(device: &Vmci) {
    assert_eq!(read(device, register::CAPABILITIES), CAPABILITIES);
    write(device, register::CAPABILITIES, CAPABILITIES);
    let bitmap = send(device, resource::SET_BITMAP, &U64::new(BITMAP));
    assert_eq!(bitmap, Code::SUCCESS);
    let query = [1, 0, resource::GET_CONTEXT].map(U32::new);
    assert_eq!(send(device, resource::QUERY, &query), Code(1));
    device.msix.set_control(CONTROL_ENABLE);
    for vector in 0..2 {
        device.msix.write_table(vector * 16 + 12, &[0; 4]);
    }
    write(device, register::INTERRUPT_MASK, 3);
    write(device, register::CONTROL, control::INTERRUPTS_ON);
}

#[test]
fn a_doorbell_reaches_the_guest() {
    let (device, memory, vectors) = device();
    start(&device);
    let context = send(&device, resource::GET_CONTEXT, &());
    assert_eq!(context, Code(CONTEXT as i32));
    assert_eq!(link(&device, 70, 5), Code::SUCCESS);
    assert_eq!(link(&device, 70, 6), Code::ALREADY_EXISTS);
    device.ring(Handle::new(CONTEXT, 70));
    let byte = |index: u64| -> u8 {
        let address = GuestAddress((BITMAP << 12) + index);
        memory.read_obj(address).unwrap()
    };
    assert_eq!((byte(4), byte(5), byte(6)), (0, 1, 0));
    assert_eq!(vectors.0.load(Ordering::SeqCst), 1);
    // Linux never reads the cause with two vectors. Each ring is a message.
    device.ring(Handle::new(CONTEXT, 70));
    assert_eq!(vectors.0.load(Ordering::SeqCst), 2);
    assert_eq!(read(&device, register::INTERRUPT_CAUSE), 2);
    assert_eq!(read(&device, register::INTERRUPT_CAUSE), 0);
    // Its own datagram rings as well.
    let handle = protocol::vmci::WireHandle::from(Handle::new(CONTEXT, 70));
    assert_eq!(
        send(&device, resource::DOORBELL_NOTIFY, &handle),
        Code::SUCCESS
    );
    assert_eq!(
        send(&device, resource::DOORBELL_UNLINK, &handle),
        Code::SUCCESS
    );
    assert_eq!(
        send(&device, resource::DOORBELL_UNLINK, &handle),
        Code::NOT_FOUND
    );
    device.ring(Handle::new(CONTEXT, 70));
    assert_eq!(vectors.0.load(Ordering::SeqCst), 3);
    assert_eq!(device.counters()["untied"], 1);
}

#[test]
fn what_was_rung_before_interrupts_were_on_is_not_lost() {
    let (device, _, vectors) = device();
    start(&device);
    write(&device, register::CONTROL, control::INTERRUPTS_OFF);
    assert_eq!(link(&device, 1, 0), Code::SUCCESS);
    device.ring(Handle::new(CONTEXT, 1));
    assert_eq!(vectors.0.load(Ordering::SeqCst), 0);
    write(&device, register::CONTROL, control::INTERRUPTS_ON);
    assert_eq!(vectors.0.load(Ordering::SeqCst), 1);
}

#[test]
fn a_reset_forgets_everything() {
    let (device, memory, _) = device();
    start(&device);
    assert_eq!(link(&device, 1, 0), Code::SUCCESS);
    write(&device, register::CONTROL, control::RESET);
    device.ring(Handle::new(CONTEXT, 1));
    assert_eq!(
        memory.read_obj::<u8>(GuestAddress(BITMAP << 12)).unwrap(),
        0
    );
    assert_eq!(read(&device, register::STATUS), 0);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (device, _, _) = device();
    start(&device);
    assert_eq!(link(&device, 1, DOORBELLS as u64), Code::INVALID_ARGUMENTS);
    let far = send(&device, resource::SET_BITMAP, &U64::new(u64::MAX >> 12));
    assert_eq!(far, Code::INVALID_ARGUMENTS);
    let subscribed = send(&device, resource::EVENT_SUBSCRIBE, &U64::new(0));
    assert_eq!(subscribed, Code::INVALID_RESOURCE);
    // Half a datagram ends where its result is read.
    device.bar_write(REGISTERS, register::DATA_OUT, &[0; 11]);
    read(&device, register::RESULT);
    let context = send(&device, resource::GET_CONTEXT, &());
    assert_eq!(context, Code(CONTEXT as i32));
}

proptest! {
    /// Whatever a guest writes, the device goes on working after a reset.
    #[test]
    fn no_guest_breaks_it(
        writes in prop::collection::vec((0u64..0x40, prop::collection::vec(any::<u8>(), 1..40)), 0..40),
    ) {
        let (device, _, _) = device();
        for (offset, data) in writes {
            device.bar_write(REGISTERS, offset, &data);
        }
        write(&device, register::CONTROL, control::RESET);
        start(&device);
        prop_assert_eq!(link(&device, 1, 0), Code::SUCCESS);
    }
}
