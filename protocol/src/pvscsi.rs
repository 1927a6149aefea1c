// SPDX-License-Identifier: GPL-2.0 OR MIT

//! pvscsi: the paravirtual SCSI adapter of VMware's hypervisors.
//!
//! A PCI function with one memory BAR and three rings in the guest's memory.
//! VMware has published no specification; what is here is what the header of
//! Linux' driver (`drivers/scsi/vmw_pvscsi.h`) and the behaviour of QEMU's
//! device say. Documentation/protocols/pvscsi.md has it as a text.
//!
//! - [`mod@register`]: the BAR;
//! - [`mod@command`]: what is asked for through the command registers;
//! - [`mod@port`]: these registers as a device sees them;
//! - [`mod@config`]: the page by which an adapter tells about itself;
//! - [`mod@ring`]: sizes and indices of the rings, and the page of their state;
//! - [`mod@request`]: an entry of the request ring, and lists of data;
//! - [`mod@parse`]: requests and rings as a device has to take them;
//! - [`mod@completion`]: an entry of the completion ring, and what it means;
//! - [`mod@words`]: these two as a driver writes and reads them;
//! - [`mod@message`]: an entry of the message ring: targets that come and go.
//!
//! Not obvious: everything is little-endian, indices count freely through all
//! of 32 bits, and it is the *device* that writes the size of each ring into
//! the state page, which a driver has told it in pages.

pub mod command;
pub mod completion;
pub mod config;
pub mod message;
pub mod parse;
pub mod port;
pub mod register;
pub mod request;
pub mod ring;
pub mod words;

pub use command::{Command, Descriptor};
pub use completion::{Anomaly, CompletionDescriptor, HostStatus, Outcome, Verdict};
pub use message::{MessageDescriptor, Notice, Place};
pub use request::{Context, Data, RequestDescriptor, SgElement};
pub use ring::{Entries, RingError, RingsState};
pub use words::{Completion, Request, COMPLETION_WORDS, REQUEST_WORDS};

/// The PCI vendor.
pub const VENDOR_ID: u16 = 0x15ad;
/// The PCI device.
pub const DEVICE_ID: u16 = 0x07c0;

/// Bytes of a page, in the guest's memory and in the BAR.
pub const PAGE_SIZE: usize = 4096;
/// How far an address is shifted to be the number of a page.
pub const PAGE_SHIFT: u32 = 12;

/// Size of a command descriptor block (CDB). Longer ones are foreseen, but not specified.
pub const CDB_SIZE: usize = 16;
/// Most bytes of sense data that a driver has to offer room for.
pub const SENSE_SIZE: usize = 96;
/// Most elements of a list of data, as a driver makes them: one piece, on one page.
pub const SG_ELEMENTS: usize = 128;

/// Targets of an adapter that does not tell how many it has.
pub const DEFAULT_TARGETS: u32 = 16;
/// Most targets there can be: a request names one by a byte.
pub const MAX_TARGETS: u32 = 256;
