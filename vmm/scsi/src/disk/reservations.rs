// SPDX-License-Identifier: GPL-2.0 OR MIT

//! PERSISTENT RESERVE IN and OUT, and the RESERVE and RELEASE of SPC-2.
//!
//! | module | what |
//! |---|---|
//! | `state` | the rules: who is registered, who holds what, who may do what |
//! | `report` | parameter data of PERSISTENT RESERVE IN |
//!
//! Registrations and reservations survive resets. They end with the VMM, which
//! is the loss of power for a disk, and the disk says so: it cannot keep them
//! through a loss of power (PTPL_C is 0).
//!
//! The guest is the only nexus. PREEMPT AND ABORT therefore finds no commands
//! of others to abort, and is the same as PREEMPT.

mod report;
mod state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::scsi::cdb::{Cdb, ReserveOut, ReserveOutAction};
use protocol::scsi::reservation::{OutParameters, ALL_TG_PT, APTPL, SPEC_I_PT};
use protocol::scsi::sense::{asc, Sense};
use zerocopy::{FromZeros, IntoBytes};

use self::state::{conflict, Need, Nexus, State};
use super::media::check_room;
use super::Disk;
use crate::command::Failure;
use crate::unit::Task;

/// The guest, through the only port of its target.
const GUEST: Nexus = Nexus(1);

/// The reservations of a disk.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    state: Mutex<State>,
    /// Whether there is a reservation, for commands to see without the lock.
    is_reserved: AtomicBool,
}

impl Reservations {
    /// A reset, or the loss of the nexus, ends a reservation of SPC-2.
    pub(super) fn drop_legacy(&self) {
        // There is nothing that it could refuse.
        let _ = self.change(|state| {
            state.drop_legacy();
            Ok(())
        });
    }

    fn change(
        &self,
        change: impl FnOnce(&mut State) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut state = self.lock();
        let result = change(&mut state);
        self.is_reserved
            .store(state.is_reserved(), Ordering::Release);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// Whether a reservation of others excludes a command.
    pub(super) fn check_reservations(&self, cdb: &Cdb) -> Result<(), Failure> {
        // The common case is one look at a variable that hardly ever changes.
        if !self.reservations.is_reserved.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.reservations.lock().admits(GUEST, need_of(cdb)) {
            Ok(())
        } else {
            Err(conflict())
        }
    }

    /// RESERVE of SPC-2.
    pub(super) fn reserve(&self) -> Result<u64, Failure> {
        self.reservations
            .change(|state| state.reserve_legacy(GUEST))
            .map(|()| 0)
    }

    /// RELEASE of SPC-2.
    pub(super) fn release(&self) -> Result<u64, Failure> {
        self.reservations
            .change(|state| state.release_legacy(GUEST))
            .map(|()| 0)
    }

    /// PERSISTENT RESERVE OUT.
    pub(super) fn reserve_out(&self, task: &Task<'_>, command: ReserveOut) -> Result<u64, Failure> {
        let list = read_parameters(task, command)?;
        self.reservations.change(|state| {
            state.check_no_legacy()?;
            carry_out(state, command, &list)
        })?;
        Ok(size_of::<OutParameters>() as u64)
    }
}

fn carry_out(state: &mut State, command: ReserveOut, list: &OutParameters) -> Result<(), Failure> {
    let (key, action_key) = (list.key.get(), list.action_key.get());
    match command.action {
        ReserveOutAction::Register => state.register(GUEST, Some(key), action_key),
        ReserveOutAction::RegisterAndIgnore => state.register(GUEST, None, action_key),
        ReserveOutAction::Reserve => {
            let kind = command.kind.ok_or(Sense::invalid_cdb(2, None))?;
            state.reserve(GUEST, key, kind)
        }
        ReserveOutAction::Release => state.release(GUEST, key, command.kind),
        ReserveOutAction::Clear => state.clear(GUEST, key),
        ReserveOutAction::Preempt | ReserveOutAction::PreemptAndAbort => {
            state.preempt(GUEST, key, action_key, command.kind)
        }
    }
}

/// The parameter list, of which everything that is not supported is refused.
fn read_parameters(task: &Task<'_>, command: ReserveOut) -> Result<OutParameters, Failure> {
    let mut list = OutParameters::new_zeroed();
    let len = size_of::<OutParameters>() as u64;
    if u64::from(command.parameter_len) != len {
        return Err(Sense::illegal(asc::PARAMETER_LIST_LENGTH_ERROR).into());
    }
    check_room(task.data_out.len(), len)?;
    task.data_out.read_at(0, list.as_mut_bytes());
    let registers = matches!(
        command.action,
        ReserveOutAction::Register | ReserveOutAction::RegisterAndIgnore
    );
    let wrong = [(SPEC_I_PT, 3), (ALL_TG_PT, 2), (APTPL, 0)]
        .into_iter()
        .find(|(flag, _)| registers && list.flags & flag != 0);
    match wrong {
        Some((_, bit)) => Err(Sense::invalid_parameter(20, Some(bit)).into()),
        None => Ok(list),
    }
}

/// What a command does (SPC-5, table 67, and SBC-4, table 13).
fn need_of(cdb: &Cdb) -> Need {
    match cdb {
        // Those that change reservations have rules of their own.
        Cdb::Inquiry { .. }
        | Cdb::ReportLuns { .. }
        | Cdb::RequestSense { .. }
        | Cdb::ReserveIn { .. }
        | Cdb::ReserveOut(_)
        | Cdb::Reserve
        | Cdb::Release => Need::Nothing,
        Cdb::TestUnitReady
        | Cdb::ReadCapacity10
        | Cdb::ReadCapacity16 { .. }
        | Cdb::LogSense(_)
        | Cdb::StartStop { start: true, .. } => Need::Status,
        Cdb::Read(_)
        | Cdb::Verify(_)
        | Cdb::GetLbaStatus { .. }
        | Cdb::ModeSense(_)
        | Cdb::ReportOpcodes { .. }
        | Cdb::ReportTaskFunctions { .. } => Need::Read,
        Cdb::Write(_)
        | Cdb::WriteAndVerify(_)
        | Cdb::CompareAndWrite(_)
        | Cdb::WriteSame(_)
        | Cdb::Unmap { .. }
        | Cdb::SynchronizeCache { .. }
        | Cdb::ModeSelect(_)
        | Cdb::SendDiagnostic { .. }
        | Cdb::StartStop { start: false, .. } => Need::Write,
    }
}
