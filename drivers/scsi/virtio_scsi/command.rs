// SPDX-License-Identifier: GPL-2.0

//! How a SCSI command becomes a request, and a response its result.

use crate::hba::Hba;
use core::mem::size_of;
use guest::{
    scsi::{
        Busy,
        Command,
        Direction,
        HostByte,
        Status,
        CDB_ROOM, //
    },
    virtio::{
        Kick,
        Refusal,
        Refused, //
    },
    virtio_scsi::Envelope, //
};
use kernel::prelude::*;
use protocol::virtio_scsi::{
    Anomaly,
    CommandHeader,
    CommandHeaderPi,
    CommandRequestPi,
    CommandResponse,
    Lun,
    LunField,
    Outcome,
    ResponseCode,
    ResponseHeader,
    TaskAttribute,
    CDB_SIZE, //
};
use zerocopy::little_endian::{
    U32,
    U64, //
};

/// What is behind each command: its request and its response.
///
/// There is room for the header with protection information; without that, the shorter one is
/// at the beginning of it.
pub(crate) type Private = Envelope<CommandRequestPi, CommandResponse>;

/// The SCSI layer has a command in as many bytes as a request.
const _: () = assert!(CDB_ROOM == CDB_SIZE);

/// Sends a command to the device.
///
/// # Errors
///
/// The command, if its queue is full.
#[inline]
pub(crate) fn submit(hba: &Hba, command: Command<Hba>) -> Result<(), Busy<Hba>> {
    let Some(queue) = hba.requests.get(usize::from(command.queue())) else {
        command.complete(HostByte::BAD_TARGET, Status::GOOD);
        return Ok(());
    };
    let command = match write_request(hba, command) {
        Ok(command) => command,
        Err(command) => {
            command.complete(HostByte::BAD_TARGET, Status::GOOD);
            return Ok(());
        }
    };
    let kick = if command.is_last() {
        Kick::Now
    } else {
        Kick::Later
    };
    match queue.add(command, kick) {
        Ok(()) => Ok(()),
        Err(Refused { token, reason }) => match reason {
            Refusal::Full => Err(token.busy()),
            Refusal::Broken => {
                // The device is gone, or was stopped, or else it is now.
                hba.stop_soon();
                token.complete(HostByte::BAD_TARGET, Status::GOOD);
                Ok(())
            }
        },
    }
}

/// Writes the request for a command.
///
/// # Errors
///
/// The command, if a request cannot express it. The limits of the host are such that this is not
/// asked for.
#[inline]
fn write_request(
    hba: &Hba,
    mut command: Command<Hba>,
) -> core::result::Result<Command<Hba>, Command<Hba>> {
    let unit = command.unit();
    let lun = match Lun::from_linux(unit.id, unit.lun) {
        Some(lun) if command.direction() != Direction::Both => lun.to_flat(),
        _ => return Err(command),
    };
    if hba.protection {
        return Ok(write_protected(command, lun));
    }
    let header = header(lun, &command);
    let (cdb, response) = (command.cdb_padded(), ResponseHeader::UNWRITTEN);
    command.private_mut().fill(header, cdb, response);
    Ok(command)
}

/// Writes a request with the longer header, for protection information ahead of the data.
#[inline(never)]
fn write_protected(mut command: Command<Hba>, lun: LunField) -> Command<Hba> {
    let len = U32::new(command.protection_len());
    let (pi_bytesout, pi_bytesin) = match command.direction() {
        Direction::Out => (len, U32::ZERO),
        Direction::In => (U32::ZERO, len),
        Direction::None | Direction::Both => (U32::ZERO, U32::ZERO),
    };
    let header = CommandHeaderPi {
        header: header(lun, &command),
        pi_bytesout,
        pi_bytesin,
    };
    let (cdb, response) = (command.cdb_padded(), ResponseHeader::UNWRITTEN);
    command.private_mut().fill(header, cdb, response);
    command
}

#[inline]
fn header(lun: LunField, command: &Command<Hba>) -> CommandHeader {
    CommandHeader {
        lun,
        tag: U64::new(command.tag().into()),
        task_attr: TaskAttribute::SIMPLE.0,
        prio: 0,
        crn: 0,
    }
}

/// Completes a command that the device has returned.
#[inline]
pub(crate) fn finish(hba: &Hba, mut command: Command<Hba>, used_len: u32) {
    let header: ResponseHeader = command.private().response();
    if !header.is_plain(used_len, command.data_len()) {
        return finish_other(hba, command, header, used_len);
    }
    command.set_residual(header.resid.get());
    command.complete(HostByte::OK, Status(header.status));
}

/// Completes a command that has failed, or for which there is more to say than that it has not.
#[cold]
#[inline(never)]
fn finish_other(hba: &Hba, mut command: Command<Hba>, header: ResponseHeader, used_len: u32) {
    let outcome = header.check(used_len, command.data_len());
    if let Some(anomaly) = outcome.anomaly {
        complain(hba, anomaly);
    }
    command.set_residual(outcome.residual);
    if outcome.sense_len != 0 {
        let (envelope, sense) = command.private_and_sense();
        if let Some(sense) = sense.get_mut(..outcome.sense_len) {
            envelope.copy_response(size_of::<ResponseHeader>(), sense);
        }
    }
    let (host, status) = result(&outcome);
    command.complete(host, status);
}

/// What the SCSI layer is told of an outcome.
fn result(outcome: &Outcome) -> (HostByte, Status) {
    let status = Status(outcome.status);
    match outcome.response {
        ResponseCode::OK => (HostByte::OK, status),
        ResponseCode::ABORTED => (HostByte::ABORT, status),
        ResponseCode::BAD_TARGET | ResponseCode::TARGET_FAILURE => (HostByte::BAD_TARGET, status),
        ResponseCode::RESET => (HostByte::RESET, status),
        ResponseCode::BUSY => (HostByte::BUS_BUSY, status),
        ResponseCode::TRANSPORT_FAILURE => (HostByte::TRANSPORT_DISRUPTED, status),
        ResponseCode::NEXUS_FAILURE => (HostByte::OK, Status::RESERVATION_CONFLICT),
        // An overrun, a failure, and whatever else could not be used.
        _ => (HostByte::ERROR, status),
    }
}

#[cold]
#[inline(never)]
fn complain(hba: &Hba, anomaly: Anomaly) {
    let (what, value) = match anomaly {
        Anomaly::ShortResponse(len) => ("response is too short", len),
        Anomaly::Unwritten => ("request was returned without a response", 0),
        Anomaly::UnknownResponse(code) => ("unknown response", code.into()),
        Anomaly::SenseLength(len) => ("sense length is too large", len),
        Anomaly::Residual(resid) => ("residual is too large", resid),
    };
    hba.complain(what, value);
}

#[kunit_tests(virtio_scsi_command)]
mod tests {
    use super::*;

    fn result_of(response: ResponseCode, status: u8) -> (HostByte, Status) {
        result(&Outcome {
            response,
            status,
            residual: 0,
            sense_len: 0,
            anomaly: None,
        })
    }

    #[test]
    fn responses_become_results() {
        let cases = [
            (ResponseCode::OK, HostByte::OK),
            (ResponseCode::OVERRUN, HostByte::ERROR),
            (ResponseCode::ABORTED, HostByte::ABORT),
            (ResponseCode::BAD_TARGET, HostByte::BAD_TARGET),
            (ResponseCode::RESET, HostByte::RESET),
            (ResponseCode::BUSY, HostByte::BUS_BUSY),
            (
                ResponseCode::TRANSPORT_FAILURE,
                HostByte::TRANSPORT_DISRUPTED,
            ),
            (ResponseCode::TARGET_FAILURE, HostByte::BAD_TARGET),
            (ResponseCode::FAILURE, HostByte::ERROR),
        ];
        for (response, host) in cases {
            assert_eq!(result_of(response, 2), (host, Status(2)));
        }
    }

    #[test]
    fn nexus_failure_is_a_conflict() {
        let expected = (HostByte::OK, Status::RESERVATION_CONFLICT);
        assert_eq!(result_of(ResponseCode::NEXUS_FAILURE, 0), expected);
    }
}
