// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The batch page: the numbers of up to 512 pages, and behind each what became of it.
//!
//! The guest writes the numbers; the host writes the statuses before the command ends.
//! A page of 2 MiB is named by its first page of 4 KiB.

use zerocopy::little_endian::U64;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Status, PAGE_SHIFT, PAGE_SIZE};

/// Entries of a page.
pub const ENTRIES: usize = PAGE_SIZE / size_of::<Entry>();

/// Bits of a status.
pub const STATUS_BITS: u32 = 5;
/// The bits of a status.
const STATUS: u64 = (1 << STATUS_BITS) - 1;

/// One page of a batch. Bits 5 to 11 are reserved.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(transparent)]
pub struct Entry(pub U64);

const _: () = assert!(size_of::<Entry>() == 8);

impl Entry {
    /// Names a page. Numbers of more than 52 bits lose what is above.
    #[inline]
    pub const fn new(page: u64) -> Self {
        Self(U64::new(page << PAGE_SHIFT))
    }

    /// The page.
    #[inline]
    pub const fn page(self) -> u64 {
        self.0.get() >> PAGE_SHIFT
    }

    /// What became of it.
    #[inline]
    pub const fn status(self) -> Status {
        Status((self.0.get() & STATUS) as u32)
    }

    /// The same page, of which `status` became; five bits of it are kept.
    #[inline]
    pub const fn with_status(self, status: Status) -> Self {
        Self(U64::new(
            (self.0.get() & !STATUS) | (status.0 as u64 & STATUS),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    #[test]
    fn an_entry_is_laid_out_as_linux_has_it() {
        let entry = Entry::new(0x12_3456).with_status(Status::PAGE_PINNED);
        assert_eq!(entry.as_bytes(), [0x05, 0x60, 0x45, 0x23, 0x01, 0, 0, 0]);
        assert_eq!(ENTRIES, 512);
    }

    proptest! {
        #[test]
        fn page_and_status_do_not_touch_each_other(raw: u64, status in 0u32..32) {
            let entry = Entry(U64::new(raw));
            let answered = entry.with_status(Status(status));
            prop_assert_eq!(answered.page(), entry.page());
            prop_assert_eq!(answered.status(), Status(status));
            prop_assert_eq!(Entry::new(entry.page()).page(), entry.page());
            prop_assert_eq!(Entry::new(entry.page()).status(), Status::SUCCESS);
        }
    }
}
