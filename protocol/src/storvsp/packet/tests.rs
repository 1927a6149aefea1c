// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Packets there and back, and bytes that are none.

use super::*;
use proptest::prelude::*;
use zerocopy::FromZeros;

#[test]
fn short_packets_are_none() {
    let packet = Packet::with(
        Operation::QUERY_PROTOCOL_VERSION,
        &ProtocolVersion::new(Version::V6_2),
    );
    let bytes = packet.as_bytes();
    assert_eq!(bytes[..14], [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 6]);
    assert_eq!(Packet::parse(bytes), Some(packet));
    assert_eq!(Packet::parse(&bytes[..63]), None);
}

#[test]
fn notices_may_be_short() {
    let parse = |bytes: &[u8]| Packet::parse_notice(bytes);
    assert_eq!(parse(&[11, 0, 0, 0]), Some(Notice::Units));
    let removed = Packet::notice(Operation::REMOVE_DEVICE);
    assert_eq!(parse(removed.as_bytes()), Some(Notice::Units));
    assert_eq!(parse(&[11, 0, 0]), None);
    let unknown = Some(Notice::Unknown(Operation(77)));
    assert_eq!(parse(&[77, 0, 0, 0]), unknown);
    let answer = Packet::answer(status::SUCCESS);
    assert_eq!(parse(answer.as_bytes()), None);
}

#[test]
fn names_come_in_a_whole_packet() {
    let port = |port| PortNames { port, node: 9 };
    let names = WorldWideNames::new(port(1), port(2));
    assert_eq!(names.active(), port(1));
    let mut packet = Packet::notice(Operation::FCHBA_DATA);
    packet.set(&names);
    let bytes = packet.as_bytes();
    let notice = Packet::parse_notice(bytes);
    assert_eq!(notice, Some(Notice::Names(names)));
    assert_eq!(Packet::parse_notice(&bytes[..63]), None);
}

#[test]
fn answers() {
    assert!(Packet::answer(status::SUCCESS).is_success());
    assert!(!Packet::answer(status::REVISION_MISMATCH).is_success());
    assert!(!Packet::new(Operation::EXECUTE_SRB).is_success());
    assert_eq!(Properties::new(3, 4096).sub_channels(), 3);
    assert_eq!(Properties::new(0, 4096).flags.get(), 0);
    let mut odd = Properties::new(3, 4096);
    odd.flags = U32::new(!SUPPORTS_SUB_CHANNELS);
    assert_eq!(odd.sub_channels(), 0);
}

#[test]
fn names_are_of_the_active_port() {
    let mut names = WorldWideNames::new_zeroed();
    names.primary_port = [0, 0, 0, 0, 0, 0, 0, 1];
    names.secondary_node = [0, 0, 0, 0, 0, 0, 1, 0];
    assert_eq!((names.port(), names.node()), (0, 256));
    names.primary_active = 1;
    assert_eq!((names.port(), names.node()), (1, 0));
}

proptest! {
    #[test]
    fn payloads_come_back(bytes in proptest::array::uniform32(any::<u8>()), count: u16) {
        let mut packet = Packet::new(Operation(count.into()));
        let version = ProtocolVersion::new(Version(count));
        packet.set(&version);
        prop_assert_eq!(packet.get::<ProtocolVersion>(), version);
        let properties = Properties::read_from_bytes(&bytes[..24]).unwrap();
        packet.set(&properties);
        prop_assert_eq!(packet.get::<Properties>(), properties);
        prop_assert_eq!(Packet::parse(packet.as_bytes()), Some(packet));
    }

    #[test]
    fn any_bytes_parse_or_not(bytes: std::vec::Vec<u8>) {
        prop_assert_eq!(Packet::parse(&bytes).is_some(), bytes.len() >= PACKET_SIZE);
        let _ = Packet::parse_notice(&bytes);
    }
}
