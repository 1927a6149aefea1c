// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Each fault of the bus against the model.

use protocol::vmbus::message::{GpadlTeardown, ModifyChannel, Offer, Open};
use serde_json::json;

use super::super::fault::Fault;
use super::*;
use crate::testing::wait_for;

fn inject(guest: &Guest, fault: Value) -> u64 {
    let fault: Fault = serde_json::from_value(fault).unwrap();
    guest.bus.inject(fault).unwrap()
}

/// Opens a channel without looking at what comes of it, and returns the rings' handle.
fn open(guest: &mut Guest, offer: &Offer) -> u32 {
    let (gpadl, _) = guest.gpadl(offer.relid.get(), 0x10_0000, 4);
    guest.send(&Message::Open(&Open {
        relid: offer.relid,
        open_id: U32::new(7),
        ring_gpadl: U32::new(gpadl),
        target_vp: U32::ZERO,
        downstream_page: U32::new(2),
        user_data: [0; 120],
    }));
    gpadl
}

fn opened(guest: &Guest) -> u32 {
    let bytes = guest.expect(Kind::OPEN_RESULT);
    match Message::parse(&bytes).unwrap() {
        Message::OpenResult(body) => body.status.get(),
        _ => unreachable!(),
    }
}

/// Asks for something that is always answered, to see that nothing else was.
fn nothing_else(guest: &Guest) {
    let teardown = GpadlTeardown {
        relid: U32::new(1),
        gpadl: U32::new(0x77),
    };
    guest.send(&Message::GpadlTeardown(&teardown));
    guest.expect(Kind::GPADL_TORNDOWN);
}

#[test]
fn what_makes_no_sense_is_named() {
    for (fault, word) in [
        (json!({"kind": "explode"}), "explode"),
        (json!({"kind": "drop"}), "operation=0"),
        (json!({"kind": "drop", "operation": 7}), "operation=7"),
        (json!({"kind": "refuse", "operation": 11}), "operation=11"),
        (
            json!({"kind": "refuse", "operation": 5, "code": 0}),
            "code=0",
        ),
        (json!({"kind": "rescind"}), "relid"),
        (
            json!({"kind": "rescind", "relid": 1, "operation": 2}),
            "operation",
        ),
        (
            json!({"kind": "rescind", "relid": 1, "number": 101}),
            "number=101",
        ),
        (json!({"kind": "offer", "count": 1}), "count"),
        (
            json!({"kind": "message", "message": 1, "len": 241}),
            "len=241",
        ),
        (
            json!({"kind": "message", "message": 1, "slot": 0}),
            "slot=0",
        ),
        (
            json!({"kind": "twice", "operation": 5, "channel": 1}),
            "channel",
        ),
    ] {
        let error = serde_json::from_value::<Fault>(fault.clone()).unwrap_err();
        assert!(error.to_string().contains(word), "{fault}: {error}");
    }
}

#[test]
fn requests_are_refused() {
    let (mut guest, probe, offer) = with_device();
    inject(
        &guest,
        json!({"kind": "refuse", "operation": 8, "count": 1}),
    );
    assert!(!guest.gpadl(offer.relid.get(), 0x10_0000, 4).1);
    inject(
        &guest,
        json!({"kind": "refuse", "operation": 5, "code": 9, "count": 1}),
    );
    let gpadl = open(&mut guest, &offer);
    assert_eq!(opened(&guest), 9);
    guest.teardown(offer.relid.get(), gpadl);
    assert_eq!(probe.events(), Vec::<String>::new());
    guest.open(&offer, 0x10_0000, 4).unwrap();
    inject(
        &guest,
        json!({"kind": "refuse", "operation": 22, "count": 1}),
    );
    for status in [0xc000_0001, 0] {
        guest.send(&Message::ModifyChannel(&ModifyChannel {
            relid: offer.relid,
            target_vp: U32::ZERO,
        }));
        let bytes = guest.expect(Kind::MODIFY_CHANNEL_RESPONSE);
        let Message::ModifyChannelResponse(body) = Message::parse(&bytes).unwrap() else {
            unreachable!()
        };
        assert_eq!(body.status.get(), status);
    }
    inject(
        &guest,
        json!({"kind": "refuse", "operation": 14, "count": 1}),
    );
    assert!(!guest.contact(Version::V5_3));
    assert!(guest.contact(Version::V5_2));
    assert_eq!(guest.bus.counters()["faults"], json!({"refuse": 4}));
}

#[test]
fn answers_are_missing_late_or_repeated() {
    let (mut guest, probe, offer) = with_device();
    let id = inject(&guest, json!({"kind": "drop", "operation": 5}));
    let gpadl = open(&mut guest, &offer);
    nothing_else(&guest);
    assert_eq!(probe.events(), ["open 0"]);
    assert!(guest.bus.clear_fault(id) && !guest.bus.clear_fault(id));
    guest.teardown(offer.relid.get(), gpadl);
    inject(
        &guest,
        json!({"kind": "delay", "ms": 500, "operation": 5, "count": 1}),
    );
    let gpadl = open(&mut guest, &offer);
    nothing_else(&guest);
    assert_eq!(opened(&guest), 0);
    inject(
        &guest,
        json!({"kind": "twice", "operation": 11, "count": 1}),
    );
    guest.teardown(offer.relid.get(), gpadl);
    guest.expect(Kind::GPADL_TORNDOWN);
    inject(&guest, json!({"kind": "twice", "operation": 2}));
    guest.bus.rescind(instance_of("a"), || {});
    guest.expect(Kind::RESCIND);
    guest.expect(Kind::RESCIND);
    // What is late is not for the next guest.
    inject(&guest, json!({"kind": "delay", "ms": 400, "operation": 11}));
    let teardown = GpadlTeardown {
        relid: offer.relid,
        gpadl: U32::new(1),
    };
    guest.send(&Message::GpadlTeardown(&teardown));
    guest.bus.clear_faults();
    assert!(guest.contact(Version::V5_3));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(guest.peek(), None);
    assert!(guest.bus.faults().is_empty());
}

#[test]
fn what_no_right_host_says_is_said() {
    let (mut guest, probe, offer) = with_device();
    inject(
        &guest,
        json!({"kind": "rescind", "relid": 1999, "number": 3}),
    );
    (0..3).for_each(|_| drop(guest.expect(Kind::RESCIND)));
    inject(&guest, json!({"kind": "offer", "relid": 1}));
    assert_eq!(guest.offer(), offer);
    inject(
        &guest,
        json!({"kind": "offer", "index": 3, "stranger": true, "monitor": 200,
        "connection": 0xffff_ffff_u32}),
    );
    let forged = guest.offer();
    assert_ne!(forged.instance, offer.instance);
    assert_eq!((forged.class, forged.relid.get()), (offer.class, 2000));
    assert_eq!(
        (forged.monitor(), forged.connection_id.get()),
        (Some(200), u32::MAX)
    );
    inject(&guest, json!({"kind": "message", "message": 1, "len": 20}));
    let bytes = guest.receive();
    assert_eq!((bytes.len(), bytes[0]), (20, 1));
    inject(
        &guest,
        json!({"kind": "message", "message": 99, "len": 4, "slot": 0x8000_0010_u32}),
    );
    let (kind, bytes) = wait_for(|| guest.peek());
    assert_eq!((kind, bytes), (0x8000_0010, vec![99, 0, 0, 0]));
    guest.skip();
    // The bus knows nothing of all that.
    assert!(guest.open(&offer, 0x10_0000, 4).is_some());
    assert_eq!(probe.events(), ["open 0"]);
}
