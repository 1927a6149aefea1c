// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What an adapter can do wrong, and with which requests.

use hospes_device::fault::{self, FaultError};
use protocol::pvscsi::Command;
use serde::{Deserialize, Serialize};

/// A kind of fault, with what it needs to know. `Documentation/faults.md` says
/// what a driver has to make of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// The request waits before it is executed, where an abort finds it.
    Delay {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// The request is never completed, whatever is aborted or reset.
    Drop {},
    /// The request is not executed and ends with this SCSI status.
    Status {
        /// The status; sense data goes with CHECK CONDITION, which is 2.
        #[serde(default = "check_condition")]
        status: u8,
        /// Sense key; 4 is HARDWARE ERROR.
        #[serde(default = "hardware_error")]
        key: u8,
        /// Additional sense code; 44h is INTERNAL TARGET FAILURE.
        #[serde(default = "internal_target_failure")]
        asc: u8,
        /// Its qualifier.
        #[serde(default)]
        ascq: u8,
    },
    /// The request is not executed and ends with this host status.
    HostStatus {
        /// The status; 20h is that the adapter has failed.
        #[serde(default = "adapter_hardware")]
        code: u16,
    },
    /// The request is executed; then these fields of its completion are overwritten, or,
    /// if none is given, all of them but the context at random.
    Garbage {
        /// Length of the data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transferred: Option<u64>,
        /// Length of the sense data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sense_len: Option<u32>,
        /// Host status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        /// SCSI status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// A completion of a request that never was comes before the right one.
    UnknownContext {
        /// Its context.
        #[serde(default = "no_context")]
        id: u64,
    },
    /// The request is completed twice.
    Twice {},
    /// After the completion the index of completions is ahead of what there is, until the
    /// next completion.
    CompletionIndex {
        /// By how many entries.
        #[serde(default = "too_far")]
        ahead: u32,
    },
    /// A command to the adapter is not carried out, and has failed.
    Refuse {},
    /// The rings are said to have other sizes when a driver sets them up.
    Sizes {
        /// Logarithm of the entries for requests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requests: Option<u32>,
        /// The same for completions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        completions: Option<u32>,
        /// The same for messages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        messages: Option<u32>,
    },
    /// The adapter says that it has another number of targets.
    Targets {
        /// How many.
        value: u32,
    },
    /// The threshold for kicks has this value from now on, until a driver sets it.
    Threshold {
        /// Requests.
        value: u32,
    },
    /// Messages about nothing, at once.
    Messages {
        /// How many.
        #[serde(default = "one")]
        number: u16,
        /// What happened: 0 is that a target came, 1 that one went.
        #[serde(default)]
        message: u32,
        /// The bus.
        #[serde(default)]
        bus: u32,
        /// The target.
        #[serde(default = "no_target")]
        id: u32,
    },
    /// The index of messages is ahead of what there is, until the next message.
    MessageIndex {
        /// By how many entries.
        #[serde(default = "too_far")]
        ahead: u32,
    },
    /// Interrupts for nothing, at once.
    Interrupts {
        /// How many.
        #[serde(default = "many")]
        number: u16,
    },
}

/// What a fault happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// Requests.
    Request,
    /// Commands to the adapter.
    Command,
    /// The rings as a driver sets them up.
    Rings,
    /// What the adapter says about itself.
    Config,
    /// The adapter as a whole.
    Device,
}

/// What is looked at when a fault is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A request for a target, with the first byte of its CDB.
    Request {
        /// The target.
        target: u8,
        /// The first byte.
        opcode: u8,
    },
    /// A command to the adapter.
    Command(Command),
    /// Rings that are set up.
    Rings,
    /// The page about the controller.
    Config,
}

/// Which requests, or which commands to the adapter. What is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// Number of the command to the adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<u32>,
    /// Target number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u8>,
    /// First byte of the CDB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opcode: Option<u8>,
}

impl Select {
    /// Refuses what would be ignored.
    fn check(&self, subject: Subject) -> Result<(), FaultError> {
        let used: &[&str] = match subject {
            Subject::Request => &["target", "opcode"],
            Subject::Command => &["operation"],
            Subject::Rings | Subject::Config | Subject::Device => &[],
        };
        let named = [
            ("operation", self.operation.is_some()),
            ("target", self.target.is_some()),
            ("opcode", self.opcode.is_some()),
        ];
        let useless = (named.iter()).find(|(key, is_given)| *is_given && !used.contains(key));
        match useless {
            Some((key, _)) => Err(FaultError::Useless { key }),
            None => Ok(()),
        }
    }
}

fn is<T: PartialEq>(wanted: Option<T>, found: T) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

impl FaultKind {
    fn subject(&self) -> Subject {
        match self {
            Self::Delay { .. }
            | Self::Drop {}
            | Self::Status { .. }
            | Self::HostStatus { .. }
            | Self::Garbage { .. }
            | Self::UnknownContext { .. }
            | Self::Twice {}
            | Self::CompletionIndex { .. } => Subject::Request,
            Self::Refuse {} => Subject::Command,
            Self::Sizes { .. } => Subject::Rings,
            Self::Targets { .. } => Subject::Config,
            Self::Threshold { .. }
            | Self::Messages { .. }
            | Self::MessageIndex { .. }
            | Self::Interrupts { .. } => Subject::Device,
        }
    }
}

impl fault::Kind for FaultKind {
    type Select = Select;
    type About = About;

    const KEYS: &'static [&'static str] = &["operation", "target", "opcode"];

    fn name(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Drop {} => "drop",
            Self::Status { .. } => "status",
            Self::HostStatus { .. } => "host-status",
            Self::Garbage { .. } => "garbage",
            Self::UnknownContext { .. } => "unknown-context",
            Self::Twice {} => "twice",
            Self::CompletionIndex { .. } => "completion-index",
            Self::Refuse {} => "refuse",
            Self::Sizes { .. } => "sizes",
            Self::Targets { .. } => "targets",
            Self::Threshold { .. } => "threshold",
            Self::Messages { .. } => "messages",
            Self::MessageIndex { .. } => "message-index",
            Self::Interrupts { .. } => "interrupts",
        }
    }

    fn is_immediate(&self) -> bool {
        self.subject() == Subject::Device
    }

    fn check(&self, select: &Select) -> Result<(), FaultError> {
        select.check(self.subject())?;
        match (self, select.operation) {
            // An adapter that goes on after its reset writes to memory that is somebody
            // else's by then, which no driver could survive.
            (Self::Refuse {}, None | Some(1)) => Err(FaultError::Value {
                key: "operation",
                value: 1,
                allowed: "2 or more: a reset of the adapter is always carried out",
            }),
            _ => Ok(()),
        }
    }

    fn matches(&self, select: &Select, about: &About) -> bool {
        match (self.subject(), *about) {
            (Subject::Request, About::Request { target, opcode }) => {
                is(select.target, target) && is(select.opcode, opcode)
            }
            (Subject::Command, About::Command(command)) => is(select.operation, command.0),
            (Subject::Rings, About::Rings) | (Subject::Config, About::Config) => true,
            _ => false,
        }
    }
}

fn check_condition() -> u8 {
    2
}

fn hardware_error() -> u8 {
    4
}

fn internal_target_failure() -> u8 {
    0x44
}

fn adapter_hardware() -> u16 {
    0x20
}

/// No driver has so many requests.
fn no_context() -> u64 {
    0x6e6f_2069_6421
}

/// More than any ring has entries.
fn too_far() -> u32 {
    5000
}

fn no_target() -> u32 {
    63
}

fn one() -> u16 {
    1
}

fn many() -> u16 {
    100
}
