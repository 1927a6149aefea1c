// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Packets there and back, and packets that are none.

use proptest::collection::vec;
use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::vmbus::gpa::tests::{ranges, words};

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = [0xff; 4096];
    let len = packet.encode(&mut bytes).unwrap();
    bytes[..len].to_vec()
}

#[test]
fn units_are_eight_bytes() {
    let header = Header::request(Kind::IN_BAND, 9);
    let descriptor = header.descriptor(0, 5).unwrap();
    assert_eq!((descriptor.offset(), descriptor.len()), (16, 24));
    assert!(descriptor.is_valid() && descriptor.wants_completion() && !descriptor.is_empty());
    assert_eq!(header.descriptor(4, 0), Err(TooLong));
    assert_eq!(header.descriptor(0, usize::MAX), Err(TooLong));
    let most = 0xffff * 8 - 16;
    assert_eq!(header.descriptor(0, most).unwrap().len8.get(), 0xffff);
    assert_eq!(header.descriptor(0, most + 1), Err(TooLong));
}

#[test]
fn impossible_descriptors_are_refused() {
    let packet = Packet {
        wants_completion: true,
        transaction_id: 1,
        data: Data::InBand,
        payload: &[7; 16],
    };
    let good = encode(&packet);
    assert_eq!(Packet::parse(&good), Ok(packet));
    assert_eq!(Packet::parse(&good[..31]), Err(BadPacket::Descriptor));
    assert_eq!(Packet::parse(&good[..15]), Err(BadPacket::Descriptor));
    for (offset8, len8) in [(1, 4), (5, 4), (2, 5), (0, 0), (2, 1), (0xffff, 0xffff)] {
        let mut bytes = good.clone();
        bytes[2..4].copy_from_slice(&u16::to_le_bytes(offset8));
        bytes[4..6].copy_from_slice(&u16::to_le_bytes(len8));
        let error = Packet::parse(&bytes).unwrap_err();
        assert_eq!(error, BadPacket::Descriptor, "{offset8} {len8}");
    }
}

#[test]
fn counts_are_checked_against_what_there_is() {
    let list = words(&[(4096, 0, [5].to_vec())]);
    let data = Data::GpaDirect(Ranges::new(&list, 1).unwrap());
    let packet = Packet {
        wants_completion: true,
        transaction_id: 1,
        data,
        payload: &[],
    };
    let good = encode(&packet);
    assert_eq!(Packet::parse(&good), Ok(packet));
    for (count, error) in [
        (2, Err(BadPacket::Range(BadRange::CutOff))),
        (u32::MAX, Err(BadPacket::Range(BadRange::CutOff))),
        (0, Ok(())),
    ] {
        let mut bytes = good.clone();
        bytes[20..24].copy_from_slice(&u32::to_le_bytes(count));
        assert_eq!(Packet::parse(&bytes).map(|_| ()), error);
    }
    let head = TransferPages {
        pageset_id: U16::new(0xcafe),
        sender_owns: 0,
        reserved: 0,
        range_count: U32::new(2),
    };
    let pages = [TransferRange {
        byte_count: U32::new(9),
        byte_offset: U32::new(8),
    }; 2];
    let data = Data::TransferPages(&head, &pages);
    let packet = Packet { data, ..packet };
    let mut bytes = encode(&packet);
    assert_eq!(Packet::parse(&bytes), Ok(packet));
    bytes[20] = 3;
    let kind = Kind::TRANSFER_PAGES;
    assert_eq!(Packet::parse(&bytes), Err(BadPacket::Extension(kind)));
}

proptest! {
    #[test]
    fn gpa_direct_packets_arrive(given in ranges(4, 4), payload in vec(any::<u8>(), 0..80),
                                 transaction_id: u64, wants_completion: bool) {
        let list = words(&given);
        let count = u32::try_from(given.len()).unwrap();
        let data = Data::GpaDirect(Ranges::new(&list, count).unwrap());
        let sent = Packet { wants_completion, transaction_id, data, payload: &payload };
        let bytes = encode(&sent);
        let packet = Packet::parse(&bytes).unwrap();
        prop_assert!(packet.payload.starts_with(&payload));
        prop_assert!(packet.payload[payload.len()..].iter().all(|byte| *byte == 0));
        prop_assert!(packet.payload.len() - payload.len() < 8);
        prop_assert_eq!(Packet { payload: &payload, ..packet }, sent);
    }

    #[test]
    fn what_parses_encodes_to_the_same(
        kind in 0_u16..14, offset8 in 0_u16..12, len8 in 0_u16..16, flags in 0_u16..2, id: u64,
        head in (0_u32..4, 0_u32..4), rest in vec(prop_oneof![0_u64..9000, any::<u64>()], 12),
    ) {
        let descriptor = Descriptor {
            kind: U16::new(kind),
            offset8: U16::new(offset8),
            len8: U16::new(len8),
            flags: U16::new(flags),
            transaction_id: U64::new(id),
        };
        let mut bytes = descriptor.as_bytes().to_vec();
        bytes.extend(head.0.to_le_bytes());
        bytes.extend(head.1.to_le_bytes());
        bytes.extend(rest.iter().flat_map(|word| word.to_le_bytes()));
        if let Ok(packet) = Packet::parse(&bytes) {
            let again = encode(&packet);
            prop_assert!(again.len() <= usize::from(len8) * 8);
            prop_assert_eq!(Packet::parse(&again), Ok(packet));
        }
    }

    #[test]
    fn any_bytes_parse_or_not(bytes: Vec<u8>) {
        let _ = Packet::parse(&bytes);
    }
}
