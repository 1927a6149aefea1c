// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which errors there were, for the log pages and the self-test.

use std::io;

use hospes_device::counters::Counter;
use protocol::scsi::sense::{asc, Sense, SenseKey};

use super::{failure, Disk};

/// What a disk counts of its own errors, since it was opened.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Reads that failed because of the medium.
    pub(super) read_errors: Counter,
    /// Writes and flushes that did.
    pub(super) write_errors: Counter,
    /// Verifications that did.
    pub(super) verify_errors: Counter,
    /// Failures of anything else: a file that is gone, a system that lacks
    /// memory.
    pub(super) other_errors: Counter,
    /// Bytes that were verified.
    pub(super) verified_bytes: Counter,
}

impl Disk {
    /// The sense data of a read that failed, which is counted.
    pub(super) fn read_failed(&self, error: &io::Error) -> Sense {
        self.count(failure::of_read(error), &self.health.read_errors)
    }

    /// The sense data of a write or a flush that failed, which is counted.
    pub(super) fn write_failed(&self, error: &io::Error) -> Sense {
        self.count(failure::of_write(error), &self.health.write_errors)
    }

    /// The sense data of a verification that could not read, which is counted.
    pub(super) fn verify_failed(&self, error: &io::Error) -> Sense {
        self.count(failure::of_read(error), &self.health.verify_errors)
    }

    fn count(&self, sense: Sense, of_medium: &Counter) -> Sense {
        match sense.key {
            SenseKey::MediumError => of_medium.inc(),
            // The medium is full, or may not be written to: no error of its own.
            SenseKey::DataProtect => {}
            _ => self.health.other_errors.inc(),
        }
        sense
    }

    /// SEND DIAGNOSTIC: the default self-test reads the first block.
    pub(super) fn send_diagnostic(&self, self_test: bool) -> Result<u64, Sense> {
        if self_test {
            self.check_ready()?;
            let mut block = vec![0; self.block_size.bytes() as usize];
            self.backing.read_bytes(0, &mut block).map_err(|error| {
                self.read_failed(&error);
                Sense::new(SenseKey::HardwareError, asc::LOGICAL_UNIT_FAILED_SELF_TEST)
            })?;
        }
        Ok(0)
    }
}
