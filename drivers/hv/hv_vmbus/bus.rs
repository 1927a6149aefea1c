// SPDX-License-Identifier: GPL-2.0

//! The core of the bus: the connection to the host, the channels, and what goes through them.
//!
//! - [`connect`]: agreeing on a version;
//! - [`inbox`], [`messages`], [`waiters`]: messages in, messages out, and who waits for an answer;
//! - [`offers`], [`rescinds`], [`table`], [`spread`]: channels that come and go, and which processor
//!   each gets;
//! - [`gpadl`], [`open`], [`ring`]: memory for the host, opening and closing, and indices;
//! - [`cpus`], [`power`], [`unload`]: processors, sleep, and the end.
//!
//! Not obvious:
//!
//! - **Order.** Offers and rescinds are handled one after the other, as they came, by one queue
//!   that never waits for a driver. What may wait (a driver's probe, a device's removal) goes on in
//!   queues of its own. So no rescind ever looks for a channel whose offer is still to be handled,
//!   and nothing has to be counted.
//! - **Nobody waits for a channel that is gone.** The tasklet that takes a rescind notes its
//!   number before anything else, which wakes who waits for an answer about it and refuses who
//!   comes later. No lock that a waiting thread may have is needed for that.
//! - **Who frees a channel.** Whoever takes it out of the table, and there is one who does, gives up
//!   its first reference; the memory goes with the last. Its device and its sub-channels have one
//!   each, and so has work that is about it.
//! - **Locks.** The table's mutex is inside of the lock on processors. That of the waiters is a
//!   spinlock inside of everything.

mod connect;
mod cpus;
mod gpadl;
mod inbox;
mod messages;
mod offers;
mod open;
mod power;
mod rescinds;
pub(crate) mod ring;
mod spread;
mod state;
mod table;
mod unload;
mod waiters;

pub(crate) use cpus::{
    forget_cpus,
    move_channel,
    retarget,
    synic_off,
    synic_on, //
};
pub(crate) use gpadl::{
    establish,
    teardown,
    Use, //
};
pub(crate) use inbox::take_message;
pub(crate) use messages::{
    connect_socket,
    post_raw, //
};
pub(crate) use offers::each_of_device;
pub(crate) use open::{
    close,
    disconnect,
    open, //
};
pub(crate) use power::{
    resume,
    suspend, //
};
pub(crate) use rescinds::released;
pub(crate) use state::{
    bus,
    complain,
    is_confidential,
    start,
    stop,
    Bus, //
};
pub(crate) use unload::unload;

pub(crate) use crate::sys::monitor::{
    monitor,
    Side, //
};
