// SPDX-License-Identifier: GPL-2.0

//! What the device has: a command for each context that is in flight.
//!
//! The context of a request is made of the block layer's tag of the command, which no two commands
//! have at the same time. So what comes back is an index, and what is there says whether the device
//! may speak of it.

use crate::{
    adapter::Adapter,
    rings::Entry, //
};
use core::mem::{
    forget,
    size_of, //
};
use guest::{
    dma::SharedMemory,
    scsi::{
        Command,
        Direction,
        Mapped,
        Segment, //
    }, //
};
use kernel::{
    cpu::CpuId,
    device::{
        self,
        Bound, //
    },
    prelude::*, //
};
use protocol::pvscsi::{
    request::flag,
    Context,
    Data,
    Request,
    SgElement,
    CDB_SIZE,
    SENSE_SIZE,
    SG_ELEMENTS, //
};

/// Where sense data is on the page of a context: behind the longest list.
const SENSE_OFFSET: usize = SG_ELEMENTS * size_of::<SgElement>();

/// A context: a page that the device reads and writes, and the command that it is for.
///
/// The page has a list of data, and room for sense data, which is zeros unless the device has
/// written any that nobody has looked at.
struct Slot {
    page: SharedMemory,
    command: Option<Mapped<Adapter>>,
}

/// All contexts of an adapter.
///
/// # Invariants
///
/// `in_flight` is the number of slots with a command.
pub(crate) struct Flight {
    slots: KVec<Slot>,
    in_flight: u32,
}

impl Flight {
    /// No commands, and room for `count` of them. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(dev: &device::Device<Bound>, count: u32) -> Result<Self> {
        let mut slots = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        for _ in 0..count {
            let slot = Slot {
                page: SharedMemory::new(dev, 1)?,
                command: None,
            };
            slots.push_within_capacity(slot).map_err(|_| ENOMEM)?;
        }
        // INVARIANT: There are none.
        Ok(Self {
            slots,
            in_flight: 0,
        })
    }

    /// Writes the request for a command to `entry`, and keeps the command until the request
    /// [comes back](Self::land). `target` and `lun` are what it is for.
    ///
    /// # Errors
    ///
    /// The command, if there is no context of its tag, or if that is in use. Nothing is written then.
    #[inline]
    pub(crate) fn launch(
        &mut self,
        command: Mapped<Adapter>,
        mut entry: Entry<'_>,
        target: u8,
        lun: u8,
    ) -> core::result::Result<(), Mapped<Adapter>> {
        let tag = index(&command);
        let slot = match self.slots.get_mut(tag as usize) {
            Some(slot) if slot.command.is_none() => slot,
            _ => return Err(command),
        };
        let cdb = command.cdb_padded();
        entry.write(&Request {
            context: Context::of_index(tag),
            target,
            lun,
            cdb: *cdb.first_chunk().unwrap_or(&[0; CDB_SIZE]),
            cdb_len: command.cdb().len().min(CDB_SIZE) as u8,
            data: slot.describe(&command),
            sense_address: slot.page.address().wrapping_add(SENSE_OFFSET as u64),
            sense_len: SENSE_SIZE as u32,
            vcpu: CpuId::current().as_u32() as u16,
        });
        // There was none, so nothing is lost; and dropping nothing would cost a call.
        forget(slot.command.replace(command));
        self.in_flight = self.in_flight.wrapping_add(1);
        Ok(())
    }

    /// Takes the command of a context that the device has returned, with its index, if there is one.
    #[inline]
    pub(crate) fn land(&mut self, context: Context) -> Option<(usize, Mapped<Adapter>)> {
        let index = context.index(self.slots.len() as u32)? as usize;
        let command = self.slots.get_mut(index)?.command.take()?;
        self.in_flight = self.in_flight.wrapping_sub(1);
        Some((index, command))
    }

    /// Takes any command, for what the device is not going to return.
    pub(crate) fn land_any(&mut self) -> Option<Mapped<Adapter>> {
        let command = self.slots.iter_mut().find_map(|slot| slot.command.take())?;
        self.in_flight = self.in_flight.wrapping_sub(1);
        Some(command)
    }

    /// How many commands the device has.
    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Copies what sense data the device has written for the context with this index, and makes it
    /// zeros.
    pub(crate) fn take_sense(&mut self, index: usize, to: &mut [u8]) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.page.copy_to(SENSE_OFFSET, to);
            slot.page.clear_part(SENSE_OFFSET, SENSE_SIZE);
        }
    }

    /// The context of a command with this tag, and its target, if the device has it.
    pub(crate) fn find(&self, tag: u32) -> Option<(Context, u32)> {
        let slot = self.slots.get(tag as usize)?;
        let command = slot.command.as_ref()?;
        Some((Context::of_index(tag), command.unit().id))
    }

    /// How many commands the device has of a target, or of all.
    pub(crate) fn count(&self, target: Option<u32>) -> usize {
        self.slots
            .iter()
            .filter_map(|slot| slot.command.as_ref())
            .filter(|command| target.is_none_or(|target| command.unit().id == target))
            .count()
    }
}

impl Slot {
    /// Says where the data of a command is, which needs the page if it is in several pieces.
    #[inline]
    fn describe(&mut self, command: &Mapped<Adapter>) -> Data {
        let mut segments = command.segments();
        let flags = direction(command);
        let (address, flags) = match segments.len() {
            0 => (0, flags),
            1 => (segments.next().map_or(0, |piece| piece.address), flags),
            _ => {
                self.write_list(segments);
                (self.page.address(), flags | flag::SG_LIST)
            }
        };
        Data {
            address,
            len: command.data_len(),
            flags,
        }
    }

    /// Writes the list of the pieces, of which there are no more than fit, as the host has such a
    /// limit.
    fn write_list(&mut self, segments: impl Iterator<Item = Segment>) {
        for (index, piece) in segments.take(SG_ELEMENTS).enumerate() {
            let element = SgElement::new(piece.address, piece.len);
            self.page
                .write(index.wrapping_mul(size_of::<SgElement>()), &element);
        }
    }
}

/// The index of a command: its tag, as there is one hardware queue.
#[inline]
fn index(command: &Command<Adapter>) -> u32 {
    command.tag()
}

#[inline]
fn direction(command: &Command<Adapter>) -> u32 {
    match command.direction() {
        Direction::In => flag::TO_HOST,
        Direction::Out => flag::TO_DEVICE,
        Direction::None => flag::NO_DATA,
        Direction::Both => 0,
    }
}
