// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Whether pages are to be given or taken, and how many.

use crate::vmballoon::{Capabilities, PageSize};

/// What a balloon lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that is worth a run.
    None,
    /// So many pages are to be given.
    Give(u64),
    /// So many are to be taken.
    Take(u64),
}

/// How a balloon of `size` becomes one of `target`.
#[inline]
pub fn change(size: u64, target: u64) -> Change {
    let Some(surplus) = size.checked_sub(target) else {
        return Change::Give(target.saturating_sub(size));
    };
    let is_slack = target != 0 && surplus < PageSize::Large.pages();
    if surplus == 0 || is_slack {
        Change::None
    } else {
        Change::Take(surplus)
    }
}

/// What the host's word on the target means: what is above 32 bits counts only if both sides have
/// said so.
#[inline]
pub fn target(word: u64, capabilities: Capabilities) -> u64 {
    if capabilities.contains(Capabilities::TARGET_64) {
        word
    } else {
        u64::from(word as u32)
    }
}

/// Whether a guest with so many pages may ask for its target: it has to say how many it has.
#[inline]
pub fn may_ask(pages: u64, capabilities: Capabilities) -> bool {
    capabilities.contains(Capabilities::TARGET_64) || u32::try_from(pages).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slack() {
        assert_eq!(change(1000, 1000), Change::None);
        assert_eq!(change(1000, 1001), Change::Give(1));
        assert_eq!(change(1000, 489), Change::None);
        assert_eq!(change(1000, 488), Change::Take(512));
        assert_eq!(change(1, 0), Change::Take(1));
        assert_eq!(change(0, 0), Change::None);
    }

    #[test]
    fn targets_of_32_bits() {
        let old = Capabilities::BASIC;
        assert_eq!(target(0x1_0000_0002, old), 2);
        assert!(may_ask(u32::MAX.into(), old));
        assert!(!may_ask(1 << 32, old));
        let new = old.with(Capabilities::TARGET_64);
        assert_eq!(target(0x1_0000_0002, new), 0x1_0000_0002);
        assert!(may_ask(1 << 32, new));
    }

    proptest! {
        #[test]
        fn a_change_leads_to_the_target(size: u64, target: u64) {
            match change(size, target) {
                Change::None => prop_assert!(size >= target && size - target < 512),
                Change::Give(pages) => prop_assert_eq!(size + pages, target),
                Change::Take(pages) => prop_assert_eq!(size - pages, target),
            }
            prop_assert_eq!(change(size, 0) == Change::None, size == 0);
        }
    }
}
