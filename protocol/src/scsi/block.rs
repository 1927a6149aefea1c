// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Parameter data of block devices: capacity, and UNMAP's list of ranges.

use core::mem::size_of;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::FromBytes as _;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::cdb::BlockRange;
use super::sense::{asc, Sense};

/// READ CAPACITY (10) parameter data (SBC-4, section 5.20.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Capacity10 {
    /// RETURNED LOGICAL BLOCK ADDRESS: the last one, or all ones if it needs
    /// READ CAPACITY (16).
    pub last_lba: U32,
    /// LOGICAL BLOCK LENGTH IN BYTES.
    pub block_len: U32,
}

const _: () = assert!(size_of::<Capacity10>() == 8);

/// READ CAPACITY (16) parameter data (SBC-4, section 5.21.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Capacity16 {
    /// RETURNED LOGICAL BLOCK ADDRESS: the last one.
    pub last_lba: U64,
    /// LOGICAL BLOCK LENGTH IN BYTES.
    pub block_len: U32,
    /// P_TYPE (3:1) and PROT_EN (0).
    pub protection: u8,
    /// P_I_EXPONENT (7:4), LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT (3:0).
    pub exponents: u8,
    /// [`LBPME`], [`LBPRZ`], LOWEST ALIGNED LOGICAL BLOCK ADDRESS (13:0).
    pub provisioning: U16,
    /// Reserved.
    pub reserved: [u8; 16],
}

const _: () = assert!(size_of::<Capacity16>() == 32);

/// [`Capacity16::protection`]: the unit has protection information.
pub const PROT_EN: u8 = 0x01;
/// [`Capacity16::provisioning`]: blocks can be unmapped.
pub const LBPME: u16 = 0x8000;
/// [`Capacity16::provisioning`]: unmapped blocks read as zeroes.
pub const LBPRZ: u16 = 0x4000;

/// The header of UNMAP's parameter list (SBC-4, section 5.35.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct UnmapHeader {
    /// UNMAP DATA LENGTH: what follows it.
    pub data_len: U16,
    /// UNMAP BLOCK DESCRIPTOR DATA LENGTH: what follows the header.
    pub descriptors_len: U16,
    /// Reserved.
    pub reserved: [u8; 4],
}

const _: () = assert!(size_of::<UnmapHeader>() == 8);

/// A range of blocks to unmap (SBC-4, table 96).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct UnmapDescriptor {
    /// UNMAP LOGICAL BLOCK ADDRESS.
    pub lba: U64,
    /// NUMBER OF LOGICAL BLOCKS.
    pub blocks: U32,
    /// Reserved.
    pub reserved: [u8; 4],
}

const _: () = assert!(size_of::<UnmapDescriptor>() == 16);

/// The header of GET LBA STATUS parameter data (SBC-4, section 5.5.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct LbaStatusHeader {
    /// PARAMETER DATA LENGTH: what follows it.
    pub len: U32,
    /// Reserved.
    pub reserved: [u8; 3],
    /// COMPLETION CONDITION (3:1) and RTP (0): not reported.
    pub condition: u8,
}

const _: () = assert!(size_of::<LbaStatusHeader>() == 8);

/// Consecutive blocks of one kind (SBC-4, section 5.5.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct LbaStatusDescriptor {
    /// LBA STATUS LOGICAL BLOCK ADDRESS.
    pub lba: U64,
    /// NUMBER OF LOGICAL BLOCKS.
    pub blocks: U32,
    /// PROVISIONING STATUS (3:0): [`MAPPED`] or [`DEALLOCATED`].
    pub status: u8,
    /// ADDITIONAL STATUS, and reserved: zero.
    pub reserved: [u8; 3],
}

const _: () = assert!(size_of::<LbaStatusDescriptor>() == 16);

/// [`LbaStatusDescriptor::status`]: there is storage behind the blocks, or that
/// is not known.
pub const MAPPED: u8 = 0;
/// [`LbaStatusDescriptor::status`]: there is none, and they read as zeroes.
pub const DEALLOCATED: u8 = 1;

/// The ranges in UNMAP's parameter list. A list of no bytes has none, and a
/// descriptor that is cut off does not count.
///
/// # Errors
///
/// PARAMETER LIST LENGTH ERROR, if the header is cut off.
pub fn unmap_ranges(list: &[u8]) -> Result<impl Iterator<Item = BlockRange> + Clone + '_, Sense> {
    let descriptors = if list.is_empty() {
        list
    } else {
        unmap_descriptors(list)?
    };
    Ok(descriptors
        .chunks_exact(size_of::<UnmapDescriptor>())
        .filter_map(|chunk| {
            let descriptor = UnmapDescriptor::read_from_bytes(chunk).ok()?;
            Some(BlockRange {
                lba: descriptor.lba.get(),
                blocks: descriptor.blocks.get(),
            })
        }))
}

fn unmap_descriptors(list: &[u8]) -> Result<&[u8], Sense> {
    let error = Sense::illegal(asc::PARAMETER_LIST_LENGTH_ERROR);
    let (header, rest) = UnmapHeader::read_from_prefix(list).map_err(|_| error)?;
    let len = usize::from(header.descriptors_len.get());
    Ok(rest.get(..len).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn ranges(list: &[u8]) -> Result<Vec<(u64, u32)>, Sense> {
        Ok(unmap_ranges(list)?
            .map(|range| (range.lba, range.blocks))
            .collect())
    }

    #[test]
    fn unmap_lists() {
        let mut list = std::vec![0, 38, 0, 32, 0, 0, 0, 0];
        list.extend([0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0, 0]);
        list.extend([0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(ranges(&list), Ok(std::vec![(5, 8), (256, 256)]));
        assert_eq!(ranges(&list[..39]), Ok(std::vec![(5, 8)]));
        assert_eq!(ranges(&[]), Ok(Vec::new()));
        assert_eq!(
            ranges(&list[..7]),
            Err(Sense::illegal(asc::PARAMETER_LIST_LENGTH_ERROR))
        );
        list[3] = 16;
        assert_eq!(ranges(&list), Ok(std::vec![(5, 8)]));
    }

    proptest! {
        #[test]
        fn any_list_is_parsed_without_panic(list: Vec<u8>) {
            let _ = ranges(&list);
        }
    }
}
