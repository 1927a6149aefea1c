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

use crate::command::{Command, Failure, Outcome, TaskAttribute};
use crate::data_in::DataIn;
use crate::identity;
use crate::report_luns::report_luns;
use crate::unit::{Task, Unit, Units};

/// Executes a command for `unit`, or for a unit that is absent.
pub(crate) fn execute(units: &Units, unit: Option<&Unit>, command: &Command) -> Outcome {
    let Some(unit) = unit else {
        return execute_without_unit(units, command);
    };
    let result = check_attribute(command).and_then(|()| on_unit(units, unit, command));
    if let Err(Failure::Check { .. }) = result {
        unit.counters.errors.inc();
    }
    Outcome::of(command, result)
}

fn execute_without_unit(units: &Units, command: &Command) -> Outcome {
    if !units.has_target(command.target) {
        return Outcome::NoTarget;
    }
    let result = check_attribute(command).and_then(|()| match command.lun {
        Lun::WellKnown(REPORT_LUNS_WELL_KNOWN) => on_well_known_unit(units, command),
        _ => on_absent_unit(units, command),
    });
    Outcome::of(command, result)
}

fn check_attribute(command: &Command) -> Result<(), Failure> {
    match command.attribute {
        TaskAttribute::Aca => Err(Sense::illegal(asc::INVALID_MESSAGE_ERROR).into()),
        _ => Ok(()),
    }
}

fn on_unit(units: &Units, unit: &Unit, command: &Command) -> Result<u64, Failure> {
    let opcode = command.cdb.as_slice().first().copied();
    match opcode {
        Some(opcode::INQUIRY) => {}
        Some(opcode::REPORT_LUNS) => return report_luns(units, command),
        Some(opcode::REQUEST_SENSE) => {
            let decoded = Cdb::decode(command.cdb.as_slice())?;
            if let Some(attention) = unit.attentions.take() {
                return request_sense(command, decoded, attention.sense());
            }
        }
        _ => {
            if let Some(attention) = unit.attentions.take() {
                return Err(attention.sense().into());
            }
        }
    }
    unit.server.execute(&Task {
        cdb: command.cdb.as_slice(),
        data_out: &command.data_out,
        data_in: &command.data_in,
        counters: &unit.counters,
    })
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
