// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How often a guest may make us write to the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lets one message through, then holds the next ones back for a while.
///
/// A guest can cause as many warnings as it likes; it must not fill the disk of
/// the host with them. What was held back is counted and told with the next
/// message that passes.
#[derive(Debug)]
pub struct RateLimit {
    start: Instant,
    interval_ms: u64,
    /// When the next message may pass, in milliseconds after `start`.
    next_ms: AtomicU64,
    held: AtomicU64,
}

impl RateLimit {
    /// One message in each `interval`.
    pub fn new(interval: Duration) -> Self {
        Self {
            start: Instant::now(),
            interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            next_ms: AtomicU64::new(0),
            held: AtomicU64::new(0),
        }
    }

    /// `Some(held)` if a message may pass now, `held` being the number that
    /// were held back since the last one.
    pub fn pass(&self) -> Option<u64> {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = self.next_ms.load(Ordering::Relaxed);
        let later = now.saturating_add(self.interval_ms);
        let won = now >= next
            && self
                .next_ms
                .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if won {
            Some(self.held.swap(0, Ordering::Relaxed))
        } else {
            self.held.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

impl Default for RateLimit {
    /// One message in five seconds.
    fn default() -> Self {
        Self::new(Duration::from_secs(5))
    }
}

/// `tracing::warn!` behind a [`RateLimit`].
#[macro_export]
macro_rules! warn_limited {
    ($limit:expr, $($message:tt)+) => {
        if let Some(held) = $limit.pass() {
            tracing::warn!(held, $($message)+);
        }
    };
}
pub use warn_limited;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_passes_and_the_rest_is_counted() {
        let limit = RateLimit::new(Duration::from_secs(3600));
        assert_eq!(limit.pass(), Some(0));
        assert_eq!(limit.pass(), None);
        assert_eq!(limit.pass(), None);
        limit.next_ms.store(0, Ordering::Relaxed);
        assert_eq!(limit.pass(), Some(2));
    }
}
