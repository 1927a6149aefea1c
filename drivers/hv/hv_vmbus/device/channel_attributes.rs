// SPDX-License-Identifier: GPL-2.0

//! The attributes of a channel in sysfs, in its directory `channels/NUMBER` below its device's.
//!
//! Kernel documentation: `Documentation/ABI/stable/sysfs-bus-vmbus`.

use super::attributes::line;
use crate::{
    bus::{
        self,
        Side, //
    },
    sys::{
        Channel,
        Counter, //
    }, //
};
use core::str;
use guest::sysfs::{
    Attribute,
    List, //
};
use kernel::prelude::*;

type Entry = Attribute<Channel>;

/// What every channel has, in C's order. [`crate::sys::directory`] makes a group of it.
pub(crate) static LIST: List<Channel, 15> = List::new(&TABLE);

static TABLE: [Entry; 15] = [
    Entry::new(c"out_mask", |channel, to| {
        line(to, channel.outbound()?.interrupt_mask)
    }),
    Entry::new(c"in_mask", |channel, to| {
        line(to, channel.inbound()?.interrupt_mask)
    }),
    Entry::new(c"read_avail", |channel, to| {
        line(to, channel.inbound()?.to_read)
    }),
    Entry::new(c"write_avail", |channel, to| {
        line(to, channel.outbound()?.to_write)
    }),
    Entry::new(c"cpu", |channel, to| line(to, channel.target_cpu())).writable(set_cpu),
    Entry::new(c"pending", |channel, to| {
        line(to, bus::monitor(channel, Side::Guest).pending)
    })
    .only_if(Channel::is_monitored),
    Entry::new(c"latency", |channel, to| {
        line(to, bus::monitor(channel, Side::Guest).latency)
    })
    .only_if(Channel::is_monitored),
    Entry::new(c"interrupts", |channel, to| {
        line(to, channel.count(Counter::Interrupts))
    }),
    Entry::new(c"events", |channel, to| {
        line(to, channel.count(Counter::Signals))
    }),
    Entry::new(c"intr_in_full", |channel, to| {
        line(to, channel.count(Counter::InboundFull))
    }),
    Entry::new(c"intr_out_empty", |channel, to| {
        line(to, channel.count(Counter::OutboundEmpty))
    }),
    Entry::new(c"out_full_first", |channel, to| {
        line(to, channel.count(Counter::FullFirst))
    }),
    Entry::new(c"out_full_total", |channel, to| {
        line(to, channel.count(Counter::FullTotal))
    }),
    Entry::new(c"monitor_id", |channel, to| line(to, channel.monitor_id()))
        .only_if(Channel::is_monitored),
    Entry::new(c"subchannel_id", |channel, to| {
        line(to, channel.sub_channel_index())
    }),
];

/// Has another CPU be interrupted: a decimal number, with whatever after it.
fn set_cpu(channel: Channel, text: &[u8]) -> Result {
    bus::retarget(channel, leading_number(text).ok_or(EIO)?)
}

/// The number at the beginning of what was written.
fn leading_number(text: &[u8]) -> Option<u32> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}
