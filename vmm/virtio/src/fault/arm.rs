// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The faults of one device.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

use super::kind::Subject;
use super::{About, Fault, FaultError, FaultKind, Random};

/// Most faults at a time.
const MAX_FAULTS: usize = 256;

/// A fault and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultStatus {
    /// What [`Faults::clear`] calls it.
    pub id: u64,
    /// The fault.
    pub fault: Fault,
    /// Requests that it was for.
    pub seen: u64,
    /// How often it happened.
    pub injected: u64,
}

/// The faults of one device.
#[derive(Default)]
pub struct Faults {
    /// Whether any fault is armed. The only thing that is looked at while not.
    armed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    faults: Vec<Armed>,
    next_id: u64,
    /// How often each kind happened, since the device is there.
    injected: BTreeMap<&'static str, u64>,
}

struct Armed {
    status: FaultStatus,
    random: Random,
}

/// What happens to a request: a kind of fault, and a seed for what is random.
pub type Effect = (FaultKind, Random);

impl Faults {
    /// Arms a fault; returns its id.
    ///
    /// # Errors
    ///
    /// Those of [`Fault::check`], and [`FaultError::TooMany`].
    pub fn arm(&self, fault: Fault) -> Result<u64, FaultError> {
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
    pub fn note(&self, kind: &FaultKind) -> u64 {
        let mut state = self.lock();
        state.count(kind);
        state.next_id()
    }

    /// The armed faults.
    pub fn list(&self) -> Vec<FaultStatus> {
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

    /// What happens to a command, and to its completion.
    pub fn of_command(&self, about: &About) -> Vec<Effect> {
        self.pick(about, &[Subject::Command, Subject::Completion])
    }

    /// What happens to a task management function.
    pub fn of_function(&self, about: &About) -> Vec<Effect> {
        self.pick(about, &[Subject::TaskManagement])
    }

    /// What happens to a completion of a queue that has no commands.
    pub fn of_completion(&self, about: &About) -> Vec<Effect> {
        self.pick(about, &[Subject::Completion])
    }

    /// Whether a [lie](FaultKind::is_lie) is armed.
    pub fn has_lies(&self) -> bool {
        let is_lie = |armed: &Armed| armed.status.fault.kind.is_lie();
        self.is_armed() && self.lock().faults.iter().any(is_lie)
    }

    /// The settings that configuration fields are overridden with.
    pub fn of_config(&self) -> Vec<FaultKind> {
        if !self.is_armed() {
            return Vec::new();
        }
        let state = self.lock();
        let kinds = state.faults.iter().map(|armed| &armed.status.fault.kind);
        kinds
            .filter(|kind| matches!(kind, FaultKind::Config { .. }))
            .cloned()
            .collect()
    }

    /// How often each kind happened.
    pub fn counters(&self) -> Value {
        serde_json::to_value(&self.lock().injected).unwrap_or_default()
    }

    fn pick(&self, about: &About, subjects: &[Subject]) -> Vec<Effect> {
        if !self.is_armed() {
            return Vec::new();
        }
        let mut state = self.lock();
        let mut effects = Vec::new();
        for armed in &mut state.faults {
            if subjects.contains(&armed.status.fault.kind.subject()) {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    fn count(&mut self, kind: &FaultKind) {
        let count = self.injected.entry(kind.name()).or_default();
        *count = count.saturating_add(1);
    }
}

impl Armed {
    fn pick(&mut self, about: &About) -> Option<Effect> {
        let FaultStatus {
            fault,
            seen,
            injected,
            ..
        } = &mut self.status;
        if !fault.select.matches(&fault.kind, about) {
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
