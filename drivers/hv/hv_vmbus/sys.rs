// SPDX-License-Identifier: GPL-2.0

//! The structures and symbols of `linux/hyperv.h`, which are this module's interface.
//!
//! A bus needs this: drivers of its devices are given a `struct vmbus_channel` and a
//! `struct hv_device` by pointer, read and write their fields, and call functions with them. What
//! is behind those functions is in safe code, which has [`Channel`] and [`Device`] instead.

mod acpi;
mod bus_files;
pub(crate) mod bus_type;
mod channel;
mod device;
pub(crate) mod directory;
mod driver;
mod exports;
mod global;
mod handle;
mod held;
pub(crate) mod hooks;
mod integration;
pub(crate) mod interrupt;
mod lock;
pub(crate) mod locks;
mod mmio;
pub(crate) mod monitor;
pub(crate) mod platform;
mod processor;
mod relids;
mod requests;
mod resource;
mod ring;
mod rings;
pub(crate) mod root;
mod siblings;
mod statics;
#[cfg(CONFIG_HYPERV_TESTING)]
pub(crate) mod testing;
#[cfg(not(CONFIG_HYPERV_TESTING))]
#[path = "sys/testing_off.rs"]
pub(crate) mod testing;
pub(crate) mod trace;
mod view;

pub(crate) use channel::State;
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
pub(crate) use global::Global;
pub(crate) use guest_bindings as bindings;
pub(crate) use handle::{
    Channel,
    Device, //
};
pub(crate) use held::{
    Held,
    HeldDevice, //
};
pub(crate) use platform::Firmware;
pub(crate) use processor::Processors;
pub(crate) use relids::{
    Relids,
    RELIDS, //
};
pub(crate) use resource::{
    release_memory,
    Window, //
};
pub(crate) use rings::{
    decrypt,
    encrypt,
    pfn_at,
    Callback,
    Gpadl, //
};
pub(crate) use statics::{
    set_pages,
    set_version,
    version, //
};
pub(crate) use view::{
    Counter,
    Ring, //
};

/// Gives the bus up, at the module's end.
pub(crate) fn forget(bus: &Global<crate::bus::Bus>) {
    // SAFETY: The caller has taken all devices, the processors' callbacks and the interrupt handler
    // away, and has waited for all work.
    unsafe { bus.clear() };
}
