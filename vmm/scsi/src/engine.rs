// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How the accesses that commands need are made.
//!
//! | module | what |
//! |---|---|
//! | `job` | a command whose access is under way, with all it needs |
//! | `sys` | an io_uring that owns the jobs in it |
//! | `helpers` | threads that may wait |
//! | `gauge` | whether it is worth trying without waiting |
//!
//! Who decides is [`crate::target::Driver`]. An access is tried without waiting
//! first: data in the host's cache is copied there and then, which costs one
//! system call and wakes nobody. What would have to wait goes to the ring of
//! the queue's thread, or, where there is no ring, to a helper thread.

mod gauge;
mod helpers;
mod job;
mod sys;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) use gauge::Gauges;
pub(crate) use helpers::Helpers;
pub(crate) use job::Job;
pub(crate) use sys::{Finished, Refused, Ring};

/// How accesses are made that have to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AioMode {
    /// By io_uring where the system permits that, by threads elsewhere.
    #[default]
    Auto,
    /// By io_uring.
    IoUring,
    /// By threads.
    Threads,
    /// On the thread of the queue, one after the other.
    Sync,
}

impl AioMode {
    const ALL: [Self; 4] = [Self::Auto, Self::IoUring, Self::Threads, Self::Sync];

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Threads => "threads",
            Self::Sync => "sync",
        }
    }
}

impl fmt::Display for AioMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AioMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| "give auto, io_uring, threads or sync".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_modes() {
        for mode in AioMode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
        }
        assert!("native".parse::<AioMode>().is_err());
    }
}
