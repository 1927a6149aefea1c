// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Values that are written in more than one way.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A number of bytes: `536870912`, `512M`, `1G`. JSON is written as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text}: give a number of bytes such as 536870912, 512M or 1G");
        let (digits, shift) = match text.char_indices().next_back() {
            Some((end, 'k' | 'K')) => (text.get(..end), 10),
            Some((end, 'm' | 'M')) => (text.get(..end), 20),
            Some((end, 'g' | 'G')) => (text.get(..end), 30),
            _ => (Some(text), 0),
        };
        let number = digits
            .and_then(|digits| digits.parse::<u64>().ok())
            .ok_or_else(bad)?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(bad)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;
        impl Visitor<'_> for NumberOrText {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of bytes such as 536870912, \"512M\" or \"1G\"")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Bytes, E> {
                Ok(Bytes(value))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Bytes, E> {
                value.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes() {
        for (text, bytes) in [
            ("4096", 4096),
            ("64k", 65536),
            ("512M", 512 << 20),
            ("3G", 3 << 30),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)));
        }
        for text in ["", "M", "1T", "-1", "1.5G", "99999999999G", "é"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn json_takes_numbers_and_text() {
        assert_eq!(serde_json::from_str::<Bytes>("4096").unwrap(), Bytes(4096));
        assert_eq!(
            serde_json::from_str::<Bytes>("\"1M\"").unwrap(),
            Bytes(1 << 20)
        );
        assert!(serde_json::from_str::<Bytes>("-1").is_err());
    }
}
