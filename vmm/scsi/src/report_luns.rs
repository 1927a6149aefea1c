// SPDX-License-Identifier: GPL-2.0 OR MIT

//! REPORT LUNS (SPC-5, section 6.32).

use protocol::scsi::cdb::Cdb;
use protocol::scsi::lun::{Lun, REPORT_LUNS_WELL_KNOWN};
use protocol::scsi::sense::Sense;

use crate::attention::Attention;
use crate::command::{Command, Failure};
use crate::data_in::DataIn;
use crate::unit::Units;

/// SELECT REPORT (SPC-5, table 288).
mod select {
    /// Ordinary units, in any of the single-level addressing methods.
    pub const ORDINARY: u8 = 0x00;
    /// Well-known units.
    pub const WELL_KNOWN: u8 = 0x01;
    /// All that the initiator can reach.
    pub const ALL: u8 = 0x02;
    /// Administrative units, of which there are none.
    pub const ADMINISTRATIVE: u8 = 0x10;
    /// Administrative units, and those outside of conglomerates: all ordinary ones.
    pub const TOP_LEVEL: u8 = 0x11;
}

/// Answers REPORT LUNS with the units of the command's target.
pub(crate) fn report_luns(units: &Units, command: &Command) -> Result<u64, Failure> {
    let (select, allocation) = match Cdb::decode(command.cdb.as_slice())? {
        Cdb::ReportLuns { select, allocation } => (select, allocation),
        _ => return Err(Sense::invalid_cdb(0, None).into()),
    };
    let (ordinary, well_known) = match select {
        select::ORDINARY | select::TOP_LEVEL => (true, false),
        select::WELL_KNOWN => (false, true),
        select::ALL => (true, true),
        select::ADMINISTRATIVE => (false, false),
        _ => return Err(Sense::invalid_cdb(2, None).into()),
    };
    let luns = || {
        let well_known = well_known.then_some(Lun::WellKnown(REPORT_LUNS_WELL_KNOWN));
        let ordinary = units.of_target(command.target).filter(move |_| ordinary);
        ordinary.map(|(lun, _)| Lun::Unit(lun)).chain(well_known)
    };
    let transferred = write_list(DataIn::new(&command.data_in, allocation), luns);
    tell_no_more(units, command.target);
    Ok(transferred)
}

fn write_list<I: Iterator<Item = Lun>>(mut data: DataIn<'_>, luns: impl Fn() -> I) -> u64 {
    let len = luns().count().saturating_mul(size_of::<u64>());
    // At most 16,385 units of 8 bytes each.
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    data.put(&len.to_be_bytes()).put(&[0_u8; 4]);
    for lun in luns() {
        data.put(&lun.encode());
    }
    data.transferred()
}

/// The initiator now knows which units there are.
fn tell_no_more(units: &Units, target: u8) {
    for (_, unit) in units.of_target(target) {
        unit.attentions.clear(Attention::LunsChanged);
    }
}
