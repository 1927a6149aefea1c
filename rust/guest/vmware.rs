// SPDX-License-Identifier: GPL-2.0

//! What a guest of VMware's hypervisors says to them.
//!
//! - [`port`]: the balloon port: pages that are given and taken back;
//! - [`doorbell`]: a doorbell that the hypervisor may ring.

pub mod doorbell;
pub mod port;

pub use doorbell::{
    Doorbell,
    Ring, //
};
pub use port::{
    Forgotten,
    Port,
    Report, //
};

use crate::bindings;

/// Whether this is such a guest.
pub fn is_guest() -> bool {
    // SAFETY: Looks at what was found out at boot.
    unsafe { bindings::is_vmware_guest() }
}
