// SPDX-License-Identifier: GPL-2.0

//! All channels that there are.

use super::spread::Spread;
use crate::sys::{
    Channel,
    Held,
    State,
    RELIDS, //
};
use kernel::prelude::*;
use protocol::vmbus::message::Offer;

/// The number of a channel that has none: the host knows it no more, or not yet again.
pub(super) const NO_RELID: u32 = u32::MAX;

/// What a rescind of a number is about.
pub(super) enum Rescind {
    /// No channel has it.
    Unknown,
    /// The channel is being taken away already.
    Handled,
    /// This channel, which the caller has to take away.
    Ours(Held),
}

/// The channels, in the order in which they came, and which processors they have.
pub(crate) struct Table {
    channels: KVec<Channel>,
    spread: Spread,
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
        self.iter()
            .find(|channel| relid != NO_RELID && channel.relid_now() == relid)
    }

    /// Claims the channel that has a number, to take it away.
    pub(super) fn claim(&mut self, relid: u32) -> Rescind {
        match self.find(relid) {
            None => Rescind::Unknown,
            Some(channel) if channel.claim_rescind() => Rescind::Ours(channel.hold()),
            Some(_) => Rescind::Handled,
        }
    }

    /// Chooses a processor for another channel of a device, or for its first one. Needs no memory.
    pub(super) fn choose_cpu(&mut self, primary: Option<Channel>) -> u32 {
        let Self { channels, spread } = self;
        let is_sibling = |other: Channel| {
            primary.is_some_and(|first| other == first || other.primary() == Some(first))
        };
        spread.look();
        spread.choose(|cpu| {
            let mut all = channels.iter().copied();
            all.any(|other| other.cpu() == cpu && is_sibling(other))
        })
    }

    /// Adds a channel, and gives it its number. If that fails, its processor is not its own any more.
    ///
    /// # Errors
    ///
    /// `EEXIST` if another has the number, `ENOMEM`.
    pub(super) fn add(&mut self, channel: Channel) -> Result {
        let result = self.insert(channel);
        if result.is_err() && channel.is_fast() {
            self.give_back_cpu(channel.cpu());
        }
        result
    }

    fn insert(&mut self, channel: Channel) -> Result {
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

    /// Begins to open a channel that is closed. From here on it keeps its processor until it is
    /// open or closed again.
    pub(super) fn begin_opening(&mut self, channel: Channel) -> bool {
        let is_closed = channel.is(State::Closed);
        if is_closed {
            channel.set_state(State::Opening);
        }
        is_closed
    }

    /// Gives a closed channel another processor, which the host is told when it is opened.
    pub(super) fn reassign_closed(&mut self, channel: Channel, cpu: u32) -> bool {
        let is_closed = channel.is(State::Closed) || channel.is(State::Offered);
        if is_closed {
            self.bind(channel, cpu);
        }
        is_closed
    }

    /// A channel has another processor now.
    pub(super) fn bind(&mut self, channel: Channel, cpu: u32) {
        let from = channel.cpu();
        channel.set_cpu(cpu);
        if channel.is_fast() {
            self.spread.take(cpu);
            self.give_back_cpu(from);
        }
    }

    /// A processor may be used again if no channel has it any more.
    fn give_back_cpu(&mut self, cpu: u32) {
        let has_it = |channel: Channel| channel.is_fast() && channel.cpu() == cpu;
        if !self.iter().any(has_it) {
            self.spread.give_back(cpu);
        }
    }

    /// Claims a channel that nobody takes away yet, to take it away; sub-channels come first.
    pub(super) fn claim_next(&mut self) -> Option<Held> {
        let is_ours = |channel: &Channel| channel.claim_rescind();
        let mut subs = self.iter().filter(|channel| channel.primary().is_some());
        subs.find(is_ours)
            .or_else(|| self.primaries().find(is_ours))
            .map(Channel::hold)
    }
}

#[kernel::macros::kunit_tests(hv_vmbus_table)]
mod tests {
    use super::*;
    use protocol::vmbus::{
        class,
        Guid, //
    };

    /// A number that no host has given when the module has just been loaded.
    const FIRST: u32 = 2040;

    /// A table with a first channel, which is given up with its number when this is dropped.
    struct Filled(Table, Channel);

    impl Filled {
        fn new() -> Result<Self> {
            let offer = Offer::new(class::SCSI, Guid([0x5a; 16]), FIRST, 0);
            let (mut table, channel) = (Table::new()?, Channel::alloc(&offer)?);
            table.add(channel).inspect_err(|_| channel.release())?;
            Ok(Self(table, channel))
        }
    }

    impl Drop for Filled {
        fn drop(&mut self) {
            self.0.take(self.1);
            self.1.release();
        }
    }

    #[test]
    fn a_channel_is_taken_away_once() -> Result {
        let mut filled = Filled::new()?;
        let table = &mut filled.0;
        assert!(matches!(table.claim(FIRST + 1), Rescind::Unknown));
        assert!(matches!(table.claim(FIRST), Rescind::Ours(_)));
        // It is still there: who waits for it must not be let in again.
        assert!(matches!(table.claim(FIRST), Rescind::Handled));
        assert!(table.claim_next().is_none());
        Ok(())
    }

    #[test]
    fn the_end_of_the_bus_is_a_rescind_of_all() -> Result {
        let mut filled = Filled::new()?;
        let (table, channel) = (&mut filled.0, filled.1);
        let claimed = table.claim_next();
        assert!(claimed.is_some_and(|held| held.channel() == channel));
        assert!(matches!(table.claim(FIRST), Rescind::Handled));
        assert!(table.claim_next().is_none());
        Ok(())
    }

    #[test]
    fn a_channel_that_is_opened_keeps_its_processor() -> Result {
        let mut filled = Filled::new()?;
        let (table, channel) = (&mut filled.0, filled.1);
        channel.set_cpu(2);
        assert!(!table.begin_opening(channel));
        assert!(table.reassign_closed(channel, 1));
        channel.set_state(State::Closed);
        assert!(table.begin_opening(channel));
        assert!(!table.reassign_closed(channel, 0));
        assert!(!table.begin_opening(channel));
        assert_eq!(channel.cpu(), 1);
        Ok(())
    }

    #[test]
    fn a_channel_without_a_number_is_not_found() -> Result {
        let mut filled = Filled::new()?;
        let (table, channel) = (&mut filled.0, filled.1);
        channel.set_relid(NO_RELID);
        assert!(matches!(table.claim(NO_RELID), Rescind::Unknown));
        channel.set_relid(FIRST);
        assert!(matches!(table.claim(FIRST), Rescind::Ours(_)));
        Ok(())
    }
}
