// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Who answers a command: a unit, or the target itself.
//!
//! The target answers for units that are absent, for the REPORT LUNS well-known
//! unit, whatever concerns all units (REPORT LUNS), and unit attention
//! conditions, which come before the unit gets to see a command.

use protocol::scsi::cdb::Cdb;
use protocol::scsi::inquiry::{DeviceType, Qualifier, StandardInquiry};
use protocol::scsi::lun::{Lun, REPORT_LUNS_WELL_KNOWN};
use protocol::scsi::opcode;
use protocol::scsi::sense::{asc, Format, Sense, SenseKey};

use crate::backing::Incomplete;
use crate::command::{Command, Failure, Outcome, TaskAttribute};
use crate::data_in::DataIn;
use crate::identity;
use crate::report_luns::report_luns;
use crate::unit::{carry_out, Io, Plan, Task, Unit, Units};

/// Commands of CD-ROM drives that tell what happened in another way, and so
/// come before unit attentions (MMC-6, sections 6.5 and 6.6). Other devices
/// have none with these codes.
const GET_CONFIGURATION: u8 = 0x46;
const GET_EVENT_STATUS_NOTIFICATION: u8 = 0x4a;

/// Begins a command for `unit`, or for a unit that is absent.
pub(crate) fn plan(units: &Units, unit: Option<&Unit>, command: &Command) -> Result<Plan, Failure> {
    match unit {
        Some(unit) => {
            check_attribute(command)?;
            on_unit(units, unit, command)
        }
        None => without_unit(units, command).map(Plan::Done),
    }
}

/// Carries out the rest of a command, and waits for all that it takes.
pub(crate) fn run(
    unit: Option<&Unit>,
    command: &Command,
    plan: Result<Plan, Failure>,
) -> Result<u64, Failure> {
    match (unit, plan) {
        (Some(unit), plan) => carry_out(unit.server.as_ref(), &task_of(unit, command), plan),
        (None, Ok(Plan::Done(transferred))) => Ok(transferred),
        (None, Err(failure)) => Err(failure),
        // The target itself never waits.
        (None, Ok(_)) => Err(Failure::Ended(Outcome::Failed)),
    }
}

/// Tells the device server what came of an access.
pub(crate) fn finish(
    unit: &Unit,
    command: &Command,
    io: &Io,
    result: Result<(), Incomplete>,
) -> Result<Plan, Failure> {
    unit.server.finish(&task_of(unit, command), io, result)
}

/// How a command ended, for its initiator and for the unit's counters.
pub(crate) fn outcome(
    unit: Option<&Unit>,
    command: &Command,
    result: Result<u64, Failure>,
) -> Outcome {
    if let (Some(unit), Err(Failure::Check { .. } | Failure::Status { .. })) = (unit, &result) {
        unit.counters.errors.inc();
    }
    let format = unit.map_or(Format::Fixed, |unit| unit.server.sense_format());
    Outcome::of(command, result, format)
}

fn task_of<'a>(unit: &'a Unit, command: &'a Command) -> Task<'a> {
    Task {
        cdb: command.cdb.as_slice(),
        data_out: &command.data_out,
        data_in: &command.data_in,
        protection: &command.protection,
        counters: &unit.counters,
    }
}

fn without_unit(units: &Units, command: &Command) -> Result<u64, Failure> {
    if !units.has_target(command.target) {
        return Err(Failure::Ended(Outcome::NoTarget));
    }
    check_attribute(command)?;
    match command.lun {
        Lun::WellKnown(REPORT_LUNS_WELL_KNOWN) => on_well_known_unit(units, command),
        _ => on_absent_unit(units, command),
    }
}

fn check_attribute(command: &Command) -> Result<(), Failure> {
    match command.attribute {
        TaskAttribute::Aca => Err(Sense::illegal(asc::INVALID_MESSAGE_ERROR).into()),
        _ => Ok(()),
    }
}

fn on_unit(units: &Units, unit: &Unit, command: &Command) -> Result<Plan, Failure> {
    let opcode = command.cdb.as_slice().first().copied();
    match opcode {
        Some(opcode::INQUIRY | GET_CONFIGURATION | GET_EVENT_STATUS_NOTIFICATION) => {}
        Some(opcode::REPORT_LUNS) => return report_luns(units, command).map(Plan::Done),
        Some(opcode::REQUEST_SENSE) => {
            let decoded = Cdb::decode(command.cdb.as_slice())?;
            if let Some(attention) = unit.attentions.take() {
                return request_sense(command, decoded, attention.sense()).map(Plan::Done);
            }
        }
        _ => {
            if let Some(attention) = unit.attentions.take() {
                return Err(attention.sense().into());
            }
        }
    }
    unit.server.plan(&task_of(unit, command))
}

/// What SPC-5, section 4.12 has a target answer in place of absent units.
fn on_absent_unit(units: &Units, command: &Command) -> Result<u64, Failure> {
    let not_supported = Sense::illegal(asc::LOGICAL_UNIT_NOT_SUPPORTED);
    match Cdb::decode(command.cdb.as_slice()) {
        Ok(Cdb::Inquiry {
            page: None,
            allocation,
        }) => inquiry(command, Qualifier::Absent, DeviceType::Unknown, allocation),
        Ok(Cdb::ReportLuns { .. }) => report_luns(units, command),
        Ok(decoded @ Cdb::RequestSense { .. }) => request_sense(command, decoded, not_supported),
        _ => Err(not_supported.into()),
    }
}

/// The well-known logical unit for REPORT LUNS (SPC-5, section 8.2).
fn on_well_known_unit(units: &Units, command: &Command) -> Result<u64, Failure> {
    match Cdb::decode(command.cdb.as_slice())? {
        Cdb::Inquiry {
            page: None,
            allocation,
        } => inquiry(
            command,
            Qualifier::Connected,
            DeviceType::WellKnown,
            allocation,
        ),
        Cdb::Inquiry { page: Some(_), .. } => Err(Sense::invalid_cdb(2, None).into()),
        Cdb::ReportLuns { .. } => report_luns(units, command),
        Cdb::TestUnitReady => Ok(0),
        decoded @ Cdb::RequestSense { .. } => request_sense(command, decoded, no_sense()),
        _ => Err(Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE).into()),
    }
}

fn inquiry(
    command: &Command,
    qualifier: Qualifier,
    device_type: DeviceType,
    allocation: u32,
) -> Result<u64, Failure> {
    let data = StandardInquiry::new(qualifier, device_type, identity::names("TARGET"));
    Ok(DataIn::new(&command.data_in, allocation).finish(&data))
}

/// REQUEST SENSE, answered with `sense`.
pub(crate) fn request_sense(command: &Command, cdb: Cdb, sense: Sense) -> Result<u64, Failure> {
    let (format, allocation) = match cdb {
        Cdb::RequestSense { format, allocation } => (format, allocation),
        _ => (Format::Fixed, 0),
    };
    Ok(DataIn::new(&command.data_in, allocation).finish(sense.encode(format).as_slice()))
}

fn no_sense() -> Sense {
    Sense::new(SenseKey::NoSense, asc::NO_ADDITIONAL_SENSE_INFORMATION)
}
