// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How virtio-scsi names a logical unit (VIRTIO 1.3, section 5.6.6.1).
//!
//! The field has 8 bytes: 1, the target, and a single-level LUN structure of
//! the SCSI architecture model (SAM-6, 4.7) in two bytes, then zeros. The two
//! top bits of the LUN structure are its *address method*. Linux drivers send
//! flat space; devices report, in events and in REPORT LUNS, small numbers in
//! peripheral form and others in flat space.
//!
//! Not obvious: Linux makes an integer of the reported structure *including*
//! the address method, so it knows unit 300 as 0x412c and unit 5 as 5 (or as
//! 0x4005 where the device reported flat space). [`Lun`] is free of that, and
//! [`Lun::linux_forms`] gives both integers back.

use core::mem::size_of;

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Number of units that flat space can name; also the bit that marks it in Linux's integers.
pub const FLAT_SPACE: u16 = 0x4000;
/// Number of units that peripheral addressing can name.
const PERIPHERAL_SPACE: u16 = 256;
/// First byte of every field that names a unit of a target.
const SINGLE_LEVEL: u8 = 1;

/// The LUN field as it is in a request or an event.
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
#[repr(transparent)]
pub struct LunField(pub [u8; 8]);

const _: () = assert!(size_of::<LunField>() == 8);

/// A logical unit of a target.
///
/// # Invariants
///
/// The unit's number is below [`FLAT_SPACE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lun {
    target: u8,
    number: u16,
}

/// Why a LUN field names no logical unit. Each carries the offending byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLun {
    /// The first byte is not 1.
    NotSingleLevel(u8),
    /// The address method is neither peripheral nor flat space, or the bus is not 0.
    AddressMethod(u8),
    /// One of the last four bytes is not 0: a unit behind the unit.
    NotZero(u8),
}

impl Lun {
    /// Unit `number` of `target`, or `None` where flat space cannot express the number.
    pub const fn new(target: u8, number: u16) -> Option<Self> {
        if number < FLAT_SPACE {
            // INVARIANT: just checked.
            Some(Self { target, number })
        } else {
            None
        }
    }

    /// The unit that Linux knows by the integers `id` and `lun`.
    ///
    /// `None` if no field can express it, which a driver prevents with its limits.
    #[inline]
    pub fn from_linux(id: u32, lun: u64) -> Option<Self> {
        let target = u8::try_from(id).ok()?;
        let lun = u16::try_from(lun).ok()?;
        // The address method is peripheral or flat space, with the same numbers.
        if lun >> 15 != 0 {
            return None;
        }
        Self::new(target, lun % FLAT_SPACE)
    }

    /// The target.
    pub const fn target(self) -> u8 {
        self.target
    }

    /// The number of the unit, below [`FLAT_SPACE`].
    pub const fn number(self) -> u16 {
        self.number
    }

    /// The integers by which Linux may know the unit, first the one that a scan gives.
    pub const fn linux_forms(self) -> [u64; 2] {
        let plain = self.number as u64;
        let flat = (self.number | FLAT_SPACE) as u64;
        if self.number < PERIPHERAL_SPACE {
            [plain, flat]
        } else {
            [flat, plain]
        }
    }

    /// The field with the unit in flat space, as a driver sends it.
    pub const fn to_flat(self) -> LunField {
        let [high, low] = (self.number | FLAT_SPACE).to_be_bytes();
        LunField([SINGLE_LEVEL, self.target, high, low, 0, 0, 0, 0])
    }

    /// The field in the form that a device reports: peripheral where it fits, else flat space.
    pub const fn to_reported(self) -> LunField {
        if self.number < PERIPHERAL_SPACE {
            let [high, low] = self.number.to_be_bytes();
            LunField([SINGLE_LEVEL, self.target, high, low, 0, 0, 0, 0])
        } else {
            self.to_flat()
        }
    }
}

impl TryFrom<LunField> for Lun {
    type Error = BadLun;

    fn try_from(field: LunField) -> Result<Self, BadLun> {
        let LunField([level, target, high, low, rest @ ..]) = field;
        if level != SINGLE_LEVEL {
            return Err(BadLun::NotSingleLevel(level));
        }
        if let Some(&byte) = rest.iter().find(|&&byte| byte != 0) {
            return Err(BadLun::NotZero(byte));
        }
        let number = match high >> 6 {
            // Peripheral: the low bits of the first byte are a bus, and there is only bus 0.
            0 if high == 0 => u16::from(low),
            1 => u16::from_be_bytes([high & 0x3f, low]),
            _ => return Err(BadLun::AddressMethod(high)),
        };
        // INVARIANT: both arms give at most 14 bits.
        Ok(Self { target, number })
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(bytes: [u8; 4]) -> LunField {
        let [a, b, c, d] = bytes;
        LunField([a, b, c, d, 0, 0, 0, 0])
    }

    #[test]
    fn known_fields() {
        let cases = [
            ([1, 0, 0x40, 0], 0, 0),
            ([1, 0, 0, 5], 0, 5),
            ([1, 7, 0x40, 5], 7, 5),
            ([1, 7, 0x41, 0x2c], 7, 300),
            ([1, 255, 0x7f, 0xff], 255, 16383),
        ];
        for (bytes, target, number) in cases {
            assert_eq!(Lun::try_from(field(bytes)).ok(), Lun::new(target, number));
        }
    }

    #[test]
    fn bad_fields() {
        let cases = [
            (field([0, 0, 0x40, 0]), BadLun::NotSingleLevel(0)),
            (field([0xc1, 1, 0, 0]), BadLun::NotSingleLevel(0xc1)),
            (field([1, 0, 0x01, 0]), BadLun::AddressMethod(1)),
            (field([1, 0, 0x80, 0]), BadLun::AddressMethod(0x80)),
            (LunField([1, 0, 0, 0, 0x40, 0, 0, 0]), BadLun::NotZero(0x40)),
        ];
        for (field, error) in cases {
            assert_eq!(Lun::try_from(field), Err(error));
        }
    }

    #[test]
    fn linux_numbers_include_the_method() {
        assert_eq!(Lun::from_linux(0, 0x412c), Lun::new(0, 300));
        assert_eq!(Lun::from_linux(0, 0x8000), None);
        assert_eq!(Lun::from_linux(256, 0), None);
        assert_eq!(Lun::new(0, 300).map(Lun::linux_forms), Some([0x412c, 300]));
        assert_eq!(Lun::new(0, 5).map(Lun::linux_forms), Some([5, 0x4005]));
    }

    proptest! {
        #[test]
        fn both_forms_decode_to_the_same_unit(target: u8, number in 0..FLAT_SPACE) {
            let lun = Lun::new(target, number).expect("in range");
            prop_assert_eq!(Lun::try_from(lun.to_flat()), Ok(lun));
            prop_assert_eq!(Lun::try_from(lun.to_reported()), Ok(lun));
            for form in lun.linux_forms() {
                prop_assert_eq!(Lun::from_linux(u32::from(target), form), Some(lun));
            }
        }

        #[test]
        fn any_field_decodes_or_fails(bytes: [u8; 8]) {
            if let Ok(lun) = Lun::try_from(LunField(bytes)) {
                prop_assert!(lun.number() < FLAT_SPACE);
                prop_assert_eq!(lun.target(), bytes[1]);
            }
        }
    }
}
