// SPDX-License-Identifier: GPL-2.0 OR MIT

//! All that talks to KVM.
//!
//! - [`vm`]: the virtual machine, its memory slots and interrupt controllers;
//! - [`interrupts`]: MSI vectors and interrupt lines as irqfds;
//! - [`spaces`]: the two buses, and doorbells as ioeventfds;
//! - [`cpuid`] and [`state`]: what a vCPU is and how it starts;
//! - [`stats`]: what KVM itself counts;
//! - [`vcpu`]: the loop around `KVM_RUN`;
//! - [`trouble`]: what KVM says when it cannot go on;
//! - [`gate`]: where vCPUs wait while the machine is paused.

pub mod cpuid;
pub mod gate;
pub mod interrupts;
pub mod spaces;
pub mod state;
pub mod stats;
pub mod trouble;
pub mod vcpu;
pub mod vm;
