// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A CD and DVD drive (MMC-6) for disc images.
//!
//! | module | what |
//! |---|---|
//! | `medium` | the disc: an image that is opened |
//! | `drive` | tray, lock and medium, as the guest and the host move them |
//! | `read` | commands that read the disc |
//! | `contents` | what is on it: its table of contents, session and track |
//! | `features` | what drive and disc can do: GET CONFIGURATION |
//! | `settings` | MODE SENSE, MODE SELECT |
//! | `identify` | INQUIRY with its VPD pages |
//!
//! An image has the user data of 2048-byte blocks and nothing else. So there is
//! one session with one data track, and commands that ask for what surrounds
//! blocks on a CD (sub-channels, error correction) or for audio are refused.
//! Up to the size of the longest CD it is one, and beyond a DVD.
//!
//! The drive has two sides. The guest's commands come to [`CdRom`]; whoever
//! runs the machine changes the disc by the [`Drive`] that it shares.

mod contents;
mod drive;
mod features;
mod identify;
mod medium;
mod read;
mod settings;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::scsi::cdb::Cdb;
use protocol::scsi::mmc::cdb::MmcCdb;
use protocol::scsi::mmc::event;
use protocol::scsi::sense::{asc, Format, Sense, SenseKey};
use thiserror::Error;

use crate::command::Failure;
use crate::data_in::DataIn;
use crate::disk::{DiskError, MAX_SERIAL_LEN};
use crate::identity::Identify;
use crate::unit::{DeviceServer, Plan, Task};

pub use drive::{Drive, DriveError, DriveStatus};
use medium::Medium;

/// What a drive is to be.
#[derive(Clone, Debug, Default)]
pub struct CdRomConfig {
    /// The image that is in it, if there is one.
    pub path: Option<PathBuf>,
    /// The serial number: up to [`MAX_SERIAL_LEN`] printable ASCII characters.
    /// Drives that a guest shall tell apart need different ones. If it is empty,
    /// the drive has no name of its own.
    pub serial: String,
}

/// Why there is no drive.
#[derive(Debug, Error)]
pub enum CdRomError {
    /// The image cannot be used.
    #[error(transparent)]
    Medium(#[from] DriveError),
    /// The serial number cannot be reported.
    #[error(transparent)]
    Serial(#[from] DiskError),
}

/// A drive, as the guest sees it.
pub struct CdRom {
    drive: Arc<Drive>,
    serial: String,
}

impl CdRom {
    /// A drive with the image of `config`.
    ///
    /// # Errors
    ///
    /// See [`CdRomError`].
    pub fn open(config: &CdRomConfig) -> Result<Self, CdRomError> {
        let serial = config.serial.clone();
        if !is_serial(&serial) {
            return Err(DiskError::Serial(serial).into());
        }
        let medium = config.path.as_deref().map(Medium::open).transpose()?;
        Ok(Self {
            drive: Arc::new(Drive::new(medium)),
            serial,
        })
    }

    /// The drive, as whoever runs the machine has it.
    pub fn drive(&self) -> Arc<Drive> {
        Arc::clone(&self.drive)
    }

    /// Commands that tell of themselves what happened to the medium, and so
    /// neither need one nor are kept from being executed by a change.
    fn about_drive(&self, task: &Task<'_>, cdb: MmcCdb) -> Option<Result<u64, Failure>> {
        Some(match cdb {
            MmcCdb::Shared(Cdb::Inquiry { page, allocation }) => {
                self.inquiry(task, page, allocation)
            }
            MmcCdb::Shared(Cdb::RequestSense { format, allocation }) => {
                Ok(self.request_sense(task, format, allocation))
            }
            MmcCdb::GetConfiguration {
                request,
                allocation,
            } => Ok(self.get_configuration(task, request, allocation)),
            MmcCdb::GetEventStatus {
                classes,
                allocation,
            } => Ok(self.get_event_status(task, classes, allocation)),
            _ => return None,
        })
    }

    fn request_sense(&self, task: &Task<'_>, format: Format, allocation: u32) -> u64 {
        let nothing = Sense::new(SenseKey::NoSense, asc::NO_ADDITIONAL_SENSE_INFORMATION);
        let sense = self
            .drive
            .check_unchanged()
            .and_then(|()| self.drive.medium().map(|_| nothing));
        let sense = sense.unwrap_or_else(|sense| sense);
        DataIn::new(task.data_in, allocation).finish(sense.encode(format).as_slice())
    }

    fn get_event_status(&self, task: &Task<'_>, classes: u8, allocation: u32) -> u64 {
        let mut data = DataIn::new(task.data_in, allocation);
        if classes & event::MEDIA_CLASS_BIT == 0 {
            return data.finish(&event::Header::NONE);
        }
        data.put(&event::Header::MEDIA);
        data.finish(&self.drive.take_event())
    }
}

impl DeviceServer for CdRom {
    fn execute(&self, task: &Task<'_>) -> Result<u64, Failure> {
        let cdb = MmcCdb::decode(task.cdb)?;
        if let Some(result) = self.about_drive(task, cdb) {
            return result;
        }
        self.drive.check_unchanged()?;
        match cdb {
            MmcCdb::Shared(Cdb::TestUnitReady) => Ok(self.drive.medium().map(|_| 0)?),
            MmcCdb::Shared(Cdb::Read(access)) => self.read(task, access.range),
            MmcCdb::Shared(Cdb::ReadCapacity10) => self.read_capacity(task),
            MmcCdb::Shared(Cdb::ModeSense(mode_sense)) => self.mode_sense(task, mode_sense),
            MmcCdb::Shared(Cdb::ModeSelect(mode_select)) => self.mode_select(task, mode_select),
            MmcCdb::ReadCd { range, user_data } => self.read_cd(task, range, user_data),
            MmcCdb::Seek { lba } => self.seek(lba),
            MmcCdb::StartStop(motion) => Ok(self.drive.move_tray(motion).map(|()| 0)?),
            MmcCdb::PreventRemoval { prevent } => {
                self.drive.set_locked(prevent);
                Ok(0)
            }
            MmcCdb::ReadToc {
                format,
                msf,
                allocation,
            } => self.read_toc(task, format, msf, allocation),
            MmcCdb::ReadDiscInformation { allocation } => {
                self.read_disc_information(task, allocation)
            }
            MmcCdb::ReadTrackInformation {
                address,
                allocation,
            } => self.read_track_information(task, address, allocation),
            MmcCdb::ReadDiscStructure {
                layer,
                format,
                allocation,
            } => self.read_disc_structure(task, layer, format, allocation),
            MmcCdb::MechanismStatus { allocation } => Ok(self.mechanism_status(task, allocation)),
            // What is left is done before, or, as REPORT LUNS, by the target.
            MmcCdb::Shared(_) | MmcCdb::GetConfiguration { .. } | MmcCdb::GetEventStatus { .. } => {
                Err(Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE).into())
            }
        }
    }

    /// Reading waits for the host's disk. All else is known.
    fn plan(&self, task: &Task<'_>) -> Result<Plan, Failure> {
        match MmcCdb::decode(task.cdb)? {
            MmcCdb::Shared(Cdb::Read(_)) | MmcCdb::ReadCd { .. } => Ok(Plan::Blocking),
            _ => self.execute(task).map(Plan::Done),
        }
    }

    fn reset(&self) {
        self.drive.reset();
    }

    /// The size of a disc is that of the image when it was put in.
    fn refresh(&self) -> io::Result<bool> {
        Ok(false)
    }
}

fn is_serial(text: &str) -> bool {
    text.len() <= MAX_SERIAL_LEN && text.bytes().all(|c| (b' '..=b'~').contains(&c))
}
