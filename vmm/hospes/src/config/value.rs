// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Values that are written in more than one way.

use hospes_vmbus::Settings;
use protocol::vmbus::Version;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// What is said for a bus that speaks no version.
const NO_VERSION: &str = "none";

/// A version of VMBus: `5.3`. 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmbusVersion(pub Version);

impl Default for VmbusVersion {
    fn default() -> Self {
        Self(Settings::MAX_VERSION)
    }
}

impl std::str::FromStr for VmbusVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == NO_VERSION {
            return Ok(Self(Version(0)));
        }
        let (oldest, newest) = (Settings::MIN_VERSION, Settings::MAX_VERSION);
        let mut spoken = Version::to_try(newest, oldest);
        spoken
            .find(|version| version.to_string() == text)
            .map(Self)
            .ok_or_else(|| {
                let spoken: Vec<_> = Version::to_try(newest, oldest)
                    .map(|version| version.to_string())
                    .collect();
                format!("{text}: give one of {}, {NO_VERSION}", spoken.join(", "))
            })
    }
}

impl Serialize for VmbusVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == Version(0) {
            return serializer.serialize_str(NO_VERSION);
        }
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for VmbusVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
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
    fn versions_are_those_of_the_bus() {
        assert_eq!("5.3".parse(), Ok(VmbusVersion(Version::V5_3)));
        assert_eq!("4.0".parse(), Ok(VmbusVersion(Version::V4_0)));
        for text in ["6.0", "3.0", "5", "", "5.03"] {
            let error = text.parse::<VmbusVersion>().unwrap_err();
            assert!(error.contains("5.3, 5.2"), "{error}");
        }
        let json = serde_json::to_string(&VmbusVersion::default()).unwrap();
        assert_eq!(json, "\"5.3\"");
        let read: VmbusVersion = serde_json::from_str(&json).unwrap();
        assert_eq!(read, VmbusVersion::default());
        let none: VmbusVersion = "none".parse().unwrap();
        assert_eq!(serde_json::to_string(&none).unwrap(), "\"none\"");
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
