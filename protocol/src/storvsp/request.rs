// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A SCSI command (`struct vmscsi_request` of `drivers/scsi/storvsc_drv.c`).
//!
//! It is modelled on the SCSI request block (SRB) of Windows' port drivers. The
//! CDB of the request and the sense data of the answer are in the same field.

use zerocopy::little_endian::{U16, U32};

use crate::hyperv::wire::wire;

/// Most bytes of a CDB.
pub const MAX_CDB_SIZE: usize = 16;
/// Most bytes of sense data.
pub const SENSE_SIZE: usize = 20;
/// Bytes of the whole structure, as `length` has to say.
pub const REQUEST_SIZE: u16 = 52;
/// Bytes of it before Windows 8, without the fields from `reserved2` on.
pub const REQUEST_SIZE_OLD: u16 = 38;

/// `queue_tag`: the guest does not name its commands.
pub const QUEUE_TAG_NONE: u8 = 0xff;
/// `queue_action`: in any order.
pub const QUEUE_ACTION_SIMPLE: u8 = 0x20;
/// `queue_action`: before all others.
pub const QUEUE_ACTION_HEAD: u8 = 0x21;
/// `queue_action`: after those before it and before those after it.
pub const QUEUE_ACTION_ORDERED: u8 = 0x22;

/// Bits of `srb_flags` (`SRB_FLAGS_*`).
pub mod flags {
    /// `queue_tag` and `queue_action` mean something.
    pub const QUEUE_ACTION_ENABLE: u32 = 0x0000_0002;
    /// The device shall not disconnect.
    pub const DISABLE_DISCONNECT: u32 = 0x0000_0004;
    /// No synchronous transfers; Linux sets it always.
    pub const DISABLE_SYNCH_TRANSFER: u32 = 0x0000_0008;
    /// Do it even if the queue is frozen.
    pub const BYPASS_FROZEN_QUEUE: u32 = 0x0000_0010;
    /// No sense data.
    pub const DISABLE_AUTOSENSE: u32 = 0x0000_0020;
    /// Data comes from the device.
    pub const DATA_IN: u32 = 0x0000_0040;
    /// Data goes to the device.
    pub const DATA_OUT: u32 = 0x0000_0080;
    /// An error does not freeze the queue.
    pub const NO_QUEUE_FREEZE: u32 = 0x0000_0100;
    /// The controller may cache.
    pub const ADAPTER_CACHE_ENABLE: u32 = 0x0000_0200;
    /// Windows' own: who frees sense data.
    pub const FREE_SENSE_BUFFER: u32 = 0x0000_0400;
    /// Part of putting a device to sleep.
    pub const D3_PROCESSING: u32 = 0x0000_0800;
    /// Windows' own: the request is at the device.
    pub const IS_ACTIVE: u32 = 0x0001_0000;
    /// Windows' own.
    pub const ALLOCATED_FROM_ZONE: u32 = 0x0002_0000;
    /// Windows' own.
    pub const SGLIST_FROM_POOL: u32 = 0x0004_0000;
    /// Do it even if the queue is locked.
    pub const BYPASS_LOCKED_QUEUE: u32 = 0x0008_0000;
    /// Does not count as use of the device.
    pub const NO_KEEP_AWAKE: u32 = 0x0010_0000;
    /// Windows' own: who allocates sense data.
    pub const PORT_DRIVER_ALLOCSENSE: u32 = 0x0020_0000;
    /// Windows' own.
    pub const PORT_DRIVER_SENSEHASPORT: u32 = 0x0040_0000;
    /// Windows' own.
    pub const DONT_START_NEXT_PACKET: u32 = 0x0080_0000;
}

/// Where data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the device.
    Out,
    /// From the device.
    In,
    /// Nowhere.
    None,
}

impl Direction {
    /// The direction that a value of `data_in` stands for.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Out),
            1 => Some(Self::In),
            2 => Some(Self::None),
            _ => None,
        }
    }

    /// The value of `data_in`.
    pub const fn to_raw(self) -> u8 {
        match self {
            Self::Out => 0,
            Self::In => 1,
            Self::None => 2,
        }
    }

    /// The bit of `srb_flags` that goes with it.
    pub const fn flag(self) -> u32 {
        match self {
            Self::Out => flags::DATA_OUT,
            Self::In => flags::DATA_IN,
            Self::None => 0,
        }
    }
}

wire! {
    /// A SCSI command or how it ended.
    pub struct ScsiRequest: 52 {
        /// [`REQUEST_SIZE`].
        pub length: U16,
        /// Of an answer: one of [`super::outcome::srb`], with its bits.
        pub srb_status: u8,
        /// Of an answer: the SCSI status.
        pub scsi_status: u8,
        /// Number of the controller in the guest.
        pub port: u8,
        /// The bus.
        pub path: u8,
        /// The target.
        pub target: u8,
        /// The logical unit.
        pub lun: u8,
        /// Number of bytes of CDB.
        pub cdb_length: u8,
        /// Number of bytes of sense data: of a request how much there may be, of an answer
        /// how much there is.
        pub sense_length: u8,
        /// The [`Direction`].
        pub data_in: u8,
        /// Unused.
        pub reserved: u8,
        /// Number of bytes of data: of a request how much there may be, of an answer how much
        /// there was.
        pub transfer_length: U32,
        /// The CDB of a request, the sense data of an answer.
        pub cdb_or_sense: [u8; SENSE_SIZE],
        /// Unused. From here on since Windows 8.
        pub reserved2: U16,
        /// [`QUEUE_TAG_NONE`].
        pub queue_tag: u8,
        /// `QUEUE_ACTION_…`.
        pub queue_action: u8,
        /// Bits of [`flags`].
        pub srb_flags: U32,
        /// After how many seconds the host may give up.
        pub timeout_seconds: U32,
        /// Where in a sorted queue.
        pub queue_sort_key: U32,
    }
}

/// Where a command goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Number of the controller in the guest.
    pub port: u8,
    /// The bus.
    pub path: u8,
    /// The target.
    pub target: u8,
    /// The logical unit.
    pub lun: u8,
}

/// What is wrong with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// `length` is neither of the two that there are.
    Length(u16),
    /// The CDB is empty, or longer than its field.
    CdbLength(u8),
    /// There is no such direction.
    Direction(u8),
}

/// A command that was found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Where it goes.
    pub address: Address,
    /// Where its data goes.
    pub direction: Direction,
    /// Most bytes of data.
    pub transfer_length: u32,
    /// Most bytes of sense data, none of them if the guest wants none.
    pub sense_length: u8,
    /// Its place among others: a `QUEUE_ACTION_…`, or nothing.
    pub queue_action: Option<u8>,
    cdb: [u8; MAX_CDB_SIZE],
    cdb_length: u8,
}

impl Command {
    /// The CDB, of at least one byte.
    pub fn cdb(&self) -> &[u8] {
        self.cdb
            .get(..usize::from(self.cdb_length))
            .unwrap_or(&self.cdb)
    }
}

impl ScsiRequest {
    /// A command as Linux makes it, or `None` if the CDB is empty or longer than its field.
    ///
    /// `is_tagged` says whether the device takes several commands at a time.
    pub fn new(
        address: Address,
        cdb: &[u8],
        direction: Direction,
        transfer_length: u32,
        is_tagged: bool,
    ) -> Option<Self> {
        let mut padded = [0; MAX_CDB_SIZE];
        padded.get_mut(..cdb.len())?.copy_from_slice(cdb);
        let length = u8::try_from(cdb.len()).ok()?;
        Self::with_padded(
            address,
            padded,
            length,
            direction,
            transfer_length,
            is_tagged,
        )
    }

    /// The same of a CDB with zeros behind it, and its length: with no copy whose length is
    /// not known beforehand.
    #[inline]
    pub fn with_padded(
        address: Address,
        cdb: [u8; MAX_CDB_SIZE],
        cdb_length: u8,
        direction: Direction,
        transfer_length: u32,
        is_tagged: bool,
    ) -> Option<Self> {
        if cdb_length == 0 || usize::from(cdb_length) > MAX_CDB_SIZE {
            return None;
        }
        let mut cdb_or_sense = [0; SENSE_SIZE];
        *cdb_or_sense.first_chunk_mut::<MAX_CDB_SIZE>()? = cdb;
        let (queue_tag, queue_action, tagged) = if is_tagged {
            let bits = flags::QUEUE_ACTION_ENABLE | flags::NO_QUEUE_FREEZE;
            (QUEUE_TAG_NONE, QUEUE_ACTION_SIMPLE, bits)
        } else {
            (0, 0, 0)
        };
        let srb_flags = flags::DISABLE_SYNCH_TRANSFER | direction.flag() | tagged;
        Some(Self {
            length: U16::new(REQUEST_SIZE),
            srb_status: 0,
            scsi_status: 0,
            port: address.port,
            path: address.path,
            target: address.target,
            lun: address.lun,
            cdb_length,
            sense_length: u8::try_from(SENSE_SIZE).ok()?,
            data_in: direction.to_raw(),
            reserved: 0,
            transfer_length: U32::new(transfer_length),
            cdb_or_sense,
            reserved2: U16::ZERO,
            queue_tag,
            queue_action,
            srb_flags: U32::new(srb_flags),
            timeout_seconds: U32::new(60),
            queue_sort_key: U32::ZERO,
        })
    }

    /// Where it goes.
    pub const fn address(&self) -> Address {
        Address {
            port: self.port,
            path: self.path,
            target: self.target,
            lun: self.lun,
        }
    }

    /// Reads a command.
    ///
    /// # Errors
    ///
    /// If a field has an impossible value. Such a command ends as an invalid request.
    pub fn command(&self) -> Result<Command, BadRequest> {
        let length = self.length.get();
        if !matches!(length, REQUEST_SIZE | REQUEST_SIZE_OLD) {
            return Err(BadRequest::Length(length));
        }
        let mut cdb = [0; MAX_CDB_SIZE];
        let given = usize::from(self.cdb_length);
        let bad_cdb = BadRequest::CdbLength(self.cdb_length);
        let field = cdb.get_mut(..given).ok_or(bad_cdb)?;
        if field.is_empty() {
            return Err(bad_cdb);
        }
        field.copy_from_slice(self.cdb_or_sense.get(..given).ok_or(bad_cdb)?);
        Ok(Command {
            address: self.address(),
            direction: Direction::from_raw(self.data_in)
                .ok_or(BadRequest::Direction(self.data_in))?,
            transfer_length: self.transfer_length.get(),
            sense_length: self.sense_room(),
            queue_action: self.queue_action(),
            cdb,
            cdb_length: self.cdb_length,
        })
    }

    /// The fields behind `cdb_or_sense`, if the guest has them.
    fn extended_flags(&self) -> u32 {
        if self.length.get() == REQUEST_SIZE {
            self.srb_flags.get()
        } else {
            0
        }
    }

    fn sense_room(&self) -> u8 {
        if self.extended_flags() & flags::DISABLE_AUTOSENSE != 0 {
            return 0;
        }
        let most = u8::try_from(SENSE_SIZE).unwrap_or(u8::MAX);
        self.sense_length.min(most)
    }

    fn queue_action(&self) -> Option<u8> {
        (self.extended_flags() & flags::QUEUE_ACTION_ENABLE != 0).then_some(self.queue_action)
    }

    /// The sense data of an answer, no more than its field holds.
    pub fn sense(&self) -> &[u8] {
        self.cdb_or_sense
            .get(..usize::from(self.sense_length))
            .unwrap_or(&self.cdb_or_sense)
    }
}

#[cfg(test)]
mod tests;
