// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The balloon port of a machine, and what rings for it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use hospes_device::balloon::Status;
use hospes_device::interrupt::MsiAllocator;
use hospes_device::memory::GuestMemory;
use hospes_vmware::balloon::fault::FaultKind;
use hospes_vmware::balloon::port::Ringer;
use hospes_vmware::vmci::Vmci;
use serde_json::{Map, Value};

use crate::balloon::{BalloonDevice, ID};
use crate::config::{self, ConfigError};
use crate::storage::fault::{parse, Faulty};

pub use hospes_vmware::balloon::{Offer, Port};

/// What a machine with a balloon has.
pub struct Parts {
    /// The port.
    pub port: Arc<Port>,
    /// What rings for it, if it is to ring.
    pub vmci: Option<Arc<Vmci>>,
}

/// Makes what `balloon` says, of a machine that may also say what it does wrong.
///
/// # Errors
///
/// [`ConfigError`] for what the user can change, others if there are no vectors.
pub fn build(
    balloon: &config::Balloon,
    machine: &config::Machine,
    memory: &GuestMemory,
    vectors: &dyn MsiAllocator,
) -> Result<Parts> {
    let vmci = balloon.has_doorbell().then(|| Vmci::new(memory, vectors));
    let vmci = vmci.transpose().context("VMCI has no interrupts")?;
    let ringer = vmci.clone().map(|vmci| -> Arc<dyn Ringer> { vmci });
    let port = Arc::new(Port::new(memory, balloon.caps.0, ringer));
    let fail = |text: String| ConfigError(format!("balloon: {text}"));
    port.set_target(balloon.target.0).map_err(fail)?;
    for fault in machine.fault.iter().filter(|fault| fault.on == ID) {
        Faulty::inject(&*port, fault.fault.clone()).map_err(fail)?;
    }
    Ok(Parts { port, vmci })
}

/// Says whether the port can do that.
///
/// # Errors
///
/// A text that names the key.
pub fn check(fault: &Map<String, Value>) -> Result<(), String> {
    parse::<FaultKind>(fault.clone()).map(drop)
}

impl BalloonDevice for Port {
    fn status(&self) -> Status {
        Port::status(self)
    }

    fn set_target(&self, bytes: u64) -> Result<(), String> {
        Port::set_target(self, bytes)
    }
}
