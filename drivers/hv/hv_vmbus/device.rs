// SPDX-License-Identifier: GPL-2.0

//! What the kernel and user space see of the bus.
//!
//! - [`matching`]: which driver a device is for;
//! - [`attributes`], [`channel_attributes`]: files in sysfs;
//! - [`mmio`]: addresses for the registers of devices;
//! - [`ending`]: panic, another kernel, sleep.

pub(crate) mod attributes;
pub(crate) mod channel_attributes;
pub(crate) mod ending;
pub(crate) mod matching;
pub(crate) mod mmio;

pub(crate) use crate::sys::{
    create,
    directory,
    register,
    unregister, //
};
