// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Faults: what a device does wrong because it was told to.
//!
//! A [`Fault`] is a kind, which requests it concerns and how often ([`When`]).
//! What kinds there are, and what requests are, is the device's ([`Kind`]).
//! Armed faults are in [`Faults`]. The device asks it about each request while
//! anything is armed, which costs one relaxed load while nothing is. What a
//! fault then does is the device's again.
//!
//! Only the device errs, the VMM does not: a request that is to be dropped is
//! [`Held`], and goes back when the device is reset; an answer that is to be
//! late waits in [`Late`]. So nothing is lost, and a reset recovers.

mod arm;
mod held;
mod late;
mod random;
#[cfg(test)]
mod tests;
mod when;

pub use arm::{Effect, FaultStatus, Faults};
pub use held::Held;
pub use late::Late;
pub use random::Random;
pub use when::When;

use std::fmt::Debug;

use serde::de::{DeserializeOwned, Error as _};
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
    /// The device is not in a state for it.
    #[error("{0}")]
    NotNow(&'static str),
    /// The thread for late answers could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

/// Something that a device is to do wrong. In JSON it is one flat object:
/// `{"kind": "delay", "ms": 500, "lun": 3, "count": 10}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault<K: Kind> {
    /// What is done wrong.
    #[serde(flatten)]
    pub kind: K,
    /// With which requests.
    #[serde(flatten)]
    pub select: K::Select,
    /// How often.
    #[serde(flatten)]
    pub when: When,
}

/// What a device can do wrong, and how it is told which requests are meant.
pub trait Kind: Clone + Debug + Eq + Serialize + DeserializeOwned {
    /// Which requests. In JSON it has no keys but [`KEYS`](Self::KEYS).
    type Select: Clone + Debug + Default + Eq + Serialize + DeserializeOwned;
    /// What is known of a request when a fault is looked for.
    type About;

    /// The keys of the selection.
    const KEYS: &'static [&'static str];

    /// Name, as in JSON.
    fn name(&self) -> &'static str;

    /// Whether it acts when it is injected, and never again.
    fn is_immediate(&self) -> bool;

    /// Refuses what could never match, or would be ignored, and values that cannot be.
    ///
    /// # Errors
    ///
    /// [`FaultError`] for the first key that makes no sense.
    fn check(&self, select: &Self::Select) -> Result<(), FaultError>;

    /// Whether it happens to that request.
    fn matches(&self, select: &Self::Select, about: &Self::About) -> bool;
}

impl<K: Kind> Fault<K> {
    /// A fault of this kind, with every request.
    pub fn new(kind: K) -> Self {
        let (select, when) = (K::Select::default(), When::default());
        Self { kind, select, when }
    }

    /// Checks what the types alone do not say.
    ///
    /// # Errors
    ///
    /// [`FaultError`] for the first key that makes no sense.
    pub fn check(&self) -> Result<(), FaultError> {
        self.when.check()?;
        self.kind.check(&self.select)?;
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
impl<'de, K: Kind> Deserialize<'de> for Fault<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut kind = Map::<String, Value>::deserialize(deserializer)?;
        let select = take(&mut kind, K::KEYS);
        let when = take(&mut kind, &When::KEYS);
        let fault = Self {
            kind: K::deserialize(kind).map_err(D::Error::custom)?,
            select: K::Select::deserialize(select).map_err(D::Error::custom)?,
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
