// SPDX-License-Identifier: GPL-2.0

//! Opening a channel, and closing it.
//!
//! A channel's rings are one piece of memory, which the host is told of before the channel is
//! opened, and which is freed only when the host has forgotten it, or the channel.

use super::{
    bus,
    gpadl::{
        establish,
        teardown,
        Use, //
    },
    table::NO_RELID,
    waiters::{
        Answer,
        Key, //
    },
    Bus, //
};
use crate::sys::{
    Callback,
    Channel,
    Gpadl,
    State, //
};
use guest::hyperv::platform;
use kernel::prelude::*;
use protocol::{
    hyperv::PAGE_SIZE,
    vmbus::{
        message::{
            ChannelRelid,
            Message,
            Open, //
        },
        USER_DATA_SIZE, //
    }, //
};
use zerocopy::little_endian::U32;

/// How long a rescind of a sub-channel may take to come to its end, between two notices.
const RESCIND_MS: u32 = 60_000;

/// Opens a channel whose rings are allocated. Its packets go to `callback`. Sleeps.
///
/// # Errors
///
/// `EINVAL` if it cannot be opened now or there is too much user data, `EAGAIN` if the host
/// refuses, `ENODEV` if it was taken away, `ENOMEM`, or what [`establish`] says.
pub(crate) fn open(channel: Channel, user_data: &[u8], callback: Callback) -> Result {
    let bus = bus().ok_or(ENODEV)?;
    let mut data = [0; USER_DATA_SIZE];
    data.get_mut(..user_data.len())
        .ok_or(EINVAL)?
        .copy_from_slice(user_data);
    if !channel.has_rings() || !bus.table.lock().begin_opening(channel) {
        return Err(EINVAL);
    }
    let result = channel
        .alloc_requests()
        .and_then(|()| bus.open_with_rings(channel, data, callback));
    if result.is_err() {
        channel.silence_callback();
        channel.unmap_rings();
        channel.free_requests();
        channel.set_state(State::Closed);
    }
    result
}

impl Bus {
    fn open_with_rings(
        &self,
        channel: Channel,
        data: [u8; USER_DATA_SIZE],
        callback: Callback,
    ) -> Result {
        let (address, size) = channel.ring_memory();
        let mut gpadl = Gpadl::default();
        let told = establish(channel, Use::Rings, address, size, &mut gpadl);
        channel.set_ring_gpadl(gpadl);
        told?;
        let result = channel.map_rings().and_then(|()| {
            channel.set_callback(callback);
            self.send_open(channel, data)
        });
        if result.is_err() {
            channel.silence_callback();
            self.forget_rings(channel);
        }
        result
    }

    /// The processor cannot go nor change until the answer is there, as the channel is neither
    /// closed nor open.
    fn send_open(&self, channel: Channel, user_data: [u8; USER_DATA_SIZE]) -> Result {
        let relid = channel.relid_now();
        let body = Open {
            relid: U32::new(relid),
            open_id: U32::new(relid),
            ring_gpadl: U32::new(channel.ring_gpadl().gpadl_handle),
            target_vp: U32::new(platform::virtual_processor(channel.cpu())),
            downstream_page: U32::new(channel.send_ring_size() / PAGE_SIZE),
            user_data,
        };
        let key = Key::Open {
            relid,
            open_id: relid,
        };
        match self.ask(key, Some(relid), None, || self.post(&Message::Open(&body)))? {
            Answer::Status(0) => {
                channel.set_state(State::Opened);
                Ok(())
            }
            Answer::Status(status) => {
                pr_err!("the host does not open channel {}: {:#x}\n", relid, status);
                Err(EAGAIN)
            }
            _ => Err(EIO),
        }
    }

    /// Has the host forget the rings. If it does not, their memory is never used again.
    fn forget_rings(&self, channel: Channel) -> bool {
        let mut gpadl = channel.ring_gpadl();
        if gpadl.gpadl_handle == 0 {
            return true;
        }
        let result = teardown(channel, &mut gpadl);
        channel.set_ring_gpadl(gpadl);
        if result.is_err() {
            channel.leak_rings();
        }
        result.is_ok()
    }

    /// Closes one channel. The table must be locked, so that nobody moves it meanwhile.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it was not open. `EIO` if its memory has to be left to the host.
    fn close_one(&self, channel: Channel) -> Result {
        channel.silence();
        if !channel.is(State::Opened) {
            return Err(EINVAL);
        }
        channel.set_state(State::Closed);
        let relid = channel.relid_now();
        let body = ChannelRelid {
            relid: U32::new(relid),
        };
        // A host that does not know the channel any more does not want to hear of it.
        if !channel.is_rescinded() && relid != NO_RELID {
            if let Err(error) = self.post(&Message::Close(&body)) {
                pr_err!(
                    "Close failed: close post msg return is {}\n",
                    error.to_errno()
                );
                channel.leak_rings();
                return Err(EIO);
            }
        }
        if !self.forget_rings(channel) {
            return Err(EIO);
        }
        channel.free_requests();
        Ok(())
    }

    /// Closes a sub-channel. If the host has taken it away it is ours to free; if it does so
    /// later, it finds the channel closed. Sleeps.
    fn close_sub(&self, channel: Channel) {
        while channel.is_rescinded() && !channel.wait_rescind(RESCIND_MS) {
            pr_warn!("channel {} is slow to go\n", channel.relid_now());
        }
        let table = self.table.lock();
        if self.close_one(channel).is_ok() {
            channel.free_rings();
        }
        let is_ours = channel.is_rescind_done();
        drop(table);
        if is_ours {
            self.remove(channel);
        }
    }
}

/// Closes a device's channels, but keeps the rings of the first one. Sleeps.
///
/// # Errors
///
/// `EINVAL` if it is not a first channel or not open.
pub(crate) fn disconnect(channel: Channel) -> Result {
    let bus = bus().ok_or(ENODEV)?;
    if channel.primary().is_some() {
        return Err(EINVAL);
    }
    // No more sub-channels are opened, so that this ends.
    channel.refuse_subs();
    let next = || {
        let table = bus.table.lock();
        let found = table.subs(channel).find(|sub| sub.is(State::Opened));
        found
    };
    while let Some(sub) = next() {
        bus.close_sub(sub);
    }
    let _table = bus.table.lock();
    bus.close_one(channel)
}

/// Closes a device's channels. Sleeps.
pub(crate) fn close(channel: Channel) {
    if disconnect(channel).is_ok() {
        channel.free_rings();
    }
}
