// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The faults of one device.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

use super::{Fault, FaultError, Kind, Random};

/// Most faults at a time.
const MAX_FAULTS: usize = 256;

/// A fault and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultStatus<K: Kind> {
    /// What [`Faults::clear`] calls it.
    pub id: u64,
    /// The fault.
    pub fault: Fault<K>,
    /// Requests that it was for.
    pub seen: u64,
    /// How often it happened.
    pub injected: u64,
}

/// The faults of one device.
pub struct Faults<K: Kind> {
    /// Whether any fault is armed. The only thing that is looked at while not.
    armed: AtomicBool,
    state: Mutex<State<K>>,
}

struct State<K: Kind> {
    faults: Vec<Armed<K>>,
    next_id: u64,
    /// How often each kind happened, since the device is there.
    injected: BTreeMap<&'static str, u64>,
}

struct Armed<K: Kind> {
    status: FaultStatus<K>,
    random: Random,
}

/// What happens to a request: a kind of fault, and a seed for what is random.
pub type Effect<K> = (K, Random);

impl<K: Kind> Default for Faults<K> {
    fn default() -> Self {
        let state = State {
            faults: Vec::new(),
            next_id: 0,
            injected: BTreeMap::new(),
        };
        Self {
            armed: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }
}

impl<K: Kind> Faults<K> {
    /// Arms a fault; returns its id.
    ///
    /// # Errors
    ///
    /// Those of [`Fault::check`], and [`FaultError::TooMany`].
    pub fn arm(&self, fault: Fault<K>) -> Result<u64, FaultError> {
        fault.check()?;
        let mut state = self.lock();
        if state.faults.len() >= MAX_FAULTS {
            return Err(FaultError::TooMany(state.faults.len()));
        }
        let id = state.next_id();
        let random = Random::new(fault.when.seed);
        let status = FaultStatus {
            id,
            fault,
            seen: 0,
            injected: 0,
        };
        state.faults.push(Armed { status, random });
        self.armed.store(true, Ordering::Relaxed);
        Ok(id)
    }

    /// Counts a fault that happened at once; returns its id.
    pub fn note(&self, kind: &K) -> u64 {
        let mut state = self.lock();
        state.count(kind);
        state.next_id()
    }

    /// The armed faults.
    pub fn list(&self) -> Vec<FaultStatus<K>> {
        let state = self.lock();
        state
            .faults
            .iter()
            .map(|armed| armed.status.clone())
            .collect()
    }

    /// Disarms a fault; false if there is none with that id.
    pub fn clear(&self, id: u64) -> bool {
        let mut state = self.lock();
        let before = state.faults.len();
        state.faults.retain(|armed| armed.status.id != id);
        self.armed
            .store(!state.faults.is_empty(), Ordering::Relaxed);
        state.faults.len() != before
    }

    /// Disarms every fault.
    pub fn clear_all(&self) {
        let mut state = self.lock();
        state.faults.clear();
        self.armed.store(false, Ordering::Relaxed);
    }

    /// Whether there is anything to ask for.
    pub fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// The armed kinds that are like that.
    pub fn kinds(&self, are: impl Fn(&K) -> bool) -> Vec<K> {
        if !self.is_armed() {
            return Vec::new();
        }
        let state = self.lock();
        let kinds = state.faults.iter().map(|armed| &armed.status.fault.kind);
        kinds.filter(|kind| are(kind)).cloned().collect()
    }

    /// How often each kind happened.
    pub fn counters(&self) -> Value {
        serde_json::to_value(&self.lock().injected).unwrap_or_default()
    }

    /// What happens to a request, of those kinds that are `asked` for.
    pub fn pick(&self, about: &K::About, asked: impl Fn(&K) -> bool) -> Vec<Effect<K>> {
        if !self.is_armed() {
            return Vec::new();
        }
        let mut state = self.lock();
        let mut effects = Vec::new();
        for armed in &mut state.faults {
            if asked(&armed.status.fault.kind) {
                effects.extend(armed.pick(about));
            }
        }
        for (kind, _) in &effects {
            state.count(kind);
        }
        state.faults.retain(|armed| !armed.is_over());
        self.armed
            .store(!state.faults.is_empty(), Ordering::Relaxed);
        effects
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Kind> State<K> {
    fn next_id(&mut self) -> u64 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    fn count(&mut self, kind: &K) {
        let count = self.injected.entry(kind.name()).or_default();
        *count = count.saturating_add(1);
    }
}

impl<K: Kind> Armed<K> {
    fn pick(&mut self, about: &K::About) -> Option<Effect<K>> {
        let FaultStatus {
            fault,
            seen,
            injected,
            ..
        } = &mut self.status;
        if !fault.kind.matches(&fault.select, about) {
            return None;
        }
        let is_now = fault.when.is_now(*seen, *injected, &mut self.random);
        *seen = seen.saturating_add(1);
        if !is_now {
            return None;
        }
        *injected = injected.saturating_add(1);
        let random = Random::new(self.random.next_u64());
        Some((fault.kind.clone(), random))
    }

    fn is_over(&self) -> bool {
        self.status.fault.when.is_over(self.status.injected)
    }
}
