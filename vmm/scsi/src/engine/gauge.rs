// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Whether it is worth trying an access without waiting.
//!
//! An attempt that fails costs a system call, so the more of them failed, the
//! longer none is made: after a failure one access goes without, after the next
//! two, then four, up to [`MOST`].

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Most accesses in a row that are made without trying.
const MOST: u32 = 64;

/// A copy to the host's cache that took longer did wait: the host holds up
/// those that write faster than its disks do.
const PROMPT: Duration = Duration::from_millis(1);

/// Experience with the accesses of one unit.
///
/// Queues share it. It only says what is likely, so that nothing is lost when
/// two of them change it at once.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// How many accesses are still to be made without trying.
    skip: AtomicU32,
    /// How many those were after the last failure.
    penalty: AtomicU32,
}

/// One for each direction.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) reads: Gauge,
    pub(crate) writes: Gauge,
}

impl Gauge {
    /// Makes an attempt, unless that is not worth it. It returns how many of
    /// `len` bytes it transferred.
    pub(crate) fn try_to(&self, len: u64, attempt: impl FnOnce() -> u64) -> u64 {
        if !self.is_worth_it() {
            return 0;
        }
        let done = attempt();
        self.learn(done == len);
        done
    }

    /// The same for an attempt that may have to wait after all.
    pub(crate) fn try_promptly(&self, len: u64, attempt: impl FnOnce() -> u64) -> u64 {
        if !self.is_worth_it() {
            return 0;
        }
        let start = Instant::now();
        let done = attempt();
        self.learn(done == len && start.elapsed() < PROMPT);
        done
    }

    fn is_worth_it(&self) -> bool {
        // The common case must not write to a line that queues share.
        match self.skip.load(Ordering::Relaxed) {
            0 => true,
            left => {
                self.skip.store(left.saturating_sub(1), Ordering::Relaxed);
                false
            }
        }
    }

    fn learn(&self, success: bool) {
        let penalty = self.penalty.load(Ordering::Relaxed);
        if success && penalty == 0 {
            return;
        }
        let penalty = match success {
            true => penalty / 2,
            false => penalty.saturating_mul(2).clamp(1, MOST),
        };
        self.penalty.store(penalty, Ordering::Relaxed);
        if !success {
            self.skip.store(penalty, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many attempts are made for so many accesses.
    fn attempts(gauge: &Gauge, accesses: u32, result: u64) -> u32 {
        let mut made = 0;
        for _ in 0..accesses {
            gauge.try_to(1, || {
                made += 1;
                result
            });
        }
        made
    }

    #[test]
    fn failures_make_attempts_rare_and_successes_bring_them_back() {
        let gauge = Gauge::default();
        assert_eq!(attempts(&gauge, 1000, 1), 1000);
        let failed = attempts(&gauge, 10_000, 0);
        assert!((100..200).contains(&failed), "{failed}");
        assert!(attempts(&gauge, 1000, 1) > 900);
    }
}
