// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a device is given by its machine.
//!
//! A device is passive: it gets guest memory ([`memory`]), interrupt vectors
//! ([`interrupt`]) and accesses from a bus ([`bus`]), owns no global state and
//! counts what it does ([`counters`]). It can therefore be tested against a
//! model of its guest, with no KVM in sight. Where it has threads of its own,
//! they are started by [`thread`], which confines them; [`worker`] has those
//! that serve queues. [`limit`] says how often a guest may cause a message in the
//! log. [`fault`] is for devices that are told to do something wrong, and [`balloon`] the
//! record of what a guest has given back of its memory.

// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod balloon;
pub mod bus;
pub mod counters;
pub mod fault;
pub mod interrupt;
pub mod limit;
pub mod memory;
pub mod thread;
pub mod worker;
