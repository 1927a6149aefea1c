// SPDX-License-Identifier: GPL-2.0 OR MIT

//! PERSISTENT RESERVE IN.

use protocol::scsi::cdb::ReserveIn;
use protocol::scsi::reservation::{
    Capabilities, FullStatus, InHeader, Reservation, TransportId, ALL_TYPES, NO_PROTOCOL, R_HOLDER,
    TMV,
};
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::IntoBytes;

use super::state::{Registration, State};
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::disk::Disk;
use crate::unit::Task;

/// RELATIVE TARGET PORT IDENTIFIER of the only port.
const PORT: u16 = 1;

impl Disk {
    /// PERSISTENT RESERVE IN.
    pub(in crate::disk) fn reserve_in(
        &self,
        task: &Task<'_>,
        action: ReserveIn,
        allocation: u32,
    ) -> Result<u64, Failure> {
        let state = self.reservations.lock();
        state.check_no_legacy()?;
        let mut data = DataIn::new(task.data_in, allocation);
        let body = match action {
            ReserveIn::Capabilities => return Ok(data.finish(&capabilities())),
            ReserveIn::Keys => keys(&state),
            ReserveIn::Reservation => reservation(&state),
            ReserveIn::FullStatus => full_status(&state),
        };
        data.put(&InHeader {
            generation: U32::new(state.generation()),
            // Few nexuses of some dozen bytes each.
            len: U32::new(u32::try_from(body.len()).unwrap_or(u32::MAX)),
        });
        Ok(data.finish(body.as_slice()))
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        len: U16::new(8),
        flags: 0,
        activated: TMV,
        types: U16::new(ALL_TYPES),
        reserved: [0; 2],
    }
}

fn keys(state: &State) -> Vec<u8> {
    let keys = state.registrations().iter();
    keys.flat_map(|each| each.key.to_be_bytes()).collect()
}

fn reservation(state: &State) -> Vec<u8> {
    let Some((kind, key)) = state.reservation() else {
        return Vec::new();
    };
    let descriptor = Reservation {
        key: U64::new(key),
        obsolete8: [0; 4],
        reserved: 0,
        scope_and_type: kind.scope_and_type(),
        obsolete14: [0; 2],
    };
    descriptor.as_bytes().to_vec()
}

fn full_status(state: &State) -> Vec<u8> {
    let registrations = state.registrations().iter();
    registrations
        .flat_map(|each| {
            [
                status_of(state, each).as_bytes(),
                transport_id(each).as_bytes(),
            ]
            .concat()
        })
        .collect()
}

fn status_of(state: &State, registration: &Registration) -> FullStatus {
    let held = state.held_by(registration.nexus);
    FullStatus {
        key: U64::new(registration.key),
        reserved8: [0; 4],
        flags: if held.is_some() { R_HOLDER } else { 0 },
        scope_and_type: held.map_or(0, |kind| kind.scope_and_type()),
        reserved14: [0; 4],
        port: U16::new(PORT),
        transport_len: U32::new(size_of::<TransportId>() as u32),
    }
}

fn transport_id(registration: &Registration) -> TransportId {
    TransportId {
        protocol: NO_PROTOCOL,
        reserved: [0; 3],
        port: U32::new(registration.nexus.0),
        padding: [0; 16],
    }
}
