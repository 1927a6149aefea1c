// SPDX-License-Identifier: GPL-2.0

//! The structures and symbols of `linux/hyperv.h`, which are this module's interface.
//!
//! A bus needs this: drivers of its devices are given a `struct vmbus_channel` and a
//! `struct hv_device` by pointer, read and write their fields, and call functions with them. What
//! is behind those functions is in safe code, which has [`Channel`] and [`Device`] instead.

mod handle;

pub(crate) use guest_bindings as bindings;
pub(crate) use handle::{
    Channel,
    Device, //
};
