// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Where vCPUs wait while the machine is paused.
//!
//! Each vCPU passes the [`Gate`] before it enters the guest. To pause, the gate
//! is closed and vCPUs are kicked out of the guest until all of them wait here.
//! A vCPU that is busy in user space, with a device's reset for example,
//! arrives when it is done; until then the machine is pausing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a vCPU waits before it looks at the stop flag again.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// Whether vCPUs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// They do.
    Open,
    /// Some still do, but will not enter the guest again.
    Closing,
    /// None does.
    Closed,
}

/// Whether a vCPU had to wait at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It went straight through.
    No,
    /// It was held up, and its guest has to be told.
    Yes,
}

#[derive(Default)]
struct State {
    vcpus: usize,
    waiting: usize,
}

/// The gate of one machine.
#[derive(Default)]
pub struct Gate {
    closed: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

/// A vCPU that may come to the gate.
pub struct Visitor<'a>(&'a Gate);

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.vcpus = state.vcpus.saturating_sub(1);
        self.0.changed.notify_all();
    }
}

impl Gate {
    /// Announces a vCPU, for as long as the result lives.
    pub fn visitor(&self) -> Visitor<'_> {
        let mut state = self.lock();
        state.vcpus = state.vcpus.saturating_add(1);
        Visitor(self)
    }

    /// Waits while the gate is closed, but not once `stop` is set.
    pub fn pass(&self, stop: &AtomicBool) -> Waited {
        if !self.closed.load(Ordering::Acquire) {
            return Waited::No;
        }
        let mut state = self.lock();
        state.waiting = state.waiting.saturating_add(1);
        self.changed.notify_all();
        while self.closed.load(Ordering::Acquire) && !stop.load(Ordering::Acquire) {
            let result = self.changed.wait_timeout(state, STOP_INTERVAL);
            state = result.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting = state.waiting.saturating_sub(1);
        Waited::Yes
    }

    /// Lets no vCPU enter the guest any more.
    pub fn close(&self) {
        let _state = self.lock();
        self.closed.store(true, Ordering::Release);
    }

    /// Lets them all go on.
    pub fn open(&self) {
        let _state = self.lock();
        self.closed.store(false, Ordering::Release);
        self.changed.notify_all();
    }

    /// How it is now.
    pub fn passage(&self) -> Passage {
        self.of(&self.lock())
    }

    /// Waits until all vCPUs are here, or for `limit`.
    pub fn wait_closed(&self, limit: Duration) -> Passage {
        let busy = |state: &mut State| self.of(state) == Passage::Closing;
        let result = self
            .changed
            .wait_timeout_while(self.lock(), limit, busy)
            .unwrap_or_else(PoisonError::into_inner);
        self.of(&result.0)
    }

    fn of(&self, state: &State) -> Passage {
        match (self.closed.load(Ordering::Acquire), state) {
            (false, _) => Passage::Open,
            (true, state) if state.waiting < state.vcpus => Passage::Closing,
            (true, _) => Passage::Closed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::thread;

    /// A long time, for what is going to happen.
    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn vcpus_stop_at_a_closed_gate_and_go_on() {
        let (gate, stop, rounds) = (Gate::default(), AtomicBool::new(false), AtomicU64::new(0));
        assert_eq!(gate.passage(), Passage::Open);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let _visitor = gate.visitor();
                    while !stop.load(Ordering::Acquire) {
                        gate.pass(&stop);
                        rounds.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                    }
                });
            }
            for _ in 0..5 {
                while rounds.swap(0, Ordering::SeqCst) == 0 {
                    thread::yield_now();
                }
                gate.close();
                gate.close();
                assert_eq!(gate.wait_closed(LIMIT), Passage::Closed);
                let before = rounds.load(Ordering::SeqCst);
                thread::yield_now();
                assert_eq!(rounds.load(Ordering::SeqCst), before);
                gate.open();
            }
            gate.close();
            assert_eq!(gate.wait_closed(LIMIT), Passage::Closed);
            stop.store(true, Ordering::Release);
        });
        assert_eq!(
            gate.passage(),
            Passage::Closed,
            "no vCPU is left to wait for"
        );
    }

    #[test]
    fn a_busy_vcpu_is_waited_for() {
        let gate = Gate::default();
        let _busy = gate.visitor();
        gate.close();
        assert_eq!(gate.wait_closed(Duration::ZERO), Passage::Closing);
    }
}
