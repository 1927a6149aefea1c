// SPDX-License-Identifier: GPL-2.0

//! What the driver of Hyper-V's bus needs of the hypervisor and of the machine.
//!
//! - [`platform`]: what kind of guest this is;
//! - [`hypercall`]: the two hypercalls of VMBus;
//! - [`synic`]: the registers of the synthetic interrupt controller (SynIC);
//! - [`page`]: memory that the host reads and writes, too;
//! - [`cpus`]: processors that come and go;
//! - [`queue`]: workqueues of one's own.

pub mod cpus;
pub mod hypercall;
pub mod page;
pub mod platform;
pub mod queue;
pub mod synic;
