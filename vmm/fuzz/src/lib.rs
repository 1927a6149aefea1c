// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fuzz targets. Each is a function of bytes that runs some part of the VMM on
//! them, without threads and without files as far as that can be, and panics if
//! a promise was broken. `scripts/fuzz` builds and runs them.
//!
//! | target | bytes are |
//! |---|---|
//! | [`request`] | descriptors, and the memory that they are about, of virtio-scsi queues |
//! | [`cdb`] | SCSI commands to a disk, a protected disk and a CD drive |
//! | [`control`] | what clients send to the control socket |
//! | [`vmbus`] | channel messages, GPADLs, packets, and what a peer does to a ring |
//! | [`hyperv`] | what a guest of Hyper-V does to the bus and to a SCSI controller on it |
//! | [`storvsp`] | packets to a host, and a host's answers |
//! | [`pvscsi`] | what a device says of its rings, in completions, messages and its page |
//! | [`adapter`] | what a driver does with registers, rings and memory of the pvscsi adapter |
//! | [`vmware`] | what a guest of VMware does to the backdoor, the balloon port and its doorbell's device, and what a host says to it |
//! | [`pci`] | accesses to configuration space, BARs and MSI-X tables |

pub mod adapter;
pub mod backing;
pub mod cdb;
pub mod control;
pub mod hyperv;
pub mod input;
pub mod machine;
pub mod pci;
pub mod pvscsi;
pub mod request;
pub mod storvsp;
pub mod vmbus;
pub mod vmware;
