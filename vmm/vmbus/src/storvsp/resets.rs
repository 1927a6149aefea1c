// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Resets: a thread that waits until all that a reset ends has ended.
//!
//! The threads of channels cannot wait for that, as it is they who end commands.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::worker::{Kicked, OnKick, Service};
use hospes_scsi::{TaskFunction, TaskOutcome};
use protocol::scsi::lun::Lun;
use protocol::storvsp::packet::status;
use protocol::storvsp::{Operation, Packet, ScsiRequest};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

use super::fault::Fate;
use super::port::Port;
use super::Shared;

/// A reset that an answer is owed for.
pub(super) struct Reset {
    pub(super) port: Arc<Port>,
    pub(super) transaction: u64,
    pub(super) operation: Operation,
    pub(super) request: ScsiRequest,
    pub(super) fate: Option<Box<Fate>>,
}

/// The resets of a controller.
pub(super) struct Resets(Arc<ResetQueue>);

/// Those that wait. Their number is bounded by that of answers owed.
pub(super) struct ResetQueue {
    event: EventFd,
    waiting: Mutex<VecDeque<Reset>>,
}

impl Resets {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(ResetQueue {
            event: EventFd::new(EFD_NONBLOCK)?,
            waiting: Mutex::default(),
        })))
    }

    pub(super) fn queue(&self) -> Arc<ResetQueue> {
        self.0.clone()
    }

    /// Has a reset carried out.
    pub(super) fn add(&self, reset: Reset) {
        reset.port.begin();
        self.0.lock().push_back(reset);
        // Only a counter that is about to overflow says no, and then the thread is
        // going to wake up anyway.
        let _ = self.0.event.write(1);
    }

    /// Answers all that nobody will carry out any more.
    pub(super) fn clear(&self) {
        let waiting = std::mem::take(&mut *self.0.lock());
        for reset in waiting {
            reset.answer_now(status::SUCCESS);
        }
    }
}

impl ResetQueue {
    /// Carries out all that wait.
    pub(super) fn serve(&self, shared: &Shared) {
        while let Some(reset) = self.pop() {
            shared.counters.resets.inc();
            let status = reset.carry_out(shared);
            reset.answer(shared, status);
        }
    }

    fn pop(&self) -> Option<Reset> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Reset>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kicked for ResetQueue {
    fn kick(&self) -> &EventFd {
        &self.event
    }
}

/// What the thread does.
pub(super) fn service(shared: Arc<Shared>) -> impl Service<ResetQueue> {
    OnKick(move |queue: &Arc<ResetQueue>| queue.serve(&shared))
}

impl Reset {
    fn carry_out(&self, shared: &Shared) -> u32 {
        if self.operation != Operation::RESET_LUN {
            // There is one bus to all of the controller's paths.
            shared.target.reset();
            shared.faulty.release();
            return status::SUCCESS;
        }
        let Some(at) = shared.kind.unit_of(self.request.address()) else {
            return status::INVALID_PARAMETER;
        };
        let function = TaskFunction::LunReset {
            target: at.target,
            lun: Lun::Unit(at.lun),
        };
        match shared.target.task_management(function) {
            TaskOutcome::Complete | TaskOutcome::Succeeded => status::SUCCESS,
            _ => status::INVALID_PARAMETER,
        }
    }

    fn answer(mut self, shared: &Shared, status: u32) {
        let Some(fate) = self.fate.take_if(|fate| !fate.delay.is_zero()) else {
            return self.answer_now(status);
        };
        // Nobody is to wait for what is late.
        self.port.let_go();
        let (port, transaction) = (self.port, self.transaction);
        shared.faulty.late.after(fate.delay, move || {
            port.answer(transaction, &Packet::answer(status), fate.wrong);
        });
    }

    fn answer_now(self, status: u32) {
        let wrong = self.fate.and_then(|fate| fate.wrong);
        self.port
            .finish(self.transaction, &Packet::answer(status), wrong);
    }
}
