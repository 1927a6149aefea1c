// SPDX-License-Identifier: GPL-2.0

//! The structures and symbols of `linux/hyperv.h`, which are this module's interface.
//!
//! A bus needs this: drivers of its devices are given a `struct vmbus_channel` and a
//! `struct hv_device` by pointer, read and write their fields, and call functions with them. What
//! is behind those functions is in safe code, which has [`Channel`] and [`Device`] instead.

mod acpi;
mod bus_files;
pub(crate) mod bus_type;
mod device;
pub(crate) mod directory;
mod driver;
mod handle;
pub(crate) mod hooks;
mod integration;
pub(crate) mod locks;
mod mmio;
pub(crate) mod platform;
mod resource;
pub(crate) mod root;
mod view;

pub(crate) use device::{
    create,
    register,
    unregister, //
};
pub(crate) use driver::{
    Driver,
    DriverId,
    Override, //
};
pub(crate) use guest_bindings as bindings;
pub(crate) use handle::{
    Channel,
    Device, //
};
pub(crate) use platform::Firmware;
pub(crate) use resource::{
    release_memory,
    Window, //
};
pub(crate) use view::{
    Counter,
    Ring, //
};
