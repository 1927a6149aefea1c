// SPDX-License-Identifier: GPL-2.0

//! Hyper-V's VMBus: finds the devices that a host offers, and carries their drivers' packets.
//!
//! - [`bus`]: the connection to the host, channels, and everything that goes through them;
//! - [`device`]: what the kernel and user space see: devices, drivers, sysfs;
//! - [`sys`]: the structures and symbols of `linux/hyperv.h`.

#![deny(unsafe_code)]

mod bus;
mod device;
mod parameters;
#[allow(unsafe_code)]
mod sys;

use kernel::prelude::*;
use sys::{
    bus_type,
    hooks,
    locks,
    platform,
    root,
    testing, //
};

module! {
    type: HvVmbus,
    name: "hv_vmbus",
    authors: ["The Hospes authors"],
    description: "Microsoft Hyper-V VMBus Driver",
    license: "GPL",
}

/// What the module is while it is loaded: nothing on the root partition of the hypervisor, where
/// others that depend on this module run.
struct HvVmbus {
    _running: Option<Running>,
}

/// A bus at work.
///
/// Order of drop: first nobody calls any more, then the connection ends and with it all devices.
struct Running {
    _handlers: hooks::Handlers,
    _connection: Connection,
    _tests: testing::Directory,
    _panic: hooks::Panic,
    _bus: bus_type::Registration,
    _platform: Pin<KBox<platform::Registration>>,
}

/// The connection to the host.
struct Connection;

impl Drop for Connection {
    fn drop(&mut self) {
        bus::stop();
    }
}

impl kernel::Module for HvVmbus {
    fn init(module: &'static ThisModule) -> Result<Self> {
        if !platform::is_guest() {
            return Err(ENODEV);
        }
        let is_bare = guest::hyperv::platform::is_root_partition() && !platform::is_nested();
        let running = (!is_bare).then(|| Running::start(module)).transpose()?;
        Ok(Self { _running: running })
    }
}

impl Running {
    fn start(module: &'static ThisModule) -> Result<Self> {
        locks::init();
        let registration = platform::Registration::new(c"vmbus", module);
        let platform = KBox::pin_init(registration, GFP_KERNEL)?;
        if !root::exists() {
            return Err(ENODEV);
        }
        let bus = bus_type::Registration::new()?;
        let panic = hooks::Panic::new()?;
        let tests = testing::Directory::new();
        bus::start()?;
        let connection = Connection;
        Ok(Self {
            _handlers: hooks::Handlers::new()?,
            _connection: connection,
            _tests: tests,
            _panic: panic,
            _bus: bus,
            _platform: platform,
        })
    }
}
