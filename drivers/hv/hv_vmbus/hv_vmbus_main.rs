// SPDX-License-Identifier: GPL-2.0

//! Hyper-V's VMBus: finds the devices that a host offers, and carries their drivers' packets.
//!
//! - [`bus`]: the connection to the host, channels, and everything that goes through them;
//! - [`device`]: what the kernel and user space see: devices, drivers, sysfs;
//! - [`sys`]: the structures and symbols of `linux/hyperv.h`.

#![deny(unsafe_code)]

mod bus;
mod device;
#[allow(unsafe_code)]
mod sys;

use kernel::prelude::*;

module! {
    type: HvVmbus,
    name: "hv_vmbus",
    authors: ["The Hospes authors"],
    description: "Microsoft Hyper-V VMBus Driver",
    license: "GPL",
}

struct HvVmbus;

impl kernel::Module for HvVmbus {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
