// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What VMBus stands on: Hyper-V's synthetic interrupt controller (SynIC) and two hypercalls.
//!
//! A partition has one SynIC a virtual processor, with 16 synthetic interrupt
//! sources (SINTs). The host reaches the guest through two pages of the guest's
//! memory, each with a part for each SINT, and the guest reaches the host by
//! hypercall:
//!
//! | from, to | what | where |
//! |---|---|---|
//! | host to guest | a message of up to 240 bytes | [`slot`], laid out as in [`message`] |
//! | host to guest | one of 2048 flags | [`event`] |
//! | guest to host | a message, a signal | [`hypercall`] |
//!
//! [`msr`] has the registers that switch it on. [`shared`] is how all code here
//! sees memory that the other side writes at the same time.
//!
//! Sources: the Hypervisor Top-Level Functional Specification (TLFS), chapters
//! 3 and 11, and Linux 7.3, `include/hyperv/hvgdk_mini.h`. All integers are
//! little-endian.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a test may fail"
    )
)]

pub(crate) mod wire;

pub mod event;
pub mod hypercall;
pub mod message;
pub mod msr;
pub mod shared;
pub mod slot;

#[cfg(test)]
pub(crate) mod testing;

/// Size of a page of Hyper-V's, whatever the guest's own is.
pub const PAGE_SIZE: u32 = 4096;

/// Number of synthetic interrupt sources of a virtual processor.
pub const SINT_COUNT: u8 = 16;

/// The source that VMBus uses for messages and event flags (`VMBUS_MESSAGE_SINT`).
pub const VMBUS_SINT: u8 = 2;
