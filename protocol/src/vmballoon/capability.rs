// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Capabilities: a guest tells its own with the first command and is told which of them
//! it may use.

use core::ops::BitAnd;

/// A set of capabilities; any bits may come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Single pages are given and taken.
    pub const BASIC: Self = Self(1 << 1);
    /// Pages are given and taken by the batch.
    pub const BATCHED: Self = Self(1 << 2);
    /// Pages of 2 MiB are, by the batch. Means nothing without [`BATCHED`](Self::BATCHED).
    pub const BATCHED_2M: Self = Self(1 << 3);
    /// A doorbell tells of a new target.
    pub const SIGNALLED: Self = Self(1 << 4);
    /// Targets have 64 bits.
    pub const TARGET_64: Self = Self(1 << 5);
    /// All that are known.
    pub const ALL: Self = Self(0b11_1110);

    /// Known capabilities and what they are called.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::BASIC, "basic"),
        (Self::BATCHED, "batched"),
        (Self::BATCHED_2M, "batched-2m"),
        (Self::SIGNALLED, "signalled"),
        (Self::TARGET_64, "64-bit-target"),
    ];

    /// Whether all of `other` are there.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[inline]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These but for `other`.
    #[inline]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether pages of 2 MiB can be given and taken.
    #[inline]
    pub const fn has_large_pages(self) -> bool {
        self.contains(Self::BATCHED.with(Self::BATCHED_2M))
    }

    /// Most pages in one command.
    #[inline]
    pub const fn batch_len(self) -> usize {
        if self.contains(Self::BATCHED) {
            super::batch::ENTRIES
        } else {
            1
        }
    }
}

impl BitAnd for Capabilities {
    type Output = Self;

    #[inline]
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_capability_has_a_name() {
        let all = Capabilities::NAMES.iter();
        let all = all.fold(Capabilities::default(), |all, (one, _)| all.with(*one));
        assert_eq!(all, Capabilities::ALL);
        assert_eq!(Capabilities::ALL.0, 0x3e);
    }

    #[test]
    fn large_pages_need_batches() {
        let none = Capabilities::BASIC.with(Capabilities::BATCHED_2M);
        assert!(!none.has_large_pages());
        assert_eq!(none.batch_len(), 1);
        let both = none.with(Capabilities::BATCHED);
        assert!(both.has_large_pages());
        assert_eq!(both.batch_len(), 512);
        assert!(!both.without(Capabilities::BATCHED).has_large_pages());
        assert!((both & Capabilities::SIGNALLED).is_empty());
    }
}
