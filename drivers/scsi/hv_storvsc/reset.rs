// SPDX-License-Identifier: GPL-2.0

//! Ending all commands at once, which is all there is for recovery: a host ends no single ones.
//!
//! The SCSI layer ends commands whose recovery has failed, and with that their memory is anybody's.
//! So a controller that has been told to end its commands and still has any is cut off: its
//! channels are closed, and nothing reaches the host any more before the driver is bound again.
//! The same happens when the host has broken a ring, by a work item of its own, as who finds that
//! cannot sleep and others wait for commands that do not come back.

use crate::hba::{
    errno,
    Hba, //
};
use guest::{
    scsi::{
        EhCommand,
        Recovery, //
    },
    work, //
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    workqueue::{
        self,
        WorkItem, //
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
        _ if answer.is_success() => return Ok(()),
        Operation::COMPLETE_IO => {
            hba.complain("bus reset refused, status", answer.status.get().into());
        }
        Operation(other) => {
            hba.complain("answer to a bus reset is none, operation", other.into());
        }
    }
    Err(EIO)
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

/// Which of a controller's work items cuts it off.
pub(crate) const CUT_OFF: u64 = 1;

/// Has a controller cut off, if it is [`Breakable`]. In any context.
pub(crate) fn stop_later(hba: ArcBorrow<'_, Hba>) {
    let breakable = hba.breakable.lock();
    if *breakable {
        // Fails if it is queued already.
        let _ = workqueue::system().enqueue::<_, CUT_OFF>(Arc::<Hba>::from(hba));
    }
}

impl WorkItem<CUT_OFF> for Hba {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        stop(&this);
    }
}

/// A controller that is cut off when its host breaks a ring: while there may be commands. When this
/// is dropped, that has been done or is not going to be.
pub(crate) struct Breakable(Arc<Hba>);

impl Breakable {
    pub(crate) fn new(hba: Arc<Hba>) -> Self {
        *hba.breakable.lock() = true;
        Self(hba)
    }
}

impl Drop for Breakable {
    fn drop(&mut self) {
        *self.0.breakable.lock() = false;
        work::cancel_sync::<_, CUT_OFF>(&self.0);
    }
}
