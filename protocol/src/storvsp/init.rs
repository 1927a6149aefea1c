// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The handshake, for either side (`storvsc_channel_init` of `drivers/scsi/storvsc_drv.c`).
//!
//! It runs on the first channel of a controller, one packet at a time, each
//! answered before the next:
//!
//! 1. begin;
//! 2. a version, and another one as long as they are refused;
//! 3. properties;
//! 4. for Fibre Channel, names;
//! 5. end;
//! 6. so many more channels, if the properties allow for it.
//!
//! Channels that are offered because of the last step have no handshake at all.
//!
//! [`Handshake`] is the guest's side, [`Server`] the host's.

use super::packet::{
    status, Operation, Packet, Properties, ProtocolVersion, SubChannelCount, WorldWideNames,
};
use super::{ScsiRequest, Version};
use zerocopy::little_endian::U16;

/// What kind of controller it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// SCSI or IDE.
    Plain,
    /// Fibre Channel: it has names.
    FibreChannel,
}

/// What guest and host have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The version.
    pub version: Version,
    /// What the controller can do.
    pub properties: Properties,
    /// The names of a Fibre Channel controller.
    pub names: Option<WorldWideNames>,
    /// Number of channels that will be offered.
    pub sub_channels: u16,
}

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The host speaks none of the versions.
    NoVersion,
    /// The host refused.
    Refused {
        /// What was asked for.
        asked: Operation,
        /// What the answer said it was.
        operation: Operation,
        /// The status of the answer.
        status: u32,
    },
    /// An answer when none was due.
    Unexpected,
}

/// The guest's side: send [`Self::request`] and give what comes to [`Self::answer`], until
/// there is no request any more.
#[derive(Clone, Debug)]
pub struct Handshake<'a> {
    step: Step,
    controller: Controller,
    wanted_sub_channels: u16,
    /// Versions that were not refused yet; the first is asked for.
    versions: &'a [Version],
    properties: Properties,
    names: Option<WorldWideNames>,
    sub_channels: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begin,
    Version,
    Properties,
    Names,
    End,
    SubChannels,
    Done,
}

impl<'a> Handshake<'a> {
    /// A handshake that tries these versions and wants that many more channels at most.
    pub const fn new(
        controller: Controller,
        versions: &'a [Version],
        wanted_sub_channels: u16,
    ) -> Self {
        Self {
            step: Step::Begin,
            controller,
            wanted_sub_channels,
            versions,
            properties: Properties::new(0, 0),
            names: None,
            sub_channels: 0,
        }
    }

    /// What to send, or nothing any more.
    ///
    /// Before the last request, which is for more channels, the guest has to be ready for
    /// their offers: they may come before the answer.
    pub fn request(&self) -> Option<Packet> {
        Some(match self.step {
            Step::Begin => Packet::new(Operation::BEGIN_INITIALIZATION),
            Step::Version => Packet::with(
                Operation::QUERY_PROTOCOL_VERSION,
                &ProtocolVersion::new(*self.versions.first()?),
            ),
            Step::Properties => Packet::new(Operation::QUERY_PROPERTIES),
            Step::Names => Packet::new(Operation::FCHBA_DATA),
            Step::End => Packet::new(Operation::END_INITIALIZATION),
            Step::SubChannels => Packet::with(
                Operation::CREATE_SUB_CHANNELS,
                &SubChannelCount {
                    count: U16::new(self.possible_sub_channels()),
                },
            ),
            Step::Done => return None,
        })
    }

    fn possible_sub_channels(&self) -> u16 {
        self.properties.sub_channels().min(self.wanted_sub_channels)
    }

    /// Takes the answer to what was sent last.
    ///
    /// That there are no more channels is no error.
    ///
    /// # Errors
    ///
    /// If the controller cannot be used. The handshake stays where it is.
    pub fn answer(&mut self, packet: &Packet) -> Result<(), HandshakeError> {
        let asked = self.request().ok_or(HandshakeError::Unexpected)?;
        let is_version = self.step == Step::Version && packet.operation() == Operation::COMPLETE_IO;
        let may_fail = is_version || self.step == Step::SubChannels;
        if !packet.is_success() && !may_fail {
            return Err(HandshakeError::Refused {
                asked: asked.operation(),
                operation: packet.operation(),
                status: packet.status.get(),
            });
        }
        self.step = self.next(packet)?;
        Ok(())
    }

    fn next(&mut self, packet: &Packet) -> Result<Step, HandshakeError> {
        Ok(match self.step {
            Step::Begin if self.versions.is_empty() => return Err(HandshakeError::NoVersion),
            Step::Begin => Step::Version,
            Step::Version if packet.is_success() => Step::Properties,
            Step::Version => {
                let rest = self.versions.get(1..).unwrap_or(&[]);
                if rest.is_empty() {
                    return Err(HandshakeError::NoVersion);
                }
                self.versions = rest;
                Step::Version
            }
            Step::Properties => {
                self.properties = packet.get();
                match self.controller {
                    Controller::Plain => Step::End,
                    Controller::FibreChannel => Step::Names,
                }
            }
            Step::Names => {
                self.names = Some(packet.get());
                Step::End
            }
            Step::End if self.possible_sub_channels() > 0 => Step::SubChannels,
            Step::End => Step::Done,
            Step::SubChannels => {
                if packet.is_success() {
                    self.sub_channels = self.possible_sub_channels();
                }
                Step::Done
            }
            Step::Done => return Err(HandshakeError::Unexpected),
        })
    }

    /// What was agreed on, once that is all.
    pub fn agreed(&self) -> Option<Agreed> {
        if self.step != Step::Done {
            return None;
        }
        Some(Agreed {
            version: *self.versions.first()?,
            properties: self.properties,
            names: self.names,
            sub_channels: self.sub_channels,
        })
    }
}

/// What a host has to do about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer it with this.
    Answer(Packet),
    /// Offer that many channels, and answer with this.
    Offer(u16, Packet),
    /// Do this command and answer with how it ended.
    Execute(ScsiRequest),
    /// End all commands, of the controller, of a bus or of a unit, and answer when they have ended.
    Reset(Operation, ScsiRequest),
}

/// The host's side of a channel that is open. It is new each time that the channel is opened.
#[derive(Clone, Debug)]
pub struct Server {
    state: State,
    max_version: Version,
    version: Option<Version>,
    properties: Properties,
    names: Option<WorldWideNames>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opened,
    Begun,
    /// A version was agreed on.
    Speaking,
    Ready,
}

impl Server {
    /// The first channel of a controller.
    pub const fn new(
        max_version: Version,
        properties: Properties,
        names: Option<WorldWideNames>,
    ) -> Self {
        Self {
            state: State::Opened,
            max_version,
            version: None,
            properties,
            names,
        }
    }

    /// Another channel of a controller: commands and nothing else.
    pub const fn sub_channel() -> Self {
        let mut server = Self::new(Version(0), Properties::new(0, 0), None);
        server.state = State::Ready;
        server
    }

    /// The version that was agreed on.
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// Whether the handshake is over.
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Takes a packet of the guest's.
    pub fn handle(&mut self, packet: &Packet) -> Action {
        match self.dispatch(packet) {
            Ok(action) => action,
            Err(status) => Action::Answer(Packet::answer(status)),
        }
    }

    fn dispatch(&mut self, packet: &Packet) -> Result<Action, u32> {
        let mut answer = Packet::answer(status::SUCCESS);
        match packet.operation() {
            Operation::EXECUTE_SRB => {
                self.expect(State::Ready)?;
                return Ok(Action::Execute(packet.get()));
            }
            reset @ (Operation::RESET_LUN | Operation::RESET_ADAPTER | Operation::RESET_BUS) => {
                self.expect(State::Ready)?;
                return Ok(Action::Reset(reset, packet.get()));
            }
            Operation::CREATE_SUB_CHANNELS => {
                let count = self.count_sub_channels(packet)?;
                return Ok(Action::Offer(count, answer));
            }
            Operation::BEGIN_INITIALIZATION => self.step(State::Opened, State::Begun)?,
            Operation::QUERY_PROTOCOL_VERSION => {
                let version = packet.get::<ProtocolVersion>();
                self.agree(version.version())?;
                answer.set(&version);
            }
            Operation::QUERY_PROPERTIES => {
                self.expect(State::Speaking)?;
                answer.set(&self.properties);
            }
            Operation::FCHBA_DATA => {
                self.expect(State::Speaking)?;
                answer.set(self.names.as_ref().ok_or(status::INVALID_DEVICE_REQUEST)?);
            }
            Operation::END_INITIALIZATION => self.step(State::Speaking, State::Ready)?,
            _ => return Err(status::INVALID_DEVICE_REQUEST),
        }
        Ok(Action::Answer(answer))
    }

    fn expect(&self, state: State) -> Result<(), u32> {
        let is_due = self.state == state;
        is_due.then_some(()).ok_or(status::INVALID_DEVICE_STATE)
    }

    fn step(&mut self, from: State, to: State) -> Result<(), u32> {
        self.expect(from)?;
        self.state = to;
        Ok(())
    }

    fn agree(&mut self, version: Version) -> Result<(), u32> {
        self.expect(State::Begun)?;
        if version > self.max_version || !version.is_known() {
            return Err(status::REVISION_MISMATCH);
        }
        self.version = Some(version);
        self.step(State::Begun, State::Speaking)
    }

    fn count_sub_channels(&self, packet: &Packet) -> Result<u16, u32> {
        self.expect(State::Ready)?;
        let count = packet.get::<SubChannelCount>().count.get();
        let is_possible = (1..=self.properties.sub_channels()).contains(&count);
        is_possible
            .then_some(count)
            .ok_or(status::INVALID_PARAMETER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        while handshake.step != Step::SubChannels {
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
        let refused = |server: &mut Server, operation| match server.handle(&Packet::new(operation))
        {
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
}
