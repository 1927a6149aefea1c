// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The balloon port: a guest of VMware gives pages back as its host wants it.
//!
//! | module | what |
//! |---|---|
//! | [`port`] | the commands, on the record of pages that all balloons share |
//! | [`fault`] | what the port can be told to do wrong |
//! | `commands` | how often each command came and failed |
//!
//! Not obvious: a guest that has not begun, has ended, or is told to reset gets the same
//! answer to whatever it asks: it is to forget its balloon, and begin. Its pages stay on
//! record until it begins, as until then it may still own them.

mod commands;
pub mod fault;
pub mod port;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use hospes_device::interrupt::MsiAllocator;
use hospes_device::memory::GuestMemory;

use super::vmci::Vmci;
use crate::balloon::{BalloonDevice, ID};
use crate::config::{self, ConfigError};
use crate::storage::fault::Faulty;

pub use port::{Offer, Port};

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
    let ringer = vmci.clone().map(|vmci| -> Arc<dyn port::Ringer> { vmci });
    let port = Arc::new(Port::new(memory, balloon.caps.0, ringer));
    let fail = |text: String| ConfigError(format!("balloon: {text}"));
    port.set_target(balloon.target.0).map_err(fail)?;
    for fault in machine.fault.iter().filter(|fault| fault.on == ID) {
        port.inject(fault.fault.clone()).map_err(fail)?;
    }
    Ok(Parts { port, vmci })
}
