// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Wire formats and pure logic, compiled into the guest modules and the VMM.
//!
//! Nothing here knows of a kernel, a hypervisor or an allocator: a format is a
//! plain structure with a size assertion, and logic is a function of values
//! that were copied out of shared memory once. Values chosen by the other side
//! stay integers until a checked conversion has said what they are.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod backdoor;
pub mod hyperv;
pub mod pvscsi;
pub mod scsi;
pub mod storvsp;
pub mod virtio_scsi;
pub mod vmballoon;
pub mod vmbus;
pub mod vmci;
