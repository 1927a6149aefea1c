// SPDX-License-Identifier: GPL-2.0

//! All channels that there are.

use super::spread::Spread;
use crate::sys::{
    Channel,
    RELIDS, //
};
use kernel::prelude::*;
use protocol::vmbus::message::Offer;

/// The number of a channel that has none: the host knows it no more, or not yet again.
pub(super) const NO_RELID: u32 = u32::MAX;

/// The channels, in the order in which they came, and which processors they have.
pub(crate) struct Table {
    channels: KVec<Channel>,
    pub(super) spread: Spread,
}

impl Table {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            channels: KVec::new(),
            spread: Spread::new()?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Channel> + '_ {
        self.channels.iter().copied()
    }

    /// The first channels of devices.
    pub(super) fn primaries(&self) -> impl Iterator<Item = Channel> + '_ {
        self.iter().filter(|channel| channel.primary().is_none())
    }

    /// The sub-channels of a device.
    pub(super) fn subs(&self, primary: Channel) -> impl Iterator<Item = Channel> + '_ {
        self.iter()
            .filter(move |channel| channel.primary() == Some(primary))
    }

    /// The first channel of the device that an offer is for.
    pub(super) fn primary_of(&self, offer: &Offer) -> Option<Channel> {
        self.primaries().find(|channel| {
            let known = channel.offer();
            known.class == offer.class && known.instance == offer.instance
        })
    }

    /// Whether a channel is still there.
    pub(super) fn has(&self, channel: Channel) -> bool {
        self.iter().any(|other| other == channel)
    }

    /// The channel that has a number.
    pub(super) fn find(&self, relid: u32) -> Option<Channel> {
        self.iter().find(|channel| channel.relid_now() == relid)
    }

    /// Adds a channel, and gives it its number.
    ///
    /// # Errors
    ///
    /// `EEXIST` if another has the number, `ENOMEM`.
    pub(super) fn add(&mut self, channel: Channel) -> Result {
        self.channels.reserve(1, GFP_KERNEL)?;
        if !RELIDS.set(channel.relid_now(), channel) {
            return Err(EEXIST);
        }
        self.channels.push(channel, GFP_KERNEL)?;
        if let Some(primary) = channel.primary() {
            channel.join(primary);
        }
        Ok(())
    }

    /// Takes a channel out, with its number and its processor. Says whether it was there: then it
    /// is the caller's to release.
    pub(super) fn take(&mut self, channel: Channel) -> bool {
        let Some(at) = self.channels.iter().position(|other| *other == channel) else {
            return false;
        };
        if self.channels.remove(at).is_err() {
            return false;
        }
        channel.part();
        RELIDS.clear(channel.relid_now());
        if channel.is_fast() {
            self.give_back_cpu(channel.cpu());
        }
        true
    }

    /// A processor may be used again if no channel has it any more.
    pub(super) fn give_back_cpu(&mut self, cpu: u32) {
        let has_it = |channel: Channel| channel.is_fast() && channel.cpu() == cpu;
        if !self.iter().any(has_it) {
            self.spread.give_back(cpu);
        }
    }

    /// A channel that has not been told to go yet; sub-channels come first.
    pub(super) fn next_to_remove(&self) -> Option<Channel> {
        let is_left = |channel: &Channel| !channel.is_rescinded();
        let mut subs = self.iter().filter(|channel| channel.primary().is_some());
        subs.find(is_left)
            .or_else(|| self.primaries().find(is_left))
    }
}
