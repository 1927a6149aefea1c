// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A direct-access block device (SBC-4) on a [`Backing`].
//!
//! | module | commands |
//! |---|---|
//! | `media` | READ, WRITE, SYNCHRONIZE CACHE |
//! | `verify` | VERIFY |
//! | `provisioning` | UNMAP, WRITE SAME |
//! | `identify` | INQUIRY with its VPD pages, READ CAPACITY |
//! | `settings` | MODE SENSE, MODE SELECT |
//! | `opcodes` | REPORT SUPPORTED OPERATION CODES |
//! | `failure` | which sense data an error of the system becomes |
//!
//! The write cache that the guest sees is the host's page cache: with WCE set,
//! which it is after power on, writes are durable after SYNCHRONIZE CACHE or
//! with FUA; with WCE clear, each is.

mod failure;
mod identify;
mod media;
mod opcodes;
mod provisioning;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use protocol::scsi::cdb::{BlockRange, Cdb};
use protocol::scsi::sense::{asc, Format, Sense, SenseKey};
use thiserror::Error;

use crate::backing::{Backing, Durability, RawFile};
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::unit::{DeviceServer, Task};

/// The length of a logical block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockSize {
    /// 512 bytes, eight of them in a physical block.
    #[default]
    B512,
    /// 4096 bytes.
    B4096,
}

impl BlockSize {
    /// The length in bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }
}

/// The most bytes that one command reads, writes, verifies or fills: none takes
/// for ever, however large the disk, and holds up a reset meanwhile.
const MAX_COMMAND_BYTES: u32 = 64 << 20;

/// What a disk is to be.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// The raw file or block device.
    pub path: PathBuf,
    /// Refuse to write.
    pub read_only: bool,
    /// The length of a logical block.
    pub block_size: BlockSize,
    /// The serial number: up to [`MAX_SERIAL_LEN`] printable ASCII characters.
    /// If it is empty, one is made of the path.
    pub serial: String,
    /// How long every command takes at least.
    pub latency: Duration,
    /// Let the guest deallocate blocks, if the file system can do that.
    pub thin: bool,
}

/// The longest serial number.
pub const MAX_SERIAL_LEN: usize = 36;

impl DiskConfig {
    /// A disk that can be written to, with 512-byte blocks and no latency.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            read_only: false,
            block_size: BlockSize::default(),
            serial: String::new(),
            latency: Duration::ZERO,
            thin: true,
        }
    }
}

/// Why there is no disk.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The file cannot be used.
    #[error("cannot open {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file has no complete block.
    #[error("{path} is {len} bytes long, which is less than a block of {block_len}")]
    TooSmall {
        /// Which file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// That of a block.
        block_len: u32,
    },
    /// The serial number cannot be reported.
    #[error("the serial number {0:?} is not up to {MAX_SERIAL_LEN} printable ASCII characters")]
    Serial(String),
}

/// A disk.
pub struct Disk {
    backing: Box<dyn Backing>,
    block_size: BlockSize,
    /// The capacity, in blocks.
    blocks: AtomicU64,
    read_only: bool,
    thin: bool,
    serial: String,
    latency: Duration,
    /// WCE, the one setting that can be changed.
    write_cache: AtomicBool,
    /// Stopped by START STOP UNIT.
    stopped: AtomicBool,
}

impl Disk {
    /// Opens the file of a disk.
    ///
    /// # Errors
    ///
    /// See [`DiskError`].
    pub fn open(config: &DiskConfig) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Open {
            path: config.path.clone(),
            source,
        };
        let file = RawFile::open(&config.path, config.read_only).map_err(failed)?;
        Self::with_backing(config, Box::new(file))
    }

    /// A disk on any backing. The path is only a name then.
    ///
    /// # Errors
    ///
    /// See [`DiskError`].
    pub fn with_backing(config: &DiskConfig, backing: Box<dyn Backing>) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Open {
            path: config.path.clone(),
            source,
        };
        let len = backing.size().map_err(failed)?;
        let block_len = config.block_size.bytes();
        let blocks = len.checked_div(block_len.into()).unwrap_or(0);
        if blocks == 0 {
            return Err(DiskError::TooSmall {
                path: config.path.clone(),
                len,
                block_len,
            });
        }
        Ok(Self {
            thin: config.thin && !config.read_only && backing.can_deallocate(),
            backing,
            block_size: config.block_size,
            blocks: AtomicU64::new(blocks),
            read_only: config.read_only,
            serial: serial_of(config)?,
            latency: config.latency,
            write_cache: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
        })
    }

    /// The capacity in bytes.
    pub fn size(&self) -> u64 {
        self.blocks().saturating_mul(self.block_len())
    }

    fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::Relaxed)
    }

    fn block_len(&self) -> u64 {
        self.block_size.bytes().into()
    }

    /// MAXIMUM TRANSFER LENGTH and MAXIMUM WRITE SAME LENGTH.
    fn max_blocks(&self) -> u32 {
        MAX_COMMAND_BYTES
            .checked_div(self.block_size.bytes())
            .unwrap_or(0)
    }

    /// The number of bytes in so many blocks.
    fn bytes(&self, blocks: u32) -> u64 {
        u64::from(blocks).saturating_mul(self.block_len())
    }

    /// Where a range of blocks starts in the backing.
    ///
    /// # Errors
    ///
    /// LOGICAL BLOCK ADDRESS OUT OF RANGE, if not all of it is there. A range of
    /// no blocks has to start at one that is (SBC-4, section 4.5).
    fn locate(&self, range: BlockRange) -> Result<u64, Sense> {
        let blocks = self.blocks();
        let end = range.lba.checked_add(range.blocks.into());
        if range.lba >= blocks || end.is_none_or(|end| end > blocks) {
            return Err(Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE));
        }
        // The backing is that long, so this cannot saturate.
        Ok(range.lba.saturating_mul(self.block_len()))
    }

    fn check_ready(&self) -> Result<(), Sense> {
        if self.stopped.load(Ordering::Relaxed) {
            let why = asc::LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED;
            return Err(Sense::new(SenseKey::NotReady, why));
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<(), Sense> {
        self.check_ready()?;
        if self.read_only {
            return Err(Sense::new(SenseKey::DataProtect, asc::WRITE_PROTECTED));
        }
        Ok(())
    }

    fn write_cache(&self) -> bool {
        self.write_cache.load(Ordering::Relaxed)
    }

    fn durability(&self, force_unit_access: bool) -> Durability {
        if force_unit_access || !self.write_cache() {
            Durability::Durable
        } else {
            Durability::Cached
        }
    }

    fn flush(&self, task: &Task<'_>) -> Result<(), Failure> {
        task.counters.flushes.inc();
        self.backing
            .flush()
            .map_err(|error| failure::of_write(&error).into())
    }

    /// After a write that the backing had no durable form of.
    fn flush_unless_cached(&self, task: &Task<'_>) -> Result<(), Failure> {
        if self.write_cache() {
            Ok(())
        } else {
            self.flush(task)
        }
    }

    fn start_stop(&self, task: &Task<'_>, start: bool, flush: bool) -> Result<u64, Failure> {
        if !start && flush {
            self.flush(task)?;
        }
        self.stopped.store(!start, Ordering::Relaxed);
        Ok(0)
    }

    fn request_sense(&self, task: &Task<'_>, format: Format, allocation: u32) -> u64 {
        let nothing = Sense::new(SenseKey::NoSense, asc::NO_ADDITIONAL_SENSE_INFORMATION);
        let sense = self.check_ready().err().unwrap_or(nothing);
        DataIn::new(task.data_in, allocation).finish(sense.encode(format).as_slice())
    }
}

impl DeviceServer for Disk {
    fn execute(&self, task: &Task<'_>) -> Result<u64, Failure> {
        match Cdb::decode(task.cdb)? {
            Cdb::Read(access) => self.read(task, access),
            Cdb::Write(access) => self.write(task, access),
            Cdb::SynchronizeCache { range } => self.synchronize_cache(task, range),
            Cdb::Verify { range, check } => self.verify(task, range, check),
            Cdb::Unmap { parameter_len } => self.unmap(task, parameter_len),
            Cdb::WriteSame(write_same) => self.write_same(task, write_same),
            Cdb::TestUnitReady => Ok(self.check_ready().map(|()| 0)?),
            Cdb::Inquiry { page, allocation } => self.inquiry(task, page, allocation),
            Cdb::ReadCapacity10 => Ok(self.read_capacity_10(task)),
            Cdb::ReadCapacity16 { allocation } => Ok(self.read_capacity_16(task, allocation)),
            Cdb::ModeSense(mode_sense) => self.mode_sense(task, mode_sense),
            Cdb::ModeSelect(mode_select) => self.mode_select(task, mode_select),
            Cdb::StartStop { start, flush } => self.start_stop(task, start, flush),
            Cdb::RequestSense { format, allocation } => {
                Ok(self.request_sense(task, format, allocation))
            }
            Cdb::ReportOpcodes {
                query,
                timeouts,
                allocation,
            } => self.report_opcodes(task, query, timeouts, allocation),
            // The target answers it.
            Cdb::ReportLuns { .. } => {
                Err(Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE).into())
            }
        }
    }

    fn latency(&self) -> Duration {
        self.latency
    }

    fn reset(&self) {
        self.write_cache.store(true, Ordering::Relaxed);
        self.stopped.store(false, Ordering::Relaxed);
    }

    fn refresh(&self) -> io::Result<bool> {
        let size = self.backing.size()?;
        match size.checked_div(self.block_len()) {
            None | Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(blocks) => Ok(self.blocks.swap(blocks, Ordering::Relaxed) != blocks),
        }
    }
}

fn serial_of(config: &DiskConfig) -> Result<String, DiskError> {
    let serial = &config.serial;
    let is_fine =
        serial.len() <= MAX_SERIAL_LEN && serial.bytes().all(|c| (b' '..=b'~').contains(&c));
    match is_fine {
        true if serial.is_empty() => Ok(serial_of_path(&config.path)),
        true => Ok(serial.clone()),
        false => Err(DiskError::Serial(serial.clone())),
    }
}

/// The serial number that a disk on a file has if it is given none: the same
/// for the same file, 16 characters long.
pub fn serial_of_path(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    format!(
        "{:016x}",
        identify::hash(path.as_os_str().as_encoded_bytes())
    )
}
