// SPDX-License-Identifier: GPL-2.0 OR MIT

//! VMBus: channels between a guest of Hyper-V and its devices.
//!
//! | module | what |
//! |---|---|
//! | [`memory`] | guest pages as the lock-free protocols of `protocol` want them |
//! | [`synic`] | flags and messages for the guest's processors |
//! | [`server`] | the bus: versions, offers, GPADLs, opening and closing |
//! | [`device`] | the seam between the bus and a device |
//! | [`channel`] | an open channel, as a device has it |
//! | [`storvsp`] | the SCSI controller |
//!
//! What is not obvious:
//!
//! - **Threads.** All channel messages are handled by one thread, the bus's own,
//!   in the order in which they come; a vCPU that posts one does no more than put
//!   it into a queue with an end. Each open channel of a device has a thread.
//! - **Way of a packet.** The guest's signal is an eventfd that KVM knows, and
//!   wakes the channel's thread. That drains the ring and gives commands to the
//!   target; what comes back goes into the other ring, and one flag and one
//!   interrupt (an irqfd) tell the guest, unless it is looking already.
//! - **Trust.** Whatever the guest writes is copied once and checked. A ring with
//!   a wrong value is dead, and says so once.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test may fail")
)]

pub mod channel;
pub mod device;
pub mod memory;
pub mod server;
pub mod storvsp;
pub mod synic;
#[cfg(test)]
mod testing;

pub use server::{Settings, VmBus};
pub use synic::Synic;
