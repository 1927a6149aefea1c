// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Features and profiles (MMC-6, section 5): what a drive can do, and what of
//! it with the medium that is in it.

use core::mem::size_of;

use zerocopy::big_endian::{U16, U32};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::BLOCK_LEN;

/// Profiles: the kind of medium (MMC-6, table 93).
pub mod profile {
    /// No medium.
    pub const NONE: u16 = 0x0000;
    /// A CD-ROM.
    pub const CD_ROM: u16 = 0x0008;
    /// A DVD-ROM.
    pub const DVD_ROM: u16 = 0x0010;
}

/// Feature codes (MMC-6, table 86).
pub mod code {
    /// The profiles that there are.
    pub const PROFILE_LIST: u16 = 0x0000;
    /// Commands that every drive has.
    pub const CORE: u16 = 0x0001;
    /// The medium can be removed.
    pub const REMOVABLE_MEDIUM: u16 = 0x0003;
    /// Blocks can be read in any order.
    pub const RANDOM_READABLE: u16 = 0x0010;
    /// The structures of a CD can be read.
    pub const CD_READ: u16 = 0x001e;
    /// The structures of a DVD can be read.
    pub const DVD_READ: u16 = 0x001f;
}

/// What the data of GET CONFIGURATION starts with (MMC-6, table 262).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// DATA LENGTH: what follows it.
    pub data_len: U32,
    /// Reserved.
    pub reserved: [u8; 2],
    /// CURRENT PROFILE.
    pub profile: U16,
}

const _: () = assert!(size_of::<Header>() == 8);

impl Header {
    /// The header before features of so many bytes.
    pub fn new(features_len: usize, profile: u16) -> Self {
        let len = u32::try_from(features_len).unwrap_or(u32::MAX);
        Self {
            data_len: U32::new(len.saturating_add(4)),
            reserved: [0; 2],
            profile: U16::new(profile),
        }
    }
}

/// What a feature starts with (MMC-6, table 85).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FeatureHeader {
    /// FEATURE CODE.
    pub code: U16,
    /// VERSION (5:2), [`PERSISTENT`], [`CURRENT`].
    pub flags: u8,
    /// ADDITIONAL LENGTH: what follows it.
    pub len: u8,
}

const _: () = assert!(size_of::<FeatureHeader>() == 4);

/// [`FeatureHeader::flags`]: the feature is always current.
pub const PERSISTENT: u8 = 0x02;
/// [`FeatureHeader::flags`]: it can be used now.
pub const CURRENT: u8 = 0x01;

/// One of the profile list.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ProfileEntry {
    /// PROFILE NUMBER.
    pub profile: U16,
    /// CURRENTP (0): it is that of the medium.
    pub current: u8,
    /// Reserved.
    pub reserved: u8,
}

const _: () = assert!(size_of::<ProfileEntry>() == 4);

/// Removable Medium (MMC-6, section 5.3.4).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RemovableMedium {
    /// LOADING MECHANISM TYPE (7:5), LOAD (4), EJECT (3), PVNT JMPR (2), LOCK (0).
    pub flags: u8,
    /// Reserved.
    pub reserved: [u8; 3],
}

const _: () = assert!(size_of::<RemovableMedium>() == 4);

/// [`RemovableMedium`] of a tray that commands open, close and lock, without a
/// jumper that would prevent it.
pub const TRAY: RemovableMedium = RemovableMedium {
    flags: (1 << 5) | 0x10 | 0x08 | 0x04 | 0x01,
    reserved: [0; 3],
};

/// Random Readable (MMC-6, section 5.3.6).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RandomReadable {
    /// LOGICAL BLOCK SIZE.
    pub block_len: U32,
    /// BLOCKING: blocks that are read at once.
    pub blocking: U16,
    /// PP (0): there is an error recovery mode page.
    pub page_present: u8,
    /// Reserved.
    pub reserved: u8,
}

const _: () = assert!(size_of::<RandomReadable>() == 8);

/// [`RandomReadable`] of blocks one by one.
pub const RANDOM_READABLE: RandomReadable = RandomReadable {
    block_len: U32::from_bytes(BLOCK_LEN.to_be_bytes()),
    blocking: U16::from_bytes([0, 1]),
    page_present: 1,
    reserved: 0,
};

/// Physical Interface Standard in Core: the SCSI family.
pub const INTERFACE_SCSI: U32 = U32::from_bytes([0, 0, 0, 1]);
/// CD Read: neither audio play modes, nor C2 errors, nor CD-TEXT.
pub const CD_READ: [u8; 4] = [0; 4];

/// The version of [`code::REMOVABLE_MEDIUM`] that has LOAD, in its place.
pub const REMOVABLE_MEDIUM_VERSION: u8 = 2 << 2;
/// The version of [`code::CD_READ`] that is laid out so, in its place.
pub const CD_READ_VERSION: u8 = 2 << 2;
