// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is known of a disc, of its track, of its layers, and of the drive that
//! it is in. Every disc is complete and has one track.

use core::mem::size_of;

use zerocopy::big_endian::{U16, U32};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::ONLY;

/// Standard disc information (MMC-6, table 383).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct DiscInformation {
    /// DISC INFORMATION LENGTH: what follows it.
    pub len: U16,
    /// ERASABLE (4), STATE OF LAST SESSION (3:2), DISC STATUS (1:0).
    pub status: u8,
    /// NUMBER OF FIRST TRACK ON DISC.
    pub first_track: u8,
    /// NUMBER OF SESSIONS, low byte.
    pub sessions: u8,
    /// FIRST TRACK NUMBER IN LAST SESSION, low byte.
    pub first_in_last_session: u8,
    /// LAST TRACK NUMBER IN LAST SESSION, low byte.
    pub last_in_last_session: u8,
    /// DID_V (7), DBC_V (6), URU (5), DAC_V (4).
    pub flags: u8,
    /// DISC TYPE: 0 is CD-DA or CD-ROM.
    pub disc_type: u8,
    /// High bytes of the three numbers.
    pub high: [u8; 3],
    /// DISC IDENTIFICATION.
    pub identification: U32,
    /// LAST SESSION LEAD-IN START ADDRESS: none, as nothing can be appended.
    pub lead_in: U32,
    /// LAST POSSIBLE LEAD-OUT START ADDRESS: none, for the same reason.
    pub lead_out: U32,
    /// DISC BAR CODE.
    pub bar_code: [u8; 8],
    /// DISC APPLICATION CODE.
    pub application_code: u8,
    /// NUMBER OF OPC TABLES.
    pub opc_tables: u8,
}

const _: () = assert!(size_of::<DiscInformation>() == 34);

impl DiscInformation {
    /// Both the disc and its last session are complete; not erasable.
    const COMPLETE: u8 = (3 << 2) | 2;
    /// URU: the disc's use is not restricted.
    const UNRESTRICTED: u8 = 0x20;

    /// Of every disc that is read-only.
    pub const READ_ONLY: Self = Self {
        len: U16::from_bytes([0, 32]),
        status: Self::COMPLETE,
        first_track: ONLY,
        sessions: ONLY,
        first_in_last_session: ONLY,
        last_in_last_session: ONLY,
        flags: Self::UNRESTRICTED,
        disc_type: 0,
        high: [0; 3],
        identification: U32::ZERO,
        lead_in: U32::from_bytes([0xff; 4]),
        lead_out: U32::from_bytes([0xff; 4]),
        bar_code: [0; 8],
        application_code: 0,
        opc_tables: 0,
    };
}

/// Track information (MMC-6, table 500), up to LAST RECORDED ADDRESS.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct TrackInformation {
    /// DATA LENGTH: what follows it.
    pub len: U16,
    /// LOGICAL TRACK NUMBER, low byte.
    pub track: u8,
    /// SESSION NUMBER, low byte.
    pub session: u8,
    /// Reserved.
    pub reserved4: u8,
    /// DAMAGE (5), COPY (4), TRACK MODE (3:0).
    pub track_mode: u8,
    /// RT (7), BLANK (6), PACKET (5), FP (4), DATA MODE (3:0).
    pub data_mode: u8,
    /// [`LRA_V`], NWA_V (0).
    pub valid: u8,
    /// LOGICAL TRACK START ADDRESS.
    pub start: U32,
    /// NEXT WRITABLE ADDRESS.
    pub next_writable: U32,
    /// FREE BLOCKS.
    pub free: U32,
    /// FIXED PACKET SIZE.
    pub packet_len: U32,
    /// LOGICAL TRACK SIZE, in blocks.
    pub blocks: U32,
    /// LAST RECORDED ADDRESS.
    pub last: U32,
    /// High bytes of track and session, and two reserved.
    pub high: [u8; 4],
}

const _: () = assert!(size_of::<TrackInformation>() == 36);

/// [`TrackInformation::valid`]: LAST RECORDED ADDRESS means something.
pub const LRA_V: u8 = 0x02;

impl TrackInformation {
    /// TRACK MODE: an uninterrupted data track.
    const DATA_TRACK: u8 = 4;
    /// DATA MODE: Mode 1, or a DVD.
    const MODE_1: u8 = 1;

    /// The only track of a disc of so many blocks.
    pub fn new(blocks: u32) -> Self {
        Self {
            len: U16::new(34),
            track: ONLY,
            session: ONLY,
            reserved4: 0,
            track_mode: Self::DATA_TRACK,
            data_mode: Self::MODE_1,
            valid: LRA_V,
            start: U32::ZERO,
            next_writable: U32::ZERO,
            free: U32::ZERO,
            packet_len: U32::ZERO,
            blocks: U32::new(blocks),
            last: U32::new(blocks.saturating_sub(1)),
            high: [0; 4],
        }
    }
}

/// MECHANISM STATUS (MMC-6, table 313) of a drive without slots.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct MechanismStatus {
    /// FAULT (7), CHANGER STATE (6:5), CURRENT SLOT (4:0).
    pub changer: u8,
    /// MECHANISM STATE (7:5), [`DOOR_OPEN`].
    pub mechanism: u8,
    /// CURRENT LBA: not kept.
    pub lba: [u8; 3],
    /// NUMBER OF SLOTS AVAILABLE.
    pub slots: u8,
    /// LENGTH OF SLOT TABLE.
    pub slot_table_len: U16,
}

const _: () = assert!(size_of::<MechanismStatus>() == 8);

/// [`MechanismStatus::mechanism`]: the tray is open.
pub const DOOR_OPEN: u8 = 0x10;

/// Formats of READ DISC STRUCTURE (MMC-6, table 394).
pub mod structure {
    /// [`Physical`](super::Physical).
    pub const PHYSICAL: u8 = 0x00;
    /// Whether copying is restricted: four bytes of zeroes for no.
    pub const COPYRIGHT: u8 = 0x01;
    /// [`List`](super::List).
    pub const LIST: u8 = 0xff;
}

/// What each structure starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct StructureHeader {
    /// DISC STRUCTURE DATA LENGTH: what follows it.
    pub len: U16,
    /// Reserved.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<StructureHeader>() == 4);

impl StructureHeader {
    /// The header before a structure of so many bytes.
    pub fn new(structure_len: usize) -> Self {
        let len = u16::try_from(structure_len).unwrap_or(u16::MAX);
        Self {
            len: U16::new(len.saturating_add(2)),
            reserved: [0; 2],
        }
    }
}

/// Physical format information of a layer (MMC-6, section 6.22.3.2.1).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Physical {
    /// DISK CATEGORY (7:4), 0 for DVD-ROM, and PART VERSION (3:0).
    pub category: u8,
    /// DISC SIZE (7:4), 0 for 120 mm, and MAXIMUM RATE (3:0), Fh for unknown.
    pub size_rate: u8,
    /// NUMBER OF LAYERS (6:5), TRACK (4), LAYER TYPE (3:0), 1 for embossed data.
    pub layers: u8,
    /// LINEAR DENSITY (7:4) and TRACK DENSITY (3:0).
    pub density: u8,
    /// STARTING PHYSICAL SECTOR NUMBER OF DATA AREA.
    pub start: U32,
    /// END PHYSICAL SECTOR NUMBER OF DATA AREA.
    pub end: U32,
    /// END PHYSICAL SECTOR NUMBER IN LAYER 0: 0 if there is only one.
    pub layer_0_end: U32,
    /// BCA (7).
    pub bca: u8,
}

const _: () = assert!(size_of::<Physical>() == 17);

impl Physical {
    /// Where the data area of every DVD-ROM starts.
    const START: u32 = 0x03_0000;

    /// Of a DVD-ROM with one layer, which is what an image is taken for, however
    /// long it is.
    pub fn new(blocks: u32) -> Self {
        let last = blocks.saturating_sub(1);
        Self {
            category: 0x01,
            size_rate: 0x0f,
            layers: 0x01,
            density: 0,
            start: U32::new(Self::START),
            end: U32::new(Self::START.saturating_add(last)),
            layer_0_end: U32::ZERO,
            bca: 0,
        }
    }
}

/// One of the structures that there are.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct List {
    /// FORMAT CODE.
    pub format: u8,
    /// SDS (7), it can be sent, and RDS (6), it can be read.
    pub flags: u8,
    /// STRUCTURE LENGTH, header included.
    pub len: U16,
}

const _: () = assert!(size_of::<List>() == 4);

impl List {
    /// A structure of so many bytes that can be read.
    pub fn readable(format: u8, structure_len: usize) -> Self {
        let len = u16::try_from(structure_len).unwrap_or(u16::MAX);
        Self {
            format,
            flags: 0x40,
            len: U16::new(len.saturating_add(4)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes as _;

    #[test]
    fn a_complete_disc() {
        let bytes = DiscInformation::READ_ONLY;
        let bytes = bytes.as_bytes();
        assert_eq!(bytes[..9], [0, 32, 0x0e, 1, 1, 1, 1, 0x20, 0]);
        assert_eq!(bytes[16..24], [0xff; 8]);
    }

    #[test]
    fn the_only_track() {
        let track = TrackInformation::new(0x1_0000);
        let bytes = track.as_bytes();
        assert_eq!(bytes[..8], [0, 34, 1, 1, 0, 4, 1, 2]);
        assert_eq!(bytes[24..32], [0, 1, 0, 0, 0, 0, 0xff, 0xff]);
    }

    #[test]
    fn a_layer() {
        let layer = Physical::new(0x10_0000);
        assert_eq!(layer.as_bytes()[4..12], [0, 3, 0, 0, 0, 0x12, 0xff, 0xff]);
    }
}
