// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Unit attention conditions (SAM-5, section 5.14).
//!
//! A target has one initiator, so each unit has one set of conditions. At most
//! one of each kind is pending, which the standard permits, and they are told
//! in the order of [`Attention`].

use std::sync::atomic::{AtomicU8, Ordering};

use protocol::scsi::sense::{asc, Sense, SenseKey};

/// Something that the initiator has to be told with its next command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Attention {
    /// The unit is new, or its controller was reset.
    PowerOn = 1 << 0,
    /// The unit was reset.
    UnitReset = 1 << 1,
    /// The nexus was reset.
    NexusLoss = 1 << 2,
    /// Its capacity changed.
    CapacityChanged = 1 << 3,
    /// Other units of the target came or went.
    LunsChanged = 1 << 4,
}

impl Attention {
    const IN_ORDER: [Self; 5] = [
        Self::PowerOn,
        Self::UnitReset,
        Self::NexusLoss,
        Self::CapacityChanged,
        Self::LunsChanged,
    ];

    /// The sense data that tells it.
    pub fn sense(self) -> Sense {
        let additional = match self {
            Self::PowerOn => asc::POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED,
            Self::UnitReset => asc::BUS_DEVICE_RESET_FUNCTION_OCCURRED,
            Self::NexusLoss => asc::I_T_NEXUS_LOSS_OCCURRED,
            Self::CapacityChanged => asc::CAPACITY_DATA_HAS_CHANGED,
            Self::LunsChanged => asc::REPORTED_LUNS_DATA_HAS_CHANGED,
        };
        Sense::new(SenseKey::UnitAttention, additional)
    }
}

/// The pending conditions of one unit.
#[derive(Debug, Default)]
pub(crate) struct Attentions(AtomicU8);

impl Attentions {
    /// Establishes a condition. After a power on there is nothing else to tell.
    pub(crate) fn raise(&self, attention: Attention) {
        self.update(|pending| match attention {
            Attention::PowerOn => Attention::PowerOn as u8,
            _ if pending & Attention::PowerOn as u8 != 0 => pending,
            other => pending | other as u8,
        });
    }

    /// Clears a condition that was told some other way.
    pub(crate) fn clear(&self, attention: Attention) {
        self.update(|pending| pending & !(attention as u8));
    }

    /// Takes the condition to tell next.
    pub(crate) fn take(&self) -> Option<Attention> {
        // The common case must not write to a line that queues share.
        if self.0.load(Ordering::Acquire) == 0 {
            return None;
        }
        let next = |pending: u8| {
            Attention::IN_ORDER
                .into_iter()
                .find(|each| pending & *each as u8 != 0)
        };
        let pending = self.update(|pending| {
            next(pending).map_or(pending, |attention| pending & !(attention as u8))
        });
        next(pending)
    }

    /// Replaces the set, and returns what it was.
    fn update(&self, change: impl Fn(u8) -> u8) -> u8 {
        let replaced = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |pending| {
                Some(change(pending))
            });
        replaced.unwrap_or_else(|unchanged| unchanged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_in_order_and_once() {
        let attentions = Attentions::default();
        attentions.raise(Attention::LunsChanged);
        attentions.raise(Attention::CapacityChanged);
        attentions.raise(Attention::LunsChanged);
        assert_eq!(attentions.take(), Some(Attention::CapacityChanged));
        assert_eq!(attentions.take(), Some(Attention::LunsChanged));
        assert_eq!(attentions.take(), None);
    }

    #[test]
    fn power_on_supersedes() {
        let attentions = Attentions::default();
        attentions.raise(Attention::LunsChanged);
        attentions.raise(Attention::PowerOn);
        attentions.raise(Attention::UnitReset);
        assert_eq!(attentions.take(), Some(Attention::PowerOn));
        assert_eq!(attentions.take(), None);
    }
}
