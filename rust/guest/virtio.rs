// SPDX-License-Identifier: GPL-2.0

//! Drivers of virtio devices.
//!
//! - [`Driver`], [`Adapter`] and [`module_virtio_driver!`](crate::module_virtio_driver): a driver
//!   and its registration with the bus;
//! - [`Device`] and [`DeviceId`]: a device on the bus;
//! - [`Config`]: the configuration space of a device;
//! - [`Queues`]: the virtqueues of a device, all of which live from probe to removal;
//! - [`Virtqueue`]: one of them, with the requests that it owns as [`Token`]s;
//! - [`Message`]: the usual request, two pieces of memory and something to go with them.
//!
//! Not obvious: virtqueues belong to the *binding* of driver and device, not to the driver. When
//! the driver is unbound, or its probe fails, [`Adapter`] resets the device, takes back from the
//! queues what the device has not returned, and deletes them. A [`Virtqueue`] that somebody
//! still holds then refuses everything. Suspend does the same, but for the time of it: the adapter
//! makes the queues again before the driver's `restore`, and they are the same [`Virtqueue`]s.
//!
//! A device that does what no device may do breaks a queue. Once that is seen, by an interrupt
//! or by who calls [`Queues::fail`], the device is stopped, and everything in flight is dropped.
//!
//! Byte order: VIRTIO 1.x is little-endian, a legacy device has the byte order of its guest. The
//! wrappers leave bytes as they are, so they are for little-endian machines.
//!
//! C headers: [`include/linux/virtio.h`](srctree/include/linux/virtio.h),
//! [`include/linux/virtio_config.h`](srctree/include/linux/virtio_config.h)

mod config;
mod device;
mod driver;
mod message;
mod queues;
mod segments;
mod virtqueue;

pub use self::config::{
    Config,
    ConfigField, //
};
pub use self::device::{
    Device,
    DeviceId,
    IdTable, //
};
pub use self::driver::{
    Adapter,
    Driver, //
};
pub use self::message::{
    Asked,
    Message, //
};
pub use self::queues::{
    Callback,
    Handler,
    Plan,
    Queues, //
};
pub use self::segments::Segments;
pub use self::virtqueue::{
    Counts,
    Kick,
    Refusal,
    Refused,
    Token,
    Virtqueue, //
};

const _: () = assert!(cfg!(target_endian = "little"));
