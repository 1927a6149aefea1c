// SPDX-License-Identifier: GPL-2.0 OR MIT

//! VMBus: how a guest on Hyper-V finds its synthetic devices and talks to them.
//!
//! | module | what |
//! |---|---|
//! | [`version`] | versions, and what each brought |
//! | [`guid`], [`class`] | how devices are named, and the classes that are known |
//! | [`message`] | channel messages: connect, offer, open, close, rescind |
//! | [`gpa`] | lists of ranges of guest memory |
//! | [`gpadl`] | such a list told to the host under a handle, in several messages |
//! | [`ring`] | the ring buffer, its producer and its consumer |
//! | [`packet`] | what is in a ring |
//! | [`integration`] | how integration services agree on versions |
//! | [`mmio`] | addresses for the registers of devices |
//!
//! A channel is two rings, one each way, in memory that the guest tells the host
//! about as a GPADL (guest physical address descriptor list). Messages go by the
//! SynIC ([`crate::hyperv`]); they are few, slow and set channels up. Packets go
//! by rings, and one side signals the other only when that sleeps.
//!
//! Microsoft does not document VMBus. Sources: Linux 7.3, `include/linux/hyperv.h`
//! and `drivers/hv`, named at each item. `Documentation/protocols/vmbus.md` has it
//! in prose. All integers are little-endian.

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

pub mod class;
pub mod gpa;
pub mod gpadl;
pub mod guid;
pub mod integration;
pub mod message;
pub mod mmio;
pub mod packet;
pub mod ring;
pub mod version;

pub use guid::Guid;
pub use version::Version;

/// Highest number (relid) that a channel can have: there are 2048 event flags, and 0 is no channel.
pub const MAX_RELID: u16 = 2047;

/// Bytes of an offer and of an open message that belong to the device (`MAX_USER_DEFINED_BYTES`).
pub const USER_DATA_SIZE: usize = 120;
