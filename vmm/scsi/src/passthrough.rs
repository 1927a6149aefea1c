// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A SCSI device of the host, whose commands are passed through by SG_IO.
//!
//! | module | what |
//! |---|---|
//! | `sys` | the system calls |
//! | `data` | guest memory, or a copy of it, as SG_IO takes it |
//! | `reply` | what became of a command, from what the host says |
//!
//! Everything is the device's own answer: data, status, sense data, residual,
//! unit attentions, reservations. Only REPORT LUNS is the target's, since the
//! units beside this one are not the host's.
//!
//! What is not obvious:
//!
//! - **Which commands.** All that the host's kernel lets through. For a caller
//!   without CAP_SYS_RAWIO it has a list of harmless ones, and refuses the others
//!   and those that write if the device could be opened for reading only. A
//!   caller with it gives the guest everything that the device does, FORMAT UNIT
//!   and WRITE BUFFER included.
//! - **Aborts.** SG_IO cannot be interrupted. A task management function waits
//!   for the command, at most for the time limit that the host has for it.
//! - **Resets.** They end commands, as everywhere, and do not reach the device,
//!   which others on the host may be using. So a reservation outlives one.

mod data;
mod reply;
mod sys;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::scsi::sense::{asc, Sense};
use thiserror::Error;

use crate::command::{Failure, Outcome};
use crate::unit::{DeviceServer, Plan, Task};
use data::Data;

/// What is to be passed through.
#[derive(Clone, Debug)]
pub struct PassthroughConfig {
    /// A node of the sg driver, or a whole SCSI block device.
    pub path: PathBuf,
    /// How long the host waits for each command before it aborts it.
    pub timeout: Duration,
}

impl PassthroughConfig {
    /// A minute for each command, which is the host's own limit.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            timeout: Duration::from_secs(60),
        }
    }
}

/// Why a device cannot be passed through.
#[derive(Debug, Error)]
pub enum PassthroughError {
    /// The node cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is something else.
    #[error("{path} is no SCSI device that takes SG_IO; give /dev/sgN or a SCSI block device")]
    NotScsi {
        /// Which one.
        path: PathBuf,
    },
    /// Commands to a partition would reach all of the device.
    #[error("{path} is a partition; only a whole device can be passed through")]
    Partition {
        /// Which one.
        path: PathBuf,
    },
}

/// A device of the host.
pub struct Passthrough {
    file: File,
    path: PathBuf,
    timeout: Duration,
    /// The longest transfer that the host can make, in bytes.
    max_transfer: u32,
    /// An error of the host was logged. It would be the same for each command.
    told: AtomicBool,
}

impl Passthrough {
    /// Opens a device.
    ///
    /// # Errors
    ///
    /// See [`PassthroughError`].
    pub fn open(config: &PassthroughConfig) -> Result<Self, PassthroughError> {
        let path = config.path.clone();
        let (file, is_block) = match open_node(&path) {
            Ok(opened) => opened,
            Err(source) => return Err(PassthroughError::Open { path, source }),
        };
        if is_block && is_partition(&file) {
            return Err(PassthroughError::Partition { path });
        }
        let max_transfer = match sys::check_version(&file) {
            Ok(()) => sys::max_transfer(&file, is_block),
            Err(error) => Err(error),
        };
        let Ok(max_transfer) = max_transfer else {
            return Err(PassthroughError::NotScsi { path });
        };
        Ok(Self {
            file,
            path,
            timeout: config.timeout,
            max_transfer,
            told: AtomicBool::new(false),
        })
    }

    fn submit(&self, cdb: &[u8], task: &Task<'_>) -> Result<u64, Failure> {
        let len = task.data_out.len().max(task.data_in.len());
        let len = u32::try_from(len)
            .ok()
            .filter(|len| *len <= self.max_transfer);
        let Some(len) = len else {
            // A device refuses what is longer than it can take.
            return Err(Sense::illegal(asc::INVALID_FIELD_IN_CDB).into());
        };
        let mut data = Data::new(task.data_out, task.data_in, len);
        let reply = sys::sg_io(&self.file, cdb, data.transfer(), self.timeout);
        let result = match reply {
            Ok(reply) => reply.result(len),
            Err(error) => Err(self.refused(&error, cdb)),
        };
        let transferred = match &result {
            Ok(transferred) | Err(Failure::Status { transferred, .. }) => *transferred,
            Err(_) => 0,
        };
        data.deliver(task.data_in, transferred);
        count(task, transferred);
        result
    }

    /// The host did not take the command.
    fn refused(&self, error: &io::Error, cdb: &[u8]) -> Failure {
        if !self.told.swap(true, Ordering::Relaxed) {
            let opcode = cdb.first().copied().unwrap_or(0);
            let path = self.path.display();
            tracing::warn!(%path, %error, "the host refused command {opcode:#04x}; \
                           further errors of it are not logged");
        }
        reply::of_error(error)
    }
}

impl DeviceServer for Passthrough {
    fn execute(&self, task: &Task<'_>) -> Result<u64, Failure> {
        if !task.data_out.is_empty() && !task.data_in.is_empty() {
            // No transport offers both.
            return Err(Failure::Ended(Outcome::Failed));
        }
        let len = cdb_len(task.cdb)?;
        let cdb = task.cdb.get(..len);
        self.submit(cdb.ok_or(Sense::invalid_cdb(0, None))?, task)
    }

    /// The device may take as long as it likes.
    fn plan(&self, _task: &Task<'_>) -> Result<Plan, Failure> {
        Ok(Plan::Blocking)
    }

    fn reset(&self) {}

    /// The device says by itself when its capacity changes.
    fn refresh(&self) -> io::Result<bool> {
        Ok(false)
    }
}

/// Commands count by the direction of their data, whatever they are.
fn count(task: &Task<'_>, transferred: u64) {
    if !task.data_in.is_empty() {
        task.counters.reads.inc();
        task.counters.bytes_read.add(transferred);
    } else if !task.data_out.is_empty() {
        task.counters.writes.inc();
        task.counters.bytes_written.add(transferred);
    }
}

/// VARIABLE LENGTH CDB: the length is in the block.
const VARIABLE_LEN: u8 = 0x7f;
/// Where it says how much follows the first eight bytes.
const ADDITIONAL_LEN: usize = 7;

/// The length of a command, which its opcode's group has. Those of the two
/// groups that vendors define are 10, as all of Linux takes them.
fn cdb_len(cdb: &[u8]) -> Result<usize, Sense> {
    const UNKNOWN: Sense = Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE);
    let opcode = *cdb.first().ok_or(UNKNOWN)?;
    let len = match opcode >> 5 {
        0 => 6,
        1 | 2 | 6 | 7 => 10,
        4 => 16,
        5 => 12,
        _ if opcode == VARIABLE_LEN => {
            let additional = cdb.get(ADDITIONAL_LEN).copied().unwrap_or(0);
            usize::from(additional).saturating_add(8)
        }
        _ => return Err(UNKNOWN),
    };
    if len > cdb.len() {
        return Err(Sense::invalid_cdb(ADDITIONAL_LEN as u16, None));
    }
    Ok(len)
}

/// Opens a node, for reading only where it lets nobody write, and says whether
/// it is a block device. A drive without a medium can be opened too.
fn open_node(path: &Path) -> io::Result<(File, bool)> {
    let open = |write| {
        OpenOptions::new()
            .read(true)
            .write(write)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
    };
    let file = open(true).or_else(|error| match error.raw_os_error() {
        Some(libc::EROFS | libc::EACCES) => open(false),
        _ => Err(error),
    })?;
    let is_block = file.metadata()?.file_type().is_block_device();
    Ok((file, is_block))
}

fn is_partition(file: &File) -> bool {
    let Ok(metadata) = file.metadata() else {
        return false;
    };
    let device = metadata.rdev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    Path::new(&format!("/sys/dev/block/{major}:{minor}/partition")).exists()
}
