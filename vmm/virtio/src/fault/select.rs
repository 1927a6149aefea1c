// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which requests a fault happens to, and how often.

use serde::{Deserialize, Serialize};

use super::kind::Subject;
use super::random::Random;
use super::{FaultError, FaultKind};

/// Index of the control queue, where task management is.
const CONTROL: u16 = 0;
/// Index of the first request queue.
const FIRST_REQUEST: u16 = 2;

/// What is known of a request when a fault is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Index of the virtqueue.
    pub queue: u16,
    /// Target and unit, if the request names one.
    pub unit: Option<(u8, u16)>,
    /// First byte of the command, if it is one.
    pub opcode: Option<u8>,
    /// The function, if it is a task management request.
    pub subtype: Option<u32>,
    /// Whether the device has no other request of this virtqueue.
    pub is_alone: bool,
}

/// Which requests. What is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// Index of the virtqueue; without it, every request queue, or the control
    /// queue for task management.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<u16>,
    /// Target number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u8>,
    /// Unit number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lun: Option<u16>,
    /// First byte of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opcode: Option<u8>,
    /// Task management function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtype: Option<u32>,
}

impl Select {
    pub(super) const KEYS: [&'static str; 5] = ["queue", "target", "lun", "opcode", "subtype"];

    /// Refuses what could never match, or would be ignored.
    pub(super) fn check(&self, kind: &FaultKind) -> Result<(), FaultError> {
        let named = [
            ("queue", self.queue.is_some()),
            ("target, lun", self.target.is_some() || self.lun.is_some()),
            ("opcode", self.opcode.is_some()),
            ("subtype", self.subtype.is_some()),
        ];
        let used: &[&str] = match kind.subject() {
            Subject::Command => &["queue", "target, lun", "opcode"],
            Subject::Completion if self.queue.is_some_and(|queue| queue < FIRST_REQUEST) => {
                &["queue"]
            }
            Subject::Completion => &["queue", "target, lun", "opcode"],
            Subject::TaskManagement => &["target, lun", "subtype"],
            Subject::Device => &[],
        };
        let useless = named
            .iter()
            .find(|(key, is_given)| *is_given && !used.contains(key));
        match useless {
            Some((key, _)) => Err(FaultError::Useless { key }),
            None => self.check_queue(kind),
        }
    }

    fn check_queue(&self, kind: &FaultKind) -> Result<(), FaultError> {
        match self.queue {
            Some(queue) if kind.subject() == Subject::Command && queue < FIRST_REQUEST => {
                Err(FaultError::Value {
                    key: "queue",
                    value: queue.into(),
                    allowed: "2 or more, where the request queues are",
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether a fault of this kind happens to that request.
    pub(super) fn matches(&self, kind: &FaultKind, about: &About) -> bool {
        let is_queue = match (self.queue, kind.subject()) {
            (Some(queue), _) => queue == about.queue,
            (None, Subject::TaskManagement) => about.queue == CONTROL,
            (None, _) => about.queue >= FIRST_REQUEST,
        };
        let (target, lun) = about.unit.unzip();
        is_queue
            && (about.is_alone || !kind.is_lie())
            && is(self.target, target)
            && is(self.lun, lun)
            && is(self.opcode, about.opcode)
            && is(self.subtype, about.subtype)
    }
}

fn is<T: PartialEq>(wanted: Option<T>, found: Option<T>) -> bool {
    wanted.is_none() || wanted == found
}

/// How often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// Matching requests that are let alone first.
    pub skip: u64,
    /// How often at most; until it is cleared if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The chance of each request, in percent.
    pub percent: u8,
    /// What chance and random content come from.
    pub seed: u64,
}

impl Default for When {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl When {
    pub(super) const KEYS: [&'static str; 4] = ["skip", "count", "percent", "seed"];

    /// Always, with this seed.
    pub(super) fn seeded(seed: u64) -> Self {
        Self {
            skip: 0,
            count: None,
            percent: 100,
            seed,
        }
    }

    pub(super) fn check(&self) -> Result<(), FaultError> {
        let wrong = |key, value, allowed| {
            Err(FaultError::Value {
                key,
                value,
                allowed,
            })
        };
        match (self.percent, self.count) {
            (percent @ (0 | 101..), _) => wrong("percent", percent.into(), "1 to 100"),
            (_, Some(0)) => wrong("count", 0, "1 or more"),
            _ => Ok(()),
        }
    }

    /// Whether it happens this time, having matched `seen` times before and
    /// happened `injected` times.
    pub(super) fn is_now(&self, seen: u64, injected: u64, random: &mut Random) -> bool {
        seen >= self.skip && !self.is_over(injected) && random.percent(self.percent)
    }

    /// Whether it never happens again.
    pub(super) fn is_over(&self, injected: u64) -> bool {
        self.count.is_some_and(|count| injected >= count)
    }
}
