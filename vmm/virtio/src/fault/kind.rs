// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a device can do wrong.

use serde::{Deserialize, Serialize};

/// A kind of fault, with what it needs to know. `Documentation/faults.md` says
/// what a driver has to make of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// The command waits before it is executed, where task management finds it.
    Delay {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// The request is not answered until the device is reset.
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
    /// The command is not executed and ends with this virtio response code.
    Response {
        /// The code; 9 is FAILURE.
        #[serde(default = "failure")]
        code: u8,
    },
    /// The command is executed; then these fields of the response are
    /// overwritten, or, if none is given, all of them at random.
    Garbage {
        /// Length of the sense data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sense_len: Option<u32>,
        /// Residual.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resid: Option<u32>,
        /// Status qualifier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        qualifier: Option<u16>,
        /// SCSI status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u8>,
        /// Virtio response code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u8>,
    },
    /// The request comes back without a response having been written.
    Unwritten {},
    /// The request comes back with this length, whatever was written.
    UsedLength {
        /// The length.
        #[serde(default)]
        len: u32,
    },
    /// After a completion the used index is too far ahead.
    UsedIndex {
        /// By how many elements.
        #[serde(default = "one")]
        ahead: u16,
    },
    /// The request comes back twice.
    UsedTwice {},
    /// A request comes back that the driver never sent.
    UsedUnknown {
        /// The id of its descriptor.
        #[serde(default = "no_id")]
        id: u32,
    },
    /// Events, at once, and as the driver posts more buffers.
    Events {
        /// How many.
        #[serde(default = "one_event")]
        number: u32,
        /// What happened. Of this and the next two, all are random if none is
        /// given, and 0 is what is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event: Option<u32>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<u32>,
        /// The LUN field, first byte most significant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lun_field: Option<u64>,
        /// Say that others were lost.
        #[serde(default)]
        missed: bool,
    },
    /// The function is neither carried out nor answered until a reset.
    TmfDrop {},
    /// The function is carried out, and answered late.
    TmfDelay {
        /// How late, in milliseconds.
        ms: u64,
    },
    /// The function is answered with this code.
    TmfResponse {
        /// The virtio response code; 0 says that all was done.
        #[serde(default = "failure")]
        code: u8,
        /// Whether it is carried out.
        #[serde(default)]
        carry_out: bool,
    },
    /// A field of the configuration space reads as this value.
    Config {
        /// Which.
        field: ConfigField,
        /// The value, cut to the field's size.
        value: u32,
        /// Tell the driver that the configuration changed.
        #[serde(default)]
        notify: bool,
    },
    /// The device gives up until it is reset, and says so.
    NeedsReset {},
}

/// A field of the configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the names are those of VIRTIO 1.3, section 5.6.4"
)]
pub enum ConfigField {
    NumQueues,
    SegMax,
    MaxSectors,
    CmdPerLun,
    EventInfoSize,
    SenseSize,
    CdbSize,
    MaxChannel,
    MaxTarget,
    MaxLun,
}

/// What a fault happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// SCSI commands.
    Command,
    /// Whatever comes back from a queue.
    Completion,
    /// Task management functions.
    TaskManagement,
    /// The device as a whole.
    Device,
}

impl FaultKind {
    /// Name, as in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Drop {} => "drop",
            Self::Status { .. } => "status",
            Self::Response { .. } => "response",
            Self::Garbage { .. } => "garbage",
            Self::Unwritten {} => "unwritten",
            Self::UsedLength { .. } => "used-length",
            Self::UsedIndex { .. } => "used-index",
            Self::UsedTwice {} => "used-twice",
            Self::UsedUnknown { .. } => "used-unknown",
            Self::Events { .. } => "events",
            Self::TmfDrop {} => "tmf-drop",
            Self::TmfDelay { .. } => "tmf-delay",
            Self::TmfResponse { .. } => "tmf-response",
            Self::Config { .. } => "config",
            Self::NeedsReset {} => "needs-reset",
        }
    }

    /// Whether it acts when it is injected, and never again.
    pub fn is_immediate(&self) -> bool {
        self.subject() == Subject::Device && !matches!(self, Self::Config { .. })
    }

    /// Whether requests may come back that the device still works on. After
    /// that it must not write for them, as the driver uses their memory again.
    pub fn is_lie(&self) -> bool {
        matches!(
            self,
            Self::UsedIndex { .. } | Self::UsedTwice {} | Self::UsedUnknown { .. }
        )
    }

    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Delay { .. }
            | Self::Drop {}
            | Self::Status { .. }
            | Self::Response { .. }
            | Self::Garbage { .. }
            | Self::Unwritten {} => Subject::Command,
            Self::UsedLength { .. }
            | Self::UsedIndex { .. }
            | Self::UsedTwice {}
            | Self::UsedUnknown { .. } => Subject::Completion,
            Self::TmfDrop {} | Self::TmfDelay { .. } | Self::TmfResponse { .. } => {
                Subject::TaskManagement
            }
            Self::Events { .. } | Self::Config { .. } | Self::NeedsReset {} => Subject::Device,
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

fn failure() -> u8 {
    9
}

fn one() -> u16 {
    1
}

fn one_event() -> u32 {
    1
}

fn no_id() -> u32 {
    u32::MAX
}
