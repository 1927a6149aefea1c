// SPDX-License-Identifier: GPL-2.0

//! What the monitor pages say about a channel.

use super::{
    statics::CONNECTION,
    Channel, //
};
use core::ptr::NonNull;
use guest::hyperv::page::Memory;
use protocol::{
    hyperv::{
        shared::Shared,
        PAGE_SIZE, //
    }, //
};

/// Where triggers, latencies and connections are in a page: 4 groups of 32 each.
const TRIGGERS: u32 = 0x08;
const LATENCIES: u32 = 0x240;
const PARAMETERS: u32 = 0x440;

/// Who triggers by a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The host.
    Host,
    /// The guest.
    Guest,
}

/// What a page says about a channel.
#[derive(Clone, Copy, Default)]
pub(crate) struct Monitor {
    /// The triggers of its group that are set.
    pub(crate) pending: u32,
    /// How long a trigger may take, in units of 100 ns.
    pub(crate) latency: u16,
    /// What is signalled.
    pub(crate) connection_id: u32,
}

/// What a page says about a channel.
pub(crate) fn monitor(channel: Channel, side: Side) -> Monitor {
    let id = u32::from(channel.offer().monitor_id);
    let Some(page) = NonNull::new(CONNECTION.monitor_page(side == Side::Guest)) else {
        return Monitor::default();
    };
    if id >= 4 * 32 {
        return Monitor::default();
    }
    // SAFETY: The page stays while there are channels.
    let page = unsafe { Memory::new(page, PAGE_SIZE) };
    let latencies = page.load(LATENCIES + id / 2 * 4);
    Monitor {
        pending: page.load(TRIGGERS + id / 32 * 8),
        latency: (latencies >> (id % 2 * 16)) as u16,
        connection_id: page.load(PARAMETERS + id * 8),
    }
}
