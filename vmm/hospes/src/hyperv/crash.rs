// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The crash registers (TLFS, section 2.6): a guest that panics says how.
//!
//! KVM has these registers, too, but tells guests that it takes no message. So
//! they are kept here, and accesses to them come to user space.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hospes_device::memory::GuestMemory;
use vm_memory::{Bytes, GuestAddress};

/// The first of the parameters.
pub const P0: u32 = 0x4000_0100;
/// Number of parameters.
const PARAMETERS: usize = 5;
/// The register that says what has happened.
const CONTROL: u32 = 0x4000_0105;
/// Number of registers.
pub const COUNT: u32 = 6;

/// Bit of the control register: the guest has crashed.
const NOTIFY: u64 = 1 << 63;
/// Bit of it: parameter 3 is the address of a message, parameter 4 its length.
const MESSAGE: u64 = 1 << 62;

/// Most bytes of a message; Linux has a page of them.
const MAX_MESSAGE: u64 = 4096;

/// The registers of one machine.
pub struct CrashRegisters {
    memory: GuestMemory,
    parameters: Mutex<[u64; PARAMETERS]>,
}

/// What a guest said when it crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// What it wrote to the parameters. In Linux: a code, the guest's id, RIP, RAX and RSP;
    /// none of that if there is a message.
    pub parameters: [u64; PARAMETERS],
    /// Its last words.
    pub message: Option<String>,
}

impl CrashRegisters {
    /// Registers of a machine with `memory`.
    pub fn new(memory: GuestMemory) -> Self {
        Self {
            memory,
            parameters: Mutex::default(),
        }
    }

    /// Reads a register, if it is one of these.
    pub fn read(&self, index: u32) -> Option<u64> {
        if index == CONTROL {
            return Some(NOTIFY | MESSAGE);
        }
        self.lock().get(number(index)?).copied()
    }

    /// Writes a register, if it is one of these; the result is the crash if it
    /// was one.
    pub fn write(&self, index: u32, value: u64) -> Option<Option<Crash>> {
        if index == CONTROL {
            return Some((value & NOTIFY != 0).then(|| self.crash(value)));
        }
        *self.lock().get_mut(number(index)?)? = value;
        Some(None)
    }

    fn crash(&self, control: u64) -> Crash {
        let parameters = *self.lock();
        let [_, _, _, address, len] = parameters;
        let message = (control & MESSAGE != 0).then(|| self.message(address, len));
        Crash {
            parameters,
            message: message.filter(|message| !message.is_empty()),
        }
    }

    fn message(&self, address: u64, len: u64) -> String {
        let len = usize::try_from(len.min(MAX_MESSAGE)).unwrap_or(0);
        let mut bytes = vec![0; len];
        match self.memory.read_slice(&mut bytes, GuestAddress(address)) {
            Ok(()) => printable(&bytes),
            Err(error) => format!("(no message: {error})"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, [u64; PARAMETERS]> {
        self.parameters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(index: u32) -> Option<usize> {
    usize::try_from(index.checked_sub(P0)?).ok()
}

/// The text without what could upset a terminal.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let is_fine = |c: &char| *c == '\n' || *c == '\t' || !c.is_control();
    text.trim_end_matches('\0')
        .chars()
        .filter(is_fine)
        .collect::<String>()
        .trim()
        .to_owned()
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p0, p1, p2, p3, p4] = self.parameters;
        write!(
            f,
            "the guest crashed; parameters {p0:#x} {p1:#x} {p2:#x} {p3:#x} {p4:#x}"
        )?;
        match &self.message {
            Some(message) => write!(f, "; its last words:\n{message}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn registers() -> CrashRegisters {
        CrashRegisters::new(Arc::new(
            crate::memory::create(16 << 20).unwrap().as_ref().clone(),
        ))
    }

    #[test]
    fn a_crash_has_parameters_and_a_message() {
        let registers = registers();
        let text = b"Kernel panic\n\x1b[2J at the end\0";
        registers
            .memory
            .write_slice(text, GuestAddress(0x5000))
            .unwrap();
        for (index, value) in (P0..).zip([0, 0, 0, 0x5000, text.len() as u64]) {
            assert_eq!(registers.write(index, value), Some(None));
        }
        let crash = registers.write(CONTROL, NOTIFY | MESSAGE).unwrap().unwrap();
        assert_eq!(
            crash.message.as_deref(),
            Some("Kernel panic\n[2J at the end")
        );
        assert_eq!(registers.read(P0 + 3), Some(0x5000));
        let crash = registers.write(CONTROL, NOTIFY).unwrap().unwrap();
        assert_eq!(crash.message, None);
        assert!(crash.to_string().contains("0x5000"));
    }

    #[test]
    fn wrong_values_are_survived() {
        let registers = registers();
        registers.write(P0 + 3, u64::MAX - 1);
        registers.write(P0 + 4, u64::MAX);
        let crash = registers.write(CONTROL, NOTIFY | MESSAGE).unwrap().unwrap();
        assert!(crash.message.unwrap().starts_with("(no message"));
        assert_eq!(registers.write(CONTROL, 0), Some(None));
        assert_eq!(registers.read(CONTROL), Some(NOTIFY | MESSAGE));
        assert_eq!(registers.read(P0 + COUNT), None);
        assert_eq!(registers.write(P0 - 1, 0), None);
    }
}
