// SPDX-License-Identifier: GPL-2.0

//! How a SCSI command becomes a packet, and an answer its result.

use crate::{
    hba::{
        errno,
        Hba, //
    },
    settings::{
        low_water,
        Kind,
        Level, //
    }, //
};
use guest::{
    scsi::{
        self,
        Busy,
        Command,
        HostByte,
        Status,
        Unit, //
    },
    vmbus::Refusal,
    vmbus_scsi::{
        self,
        Unsent, //
    }, //
};
use kernel::{
    c_str,
    prelude::*,
    sync::ArcBorrow, //
};
use protocol::storvsp::{
    outcome::{
        self,
        srb,
        Asked,
        FollowUp,
        Verdict, //
    },
    request::Address,
    Direction,
    Operation,
    Packet,
    ScsiRequest, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// Sends a command to the host.
///
/// # Errors
///
/// The command, if there is no room for it now.
#[inline]
pub(crate) fn submit(hba: &Hba, command: Command<Hba>) -> Result<(), Busy<Hba>> {
    let Some(packet) = packet(&command) else {
        command.complete(HostByte::BAD_TARGET, Status::GOOD);
        return Ok(());
    };
    match vmbus_scsi::send(&hba.channels, command, packet.as_bytes(), low_water()) {
        Ok(()) => Ok(()),
        Err(unsent) => refuse(hba, unsent),
    }
}

/// A command that was not sent is tried again, or fails.
#[cold]
#[inline(never)]
fn refuse(hba: &Hba, unsent: Unsent<Hba>) -> Result<(), Busy<Hba>> {
    let Unsent { command, reason } = unsent;
    match reason {
        Refusal::Full => return Err(command.busy()),
        // One channel was taken away, which others do without.
        Refusal::Gone if hba.channels.has_lost_channels() && !hba.channels.is_rescinded() => {
            return Err(command.busy());
        }
        Refusal::Gone => command.complete(HostByte::NO_CONNECT, Status::GOOD),
        Refusal::Broken(error) => {
            hba.complain("command was not sent, error", errno(error));
            command.complete(HostByte::ERROR, Status::GOOD);
        }
    }
    Ok(())
}

/// The packet for a command, unless none can express it. The limits of the host are such that this
/// is not asked for.
#[inline]
fn packet(command: &Command<Hba>) -> Option<Packet> {
    let direction = match command.direction() {
        scsi::Direction::None => Direction::None,
        scsi::Direction::Out => Direction::Out,
        scsi::Direction::In => Direction::In,
        scsi::Direction::Both => return None,
    };
    let request = ScsiRequest::with_padded(
        address(command.host_number(), command.unit())?,
        *command.cdb_padded().first_chunk()?,
        command.cdb_len(),
        direction,
        command.data_len(),
        command.is_tagged(),
    )?;
    Some(Packet::with(Operation::EXECUTE_SRB, &request))
}

/// Where a unit is. The number of the controller is of use to nobody, and may be any.
#[inline]
fn address(host: u32, unit: Unit) -> Option<Address> {
    Some(Address {
        port: host as u8,
        path: u8::try_from(unit.channel).ok()?,
        target: u8::try_from(unit.id).ok()?,
        lun: u8::try_from(unit.lun).ok()?,
    })
}

/// Completes a command that the host has answered.
#[inline]
pub(crate) fn finish(hba: ArcBorrow<'_, Hba>, mut command: Command<Hba>, packet: &[u8]) {
    let Some(answer) = answer(packet) else {
        hba.complain(
            "answer to a command is none, of length",
            packet.len() as u64,
        );
        command.complete(HostByte::ERROR, Status::GOOD);
        return;
    };
    let asked = Asked {
        opcode: command.cdb().first().copied().unwrap_or(0),
        transfer_length: command.data_len(),
        is_fibre_channel: hba.kind == Kind::FibreChannel,
    };
    if answer.srb_status != srb::SUCCESS || answer.scsi_status != 0 {
        return finish_other(hba, command, answer, asked);
    }
    let transferred = answer.transfer_length.get().min(asked.transfer_length);
    command.set_residual(asked.transfer_length.wrapping_sub(transferred));
    command.complete(HostByte::OK, Status::GOOD);
}

/// What an answer says of a command, if it is one.
#[inline]
fn answer(packet: &[u8]) -> Option<&ScsiRequest> {
    let (packet, _) = Packet::ref_from_prefix(packet).ok()?;
    if packet.operation() != Operation::COMPLETE_IO {
        return None;
    }
    let (answer, _) = ScsiRequest::ref_from_prefix(&packet.payload).ok()?;
    Some(answer)
}

/// Completes a command for which there is more to say than that it succeeded.
#[cold]
#[inline(never)]
fn finish_other(
    hba: ArcBorrow<'_, Hba>,
    mut command: Command<Hba>,
    answer: &ScsiRequest,
    asked: Asked,
) {
    let verdict = outcome::judge(answer, asked);
    let is_logged = log(&hba, &command, answer, asked, &verdict);
    for (to, from) in command.sense_mut().iter_mut().zip(verdict.sense) {
        *to = *from;
    }
    if is_logged && !verdict.sense.is_empty() && Level::Warning.is_logged() {
        command.print_sense(c_str!("storvsc"));
    }
    command.set_residual(asked.transfer_length.wrapping_sub(verdict.transferred));
    if verdict.follow_up != FollowUp::Nothing {
        hba.follow_up(command.unit(), verdict.follow_up);
    }
    command.complete(host_byte(verdict.host), Status(verdict.status));
}

fn host_byte(host: outcome::HostByte) -> HostByte {
    match host {
        outcome::HostByte::Ok => HostByte::OK,
        outcome::HostByte::Requeue => HostByte::REQUEUE,
        outcome::HostByte::NoConnect => HostByte::NO_CONNECT,
        outcome::HostByte::Error => HostByte::ERROR,
        outcome::HostByte::PassThrough => HostByte::PASSTHROUGH,
    }
}

/// Says what a command ended with, unless that counts as a success. That a unit is not ready is
/// only of interest to who wants to know all. Returns whether it was said.
fn log(
    hba: &Hba,
    command: &Command<Hba>,
    answer: &ScsiRequest,
    asked: Asked,
    verdict: &Verdict<'_>,
) -> bool {
    const TEST_UNIT_READY: u8 = 0;
    let level = match asked.opcode {
        TEST_UNIT_READY => Level::Warning,
        _ => Level::Error,
    };
    let is_success = verdict.host == outcome::HostByte::Ok && verdict.status == 0;
    if is_success || !level.is_logged() || !hba.may_complain() {
        return false;
    }
    dev_warn!(
        hba.dev,
        "tag#{} cmd {:#x} status: scsi {:#x} srb {:#x}\n",
        command.tag() as u16,
        asked.opcode,
        answer.scsi_status,
        answer.srb_status
    );
    true
}

#[kunit_tests(hv_storvsc_command)]
mod tests {
    use super::*;

    #[test]
    fn units_have_addresses_of_bytes() {
        let unit = Unit {
            channel: 7,
            id: 1,
            lun: 254,
        };
        let expected = Address {
            port: 2,
            path: 7,
            target: 1,
            lun: 254,
        };
        assert_eq!(address(0x102, unit), Some(expected));
        assert_eq!(address(0, Unit { lun: 256, ..unit }), None);
        assert_eq!(address(0, Unit { id: 256, ..unit }), None);
        assert_eq!(
            address(
                0,
                Unit {
                    channel: 256,
                    ..unit
                }
            ),
            None
        );
    }

    #[test]
    fn only_a_whole_answer_is_one() {
        let packet = Packet::answer(0);
        let bytes = packet.as_bytes();
        assert!(answer(bytes).is_some());
        assert!(answer(&bytes[..63]).is_none());
        assert!(answer(&[]).is_none());
        let notice = Packet::notice(Operation::ENUMERATE_BUS);
        assert!(answer(notice.as_bytes()).is_none());
    }
}
