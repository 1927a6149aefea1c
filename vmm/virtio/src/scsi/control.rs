// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The control queue: task management and notification control
//! (VIRTIO 1.3, section 5.6.6.2).
//!
//! A task management function is carried out by the target before it is
//! answered, and the target answers every command that it ends first. The
//! driver therefore sees the ended commands before the function's own answer.
//!
//! A driver that gave up a command uses its buffers for something else as soon
//! as the function is answered. Commands that wait in a request queue, behind
//! one that a slow disk holds up, are therefore given to the target first.

use std::mem::size_of;
use std::sync::Arc;
use std::time::Duration;

use hospes_device::counters::Counter;
use hospes_device::memory::SgList;
use hospes_scsi::{Target, TaskFunction, TaskOutcome};
use protocol::scsi::lun::Lun;
use protocol::virtio_scsi::control::{AnRequest, AnResponse};
use protocol::virtio_scsi::{
    ControlType, ResponseCode, TmfRequest, TmfResponse, TmfSubtype, CONTROL_QUEUE,
};
use serde::Serialize;
use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::fault::{self, Faulty};
use super::request::decode_lun;
use crate::fault::{About, FaultKind, OfRequests as _};
use crate::queue::{Chain, ChainFault, VirtQueue};

/// Why a control request is not carried out.
#[derive(Debug, Error)]
enum Malformed {
    #[error("{0}")]
    Chain(ChainFault),
    #[error("control request of {0} bytes")]
    ShortRequest(u64),
    #[error("answer area of {0} bytes")]
    ShortAnswer(u64),
    #[error("control request type {0:#x}")]
    Type(u32),
}

/// What is counted of control requests.
#[derive(Debug, Default, Serialize)]
pub(super) struct ControlCounters {
    /// Task management functions received.
    task_management: Counter,
    /// Task management functions that were not carried out.
    task_management_refused: Counter,
    /// Queries and subscriptions of asynchronous notifications.
    notification: Counter,
}

/// What control requests are carried out with.
pub(super) struct Control<'a> {
    /// The request queues.
    pub(super) requests: &'a [Arc<VirtQueue>],
    pub(super) target: &'a Target,
    pub(super) counters: &'a ControlCounters,
    pub(super) faulty: &'a Faulty,
}

/// An answer, and when it is given.
struct Reply {
    bytes: [u8; size_of::<AnResponse>()],
    len: usize,
    delay: Duration,
}

/// What goes wrong with a task management function.
#[derive(Default)]
struct Trouble {
    drops: bool,
    delay: Duration,
    /// The answer, and whether the function is carried out before.
    response: Option<(u8, bool)>,
}

/// Serves one control request.
pub(super) fn serve(mut chain: Chain, control: &Control<'_>) {
    let buffers = chain.take_buffers();
    let answered = match buffers.fault {
        Some(fault) => Err(Malformed::Chain(fault)),
        None => control.answer(&buffers.readable, &buffers.writable),
    };
    match answered {
        Ok(Some(reply)) => reply.send(chain, buffers.writable, control.faulty),
        Ok(None) => control.faulty.keep(chain),
        Err(what) => {
            // Which answer would be expected is not known, so there is none.
            chain.report(&what);
            chain.complete(0);
        }
    }
}

impl Control<'_> {
    /// The answer to a request, unless it is to get none.
    fn answer(&self, request: &SgList, area: &SgList) -> Result<Option<Reply>, Malformed> {
        let kind = u32::from_le(read(request)?);
        match ControlType(kind) {
            ControlType::TMF => {
                room_for::<TmfResponse>(area)?;
                self.counters.task_management.inc();
                Ok(self.task_management(&read(request)?))
            }
            ControlType::AN_QUERY | ControlType::AN_SUBSCRIBE => {
                room_for::<AnResponse>(area)?;
                self.counters.notification.inc();
                Ok(Some(Reply::new(&notify(&read(request)?, self.target))))
            }
            ControlType(unknown) => Err(Malformed::Type(unknown)),
        }
    }

    /// Carries out a task management function, or what is made of it.
    fn task_management(&self, request: &TmfRequest) -> Option<Reply> {
        let trouble = self.trouble(request);
        if trouble.drops {
            return None;
        }
        let response = match trouble.response {
            Some((code, false)) => ResponseCode(code),
            Some((code, true)) => {
                self.carry_out(request);
                ResponseCode(code)
            }
            None => self.carry_out(request),
        };
        if !matches!(
            response,
            ResponseCode::OK | ResponseCode::FUNCTION_SUCCEEDED
        ) {
            self.counters.task_management_refused.inc();
        }
        let mut reply = Reply::new(&TmfResponse {
            response: response.0,
        });
        reply.delay = trouble.delay;
        Some(reply)
    }

    fn carry_out(&self, request: &TmfRequest) -> ResponseCode {
        // The function is also about commands that the target has not seen.
        for queue in self.requests {
            queue.catch_up();
        }
        manage(request, self.target)
    }

    fn trouble(&self, request: &TmfRequest) -> Trouble {
        let mut trouble = Trouble::default();
        if !self.faulty.is_armed() {
            return trouble;
        }
        let unit = match decode_lun(request.lun) {
            Ok((target, Lun::Unit(lun))) => Some((target, lun)),
            _ => None,
        };
        let about = About {
            queue: CONTROL_QUEUE,
            unit,
            subtype: Some(request.subtype.get()),
            ..About::default()
        };
        for (kind, _) in self.faulty.faults.of_function(&about) {
            match kind {
                FaultKind::TmfDrop {} => trouble.drops = true,
                FaultKind::TmfDelay { ms } => trouble.delay = Duration::from_millis(ms),
                FaultKind::TmfResponse { code, carry_out } => {
                    trouble.response = Some((code, carry_out));
                }
                _ => {}
            }
        }
        trouble
    }
}

impl Reply {
    fn new(answer: &(impl IntoBytes + Immutable)) -> Self {
        let mut bytes = [0; size_of::<AnResponse>()];
        let len = bytes
            .iter_mut()
            .zip(answer.as_bytes())
            .map(|(to, from)| *to = *from)
            .count();
        Self {
            bytes,
            len,
            delay: Duration::ZERO,
        }
    }

    /// Gives the answer, now or later.
    fn send(self, chain: Chain, area: SgList, faulty: &Faulty) {
        let used = faulty.completion(chain.queue());
        let delay = self.delay;
        let send = move || {
            let bytes = self.bytes.get(..self.len).unwrap_or(&self.bytes);
            let written = u32::try_from(area.write_at(0, bytes)).unwrap_or(0);
            fault::complete(&used, chain, written);
        };
        if delay.is_zero() {
            send();
        } else {
            faulty.late.after(delay, send);
        }
    }
}

/// Carries out a task management function.
fn manage(request: &TmfRequest, target: &Target) -> ResponseCode {
    let Ok((id, lun)) = decode_lun(request.lun) else {
        return ResponseCode::BAD_TARGET;
    };
    let subtype = TmfSubtype(request.subtype.get());
    if !target.has_target(id) {
        return ResponseCode::BAD_TARGET;
    }
    let Some(function) = task_function(subtype, id, lun, request.tag.get()) else {
        return ResponseCode::FUNCTION_REJECTED;
    };
    match target.task_management(function) {
        TaskOutcome::Complete => ResponseCode::OK,
        TaskOutcome::Succeeded => ResponseCode::FUNCTION_SUCCEEDED,
        TaskOutcome::Rejected => ResponseCode::FUNCTION_REJECTED,
        TaskOutcome::IncorrectLun => ResponseCode::INCORRECT_LUN,
        TaskOutcome::NoTarget => ResponseCode::BAD_TARGET,
    }
}

fn task_function(subtype: TmfSubtype, target: u8, lun: Lun, tag: u64) -> Option<TaskFunction> {
    match subtype {
        TmfSubtype::ABORT_TASK => Some(TaskFunction::AbortTask { target, lun, tag }),
        TmfSubtype::ABORT_TASK_SET => Some(TaskFunction::AbortTaskSet { target, lun }),
        TmfSubtype::CLEAR_TASK_SET => Some(TaskFunction::ClearTaskSet { target, lun }),
        TmfSubtype::I_T_NEXUS_RESET => Some(TaskFunction::NexusReset { target }),
        TmfSubtype::LOGICAL_UNIT_RESET => Some(TaskFunction::LunReset { target, lun }),
        TmfSubtype::QUERY_TASK => Some(TaskFunction::QueryTask { target, lun, tag }),
        TmfSubtype::QUERY_TASK_SET => Some(TaskFunction::QueryTaskSet { target, lun }),
        // Units have no auto contingent allegiance that CLEAR ACA could clear.
        _ => None,
    }
}

/// Answers a query or a subscription. No unit has asynchronous events to
/// report, so none is granted, whatever was asked for.
fn notify(request: &AnRequest, target: &Target) -> AnResponse {
    let code = match decode_lun(request.lun) {
        Ok((id, _)) if target.has_target(id) => ResponseCode::OK,
        _ => ResponseCode::BAD_TARGET,
    };
    AnResponse {
        response: code.0,
        ..AnResponse::default()
    }
}

fn read<T: FromBytes + IntoBytes>(request: &SgList) -> Result<T, Malformed> {
    let mut value = T::new_zeroed();
    if request.read_at(0, value.as_mut_bytes()) < size_of::<T>() {
        return Err(Malformed::ShortRequest(request.len()));
    }
    Ok(value)
}

fn room_for<T>(area: &SgList) -> Result<(), Malformed> {
    if area.len() < size_of::<T>() as u64 {
        return Err(Malformed::ShortAnswer(area.len()));
    }
    Ok(())
}
