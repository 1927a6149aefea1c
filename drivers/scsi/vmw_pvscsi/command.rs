// SPDX-License-Identifier: GPL-2.0

//! How a SCSI command becomes a request, and a completion its result.

use crate::{
    adapter::{
        Adapter,
        Phase,
        State, //
    },
    flight::Flight,
    registers::Kicks, //
};
use guest::scsi::{
    Busy,
    Command,
    Direction,
    HostByte,
    Mapped,
    Status, //
};
use kernel::prelude::*;
use protocol::pvscsi::{
    request,
    Anomaly,
    Completion,
    Outcome,
    Verdict, //
};

/// A command that was not sent, and why.
enum Refused {
    /// There is no room at the moment.
    Full(Mapped<Adapter>),
    /// The adapter carries nothing out.
    Stopped(Mapped<Adapter>),
}

/// Where a command goes to, and what it means for kicks.
struct Order {
    target: u8,
    lun: u8,
    is_read_write: bool,
    is_last: bool,
}

impl Order {
    /// What a request can express of a command. The limits of the host are such that no more is asked
    /// for.
    fn of(command: &Command<Adapter>) -> Option<Self> {
        let unit = command.unit();
        if command.direction() == Direction::Both {
            return None;
        }
        Some(Self {
            target: unit.id.try_into().ok()?,
            lun: unit.lun.try_into().ok()?,
            is_read_write: command
                .cdb()
                .first()
                .is_some_and(|opcode| request::is_read_write(*opcode)),
            is_last: command.is_last(),
        })
    }
}

/// Sends a command to the device.
///
/// # Errors
///
/// The command, if there is no room for it, or for the mapping of its data.
#[inline]
pub(crate) fn submit(adapter: &Adapter, command: Command<Adapter>) -> Result<(), Busy<Adapter>> {
    let Some(order) = Order::of(&command) else {
        refuse(adapter, command);
        return Ok(());
    };
    let command = match command.map() {
        Ok(command) => command,
        Err(command) => return Err(command.busy()),
    };
    match adapter.state.with(|state| launch(state, command, &order)) {
        Ok(kicks) => {
            adapter.registers.kick(kicks);
            Ok(())
        }
        Err(Refused::Full(command)) => Err(command.unmap().busy()),
        Err(Refused::Stopped(command)) => {
            command.unmap().complete(HostByte::BAD_TARGET, Status::GOOD);
            Ok(())
        }
    }
}

/// Ends a command that no request can express. Others of its batch may wait for the kick.
#[cold]
#[inline(never)]
fn refuse(adapter: &Adapter, command: Command<Adapter>) {
    let is_last = command.is_last();
    command.complete(HostByte::BAD_TARGET, Status::GOOD);
    if is_last {
        adapter.registers.kick(adapter.state.with(due));
    }
}

/// Puts a command into the request ring. Returns the kicks that are due.
#[inline]
fn launch(state: &mut State, command: Mapped<Adapter>, order: &Order) -> Result<Kicks, Refused> {
    if state.phase != Phase::Running {
        return Err(Refused::Stopped(command));
    }
    if state.flight.in_flight() >= state.rings.depth() {
        return Err(Refused::Full(command));
    }
    let Some(entry) = state.rings.next_request() else {
        return Err(Refused::Full(command));
    };
    state
        .flight
        .launch(command, entry, order.target, order.lun)
        .map_err(Refused::Full)?;
    state.rings.push();
    state.kicks.read_write |= order.is_read_write;
    state.kicks.other |= !order.is_read_write;
    Ok(match order.is_last {
        true => due(state),
        false => Kicks::default(),
    })
}

/// Takes the kicks that are due, for all that was added since the last time.
#[inline]
pub(crate) fn due(state: &mut State) -> Kicks {
    let mut kicks = core::mem::take(&mut state.kicks);
    if kicks.read_write && !kicks.other && state.threshold {
        kicks.read_write = state.rings.wants_kick();
    }
    kicks
}

/// Completes a command that the device has completed.
#[inline]
pub(crate) fn finish(adapter: &Adapter, flight: &mut Flight, completion: Completion) {
    let Some((index, command)) = flight.land(completion.context()) else {
        adapter.complain("completion of nothing", completion.context().0);
        return;
    };
    let command = command.unmap();
    if completion.is_plain(command.data_len()) {
        command.complete(HostByte::OK, Status::GOOD);
        return;
    }
    finish_other(adapter, flight, index, command, completion);
}

/// Completes a command that has failed, or of which there is more to say than that it has not.
#[cold]
#[inline(never)]
fn finish_other(
    adapter: &Adapter,
    flight: &mut Flight,
    index: usize,
    mut command: Command<Adapter>,
    completion: Completion,
) {
    let outcome = completion.descriptor().check(command.data_len());
    if let Some(anomaly) = outcome.anomaly {
        complain(adapter, anomaly);
    }
    command.set_residual(outcome.residual);
    if let Some(sense) = command.sense_mut().get_mut(..outcome.sense_len) {
        if !sense.is_empty() {
            flight.take_sense(index, sense);
        }
    }
    let (host, status) = result(&outcome);
    command.complete(host, status);
}

/// What the SCSI layer is told of an outcome.
fn result(outcome: &Outcome) -> (HostByte, Status) {
    let host = match outcome.verdict {
        Verdict::Ok => HostByte::OK,
        Verdict::BadTarget => HostByte::BAD_TARGET,
        Verdict::Reset => HostByte::RESET,
        Verdict::BusBusy => HostByte::BUS_BUSY,
        Verdict::Parity => HostByte::PARITY,
        Verdict::Error => HostByte::ERROR,
    };
    (host, Status(outcome.status))
}

#[cold]
#[inline(never)]
fn complain(adapter: &Adapter, anomaly: Anomaly) {
    let (what, value) = match anomaly {
        Anomaly::UnknownHostStatus(status) => ("unknown host status", status.into()),
        Anomaly::ScsiStatus(status) => ("SCSI status is no byte", status.into()),
        Anomaly::DataLength(len) => ("data length is too large", len),
        Anomaly::SenseLength(len) => ("sense length is too large", len.into()),
    };
    adapter.complain(what, value);
}

#[kunit_tests(vmw_pvscsi_command)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_become_results() {
        let cases = [
            (Verdict::Ok, HostByte::OK),
            (Verdict::BadTarget, HostByte::BAD_TARGET),
            (Verdict::Reset, HostByte::RESET),
            (Verdict::BusBusy, HostByte::BUS_BUSY),
            (Verdict::Parity, HostByte::PARITY),
            (Verdict::Error, HostByte::ERROR),
        ];
        for (verdict, host) in cases {
            let outcome = Outcome {
                verdict,
                status: 2,
                residual: 0,
                sense_len: 0,
                anomaly: None,
            };
            assert_eq!(result(&outcome), (host, Status(2)));
        }
    }
}
