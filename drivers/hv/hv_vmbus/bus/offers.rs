// SPDX-License-Identifier: GPL-2.0

//! Channels that come.

use super::{
    bus,
    complain,
    connect::CONNECT_CPU,
    table::NO_RELID,
    Bus, //
};
use crate::sys::{
    trace,
    Channel,
    Device,
    Held,
    HeldDevice,
    Relids,
    State,
    RELIDS, //
};
use core::sync::atomic::Ordering;
use guest::hyperv::{
    cpus,
    platform, //
};
use kernel::prelude::*;
use protocol::vmbus::{
    class,
    message::{
        body::{
            OFFER_CONFIDENTIAL_MEMORY,
            OFFER_CONFIDENTIAL_RING, //
        },
        Offer, //
    },
    Version, //
};

/// Why an offer is not taken.
#[derive(Clone, Copy, Debug)]
enum Refused {
    /// A number that no channel can have.
    Number,
    /// The number of a channel that there is.
    Taken,
    /// A device that an isolated guest does not want.
    Class,
    /// Encrypted memory, but not the ring.
    OpenRing,
    /// Encrypted, and that was not agreed on.
    Confidential,
    /// A second first channel, or a sub-channel of nothing.
    Place,
}

/// Whether rings and memory of a channel stay encrypted.
fn confidential_parts(offer: &Offer) -> (bool, bool) {
    let has = |flag| offer.flags.get() & flag != 0;
    (has(OFFER_CONFIDENTIAL_RING), has(OFFER_CONFIDENTIAL_MEMORY))
}

impl Bus {
    /// An offer is there: has it handled.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn take_offer(&'static self, offer: &Offer) -> Result {
        if self.deaf.load(Ordering::Acquire) {
            return Ok(());
        }
        let offer = *offer;
        let work = move || self.handle_offer(&offer);
        Ok(self.queues.arrivals.try_spawn(GFP_ATOMIC, work)?)
    }

    fn handle_offer(&'static self, offer: &Offer) {
        if !self.is_connected() {
            return;
        }
        trace::offered(offer);
        if let Err(why) = self.check(offer) {
            let relid = offer.relid.get();
            complain(|| pr_err!("Invalid offer relid={}: {:?}\n", relid, why));
            return;
        }
        if self.take_back(offer) {
            return;
        }
        if let Err(error) = self.new_channel(offer) {
            let relid = offer.relid.get();
            complain(|| pr_err!("cannot use channel {}: {}\n", relid, error.to_errno()));
            if error != EEXIST {
                self.release_relid(relid);
            }
        }
    }

    /// Whether an offer can be taken. As nobody else takes any, a number that is free stays so.
    fn check(&self, offer: &Offer) -> Result<(), Refused> {
        let (ring, memory) = confidential_parts(offer);
        let is_wanted = || {
            offer.is_socket() || class::find(offer.class).is_some_and(|class| class.in_isolation)
        };
        let is_agreed = || {
            self.confidential
                && crate::sys::version().is_some_and(|version| version >= Version::V6_0)
        };
        if !Relids::is_possible(offer.relid.get()) {
            Err(Refused::Number)
        } else if self.table.lock().find(offer.relid.get()).is_some() {
            Err(Refused::Taken)
        } else if platform::is_isolated() && !is_wanted() {
            Err(Refused::Class)
        } else if memory && !ring {
            Err(Refused::OpenRing)
        } else if ring && !is_agreed() {
            Err(Refused::Confidential)
        } else {
            Ok(())
        }
    }

    /// After a hibernation the host offers anew what we have already.
    fn take_back(&self, offer: &Offer) -> bool {
        let table = self.table.lock();
        let Some(channel) = table.primary_of(offer) else {
            return false;
        };
        if offer.is_sub_channel() || channel.relid_now() != NO_RELID {
            return false;
        }
        channel.set_offer(offer);
        if !RELIDS.set(offer.relid.get(), channel) {
            channel.set_relid(NO_RELID);
        }
        true
    }

    fn new_channel(&'static self, offer: &Offer) -> Result {
        let channel = Channel::alloc(offer)?;
        let (ring, memory) = confidential_parts(offer);
        channel.set_confidential(ring, memory);
        if let Err(error) = self.place(channel, offer) {
            channel.release();
            return Err(error);
        }
        let held = channel.hold();
        let work = move || self.introduce(&held);
        let queue = match channel.primary() {
            Some(_) => &self.queues.subs,
            None => &self.queues.primaries,
        };
        if queue.try_spawn(GFP_KERNEL, work).is_err() {
            channel.set_probed();
            self.remove(channel);
        }
        Ok(())
    }

    /// Puts a channel into the table, with a processor.
    fn place(&self, channel: Channel, offer: &Offer) -> Result {
        let _cpus = cpus::keep();
        let mut table = self.table.lock();
        let primary = table.primary_of(offer);
        if primary.is_some() != offer.is_sub_channel() {
            let (relid, why) = (offer.relid.get(), Refused::Place);
            complain(|| pr_err!("Invalid offer relid={}: {:?}\n", relid, why));
            return Err(EINVAL);
        }
        if let Some(primary) = primary {
            channel.set_primary(primary);
        }
        channel.set_cpu(if channel.is_fast() {
            table.choose_cpu(primary)
        } else {
            CONNECT_CPU
        });
        table.add(channel)
    }

    /// Makes a device of a first channel; gives a sub-channel to its device's driver. Sleeps.
    fn introduce(&self, held: &Held) {
        let channel = held.channel();
        channel.set_state(State::Closed);
        let result = match channel.primary() {
            Some(primary) => self.introduce_sub(channel, primary),
            None => self.introduce_device(channel),
        };
        if let Err(error) = result {
            let (relid, errno) = (channel.relid_now(), error.to_errno());
            pr_err!(
                "unable to add child device object (relid {}): {}\n",
                relid,
                errno
            );
        }
        channel.set_probed();
    }

    fn introduce_device(&self, channel: Channel) -> Result {
        let device = crate::device::create(channel).inspect_err(|_| self.remove(channel))?;
        self.set_device(channel, Some(device));
        // A device that is not registered is released, and its channel with it.
        crate::device::register(device)
    }

    /// The device stays until its driver has seen the channel: drivers get at it by the first one.
    fn introduce_sub(&self, channel: Channel, primary: Channel) -> Result {
        let add = |held: HeldDevice| {
            crate::device::directory::add(held.device(), channel)?;
            Ok(held)
        };
        let held = self
            .device_for_sub(primary)
            .and_then(add)
            .inspect_err(|_| self.remove(channel))?;
        channel.offer_to_driver(primary);
        drop(held);
        Ok(())
    }

    /// The device that another channel is for, unless the host has taken the first one away.
    fn device_for_sub(&self, primary: Channel) -> Result<HeldDevice> {
        let table = self.table.lock();
        if !table.has(primary) || primary.is_rescind_claimed() {
            return Err(ENODEV);
        }
        primary.hold_device().ok_or(ENODEV)
    }

    /// Says which device a first channel has, or that it has none any more.
    pub(super) fn set_device(&self, channel: Channel, device: Option<Device>) {
        let _table = self.table.lock();
        channel.set_device(device);
    }
}

/// Calls `f` with all channels of a device, the first one first. It must not sleep for long.
pub(crate) fn each_of_device(primary: Channel, mut f: impl FnMut(Channel)) {
    if let Some(bus) = bus() {
        let table = bus.table.lock();
        f(primary);
        table.subs(primary).for_each(f);
    }
}

#[kernel::macros::kunit_tests(hv_vmbus_offers)]
mod tests {
    use super::*;
    use protocol::vmbus::Guid;

    /// That of a channel that the host has offered when the module was loaded, if any.
    fn taken() -> Option<u32> {
        let relids = bus()?.table.lock().iter().map(Channel::relid_now).next();
        relids.filter(|relid| *relid != NO_RELID)
    }

    #[test]
    fn a_number_is_given_once() {
        let (Some(bus), Some(relid)) = (bus(), taken()) else {
            return;
        };
        // A sub-channel of nothing has no place either, and for that its number would be returned.
        let mut offer = Offer::new(class::SCSI, Guid([0x5a; 16]), relid, 0);
        offer.sub_channel_index.set(1);
        assert!(matches!(bus.check(&offer), Err(Refused::Taken)));
        offer.relid.set(u32::MAX);
        assert!(matches!(bus.check(&offer), Err(Refused::Number)));
    }
}
