// SPDX-License-Identifier: GPL-2.0

//! Drivers of devices on Hyper-V's VMBus, by the interface of `linux/hyperv.h`, whichever bus
//! driver stands behind it.
//!
//! - [`Driver`], [`Adapter`] and [`module_vmbus_driver!`](crate::module_vmbus_driver): a driver and
//!   its registration with the bus;
//! - [`Device`] and [`DeviceId`]: a device on the bus, and by which GUID it is known;
//! - [`Channels`]: the channels of a device, open from probe to removal at most;
//! - [`Handler`]: what takes the packets that come in;
//! - [`Request`]: what a host answers, and may use until then;
//! - [`PageList`]: memory of the guest that a packet names.
//!
//! Not obvious:
//!
//! - **Who owns a request.** [`Channels::send`] takes it, and it is in a table of this wrapper from
//!   then on. It comes out once: when the host answers, when the channel has refused it, or when
//!   the channels are closed. The host only sees a number, which stands for a place in the table
//!   and how often that was used: a late or a repeated answer finds nothing.
//! - **Whose the channels are.** They belong to the *binding* of driver and device. [`Adapter`]
//!   closes them after the driver's data was dropped, or when its probe fails.
//! - **What is copied.** The bus copies each packet out of the ring into memory of its own, with
//!   lengths that fit. A [`Handler`] gets a slice of that.
//! - **A broken ring** is one in which anything is wrong but the payload of a packet. All channels
//!   of the device are of no use then: nothing is sent any more and nothing taken, and the
//!   [`Handler`] is told, which has to close them.
//! - **A rescinded channel** is one that the host has taken away. Nothing comes out of it any
//!   more, so that who waits for it has to close the channels.
//!
//! C header: [`include/linux/hyperv.h`](srctree/include/linux/hyperv.h)

mod channels;
mod device;
mod driver;
mod incoming;
mod list;
mod pages;
mod requests;
mod ring;
mod send;

pub use self::channels::{
    Channels,
    Plan, //
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
pub use self::incoming::Handler;
pub use self::pages::PageList;
pub use self::requests::Request;
pub use self::send::{
    Payload,
    Refusal,
    Refused, //
};

const _: () = assert!(cfg!(target_endian = "little"));
