// SPDX-License-Identifier: GPL-2.0

//! Before a hibernation, and after it.
//!
//! Drivers have closed their channels by then. Sub-channels and sockets do not come back, so they
//! have to be gone; devices stay, and the host offers them anew with other numbers.

use super::{
    bus,
    table::NO_RELID,
    Bus, //
};
use crate::sys::{
    trace,
    Channel,
    RELIDS, //
};
use core::sync::atomic::Ordering;
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// How long sub-channels may take to go.
const SUBS_MS: i64 = 60_000;

/// All that a hibernation needs of the connection, before it. Sleeps.
///
/// # Errors
///
/// `EBUSY` if sub-channels do not go.
pub(crate) fn suspend() -> Result {
    let bus = bus().ok_or(ENODEV)?;
    bus.processors
        .without_messages(|| bus.deaf.store(true, Ordering::Release));
    bus.queues.drain();
    let result = bus.clear_for_sleep();
    if result.is_err() {
        bus.deaf.store(false, Ordering::Release);
        return result;
    }
    super::unload(false);
    Ok(())
}

/// And after it: the same version, and the same devices. Sleeps.
///
/// # Errors
///
/// `EINVAL` if there was no connection before, or why there is none now.
pub(crate) fn resume() -> Result {
    let bus = bus().ok_or(ENODEV)?;
    let version = crate::sys::version().ok_or(EINVAL)?;
    bus.deaf.store(false, Ordering::Release);
    bus.negotiate(version)?;
    bus.request_offers()?;
    for channel in bus.table.lock().primaries() {
        let offer = channel.offer();
        if channel.relid_now() == NO_RELID && !offer.is_socket() {
            let [a, b, c, d, ..] = offer.instance.0;
            let first = u32::from_le_bytes([a, b, c, d]);
            pr_err!("device {:08x}-... is not there after the sleep\n", first);
        }
    }
    Ok(())
}

impl Bus {
    fn clear_for_sleep(&self) -> Result {
        self.rescind_sockets()?;
        let has_subs = || {
            self.table
                .lock()
                .iter()
                .any(|channel| channel.primary().is_some())
        };
        for _ in 0..SUBS_MS / 10 {
            if !has_subs() {
                break;
            }
            fsleep(Delta::from_millis(10));
        }
        if has_subs() {
            pr_err!("sub-channels are still there\n");
            return Err(EBUSY);
        }
        let table = self.table.lock();
        for channel in table.primaries() {
            RELIDS.clear(channel.relid_now());
            channel.set_relid(NO_RELID);
        }
        self.waiters.with(|waiters| waiters.forgive_all());
        Ok(())
    }

    /// Sockets do not outlive a sleep: they are taken away as if the host had done it.
    fn rescind_sockets(&self) -> Result {
        let mut sockets = KVec::new();
        {
            let table = self.table.lock();
            let is_socket = |channel: &Channel| channel.offer().is_socket();
            for channel in table.primaries().filter(is_socket) {
                sockets.reserve(1, GFP_KERNEL)?;
                if channel.claim_rescind() {
                    sockets.push(channel.hold(), GFP_KERNEL)?;
                }
            }
        }
        for held in &sockets {
            trace::rescinded(held.channel().relid_now());
            self.finish_rescind(held.channel());
        }
        Ok(())
    }
}
