// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is wrong with an answer, and how it is written so.

use std::sync::Arc;
use std::time::Duration;

use hospes_device::fault::Random;
use protocol::storvsp::{Packet, ScsiRequest};
use protocol::vmbus::packet::Header;
use protocol::vmbus::ring::{control, Producer, PushError, Signal};
use zerocopy::little_endian::U32;
use zerocopy::IntoBytes;

use super::{FaultKind, Faulty};
use crate::memory::Pages;

/// Where a descriptor has the offset of its payload, and its length.
const OFFSET8: u32 = 2;
const LEN8: u32 = 4;

/// What is wrong with an answer.
#[derive(Clone, Default)]
pub(in crate::storvsp) struct Wrong {
    garbage: Vec<(FaultKind, Random)>,
    len: Option<usize>,
    offset8: Option<u16>,
    len8: Option<u16>,
    write_index: Option<u32>,
    read_index: Option<u32>,
    /// Requests that are answered before.
    pub(in crate::storvsp) unknown: Vec<u64>,
    /// How often it is answered beside the first time.
    pub(in crate::storvsp) more: usize,
    /// When it is answered again, and who does that.
    pub(in crate::storvsp) again: Vec<(Duration, Again)>,
}

/// Who answers again.
#[derive(Clone)]
pub(in crate::storvsp) struct Again(Arc<Faulty>);

impl Again {
    pub(in crate::storvsp) fn after(&self, delay: Duration, what: impl FnOnce() + Send + 'static) {
        self.0.late.after(delay, what);
    }
}

impl Wrong {
    pub(super) fn add(&mut self, kind: FaultKind, random: Random, faulty: &Arc<Faulty>) {
        match kind {
            FaultKind::Length { len } => self.len = Some(len.into()),
            FaultKind::Descriptor { offset8, len8 } => {
                (self.offset8, self.len8) = (offset8.or(self.offset8), len8.or(self.len8));
            }
            FaultKind::WriteIndex { value } => self.write_index = Some(value),
            FaultKind::ReadIndex { value } => self.read_index = Some(value),
            FaultKind::UnknownId { id } => self.unknown.push(id),
            FaultKind::Twice {} => self.more = self.more.saturating_add(1),
            FaultKind::Again { ms } => {
                let again = Again(faulty.clone());
                self.again.push((Duration::from_millis(ms), again));
            }
            kind => self.garbage.push((kind, random)),
        }
    }

    /// Overwrites what is wrong in an answer.
    pub(in crate::storvsp) fn overwrite(&mut self, packet: &mut Packet) {
        for (kind, random) in &mut self.garbage {
            overwrite(kind, random, packet);
        }
    }

    /// Writes an answer.
    pub(in crate::storvsp) fn send(
        &self,
        producer: &mut Producer<Pages>,
        to_host: &Pages,
        header: Header,
        packet: &Packet,
    ) -> Result<Signal, PushError> {
        use protocol::hyperv::shared::Shared;

        let mut payload = packet.as_bytes().to_vec();
        payload.resize(self.len.unwrap_or(payload.len()), 0);
        let (ring, start) = (producer.memory().clone(), producer.index());
        let mut batch = producer.begin()?;
        batch.push(header, &[], &[&payload])?;
        for (at, value) in [(OFFSET8, self.offset8), (LEN8, self.len8)] {
            if let Some(value) = value {
                // A descriptor is longer than what ring indices are multiples of, but
                // these fields are in its first eight bytes.
                let at = control::DATA.saturating_add(start).saturating_add(at);
                ring.write(at, &value.to_le_bytes());
            }
        }
        let _ = batch.commit()?;
        if let Some(value) = self.write_index {
            ring.store_release(control::WRITE_INDEX, value);
        }
        if let Some(value) = self.read_index {
            to_host.store_release(control::READ_INDEX, value);
        }
        // Whatever the guest waits for, it is to look.
        Ok(Signal::Needed)
    }
}

fn overwrite(kind: &FaultKind, random: &mut Random, packet: &mut Packet) {
    let FaultKind::Garbage {
        sense_len,
        transferred,
        status,
        code,
        answer,
    } = kind
    else {
        return;
    };
    let is_named = sense_len.is_some() || transferred.is_some() || answer.is_some();
    if !is_named && status.is_none() && code.is_none() {
        return random.fill(packet.as_mut_bytes());
    }
    put(&mut packet.operation, *answer);
    let mut body: ScsiRequest = packet.get();
    body.sense_length = sense_len.unwrap_or(body.sense_length);
    body.scsi_status = status.unwrap_or(body.scsi_status);
    body.srb_status = code.unwrap_or(body.srb_status);
    put(&mut body.transfer_length, *transferred);
    packet.set(&body);
}

fn put(field: &mut U32, value: Option<u32>) {
    *field = value.map_or(*field, U32::new);
}
