// SPDX-License-Identifier: GPL-2.0

//! Aborts and resets.
//!
//! Each asks the device by a register, and the device answers by completing the commands that are
//! concerned. They are waited for, and looked for by the driver itself, as it may be a lost interrupt
//! that brought this about. What the device does not give back, the reset of the host takes away:
//! after a reset of the adapter, it has no access to memory any more.
//!
//! Commands are completed under the lock of the adapter. So one that is seen not to be in flight while
//! the lock is held is all done.

use crate::adapter::{
    Adapter,
    Phase,
    State, //
};
use guest::scsi::{
    EhCommand,
    Recovery, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};
use protocol::pvscsi::command::{
    AbortCommand,
    ResetDevice, //
};

/// How long the device may take to give commands back.
const PATIENCE: Delta = Delta::from_secs(2);
/// How often to look whether it has.
const LOOK_EVERY: Delta = Delta::from_micros(500);

/// Ends a command. The device is told of all that is in the ring first: it cannot end what it has not
/// looked at.
pub(crate) fn abort(adapter: &Adapter, command: &EhCommand<'_, Adapter>) -> Recovery {
    dev_info!(command.device(), "abort\n");
    let asked = adapter.state.with(|state| {
        adapter.drain(state);
        let found = command
            .tag_if_in_flight()
            .and_then(|tag| state.flight.find(tag));
        if let Some((context, target)) = found {
            adapter.flush();
            adapter.registers.send(&AbortCommand::new(context, target));
        }
        found.is_some()
    });
    // Otherwise the device has returned it in the meantime.
    if asked {
        wait(adapter, |_| command.tag_if_in_flight().is_none());
    }
    // With the lock, since one that is just on its way back is not done yet.
    match adapter.state.with(|_| command.tag_if_in_flight()) {
        None => Recovery::Success,
        Some(tag) => {
            adapter.complain("abort without an effect, tag", tag.into());
            Recovery::Failed
        }
    }
}

/// Resets the target that a command is for.
pub(crate) fn reset_device(adapter: &Adapter, command: &EhCommand<'_, Adapter>) -> Recovery {
    dev_info!(command.device(), "device reset\n");
    let target = command.unit().id;
    let is_running = ask(adapter, || {
        adapter.registers.send(&ResetDevice::new(target));
    });
    returned(adapter, command, is_running, Some(target))
}

/// Resets all targets.
pub(crate) fn reset_bus(adapter: &Adapter, command: &EhCommand<'_, Adapter>) -> Recovery {
    dev_info!(command.device(), "bus reset\n");
    let is_running = ask(adapter, || adapter.registers.reset_bus());
    returned(adapter, command, is_running, None)
}

/// Resets the adapter, which ends all commands, and starts it again.
pub(crate) fn reset_host(adapter: &Adapter, command: &EhCommand<'_, Adapter>) -> Recovery {
    dev_info!(command.device(), "host reset\n");
    match adapter.restart() {
        Ok(()) => Recovery::Success,
        Err(error) => {
            let error = error.to_errno().unsigned_abs();
            adapter.complain("host reset failed, error", error.into());
            Recovery::Failed
        }
    }
}

/// Has the device do something about the requests that it has, all of those in the ring among them.
/// Returns whether the adapter is running.
fn ask(adapter: &Adapter, reset: impl FnOnce()) -> bool {
    adapter.state.with(|state| {
        if state.phase != Phase::Running {
            return false;
        }
        adapter.flush();
        reset();
        adapter.drain(state);
        true
    })
}

/// Waits for the commands that a reset has ended: those of a target, or all.
///
/// User space may ask for a reset while commands come and go, which it leaves alone; what has ended
/// are then not those that are in flight. The error handling waits until none goes, and ends those
/// that have not been returned.
fn returned(
    adapter: &Adapter,
    command: &EhCommand<'_, Adapter>,
    is_running: bool,
    target: Option<u32>,
) -> Recovery {
    if !is_running {
        return Recovery::Failed;
    }
    if command.is_reset_ioctl() || wait(adapter, |state| state.flight.count(target) == 0) {
        return Recovery::Success;
    }
    let count = adapter.state.with(|state| state.flight.count(target));
    adapter.complain("reset without an effect, commands", count as u64);
    Recovery::Failed
}

/// Waits until something is so, with the lock held, taking what comes back meanwhile. Sleeps.
fn wait(adapter: &Adapter, mut is_so: impl FnMut(&State) -> bool) -> bool {
    let start = Instant::<Monotonic>::now();
    loop {
        let is_over = start.elapsed() > PATIENCE;
        let is_done = adapter.state.with(|state| {
            adapter.drain(state);
            is_so(state)
        });
        if is_done || is_over {
            return is_done;
        }
        fsleep(LOOK_EVERY);
    }
}
