// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Faults: what a device does wrong because it was told to.
//!
//! A [`Fault`] is a kind ([`FaultKind`]), which requests it concerns
//! ([`Select`]) and how often ([`When`]). Armed faults are in [`Faults`]. The
//! device asks it about each request while anything is armed, which costs one
//! relaxed load while nothing is. What a fault then does is the device's.
//!
//! Only the device errs, the VMM does not: a request that is to be dropped is
//! [`Held`], and goes back when the device is reset; an answer that is to be
//! late waits in [`Late`]. So nothing is lost, and a reset recovers. What a
//! [lie](FaultKind::is_lie) says has come back is not written to any more.

mod arm;
mod held;
mod kind;
mod late;
mod random;
mod select;
#[cfg(test)]
mod tests;

pub use arm::{Effect, FaultStatus, Faults};
pub use held::Held;
pub use kind::{ConfigField, FaultKind};
pub use late::Late;
pub use random::Random;
pub use select::{About, Select, When};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

/// Why a fault cannot be injected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FaultError {
    /// A key that says nothing for this kind.
    #[error("{key}: a fault of this kind does not look at it")]
    Useless {
        /// The key.
        key: &'static str,
    },
    /// A value that cannot be.
    #[error("{key}={value}: give {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        allowed: &'static str,
    },
    /// More faults than anybody needs.
    #[error("there are {0} faults already; clear some")]
    TooMany(usize),
    /// The thread for late answers could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

/// Something that a device is to do wrong. In JSON it is one flat object:
/// `{"kind": "delay", "ms": 500, "lun": 3, "count": 10}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What is done wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// With which requests.
    #[serde(flatten)]
    pub select: Select,
    /// How often.
    #[serde(flatten)]
    pub when: When,
}

impl Fault {
    /// A fault of this kind, with every request.
    pub fn new(kind: FaultKind) -> Self {
        let (select, when) = (Select::default(), When::default());
        Self { kind, select, when }
    }

    /// Checks what the types alone do not say.
    ///
    /// # Errors
    ///
    /// [`FaultError`] for the first key that makes no sense.
    pub fn check(&self) -> Result<(), FaultError> {
        self.when.check()?;
        self.select.check(&self.kind)?;
        if self.kind.is_immediate() && self.when != When::seeded(self.when.seed) {
            return Err(FaultError::Useless {
                key: "skip, count, percent",
            });
        }
        Ok(())
    }
}

/// `flatten` would take unknown keys without a word, so the parts are taken
/// apart by hand, and each refuses what it does not know.
impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut kind = Map::<String, Value>::deserialize(deserializer)?;
        let select = take(&mut kind, &Select::KEYS);
        let when = take(&mut kind, &When::KEYS);
        let fault = Self {
            kind: FaultKind::deserialize(kind).map_err(D::Error::custom)?,
            select: Select::deserialize(select).map_err(D::Error::custom)?,
            when: When::deserialize(when).map_err(D::Error::custom)?,
        };
        fault.check().map_err(D::Error::custom)?;
        Ok(fault)
    }
}

/// Moves those of `keys` that are there to a map of their own.
fn take(from: &mut Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    keys.iter()
        .filter_map(|key| from.remove_entry(*key))
        .collect()
}
