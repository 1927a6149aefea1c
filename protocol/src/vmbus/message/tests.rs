// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Messages there and back, and messages that are none.

use proptest::collection::vec;
use proptest::prelude::*;
use std::vec::Vec;
use zerocopy::FromZeros;

use super::*;
use crate::vmbus::{class, Guid, Version};

/// Shortest length of each type with a body, as `min_payload_len` and the structures of the
/// kernel have it.
const SHORTEST: [(Kind, usize); 17] = [
    (Kind::OFFER, 196),
    (Kind::RESCIND, 12),
    (Kind::OPEN, 148),
    (Kind::OPEN_RESULT, 20),
    (Kind::CLOSE, 12),
    (Kind::GPADL_HEADER, 20),
    (Kind::GPADL_BODY, 16),
    (Kind::GPADL_CREATED, 20),
    (Kind::GPADL_TEARDOWN, 16),
    (Kind::GPADL_TORNDOWN, 12),
    (Kind::RELID_RELEASED, 12),
    (Kind::INITIATE_CONTACT, 40),
    (Kind::VERSION_RESPONSE, 16),
    (Kind::TL_CONNECT_REQUEST, 40),
    (Kind::MODIFY_CHANNEL, 16),
    (Kind::MODIFY_CHANNEL_RESPONSE, 16),
    (Kind::UNLOAD, 8),
];

#[test]
fn lengths_are_checked() {
    for (kind, shortest) in SHORTEST {
        let bytes = Encoded::new(kind, &[0; 232], &[]).unwrap();
        let message = Message::parse(&bytes.as_slice()[..shortest]).unwrap();
        assert_eq!(message.kind(), kind);
        let len = shortest - 1;
        let error = match len {
            7 => BadMessage::NoHeader { len },
            _ => BadMessage::TooShort { kind, len },
        };
        assert_eq!(Message::parse(&bytes.as_slice()[..len]), Err(error));
    }
}

#[test]
fn longer_messages_are_newer_ones() {
    let bytes = Encoded::new(Kind::VERSION_RESPONSE, &[1, 0, 0, 0, 9, 0, 0, 0], &[7; 4]).unwrap();
    let response = VersionResponse::accept(9);
    assert_eq!(
        Message::parse(bytes.as_slice()),
        Ok(Message::VersionResponse(&response))
    );
}

#[test]
fn lists_are_whole_words() {
    let bytes = Encoded::new(Kind::GPADL_BODY, &[0; 8], &[0; 12]).unwrap();
    let kind = Kind::GPADL_BODY;
    let error = BadMessage::Ragged { kind, len: 28 };
    assert_eq!(Message::parse(bytes.as_slice()), Err(error));
}

#[test]
fn unknown_types_keep_what_they_carry() {
    for kind in [0, 18, 23, 25, u32::MAX].map(Kind) {
        let bytes = Encoded::new(kind, &[1, 2, 3], &[]).unwrap();
        let message = Message::parse(bytes.as_slice()).unwrap();
        assert_eq!(message, Message::Unknown(kind, &[1, 2, 3]));
    }
    assert_eq!(Encoded::new(Kind(0), &[0; 233], &[]), None);
}

#[test]
fn an_offer_says_what_it_is() {
    let mut offer = Offer::new(class::SCSI, Guid::from_u128(5), 7, 0x2007);
    assert!(!offer.is_sub_channel() && !offer.is_socket() && offer.has_dedicated_interrupt());
    assert_eq!((offer.monitor(), offer.pipe_mode()), (None, None));
    offer.flags.set(OFFER_PIPE_AND_SOCKET);
    offer.user_data[0] = 4;
    offer.sub_channel_index.set(1);
    offer.monitor_allocated = 0xff;
    offer.monitor_id = 33;
    assert!(offer.is_sub_channel() && offer.is_socket());
    assert_eq!(offer.monitor(), Some(33));
    assert_eq!(offer.pipe_mode(), Some(body::PIPE_MESSAGES));
    let message = Message::Offer(&offer).encode().unwrap();
    assert_eq!(message.as_slice().len(), 196);
    assert_eq!(message.as_slice()[184..188], [7, 0, 0, 0]);
    assert_eq!(message.as_slice()[192..], [7, 0x20, 0, 0]);
}

const OFFER_PIPE_AND_SOCKET: u16 = body::OFFER_NAMED_PIPE | body::OFFER_SOCKET;

#[test]
fn the_target_of_messages_depends_on_the_version() {
    let mut contact = InitiateContact::new_zeroed();
    contact.version.set(Version::V4_1.0);
    contact.target.set(0x1234_5000);
    assert_eq!(contact.interrupt_page(), Some(0x1234_5000));
    assert_eq!(contact.message_target(), None);
    contact.version.set(Version::V5_0.0);
    contact.target.set(0x0000_0010_0000_0102);
    let target = contact.message_target().unwrap();
    assert_eq!(
        (target.sint, target.vtl, target.features.get()),
        (2, 1, 0x10)
    );
    assert_eq!(contact.interrupt_page(), None);
}

proptest! {
    #[test]
    fn what_parses_encodes_to_the_same(kind in 0_u32..27, body in vec(any::<u8>(), 0..=232)) {
        let bytes = Encoded::new(Kind(kind), &body, &[]).unwrap();
        if let Ok(message) = Message::parse(bytes.as_slice()) {
            let again = message.encode().unwrap();
            prop_assert!(bytes.as_slice().starts_with(again.as_slice()));
            prop_assert_eq!(Message::parse(again.as_slice()), Ok(message));
        }
    }

    #[test]
    fn any_bytes_parse_or_not(bytes: Vec<u8>) {
        let _ = Message::parse(&bytes);
    }
}
