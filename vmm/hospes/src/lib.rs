// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A small VMM on KVM, which presents the devices of other hypervisors.
//!
//! [`config`] says what a machine is made of, [`machine`] assembles it from
//! KVM's parts ([`kvm`]), a processor model ([`cpu`]), the devices that every
//! machine has ([`platform`]), those of another hypervisor's guests ([`hyperv`],
//! [`vmware`]), and those that were asked for ([`storage`]), loads a kernel ([`boot`]) and ACPI
//! tables ([`acpi`]), runs it, and ends with an [`outcome`]. What is on its PCI
//! bus ([`devices`]) can change meanwhile, through a [`handle`] that the
//! [`control`] socket has.
//!
//! Threads: one a vCPU, those of the devices, one that waits for signals, one
//! for the control socket if there is one, and the main thread, which waits for
//! the end. A device asks for the end through [`outcome::Stopper`]; everything
//! is then stopped in order: vCPUs, the control socket, devices, output.

// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod acpi;
pub mod balloon;
pub mod boot;
pub mod config;
pub mod control;
pub mod cpu;
pub mod devices;
pub mod handle;
pub mod hyperv;
pub mod kvm;
pub mod layout;
pub mod limits;
pub mod machine;
pub mod memory;
pub mod outcome;
pub mod platform;
pub mod refusal;
pub mod signals;
pub mod storage;
mod sys;
pub mod vmware;
