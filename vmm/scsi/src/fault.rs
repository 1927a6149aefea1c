// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What devices that are told to do something wrong need of the target.

use protocol::scsi::opcode::INQUIRY;
use protocol::scsi::sense::SenseBytes;
use protocol::scsi::status;

use crate::{CdbBytes, Command};

/// Makes a command one that does nothing: INQUIRY for no data, which does not
/// even take a unit attention condition away. So a command that is not to be
/// executed waits and is aborted as any other.
pub fn disarm(command: &mut Command) {
    command.cdb = CdbBytes::new(&[INQUIRY, 0, 0, 0, 0, 0]);
    (command.data_out, command.data_in) = Default::default();
}

/// Sense data in fixed format, with any values; none for a status that has none.
pub fn sense(status: u8, key: u8, asc: u8, ascq: u8) -> SenseBytes {
    if status != status::CHECK_CONDITION {
        return SenseBytes::default();
    }
    let mut bytes = [0; 18];
    // Response code, sense key, additional length, ASC and ASCQ
    // (SPC-5, section 4.4.3).
    let fields = [(0, 0x70), (2, key), (7, 10), (12, asc), (13, ascq)];
    for (offset, value) in fields {
        if let Some(byte) = bytes.get_mut(offset) {
            *byte = value;
        }
    }
    SenseBytes::new(&bytes)
}
