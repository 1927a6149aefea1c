// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Requests: SCSI commands on their way to the device.

use zerocopy::little_endian::{U16, U32, U64};

use super::CDB_SIZE;
use crate::hyperv::wire::wire;

/// What a completion names a request by. Never zero.
///
/// A driver makes it of the index of what it has for the request, so that a
/// context that comes back is an index that can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context(pub u64);

impl Context {
    /// The context of an index.
    #[inline]
    pub const fn of_index(index: u32) -> Self {
        Self((index as u64).wrapping_add(1))
    }

    /// The index of which it was made, if one below `count` was.
    #[inline]
    pub const fn index(self, count: u32) -> Option<u32> {
        match self.0.checked_sub(1) {
            Some(index) if index < count as u64 => Some(index as u32),
            _ => None,
        }
    }
}

/// [`RequestDescriptor::flags`].
pub mod flag {
    /// The data address is that of a list ([`SgElement`](super::SgElement)).
    pub const SG_LIST: u32 = 1 << 0;
    /// The CDB is elsewhere. Nobody sends that.
    pub const OUT_OF_BAND_CDB: u32 = 1 << 1;
    /// There is no data.
    pub const NO_DATA: u32 = 1 << 2;
    /// Data goes to the host, that is from the device.
    pub const TO_HOST: u32 = 1 << 3;
    /// Data goes to the device.
    pub const TO_DEVICE: u32 = 1 << 4;
}

/// [`RequestDescriptor::tag`]: in any order (SCSI-2's simple queue tag).
pub const SIMPLE_TAG: u8 = 0x20;

wire! {
    /// An entry of the request ring.
    pub struct RequestDescriptor: 128 {
        /// The [`Context`].
        pub context: U64,
        /// Where the data is, or where the list of its pieces is.
        pub data_address: U64,
        /// Bytes of data.
        pub data_len: U64,
        /// Where sense data goes.
        pub sense_address: U64,
        /// Room for sense data.
        pub sense_len: U32,
        /// See [`flag`].
        pub flags: U32,
        /// The CDB, and zeros behind it.
        pub cdb: [u8; CDB_SIZE],
        /// Length of the CDB.
        pub cdb_len: u8,
        /// The logical unit: its number is the second byte, the others are zero.
        pub lun: [u8; 8],
        /// [`SIMPLE_TAG`].
        pub tag: u8,
        /// Zero.
        pub bus: u8,
        /// The target.
        pub target: u8,
        /// The processor that may wait for it. A device is free not to care.
        pub vcpu_hint: U16,
        /// Zero.
        pub reserved: [u8; 58],
    }
}

wire! {
    /// A piece of data in a list. A list is all on one page, and so is what a chain leads to.
    pub struct SgElement: 16 {
        /// Where the piece is, or the rest of the list.
        pub address: U64,
        /// Bytes of the piece.
        pub len: U32,
        /// [`CHAIN`](Self::CHAIN) or zero.
        pub flags: U32,
    }
}

impl SgElement {
    /// Flag: no piece, but where the list goes on. Linux makes none.
    pub const CHAIN: u32 = 1;

    /// A piece.
    #[inline]
    pub fn new(address: u64, len: u32) -> Self {
        Self {
            address: U64::new(address),
            len: U32::new(len),
            flags: U32::ZERO,
        }
    }
}

/// The data of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// Where it is, or where the list is.
    pub address: u64,
    /// Bytes.
    pub len: u32,
    /// Which way it goes, and whether there is a list: see [`flag`].
    pub flags: u32,
}

impl RequestDescriptor {
    /// A request with all but [its sense buffer](Self::with_sense) and the processor. `cdb` has
    /// [`CDB_SIZE`] bytes at most; more are not sent.
    #[inline]
    pub fn new(context: Context, target: u8, lun: u8, cdb: &[u8], data: Data) -> Self {
        let mut room = [0; CDB_SIZE];
        let len = cdb.len().min(CDB_SIZE);
        for (to, from) in room.iter_mut().zip(cdb) {
            *to = *from;
        }
        Self {
            context: U64::new(context.0),
            data_address: U64::new(data.address),
            data_len: U64::new(data.len.into()),
            sense_address: U64::ZERO,
            sense_len: U32::ZERO,
            flags: U32::new(data.flags),
            cdb: room,
            cdb_len: len as u8,
            lun: [0, lun, 0, 0, 0, 0, 0, 0],
            tag: SIMPLE_TAG,
            bus: 0,
            target,
            vcpu_hint: U16::ZERO,
            reserved: [0; 58],
        }
    }

    /// The request with room for sense data.
    #[inline]
    pub fn with_sense(self, address: u64, len: u32) -> Self {
        Self {
            sense_address: U64::new(address),
            sense_len: U32::new(len),
            ..self
        }
    }

    /// The request with the processor that sends it.
    #[inline]
    pub fn with_vcpu(self, vcpu: u32) -> Self {
        Self {
            vcpu_hint: U16::new(vcpu as u16),
            ..self
        }
    }
}

/// Whether a command with this operation code is a read or a write, for which a device has a
/// kick of its own. 32-byte CDBs do not occur.
#[inline]
pub const fn is_read_write(opcode: u8) -> bool {
    // READ and WRITE (6), (10), (12) and (16).
    matches!(
        opcode,
        0x08 | 0x0a | 0x28 | 0x2a | 0xa8 | 0xaa | 0x88 | 0x8a
    )
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may fail")]
mod tests {
    use super::*;
    use core::mem::offset_of;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    #[test]
    fn a_request_has_its_fields_in_place() {
        assert_eq!(offset_of!(RequestDescriptor, sense_len), 32);
        assert_eq!(offset_of!(RequestDescriptor, cdb), 40);
        assert_eq!(offset_of!(RequestDescriptor, lun), 57);
        assert_eq!(offset_of!(RequestDescriptor, target), 67);
        assert_eq!(offset_of!(RequestDescriptor, vcpu_hint), 68);
    }

    #[test]
    fn a_request_says_what_it_was_made_of() {
        let data = Data {
            address: 0x1000,
            len: 512,
            flags: flag::TO_HOST,
        };
        let request = RequestDescriptor::new(Context::of_index(6), 3, 1, &[0x28, 0, 0, 9], data)
            .with_sense(0x2000, 96)
            .with_vcpu(2);
        assert_eq!(request.context.get(), 7);
        assert_eq!(request.cdb_len, 4);
        assert_eq!(request.cdb[..5], [0x28, 0, 0, 9, 0]);
        assert_eq!(request.lun, [0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(request.as_bytes()[64..72], [0, 0x20, 0, 3, 2, 0, 0, 0]);
        assert_eq!(request.sense_len.get(), 96);
    }

    #[test]
    fn reads_and_writes_are_told_apart() {
        for opcode in [0x08, 0x0a, 0x28, 0x2a, 0x88, 0x8a, 0xa8, 0xaa] {
            assert!(is_read_write(opcode));
        }
        for opcode in [0x00, 0x12, 0x25, 0x35, 0x7f, 0xa0] {
            assert!(!is_read_write(opcode));
        }
    }

    proptest! {
        #[test]
        fn a_context_is_an_index_or_nothing(value: u64, count: u32) {
            match Context(value).index(count) {
                Some(index) => {
                    prop_assert!(index < count);
                    prop_assert_eq!(Context::of_index(index), Context(value));
                }
                None => prop_assert!(value == 0 || value > u64::from(count)),
            }
        }

        #[test]
        fn any_cdb_is_cut_to_its_room(cdb: std::vec::Vec<u8>) {
            let data = Data { address: 0, len: 0, flags: flag::NO_DATA };
            let request = RequestDescriptor::new(Context(1), 0, 0, &cdb, data);
            let len = usize::from(request.cdb_len);
            prop_assert_eq!(len, cdb.len().min(CDB_SIZE));
            prop_assert_eq!(&request.cdb[..len], &cdb[..len]);
        }
    }
}
