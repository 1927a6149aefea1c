// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The two sides with one another, and with peers that keep to nothing.

use super::*;
use crate::storvsp::packet::{status, Operation, Packet, Properties, WorldWideNames};
use crate::storvsp::Version;
use proptest::collection::vec;
use proptest::prelude::*;
use std::vec::Vec;
use zerocopy::{FromBytes, FromZeros};

fn server(max_version: Version) -> Server {
    let names = Some(WorldWideNames::new_zeroed());
    Server::new(max_version, Properties::new(3, 1 << 20), names)
}

/// Lets the two sides talk. Returns what was agreed on and how many channels are to come.
fn talk(
    handshake: &mut Handshake<'_>,
    server: &mut Server,
) -> Result<(Agreed, u16), HandshakeError> {
    let mut offered = 0;
    while let Some(request) = handshake.request() {
        let answer = match server.handle(&request) {
            Action::Answer(answer) => answer,
            Action::Offer(count, answer) => {
                offered = count;
                answer
            }
            other => panic!("{other:?}"),
        };
        handshake.answer(&answer)?;
    }
    Ok((handshake.agreed().unwrap(), offered))
}

#[test]
fn both_sides_agree() {
    let mut server = server(Version::V6_2);
    let mut handshake = Handshake::new(Controller::FibreChannel, &Version::LINUX, 7);
    let (agreed, offered) = talk(&mut handshake, &mut server).unwrap();
    assert_eq!(agreed.version, Version::V6_2);
    assert_eq!((agreed.sub_channels, offered), (3, 3));
    assert_eq!(agreed.properties.max_transfer_bytes.get(), 1 << 20);
    assert!(agreed.names.is_some() && server.is_ready());
    assert_eq!(server.version(), Some(Version::V6_2));
    let late = handshake.answer(&Packet::answer(0));
    assert_eq!(late, Err(HandshakeError::Unexpected));
}

#[test]
fn an_older_version_is_tried() {
    let mut server = server(Version::V6_0);
    let mut handshake = Handshake::new(Controller::Plain, &Version::LINUX, 0);
    let (agreed, offered) = talk(&mut handshake, &mut server).unwrap();
    assert_eq!((agreed.version, offered), (Version::V6_0, 0));
    assert_eq!(agreed.names, None);
}

#[test]
fn no_version_is_an_error() {
    let mut handshake = Handshake::new(Controller::Plain, &Version::LINUX, 0);
    let result = talk(&mut handshake, &mut server(Version::V5_1));
    assert_eq!(result, Err(HandshakeError::NoVersion));
    let mut handshake = Handshake::new(Controller::Plain, &[], 0);
    let result = talk(&mut handshake, &mut server(Version::V5_1));
    assert_eq!(result, Err(HandshakeError::NoVersion));
}

#[test]
fn no_more_channels_is_none() {
    let mut handshake = Handshake::new(Controller::Plain, &Version::LINUX, 2);
    let mut server = server(Version::V6_2);
    let last = Operation::CREATE_SUB_CHANNELS;
    while handshake.request().unwrap().operation() != last {
        let Action::Answer(answer) = server.handle(&handshake.request().unwrap()) else {
            panic!("not an answer");
        };
        handshake.answer(&answer).unwrap();
    }
    let refusal = Packet::answer(status::INVALID_PARAMETER);
    assert_eq!(handshake.answer(&refusal), Ok(()));
    assert_eq!(handshake.agreed().unwrap().sub_channels, 0);
}

#[test]
fn steps_have_an_order() {
    let refused = |server: &mut Server, operation| match server.handle(&Packet::new(operation)) {
        Action::Answer(answer) => answer.status.get(),
        other => panic!("{other:?}"),
    };
    let mut new = server(Version::V6_2);
    for operation in [
        Operation::END_INITIALIZATION,
        Operation::QUERY_PROPERTIES,
        Operation::QUERY_PROTOCOL_VERSION,
        Operation::EXECUTE_SRB,
        Operation::RESET_BUS,
        Operation::CREATE_SUB_CHANNELS,
    ] {
        let status = refused(&mut new, operation);
        assert_eq!(status, status::INVALID_DEVICE_STATE);
    }
    let unknown = refused(&mut new, Operation(77));
    assert_eq!(unknown, status::INVALID_DEVICE_REQUEST);
    let mut sub = Server::sub_channel();
    let begin = refused(&mut sub, Operation::BEGIN_INITIALIZATION);
    assert_eq!(begin, status::INVALID_DEVICE_STATE);
    let more = refused(&mut sub, Operation::CREATE_SUB_CHANNELS);
    assert_eq!(more, status::INVALID_PARAMETER);
    let command = sub.handle(&Packet::new(Operation::EXECUTE_SRB));
    assert!(matches!(command, Action::Execute(_)));
    let reset = sub.handle(&Packet::new(Operation::RESET_BUS));
    assert!(matches!(reset, Action::Reset(Operation::RESET_BUS, _)));
}

#[test]
fn a_refusal_says_what_was_refused() {
    let mut handshake = Handshake::new(Controller::Plain, &Version::LINUX, 0);
    let answer = Packet::notice(Operation::ENUMERATE_BUS);
    let error = HandshakeError::Refused {
        asked: Operation::BEGIN_INITIALIZATION,
        operation: Operation::ENUMERATE_BUS,
        status: 0,
    };
    assert_eq!(handshake.answer(&answer), Err(error));
}

proptest! {
    #[test]
    fn any_answers_end_the_handshake(answers in vec(vec(any::<u8>(), 64), 12), tame: bool) {
        let mut handshake = Handshake::new(Controller::FibreChannel, &Version::LINUX, 4);
        for bytes in answers {
            let mut packet = Packet::read_from_bytes(&bytes).unwrap();
            if tame {
                packet.operation.set(1);
                packet.status.set(0);
            }
            if handshake.answer(&packet).is_err() {
                break;
            }
        }
        if let Some(agreed) = handshake.agreed() {
            prop_assert!(agreed.sub_channels <= 4);
        } else {
            prop_assert!(!tame);
        }
    }

    #[test]
    fn any_packets_are_answered(packets in vec((0_u32..16, any::<u8>(), any::<u8>()), 0..30)) {
        let mut server = server(Version::V6_2);
        let mut offered: Vec<u16> = Vec::new();
        for (operation, low, high) in packets {
            let mut packet = Packet::new(Operation(operation));
            packet.payload[..2].copy_from_slice(&[low & 3, high & 7]);
            if let Action::Offer(count, _) = server.handle(&packet) {
                prop_assert!(server.is_ready());
                offered.push(count);
            }
        }
        prop_assert!(offered.iter().all(|count| (1..=3).contains(count)));
    }
}
