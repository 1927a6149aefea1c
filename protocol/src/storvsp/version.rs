// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Versions of storvsp (`VMSTOR_PROTO_VERSION_*`).

/// A version: the major number above the minor one, 8 bits each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

impl Version {
    /// Windows Server 2008.
    pub const V2_0: Self = Self::new(2, 0);
    /// Windows 7.
    pub const V4_2: Self = Self::new(4, 2);
    /// Windows 8: sub-channels, 20 bytes of sense data, the last 14 bytes of a request.
    pub const V5_1: Self = Self::new(5, 1);
    /// Windows 8.1. Linux asks for nothing older.
    pub const V6_0: Self = Self::new(6, 0);
    /// Windows 10.
    pub const V6_2: Self = Self::new(6, 2);

    /// All of them, the newest first.
    pub const ALL: [Self; 5] = [Self::V6_2, Self::V6_0, Self::V5_1, Self::V4_2, Self::V2_0];

    /// What Linux asks for, in this order.
    pub const LINUX: [Self; 2] = [Self::V6_2, Self::V6_0];

    /// A version of these numbers.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self(u16::from_le_bytes([minor, major]))
    }

    /// The major and the minor number.
    pub const fn parts(self) -> (u8, u8) {
        let [minor, major] = self.0.to_le_bytes();
        (major, minor)
    }

    /// Whether there is such a version.
    pub fn is_known(self) -> bool {
        Self::ALL.contains(&self)
    }
}

impl core::fmt::Display for Version {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (major, minor) = self.parts();
        write!(f, "{major}.{minor}")
    }
}

impl core::fmt::Debug for Version {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn numbers() {
        assert_eq!(Version::V6_2.0, 0x0602);
        assert_eq!(format!("{}", Version::V5_1), "5.1");
        assert!(Version::ALL.windows(2).all(|pair| pair[0] > pair[1]));
        assert!(Version::LINUX.iter().all(|version| version.is_known()));
        assert!(!Version(0x0601).is_known());
    }
}
