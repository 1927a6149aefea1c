// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The SCSI target: one for every kind of controller.
//!
//! A controller is an adapter: it turns the requests of its transport into
//! [`Command`]s, submits them to a [`Queue`] of its [`Target`], and turns each
//! [`Outcome`] back. Below the target are logical units, each a
//! [`DeviceServer`]: a [`Disk`] on a file, a [`CdRom`] drive, or a device of the
//! host that is passed through ([`Passthrough`]).
//!
//! | module | what |
//! |---|---|
//! | [`command`] | a command, its outcome, its completion |
//! | [`target`] | units by address, queues, task management, resets |
//! | [`engine`] | how accesses are made that have to wait |
//! | [`mod@unit`] | what a device server is, and what is kept for each |
//! | [`disk`] | the direct-access block device |
//! | [`protection`] | where protection information is |
//! | [`cdrom`] | the CD and DVD drive |
//! | [`passthrough`] | a SCSI device of the host |
//! | [`backing`] | what a disk is made of: a raw file |
//!
//! What is not obvious:
//!
//! - **Threads.** The thread of a queue begins its commands by a [`Driver`]:
//!   the device server plans, and what the plan asks of the medium is done at
//!   once where nothing has to be waited for, by the thread's io_uring where
//!   something has, or by helper threads (see [`engine`]). Data moves straight
//!   between guest memory and the file. Queues share no lock on that path: each
//!   has a snapshot of the units, refreshed when one comes or goes, and a list
//!   of what it works on. [`Queue::submit`] executes a command on the calling
//!   thread instead. Units with a latency move their commands to one more thread.
//! - **Exactly once.** The completion of every command is called exactly once,
//!   also when the target goes away. A command that waits is an object that owns
//!   its buffers, and one in a ring is owned by the ring. When a task management function or a reset
//!   returns, the completions of all commands that it concerns have been called
//!   and nothing of them touches guest memory any more; [`Target::abort`] may be told not
//!   to wait that long.
//! - **Nexus.** A target has one initiator, the guest. A unit belongs to one
//!   target.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test may fail")
)]

pub mod attention;
pub mod backing;
pub mod cdrom;
pub mod command;
mod data_in;
mod delay;
pub mod disk;
mod dispatch;
pub mod engine;
pub mod fault;
mod identity;
pub mod passthrough;
pub mod protection;
mod report_luns;
pub mod target;
mod tasks;
#[cfg(test)]
mod testing;
pub mod unit;

pub use attention::Attention;
pub use cdrom::{CdRom, CdRomConfig, CdRomError, Drive, DriveError, DriveStatus};
pub use command::{CdbBytes, Command, Failure, Outcome, Response, TaskAttribute, UnitAddress};
pub use disk::{serial_of_path, BlockSize, Disk, DiskConfig, DiskError, ProtectionType};
pub use engine::AioMode;
pub use passthrough::{Passthrough, PassthroughConfig, PassthroughError};
pub use protection::{ProtectionBuffers, SeparateProtection};
pub use target::{Driver, Queue, Target, TargetError, TaskFunction, TaskOutcome};
pub use unit::{DeviceServer, Io, Operation, Plan, Task, UnitCounters};
