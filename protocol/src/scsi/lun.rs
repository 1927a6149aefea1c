// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Logical unit numbers, eight bytes each on the wire (SAM-5, section 4.7).
//!
//! Only single-level numbers are there: no transport of ours has units behind
//! units. Bits 7:6 of the first byte choose the addressing method.

/// The largest number that flat space addressing can express.
pub const MAX_LUN: u16 = 0x3fff;
/// The largest number that peripheral device addressing can express.
const MAX_PERIPHERAL_LUN: u16 = 0xff;

/// The well-known logical unit that answers REPORT LUNS.
pub const REPORT_LUNS_WELL_KNOWN: u8 = 0x01;

const METHOD_MASK: u8 = 0xc0;
const METHOD_PERIPHERAL: u8 = 0x00;
const METHOD_FLAT: u8 = 0x40;
const METHOD_EXTENDED: u8 = 0xc0;
/// Extended addressing, length 0 (one byte of value), method 1 (well-known).
const EXTENDED_WELL_KNOWN: u8 = 0xc1;

/// A single-level logical unit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lun {
    /// An ordinary unit: at most [`MAX_LUN`] when it was decoded.
    Unit(u16),
    /// A well-known unit, such as [`REPORT_LUNS_WELL_KNOWN`].
    WellKnown(u8),
}

impl Lun {
    /// Reads a number in any addressing method that names a single level.
    ///
    /// `None` if it names something behind another unit, or if the method is
    /// not one of peripheral device (bus 0), flat space and well-known.
    pub fn decode(wire: [u8; 8]) -> Option<Self> {
        let [first, second, deeper @ ..] = wire;
        if deeper != [0; 6] {
            return None;
        }
        match first & METHOD_MASK {
            METHOD_PERIPHERAL if first == METHOD_PERIPHERAL => Some(Self::Unit(second.into())),
            METHOD_FLAT => Some(Self::Unit(u16::from_be_bytes([
                first & !METHOD_MASK,
                second,
            ]))),
            METHOD_EXTENDED if first == EXTENDED_WELL_KNOWN => Some(Self::WellKnown(second)),
            _ => None,
        }
    }

    /// The number as a unit reports it: in the shortest method that holds it.
    ///
    /// Bits of an ordinary number beyond [`MAX_LUN`] are dropped.
    pub fn encode(self) -> [u8; 8] {
        let [first, second] = match self {
            Self::Unit(lun @ ..=MAX_PERIPHERAL_LUN) => lun.to_be_bytes(),
            Self::Unit(lun) => {
                let [high, low] = (lun & MAX_LUN).to_be_bytes();
                [METHOD_FLAT | high, low]
            }
            Self::WellKnown(number) => [EXTENDED_WELL_KNOWN, number],
        };
        [first, second, 0, 0, 0, 0, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addressing_methods() {
        let cases = [
            ([0x00, 0x05, 0, 0, 0, 0, 0, 0], Some(Lun::Unit(5))),
            ([0x40, 0x05, 0, 0, 0, 0, 0, 0], Some(Lun::Unit(5))),
            ([0x7f, 0xff, 0, 0, 0, 0, 0, 0], Some(Lun::Unit(MAX_LUN))),
            (
                [0xc1, 0x01, 0, 0, 0, 0, 0, 0],
                Some(Lun::WellKnown(REPORT_LUNS_WELL_KNOWN)),
            ),
            // Another bus, two levels, logical unit addressing, long extended.
            ([0x01, 0x05, 0, 0, 0, 0, 0, 0], None),
            ([0x00, 0x05, 0, 1, 0, 0, 0, 0], None),
            ([0x80, 0x05, 0, 0, 0, 0, 0, 0], None),
            ([0xd2, 0x05, 0, 0, 0, 0, 0, 0], None),
        ];
        for (wire, lun) in cases {
            assert_eq!(Lun::decode(wire), lun, "{wire:x?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(number in 0..=MAX_LUN, well_known: u8) {
            for lun in [Lun::Unit(number), Lun::WellKnown(well_known)] {
                prop_assert_eq!(Lun::decode(lun.encode()), Some(lun));
            }
        }

        #[test]
        fn decoded_is_in_range(wire: [u8; 8]) {
            if let Some(Lun::Unit(lun)) = Lun::decode(wire) {
                prop_assert!(lun <= MAX_LUN);
            }
        }
    }
}
