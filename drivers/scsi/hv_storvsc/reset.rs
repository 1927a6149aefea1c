// SPDX-License-Identifier: GPL-2.0

//! Ending all commands at once, which is all there is for recovery: a host ends no single ones.
//!
//! The SCSI layer ends commands whose recovery has failed, and with that their memory is anybody's.
//! So a controller that has been told to end its commands and still has any is cut off: its
//! channels are closed, and nothing reaches the host any more before the driver is bound again.

use crate::hba::{
    errno,
    Hba, //
};
use guest::scsi::{
    EhCommand,
    Recovery, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use protocol::storvsp::{
    Operation,
    Packet, //
};

/// How long the host may take to return commands that it has ended, in steps.
const STEPS: u32 = 3000;
const STEP_MS: i64 = 10;

/// Has the host end all commands, and waits for them.
pub(crate) fn run(hba: &Hba, command: &EhCommand<'_, Hba>) -> Recovery {
    let _turn = hba.resetting.lock();
    dev_info!(hba.dev, "bus reset\n");
    let result = ask(hba).and_then(|()| drain(hba));
    let Err(error) = result else {
        return Recovery::Success;
    };
    hba.complain("bus reset failed, error", errno(error));
    // User space may ask for a reset of what works.
    if !command.is_reset_ioctl() {
        stop(hba);
    }
    Recovery::Failed
}

fn ask(hba: &Hba) -> Result {
    // All that counts in it is the bus, and there is one.
    let answer = hba.reset.ask(hba, &Packet::new(Operation::RESET_BUS))?;
    match answer.operation() {
        Operation::COMPLETE_IO => Ok(()),
        Operation(other) => {
            hba.complain("answer to a bus reset is none, operation", other.into());
            Err(EIO)
        }
    }
}

/// Waits until the host has returned all commands.
///
/// # Errors
///
/// `ETIMEDOUT`.
pub(crate) fn drain(hba: &Hba) -> Result {
    for _ in 0..STEPS {
        if hba.channels.in_flight() == 0 {
            return Ok(());
        }
        fsleep(Delta::from_millis(STEP_MS));
    }
    Err(ETIMEDOUT)
}

/// Cuts the controller off, which ends its commands.
pub(crate) fn stop(hba: &Hba) {
    let count = hba.channels.in_flight();
    hba.complain("device stopped, commands not returned", count as u64);
    hba.channels.stop();
}
