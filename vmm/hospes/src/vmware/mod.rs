// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The personality of VMware.
//!
//! | module | what |
//! |---|---|
//! | [`cpuid`] | the leaves by which a guest knows where it is |
//! | [`platform`] | what the machine tells of itself through the backdoor |
//! | [`balloon`] | the port by which it gives memory back, as the machine has it |
//! | `sys` | the result of a port read, which no library lets us change |
//!
//! KVM has no emulation of it but for the exit that any port leads to. A guest
//! of it has no clock of its own: it is told how fast the time stamp counter is,
//! and trusts that.

pub mod balloon;
pub mod cpuid;
pub mod platform;
mod sys;

pub use hospes_vmware::vmci;
