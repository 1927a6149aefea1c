// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The bus against a model of its guest.

use std::sync::mpsc::channel;

use protocol::vmbus::message::{ChannelRelid, Kind, ModifyChannel};
use protocol::vmbus::{class, message::Message};
use zerocopy::little_endian::U32;

use super::*;
use crate::channel::Channel;
use crate::device::Identity;
use crate::storvsp::instance_of;
use crate::testing::Guest;

mod faults;

/// A device that notes what is done with it.
#[derive(Default)]
struct Probe {
    name: &'static str,
    events: Mutex<Vec<String>>,
    channel: Mutex<Option<Channel>>,
}

impl Probe {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            ..Self::default()
        })
    }

    fn note(&self, event: String) {
        self.events.lock().unwrap().push(event);
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

impl Device for Probe {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn identity(&self) -> Identity {
        Identity {
            class: class::SCSI,
            instance: instance_of(self.name),
        }
    }

    fn open(&self, index: u16, channel: Channel) -> io::Result<()> {
        self.note(format!("open {index}"));
        if index == 0 {
            *self.channel.lock().unwrap() = Some(channel);
        }
        Ok(())
    }

    fn close(&self, index: u16) {
        self.note(format!("close {index}"));
    }
}

fn with_device() -> (Guest, Arc<Probe>, protocol::vmbus::message::Offer) {
    let probe = Probe::new("a");
    let device = probe.clone();
    let (guest, offers) = Guest::connected_to(|bus| bus.offer(device));
    assert_eq!(offers.len(), 1);
    (guest, probe, offers[0])
}

fn relid(offer: &protocol::vmbus::message::Offer) -> ChannelRelid {
    ChannelRelid { relid: offer.relid }
}

#[test]
fn versions_up_to_the_users_choice_are_spoken() {
    let guest = Guest::new(Settings {
        max_version: Version::V5_1,
    });
    for (version, is_spoken) in [
        (Version::V6_0, false),
        (Version::V5_2, false),
        (Version::V5_1, true),
        (Version::V4_0, true),
        (Version::V3_0, false),
        (Version(0x0005_0009), false),
    ] {
        assert_eq!(guest.contact(version), is_spoken, "{version}");
    }
    // Without an agreement there is nothing else.
    guest.send(&Message::RequestOffers);
    assert!(guest.contact(Version::V4_1));
    assert_eq!(guest.offers(), []);
}

#[test]
fn no_version_may_be_spoken_at_all() {
    let guest = Guest::new(Settings {
        max_version: Version(0),
    });
    for version in [Version::V6_0, Version::V5_3, Version::V4_0, Version(0)] {
        assert!(!guest.contact(version), "{version}");
    }
}

#[test]
fn a_channel_is_opened_moved_and_closed() {
    let (mut guest, probe, offer) = with_device();
    assert_eq!(offer.class, class::SCSI);
    assert_eq!(offer.instance, instance_of("a"));
    assert!(!offer.is_sub_channel());
    guest.open(&offer, 0x10_0000, 4).unwrap();
    assert_eq!(probe.events(), ["open 0"]);

    let channel = probe.channel.lock().unwrap().take().unwrap();
    let _ = guest.line.read();
    channel.interrupt.raise();
    channel.interrupt.raise();
    assert_eq!(guest.line.read().unwrap(), 1, "one flag, one interrupt");
    assert!(guest.take_flag(&offer));
    guest.signal(&offer);
    assert_eq!(channel.kick.read().unwrap(), 1);

    for (target, status) in [(0, 0), (7, 0xc000_0001)] {
        guest.send(&Message::ModifyChannel(&ModifyChannel {
            relid: offer.relid,
            target_vp: U32::new(target),
        }));
        let bytes = guest.expect(Kind::MODIFY_CHANNEL_RESPONSE);
        let Message::ModifyChannelResponse(body) = Message::parse(&bytes).unwrap() else {
            unreachable!()
        };
        assert_eq!(body.status.get(), status);
    }
    guest.send(&Message::Close(&relid(&offer)));
    guest.teardown(offer.relid.get(), 0xe1e10);
    assert_eq!(probe.events(), ["close 0"]);
    // And once more.
    guest.open(&offer, 0x10_0000, 4).unwrap();
    assert_eq!(probe.events(), ["open 0"]);
}

#[test]
fn memory_of_an_open_channel_does_not_go_without_it() {
    let (mut guest, probe, offer) = with_device();
    guest.open(&offer, 0x10_0000, 4).unwrap();
    guest.teardown(offer.relid.get(), 0xe1e10);
    assert_eq!(probe.events(), ["open 0", "close 0"]);
    // It is gone, so this is refused.
    guest.teardown(offer.relid.get(), 0xe1e10);
    assert_eq!(probe.events(), Vec::<String>::new());
}

#[test]
fn more_channels_come_when_they_are_asked_for_and_go_with_the_first() {
    let (mut guest, probe, offer) = with_device();
    guest.open(&offer, 0x10_0000, 4).unwrap();
    let channel = probe.channel.lock().unwrap().take().unwrap();
    channel.more.offer(2);
    let more = [guest.offer(), guest.offer()];
    assert_eq!(more.map(|offer| offer.sub_channel_index.get()), [1, 2]);
    assert!(more.iter().all(|one| one.instance == offer.instance));
    guest.open(&more[1], 0x20_0000, 2).unwrap();
    // The same once more: they are there.
    channel.more.offer(2);
    channel.more.offer(3);
    let third = guest.offer();
    assert_eq!(third.sub_channel_index.get(), 3);
    assert_eq!(guest.connections(), 4);
    probe.events();

    guest.send(&Message::Close(&relid(&offer)));
    let mut rescinded: Vec<_> = (0..3)
        .map(|_| {
            let bytes = guest.expect(Kind::RESCIND);
            match Message::parse(&bytes).unwrap() {
                Message::Rescind(body) => body.relid.get(),
                _ => unreachable!(),
            }
        })
        .collect();
    rescinded.sort_unstable();
    let mut relids = [more[0], more[1], third].map(|offer| offer.relid.get());
    relids.sort_unstable();
    assert_eq!(rescinded, relids);
    assert_eq!(probe.events(), ["close 2", "close 0"]);
    for relid in relids {
        let relid = U32::new(relid);
        guest.send(&Message::RelidReleased(&ChannelRelid { relid }));
    }
    // Their numbers are free again.
    guest.open(&offer, 0x10_0000, 4).unwrap();
    let channel = probe.channel.lock().unwrap().take().unwrap();
    channel.more.offer(1);
    assert!(relids.contains(&guest.offer().relid.get()));
}

#[test]
fn a_device_that_is_taken_back_stays_until_the_guest_lets_go() {
    let (mut guest, probe, offer) = with_device();
    guest.open(&offer, 0x10_0000, 4).unwrap();
    let (done, wait) = channel();
    guest
        .bus
        .rescind(instance_of("a"), move || done.send(()).unwrap());
    guest.expect(Kind::RESCIND);
    assert_eq!(probe.events(), ["open 0", "close 0"]);
    guest.send(&Message::Close(&relid(&offer)));
    guest.teardown(offer.relid.get(), 0xe1e10);
    assert_eq!(probe.events(), Vec::<String>::new());
    assert!(wait.try_recv().is_err());
    guest.send(&Message::RelidReleased(&relid(&offer)));
    wait.recv().unwrap();
    assert_eq!(guest.connections(), 0);
    // What comes now takes its place.
    guest.bus.offer(Probe::new("b"));
    assert_eq!(guest.offer().relid, offer.relid);
}

#[test]
fn a_number_is_taken_as_long_as_the_guest_may_mean_it() {
    let (mut guest, probe, offer) = with_device();
    guest.bus.rescind(instance_of("a"), || {});
    guest.expect(Kind::RESCIND);
    guest.bus.offer(Probe::new("b"));
    assert_ne!(guest.offer().relid, offer.relid);
    assert!(guest.open(&offer, 0x10_0000, 4).is_none());
    assert_eq!(probe.events(), Vec::<String>::new());
    guest.send(&Message::RelidReleased(&relid(&offer)));
    crate::testing::wait_for(|| (guest.connections() == 1).then_some(()));
}

#[test]
fn a_guest_that_leaves_or_comes_back_finds_everything_as_before() {
    let (mut guest, probe, offer) = with_device();
    guest.open(&offer, 0x10_0000, 4).unwrap();
    guest.send(&Message::Unload);
    guest.expect(Kind::UNLOAD_RESPONSE);
    assert_eq!(probe.events(), ["open 0", "close 0"]);
    assert!(guest.contact(Version::V5_0));
    let [offer] = guest.offers()[..] else {
        panic!("one device")
    };
    guest.open(&offer, 0x10_0000, 4).unwrap();
    // A kernel that was started without a word from the one before.
    assert!(guest.contact(Version::V5_3));
    assert_eq!(probe.events(), ["open 0", "close 0"]);
    assert_eq!(guest.offers().len(), 1);
    guest.bus.reset();
}

#[test]
fn nonsense_is_refused_and_harmless() {
    let (mut guest, probe, offer) = with_device();
    for bytes in [&[][..], &[5; 4], &[5, 0, 0, 0, 0, 0, 0, 0, 1], &[0xff; 240]] {
        assert_eq!(guest.post(bytes), Status::SUCCESS);
    }
    assert_eq!(guest.bus.post(&[0; 8]), Status::INVALID_INPUT);
    let other = ChannelRelid {
        relid: U32::new(99),
    };
    for message in [
        Message::RequestOffers,
        Message::Close(&other),
        Message::RelidReleased(&other),
        Message::RelidReleased(&relid(&offer)),
        Message::UnloadResponse,
    ] {
        guest.send(&message);
    }
    // Memory for a channel that is not there, or that is no memory.
    assert!(!guest.gpadl(99, 0x10_0000, 2).1);
    let (gpadl, is_taken) = guest.gpadl(offer.relid.get(), crate::testing::MEMORY_SIZE, 2);
    assert!(is_taken, "it is not looked at before it is used");
    for (gpadl, page) in [(gpadl, 1), (gpadl, 0), (gpadl, 2), (1, 1)] {
        guest.send(&Message::Open(&protocol::vmbus::message::Open {
            relid: offer.relid,
            open_id: U32::new(5),
            ring_gpadl: U32::new(gpadl),
            target_vp: U32::ZERO,
            downstream_page: U32::new(page),
            user_data: [0; 120],
        }));
        let bytes = guest.expect(Kind::OPEN_RESULT);
        let Message::OpenResult(body) = Message::parse(&bytes).unwrap() else {
            unreachable!()
        };
        assert_ne!(body.status.get(), 0);
    }
    assert_eq!(probe.events(), Vec::<String>::new());
    guest.open(&offer, 0x10_0000, 4).unwrap();
}

#[test]
fn a_guest_that_takes_no_messages_has_to_wait() {
    let (guest, _, offer) = with_device();
    let teardown = protocol::vmbus::message::GpadlTeardown {
        relid: offer.relid,
        gpadl: U32::new(1),
    };
    let teardown = Message::GpadlTeardown(&teardown);
    let encoded = teardown.encode().unwrap();
    let mut sent = 0;
    while guest.post(encoded.as_slice()) == Status::SUCCESS {
        sent += 1;
        assert!(sent < 100_000, "there is an end");
        std::thread::yield_now();
    }
    for _ in 0..sent {
        guest.expect(Kind::GPADL_TORNDOWN);
    }
    guest.send(&teardown);
    guest.expect(Kind::GPADL_TORNDOWN);
}

#[test]
fn a_bus_that_is_paused_does_nothing() {
    let (guest, _, _) = with_device();
    guest.bus.pause();
    guest.send(&Message::Unload);
    guest.bus.resume();
    guest.expect(Kind::UNLOAD_RESPONSE);
    guest.take_synic_away();
    guest.send(&Message::Unload);
    guest.bus.reset();
}

#[test]
fn a_message_is_delivered_when_the_slot_is_said_to_be_free() {
    let (guest, _) = Guest::connected_to(|bus| {
        for name in ["a", "b", "c", "d"] {
            bus.offer(Probe::new(name));
        }
    });
    // All but the first found the slot occupied, unless the guest was very fast.
    let counters = guest.bus.synic().counters();
    let ends = counters.ends_of_message.get();
    assert!(ends > 0 || counters.messages_waiting.get() == 0);
}

#[test]
fn a_guest_that_lets_go_of_nothing_gets_nothing_more() {
    let (mut guest, probe, offer) = with_device();
    let mut subs = Vec::new();
    for round in 0..40 {
        guest.open(&offer, 0x10_0000, 4).unwrap();
        let channel = probe.channel.lock().unwrap().take().unwrap();
        channel.more.offer(63);
        if round == 0 {
            subs.extend((0..63).map(|_| guest.offer()));
        }
        guest.send(&Message::Close(&relid(&offer)));
        if round == 0 {
            (0..63).for_each(|_| drop(guest.expect(Kind::RESCIND)));
        }
        guest.teardown(offer.relid.get(), 0xe1e10 + round);
        assert_eq!(guest.connections(), 64);
    }
    // One that it lets go of comes again, if it is wanted still.
    guest.open(&offer, 0x10_0000, 4).unwrap();
    guest.send(&Message::RelidReleased(&relid(&subs[0])));
    let channel = probe.channel.lock().unwrap().take().unwrap();
    channel.more.offer(2);
    assert_eq!(guest.offer().sub_channel_index.get(), 1);
    guest.send(&Message::RelidReleased(&relid(&subs[9])));
    guest.send(&Message::RelidReleased(&relid(&subs[1])));
    assert_eq!(guest.offer().sub_channel_index.get(), 2);
    assert_eq!(guest.connections(), 63);
}

#[test]
fn a_sub_channel_goes_alone_and_comes_back() {
    let (mut guest, probe, offer) = with_device();
    guest.open(&offer, 0x10_0000, 4).unwrap();
    let channel = probe.channel.lock().unwrap().take().unwrap();
    channel.more.offer(2);
    let subs = [guest.offer(), guest.offer()];
    guest.open(&subs[1], 0x20_0000, 2).unwrap();
    probe.events();
    for sub in [&subs[1], &subs[0]] {
        channel.more.come_back(sub.sub_channel_index.get());
        guest.expect(Kind::RESCIND);
        // It is going already.
        channel.more.come_back(sub.sub_channel_index.get());
        guest.send(&Message::RelidReleased(&relid(sub)));
        assert_eq!(guest.offer().sub_channel_index, sub.sub_channel_index);
    }
    assert_eq!(probe.events(), ["close 2"]);
}

#[test]
fn what_waits_is_told_again_when_the_controller_is_switched_on() {
    let (mut guest, probe, offer) = with_device();
    guest.open(&offer, 0x10_0000, 4).unwrap();
    let channel = probe.channel.lock().unwrap().take().unwrap();
    channel.interrupt.raise();
    // As if it had found its source masked.
    let _ = guest.line.read();
    guest.take_synic_away();
    assert!(guest.line.read().is_err());
    guest.give_synic_back();
    assert_eq!(guest.line.read().unwrap(), 1);
    assert!(guest.take_flag(&offer));
    guest.give_synic_back();
    assert!(guest.line.read().is_err(), "nothing waits");
    guest.send(&Message::Unload);
    crate::testing::wait_for(|| guest.line.read().ok());
    // A message that nobody takes is told of again, now that another waits.
    guest.send(&Message::Unload);
    crate::testing::wait_for(|| guest.line.read().ok());
    guest.expect(Kind::UNLOAD_RESPONSE);
    guest.expect(Kind::UNLOAD_RESPONSE);
}
