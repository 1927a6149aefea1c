// SPDX-License-Identifier: GPL-2.0 OR MIT

//! MSI-X: message-signalled interrupts from a table (PCI 3.0, section 6.8.2).
//!
//! The device calls [`Msix::signal`]; the guest programs messages and masks
//! through the table and the function's Message Control register. A vector
//! that is signalled while masked sets its pending bit and is sent when the
//! last mask goes away.
//!
//! Each vector has its own lock, so queues on different vectors never wait for
//! each other. The function-wide bits are atomics that are always read under a
//! vector's lock. That the function may not access memory (it is no bus master)
//! is one more mask of all vectors. Whoever clears a mask stores the bit first and then visits
//! every vector: a signal either sees the new bit, or leaves a pending bit for
//! the visit to find. No interrupt can be lost between the two.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hospes_device::counters::{Counted, Counter};
use hospes_device::interrupt::{MsiAllocator, MsiMessage, MsiVector};

/// The most vectors that a table can have.
pub const MAX_VECTORS: u16 = 2048;

/// Bytes of a table entry: message address (8), data (4), vector control (4).
pub const ENTRY_SIZE: u64 = 16;

/// Message Control: the function uses MSI-X.
pub const CONTROL_ENABLE: u16 = 1 << 15;

/// Message Control: all vectors are masked.
pub const CONTROL_MASK: u16 = 1 << 14;

/// Vector Control: this vector is masked. The other bits are reserved.
const ENTRY_MASKED: u32 = 1;

/// What the guest programmed for a vector, and what the machine was told.
struct State {
    message: MsiMessage,
    masked: bool,
    pending: bool,
    /// The message that `vector` sends, `None` before the first.
    programmed: Option<MsiMessage>,
    /// Whether the log has it that the machine refused a message. Once is
    /// enough: a guest can have it refused as often as it likes.
    reported: bool,
    vector: Arc<dyn MsiVector>,
}

impl State {
    fn clear(&mut self) {
        self.message = MsiMessage::default();
        self.masked = true;
        self.pending = false;
    }
}

/// Counters of a function's interrupts.
#[derive(Default, serde::Serialize)]
struct Counters {
    /// Interrupts handed to the machine.
    sent: Counter,
    /// Interrupts that met a mask and became a pending bit.
    masked: Counter,
    /// Interrupts with MSI-X off, for a vector outside the table, or that the
    /// machine would not take.
    dropped: Counter,
}

/// The MSI-X vectors of one function.
pub struct Msix {
    entries: Vec<Mutex<State>>,
    control: AtomicU16,
    bus_master: AtomicBool,
    counters: Counters,
}

impl Msix {
    /// A table of `vectors` vectors, all masked, with MSI-X off.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `vectors` is not 1 to [`MAX_VECTORS`], else whatever
    /// `allocator` says.
    pub fn new(vectors: u16, allocator: &dyn MsiAllocator) -> io::Result<Arc<Self>> {
        if !(1..=MAX_VECTORS).contains(&vectors) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{vectors} MSI-X vectors; a function has 1 to {MAX_VECTORS}"),
            ));
        }
        let entry = |_| {
            Ok(Mutex::new(State {
                message: MsiMessage::default(),
                masked: true,
                pending: false,
                programmed: None,
                reported: false,
                vector: allocator.allocate()?,
            }))
        };
        Ok(Arc::new(Self {
            entries: (0..vectors).map(entry).collect::<io::Result<_>>()?,
            control: AtomicU16::new(0),
            bus_master: AtomicBool::new(true),
            counters: Counters::default(),
        }))
    }

    /// Number of vectors.
    pub fn vectors(&self) -> u16 {
        // `new` allows no more than fit.
        u16::try_from(self.entries.len()).unwrap_or(MAX_VECTORS)
    }

    /// Whether the guest switched MSI-X on.
    pub fn enabled(&self) -> bool {
        self.control.load(Ordering::SeqCst) & CONTROL_ENABLE != 0
    }

    /// Interrupts the guest on `vector`, now or as soon as it is unmasked.
    pub fn signal(&self, vector: u16) {
        let Some(entry) = self.entries.get(usize::from(vector)) else {
            self.counters.dropped.inc();
            return;
        };
        let mut state = entry.lock().unwrap_or_else(PoisonError::into_inner);
        let control = self.control.load(Ordering::SeqCst);
        if control & CONTROL_ENABLE == 0 {
            self.counters.dropped.inc();
        } else if self.all_masked(control) || state.masked {
            self.counters.masked.inc();
            state.pending = true;
        } else {
            self.send(&mut state);
        }
    }

    /// Takes the Message Control bits that the guest wrote.
    pub fn set_control(&self, control: u16) {
        self.control
            .store(control & (CONTROL_ENABLE | CONTROL_MASK), Ordering::SeqCst);
        self.settle_all();
    }

    /// Takes whether the function may access memory. It may unless it is behind
    /// a register that says otherwise.
    pub fn set_bus_master(&self, bus_master: bool) {
        if self.bus_master.swap(bus_master, Ordering::SeqCst) != bus_master {
            self.settle_all();
        }
    }

    /// A read of `data.len()` bytes at `offset` in the table.
    pub fn read_table(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let Some((entry, within)) = self.locate(offset) else {
            return;
        };
        let bytes = encode(&entry.lock().unwrap_or_else(PoisonError::into_inner));
        for (to, from) in data.iter_mut().zip(bytes.iter().skip(within)) {
            *to = *from;
        }
    }

    /// A write at `offset` in the table. Only aligned accesses of 4 and 8 bytes
    /// are allowed; others are ignored.
    pub fn write_table(&self, offset: u64, data: &[u8]) {
        let aligned = u64::try_from(data.len())
            .ok()
            .and_then(|len| offset.checked_rem(len));
        if !matches!(data.len(), 4 | 8) || aligned != Some(0) {
            return;
        }
        let Some((entry, within)) = self.locate(offset) else {
            return;
        };
        let mut state = entry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = encode(&state);
        for (to, from) in bytes.iter_mut().skip(within).zip(data) {
            *to = *from;
        }
        decode(&mut state, bytes);
        self.settle(&mut state);
    }

    /// A read of the pending bit array, which the guest cannot write.
    pub fn read_pba(&self, offset: u64, data: &mut [u8]) {
        for (byte, to) in (offset..).zip(data.iter_mut()) {
            *to = (0..8u64).fold(0, |bits, bit| {
                let vector = byte.checked_mul(8).and_then(|first| first.checked_add(bit));
                bits | (u8::from(vector.is_some_and(|vector| self.pending(vector))) << bit)
            });
        }
    }

    /// Back to the state after power-on.
    pub fn reset(&self) {
        self.control.store(0, Ordering::SeqCst);
        for entry in &self.entries {
            entry.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn settle_all(&self) {
        for entry in &self.entries {
            self.settle(&mut entry.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Whether something holds back all vectors.
    fn all_masked(&self, control: u16) -> bool {
        control & CONTROL_MASK != 0 || !self.bus_master.load(Ordering::SeqCst)
    }

    fn pending(&self, vector: u64) -> bool {
        let entry = usize::try_from(vector)
            .ok()
            .and_then(|vector| self.entries.get(vector));
        entry.is_some_and(|entry| entry.lock().unwrap_or_else(PoisonError::into_inner).pending)
    }

    /// The entry that `offset` of the table is in, and the byte in the entry.
    fn locate(&self, offset: u64) -> Option<(&Mutex<State>, usize)> {
        let entry = usize::try_from(offset.checked_div(ENTRY_SIZE)?).ok()?;
        let within = usize::try_from(offset.checked_rem(ENTRY_SIZE)?).ok()?;
        Some((self.entries.get(entry)?, within))
    }

    /// After a change: brings the machine up to date and sends what waited.
    fn settle(&self, state: &mut State) {
        let control = self.control.load(Ordering::SeqCst);
        if control & CONTROL_ENABLE == 0 {
            state.pending = false;
        }
        let enabled = control & CONTROL_ENABLE != 0;
        let open = enabled && !self.all_masked(control) && !state.masked;
        if open && program(state) && state.pending {
            state.pending = false;
            self.send(state);
        }
    }

    fn send(&self, state: &mut State) {
        if program(state) && state.vector.signal().is_ok() {
            self.counters.sent.inc();
        } else {
            self.counters.dropped.inc();
        }
    }
}

/// Tells the machine the vector's message if it does not know it yet.
fn program(state: &mut State) -> bool {
    if state.programmed == Some(state.message) {
        return true;
    }
    match state.vector.set_message(state.message) {
        Ok(()) => {
            state.programmed = Some(state.message);
            true
        }
        Err(error) => {
            if !mem::replace(&mut state.reported, true) {
                tracing::warn!(%error, message = ?state.message, "MSI-X message refused");
            }
            false
        }
    }
}

/// An entry as the guest sees it.
fn encode(state: &State) -> [u8; 16] {
    let control = if state.masked { ENTRY_MASKED } else { 0 };
    let value = u128::from(state.message.address)
        | (u128::from(state.message.data) << 64)
        | (u128::from(control) << 96);
    value.to_le_bytes()
}

/// Takes over an entry that the guest wrote.
fn decode(state: &mut State, bytes: [u8; 16]) {
    let value = u128::from_le_bytes(bytes);
    state.message.address = value as u64;
    state.message.data = (value >> 64) as u32;
    state.masked = (value >> 96) as u32 & ENTRY_MASKED != 0;
}

impl Counted for Msix {
    fn counters(&self) -> serde_json::Value {
        serde_json::to_value(&self.counters).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "msix_tests.rs"]
mod tests;
