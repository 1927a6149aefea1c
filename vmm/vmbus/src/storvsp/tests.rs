// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The controller against a model of its driver.

mod faults;
mod kinds;

use std::fs;

use hospes_scsi::{Disk, DiskConfig};
use protocol::scsi::status as scsi_status;
use protocol::storvsp::init::{Agreed, Controller, Handshake};
use protocol::storvsp::outcome::srb;
use protocol::storvsp::request::Address;
use protocol::storvsp::{Direction, Packet, ScsiRequest, Version, TRANSACTION_RESET};
use protocol::vmbus::gpa::{RangeHeader, Ranges};
use protocol::vmbus::message::{ChannelRelid, Kind as MessageKind, Message, Offer};
use protocol::vmbus::packet::{Data, Header, Kind as PacketKind, Packet as ChannelPacket};
use protocol::vmbus::ring::{Consumer, Producer, PushError};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::tempfile::TempFile;
use zerocopy::little_endian::U64;
use zerocopy::IntoBytes;

use super::*;
use crate::memory::Pages;
use crate::testing::{wait_for, Guest};

/// Where the rings of the first channel are, and of the second.
const RINGS: [u64; 2] = [0x10_0000, 0x18_0000];
/// Pages of a ring.
const RING_PAGES: u32 = 8;
/// Where data is.
const DATA: u64 = 0x20_0000;
/// Bytes of a disk.
const DISK_SIZE: u64 = 1 << 20;

const INQUIRY: [u8; 6] = [0x12, 0, 0, 0, 36, 0];
const TEST_UNIT_READY: [u8; 6] = [0; 6];

/// A driver with a channel.
struct Driver {
    offer: Offer,
    to_host: Producer<Pages>,
    to_guest: Consumer<Pages>,
}

/// A guest with a controller, its driver and its disks.
struct Rig {
    guest: Guest,
    device: Arc<Storvsp>,
    driver: Driver,
    agreed: Agreed,
    files: Vec<TempFile>,
}

impl Driver {
    fn open(guest: &mut Guest, offer: &Offer, address: u64) -> Self {
        let [to_host, to_guest] = guest.open(offer, address, RING_PAGES).unwrap();
        Self {
            offer: *offer,
            to_host: Producer::new(to_host).unwrap(),
            to_guest: Consumer::new(to_guest).unwrap(),
        }
    }

    /// Sends a packet; false if there is no room.
    fn send(&mut self, guest: &Guest, transaction: u64, data: Data<'_>, packet: &Packet) -> bool {
        let mut bytes = [0; 4096];
        let whole = ChannelPacket {
            wants_completion: true,
            transaction_id: transaction,
            data,
            payload: packet.as_bytes(),
        };
        let len = whole.encode(&mut bytes).unwrap();
        let header = Header::request(
            match data {
                Data::InBand => PacketKind::IN_BAND,
                _ => PacketKind::GPA_DIRECT,
            },
            transaction,
        );
        let extension = &bytes[16..len - 64];
        match self
            .to_host
            .send(header, &[extension], &[packet.as_bytes()])
        {
            Ok(signal) if signal.is_needed() => guest.signal(&self.offer),
            Ok(_) => {}
            Err(PushError::Full { .. }) => return false,
            Err(error) => panic!("{error:?}"),
        }
        true
    }

    /// What has come, if anything has: type, transaction id and packet.
    fn poll(&mut self, guest: &Guest) -> Option<(PacketKind, u64, Packet)> {
        let mut bytes = [0; 64];
        let incoming = self.to_guest.next().unwrap()?;
        assert_eq!(incoming.copy_payload(&mut bytes), 64);
        let descriptor = *incoming.descriptor();
        if self.to_guest.release().unwrap().is_needed() {
            guest.signal(&self.offer);
        }
        let packet = Packet::parse(&bytes).unwrap();
        let kind = PacketKind(descriptor.kind.get());
        Some((kind, descriptor.transaction_id.get(), packet))
    }

    fn receive(&mut self, guest: &Guest) -> (PacketKind, u64, Packet) {
        wait_for(|| self.poll(guest))
    }
}

fn config(channels: u16) -> Config {
    Config {
        name: "s0".to_owned(),
        kind: Kind::Scsi,
        channels,
        max_transfer: DEFAULT_TRANSFER,
        aio: AioMode::Auto,
    }
}

fn disk(latency_ms: u64) -> (TempFile, Disk) {
    let file = TempFile::new().unwrap();
    let pattern: Vec<u8> = (0..DISK_SIZE).map(|at| (at >> 9) as u8).collect();
    fs::write(file.as_path(), pattern).unwrap();
    let mut settings = DiskConfig::new(file.as_path());
    settings.latency = std::time::Duration::from_millis(latency_ms);
    let disk = Disk::open(&settings).unwrap();
    (file, disk)
}

impl Rig {
    /// With a disk at 0:0, and a slow one at 0:1.
    fn new(channels: u16) -> Self {
        Self::of(&config(channels))
    }

    fn of(config: &Config) -> Self {
        let target = Target::new();
        let mut files = Vec::new();
        for (lun, latency) in [(0, 0), (1, 20)] {
            let (file, disk) = disk(latency);
            let at = UnitAddress { target: 0, lun };
            target.add(at, Box::new(disk)).unwrap();
            files.push(file);
        }
        let device = Storvsp::new(config, target).unwrap();
        let offered = device.clone();
        let (mut guest, offers) = Guest::connected_to(|bus| bus.offer(offered));
        let driver = Driver::open(&mut guest, &offers[0], RINGS[0]);
        let mut rig = Self {
            guest,
            device,
            driver,
            agreed: Agreed {
                version: Version::V2_0,
                properties: Properties::new(0, 0),
                names: None,
                sub_channels: 0,
            },
            files,
        };
        rig.agreed = rig.handshake();
        rig
    }

    fn handshake(&mut self) -> Agreed {
        let controller = match self.device.config.kind {
            Kind::FibreChannel(_) => Controller::FibreChannel,
            _ => Controller::Plain,
        };
        let mut handshake = Handshake::new(controller, &Version::LINUX, 3);
        while let Some(request) = handshake.request() {
            let sent = self.driver.send(&self.guest, 7, Data::InBand, &request);
            assert!(sent);
            let (kind, transaction, packet) = self.driver.receive(&self.guest);
            assert_eq!((kind, transaction), (PacketKind::COMPLETION, 7));
            handshake.answer(&packet).unwrap();
        }
        handshake.agreed().unwrap()
    }

    /// Begins a command on the first channel.
    fn submit(&mut self, transaction: u64, lun: u8, cdb: &[u8], direction: Direction, len: u32) {
        let sent = submit(
            &self.guest,
            &mut self.driver,
            transaction,
            lun,
            (cdb, direction, len),
        );
        assert!(sent);
    }

    /// Carries a command out on the first channel.
    fn execute(&mut self, lun: u8, cdb: &[u8], direction: Direction, len: u32) -> ScsiRequest {
        self.submit(9, lun, cdb, direction, len);
        let (kind, transaction, packet) = self.driver.receive(&self.guest);
        assert_eq!((kind, transaction), (PacketKind::COMPLETION, 9));
        assert!(packet.is_success());
        packet.get()
    }

    /// Takes the unit attention that a unit begins with.
    fn wake_up(&mut self, lun: u8) {
        let answer = self.execute(lun, &TEST_UNIT_READY, Direction::None, 0);
        assert_eq!(answer.srb_status, srb::ERROR | srb::AUTOSENSE_VALID);
        assert_eq!(answer.scsi_status, scsi_status::CHECK_CONDITION);
    }

    fn data(&self, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        let at = GuestAddress(DATA);
        self.guest.memory.read_slice(&mut data, at).unwrap();
        data
    }
}

fn submit(
    guest: &Guest,
    driver: &mut Driver,
    transaction: u64,
    lun: u8,
    (cdb, direction, len): (&[u8], Direction, u32),
) -> bool {
    let address = Address {
        lun,
        ..Address::default()
    };
    let request = ScsiRequest::new(address, cdb, direction, len, true).unwrap();
    let packet = Packet::with(Operation::EXECUTE_SRB, &request);
    if len == 0 {
        return driver.send(guest, transaction, Data::InBand, &packet);
    }
    let mut words = vec![U64::from(RangeHeader::new(len, 0))];
    words.extend((0..u64::from(len).div_ceil(4096)).map(|page| U64::new((DATA >> 12) + page)));
    let ranges = Ranges::new(&words, 1).unwrap();
    driver.send(guest, transaction, Data::GpaDirect(ranges), &packet)
}

fn transfer(opcode: u8, block: u32, blocks: u16) -> [u8; 10] {
    let [a, b, c, d] = block.to_be_bytes();
    let [e, f] = blocks.to_be_bytes();
    [opcode, 0, a, b, c, d, 0, e, f, 0]
}

#[test]
fn what_is_written_is_read() {
    let mut rig = Rig::new(1);
    assert_eq!(rig.agreed.version, Version::V6_2);
    assert_eq!(rig.agreed.sub_channels, 0);
    rig.wake_up(0);
    let answer = rig.execute(0, &transfer(0x28, 3, 20), Direction::In, 20 * 512);
    assert_eq!(answer.srb_status, srb::SUCCESS);
    assert_eq!(answer.transfer_length.get(), 20 * 512);
    let data = rig.data(20 * 512);
    assert!((0..20).all(|block| data[block * 512] == 3 + block as u8));
    let at = GuestAddress(DATA);
    rig.guest.memory.write_slice(&[0xab; 1024], at).unwrap();
    let answer = rig.execute(0, &transfer(0x2a, 100, 2), Direction::Out, 1024);
    assert_eq!(answer.srb_status, srb::SUCCESS);
    let file = fs::read(rig.files[0].as_path()).unwrap();
    assert_eq!(file[100 * 512..102 * 512], [0xab; 1024]);
    assert_eq!(file[102 * 512], 102);
}

#[test]
fn units_that_are_not_there_are_told_apart() {
    let mut rig = Rig::new(1);
    // A unit of a target that exists, then one of a target that does not.
    let answer = rig.execute(5, &INQUIRY, Direction::In, 36);
    assert_eq!(answer.srb_status, srb::SUCCESS);
    assert_eq!(rig.data(1), [0x7f]);
    let answer = rig.execute(5, &TEST_UNIT_READY, Direction::None, 0);
    assert_eq!(answer.srb_status, srb::INVALID_LUN);
    let other_target = Address {
        target: 1,
        ..Address::default()
    };
    let other_path = Address {
        path: 8,
        ..Address::default()
    };
    for (address, status) in [
        (other_target, srb::INVALID_LUN),
        (other_path, srb::ERROR | srb::AUTOSENSE_VALID),
    ] {
        let request = ScsiRequest::new(address, &TEST_UNIT_READY, Direction::None, 0, true);
        let packet = Packet::with(Operation::EXECUTE_SRB, &request.unwrap());
        rig.driver.send(&rig.guest, 1, Data::InBand, &packet);
        let (_, _, packet) = rig.driver.receive(&rig.guest);
        let answer: ScsiRequest = packet.get();
        assert_eq!(answer.srb_status, status, "{address:?}");
    }
    // Guests look for units where there is no target, too.
    let report_luns = [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0];
    let request = ScsiRequest::new(other_target, &report_luns, Direction::In, 16, true);
    let packet = Packet::with(Operation::EXECUTE_SRB, &request.unwrap());
    let words = [U64::from(RangeHeader::new(16, 0)), U64::new(DATA >> 12)];
    let data = Data::GpaDirect(Ranges::new(&words, 1).unwrap());
    rig.driver.send(&rig.guest, 2, data, &packet);
    let (_, _, packet) = rig.driver.receive(&rig.guest);
    let answer: ScsiRequest = packet.get();
    assert_eq!(answer.srb_status, srb::SUCCESS);
    assert_eq!(rig.data(8), [0; 8]);
}

#[test]
fn errors_have_sense_data() {
    let mut rig = Rig::new(1);
    rig.wake_up(0);
    let answer = rig.execute(0, &transfer(0x28, 5000, 1), Direction::In, 512);
    assert_eq!(answer.srb_status, srb::ERROR | srb::AUTOSENSE_VALID);
    assert_eq!(answer.sense()[2] & 0xf, 5);
    assert_eq!(answer.sense()[12], 0x21);
    // Buffers that are too short for what is asked for.
    let answer = rig.execute(0, &transfer(0x28, 0, 2), Direction::In, 512);
    assert_eq!(answer.srb_status, srb::INVALID_REQUEST);
}

#[test]
fn commands_that_make_no_sense_are_answered() {
    let mut rig = Rig::new(1);
    let good = ScsiRequest::new(Address::default(), &INQUIRY, Direction::In, 36, true).unwrap();
    let mut bad = [good; 3];
    bad[0].data_in = 3;
    bad[1].cdb_length = 17;
    // There is no data with it.
    bad[2].cdb_length = 6;
    for request in bad {
        let packet = Packet::with(Operation::EXECUTE_SRB, &request);
        rig.driver.send(&rig.guest, 4, Data::InBand, &packet);
        let (_, transaction, packet) = rig.driver.receive(&rig.guest);
        let answer: ScsiRequest = packet.get();
        assert_eq!((transaction, answer.srb_status), (4, srb::INVALID_REQUEST));
    }
    // A list of ranges that is cut off.
    let packet = Packet::with(Operation::EXECUTE_SRB, &good);
    let extension = [0_u8, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let header = Header::request(PacketKind::GPA_DIRECT, 5);
    let sent = rig
        .driver
        .to_host
        .send(header, &[&extension], &[packet.as_bytes()]);
    assert!(sent.unwrap().is_needed());
    rig.guest.signal(&rig.driver.offer);
    let (_, transaction, packet) = rig.driver.receive(&rig.guest);
    let answer: ScsiRequest = packet.get();
    assert_eq!((transaction, answer.srb_status), (5, srb::INVALID_REQUEST));
    // An unknown operation, and one that is too short.
    let unknown = Packet::new(Operation(77));
    rig.driver.send(&rig.guest, 6, Data::InBand, &unknown);
    let (_, _, packet) = rig.driver.receive(&rig.guest);
    assert_ne!(packet.status.get(), 0);
    let sent = rig
        .driver
        .to_host
        .send(Header::request(PacketKind::IN_BAND, 8), &[], &[&[0; 8]]);
    assert!(sent.unwrap().is_needed());
    rig.guest.signal(&rig.driver.offer);
    let (_, transaction, packet) = rig.driver.receive(&rig.guest);
    assert_eq!(transaction, 8);
    assert_ne!(packet.status.get(), 0);
}

#[test]
fn every_channel_serves_every_unit() {
    let mut rig = Rig::new(3);
    assert_eq!(rig.agreed.sub_channels, 2);
    let offers = [rig.guest.offer(), rig.guest.offer()];
    let mut second = Driver::open(&mut rig.guest, &offers[1], RINGS[1]);
    rig.wake_up(0);
    let read = transfer(0x28, 7, 1);
    submit(&rig.guest, &mut second, 3, 0, (&read, Direction::In, 512));
    let (_, transaction, packet) = second.receive(&rig.guest);
    let answer: ScsiRequest = packet.get();
    assert_eq!((transaction, answer.srb_status), (3, srb::SUCCESS));
    assert_eq!(rig.data(1), [7]);
    let relid = rig.driver.offer.relid;
    rig.guest.send(&Message::Close(&ChannelRelid { relid }));
    rig.guest.expect(MessageKind::RESCIND);
    rig.guest.expect(MessageKind::RESCIND);
}

#[test]
fn answers_wait_for_room() {
    let mut rig = Rig::new(1);
    rig.wake_up(0);
    // Many more than the ring to the guest holds.
    let (mut sent, mut received) = (0_u64, Vec::new());
    let read = transfer(0x28, 1, 1);
    let total = 1500;
    while sent < total {
        let command = (&read[..], Direction::In, 512);
        if submit(&rig.guest, &mut rig.driver, sent, 0, command) {
            sent += 1;
        } else {
            // The device takes commands from the ring whatever becomes of answers.
            std::thread::yield_now();
        }
    }
    while received.len() < total as usize {
        let (_, transaction, packet) = rig.driver.receive(&rig.guest);
        let answer: ScsiRequest = packet.get();
        assert_eq!(answer.srb_status, srb::SUCCESS);
        received.push(transaction);
    }
    received.sort_unstable();
    assert!(received.into_iter().eq(0..total));
    let counters = rig.device.counters();
    let waited = counters["channels"][0]["waited"].as_u64().unwrap();
    assert!(waited > 0, "{counters}");
}

#[test]
fn a_reset_ends_commands_and_is_answered_after_them() {
    let mut rig = Rig::new(1);
    rig.wake_up(0);
    for transaction in 1..=8 {
        rig.submit(transaction, 1, &TEST_UNIT_READY, Direction::None, 0);
    }
    let request = ScsiRequest::new(Address::default(), &INQUIRY, Direction::In, 0, true).unwrap();
    let packet = Packet::with(Operation::RESET_BUS, &request);
    rig.driver
        .send(&rig.guest, TRANSACTION_RESET, Data::InBand, &packet);
    let mut seen = Vec::new();
    loop {
        let (_, transaction, packet) = rig.driver.receive(&rig.guest);
        assert!(packet.is_success());
        if transaction == TRANSACTION_RESET {
            break;
        }
        seen.push(transaction);
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=8).collect::<Vec<_>>());
    // The units have been reset.
    rig.wake_up(0);
}

#[test]
fn closing_ends_what_is_under_way() {
    let mut rig = Rig::new(1);
    for transaction in 1..=8 {
        rig.submit(transaction, 1, &TEST_UNIT_READY, Direction::None, 0);
    }
    let offer = rig.driver.offer;
    let relid = offer.relid;
    rig.guest.send(&Message::Close(&ChannelRelid { relid }));
    rig.guest.teardown(relid.get(), 0xe1e10);
    let channel = rig.device.counters()["channels"][0].clone();
    assert_eq!(channel["commands"], 8);
    // All is forgotten, and works again.
    rig.driver = Driver::open(&mut rig.guest, &offer, RINGS[0]);
    rig.handshake();
    rig.wake_up(0);
}

#[test]
fn the_guest_hears_of_units_that_come_and_go() {
    let mut rig = Rig::new(1);
    let at = UnitAddress { target: 0, lun: 7 };
    for (tell, expected) in [
        (
            Storvsp::unit_added as fn(&Storvsp, UnitAddress),
            Operation::ENUMERATE_BUS,
        ),
        (Storvsp::unit_removed, Operation::REMOVE_DEVICE),
        (Storvsp::capacity_changed, Operation::ENUMERATE_BUS),
    ] {
        tell(&rig.device, at);
        let (kind, transaction, packet) = rig.driver.receive(&rig.guest);
        assert_eq!((kind, transaction), (PacketKind::IN_BAND, 0));
        assert_eq!(packet.operation(), expected);
    }
}

#[test]
fn a_paused_controller_takes_nothing() {
    let mut rig = Rig::new(1);
    rig.wake_up(0);
    rig.device.pause();
    rig.submit(3, 0, &TEST_UNIT_READY, Direction::None, 0);
    assert!(rig.driver.poll(&rig.guest).is_none());
    rig.device.resume();
    let (_, transaction, _) = rig.driver.receive(&rig.guest);
    assert_eq!(transaction, 3);
}

#[test]
fn a_broken_ring_is_survived() {
    use protocol::hyperv::shared::Shared as _;
    let mut rig = Rig::new(1);
    rig.driver.to_host.memory().store(0, 0xffff_fff8);
    rig.guest.signal(&rig.driver.offer);
    // The bus still works, and so does the controller once it is opened anew.
    let offer = rig.driver.offer;
    let relid = offer.relid;
    rig.guest.send(&Message::Close(&ChannelRelid { relid }));
    rig.guest.teardown(relid.get(), 0xe1e10);
    rig.driver = Driver::open(&mut rig.guest, &offer, RINGS[0]);
    rig.handshake();
}
