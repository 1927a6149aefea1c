// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The guest's side of the handshake.

use zerocopy::little_endian::U16;

use crate::storvsp::packet::{
    Operation, Packet, Properties, ProtocolVersion, SubChannelCount, WorldWideNames,
};
use crate::storvsp::Version;

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
