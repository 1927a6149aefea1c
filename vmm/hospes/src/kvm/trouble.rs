// SPDX-License-Identifier: GPL-2.0 OR MIT

//! KVM's internal errors: what they say, and which are worth another try.
//!
//! An instruction that KVM could not emulate has had no effect, and the vCPU can
//! be run again at the same place. That helps where the instruction could not be
//! had at that moment, as it happens once in a while where KVM itself runs in an
//! emulated machine. An instruction that KVM does not know fails each time, and a
//! few tries are the end of it.

use std::fmt;

use kvm_bindings::{
    KVM_INTERNAL_ERROR_DELIVERY_EV, KVM_INTERNAL_ERROR_EMULATION, KVM_INTERNAL_ERROR_SIMUL_EX,
    KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON,
};

/// How often an instruction is tried again.
const TRIES: u32 = 8;

/// What KVM says of an internal error (`KVM_EXIT_INTERNAL_ERROR`).
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of error it is, `KVM_INTERNAL_ERROR_*`.
    pub suberror: u32,
    /// What belongs to it. After an emulation it has flags and, if these say so, the
    /// length and the bytes of the instruction.
    pub data: Vec<u64>,
}

impl Trouble {
    /// Whether it is about an instruction that had no effect.
    pub fn is_emulation(&self) -> bool {
        self.suberror == KVM_INTERNAL_ERROR_EMULATION
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.suberror {
            KVM_INTERNAL_ERROR_EMULATION => "an instruction that it could not emulate",
            KVM_INTERNAL_ERROR_SIMUL_EX => "an exception during another",
            KVM_INTERNAL_ERROR_DELIVERY_EV => "an exit while an event was delivered",
            KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON => "an exit that it did not expect",
            _ => "of a kind that is not known",
        };
        write!(f, "internal error {}, {what}; data", self.suberror)?;
        self.data
            .iter()
            .try_for_each(|word| write!(f, " {word:#x}"))
    }
}

/// The tries that an instruction has left.
#[derive(Debug, Default)]
pub struct Tries {
    place: u64,
    made: u32,
}

impl Tries {
    /// Whether the instruction at `place` is to be tried again.
    pub fn again(&mut self, place: u64) -> bool {
        if self.place != place {
            *self = Self { place, made: 0 };
        }
        self.made = self.made.saturating_add(1);
        self.made <= TRIES
    }

    /// The vCPU got on.
    pub fn forget(&mut self) {
        self.made = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_tried_a_few_times() {
        let mut tries = Tries::default();
        let again = |tries: &mut Tries| (0..100).filter(|_| tries.again(0x1000)).count();
        assert_eq!(again(&mut tries), TRIES as usize);
        assert!(tries.again(0x2000));
        tries.forget();
        assert_eq!(again(&mut tries), TRIES as usize);
    }

    #[test]
    fn an_error_says_what_kvm_says() {
        let trouble = Trouble {
            suberror: KVM_INTERNAL_ERROR_EMULATION,
            data: vec![1, 0x0f],
        };
        assert!(trouble.is_emulation());
        let text = trouble.to_string();
        assert!(text.contains("could not emulate; data 0x1 0xf"), "{text}");
    }
}
