// SPDX-License-Identifier: GPL-2.0

//! Pages on their way between the guest, the host and the balloon.
//!
//! All room is allocated when the module is loaded. Between runs a tray is empty.

use crate::counters::{
    Counters,
    PageEvent, //
};
use core::mem;
use guest::balloon::{
    Lent,
    Offered,
    Pages,
    Refused,
    Returned, //
};
use kernel::prelude::*;
use protocol::vmballoon::{
    batch::ENTRIES,
    policy::{
        Step,
        MAX_REFUSED, //
    },
    PageSize, //
};

/// Pages that come back.
pub(crate) struct Back {
    /// Those that the host has, out of the balloon.
    pub(crate) lent: Pages<Lent>,
    /// Those that it has given.
    pub(crate) returned: Pages<Returned>,
}

impl Back {
    /// Room for a command's pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            lent: Pages::with_room_for(ENTRIES)?,
            returned: Pages::with_room_for(ENTRIES)?,
        })
    }
}

/// Pages in both directions.
pub(crate) struct Tray {
    /// Pages for the next command.
    pub(crate) offered: Pages<Offered>,
    /// Small pages that a large one was split into.
    spare: Pages<Offered>,
    /// Those that the host has refused in this run.
    pub(crate) refused: Pages<Refused>,
    /// Large pages that it has, from which small ones can be made.
    whole: Pages<Refused>,
    pub(crate) back: Back,
}

impl Tray {
    /// Room for a run.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            offered: Pages::with_room_for(ENTRIES)?,
            spare: Pages::with_room_for(PageSize::Large.pages() as usize)?,
            refused: Pages::with_room_for(ENTRIES + MAX_REFUSED)?,
            whole: Pages::with_room_for(ENTRIES + MAX_REFUSED)?,
            back: Back::new()?,
        })
    }

    /// Looks for the pages of a step. Returns how many there are.
    pub(crate) fn fill(&mut self, step: Step, counters: &Counters) -> usize {
        if step.size == PageSize::Small {
            self.fill_from_split(step.count);
        }
        let missing = step.count.saturating_sub(self.offered.len());
        let found = self.offered.allocate(step.size, missing);
        let failed = usize::from(found < missing);
        let tried = found.saturating_add(failed);
        counters.add_pages(PageEvent::Alloc, step.size, tried);
        counters.add_pages(PageEvent::AllocFail, step.size, failed);
        self.offered.len()
    }

    fn fill_from_split(&mut self, count: usize) {
        loop {
            let missing = count.saturating_sub(self.offered.len());
            self.offered.fill_from(&mut self.spare, missing);
            if self.offered.len() >= count || !self.whole.split_one(&mut self.spare) {
                return;
            }
        }
    }

    /// From now on small pages are made of the large ones that were refused.
    pub(crate) fn split_refused(&mut self) {
        mem::swap(&mut self.refused, &mut self.whole);
    }

    /// A run has ended: frees what the host did not get.
    pub(crate) fn clear(&mut self, counters: &Counters) {
        for refused in [&mut self.refused, &mut self.whole] {
            let (size, count) = (refused.size(), refused.len());
            counters.add_pages(PageEvent::RefusedFree, size, count);
            refused.free();
        }
        self.spare.free();
        self.offered.free();
    }
}
