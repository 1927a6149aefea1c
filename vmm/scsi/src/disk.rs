// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A direct-access block device (SBC-4) on a [`Backing`].
//!
//! | module | commands |
//! |---|---|
//! | `config` | what a disk can be asked to be |
//! | `media` | READ, WRITE, SYNCHRONIZE CACHE |
//! | `gate` | what keeps COMPARE AND WRITE uninterrupted |
//! | `compare` | COMPARE AND WRITE |
//! | `verify` | VERIFY, WRITE AND VERIFY |
//! | `provisioning` | UNMAP, WRITE SAME |
//! | `lba_status` | GET LBA STATUS |
//! | `identify` | INQUIRY with its VPD pages, READ CAPACITY |
//! | `settings` | MODE SENSE, MODE SELECT |
//! | `reservations` | PERSISTENT RESERVE IN and OUT, RESERVE, RELEASE |
//! | `log` | LOG SENSE |
//! | `health` | which errors there were, SEND DIAGNOSTIC |
//! | `power` | TEST UNIT READY, START STOP UNIT, REQUEST SENSE |
//! | `protection` | all that read or write, on disks with protection information |
//! | `opcodes` | REPORT SUPPORTED OPERATION CODES, and TASK MANAGEMENT FUNCTIONS |
//! | `failure` | which sense data an error of the system becomes |
//!
//! The write cache that the guest sees is the host's page cache: with WCE set,
//! which it is after power on, writes are durable after SYNCHRONIZE CACHE or
//! with FUA; with WCE clear, each is.

mod compare;
mod config;
pub(crate) mod failure;
mod gate;
mod health;
mod identify;
mod lba_status;
mod log;
mod media;
mod opcodes;
mod power;
mod protection;
mod provisioning;
mod reservations;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use protocol::scsi::cdb::{BlockRange, Cdb};
use protocol::scsi::sense::{asc, Format, Sense, SenseKey};

use crate::backing::{Backing, Durability, Incomplete, RawFile};
use crate::command::Failure;
use crate::identity::Identify;
use crate::unit::{DeviceServer, Io, Plan, Task};

use self::config::serial_of;
use self::gate::Gate;
use self::health::Health;
use self::protection::Protection;
use self::reservations::Reservations;
use self::settings::Settings;

pub(crate) use self::media::check_room;

pub use self::protection::ProtectionType;

pub use self::config::{serial_of_path, BlockSize, DiskConfig, DiskError, MAX_SERIAL_LEN};

/// The most bytes that one command reads, writes, verifies or fills: none takes
/// for ever, however large the disk, and holds up a reset meanwhile.
const MAX_COMMAND_BYTES: u32 = 64 << 20;

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
    settings: Settings,
    reservations: Reservations,
    health: Health,
    gate: Gate,
    protection: Option<Protection>,
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
            settings: Settings::default(),
            reservations: Reservations::default(),
            health: Health::default(),
            gate: Gate::default(),
            protection: Protection::open(config)?,
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

    fn check_writable(&self) -> Result<(), Sense> {
        self.check_ready()?;
        if self.is_protected() {
            return Err(Sense::new(SenseKey::DataProtect, asc::WRITE_PROTECTED));
        }
        Ok(())
    }

    fn is_protected(&self) -> bool {
        self.read_only || self.settings.software_protect()
    }

    fn write_cache(&self) -> bool {
        self.settings.write_cache()
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
            .map_err(|error| self.write_failed(&error))?;
        Ok(self.protection_flush()?)
    }

    /// After a write that the backing had no durable form of.
    fn flush_unless_cached(&self, task: &Task<'_>) -> Result<(), Failure> {
        if self.write_cache() {
            Ok(())
        } else {
            self.flush(task)
        }
    }

    /// Executes a command that only asks for something.
    fn execute_query(&self, task: &Task<'_>, cdb: Cdb) -> Result<u64, Failure> {
        match cdb {
            Cdb::TestUnitReady => self.test_unit_ready(),
            Cdb::Inquiry { page, allocation } => self.inquiry(task, page, allocation),
            Cdb::ReadCapacity10 => Ok(self.read_capacity_10(task)),
            Cdb::ReadCapacity16 { allocation } => Ok(self.read_capacity_16(task, allocation)),
            Cdb::ModeSense(mode_sense) => self.mode_sense(task, mode_sense),
            Cdb::LogSense(log_sense) => self.log_sense(task, log_sense),
            Cdb::RequestSense { format, allocation } => {
                Ok(self.request_sense(task, format, allocation))
            }
            Cdb::ReportOpcodes {
                query,
                timeouts,
                allocation,
            } => self.report_opcodes(task, query, timeouts, allocation),
            Cdb::ReportTaskFunctions {
                extended,
                allocation,
            } => Ok(self.report_task_functions(task, extended, allocation)),
            // The target answers REPORT LUNS, and the others are not queries.
            _ => Err(Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE).into()),
        }
    }
}

impl DeviceServer for Disk {
    fn execute(&self, task: &Task<'_>) -> Result<u64, Failure> {
        let cdb = Cdb::decode(task.cdb)?;
        self.check_reservations(&cdb)?;
        match cdb {
            Cdb::Read(access) => self.read(task, access),
            Cdb::Write(access) => self.write(task, access),
            Cdb::SynchronizeCache { range } => self.synchronize_cache(task, range),
            Cdb::Verify(verify) => self.verify(task, verify),
            Cdb::WriteAndVerify(verify) => self.write_and_verify(task, verify),
            Cdb::CompareAndWrite(access) => self.compare_and_write(task, access),
            Cdb::Unmap { parameter_len } => self.unmap(task, parameter_len),
            Cdb::WriteSame(write_same) => self.write_same(task, write_same),
            Cdb::GetLbaStatus { lba, allocation } => self.get_lba_status(task, lba, allocation),
            Cdb::ModeSelect(mode_select) => self.mode_select(task, mode_select),
            Cdb::StartStop { start, flush } => self.start_stop(task, start, flush),
            Cdb::SendDiagnostic { self_test } => Ok(self.send_diagnostic(self_test)?),
            Cdb::ReserveIn { action, allocation } => self.reserve_in(task, action, allocation),
            Cdb::ReserveOut(command) => self.reserve_out(task, command),
            Cdb::Reserve => self.reserve(),
            Cdb::Release => self.release(),
            other => self.execute_query(task, other),
        }
    }

    fn plan(&self, task: &Task<'_>) -> Result<Plan, Failure> {
        self.plan_command(task)
    }

    fn finish(
        &self,
        task: &Task<'_>,
        io: &Io,
        result: Result<(), Incomplete>,
    ) -> Result<Plan, Failure> {
        self.finish_access(task, io, result)
    }

    fn defer(&self, io: Io) -> Plan {
        self.defer_access(io)
    }

    fn medium(&self) -> Option<&dyn Backing> {
        Some(self.backing.as_ref())
    }

    fn latency(&self) -> Duration {
        self.latency
    }

    fn reset(&self) {
        self.settings.reset();
        self.reservations.drop_legacy();
        self.stopped.store(false, Ordering::Relaxed);
    }

    fn nexus_lost(&self) {
        self.reservations.drop_legacy();
    }

    fn sense_format(&self) -> Format {
        self.settings.sense_format()
    }

    fn refresh(&self) -> io::Result<bool> {
        let size = self.backing.size()?;
        match size.checked_div(self.block_len()) {
            None | Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(blocks) => {
                self.protection_resized(blocks)?;
                Ok(self.blocks.swap(blocks, Ordering::Relaxed) != blocks)
            }
        }
    }
}
