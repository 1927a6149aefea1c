// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Whether the disk is ready: TEST UNIT READY, START STOP UNIT, REQUEST SENSE.

use std::sync::atomic::Ordering;

use protocol::scsi::sense::{asc, Format, Sense, SenseKey};

use super::Disk;
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::unit::Task;

impl Disk {
    /// What a stopped disk refuses.
    pub(super) fn check_ready(&self) -> Result<(), Sense> {
        if self.stopped.load(Ordering::Relaxed) {
            let why = asc::LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED;
            return Err(Sense::new(SenseKey::NotReady, why));
        }
        Ok(())
    }

    /// TEST UNIT READY.
    pub(super) fn test_unit_ready(&self) -> Result<u64, Failure> {
        self.check_ready()?;
        Ok(0)
    }

    /// START STOP UNIT.
    pub(super) fn start_stop(
        &self,
        task: &Task<'_>,
        start: bool,
        flush: bool,
    ) -> Result<u64, Failure> {
        if !start && flush {
            self.flush(task)?;
        }
        self.stopped.store(!start, Ordering::Relaxed);
        Ok(0)
    }

    /// REQUEST SENSE, where nothing else is to be told.
    pub(super) fn request_sense(&self, task: &Task<'_>, format: Format, allocation: u32) -> u64 {
        let nothing = Sense::new(SenseKey::NoSense, asc::NO_ADDITIONAL_SENSE_INFORMATION);
        let sense = self.check_ready().err().unwrap_or(nothing);
        DataIn::new(task.data_in, allocation).finish(sense.encode(format).as_slice())
    }
}
