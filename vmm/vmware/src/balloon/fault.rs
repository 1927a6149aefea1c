// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the port can be told to do wrong ([`hospes_device::fault`]).

use hospes_device::fault::{self, FaultError, Kind};
use protocol::vmballoon::batch::STATUS_BITS;
use protocol::vmballoon::Command;
use serde::{Deserialize, Serialize};

use super::Port;

/// Something that the port is to do wrong. In JSON it is one flat object:
/// `{"kind": "page", "code": 5, "operation": 6, "count": 10}`.
pub type Fault = fault::Fault<FaultKind>;
/// A fault and what came of it.
pub type FaultStatus = fault::FaultStatus<FaultKind>;

/// What is done wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// A page is refused with this status. Nothing becomes of it.
    Page {
        /// The status.
        code: u32,
    },
    /// A command is refused with this status. Nothing becomes of it.
    Command {
        /// The status.
        code: u32,
    },
    /// What is said of a page of a batch is said of its neighbour, whose number it has then.
    Stray {},
    /// The guest is told to forget its balloon and begin anew.
    Reset {},
}

/// With which commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// Only this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<u32>,
}

impl Kind for FaultKind {
    type Select = Select;
    type About = Command;

    const KEYS: &'static [&'static str] = &["operation"];

    fn name(&self) -> &'static str {
        match self {
            Self::Page { .. } => "page",
            Self::Command { .. } => "command",
            Self::Stray {} => "stray",
            Self::Reset {} => "reset",
        }
    }

    fn is_immediate(&self) -> bool {
        matches!(self, Self::Reset {})
    }

    fn check(&self, select: &Select) -> Result<(), FaultError> {
        match self {
            Self::Page { code } if !(1..1 << STATUS_BITS).contains(code) => {
                Err(FaultError::Value {
                    key: "code",
                    value: (*code).into(),
                    allowed: "1 to 31",
                })
            }
            Self::Command { code: 0 } => Err(FaultError::Value {
                key: "code",
                value: 0,
                allowed: "1 or more",
            }),
            Self::Reset {} if select.operation.is_some() => {
                Err(FaultError::Useless { key: "operation" })
            }
            _ => Ok(()),
        }
    }

    fn matches(&self, select: &Select, about: &Command) -> bool {
        let is_possible = match self {
            Self::Page { .. } => about.operation().is_some(),
            Self::Stray {} => about.is_batch(),
            Self::Command { .. } | Self::Reset {} => true,
        };
        is_possible && select.operation.is_none_or(|number| number == about.0)
    }
}

impl Port {
    /// Arms a fault, or has it act at once if it is of such a kind. Returns a number that
    /// [`clear_fault`](Self::clear_fault) takes.
    ///
    /// # Errors
    ///
    /// [`FaultError`] for what makes no sense.
    pub fn inject(&self, fault: Fault) -> Result<u64, FaultError> {
        fault.check()?;
        if fault.kind == (FaultKind::Reset {}) {
            self.order_reset();
            return Ok(self.faults.note(&fault.kind));
        }
        self.faults.arm(fault)
    }

    /// The armed faults.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.faults.list()
    }

    /// Disarms a fault. False if there is none with that number.
    pub fn clear_fault(&self, id: u64) -> bool {
        self.faults.clear(id)
    }

    /// Disarms every fault.
    pub fn clear_faults(&self) {
        self.faults.clear_all();
    }
}
