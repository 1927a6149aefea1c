// SPDX-License-Identifier: GPL-2.0

//! Pages that come back because the guest has no others.

use crate::{
    counters::Event,
    device::Vmballoon,
    take::{
        take,
        Wanted, //
    }, //
};
use guest::shrinker::Shrink;

impl Shrink for Vmballoon {
    fn count(&self) -> usize {
        self.balloon().len() as usize
    }

    /// One at a time: while somebody shrinks the balloon, or all begins anew, others look elsewhere.
    /// No page is given for a while after that, even if none came back.
    fn shrink(&self, pages: usize) -> Option<usize> {
        let link = self.link();
        link.counters.add(Event::Shrink, 1);
        link.note_shortage();
        let mut back = self.shrinking.try_lock()?;
        let taken = take(self.balloon(), &mut back, Wanted::Pages(pages as u64));
        link.counters.add(Event::ShrinkFree, taken);
        Some(taken as usize)
    }
}
