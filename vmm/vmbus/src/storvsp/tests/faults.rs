// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Each fault against the model, and that nothing is left of it afterwards.

use protocol::hyperv::shared::Shared as _;
use protocol::vmbus::packet::Descriptor;
use protocol::vmbus::ring::{control, RingError};
use serde_json::{json, Value};
use zerocopy::little_endian::U32;

use super::super::fault::Fault;
use super::*;

impl Rig {
    /// With this fault, and with no unit attention of the first disk.
    fn with(fault: Value) -> Self {
        let mut rig = Self::new(1);
        rig.wake_up(0);
        rig.inject(fault);
        rig
    }

    fn inject(&self, fault: Value) -> u64 {
        let fault: Fault = serde_json::from_value(fault).unwrap();
        self.device.inject(fault).unwrap()
    }

    /// The next packet as it is: its descriptor and its payload.
    fn receive_raw(&mut self) -> (Descriptor, Vec<u8>) {
        wait_for(|| {
            let incoming = self.driver.to_guest.next().unwrap()?;
            let mut bytes = vec![0; incoming.payload_len() as usize];
            incoming.copy_payload(&mut bytes);
            let descriptor = *incoming.descriptor();
            let _ = self.driver.to_guest.release().unwrap();
            Some((descriptor, bytes))
        })
    }

    /// TEST UNIT READY works, which is the next thing to be answered.
    fn works(&mut self) {
        let answer = self.execute(0, &TEST_UNIT_READY, Direction::None, 0);
        assert_eq!(answer.srb_status, srb::SUCCESS);
    }

    fn test_unit(&mut self) -> ScsiRequest {
        self.execute(0, &TEST_UNIT_READY, Direction::None, 0)
    }

    fn reset(&mut self) {
        let request =
            ScsiRequest::new(Address::default(), &INQUIRY, Direction::In, 0, true).unwrap();
        let packet = Packet::with(Operation::RESET_BUS, &request);
        let sent = (self.driver).send(&self.guest, TRANSACTION_RESET, Data::InBand, &packet);
        assert!(sent);
    }

    fn close(&mut self) {
        let relid = self.driver.offer.relid;
        self.guest.send(&Message::Close(&ChannelRelid { relid }));
        self.guest.teardown(relid.get(), 0xe1e10);
    }
}

fn refused(fault: Value) -> String {
    serde_json::from_value::<Fault>(fault)
        .unwrap_err()
        .to_string()
}

#[test]
fn what_makes_no_sense_is_named() {
    for (fault, word) in [
        (json!({"kind": "explode"}), "explode"),
        (json!({"kind": "drop", "queue": 2}), "queue"),
        (json!({"kind": "srb", "operation": 6}), "operation"),
        (json!({"kind": "drop", "operation": 6, "lun": 1}), "lun"),
        (json!({"kind": "open", "opcode": 1}), "opcode"),
        (json!({"kind": "rescind", "count": 1}), "count"),
        (json!({"kind": "properties", "channel": 0}), "channel"),
        (json!({"kind": "length", "len": 5000}), "len=5000"),
        (json!({"kind": "length"}), "len"),
    ] {
        let error = refused(fault.clone());
        assert!(error.contains(word), "{fault}: {error}");
    }
    let rig = Rig::new(1);
    let id = rig.inject(json!({"kind": "twice", "channel": 3, "lun": 1, "count": 2}));
    let listed = serde_json::to_value(rig.device.faults()).unwrap();
    assert_eq!(listed[0]["fault"]["kind"], "twice");
    assert!(rig.device.clear_fault(id) && !rig.device.clear_fault(id));
    rig.inject(json!({"kind": "drop"}));
    rig.device.clear_faults();
    assert!(rig.device.faults().is_empty());
}

#[test]
fn commands_end_otherwise_and_are_not_carried_out() {
    for (fault, srb_status, scsi_status) in [
        (
            json!({"kind": "status"}),
            srb::ERROR | srb::AUTOSENSE_VALID,
            2,
        ),
        (json!({"kind": "status", "status": 8}), srb::BUSY, 8),
        (json!({"kind": "srb", "code": 0x77}), 0x77, 0),
    ] {
        let mut rig = Rig::with(fault);
        let answer = rig.execute(0, &transfer(0x2a, 0, 1), Direction::Out, 512);
        assert_eq!(
            (answer.srb_status, answer.scsi_status),
            (srb_status, scsi_status)
        );
        assert_eq!(fs::read(rig.files[0].as_path()).unwrap()[511], 0);
        rig.device.clear_faults();
        rig.works();
    }
    let mut rig = Rig::with(json!({"kind": "refuse", "count": 1, "opcode": 0}));
    rig.submit(3, 0, &TEST_UNIT_READY, Direction::None, 0);
    let (_, transaction, packet) = rig.driver.receive(&rig.guest);
    assert_eq!((transaction, packet.status.get()), (3, 0xc000_0001));
    rig.works();
}

#[test]
fn answers_are_garbage_of_any_kind() {
    let mut rig = Rig::with(json!({"kind": "garbage", "count": 1, "sense_len": 255,
        "transferred": 0xffff_ffff_u32, "status": 2, "code": 0x84}));
    let answer = rig.test_unit();
    assert_eq!(
        (answer.sense_length, answer.transfer_length.get()),
        (255, u32::MAX)
    );
    assert_eq!((answer.scsi_status, answer.srb_status), (2, 0x84));
    rig.inject(json!({"kind": "garbage", "count": 1, "answer": 11}));
    rig.submit(4, 0, &TEST_UNIT_READY, Direction::None, 0);
    let (_, transaction, packet) = rig.driver.receive(&rig.guest);
    assert_eq!(
        (transaction, packet.operation()),
        (4, Operation::ENUMERATE_BUS)
    );
    rig.inject(json!({"kind": "garbage", "count": 1, "seed": 7}));
    rig.submit(5, 0, &TEST_UNIT_READY, Direction::None, 0);
    let (_, transaction, noise) = rig.driver.receive(&rig.guest);
    assert_eq!(transaction, 5);
    assert_ne!(noise.operation(), Operation::COMPLETE_IO);
    rig.works();
}

#[test]
fn answers_have_any_length() {
    for len in [0_u16, 4, 63, 200, 4096] {
        let mut rig = Rig::with(json!({"kind": "length", "len": len, "count": 1}));
        rig.submit(3, 0, &TEST_UNIT_READY, Direction::None, 0);
        let (descriptor, payload) = rig.receive_raw();
        assert_eq!(descriptor.transaction_id.get(), 3);
        assert_eq!(payload.len(), usize::from(len).next_multiple_of(8));
        rig.works();
    }
}

#[test]
fn descriptors_and_indices_lie() {
    let mut rig = Rig::with(json!({"kind": "descriptor", "len8": 8000, "count": 1}));
    rig.submit(3, 0, &TEST_UNIT_READY, Direction::None, 0);
    let error = wait_for(|| rig.driver.to_guest.next().err());
    assert!(
        matches!(
            error,
            RingError::Packet {
                len8: 8000,
                offset8: 2,
                ..
            }
        ),
        "{error:?}"
    );

    let mut rig = Rig::with(json!({"kind": "write-index", "value": 0xffff_fff0_u32, "count": 1}));
    rig.submit(3, 0, &TEST_UNIT_READY, Direction::None, 0);
    let memory = rig.driver.to_guest.memory().clone();
    wait_for(|| (memory.load(control::WRITE_INDEX) == 0xffff_fff0).then_some(()));
    assert!(rig.driver.to_guest.available().is_err());

    // Its answer comes when nothing is being taken any more.
    let mut rig = Rig::with(json!({"kind": "read-index", "value": 4, "lun": 1, "count": 1}));
    rig.wake_up(1);
    let memory = rig.driver.to_host.memory().clone();
    wait_for(|| (memory.load(control::READ_INDEX) == 4).then_some(()));
}

#[test]
fn answers_come_more_than_once() {
    let mut rig = Rig::with(json!({"kind": "twice", "count": 1}));
    rig.submit(3, 0, &TEST_UNIT_READY, Direction::None, 0);
    for _ in 0..2 {
        assert_eq!(rig.driver.receive(&rig.guest).1, 3);
    }
    rig.inject(json!({"kind": "unknown-id", "id": 77, "count": 1}));
    rig.submit(4, 0, &TEST_UNIT_READY, Direction::None, 0);
    assert_eq!(rig.driver.receive(&rig.guest).1, 77);
    assert_eq!(rig.driver.receive(&rig.guest).1, 4);
    rig.inject(json!({"kind": "again", "ms": 50, "count": 1}));
    rig.submit(5, 0, &TEST_UNIT_READY, Direction::None, 0);
    for _ in 0..2 {
        assert_eq!(rig.driver.receive(&rig.guest).1, 5);
    }
    rig.works();
}

#[test]
fn what_is_dropped_comes_back_with_a_reset() {
    let mut rig = Rig::with(json!({"kind": "drop", "count": 2}));
    rig.submit(3, 0, &TEST_UNIT_READY, Direction::None, 0);
    rig.submit(4, 0, &TEST_UNIT_READY, Direction::None, 0);
    rig.works();
    rig.reset();
    let mut seen: Vec<_> = (0..3).map(|_| rig.driver.receive(&rig.guest).1).collect();
    assert_eq!(seen.pop(), Some(TRANSACTION_RESET));
    seen.sort_unstable();
    assert_eq!(seen, [3, 4]);
    assert_eq!(rig.device.counters()["faults"], json!({"drop": 2}));
}

#[test]
fn what_is_dropped_or_late_ends_when_the_channel_is_closed() {
    let mut rig = Rig::with(json!({"kind": "drop", "count": 1}));
    rig.submit(3, 0, &TEST_UNIT_READY, Direction::None, 0);
    rig.inject(json!({"kind": "delay", "ms": 3_600_000, "operation": 6}));
    rig.reset();
    // The reset has ended the command by then.
    assert_eq!(rig.driver.receive(&rig.guest).1, 3);
    rig.inject(json!({"kind": "drop", "count": 1}));
    rig.submit(4, 0, &TEST_UNIT_READY, Direction::None, 0);
    wait_for(|| (rig.device.counters()["faults"]["drop"] == 2).then_some(()));
    rig.close();
}

#[test]
fn a_reset_is_not_answered() {
    let mut rig = Rig::with(json!({"kind": "drop", "operation": 6, "count": 1}));
    rig.reset();
    rig.works();
    rig.inject(json!({"kind": "refuse", "operation": 6, "count": 1}));
    rig.reset();
    let (_, transaction, packet) = rig.driver.receive(&rig.guest);
    assert_eq!(
        (transaction, packet.status.get()),
        (TRANSACTION_RESET, 0xc000_0001)
    );
    rig.works();
}

#[test]
fn commands_are_late() {
    let mut rig = Rig::with(json!({"kind": "delay", "ms": 100, "count": 1}));
    rig.submit(3, 0, &TEST_UNIT_READY, Direction::None, 0);
    rig.works();
    assert_eq!(rig.driver.receive(&rig.guest).1, 3);
}

#[test]
fn the_handshake_goes_wrong() {
    let mut rig = Rig::new(1);
    rig.inject(json!({"kind": "refuse", "operation": 9, "count": 1}));
    rig.inject(json!({"kind": "properties", "sub_channels": 65535, "max_transfer": 0}));
    rig.close();
    let offer = rig.driver.offer;
    rig.driver = Driver::open(&mut rig.guest, &offer, RINGS[0]);
    let agreed = rig.handshake();
    assert_eq!(agreed.version, Version::V6_0);
    assert_eq!(agreed.properties.sub_channels(), 65535);
    assert_eq!(agreed.properties.max_transfer_bytes.get(), 0);
}

#[test]
fn notices_come_in_any_number() {
    let rig_error = |rig: &Rig, fault: Value| {
        let fault: Fault = serde_json::from_value(fault).unwrap();
        rig.device.inject(fault).unwrap_err().to_string()
    };
    let mut rig = Rig::new(1);
    rig.inject(json!({"kind": "notices", "number": 600, "notice": 99}));
    for _ in 0..600 {
        let (kind, transaction, packet) = rig.driver.receive(&rig.guest);
        assert_eq!((kind, transaction), (PacketKind::IN_BAND, 0));
        assert_eq!(packet.operation(), Operation(99));
    }
    rig.close();
    for fault in [
        json!({"kind": "notices"}),
        json!({"kind": "rescind", "channel": 1}),
    ] {
        let error = rig_error(&rig, fault);
        assert!(error.contains("open"), "{error}");
    }
}

/// Waits until the device is taken away, lets go of it, and returns its new offer.
fn let_go(guest: &Guest, relid: u32) -> Offer {
    guest.expect(MessageKind::RESCIND);
    let relid = U32::new(relid);
    guest.send(&Message::RelidReleased(&ChannelRelid { relid }));
    guest.offer()
}

#[test]
fn the_device_goes_and_comes_back() {
    let mut rig = Rig::with(json!({"kind": "drop", "count": 1}));
    rig.submit(3, 0, &TEST_UNIT_READY, Direction::None, 0);
    for _ in 0..3 {
        rig.inject(json!({"kind": "rescind"}));
        let offer = let_go(&rig.guest, rig.driver.offer.relid.get());
        assert_eq!(offer.instance, rig.driver.offer.instance);
        rig.driver = Driver::open(&mut rig.guest, &offer, RINGS[0]);
        rig.handshake();
    }
    rig.wake_up(0);
}

#[test]
fn a_channel_is_not_let_open() {
    let mut rig = Rig::new(1);
    rig.close();
    let offer = rig.driver.offer;
    rig.inject(json!({"kind": "open", "count": 1}));
    assert!(rig.guest.open(&offer, RINGS[0], RING_PAGES).is_none());
    rig.inject(json!({"kind": "open", "rescind": true, "count": 1}));
    let (gpadl, is_taken) = rig.guest.gpadl(offer.relid.get(), RINGS[1], 2);
    assert!(is_taken);
    rig.guest
        .send(&Message::Open(&protocol::vmbus::message::Open {
            relid: offer.relid,
            open_id: offer.relid,
            ring_gpadl: U32::new(gpadl),
            target_vp: U32::ZERO,
            downstream_page: U32::new(1),
            user_data: [0; 120],
        }));
    let offer = let_go(&rig.guest, offer.relid.get());
    rig.driver = Driver::open(&mut rig.guest, &offer, RINGS[0]);
    rig.handshake();
    rig.wake_up(0);
}

#[test]
fn the_device_goes_before_it_is_opened() {
    let mut rig = Rig::new(1);
    rig.close();
    let relid = rig.driver.offer.relid.get();
    rig.inject(json!({"kind": "rescind"}));
    let offer = let_go(&rig.guest, relid);
    rig.driver = Driver::open(&mut rig.guest, &offer, RINGS[0]);
    rig.handshake();
    rig.wake_up(0);
}

/// All of the guest's memory but the pages of its SynIC.
fn memory_of(rig: &Rig) -> Vec<u8> {
    let mut bytes = vec![0; (crate::testing::MEMORY_SIZE - RINGS[0]) as usize];
    let at = GuestAddress(RINGS[0]);
    rig.guest.memory.read_slice(&mut bytes, at).unwrap();
    bytes
}

#[test]
fn a_guest_that_hears_of_it_has_all_of_its_memory_back() {
    for fault in [json!({"kind": "delay", "ms": 40}), json!({"kind": "drop"})] {
        let mut rig = Rig::with(fault);
        let read = transfer(0x28, 0, 8);
        rig.submit(3, 0, &read, Direction::In, 4096);
        rig.submit(4, 1, &TEST_UNIT_READY, Direction::None, 0);
        rig.guest.bus.rescind(rig.driver.offer.instance, || {});
        rig.guest.expect(MessageKind::RESCIND);
        let before = memory_of(&rig);
        // Longer than it would have taken.
        std::thread::sleep(std::time::Duration::from_millis(80));
        rig.guest.signal(&rig.driver.offer);
        assert!(before == memory_of(&rig), "the host writes to it still");
        let mut ids = Vec::new();
        while let Some((_, transaction, packet)) = rig.driver.poll(&rig.guest) {
            let answer: ScsiRequest = packet.get();
            assert_eq!(answer.srb_status, srb::INVALID_LUN);
            ids.push(transaction);
        }
        ids.sort_unstable();
        assert_eq!(ids, [3, 4]);
    }
}

#[test]
fn a_guest_that_reads_no_answers_hears_of_it_all_the_same() {
    let mut rig = Rig::with(json!({"kind": "drop"}));
    let mut transaction = 3;
    let command = (&TEST_UNIT_READY[..], Direction::None, 0);
    while submit(&rig.guest, &mut rig.driver, transaction, 0, command) {
        transaction += 1;
    }
    rig.guest.bus.rescind(rig.driver.offer.instance, || {});
    rig.guest.expect(MessageKind::RESCIND);
}

#[test]
fn a_sub_channel_goes_and_the_others_work() {
    let mut rig = Rig::new(2);
    rig.wake_up(0);
    let sub = rig.guest.offer();
    let mut driver = Driver::open(&mut rig.guest, &sub, RINGS[1]);
    let command = (&TEST_UNIT_READY[..], Direction::None, 0);
    rig.inject(json!({"kind": "drop", "channel": 1}));
    assert!(submit(&rig.guest, &mut driver, 5, 0, command));
    wait_for(|| (rig.device.counters()["faults"]["drop"] == 1).then_some(()));
    rig.inject(json!({"kind": "rescind", "channel": 1}));
    rig.guest.expect(MessageKind::RESCIND);
    let (_, transaction, packet) = driver.poll(&rig.guest).unwrap();
    let answer: ScsiRequest = packet.get();
    // It can be tried again.
    assert_eq!((transaction, answer.srb_status), (5, srb::BUS_RESET));
    rig.works();
    rig.device.clear_faults();
    let relid = sub.relid;
    rig.guest
        .send(&Message::RelidReleased(&ChannelRelid { relid }));
    let again = rig.guest.offer();
    assert_eq!(again.sub_channel_index, sub.sub_channel_index);
    driver = Driver::open(&mut rig.guest, &again, RINGS[1]);
    assert!(submit(&rig.guest, &mut driver, 6, 0, command));
    assert_eq!(driver.receive(&rig.guest).1, 6);
}
