// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Addresses for the registers of synthetic devices: which windows firmware leaves to VMBus, and
//! where in them something can be.
//!
//! Sources: Linux 7.3, `drivers/hv/vmbus_drv.c` (`vmbus_walk_resources`, `vmbus_reserve_fb`,
//! `vmbus_allocate_mmio`).

/// Where the virtual TPM is, which no firmware tells apart.
pub const TPM_BASE: u64 = 0xfed4_0000;

/// Windows that end below are not for devices.
pub const LOWEST: u64 = 0x10_0000;

/// Least and most that a frame buffer may have.
const FRAMEBUFFER_MIN: u64 = 1 << 20;
const FRAMEBUFFER_MAX: u64 = 128 << 20;

/// Addresses from the first to the last, which is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl Span {
    /// `size` addresses from `first` on, unless that is none or there are not so many.
    pub const fn sized(first: u64, size: u64) -> Option<Self> {
        match size.checked_sub(1) {
            Some(more) => match first.checked_add(more) {
                Some(last) => Some(Self { first, last }),
                None => None,
            },
            None => None,
        }
    }

    /// How many addresses; of all 2^64 one is not counted.
    pub const fn size(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Whether both have an address in common.
    pub const fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether `other` is inside.
    pub const fn holds(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// What both have in common.
    pub fn common(self, other: Self) -> Option<Self> {
        self.meets(other).then_some(Self {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        })
    }

    /// Both as one, if one begins where the other ends.
    pub fn joined(self, other: Self) -> Option<Self> {
        let touch = |low: Self, high: Self| low.last.checked_add(1) == Some(high.first);
        (touch(self, other) || touch(other, self)).then_some(Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        })
    }

    /// What devices can have of a window that firmware names: not what is for old devices, nor the
    /// TPM.
    pub fn usable(self) -> Option<Self> {
        if self.last < LOWEST || self.first > self.last {
            return None;
        }
        let holds_tpm = self.first < TPM_BASE && TPM_BASE <= self.last;
        let last = if holds_tpm {
            TPM_BASE.saturating_sub(1)
        } else {
            self.last
        };
        Some(Self { last, ..self })
    }
}

/// What somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Where it may be.
    pub within: Span,
    /// How many addresses.
    pub size: u64,
    /// What its first one has to be a multiple of: a power of two.
    pub align: u64,
}

impl Wish {
    /// All places in a window, from the lowest on.
    pub fn places(self, window: Span) -> impl Iterator<Item = Span> {
        let room = window.common(self.within);
        let first = room
            .filter(|_| self.align.is_power_of_two())
            .and_then(|room| {
                let mask = self.align.wrapping_sub(1);
                Some(room.first.checked_add(mask)? & !mask)
            });
        core::iter::successors(first, move |at| at.checked_add(self.align))
            .map_while(move |at| Span::sized(at, self.size))
            .take_while(move |span| room.is_some_and(|room| room.holds(*span)))
    }
}

/// Where a frame buffer begins, and how large it may be at most, on a machine with UEFI.
///
/// `base` is what the firmware says, 0 where nobody told the kernel; `size` what it says, which may
/// be too little; `lowest` the first address of the lowest window.
pub fn framebuffer(base: u64, size: u64, lowest: u64) -> (u64, u64) {
    let is_strange = lowest == 0 || lowest >> 32 != 0 || (base != 0 && base < lowest);
    if is_strange {
        return (base, size.max(8 << 20));
    }
    let base = if base == 0 { lowest } else { base };
    let below_4g = (1_u64 << 32).saturating_sub(base);
    (base, (below_4g >> 1).min(FRAMEBUFFER_MAX))
}

/// Sizes to try for a frame buffer: it is told too small, hence the largest first.
pub fn framebuffer_sizes(largest: u64) -> impl Iterator<Item = u64> {
    core::iter::successors(Some(largest), |size| Some(size >> 1))
        .take_while(|size| *size >= FRAMEBUFFER_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn span(first: u64, last: u64) -> Span {
        Span { first, last }
    }

    #[test]
    fn windows_below_a_megabyte_and_the_tpm_are_left_out() {
        assert_eq!(span(0xa_0000, 0xb_ffff).usable(), None);
        assert_eq!(span(9 << 20, 1).usable(), None);
        let window = span(0xf800_0000, 0xffff_ffff);
        assert_eq!(window.usable(), Some(span(0xf800_0000, 0xfed3_ffff)));
        let high = span(0xfe0_0000_0000, 0xfff_ffff_ffff);
        assert_eq!(high.usable(), Some(high));
    }

    #[test]
    fn neighbours_join() {
        assert_eq!(span(0, 9).joined(span(10, 19)), Some(span(0, 19)));
        assert_eq!(span(10, 19).joined(span(0, 9)), Some(span(0, 19)));
        assert_eq!(span(0, 9).joined(span(11, 19)), None);
        assert_eq!(span(5, u64::MAX).joined(span(0, 9)), None);
    }

    #[test]
    fn places_are_within_the_wish_and_aligned() {
        let wish = Wish {
            within: span(0x1800, 0x4fff),
            size: 0x1000,
            align: 0x1000,
        };
        let places: Vec<_> = wish
            .places(span(0, 0xffff))
            .map(|place| place.first)
            .collect();
        assert_eq!(places, [0x2000, 0x3000, 0x4000]);
        let none = Wish { align: 0, ..wish };
        assert_eq!(none.places(span(0, 0xffff)).count(), 0);
        let empty = Wish { size: 0, ..wish };
        assert_eq!(empty.places(span(0, 0xffff)).count(), 0);
    }

    #[test]
    fn framebuffers_as_firmware_tells_them() {
        assert_eq!(
            framebuffer(0xf800_0000, 8 << 20, 0xf800_0000),
            (0xf800_0000, 64 << 20)
        );
        assert_eq!(framebuffer(0, 0, 0xf800_0000), (0xf800_0000, 64 << 20));
        assert_eq!(
            framebuffer(0x8000_0000, 0, 0x8000_0000),
            (0x8000_0000, 128 << 20)
        );
        assert_eq!(framebuffer(0x1000, 1, 0xf800_0000), (0x1000, 8 << 20));
        assert_eq!(
            framebuffer_sizes(4 << 20).collect::<Vec<_>>(),
            [4 << 20, 2 << 20, 1 << 20]
        );
        assert_eq!(framebuffer_sizes(0).count(), 0);
    }

    proptest! {
        #[test]
        fn any_place_is_right(
            window in any::<(u64, u64)>(), within in any::<(u64, u64)>(),
            size: u64, align: u64,
        ) {
            let (window, within) = (span(window.0, window.1), span(within.0, within.1));
            for place in (Wish { within, size, align }).places(window).take(8) {
                prop_assert!(window.holds(place) && within.holds(place));
                prop_assert_eq!(place.first & (align - 1), 0);
                prop_assert_eq!(place.last - place.first, size - 1);
            }
        }

        #[test]
        fn any_framebuffer_has_a_size(base: u64, size: u64, lowest: u64) {
            let (_, largest) = framebuffer(base, size, lowest);
            prop_assert!(framebuffer_sizes(largest).count() <= 64);
        }
    }
}
