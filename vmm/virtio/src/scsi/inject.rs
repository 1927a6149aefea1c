// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Telling a host what to do wrong.

use super::event::Storm;
use super::ScsiHost;
use crate::fault::{Fault, FaultError, FaultKind, FaultStatus};

impl ScsiHost {
    /// Arms a fault, or has it act at once if it is of such a kind. Returns a
    /// number that [`clear_fault`](Self::clear_fault) takes.
    ///
    /// # Errors
    ///
    /// [`FaultError`] for what makes no sense.
    pub fn inject(&self, fault: Fault) -> Result<u64, FaultError> {
        fault.check()?;
        let faulty = &self.shared.faulty;
        match &fault.kind {
            FaultKind::TmfDelay { .. } => {
                let started = faulty.late.start();
                started.map_err(|error| FaultError::Thread(error.to_string()))?;
            }
            FaultKind::NeedsReset {} => self.give_up(),
            FaultKind::Events { .. } => {
                if let Some(storm) = Storm::new(&fault.kind, fault.when.seed) {
                    self.shared.events.invent(storm);
                }
            }
            _ => {}
        }
        if fault.kind.is_immediate() {
            return Ok(faulty.faults.note(&fault.kind));
        }
        let notify = matches!(fault.kind, FaultKind::Config { notify: true, .. });
        let id = faulty.faults.arm(fault)?;
        if notify {
            self.announce_config();
        }
        Ok(id)
    }

    /// The armed faults.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.shared.faulty.faults.list()
    }

    /// Disarms a fault. Requests that it already happened to stay as they are.
    /// False if there is none with that number.
    pub fn clear_fault(&self, id: u64) -> bool {
        self.shared.faulty.faults.clear(id)
    }

    /// Disarms every fault, and invents no more events.
    pub fn clear_faults(&self) {
        self.shared.faulty.faults.clear_all();
        self.shared.events.calm();
    }

    /// Serves nothing any more, and asks for a reset.
    fn give_up(&self) {
        if let Some(running) = self.running().as_ref() {
            for queue in &running.queues {
                queue.stop();
            }
            running.state.needs_reset();
        }
    }

    fn announce_config(&self) {
        if let Some(running) = self.running().as_ref() {
            running.state.config_changed();
        }
    }
}
