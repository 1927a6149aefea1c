// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Telling an adapter what to do wrong.

use hospes_device::fault::{self, FaultError};
use protocol::pvscsi::register::interrupt::COMPLETION_0;
use protocol::pvscsi::{MessageDescriptor, Place};

use super::FaultKind;
use crate::Pvscsi;

/// Something that an adapter is to do wrong. In JSON it is one flat object:
/// `{"kind": "delay", "ms": 500, "target": 3, "count": 10}`.
pub type Fault = fault::Fault<FaultKind>;
/// A fault and what came of it.
pub type FaultStatus = fault::FaultStatus<FaultKind>;

const NO_RINGS: FaultError = FaultError::NotNow("no driver has set up rings");
const PAUSED: FaultError = FaultError::NotNow("the machine is paused");

impl Pvscsi {
    /// Arms a fault, or has it act at once if it is of such a kind. Returns a number that
    /// [`clear_fault`](Self::clear_fault) takes.
    ///
    /// # Errors
    ///
    /// [`FaultError`] for what makes no sense, or not now.
    pub fn inject(&self, fault: Fault) -> Result<u64, FaultError> {
        fault.check()?;
        let faults = &self.record.faults;
        if !fault::Kind::is_immediate(&fault.kind) {
            return faults.arm(fault);
        }
        self.do_at_once(&fault.kind)?;
        Ok(faults.note(&fault.kind))
    }

    /// The armed faults.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.record.faults.list()
    }

    /// Disarms a fault. Requests that it already happened to stay as they are. False if
    /// there is none with that number.
    pub fn clear_fault(&self, id: u64) -> bool {
        self.record.faults.clear(id)
    }

    /// Disarms every fault.
    pub fn clear_faults(&self) {
        self.record.faults.clear_all();
    }

    fn do_at_once(&self, kind: &FaultKind) -> Result<(), FaultError> {
        let port = self.port().ok_or(NO_RINGS)?;
        if port.is_paused() {
            return Err(PAUSED);
        }
        match *kind {
            FaultKind::Threshold { value } => port.set_threshold(value),
            FaultKind::Messages {
                number,
                message,
                bus,
                id,
            } => {
                let mut descriptor = MessageDescriptor::new(message, Place { target: 0, lun: 0 });
                descriptor.bus.set(bus);
                descriptor.target.set(id);
                for _ in 0..number {
                    self.record.keep_message(descriptor);
                }
                port.flush_messages();
            }
            FaultKind::MessageIndex { ahead } => port.skip_messages(ahead),
            FaultKind::Interrupts { number } => {
                for _ in 0..number {
                    self.interrupt.raise(COMPLETION_0);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
