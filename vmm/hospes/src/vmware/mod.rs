// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The personality of VMware.
//!
//! | module | what |
//! |---|---|
//! | [`cpuid`] | the leaves by which a guest knows where it is |
//! | [`platform`] | what the machine tells of itself through the backdoor |
//! | [`smbios`] | the tables that name the vendor |
//! | [`balloon`] | the port by which it gives memory back, as the machine has it |
//! | `sys` | the answer to a port read, which no library lets us give |
//!
//! KVM has no emulation of it but for the exit that any port leads to. A guest
//! of it has no clock of its own: it is told how fast the time stamp counter is,
//! and trusts that.

pub mod balloon;
pub mod cpuid;
pub mod platform;
pub mod smbios;
mod sys;

pub use hospes_vmware::vmci;
