// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One run of giving or of taking: how many pages of which size come next, and when it is over.
//!
//! Giving begins with large pages, as far as whole ones fit, and does the rest by small ones, so that
//! it ends at the target. If there are no more large pages in the guest, or the host does not want
//! them, all is done by small ones; large pages that were refused are split, as it may be for a part
//! of them only. Taking begins with small pages, as they are in others' way.
//!
//! Each step is one command. A run is over when nothing is missing, when a size that has no smaller
//! (or larger) one after it does not get on, or when the host has said so. What was refused is kept
//! until then: it would only be found, and refused, again.

use super::MAX_REFUSED;
use crate::vmballoon::{Capabilities, PageSize};

/// Pages for one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Their size.
    pub size: PageSize,
    /// How many of that size; at least one.
    pub count: usize,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many pages there were for it, which may be fewer than wanted.
    pub found: usize,
    /// How many of them the host has refused.
    pub refused: usize,
    /// Whether the host has ended the run: wants no more, or has failed the command.
    pub ended: bool,
}

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next one.
    GoOn,
    /// The next one, with small pages, of which those that were refused can be made.
    Split,
    /// Nothing.
    Stop,
}

/// So many pages of that size as are missing, but no more than a command has.
fn count(pages: u64, batch: usize) -> usize {
    usize::try_from(pages).map_or(batch, |pages| pages.min(batch))
}

/// A run of giving.
#[derive(Clone, Copy, Debug)]
pub struct Giving {
    batch: usize,
    large: bool,
    refused: usize,
}

impl Giving {
    /// A run with what both sides can do.
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            batch: capabilities.batch_len(),
            large: capabilities.has_large_pages(),
            refused: 0,
        }
    }

    /// The next step if so many pages are missing. `None` if none is.
    pub fn next(&self, missing: u64) -> Option<Step> {
        let large = missing.checked_div(PageSize::Large.pages()).unwrap_or(0);
        let (size, pages) = if self.large && large > 0 {
            (PageSize::Large, large)
        } else {
            (PageSize::Small, missing)
        };
        (missing > 0).then(|| Step {
            size,
            count: count(pages, self.batch),
        })
    }

    /// Goes on from how `step` went.
    pub fn after(&mut self, step: Step, outcome: Outcome) -> Then {
        self.refused = self.refused.saturating_add(outcome.refused);
        let is_short = outcome.found < step.count;
        if outcome.ended {
            Then::Stop
        } else if !is_short && self.refused < MAX_REFUSED {
            Then::GoOn
        } else if step.size == PageSize::Large {
            self.large = false;
            self.refused = 0;
            Then::Split
        } else {
            Then::Stop
        }
    }
}

/// A run of taking.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    batch: usize,
    has_large: bool,
    size: PageSize,
}

impl Taking {
    /// A run with what both sides can do.
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            batch: capabilities.batch_len(),
            has_large: capabilities.has_large_pages(),
            size: PageSize::Small,
        }
    }

    /// The next step if there are so many pages too many. `None` if there is none.
    pub fn next(&self, surplus: u64) -> Option<Step> {
        (surplus > 0).then(|| Step {
            size: self.size,
            count: count(surplus.div_ceil(self.size.pages()), self.batch),
        })
    }

    /// Goes on from how `step` went.
    pub fn after(&mut self, step: Step, outcome: Outcome) -> Then {
        let is_whole = outcome.found == step.count && outcome.refused == 0;
        if outcome.ended {
            Then::Stop
        } else if is_whole {
            Then::GoOn
        } else if self.has_large && self.size == PageSize::Small {
            self.size = PageSize::Large;
            Then::GoOn
        } else {
            Then::Stop
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use crate::vmballoon::policy::{change, Change};
    use proptest::prelude::*;

    const WHOLE: Outcome = Outcome {
        found: 512,
        refused: 0,
        ended: false,
    };

    fn step(size: PageSize, count: usize) -> Option<Step> {
        Some(Step { size, count })
    }

    #[test]
    fn giving_starts_with_large_pages_and_ends_at_the_target() {
        let run = Giving::new(Capabilities::ALL);
        assert_eq!(run.next(0), None);
        assert_eq!(run.next(511), step(PageSize::Small, 511));
        assert_eq!(run.next(512), step(PageSize::Large, 1));
        assert_eq!(run.next(u64::MAX), step(PageSize::Large, 512));
        let small = Giving::new(Capabilities::ALL.without(Capabilities::BATCHED_2M));
        assert_eq!(small.next(u64::MAX), step(PageSize::Small, 512));
        let single = Giving::new(Capabilities::ALL.without(Capabilities::BATCHED));
        assert_eq!(single.next(u64::MAX), step(PageSize::Small, 1));
    }

    #[test]
    fn what_does_not_get_on_is_done_by_small_pages_and_then_not_at_all() {
        let mut run = Giving::new(Capabilities::ALL);
        let large = run.next(1 << 20).unwrap();
        assert_eq!(run.after(large, WHOLE), Then::GoOn);
        let fifteen = Outcome {
            refused: 15,
            ..WHOLE
        };
        assert_eq!(run.after(large, fifteen), Then::GoOn);
        let one = Outcome {
            refused: 1,
            ..WHOLE
        };
        assert_eq!(run.after(large, one), Then::Split);
        let small = run.next(1 << 20).unwrap();
        assert_eq!(small.size, PageSize::Small);
        assert_eq!(run.after(small, fifteen), Then::GoOn);
        let short = Outcome {
            found: 511,
            ..WHOLE
        };
        assert_eq!(run.after(small, short), Then::Stop);
        let ended = Outcome {
            ended: true,
            ..WHOLE
        };
        assert_eq!(
            Giving::new(Capabilities::ALL).after(large, ended),
            Then::Stop
        );
    }

    #[test]
    fn taking_starts_with_small_pages() {
        let mut run = Taking::new(Capabilities::ALL);
        let small = run.next(600).unwrap();
        assert_eq!(step(PageSize::Small, 512), Some(small));
        assert_eq!(run.after(small, WHOLE), Then::GoOn);
        let short = Outcome { found: 3, ..WHOLE };
        assert_eq!(run.after(small, short), Then::GoOn);
        assert_eq!(run.next(600), step(PageSize::Large, 2));
        assert_eq!(run.next(0), None);
        assert_eq!(run.after(run.next(600).unwrap(), short), Then::Stop);
        let mut single = Taking::new(Capabilities::BASIC);
        assert_eq!(single.after(small, short), Then::Stop);
    }

    /// A guest and a host that go through one run.
    struct Model {
        free_large: u64,
        free_small: u64,
        size: u64,
    }

    proptest! {
        /// Whatever the guest has and the host refuses, a run of giving ends, and never goes beyond
        /// the target; it gets there if there is memory and nothing is refused.
        #[test]
        fn giving_ends_at_the_target_or_before(
            bits: u64,
            target in 0u64..1 << 22,
            free_large in 0u64..1 << 12,
            free_small in 0u64..1 << 16,
            refuse_every in prop_oneof![Just(usize::MAX), 1usize..2000],
        ) {
            let capabilities = Capabilities(bits) & Capabilities::ALL;
            let mut run = Giving::new(capabilities);
            let mut model = Model { free_large, free_small, size: 0 };
            let (mut asked, mut steps) = (0usize, 0u64);
            while let Change::Give(missing) = change(model.size, target) {
                let step = run.next(missing).unwrap();
                prop_assert!(step.count >= 1 && step.count <= capabilities.batch_len());
                prop_assert!(step.size == PageSize::Small || capabilities.has_large_pages());
                let free = match step.size {
                    PageSize::Large => &mut model.free_large,
                    PageSize::Small => &mut model.free_small,
                };
                let found = (*free).min(step.count as u64);
                *free -= found;
                let found = found as usize;
                let refused = (asked + found) / refuse_every - asked / refuse_every;
                asked += found;
                model.size += (found - refused) as u64 * step.size.pages();
                prop_assert!(model.size <= target);
                steps += 1;
                if run.after(step, Outcome { found, refused, ended: false }) == Then::Stop {
                    break;
                }
            }
            // A step gives a page at least, or has all of its pages refused, which ends a size
            // sooner or later, or finds none, which ends it at once.
            prop_assert!(steps <= target + 2 * (MAX_REFUSED as u64 + 1));
            if refuse_every == usize::MAX && free_small >= target {
                prop_assert_eq!(model.size, target);
            }
        }

        /// A run of taking ends, and gets down to the target if all is given back; it takes no more
        /// than a part of a large page too many.
        #[test]
        fn taking_ends_at_the_target(
            large in 0u64..1 << 10,
            small in 0u64..1 << 16,
            target in 0u64..1 << 20,
            refuses: bool,
        ) {
            let mut run = Taking::new(Capabilities::ALL);
            let mut model = Model { free_large: large, free_small: small, size: large * 512 + small };
            let mut steps = 0u64;
            while let Change::Take(surplus) = change(model.size, target) {
                let step = run.next(surplus).unwrap();
                let held = match step.size {
                    PageSize::Large => &mut model.free_large,
                    PageSize::Small => &mut model.free_small,
                };
                let found = (*held).min(step.count as u64);
                let refused = if refuses { found } else { 0 };
                *held -= found - refused;
                model.size -= (found - refused) * step.size.pages();
                steps += 1;
                let outcome = Outcome {
                    found: found as usize,
                    refused: refused as usize,
                    ended: false,
                };
                if run.after(step, outcome) == Then::Stop {
                    break;
                }
            }
            prop_assert!(steps < 1000);
            if !refuses && large * 512 + small > target {
                prop_assert!(model.size < target + 512 && model.size + 512 > target);
                prop_assert!(target != 0 || model.size == 0);
            }
        }
    }
}
