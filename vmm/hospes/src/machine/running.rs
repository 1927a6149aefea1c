// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The vCPUs of a machine that runs, and how they are paused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::handle::{State, Vcpus};
use crate::kvm::gate::{Gate, Passage};
use crate::kvm::vcpu::Vcpu;

/// How long a pause waits for vCPUs before it says that they are busy.
const PAUSE_LIMIT: Duration = Duration::from_secs(1);

/// How often vCPUs are told meanwhile to come out of the guest.
const KICK_INTERVAL: Duration = Duration::from_millis(1);

/// The vCPUs' threads, and the gate where they can be held.
#[derive(Default)]
pub(super) struct Running {
    /// Where vCPUs wait while the machine is paused.
    pub(super) gate: Arc<Gate>,
    threads: Mutex<Vec<Vcpu>>,
}

impl Running {
    /// The threads, to be waited for.
    pub(super) fn take(&self) -> Vec<Vcpu> {
        std::mem::take(&mut *self.lock())
    }

    /// The threads, to add one or to kick all.
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Vcpu>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vcpus for Running {
    fn pause(&self) -> State {
        self.gate.close();
        let start = Instant::now();
        // A kick that comes just before a vCPU enters the guest is lost, so
        // there are more until all vCPUs are at the gate.
        loop {
            self.lock().iter().for_each(Vcpu::kick);
            let passage = self.gate.wait_closed(KICK_INTERVAL);
            if passage != Passage::Closing || start.elapsed() > PAUSE_LIMIT {
                return self.state();
            }
        }
    }

    fn resume(&self) {
        self.gate.open();
    }

    fn state(&self) -> State {
        match self.gate.passage() {
            Passage::Open => State::Running,
            Passage::Closing => State::Pausing,
            Passage::Closed => State::Paused,
        }
    }
}
