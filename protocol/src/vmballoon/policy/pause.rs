// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How long a guest leaves giving alone after a run that led to nothing.
//!
//! A guest that has no memory to spare would look for some at each poll, and disturb who works. So
//! after each run in a row that gave nothing it lets twice as many polls pass, up to seven. A page
//! that was given, or another target, ends that.

/// Polls that pass at most: with one a second there is a run every eight.
const LONGEST: u32 = 7;

/// How many polls are still to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// The target that the runs were for.
    target: u64,
    /// Polls that the last run without success has cost.
    last: u32,
    /// Those that are still to pass.
    left: u32,
}

impl Pause {
    /// Whether this poll may give pages, whose target is this. Counts the poll.
    pub fn is_over(&mut self, target: u64) -> bool {
        if target != self.target {
            *self = Self {
                target,
                ..Self::default()
            };
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                false
            }
            None => true,
        }
    }

    /// A run has ended, in which so many pages were given.
    pub fn ran(&mut self, given: u64) {
        let cost = match given {
            0 => self.last.saturating_mul(2).saturating_add(1).min(LONGEST),
            _ => 0,
        };
        // The first one is free: the next poll tries again.
        self.left = if given == 0 { self.last } else { 0 };
        self.last = cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Polls from one run to the next, if none gives anything.
    fn polls_between(pause: &mut Pause, target: u64) -> u32 {
        pause.ran(0);
        let passed = (0..100).take_while(|_| !pause.is_over(target)).count();
        passed as u32 + 1
    }

    #[test]
    fn failures_in_a_row_cost_more_and_more() {
        let mut pause = Pause::default();
        assert!(pause.is_over(9));
        let polls = core::array::from_fn(|_| polls_between(&mut pause, 9));
        assert_eq!(polls, [1, 2, 4, 8, 8, 8]);
        pause.ran(1);
        assert!(pause.is_over(9));
        assert_eq!(polls_between(&mut pause, 9), 1);
        assert_eq!(polls_between(&mut pause, 9), 2);
        pause.ran(0);
        assert!(!pause.is_over(9));
        assert!(pause.is_over(10));
    }

    proptest! {
        #[test]
        fn every_eighth_poll_may_give(runs in proptest::collection::vec(0u64..3, 0..50)) {
            let mut pause = Pause::default();
            for given in runs {
                let waited = (0..9).position(|_| pause.is_over(5));
                prop_assert!(waited.is_some_and(|polls| polls <= 7));
                pause.ran(given);
            }
        }
    }
}
