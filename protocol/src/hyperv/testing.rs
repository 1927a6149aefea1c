// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Shared memory for tests: of real atomics, or of those that `loom` watches.

use core::marker::PhantomData;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{fence, AtomicU32};
use std::vec::Vec;

use super::shared::{Shared, SharedExchange};

/// One sort of atomics.
pub(crate) trait Atom {
    type Word;

    fn new(value: u32) -> Self::Word;
    fn load(word: &Self::Word, order: core::sync::atomic::Ordering) -> u32;
    fn store(word: &Self::Word, value: u32, order: core::sync::atomic::Ordering);
    fn exchange(word: &Self::Word, current: u32, new: u32) -> bool;
    fn or(word: &Self::Word, bits: u32) -> u32;
    fn and(word: &Self::Word, bits: u32) -> u32;
    fn fence();
}

macro_rules! atom {
    ($(#[$attribute:meta])* $name:ident, $word:ty, $fence:path) => {
        $(#[$attribute])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Atom for $name {
            type Word = $word;

            fn new(value: u32) -> $word {
                <$word>::new(value)
            }

            fn load(word: &$word, order: core::sync::atomic::Ordering) -> u32 {
                word.load(order)
            }

            fn store(word: &$word, value: u32, order: core::sync::atomic::Ordering) {
                word.store(value, order);
            }

            fn exchange(word: &$word, current: u32, new: u32) -> bool {
                word.compare_exchange(current, new, SeqCst, SeqCst).is_ok()
            }

            fn or(word: &$word, bits: u32) -> u32 {
                word.fetch_or(bits, SeqCst)
            }

            fn and(word: &$word, bits: u32) -> u32 {
                word.fetch_and(bits, SeqCst)
            }

            fn fence() {
                $fence(SeqCst);
            }
        }
    };
}

atom!(
    /// The processor's own.
    Std, AtomicU32, fence
);
atom!(
    /// Loom's. It takes sequentially consistent accesses for acquire and release
    /// ones, as it documents; fences it does as they are. Our code has the fences.
    Loom, loom::sync::atomic::AtomicU32, loom::sync::atomic::fence
);

/// Memory of which only some areas exist: `loom` remembers every word there is.
#[derive(Debug)]
pub(crate) struct TestMemory<A: Atom> {
    size: u32,
    areas: Vec<(u32, Vec<A::Word>)>,
    atom: PhantomData<A>,
}

impl<A: Atom> TestMemory<A> {
    /// Memory with areas, each given by its offset and its number of words.
    pub(crate) fn new(size: u32, areas: &[(u32, usize)]) -> Self {
        let area = |&(start, words): &(u32, usize)| {
            (start, (0..words).map(|_| A::new(0)).collect::<Vec<_>>())
        };
        Self {
            size,
            areas: areas.iter().map(area).collect(),
            atom: PhantomData,
        }
    }

    fn word(&self, offset: u32) -> Option<&A::Word> {
        assert!(offset < self.size, "{offset:#x} of {:#x}", self.size);
        self.areas.iter().find_map(|(start, words)| {
            let index = offset.checked_sub(*start)? / 4;
            words.get(index as usize)
        })
    }

    fn aligned(&self, offset: u32) -> &A::Word {
        assert_eq!(offset % 4, 0, "{offset:#x}");
        self.word(offset).unwrap()
    }

    fn byte(offset: u32) -> u32 {
        offset % 4 * 8
    }
}

impl<A: Atom> Shared for TestMemory<A> {
    fn size(&self) -> u32 {
        self.size
    }

    fn load(&self, offset: u32) -> u32 {
        A::load(self.aligned(offset), Relaxed)
    }

    fn load_acquire(&self, offset: u32) -> u32 {
        A::load(self.aligned(offset), Acquire)
    }

    fn store(&self, offset: u32, value: u32) {
        A::store(self.aligned(offset), value, Relaxed);
    }

    fn store_release(&self, offset: u32, value: u32) {
        A::store(self.aligned(offset), value, Release);
    }

    fn fence(&self) {
        A::fence();
    }

    fn read(&self, offset: u32, into: &mut [u8]) {
        let mut cached = None;
        for (at, byte) in (offset..).zip(into) {
            let value = match cached {
                Some((index, value)) if index == at / 4 => value,
                _ => self.word(at).map_or(0, |word| A::load(word, Relaxed)),
            };
            cached = Some((at / 4, value));
            *byte = (value >> Self::byte(at)) as u8;
        }
    }

    fn write(&self, offset: u32, from: &[u8]) {
        let mut at = offset;
        let mut rest = from;
        while let Some(first) = rest.first() {
            let (value, keep, len) = match rest.first_chunk() {
                Some(bytes) if at % 4 == 0 => (u32::from_le_bytes(*bytes), 0, 4),
                _ => (
                    u32::from(*first) << Self::byte(at),
                    !(0xff << Self::byte(at)),
                    1,
                ),
            };
            if let Some(word) = self.word(at) {
                let old = if keep == 0 { 0 } else { A::load(word, Relaxed) };
                A::store(word, (old & keep) | value, Relaxed);
            }
            at += len;
            rest = &rest[len as usize..];
        }
    }
}

impl<A: Atom> SharedExchange for TestMemory<A> {
    fn compare_exchange(&self, offset: u32, current: u32, new: u32) -> bool {
        A::exchange(self.aligned(offset), current, new)
    }

    fn fetch_or(&self, offset: u32, bits: u32) -> u32 {
        A::or(self.aligned(offset), bits)
    }

    fn fetch_and(&self, offset: u32, bits: u32) -> u32 {
        A::and(self.aligned(offset), bits)
    }
}
