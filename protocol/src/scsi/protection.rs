// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Protection information (PI; SBC-4, section 4.21): eight bytes for each
//! block, by which everybody on its way can tell whether it is whole and where
//! it belongs.
//!
//! There are three types of protection. They differ in what the reference tag
//! is: the address of the block in type 1, whatever the initiator likes in
//! type 3. Type 2, for which commands say what it is, is not here.

use core::mem::size_of;

use zerocopy::big_endian::{U16, U32};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::sense::{asc, Sense, SenseKey};

/// The application tag that says "do not check".
pub const ESCAPE: u16 = 0xffff;

/// The protection information of one block.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Tuple {
    /// LOGICAL BLOCK GUARD: the [`crc`] of the data.
    pub guard: U16,
    /// LOGICAL BLOCK APPLICATION TAG: the initiator's, or [`ESCAPE`].
    pub application: U16,
    /// LOGICAL BLOCK REFERENCE TAG.
    pub reference: U32,
}

/// The length of a [`Tuple`].
pub const TUPLE_LEN: usize = size_of::<Tuple>();

const _: () = assert!(TUPLE_LEN == 8);

/// What kind of protection a unit has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reference tags are addresses.
    Type1,
    /// Reference tags are the initiator's.
    Type3,
}

impl Kind {
    /// P_TYPE of READ CAPACITY (16).
    pub const fn p_type(self) -> u8 {
        match self {
            Self::Type1 => 0,
            Self::Type3 => 2,
        }
    }
}

/// What is checked: RDPROTECT, WRPROTECT and VRPROTECT (SBC-4, tables 83, 117
/// and 130), for devices that check application tags of nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// The guard.
    pub guard: bool,
    /// The reference tag.
    pub reference: bool,
}

impl Checks {
    /// What a field says, of a unit that has protection information; `None` if
    /// the value is reserved.
    pub const fn of(protect: u8) -> Option<Self> {
        let (guard, reference) = match protect {
            0 | 1 | 5 => (true, true),
            2 => (false, true),
            3 => (false, false),
            4 => (true, false),
            _ => return None,
        };
        Some(Self { guard, reference })
    }
}

/// What does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The guard: the data changed.
    Guard,
    /// The reference tag: the data belongs elsewhere.
    Reference,
}

impl Mismatch {
    /// The sense data that tells it, for the block at `lba`.
    pub const fn sense(self, lba: u64) -> Sense {
        let why = match self {
            Self::Guard => asc::LOGICAL_BLOCK_GUARD_CHECK_FAILED,
            Self::Reference => asc::LOGICAL_BLOCK_REFERENCE_TAG_CHECK_FAILED,
        };
        Sense::new(SenseKey::AbortedCommand, why).at_block(lba)
    }
}

impl Tuple {
    /// What a block has that was never written.
    pub const UNWRITTEN: Self = Self {
        guard: U16::new(ESCAPE),
        application: U16::new(ESCAPE),
        reference: U32::new(u32::MAX),
    };

    /// What a device makes itself.
    pub fn generate(kind: Kind, block: &[u8], lba: u64) -> Self {
        Self {
            guard: U16::new(crc(block)),
            application: U16::new(0),
            reference: U32::new(match kind {
                Kind::Type1 => lba as u32,
                Kind::Type3 => 0,
            }),
        }
    }

    /// Whether the tuple says not to check it. Only what was read from a medium
    /// is asked.
    pub fn is_escape(&self, kind: Kind) -> bool {
        let is_open = match kind {
            Kind::Type1 => true,
            Kind::Type3 => self.reference.get() == u32::MAX,
        };
        is_open && self.application.get() == ESCAPE
    }

    /// Compares the tuple with the block that it is for.
    ///
    /// # Errors
    ///
    /// What does not match first.
    pub fn check(
        &self,
        kind: Kind,
        checks: Checks,
        block: &[u8],
        lba: u64,
    ) -> Result<(), Mismatch> {
        if checks.guard && self.guard.get() != crc(block) {
            return Err(Mismatch::Guard);
        }
        if kind == Kind::Type1 && checks.reference && self.reference.get() != lba as u32 {
            return Err(Mismatch::Reference);
        }
        Ok(())
    }
}

/// The generator polynomial (SBC-4, section 4.21.4).
const POLYNOMIAL: u16 = 0x8bb7;

/// What each value of the top byte adds.
static TABLE: [u16; 256] = table();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "it is computed by the compiler, which would refuse a wrong index"
)]
const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut value = 0;
    while value < 256 {
        let mut rest = (value as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            let carry = rest & 0x8000 != 0;
            rest <<= 1;
            if carry {
                rest ^= POLYNOMIAL;
            }
            bit += 1;
        }
        table[value] = rest;
        value += 1;
    }
    table
}

/// The check sum of a block: a CRC of 16 bits that begins with zero and is not
/// reflected ("CRC-16/T10-DIF").
pub fn crc(block: &[u8]) -> u16 {
    block.iter().fold(0, |crc: u16, byte| {
        let top = usize::from((crc >> 8) as u8 ^ byte);
        (crc << 8) ^ TABLE.get(top).copied().unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::array::from_fn;
    use proptest::prelude::*;

    const BOTH: Checks = Checks {
        guard: true,
        reference: true,
    };

    /// The examples of SBC-4, table 31, and the one of CRC catalogues.
    #[test]
    fn known_vectors() {
        let mut two_ones = [0; 32];
        two_ones[..2].fill(0xff);
        assert_eq!(crc(&[0; 32]), 0);
        assert_eq!(crc(&[0xff; 32]), 0xa293);
        assert_eq!(crc(&from_fn::<u8, 32, _>(|at| at as u8)), 0x0224);
        assert_eq!(crc(&two_ones), 0x21b8);
        assert_eq!(crc(&from_fn::<u8, 32, _>(|at| 0xff - at as u8)), 0xa0b7);
        assert_eq!(crc(b"123456789"), 0xd0db);
    }

    #[test]
    fn what_is_generated_matches() {
        let block = [7; 512];
        for kind in [Kind::Type1, Kind::Type3] {
            let tuple = Tuple::generate(kind, &block, 0x1_0000_0005);
            assert_eq!(tuple.check(kind, BOTH, &block, 0x1_0000_0005), Ok(()));
            assert_eq!(tuple.check(kind, BOTH, &[8; 512], 5), Err(Mismatch::Guard));
        }
        let tuple = Tuple::generate(Kind::Type1, &block, 5);
        assert_eq!(
            tuple.check(Kind::Type1, BOTH, &block, 6),
            Err(Mismatch::Reference)
        );
        assert_eq!(tuple.check(Kind::Type3, BOTH, &block, 6), Ok(()));
    }

    #[test]
    fn fields_choose_checks() {
        let (wrong, block) = (Tuple::default(), [1; 512]);
        let check = |protect| {
            let checks = Checks::of(protect).unwrap();
            wrong.check(Kind::Type1, checks, &block, 9)
        };
        for protect in [0, 1, 4, 5] {
            assert_eq!(check(protect), Err(Mismatch::Guard));
        }
        assert_eq!(check(2), Err(Mismatch::Reference));
        assert_eq!(check(3), Ok(()));
        assert_eq!((Checks::of(6), Checks::of(7)), (None, None));
    }

    #[test]
    fn escapes() {
        assert!(Tuple::UNWRITTEN.is_escape(Kind::Type1));
        assert!(Tuple::UNWRITTEN.is_escape(Kind::Type3));
        let tuple = Tuple {
            reference: U32::new(1),
            ..Tuple::UNWRITTEN
        };
        assert!(tuple.is_escape(Kind::Type1));
        assert!(!tuple.is_escape(Kind::Type3));
    }

    proptest! {
        /// The remainder of the long division of the data by the polynomial.
        #[test]
        fn as_the_definition_has_it(data in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut rest = 0_u16;
            for byte in &data {
                for bit in (0..8).rev() {
                    let input = u16::from(byte >> bit) & 1;
                    let carry = (rest >> 15) ^ input;
                    rest = (rest << 1) ^ (carry * POLYNOMIAL);
                }
            }
            prop_assert_eq!(crc(&data), rest);
        }
    }
}
