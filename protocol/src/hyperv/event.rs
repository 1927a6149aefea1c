// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The event flag page: 2048 flags for each source (TLFS, section 11.11).
//!
//! In VMBus the flag of a channel has the channel's number (relid), and flag 0
//! is not a channel. The host sets a flag and raises the interrupt if the flag
//! was clear; the guest clears a flag before it looks at the channel. So a flag
//! that was found set has an interrupt on its way, and no second is needed.

use super::shared::SharedExchange;
use super::SINT_COUNT;

/// Flags of one source.
pub const FLAG_COUNT: u16 = 2048;
/// Bytes that they take.
pub const FLAGS_SIZE: u32 = 256;

/// The flags of one source in an event flag page.
#[derive(Clone, Copy, Debug)]
pub struct Flags<M> {
    page: M,
    base: u32,
}

impl<M: SharedExchange> Flags<M> {
    /// The flags of this source, or `None` if there is no such source or page.
    pub fn new(page: M, source: u8) -> Option<Self> {
        let base = u32::from(source).checked_mul(FLAGS_SIZE)?;
        let end = base.checked_add(FLAGS_SIZE)?;
        (source < SINT_COUNT && end <= page.size()).then_some(Self { page, base })
    }

    /// The word that a flag is in, and its bit there.
    fn place(&self, flag: u16) -> Option<(u32, u32)> {
        let bit = 1_u32 << (flag & 31);
        (flag < FLAG_COUNT).then(|| (self.word(flag >> 5), bit))
    }

    fn word(&self, index: u16) -> u32 {
        self.base.wrapping_add(u32::from(index) << 2)
    }

    /// The host: sets a flag. Returns whether an interrupt has to be raised.
    ///
    /// A flag that does not exist is not set and needs no interrupt.
    #[must_use]
    pub fn raise(&self, flag: u16) -> bool {
        self.place(flag)
            .is_some_and(|(word, bit)| self.page.fetch_or(word, bit) & bit == 0)
    }

    /// The host: whether any flag is set that the guest has not cleared.
    pub fn is_any_set(&self) -> bool {
        (0..FLAG_COUNT >> 5).any(|index| self.page.load(self.word(index)) != 0)
    }

    /// The guest: clears a flag. Returns whether it was set.
    pub fn take(&self, flag: u16) -> bool {
        self.place(flag).is_some_and(|(word, bit)| {
            self.page.load(word) & bit != 0 && self.page.fetch_and(word, !bit) & bit != 0
        })
    }

    /// The guest: clears all flags that are set, in words of 32 up to `highest`, and calls for
    /// each that it has cleared. This is on the way of every interrupt.
    #[inline]
    pub fn take_all(&self, highest: u16, mut taken: impl FnMut(u16)) {
        let last = (highest >> 5).min((FLAG_COUNT >> 5).wrapping_sub(1));
        let mut index = 0;
        while index <= last {
            let mut left = self.take_word(self.word(index));
            while left != 0 {
                // Below 32.
                taken((index << 5) | left.trailing_zeros() as u16);
                // Without the lowest bit that is set.
                left &= left.wrapping_sub(1);
            }
            index = index.wrapping_add(1);
        }
    }

    #[inline]
    fn take_word(&self, word: u32) -> u32 {
        match self.page.load(word) {
            // Most words are empty, and looking is cheaper than exchanging.
            0 => 0,
            _ => self.page.fetch_and(word, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hyperv::testing::{Loom, Std, TestMemory};
    use loom::sync::atomic::{AtomicU32, Ordering};
    use loom::sync::Arc;
    use proptest::collection::btree_set;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn a_flag_is_raised_once() {
        let flags = Flags::new(TestMemory::<Std>::new(4096, &[(512, 64)]), 2).unwrap();
        assert!(flags.raise(33));
        assert!(!flags.raise(33));
        assert!(flags.take(33));
        assert!(!flags.take(33));
        assert!(flags.raise(33));
        assert!(!flags.raise(FLAG_COUNT));
        assert!(!flags.take(FLAG_COUNT));
        assert!(Flags::new(TestMemory::<Std>::new(4096, &[]), 16).is_none());
    }

    proptest! {
        #[test]
        fn what_was_raised_is_taken(raised in btree_set(0..FLAG_COUNT, 0..40)) {
            let flags = Flags::new(TestMemory::<Std>::new(4096, &[(512, 64)]), 2).unwrap();
            for flag in &raised {
                prop_assert!(flags.raise(*flag));
            }
            let mut taken = Vec::new();
            flags.take_all(FLAG_COUNT - 1, |flag| taken.push(flag));
            prop_assert_eq!(taken, raised.into_iter().collect::<Vec<_>>());
            flags.take_all(u16::MAX, |flag| panic!("{flag} is set"));
        }
    }

    /// Two channels' threads raise flags of one word while the guest looks.
    #[test]
    fn no_flag_is_lost() {
        loom::model(|| {
            let memory = Arc::new(TestMemory::<Loom>::new(4096, &[(512, 1)]));
            let interrupts = Arc::new(AtomicU32::new(0));
            let host = |flag| {
                let (memory, interrupts) = (Arc::clone(&memory), Arc::clone(&interrupts));
                move || {
                    if Flags::new(&*memory, 2).unwrap().raise(flag) {
                        interrupts.fetch_add(1, Ordering::SeqCst);
                    }
                }
            };
            let first = loom::thread::spawn(host(1));
            let second = loom::thread::spawn(host(2));
            let flags = Flags::new(&*memory, 2).unwrap();
            let mut seen = Vec::new();
            flags.take_all(2, |flag| seen.push(flag));
            first.join().unwrap();
            second.join().unwrap();
            let mut late = Vec::new();
            flags.take_all(2, |flag| late.push(flag));
            assert_eq!(seen.len() + late.len(), 2, "{seen:?} {late:?}");
            assert_eq!(interrupts.load(Ordering::SeqCst), 2);
        });
    }
}
