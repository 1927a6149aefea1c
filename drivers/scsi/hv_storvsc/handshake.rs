// SPDX-License-Identifier: GPL-2.0

//! What guest and host agree on before anything else.

use crate::{
    hba::{
        errno,
        Hba, //
    },
    settings::Kind, //
};
use guest::cpus;
use kernel::prelude::*;
use protocol::storvsp::{
    init::{
        Agreed,
        Controller,
        Handshake,
        HandshakeError, //
    },
    packet::status,
    Operation,
    Packet,
    Version, //
};

/// Agrees with the host. Sub-channels are used from here on, as they come.
///
/// # Errors
///
/// `EINVAL` if the host refuses, or what waiting for it ends with.
pub(crate) fn run(hba: &Hba) -> Result<Agreed> {
    let controller = match hba.kind {
        Kind::FibreChannel => Controller::FibreChannel,
        Kind::Scsi | Kind::Ide => Controller::Plain,
    };
    // Each CPU but one may have a channel more.
    let wanted = u16::try_from(cpus::online().saturating_sub(1)).unwrap_or(u16::MAX);
    let mut handshake = Handshake::new(controller, &Version::LINUX, wanted);
    while let Some(packet) = handshake.request() {
        let answer = ask(hba, &packet)?;
        handshake
            .answer(&answer)
            .map_err(|error| refused(hba, error))?;
    }
    handshake.agreed().ok_or(EINVAL)
}

/// Asks for one step of it.
fn ask(hba: &Hba, packet: &Packet) -> Result<Packet> {
    let is_optional = packet.operation() == Operation::CREATE_SUB_CHANNELS;
    if is_optional {
        hba.channels.accept_sub_channels()?;
    }
    match hba.init.ask(hba, packet) {
        // There are just no more channels then.
        Err(error) if is_optional && error != ENODEV => {
            hba.complain("no sub-channels, error", errno(error));
            Ok(Packet::answer(status::INVALID_DEVICE_REQUEST))
        }
        result => result,
    }
}

fn refused(hba: &Hba, error: HandshakeError) -> Error {
    match error {
        HandshakeError::NoVersion => {
            let [.., oldest] = Version::LINUX;
            hba.complain("host speaks no version from this on", oldest.0.into());
        }
        HandshakeError::Refused { asked, status, .. } => {
            hba.complain("operation of the handshake refused", asked.0.into());
            hba.complain("its status", status.into());
        }
        HandshakeError::Unexpected => {}
    }
    EINVAL
}
