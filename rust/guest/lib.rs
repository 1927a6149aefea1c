// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers for the kernel interfaces that guest drivers need and the
//! `kernel` crate does not have.
//!
//! - [`virtio`]: drivers of virtio devices, their configuration space and virtqueues;
//! - [`vmbus`]: drivers of devices on Hyper-V's VMBus, their channels, and what hosts are asked for;
//! - [`hyperv`]: what a bus driver needs of the hypervisor and of the machine;
//! - [`scsi`]: SCSI hosts and commands;
//! - [`virtio_scsi`], [`vmbus_scsi`]: what joins them, SCSI commands as requests of a virtqueue or of
//!   channels;
//! - [`balloon`]: pages that a guest gives to its host;
//! - [`vmware`]: what guests of VMware's hypervisors say to them;
//! - [`pci`]: drivers of PCI functions, their registers and interrupts;
//! - [`sysfs`]: tables of attributes;
//! - [`dma`]: memory in which driver and device work at the same time;
//! - [`device_cell`]: memory that a device reads or writes by itself;
//! - [`counters`]: what a driver counts, in debugfs; [`debugfs`]: files of other forms;
//! - [`shrinker`]: who can do with less memory;
//! - [`cpus`]: how many processors there are;
//! - [`alloc`], [`completion`], [`work`], [`ratelimit`], [`param`], [`lock`], [`sched`]: additions to the
//!   kernel's modules of the same name.
//!
//! All of the project's `unsafe` code for the kernel is in this crate. A driver names no raw
//! pointer, and whatever it does with these types, memory stays sound; the one thing asked of it
//! is that it does not leak (`mem::forget`) a registration, as elsewhere in the kernel.

#![no_std]

pub mod alloc;
pub mod balloon;
pub mod completion;
pub mod counters;
pub mod cpus;
pub mod debugfs;
pub mod device_cell;
pub mod dma;
pub mod hyperv;
pub mod lock;
pub mod param;
pub mod pci;
mod preemption;
pub mod ratelimit;
pub mod sched;
pub mod scsi;
pub mod shrinker;
pub mod sysfs;
pub mod virtio;
pub mod virtio_scsi;
pub mod vmbus;
pub mod vmbus_scsi;
pub mod vmware;
mod word;
pub mod work;

// The C interfaces, those of the `kernel` crate included.
use guest_bindings as bindings;
