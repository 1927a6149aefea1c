// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Telling a controller what to do wrong.

use std::sync::PoisonError;

use hospes_device::fault::{self, FaultError};
use protocol::storvsp::{Operation, Packet};

use super::FaultKind;
use crate::storvsp::Storvsp;

/// Something that a controller is to do wrong. In JSON it is one flat object:
/// `{"kind": "delay", "ms": 500, "lun": 3, "count": 10}`.
pub type Fault = fault::Fault<FaultKind>;
/// A fault and what came of it.
pub type FaultStatus = fault::FaultStatus<FaultKind>;

impl Storvsp {
    /// Arms a fault, or has it act at once if it is of such a kind. Returns a
    /// number that [`clear_fault`](Self::clear_fault) takes.
    ///
    /// # Errors
    ///
    /// [`FaultError`] for what makes no sense, or not now.
    pub fn inject(&self, fault: Fault) -> Result<u64, FaultError> {
        fault.check()?;
        let faulty = &self.shared.faulty;
        match &fault.kind {
            FaultKind::Delay { .. } | FaultKind::Again { .. } => {
                let started = faulty.late.start();
                started.map_err(|error| FaultError::Thread(error.to_string()))?;
            }
            FaultKind::Notices { number, notice } => self.invent(*number, Operation(*notice))?,
            FaultKind::Rescind {} => self.come_back(fault.select.channel.unwrap_or(0))?,
            _ => {}
        }
        if fault::Kind::is_immediate(&fault.kind) {
            return Ok(faulty.faults.note(&fault.kind));
        }
        faulty.faults.arm(fault)
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

    /// Disarms every fault.
    pub fn clear_faults(&self) {
        self.shared.faulty.faults.clear_all();
    }

    fn invent(&self, number: u16, operation: Operation) -> Result<(), FaultError> {
        let running = self.running();
        let channel = running.channels.get(&0).ok_or(NOT_OPEN)?;
        for _ in 0..number {
            let mut packet = Packet::notice(operation);
            if operation == Operation::FCHBA_DATA {
                if let Some(names) = self.shared.switch_ports() {
                    packet.set(&names);
                }
            }
            channel.port.say(&packet);
        }
        Ok(())
    }

    fn come_back(&self, channel: u16) -> Result<(), FaultError> {
        if channel != 0 && !self.running().channels.contains_key(&channel) {
            return Err(FaultError::NotNow("no driver has that channel open"));
        }
        let bus = self.bus.lock().unwrap_or_else(PoisonError::into_inner);
        let bus = bus.as_ref().ok_or(FaultError::NotNow("it is on no bus"))?;
        bus.come_back(channel);
        Ok(())
    }
}

const NOT_OPEN: FaultError = FaultError::NotNow("no driver has the controller open");
