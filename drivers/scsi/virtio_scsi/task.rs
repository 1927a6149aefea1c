// SPDX-License-Identifier: GPL-2.0

//! Ending commands and resetting units by task management functions (TMF).
//!
//! A TMF has a time limit, unlike a command. One that the device does not answer in time keeps
//! its memory until the device returns it, or is reset. The SCSI layer, however, ends the commands
//! whose recovery fails, and with that their memory is anybody's. So a device that has been told
//! to reset a unit and still has commands of that unit is stopped: it must not write to memory
//! that is no longer its own.

use crate::hba::Hba;
use guest::{
    alloc::without_io,
    completion::Completion,
    scsi::{
        EhCommand,
        Recovery, //
    },
    virtio::{
        Asked,
        Kick,
        Message,
        Virtqueue, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::Msecs, //
};
use protocol::virtio_scsi::{
    Lun,
    ResponseCode,
    TmfRequest,
    TmfResponse, //
};

/// How long the device may take for a TMF.
const TIMEOUT_MS: Msecs = 30_000;

/// The queue for TMFs: two have a reference to one on its way, who waits and the queue.
pub(crate) type ControlQueue = Virtqueue<Asked<TmfRequest, TmfResponse>>;

/// Ends a command.
pub(crate) fn abort(hba: &Hba, command: &EhCommand<'_, Hba>) -> Recovery {
    let recovery = match (lun(command), command.tag_if_in_flight()) {
        (Some(lun), Some(tag)) => {
            dev_info!(command.device(), "abort\n");
            run(hba, TmfRequest::abort_task(lun, tag.into()))
        }
        // The device has returned it in the meantime.
        _ => Recovery::Success,
    };
    if command.tag_if_in_flight().is_some() {
        return Recovery::Failed;
    }
    wait_for_completers(hba);
    recovery
}

/// Resets the unit that a command is for.
pub(crate) fn reset(hba: &Hba, command: &EhCommand<'_, Hba>) -> Recovery {
    let Some(lun) = lun(command) else {
        return Recovery::Failed;
    };
    dev_info!(command.device(), "device reset\n");
    let recovery = run(hba, TmfRequest::logical_unit_reset(lun));
    // User space may ask for a reset while commands come and go, which it leaves alone. The error
    // handling waits until none goes, and ends those that have not been returned.
    if command.is_reset_ioctl() {
        return recovery;
    }
    match command.device_in_flight() {
        0 => {
            wait_for_completers(hba);
            recovery
        }
        count => {
            dev_err!(
                command.device(),
                "{} commands not returned: device stopped\n",
                count
            );
            hba.stop();
            Recovery::Failed
        }
    }
}

/// The last resort. The SCSI layer resets no unit that is being removed, and ends its commands
/// after this: so a device that still has any is stopped. There is nothing else to reset.
pub(crate) fn give_up(hba: &Hba, command: &EhCommand<'_, Hba>) -> Recovery {
    if !command.is_reset_ioctl() && command.host_in_flight() != 0 {
        dev_err!(command.device(), "commands not returned: device stopped\n");
        hba.stop();
    }
    Recovery::Failed
}

fn lun(command: &EhCommand<'_, Hba>) -> Option<Lun> {
    let unit = command.unit();
    Lun::from_linux(unit.id, unit.lun)
}

/// A command is no longer in flight shortly before its completion is done. This waits for those
/// who are just doing that, each under the lock of its queue.
fn wait_for_completers(hba: &Hba) {
    hba.drain_requests();
}

/// Has the device carry out a TMF, and takes back the commands that this has ended.
#[inline(never)]
fn run(hba: &Hba, request: TmfRequest) -> Recovery {
    let result = ask(hba, request);
    // The device returns the commands before it answers, but their interrupts may come later.
    hba.drain_requests();
    match result {
        Ok(ResponseCode::OK | ResponseCode::FUNCTION_SUCCEEDED) => Recovery::Success,
        Ok(ResponseCode(code)) => {
            hba.complain("task management refused, response", code.into());
            Recovery::Failed
        }
        Err(error) => {
            hba.complain(
                "task management failed, error",
                error.to_errno().unsigned_abs(),
            );
            Recovery::Failed
        }
    }
}

/// Sends a TMF and waits for the answer.
///
/// # Errors
///
/// `ENOMEM`, `EIO` if the queue does not take it, `ETIMEDOUT` if no answer comes. The response of
/// a request that the device has not carried out, because it was stopped, is unwritten.
fn ask(hba: &Hba, request: TmfRequest) -> Result<ResponseCode> {
    let message = Message::new(request, TmfResponse::UNWRITTEN, Completion::new());
    // No I/O must be needed to get the memory: it would wait for what is being recovered.
    let tmf = without_io(|| Arc::pin_init(message, GFP_KERNEL))?;
    let asked = Asked::new(&tmf);
    hba.control.add(asked, Kick::Now).map_err(|_| EIO)?;
    tmf.extra.wait_timeout(TIMEOUT_MS)?;
    Ok(tmf.exchange.response.read().code())
}
