// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How often a fault happens.

use serde::{Deserialize, Serialize};

use super::random::Random;
use super::FaultError;

/// How often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// Matching requests that are let alone first.
    pub skip: u64,
    /// How often at most; until it is cleared if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The chance of each request, in percent.
    pub percent: u8,
    /// What chance and random content come from.
    pub seed: u64,
}

impl Default for When {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl When {
    pub(super) const KEYS: [&'static str; 4] = ["skip", "count", "percent", "seed"];

    /// Always, with this seed.
    pub(super) fn seeded(seed: u64) -> Self {
        Self {
            skip: 0,
            count: None,
            percent: 100,
            seed,
        }
    }

    pub(super) fn check(&self) -> Result<(), FaultError> {
        let wrong = |key, value, allowed| {
            Err(FaultError::Value {
                key,
                value,
                allowed,
            })
        };
        match (self.percent, self.count) {
            (percent @ (0 | 101..), _) => wrong("percent", percent.into(), "1 to 100"),
            (_, Some(0)) => wrong("count", 0, "1 or more"),
            _ => Ok(()),
        }
    }

    /// Whether it happens this time, having matched `seen` times before and
    /// happened `injected` times.
    pub(super) fn is_now(&self, seen: u64, injected: u64, random: &mut Random) -> bool {
        seen >= self.skip && !self.is_over(injected) && random.percent(self.percent)
    }

    /// Whether it never happens again.
    pub(super) fn is_over(&self, injected: u64) -> bool {
        self.count.is_some_and(|count| injected >= count)
    }
}
