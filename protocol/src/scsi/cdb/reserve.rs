// SPDX-License-Identifier: GPL-2.0 OR MIT

//! PERSISTENT RESERVE IN and OUT (SPC-5, sections 6.16 and 6.17).

use super::fields::Fields;
use super::Cdb;
use crate::scsi::opcode;
use crate::scsi::reservation::{Kind, LU_SCOPE};
use crate::scsi::sense::Sense;

/// The service actions of PERSISTENT RESERVE IN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveIn {
    /// READ KEYS.
    Keys,
    /// READ RESERVATION.
    Reservation,
    /// REPORT CAPABILITIES.
    Capabilities,
    /// READ FULL STATUS.
    FullStatus,
}

/// The service actions of PERSISTENT RESERVE OUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveOutAction {
    /// REGISTER.
    Register,
    /// REGISTER AND IGNORE EXISTING KEY.
    RegisterAndIgnore,
    /// RESERVE.
    Reserve,
    /// RELEASE.
    Release,
    /// CLEAR.
    Clear,
    /// PREEMPT.
    Preempt,
    /// PREEMPT AND ABORT.
    PreemptAndAbort,
}

/// PERSISTENT RESERVE OUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReserveOut {
    /// The service action.
    pub action: ReserveOutAction,
    /// SCOPE and TYPE. Some service actions ignore them, so that a wrong value
    /// is `None` and no error here.
    pub kind: Option<Kind>,
    /// PARAMETER LIST LENGTH.
    pub parameter_len: u32,
}

impl Fields<'_> {
    pub(super) fn reserve_in(&self, action: u8) -> Result<Cdb, Sense> {
        let action = match action {
            opcode::READ_KEYS => ReserveIn::Keys,
            opcode::READ_RESERVATION => ReserveIn::Reservation,
            opcode::REPORT_CAPABILITIES => ReserveIn::Capabilities,
            opcode::READ_FULL_STATUS => ReserveIn::FullStatus,
            _ => return Err(Sense::invalid_cdb(1, Some(4))),
        };
        Ok(Cdb::ReserveIn {
            action,
            allocation: self.u16(7).into(),
        })
    }

    pub(super) fn reserve_out(&self, action: u8) -> Result<Cdb, Sense> {
        let action = match action {
            opcode::REGISTER => ReserveOutAction::Register,
            opcode::REGISTER_AND_IGNORE => ReserveOutAction::RegisterAndIgnore,
            opcode::RESERVE => ReserveOutAction::Reserve,
            opcode::RELEASE => ReserveOutAction::Release,
            opcode::CLEAR => ReserveOutAction::Clear,
            opcode::PREEMPT => ReserveOutAction::Preempt,
            opcode::PREEMPT_AND_ABORT => ReserveOutAction::PreemptAndAbort,
            _ => return Err(Sense::invalid_cdb(1, Some(4))),
        };
        let (scope, kind) = (self.u8(2) >> 4, self.u8(2) & 0x0f);
        Ok(Cdb::ReserveOut(ReserveOut {
            action,
            kind: Kind::from_raw(kind).filter(|_| scope == LU_SCOPE),
            parameter_len: self.u32(5),
        }))
    }
}
