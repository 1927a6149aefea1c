// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The balloon port of VMware's hypervisors.
//!
//! A guest gives pages back to its host by a port like the backdoor's, with a magic
//! number of its own: a read of it takes a command and two arguments in registers, and
//! leaves a status and a result there. VMware has published no specification; what is
//! here is what Linux' driver (`drivers/misc/vmw_balloon.c`) expects.
//! Documentation/protocols/vmballoon.md has it as a text.
//!
//! - [`mod@register`]: a call and its reply, as they are in registers;
//! - [`mod@command`]: commands, and what a host reads out of a call;
//! - [`mod@capability`]: what both sides can do;
//! - [`mod@status`]: what became of a command, or of a page;
//! - [`mod@batch`]: the page that carries many pages' numbers at once;
//! - [`mod@policy`]: how a guest gets to the balloon that is wanted.
//!
//! Not obvious: almost every reply also carries the target, the number of pages that the
//! host would have in the balloon, so a guest hears of a change while it works. And a
//! guest that is told to reset forgets its balloon without a word: the host forgets it
//! when the guest starts anew.

pub mod batch;
pub mod capability;
pub mod command;
pub mod policy;
pub mod register;
pub mod status;

pub use batch::Entry;
pub use capability::Capabilities;
pub use command::{Command, Operation, PageSize, Request};
pub use register::{Call, Registers, Reply};
pub use status::Status;

/// The port.
pub const PORT: u16 = 0x5670;
/// EAX of a call.
pub const MAGIC: u32 = 0x456c_6d6f;

/// How far an address is shifted to be the number of a page.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes of a page, which is what a target counts.
pub const PAGE_SIZE: usize = 4096;

/// What a Linux guest says it is.
pub const GUEST_LINUX: u64 = 1;
