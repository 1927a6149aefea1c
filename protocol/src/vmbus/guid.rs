// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Globally unique identifiers (GUIDs) as Microsoft stores them.
//!
//! The text form has five groups. On the wire the first three are little-endian
//! integers and the other two are bytes in the order of the text.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A GUID as it stands on the wire.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(transparent)]
pub struct Guid(pub [u8; 16]);

/// Where each byte of the wire form is in the text, counted in pairs of digits.
const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

impl Guid {
    /// A GUID of the number that is its text without dashes.
    pub const fn from_u128(value: u128) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = value.to_be_bytes();
        Self([d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p])
    }

    /// The number that is the text without dashes.
    pub const fn to_u128(self) -> u128 {
        // Swapping the same bytes again undoes it.
        u128::from_be_bytes(Self::from_u128(u128::from_be_bytes(self.0)).0)
    }

    /// Reads the text form, with or without braces.
    ///
    /// `None` if it is not 32 hexadecimal digits with dashes in four places.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text
            .strip_prefix('{')
            .map_or(Some(text), |rest| rest.strip_suffix('}'))?;
        let dashes = [8, 13, 18, 23];
        let is_formed = bare.len() == 36
            && bare
                .bytes()
                .enumerate()
                .all(|(at, byte)| (byte == b'-') == dashes.contains(&at));
        let mut value = 0_u128;
        for digit in bare.chars().filter(|c| *c != '-') {
            value = value.wrapping_shl(4) | u128::from(digit.to_digit(16)?);
        }
        is_formed.then_some(Self::from_u128(value))
    }
}

impl core::fmt::Display for Guid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (at, index) in ORDER.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0.get(*index).copied().unwrap_or(0))?;
        }
        Ok(())
    }
}

impl core::fmt::Debug for Guid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn the_first_groups_are_integers() {
        let guid = Guid::parse("{00112233-4455-6677-8899-aabbccddeeff}").unwrap();
        let wire = [
            0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
            0xee, 0xff,
        ];
        assert_eq!(guid.0, wire);
        assert_eq!(guid.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "{00112233-4455-6677-8899-aabbccddeeff",
            "00112233-4455-6677-8899-aabbccddeef",
            "0011223344556677-8899-aabb-ccddeeff--",
            "g0112233-4455-6677-8899-aabbccddeeff",
        ] {
            assert_eq!(Guid::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(value: u128) {
            let guid = Guid::from_u128(value);
            prop_assert_eq!(guid.to_u128(), value);
            prop_assert_eq!(Guid::parse(&guid.to_string()), Some(guid));
        }

        #[test]
        fn any_text_parses_or_not(text: std::string::String) {
            let _ = Guid::parse(&text);
        }
    }
}
