// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Versions of VMBus (`VERSION_*` of `include/linux/hyperv.h`).

/// A version: the major number above the minor one, 16 bits each.
///
/// Versions compare by age. Any value can be asked for; hosts refuse what they do not know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl Version {
    /// Windows Server 2008.
    pub const V0_13: Self = Self::new(0, 13);
    /// Windows 7.
    pub const V1_1: Self = Self::new(1, 1);
    /// Windows 8: sub-channels, interrupts to any processor, flow control in rings.
    pub const V2_4: Self = Self::new(2, 4);
    /// Windows 8.1.
    pub const V3_0: Self = Self::new(3, 0);
    /// Windows 10. Linux asks for nothing older.
    pub const V4_0: Self = Self::new(4, 0);
    /// A channel can be moved to another processor.
    pub const V4_1: Self = Self::new(4, 1);
    /// The host says where messages are to be sent, the guest on which source it wants them.
    pub const V5_0: Self = Self::new(5, 0);
    /// Windows 10, 2018.
    pub const V5_1: Self = Self::new(5, 1);
    /// Windows Server 2019. The oldest for a guest whose memory is isolated from the host.
    pub const V5_2: Self = Self::new(5, 2);
    /// Windows Server 2022: moving a channel is acknowledged.
    pub const V5_3: Self = Self::new(5, 3);
    /// Channels of a paravisor.
    pub const V6_0: Self = Self::new(6, 0);

    /// All of them, the newest first.
    pub const ALL: [Self; 11] = [
        Self::V6_0,
        Self::V5_3,
        Self::V5_2,
        Self::V5_1,
        Self::V5_0,
        Self::V4_1,
        Self::V4_0,
        Self::V3_0,
        Self::V2_4,
        Self::V1_1,
        Self::V0_13,
    ];

    /// A version of these numbers.
    pub const fn new(major: u16, minor: u16) -> Self {
        let [a, b] = minor.to_le_bytes();
        let [c, d] = major.to_le_bytes();
        Self(u32::from_le_bytes([a, b, c, d]))
    }

    /// The major and the minor number.
    pub const fn parts(self) -> (u16, u16) {
        let [a, b, c, d] = self.0.to_le_bytes();
        (u16::from_le_bytes([c, d]), u16::from_le_bytes([a, b]))
    }

    /// The versions that a guest asks for one after the other: none newer than `max` nor older
    /// than `min`.
    pub fn to_try(max: Self, min: Self) -> impl Iterator<Item = Self> {
        let in_range = move |version: &Self| *version <= max && *version >= min;
        Self::ALL.into_iter().filter(in_range)
    }

    /// Whether there is such a version.
    pub fn is_known(self) -> bool {
        Self::ALL.contains(&self)
    }

    /// Whether the response to the first message says which connection all others go to.
    pub fn has_message_connection(self) -> bool {
        self >= Self::V5_0
    }

    /// Whether a channel can be moved to another processor.
    pub fn can_modify_channel(self) -> bool {
        self >= Self::V4_1
    }

    /// Whether moving a channel is acknowledged.
    pub fn acknowledges_modify_channel(self) -> bool {
        self >= Self::V5_3
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
    use std::vec::Vec;

    #[test]
    fn numbers() {
        assert_eq!(Version::V5_3.0, 0x0005_0003);
        assert_eq!(Version::V0_13.parts(), (0, 13));
        assert_eq!(format!("{}", Version::V5_3), "5.3");
    }

    #[test]
    fn newest_first() {
        assert!(Version::ALL.windows(2).all(|pair| pair[0] > pair[1]));
        let tried: Vec<Version> = Version::to_try(Version(0x0005_0001), Version::V4_0).collect();
        assert_eq!(
            tried,
            [Version::V5_1, Version::V5_0, Version::V4_1, Version::V4_0]
        );
        assert!(!Version(0x0005_0004).is_known());
    }
}
