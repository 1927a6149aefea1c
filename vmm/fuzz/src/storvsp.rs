// SPDX-License-Identifier: GPL-2.0 OR MIT

//! storvsp: what a guest may send, and what a host may answer.
//!
//! The first byte chooses the versions that there are. Then packets follow: a
//! byte for the operation, one for the status, and a payload. Each is given to a
//! host, and to a guest as the answer to what it asked for.

use protocol::storvsp::init::{Action, Controller, Handshake, Server};
use protocol::storvsp::outcome::{answer, judge, Asked, Ending};
use protocol::storvsp::packet::{Properties, WorldWideNames, PAYLOAD_SIZE};
use protocol::storvsp::{Operation, Packet, ScsiRequest, Version};
use zerocopy::{FromZeros, IntoBytes};

use crate::input::Input;

/// Sub-channels that there may be.
const SUB_CHANNELS: u16 = 3;

/// Runs packets.
///
/// # Panics
///
/// If more is agreed on than either side wants, or an answer means more than was asked for.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.u8();
    let newest = [Version::V6_2, Version::V6_0, Version::V4_2][usize::from(choice % 3)];
    let names = (choice & 4 != 0).then(WorldWideNames::new_zeroed);
    let mut server = Server::new(newest, Properties::new(SUB_CHANNELS, 1 << 20), names);
    let mut handshake = Handshake::new(Controller::FibreChannel, &Version::LINUX, 2);
    while !input.is_empty() {
        let packet = packet(&mut input);
        host(&mut server, &packet, newest);
        let _ = handshake.answer(&packet);
        if let Some(agreed) = handshake.agreed() {
            assert!(agreed.sub_channels <= 2 && Version::LINUX.contains(&agreed.version));
        }
        guest(&packet.get());
        let _ = Packet::parse_notice(packet.as_bytes());
    }
}

fn packet(input: &mut Input<'_>) -> Packet {
    let mut packet = Packet::new(Operation(input.u8().into()));
    packet.status.set(input.u8().into());
    let bytes = input.take(PAYLOAD_SIZE);
    packet.payload[..bytes.len()].copy_from_slice(bytes);
    packet
}

fn host(server: &mut Server, packet: &Packet, newest: Version) {
    match server.handle(packet) {
        Action::Answer(answer) => assert_eq!(answer.operation(), Operation::COMPLETE_IO),
        Action::Offer(count, answer) => {
            assert!((1..=SUB_CHANNELS).contains(&count) && answer.is_success());
        }
        Action::Execute(request) => execute(&request),
        Action::Reset(..) => assert!(server.is_ready()),
    }
    assert!(server.version().is_none_or(|version| version <= newest));
}

/// A command that the guest is to hear the end of.
fn execute(request: &ScsiRequest) {
    let Ok(command) = request.command() else {
        let ended = answer(request, &Ending::Invalid);
        return guest(&ended);
    };
    assert!((1..=16).contains(&command.cdb().len()));
    let ending = Ending::Status {
        status: 2,
        transferred: command.transfer_length,
        sense: &[0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 9],
    };
    let ended = answer(request, &ending);
    assert!(ended.sense_length <= command.sense_length);
    guest(&ended);
}

fn guest(answer: &ScsiRequest) {
    let asked = Asked {
        opcode: answer.reserved,
        transfer_length: 4096,
        is_fibre_channel: false,
    };
    let verdict = judge(answer, asked);
    assert!(verdict.transferred <= asked.transfer_length && verdict.sense.len() <= 20);
}
