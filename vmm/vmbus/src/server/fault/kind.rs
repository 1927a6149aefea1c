// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the bus can do wrong, and with which messages.

use hospes_device::fault::{self, FaultError};
use protocol::hyperv::message::{KIND_CHANNEL, KIND_NONE, PAYLOAD_SIZE};
use protocol::vmbus::message::Kind;
use serde::{Deserialize, Serialize};

/// A kind of fault, with what it needs to know. `Documentation/faults.md` says what a
/// driver of the bus has to make of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// The message is late.
    Delay {
        /// How late, in milliseconds.
        ms: u64,
    },
    /// The message does not come. What was asked for is done.
    Drop {},
    /// The message comes twice.
    Twice {},
    /// What is asked for is not done, and the answer says so.
    Refuse {
        /// The status; of a version there is none.
        #[serde(default = "unsuccessful")]
        code: u32,
    },
    /// A channel is said to be taken away, at once, and is not.
    Rescind {
        /// Its number, which may be nobody's.
        relid: u32,
        /// How often that is said.
        #[serde(default = "one")]
        number: u16,
    },
    /// A channel is offered, at once, that is none: as the first one, but for what is given.
    Offer {
        /// Its number.
        #[serde(default = "nobodys")]
        relid: u32,
        /// Which sub-channel; 0 is a first channel.
        #[serde(default)]
        index: u16,
        /// What the guest is to signal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connection: Option<u32>,
        /// A bit of the monitor pages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        monitor: Option<u8>,
        /// Whether it is of a device of its own.
        #[serde(default)]
        stranger: bool,
    },
    /// A message of zeroes is sent, at once.
    Message {
        /// Its type.
        message: u32,
        /// Its bytes, with the header.
        #[serde(default = "header")]
        len: u16,
        /// What the slot is said to hold; 1 is a message of the bus.
        #[serde(default = "of_bus")]
        slot: u32,
    },
}

/// Which messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// The answer to the guest's messages of this type, or the host's own, a RESCIND.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<u32>,
}

/// Messages whose answers can be late, missing or repeated, the host's own, and whether
/// an answer can be "no".
const MESSAGES: [(Kind, bool); 7] = [
    (Kind::RESCIND, false),
    (Kind::OPEN, true),
    (Kind::GPADL_HEADER, true),
    (Kind::GPADL_TEARDOWN, false),
    (Kind::INITIATE_CONTACT, true),
    (Kind::UNLOAD, false),
    (Kind::MODIFY_CHANNEL, true),
];

impl Select {
    fn check(&self, needs_status: bool) -> Result<(), FaultError> {
        let operation = self.operation.unwrap_or(0);
        let is_it = |(kind, has_status): &(Kind, bool)| {
            kind.0 == operation && (*has_status || !needs_status)
        };
        if MESSAGES.iter().any(is_it) {
            return Ok(());
        }
        Err(FaultError::Value {
            key: "operation",
            value: operation.into(),
            allowed: "5, 8, 14 or 22, or, but to refuse it, 2, 11 or 16",
        })
    }
}

fn in_range(key: &'static str, value: u64, allowed: (u64, u64), text: &'static str) -> Check {
    if (allowed.0..=allowed.1).contains(&value) {
        return Ok(());
    }
    Err(FaultError::Value {
        key,
        value,
        allowed: text,
    })
}

type Check = Result<(), FaultError>;

impl fault::Kind for FaultKind {
    type Select = Select;
    type About = Kind;

    const KEYS: &'static [&'static str] = &["operation"];

    fn name(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Drop {} => "drop",
            Self::Twice {} => "twice",
            Self::Refuse { .. } => "refuse",
            Self::Rescind { .. } => "rescind",
            Self::Offer { .. } => "offer",
            Self::Message { .. } => "message",
        }
    }

    fn is_immediate(&self) -> bool {
        matches!(
            self,
            Self::Rescind { .. } | Self::Offer { .. } | Self::Message { .. }
        )
    }

    fn check(&self, select: &Select) -> Check {
        if self.is_immediate() && select.operation.is_some() {
            return Err(FaultError::Useless { key: "operation" });
        }
        match *self {
            Self::Refuse { code } => {
                select.check(true)?;
                in_range("code", code.into(), (1, u64::MAX), "1 or more")
            }
            Self::Delay { .. } | Self::Drop {} | Self::Twice {} => select.check(false),
            Self::Rescind { number, .. } => in_range("number", number.into(), (1, 100), "1 to 100"),
            Self::Offer { .. } => Ok(()),
            Self::Message { len, slot, .. } => {
                in_range("len", len.into(), (0, PAYLOAD_SIZE as u64), "up to 240")?;
                let least = u64::from(KIND_NONE).saturating_add(1);
                in_range("slot", slot.into(), (least, u64::MAX), "1 or more")
            }
        }
    }

    fn matches(&self, select: &Select, about: &Kind) -> bool {
        select.operation == Some(about.0)
    }
}

/// Windows' `STATUS_UNSUCCESSFUL`.
fn unsuccessful() -> u32 {
    0xc000_0001
}

fn one() -> u16 {
    1
}

/// Larger than what the bus comes to.
fn nobodys() -> u32 {
    2000
}

fn header() -> u16 {
    8
}

fn of_bus() -> u32 {
    KIND_CHANNEL
}
