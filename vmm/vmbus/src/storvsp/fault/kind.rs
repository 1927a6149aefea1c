// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a controller can do wrong, and with which requests.

use hospes_device::fault::{self, FaultError};
use protocol::storvsp::Operation;
use serde::{Deserialize, Serialize};

/// Most bytes of an answer.
const MAX_LEN: u16 = 4096;

/// A kind of fault, with what it needs to know. `Documentation/faults.md` says
/// what a driver has to make of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// A command waits before it is executed; what is none is answered late.
    Delay {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// The request is not answered: a command until the controller is reset or a
    /// channel is closed, anything else never.
    Drop {},
    /// The command is not executed and ends with this SCSI status.
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
    /// The command is not executed and ends with this SRB status.
    Srb {
        /// The status; 30h is INTERNAL ERROR.
        #[serde(default = "internal_error")]
        code: u8,
    },
    /// The request is not carried out, and answered with this status of the packet.
    Refuse {
        /// A Windows status code.
        #[serde(default = "unsuccessful")]
        code: u32,
    },
    /// These fields of the answer are overwritten, or, if none is given, all of
    /// it at random.
    Garbage {
        /// Length of the sense data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sense_len: Option<u8>,
        /// Length of the data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transferred: Option<u32>,
        /// SCSI status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u8>,
        /// SRB status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u8>,
        /// Operation of the packet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<u32>,
    },
    /// The answer has another length.
    Length {
        /// Its bytes, without the descriptor.
        len: u16,
    },
    /// The descriptor in the ring says something else than what is there.
    Descriptor {
        /// Where the payload begins, in units of 8 bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset8: Option<u16>,
        /// How long the packet is, in units of 8 bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        len8: Option<u16>,
    },
    /// After the answer the write index of the ring to the guest has this value,
    /// until the next answer.
    WriteIndex {
        /// The index.
        value: u32,
    },
    /// After the answer the read index of the ring to the host has this value,
    /// until more is taken from it.
    ReadIndex {
        /// The index.
        value: u32,
    },
    /// A request that never was is answered before the right one.
    UnknownId {
        /// Its transaction id.
        #[serde(default = "no_id")]
        id: u64,
    },
    /// The request is answered twice.
    Twice {},
    /// The request is answered again, later.
    Again {
        /// How much later, in milliseconds.
        ms: u64,
    },
    /// The controller says something else about itself.
    Properties {
        /// Most sub-channels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sub_channels: Option<u16>,
        /// Most bytes of data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_transfer: Option<u32>,
    },
    /// Notices about nothing, at once.
    Notices {
        /// How many.
        #[serde(default = "one")]
        number: u16,
        /// The operation; 11 is ENUMERATE_BUS. With 12, FCHBA_DATA, the other port of a Fibre
        /// Channel controller is in use from then on.
        #[serde(default = "enumerate_bus")]
        notice: u32,
    },
    /// The device is taken from the guest with all of its channels, or a sub-channel is
    /// that is selected, and offered again once that has let go of it.
    Rescind {},
    /// The guest is not let open the channel.
    Open {
        /// The device is [taken away](Self::Rescind) in place of an answer.
        #[serde(default)]
        rescind: bool,
    },
}

/// What a fault happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// SCSI commands.
    Command,
    /// Any request, and its answer.
    Request,
    /// What the controller says about itself.
    Properties,
    /// The opening of a channel.
    Open,
    /// A channel, at once.
    Channel,
    /// The controller as a whole.
    Device,
}

/// What is known of a request when a fault is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The channel.
    pub channel: u16,
    /// What is asked for; `None` is the opening of the channel itself.
    pub operation: Option<Operation>,
    /// Target and unit of a command, if there can be one.
    pub unit: Option<(u8, u16)>,
    /// First byte of a command.
    pub opcode: Option<u8>,
}

/// Which requests. What is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// Number of the channel; 0 is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<u16>,
    /// What is asked for; without it, commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<u32>,
    /// Target number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u8>,
    /// Unit number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lun: Option<u16>,
    /// First byte of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opcode: Option<u8>,
}

impl Select {
    fn operation(&self) -> Operation {
        self.operation.map_or(Operation::EXECUTE_SRB, Operation)
    }

    /// Refuses what could never match, or would be ignored.
    fn check(&self, subject: Subject) -> Result<(), FaultError> {
        let is_command = self.operation() == Operation::EXECUTE_SRB;
        let used: &[&str] = match subject {
            Subject::Command => &["channel", "target, lun", "opcode"],
            Subject::Request if is_command => &["channel", "operation", "target, lun", "opcode"],
            Subject::Request => &["channel", "operation"],
            Subject::Open | Subject::Channel => &["channel"],
            Subject::Properties | Subject::Device => &[],
        };
        let named = [
            ("channel", self.channel.is_some()),
            ("operation", self.operation.is_some()),
            ("target, lun", self.target.is_some() || self.lun.is_some()),
            ("opcode", self.opcode.is_some()),
        ];
        let useless = (named.iter()).find(|(key, is_given)| *is_given && !used.contains(key));
        match useless {
            Some((key, _)) => Err(FaultError::Useless { key }),
            None => Ok(()),
        }
    }

    fn matches(&self, about: &About) -> bool {
        let (target, lun) = about.unit.unzip();
        is(self.channel, Some(about.channel))
            && is(self.target, target)
            && is(self.lun, lun)
            && is(self.opcode, about.opcode)
    }
}

fn is<T: PartialEq>(wanted: Option<T>, found: Option<T>) -> bool {
    wanted.is_none() || wanted == found
}

impl FaultKind {
    fn subject(&self) -> Subject {
        match self {
            Self::Status { .. } | Self::Srb { .. } => Subject::Command,
            Self::Delay { .. }
            | Self::Drop {}
            | Self::Refuse { .. }
            | Self::Garbage { .. }
            | Self::Length { .. }
            | Self::Descriptor { .. }
            | Self::WriteIndex { .. }
            | Self::ReadIndex { .. }
            | Self::UnknownId { .. }
            | Self::Twice {}
            | Self::Again { .. } => Subject::Request,
            Self::Properties { .. } => Subject::Properties,
            Self::Open { .. } => Subject::Open,
            Self::Rescind {} => Subject::Channel,
            Self::Notices { .. } => Subject::Device,
        }
    }
}

impl fault::Kind for FaultKind {
    type Select = Select;
    type About = About;

    const KEYS: &'static [&'static str] = &["channel", "operation", "target", "lun", "opcode"];

    fn name(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Drop {} => "drop",
            Self::Status { .. } => "status",
            Self::Srb { .. } => "srb",
            Self::Refuse { .. } => "refuse",
            Self::Garbage { .. } => "garbage",
            Self::Length { .. } => "length",
            Self::Descriptor { .. } => "descriptor",
            Self::WriteIndex { .. } => "write-index",
            Self::ReadIndex { .. } => "read-index",
            Self::UnknownId { .. } => "unknown-id",
            Self::Twice {} => "twice",
            Self::Again { .. } => "again",
            Self::Properties { .. } => "properties",
            Self::Notices { .. } => "notices",
            Self::Rescind {} => "rescind",
            Self::Open { .. } => "open",
        }
    }

    fn is_immediate(&self) -> bool {
        matches!(self.subject(), Subject::Channel | Subject::Device)
    }

    fn check(&self, select: &Select) -> Result<(), FaultError> {
        select.check(self.subject())?;
        match *self {
            Self::Length { len } if len > MAX_LEN => Err(FaultError::Value {
                key: "len",
                value: len.into(),
                allowed: "up to 4096",
            }),
            _ => Ok(()),
        }
    }

    fn matches(&self, select: &Select, about: &About) -> bool {
        let is_subject = match self.subject() {
            Subject::Command | Subject::Request => about.operation == Some(select.operation()),
            Subject::Properties => about.operation == Some(Operation::QUERY_PROPERTIES),
            Subject::Open => about.operation.is_none(),
            Subject::Channel | Subject::Device => false,
        };
        is_subject && select.matches(about)
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

fn internal_error() -> u8 {
    0x30
}

/// Windows' `STATUS_UNSUCCESSFUL`.
fn unsuccessful() -> u32 {
    0xc000_0001
}

/// Neither a number of Linux's for itself nor one of few bits.
fn no_id() -> u64 {
    0x6e6f_2069_6421
}

fn one() -> u16 {
    1
}

fn enumerate_bus() -> u32 {
    Operation::ENUMERATE_BUS.0
}
