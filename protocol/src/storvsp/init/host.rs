// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The host's side of the handshake, and what it makes of all other packets.

use crate::storvsp::packet::{
    status, Operation, Packet, Properties, ProtocolVersion, SubChannelCount, WorldWideNames,
};
use crate::storvsp::{ScsiRequest, Version};

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
