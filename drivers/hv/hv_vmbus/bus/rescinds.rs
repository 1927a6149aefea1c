// SPDX-License-Identifier: GPL-2.0

//! Channels that go.
//!
//! Who takes a channel away has claimed that, so that it is done once: a rescind, the bus before a
//! sleep, or at its end.

use super::{
    bus,
    table::{
        Rescind,
        NO_RELID, //
    },
    Bus, //
};
use crate::sys::{
    trace,
    Channel,
    Held,
    HeldDevice,
    State, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use protocol::vmbus::message::{
    ChannelRelid,
    Message, //
};
use zerocopy::little_endian::U32;

impl Bus {
    /// A rescind is there: wakes who waits, and has the rest done.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn take_rescind(&'static self, relid: u32) -> Result {
        self.waiters.with(|waiters| waiters.revoke(relid));
        let work = move || self.handle_rescind(relid);
        Ok(self.queues.arrivals.try_spawn(GFP_ATOMIC, work)?)
    }

    /// The device of a first channel, unless it is on its way out.
    pub(super) fn device_of(&self, channel: Channel) -> Option<HeldDevice> {
        let _table = self.table.lock();
        channel.hold_device()
    }

    fn handle_rescind(&'static self, relid: u32) {
        if self.is_connected() {
            trace::rescinded(relid);
        }
        let found = self.table.lock().claim(relid);
        match found {
            Rescind::Ours(held) => self.spawn_rescind(held),
            // Nobody may wait for it until it has gone.
            Rescind::Handled => {}
            Rescind::Unknown => self.waiters.with(|waiters| waiters.forgive(relid)),
        }
    }

    fn spawn_rescind(&'static self, held: Held) {
        // Without memory for the work it is done here, so that needs a reference of its own.
        let here = held.channel().hold();
        let work = move || self.finish_rescind(held.channel());
        if self.queues.rescinds.try_spawn(GFP_KERNEL, work).is_err() {
            self.finish_rescind(here.channel());
        }
    }

    /// Nothing comes out of the channel any more; its device goes, or its driver closes it. Sleeps.
    pub(super) fn finish_rescind(&self, channel: Channel) {
        channel.silence();
        channel.set_rescinded();
        while !channel.is_probed() {
            fsleep(Delta::from_millis(1));
        }
        if let Some(held) = self.device_of(channel) {
            if !channel.rescind_to_driver() {
                crate::device::unregister(held.device());
            }
        } else if channel.primary().is_some() {
            self.rescind_sub(channel);
        }
    }

    fn rescind_sub(&self, channel: Channel) {
        let is_closed = {
            let _table = self.table.lock();
            let is_closed = channel.is(State::Closed);
            if !is_closed {
                channel.rescind_done();
            }
            is_closed
        };
        if is_closed {
            self.remove(channel);
        }
    }

    /// Takes a channel out of the table, if it is there, with the table's reference. The host may use
    /// its number for another. Sleeps.
    pub(super) fn remove(&self, channel: Channel) {
        if !self.table.lock().take(channel) {
            return;
        }
        let relid = channel.relid_now();
        if relid != NO_RELID {
            self.release_relid(relid);
        }
        channel.release();
    }

    /// Gives a number back that no channel has. Sleeps.
    pub(super) fn release_relid(&self, relid: u32) {
        self.waiters.with(|waiters| waiters.forgive(relid));
        if !self.is_connected() {
            return;
        }
        let body = ChannelRelid {
            relid: U32::new(relid),
        };
        if let Err(error) = self.post(&Message::RelidReleased(&body)) {
            pr_err!("cannot give channel {} back: {}\n", relid, error.to_errno());
        }
    }
}

/// The device of this first channel is gone, and its driver has closed it. Sleeps.
pub(crate) fn released(channel: Channel) {
    if let Some(bus) = bus() {
        bus.set_device(channel, None);
        bus.remove(channel);
    }
}
