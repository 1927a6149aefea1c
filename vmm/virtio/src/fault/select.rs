// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which requests a fault happens to.

use hospes_device::fault::FaultError;
use serde::{Deserialize, Serialize};

use super::kind::Subject;
use super::FaultKind;

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
