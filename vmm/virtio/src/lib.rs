// SPDX-License-Identifier: GPL-2.0 OR MIT

//! virtio 1.x: the PCI transport, and the SCSI host behind it.
//!
//! - [`transport`]: a virtio device as a PCI function.
//! - [`device`]: the seam between a transport and a device.
//! - [`queue`]: one virtqueue, and the chains that go through it.
//! - [`scsi`]: the SCSI host.
//! - [`fault`]: what a device does wrong because it was told to.
//! - [`notify`], [`counters`]: interrupts and status, statistics.
//!
//! Nothing a guest writes is trusted: descriptors, headers and registers are
//! copied once and checked, and each request is returned exactly once because
//! it is an object whose drop returns it.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test may fail")
)]

pub mod counters;
pub mod device;
pub mod fault;
pub mod notify;
pub mod queue;
pub mod scsi;
pub mod transport;

#[cfg(test)]
mod testing;
