// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Answers that come late.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::thread::{self, Role};

/// Later than this is as good as never.
const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// Something to do later. Dropping it without doing it must be harmless.
type Answer = Box<dyn FnOnce() + Send>;

/// A thread that does things later. It is started when the first is expected
/// and ends when this is dropped, with what waits left undone.
#[derive(Default)]
pub struct Late {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Held while something is done. Taken with `state` locked.
    busy: Mutex<()>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<(Instant, u64), Answer>,
    next: u64,
    paused: bool,
    stopping: bool,
}

impl Late {
    /// Starts the thread if there is none yet.
    ///
    /// # Errors
    ///
    /// Whatever keeps a thread from being started.
    pub fn start(&self) -> io::Result<()> {
        let mut handle = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if handle.is_none() {
            let shared = Arc::clone(&self.shared);
            *handle = Some(thread::spawn(Role::Device, "fault-late", move || {
                shared.run()
            })?);
        }
        Ok(())
    }

    /// Does `answer` after `delay`.
    pub fn after(&self, delay: Duration, answer: impl FnOnce() + Send + 'static) {
        let now = Instant::now();
        let when = now.checked_add(delay.min(MAX_DELAY)).unwrap_or(now);
        let mut state = self.shared.lock();
        let sequence = state.next;
        state.next = sequence.wrapping_add(1);
        state.waiting.insert((when, sequence), Box::new(answer));
        self.shared.changed.notify_one();
    }

    /// Does nothing for a while; what is being done is waited for. What becomes
    /// due meanwhile is done at once afterwards.
    pub fn set_paused(&self, paused: bool) {
        self.shared.lock().paused = paused;
        self.shared.changed.notify_one();
        drop(self.shared.busy.lock());
    }

    /// Drops what waits. One that is being done right now may still be.
    pub fn release(&self) {
        let waiting = std::mem::take(&mut self.shared.lock().waiting);
        drop(waiting);
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_one();
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of late answers panicked");
        }
        self.release();
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.lock();
        while !state.stopping {
            let now = Instant::now();
            let first = state.waiting.first_key_value().map(|((when, _), _)| *when);
            state = match first.filter(|_| !state.paused) {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(when) if when > now => {
                    let left = when.saturating_duration_since(now);
                    let woken = self.changed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => self.do_first(state),
            };
        }
    }

    fn do_first<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let due = state.waiting.pop_first();
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        drop(state);
        if let Some((_, answer)) = due {
            answer();
        }
        drop(busy);
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
