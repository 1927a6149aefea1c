// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A VMCI device, as far as a doorbell needs it.
//!
//! It takes datagrams that are for the hypervisor, and answers those about doorbells, the
//! guest's context and what there is. It never sends one. A doorbell that is rung becomes a
//! byte in the guest's notification bitmap and an interrupt.
//!
//! Not obvious: a guest writes a datagram byte by byte and reads the result behind it, which
//! therefore ends a datagram even if bytes are missing. And interrupts are messages of
//! MSI-X, with a vector for doorbells alone; the cause register counts only where a guest
//! has one vector for everything, and is kept for those who read it.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::counters::{Counted, Counter};
use hospes_device::interrupt::MsiAllocator;
use hospes_device::limit::{warn_limited, RateLimit};
use hospes_device::memory::GuestMemory;
use hospes_pci::device::{BarKind, BarSpec, Identity, MsixSpec, PciDevice};
use hospes_pci::msix::Msix;
use protocol::vmci::datagram::{resource, NO_DATAGRAM};
use protocol::vmci::register::{self, capability, control, interrupt};
use protocol::vmci::{
    Code, DatagramHeader, Handle, Service, DEVICE_ID, DOORBELLS, FIRST_GUEST, PAGE_SHIFT, RUNG,
    VENDOR_ID,
};
use serde::Serialize;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};
use zerocopy::FromBytes;

use crate::balloon::port::Ringer;

/// Its name among devices.
pub const ID: &str = "vmci";

/// A peripheral of no other class.
const CLASS: [u8; 3] = [0x08, 0x80, 0];
/// The BAR of registers.
const REGISTERS: u8 = 0;
/// The BAR of MSI-X, whose pending bits are in its upper half.
const MSIX: u8 = 1;
/// Bytes of a register.
const WORD: usize = 4;

/// What the device can.
const CAPABILITIES: u32 =
    capability::DATAGRAM | capability::NOTIFICATIONS | capability::PAGE_NUMBERS_64;

/// The guest's context. There is one guest, so any will do.
const CONTEXT: u32 = FIRST_GUEST;

/// What is counted.
#[derive(Debug, Default, Serialize)]
struct Counters {
    /// Datagrams for the hypervisor.
    datagrams: Counter,
    /// Those that failed.
    failures: Counter,
    /// Doorbells that were rung.
    rings: Counter,
    /// Doorbells that were to ring and are tied to nothing.
    untied: Counter,
    /// Interrupts sent.
    interrupts: Counter,
}

#[derive(Debug, Default)]
struct State {
    /// What the guest has written of a datagram.
    outgoing: Vec<u8>,
    result: u32,
    /// What the guest uses.
    used: u32,
    cause: u32,
    mask: u32,
    interrupts_on: bool,
    /// Where the notification bitmap is.
    bitmap: Option<GuestAddress>,
    /// To which byte each doorbell is tied.
    links: BTreeMap<(u32, u32), u64>,
}

/// The device.
pub struct Vmci {
    memory: GuestMemory,
    msix: Arc<Msix>,
    state: Mutex<State>,
    counters: Counters,
    limit: RateLimit,
}

impl Vmci {
    /// A device that writes to this memory.
    ///
    /// # Errors
    ///
    /// If there are no vectors.
    pub fn new(memory: &GuestMemory, allocator: &dyn MsiAllocator) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            memory: memory.clone(),
            msix: Msix::new(interrupt::VECTORS, allocator)?,
            state: Mutex::default(),
            counters: Counters::default(),
            limit: RateLimit::default(),
        }))
    }

    fn read_register(&self, offset: u64) -> u32 {
        let mut state = self.lock();
        match offset {
            register::STATUS if state.interrupts_on => register::STATUS_INTERRUPTS,
            register::INTERRUPT_CAUSE => mem::take(&mut state.cause),
            register::INTERRUPT_MASK => state.mask,
            register::CAPABILITIES => CAPABILITIES,
            register::RESULT => {
                state.outgoing.clear();
                state.result
            }
            _ => 0,
        }
    }

    fn write_register(&self, offset: u64, value: u32) {
        let mut state = self.lock();
        match offset {
            register::CONTROL if value & control::RESET != 0 => *state = State::default(),
            register::CONTROL => {
                if value & control::INTERRUPTS_OFF != 0 {
                    state.interrupts_on = false;
                }
                if value & control::INTERRUPTS_ON != 0 {
                    state.interrupts_on = true;
                }
                self.interrupt(&state);
            }
            register::INTERRUPT_CAUSE => state.cause &= !value,
            register::INTERRUPT_MASK => {
                state.mask = value;
                self.interrupt(&state);
            }
            register::CAPABILITIES => state.used = value & CAPABILITIES,
            _ => {}
        }
    }

    /// Takes bytes of a datagram, and answers it when all are there.
    fn take(&self, bytes: &[u8]) {
        let mut state = self.lock();
        for byte in bytes {
            state.outgoing.push(*byte);
            let Ok((header, _)) = DatagramHeader::read_from_prefix(&state.outgoing) else {
                continue;
            };
            let answer = match header.total_len() {
                None => Err(Code::TOO_LARGE),
                Some(len) if state.outgoing.len() < len => continue,
                Some(_) => {
                    let datagram = mem::take(&mut state.outgoing);
                    self.answer(&mut state, &datagram)
                }
            };
            self.counters.datagrams.inc();
            let code = answer.unwrap_or_else(|code| {
                self.counters.failures.inc();
                warn_limited!(self.limit, code = code.0, "vmci: a datagram is refused");
                code
            });
            state.outgoing.clear();
            state.result = code.0 as u32;
        }
    }

    fn answer(&self, state: &mut State, datagram: &[u8]) -> Result<Code, Code> {
        let wide = state.used & capability::PAGE_NUMBERS_64 != 0;
        match Service::parse(datagram, wide)? {
            Service::Query(queried) => Ok(queried.answer(is_known)),
            Service::GetContext => Ok(Code(CONTEXT as i32)),
            Service::SetBitmap(page) => {
                let address = page.checked_mul(1 << PAGE_SHIFT).map(GuestAddress);
                let address = address.filter(|at| self.memory.check_range(*at, DOORBELLS));
                state.bitmap = Some(address.ok_or(Code::INVALID_ARGUMENTS)?);
                Ok(Code::SUCCESS)
            }
            Service::Link(handle, index) => state.link(handle, index),
            Service::Unlink(handle) => {
                let link = state.links.remove(&(handle.context, handle.resource));
                link.map(|_| Code::SUCCESS).ok_or(Code::NOT_FOUND)
            }
            Service::Notify(handle) => {
                if self.ring_locked(state, handle) {
                    Ok(Code::SUCCESS)
                } else {
                    Err(Code::NOT_FOUND)
                }
            }
            Service::Other(_) => Err(Code::INVALID_RESOURCE),
        }
    }

    /// Rings a doorbell; false if it is tied to nothing.
    fn ring_locked(&self, state: &mut State, handle: Handle) -> bool {
        let link = state.links.get(&(handle.context, handle.resource));
        let at = state.bitmap.zip(link);
        let at = at.and_then(|(bitmap, index)| bitmap.0.checked_add(*index));
        let Some(at) = at else {
            self.counters.untied.inc();
            return false;
        };
        if self.memory.write_obj(RUNG, GuestAddress(at)).is_err() {
            return false;
        }
        self.counters.rings.inc();
        state.cause |= interrupt::NOTIFICATION;
        self.interrupt(state);
        true
    }

    /// Sends a message if there is a reason that the guest wants to hear of.
    fn interrupt(&self, state: &State) {
        let wanted = state.cause & state.mask & interrupt::NOTIFICATION != 0;
        if wanted && state.interrupts_on && self.msix.enabled() {
            self.counters.interrupts.inc();
            self.msix.signal(interrupt::NOTIFICATION_VECTOR);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn link(&mut self, handle: Handle, index: u64) -> Result<Code, Code> {
        let is_byte = usize::try_from(index).is_ok_and(|index| index < DOORBELLS);
        if !is_byte || handle.context != CONTEXT {
            return Err(Code::INVALID_ARGUMENTS);
        }
        if self.links.len() >= DOORBELLS {
            return Err(Code::NO_RESOURCES);
        }
        let key = (handle.context, handle.resource);
        if self.links.contains_key(&key) {
            return Err(Code::ALREADY_EXISTS);
        }
        self.links.insert(key, index);
        Ok(Code::SUCCESS)
    }
}

/// Whether the hypervisor answers datagrams to this resource.
fn is_known(number: u32) -> bool {
    (resource::QUERY..=resource::DOORBELL_NOTIFY).contains(&number)
}

impl Ringer for Vmci {
    fn ring(&self, doorbell: Handle) {
        self.ring_locked(&mut self.lock(), doorbell);
    }
}

impl PciDevice for Vmci {
    fn identity(&self) -> Identity {
        Identity {
            vendor: VENDOR_ID,
            device: DEVICE_ID,
            revision: 0x10,
            class: CLASS,
            subsystem_vendor: VENDOR_ID,
            subsystem: DEVICE_ID,
        }
    }

    fn bars(&self) -> Vec<BarSpec> {
        vec![
            BarSpec {
                index: REGISTERS,
                kind: BarKind::Io,
                size: register::PORTS,
            },
            BarSpec {
                index: MSIX,
                kind: BarKind::Memory32,
                size: register::MSIX_SIZE,
            },
        ]
    }

    fn msix(&self) -> Option<MsixSpec> {
        Some(MsixSpec {
            msix: self.msix.clone(),
            table: (MSIX, 0),
            pba: (MSIX, (register::MSIX_SIZE / 2) as u32),
        })
    }

    fn bar_read(&self, bar: u8, offset: u64, data: &mut [u8]) {
        if bar == REGISTERS && offset == register::DATA_IN {
            return data.fill(NO_DATAGRAM);
        }
        data.fill(0);
        if bar == REGISTERS && data.len() == WORD {
            data.copy_from_slice(&self.read_register(offset).to_le_bytes());
        }
    }

    fn bar_write(&self, bar: u8, offset: u64, data: &[u8]) {
        if bar != REGISTERS {
            return;
        }
        match (offset, data.try_into()) {
            (register::DATA_OUT, _) => self.take(data),
            (_, Ok(word)) => self.write_register(offset, u32::from_le_bytes(word)),
            _ => {}
        }
    }

    fn reset(&self) {
        *self.lock() = State::default();
    }
}

impl Counted for Vmci {
    fn counters(&self) -> serde_json::Value {
        serde_json::to_value(&self.counters).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
