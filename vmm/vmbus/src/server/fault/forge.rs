// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Messages that no right host sends.

use protocol::hyperv::message::{KIND_CHANNEL, PAYLOAD_SIZE};
use protocol::vmbus::message::body::MONITOR_ALLOCATED;
use protocol::vmbus::message::{ChannelRelid, Message, Offer};
use protocol::vmbus::{class, Guid};
use zerocopy::little_endian::{U16, U32};

use super::FaultKind;

/// A message as it goes into the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Forged {
    /// What the slot is said to hold.
    pub(in crate::server) slot: u32,
    pub(in crate::server) payload: Vec<u8>,
}

impl Forged {
    /// A right one, for later.
    pub(in crate::server) fn of(message: &Message<'_>) -> Option<Self> {
        Some(Self {
            slot: KIND_CHANNEL,
            payload: message.encode()?.as_slice().to_vec(),
        })
    }

    /// What a fault that acts at once sends. Offers are made of another one.
    pub(in crate::server) fn by(fault: &FaultKind, template: Option<Offer>) -> Vec<Self> {
        let forged = match *fault {
            FaultKind::Rescind { relid, number } => {
                let relid = U32::new(relid);
                let forged = Self::of(&Message::Rescind(&ChannelRelid { relid }));
                return forged.into_iter().cycle().take(number.into()).collect();
            }
            FaultKind::Message { message, len, slot } => Some(zeroes(message, len, slot)),
            _ => offer(fault, template).and_then(|offer| Self::of(&Message::Offer(&offer))),
        };
        forged.into_iter().collect()
    }
}

/// Header and zeroes, cut to the length.
fn zeroes(kind: u32, len: u16, slot: u32) -> Forged {
    let mut payload = kind.to_le_bytes().to_vec();
    payload.resize(usize::from(len).min(PAYLOAD_SIZE), 0);
    Forged { slot, payload }
}

fn offer(fault: &FaultKind, template: Option<Offer>) -> Option<Offer> {
    let FaultKind::Offer {
        relid,
        index,
        connection,
        monitor,
        stranger,
    } = *fault
    else {
        return None;
    };
    let nobodys = Guid::from_u128(u128::from(relid));
    let mut offer = template.unwrap_or_else(|| Offer::new(class::SCSI, nobodys, relid, relid));
    offer.relid = U32::new(relid);
    offer.sub_channel_index = U16::new(index);
    if stranger {
        offer.instance = nobodys;
    }
    if let Some(connection) = connection {
        offer.connection_id = U32::new(connection);
    }
    if let Some(monitor) = monitor {
        (offer.monitor_id, offer.monitor_allocated) = (monitor, MONITOR_ALLOCATED);
    }
    Some(offer)
}
