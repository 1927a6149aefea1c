// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The table of contents of a disc (MMC-6, section 6.25).

use core::mem::size_of;

use zerocopy::big_endian::U16;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::ONLY;

/// TRACK NUMBER of the lead-out.
pub const LEAD_OUT: u8 = 0xaa;

/// ADR 1 (7:4), the entry holds a position, and CONTROL 4 (3:0), a data track.
const DATA_TRACK: u8 = 0x14;

/// POINTs of the lead-in's entries beside those of tracks (MMC-6, table 484).
mod point {
    /// PMIN is the first track's number.
    pub(super) const FIRST_TRACK: u8 = 0xa0;
    /// PMIN is the last track's number.
    pub(super) const LAST_TRACK: u8 = 0xa1;
    /// Where the lead-out starts.
    pub(super) const LEAD_OUT: u8 = 0xa2;
}

const FRAMES_PER_SECOND: u32 = 75;
const SECONDS_PER_MINUTE: u32 = 60;
/// Block 0 is two seconds into the disc.
const FRAMES_BEFORE_BLOCK_0: u32 = 2 * FRAMES_PER_SECOND;

/// An address as a CD writes it: minutes, seconds, and frames of 1/75 second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msf {
    /// Up to 255 in a field, of which a CD has 99.
    pub minute: u8,
    /// Up to 59.
    pub second: u8,
    /// Up to 74.
    pub frame: u8,
}

impl Msf {
    /// The last address that there is.
    pub const MAX: Self = Self {
        minute: 255,
        second: 59,
        frame: 74,
    };

    /// The address of a block; [`Self::MAX`] for those of a DVD that have none.
    pub fn of_lba(lba: u32) -> Self {
        let frames = lba.saturating_add(FRAMES_BEFORE_BLOCK_0);
        let seconds = frames / FRAMES_PER_SECOND;
        let part = |value: u32| u8::try_from(value).ok();
        let address = || {
            Some(Self {
                minute: part(seconds / SECONDS_PER_MINUTE)?,
                second: part(seconds % SECONDS_PER_MINUTE)?,
                frame: part(frames % FRAMES_PER_SECOND)?,
            })
        };
        address().unwrap_or(Self::MAX)
    }

    /// The block at an address; `None` before the first one, and for what is no
    /// address.
    pub fn lba(self) -> Option<u32> {
        let (second, frame) = (u32::from(self.second), u32::from(self.frame));
        if second >= SECONDS_PER_MINUTE || frame >= FRAMES_PER_SECOND {
            return None;
        }
        u32::from(self.minute)
            .checked_mul(SECONDS_PER_MINUTE)?
            .checked_add(second)?
            .checked_mul(FRAMES_PER_SECOND)?
            .checked_add(frame)?
            .checked_sub(FRAMES_BEFORE_BLOCK_0)
    }

    const fn bytes(self) -> [u8; 3] {
        [self.minute, self.second, self.frame]
    }
}

/// The address of a block in one of its two forms.
pub fn address(lba: u32, msf: bool) -> [u8; 4] {
    if msf {
        let [minute, second, frame] = Msf::of_lba(lba).bytes();
        [0, minute, second, frame]
    } else {
        lba.to_be_bytes()
    }
}

/// What every format starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// DATA LENGTH: what follows it.
    pub data_len: U16,
    /// The first track or session.
    pub first: u8,
    /// The last one.
    pub last: u8,
}

const _: () = assert!(size_of::<Header>() == 4);

impl Header {
    /// The header before entries of so many bytes, of the only track or session.
    pub fn new(entries_len: usize) -> Self {
        let len = u16::try_from(entries_len).unwrap_or(u16::MAX);
        Self {
            data_len: U16::new(len.saturating_add(2)),
            first: ONLY,
            last: ONLY,
        }
    }
}

/// Where a track starts (MMC-6, table 478).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct TrackEntry {
    /// Reserved.
    pub reserved0: u8,
    /// ADR (7:4) and CONTROL (3:0).
    pub adr_control: u8,
    /// TRACK NUMBER.
    pub track: u8,
    /// Reserved.
    pub reserved3: u8,
    /// TRACK START ADDRESS, see [`address`].
    pub start: [u8; 4],
}

const _: () = assert!(size_of::<TrackEntry>() == 8);

impl TrackEntry {
    /// The entry of a data track, or of the lead-out behind one.
    pub const fn new(track: u8, start: [u8; 4]) -> Self {
        Self {
            reserved0: 0,
            adr_control: DATA_TRACK,
            track,
            reserved3: 0,
            start,
        }
    }
}

/// An entry of the lead-in itself (MMC-6, table 483).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FullEntry {
    /// SESSION NUMBER.
    pub session: u8,
    /// ADR (7:4) and CONTROL (3:0).
    pub adr_control: u8,
    /// TNO: 0 in the lead-in.
    pub track: u8,
    /// POINT: what the entry is about.
    pub point: u8,
    /// MIN, SEC, FRAME: where in the lead-in the entry is.
    pub position: [u8; 3],
    /// ZERO.
    pub zero: u8,
    /// PMIN, PSEC, PFRAME: what it says.
    pub value: [u8; 3],
}

const _: () = assert!(size_of::<FullEntry>() == 11);

impl FullEntry {
    const fn new(point: u8, value: [u8; 3]) -> Self {
        Self {
            session: ONLY,
            adr_control: DATA_TRACK,
            track: 0,
            point,
            position: [0; 3],
            zero: 0,
            value,
        }
    }

    /// The entries of a disc of so many blocks.
    pub fn all(blocks: u32) -> [Self; 4] {
        // PSEC of the first one is the disc's type: 0 is CD-DA or CD-ROM.
        [
            Self::new(point::FIRST_TRACK, [ONLY, 0, 0]),
            Self::new(point::LAST_TRACK, [ONLY, 0, 0]),
            Self::new(point::LEAD_OUT, Msf::of_lba(blocks).bytes()),
            Self::new(ONLY, Msf::of_lba(0).bytes()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::IntoBytes as _;

    #[test]
    fn addresses() {
        assert_eq!(Msf::of_lba(0).bytes(), [0, 2, 0]);
        assert_eq!(Msf::of_lba(4350).bytes(), [1, 0, 0]);
        assert_eq!(Msf::of_lba(u32::MAX), Msf::MAX);
        assert_eq!(address(16, false), [0, 0, 0, 16]);
        assert_eq!(address(16, true), [0, 0, 2, 16]);
        let before = Msf {
            minute: 0,
            second: 1,
            frame: 74,
        };
        assert_eq!(before.lba(), None);
    }

    #[test]
    fn the_full_table() {
        let entries = FullEntry::all(4350);
        let expected: [[u8; 11]; 4] = [
            [1, 0x14, 0, 0xa0, 0, 0, 0, 0, 1, 0, 0],
            [1, 0x14, 0, 0xa1, 0, 0, 0, 0, 1, 0, 0],
            [1, 0x14, 0, 0xa2, 0, 0, 0, 0, 1, 0, 0],
            [1, 0x14, 0, 1, 0, 0, 0, 0, 0, 2, 0],
        ];
        assert_eq!(entries.as_bytes(), expected.as_bytes());
    }

    proptest! {
        #[test]
        fn round_trip(lba in 0..256 * 60 * 75 - 150_u32) {
            prop_assert_eq!(Msf::of_lba(lba).lba(), Some(lba));
        }

        #[test]
        fn any_address_is_a_block_or_none(minute: u8, second: u8, frame: u8) {
            let address = Msf { minute, second, frame };
            if let Some(lba) = address.lba() {
                prop_assert_eq!(Msf::of_lba(lba), address);
            }
        }
    }
}
