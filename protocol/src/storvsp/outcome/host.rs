// SPDX-License-Identifier: GPL-2.0 OR MIT

//! From what a unit says to an answer.

use zerocopy::little_endian::U32;

use super::srb;
use crate::scsi::status;
use crate::storvsp::request::{ScsiRequest, SENSE_SIZE};

/// How a command ended for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// The unit answered.
    Status {
        /// Its SCSI status.
        status: u8,
        /// Number of bytes that were transferred.
        transferred: u32,
        /// Its sense data, none if there is none.
        sense: &'a [u8],
    },
    /// It was given up, by a reset of the unit or of the whole machine.
    Aborted,
    /// It was given up by a reset of the bus.
    BusReset,
    /// It took too long.
    TimedOut,
    /// There is no such unit.
    NoUnit,
    /// The request makes no sense.
    Invalid,
    /// The host is at fault.
    Failed,
}

/// The answer to a command: the request with what has become of it.
pub fn answer(request: &ScsiRequest, ending: &Ending<'_>) -> ScsiRequest {
    let mut answer = *request;
    answer.scsi_status = status::GOOD;
    answer.sense_length = 0;
    answer.transfer_length = U32::ZERO;
    answer.srb_status = match ending {
        Ending::Status {
            status,
            transferred,
            sense,
        } => {
            answer.scsi_status = *status;
            answer.transfer_length = U32::new(*transferred);
            let has_sense =
                *status == status::CHECK_CONDITION && put_sense(&mut answer, request, sense);
            srb_status(*status, has_sense)
        }
        Ending::Aborted => srb::ABORTED,
        Ending::BusReset => srb::BUS_RESET,
        Ending::TimedOut => srb::TIMEOUT,
        Ending::NoUnit => srb::INVALID_LUN,
        Ending::Invalid => srb::INVALID_REQUEST,
        Ending::Failed => srb::INTERNAL_ERROR,
    };
    answer
}

/// Puts as much sense data in the place of the CDB as the guest wants. Says whether that is any.
fn put_sense(answer: &mut ScsiRequest, request: &ScsiRequest, sense: &[u8]) -> bool {
    let room = request
        .command()
        .map_or(0, |command| usize::from(command.sense_length));
    let bytes = sense.iter().take(room).take(SENSE_SIZE);
    answer.sense_length = u8::try_from(bytes.len()).unwrap_or(0);
    answer.cdb_or_sense = [0; SENSE_SIZE];
    for (to, from) in answer.cdb_or_sense.iter_mut().zip(bytes) {
        *to = *from;
    }
    answer.sense_length != 0
}

const fn srb_status(status: u8, has_sense: bool) -> u8 {
    match status {
        status::GOOD => srb::SUCCESS,
        status::BUSY | status::TASK_SET_FULL => srb::BUSY,
        _ if has_sense => srb::ERROR | srb::AUTOSENSE_VALID,
        _ => srb::ERROR,
    }
}
