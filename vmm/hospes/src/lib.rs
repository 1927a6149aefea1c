// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A small VMM on KVM, which presents the devices of other hypervisors.
//!
//! [`config`] says what a machine is made of, [`machine`] assembles it from
//! KVM's parts ([`kvm`]), a processor model ([`cpu`]), the devices that every machine has ([`platform`]) and
//! those that were asked for ([`storage`]), loads a kernel ([`boot`]) and ACPI
//! tables ([`acpi`]), runs it, and ends with an [`outcome`].
//!
//! Threads: one a vCPU, those of the devices, one that waits for signals, and
//! the main thread, which waits for the end. A device asks for the end through
//! [`outcome::Stopper`]; everything is then stopped in order: vCPUs, devices,
//! output.

// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod acpi;
pub mod boot;
pub mod config;
pub mod cpu;
pub mod kvm;
pub mod layout;
pub mod limits;
pub mod machine;
pub mod memory;
pub mod outcome;
pub mod platform;
pub mod signals;
pub mod storage;
mod sys;
