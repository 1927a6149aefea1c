// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The personality of Hyper-V, on KVM's own emulation of it.
//!
//! | module | what |
//! |---|---|
//! | [`cpuid`] | the leaves by which a guest knows where it is |
//! | [`crash`] | the registers by which a guest says that it panicked |
//! | [`platform`] | KVM's capabilities, and what comes back to user space |
//! | `sys` | requests to KVM that no library wraps |
//!
//! KVM does most of it without us: clocks, synthetic timers, flushes of TLBs,
//! interrupts between processors, and the registers of the SynIC. What comes
//! here are the SynIC's pages when a guest moves them, the hypercalls of VMBus,
//! and the crash registers, which KVM could keep as well, but without the
//! message.

/// What VMBus is called where faults are injected.
pub const BUS: &str = "vmbus";

pub mod cpuid;
pub mod crash;
pub mod platform;
pub(crate) mod sys;
