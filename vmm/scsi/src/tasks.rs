// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that a queue works on.
//!
//! Each queue has a list of its own, so that its lock is contended only by task
//! management. That marks the commands it is to end, wakes the queue, and waits
//! here until nothing of them touches guest memory any more. The list also
//! knows the order in which commands came, and so which of them have to wait
//! for others.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use protocol::scsi::lun::Lun;
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

use crate::command::{Command, Outcome, TaskAttribute};

/// What names a command to task management.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskId {
    pub(crate) target: u8,
    pub(crate) lun: Lun,
    pub(crate) tag: u64,
}

impl TaskId {
    pub(crate) fn of(command: &Command) -> Self {
        Self {
            target: command.target,
            lun: command.lun,
            tag: command.tag,
        }
    }

    fn is_same_unit(&self, other: &Self) -> bool {
        self.target == other.target && self.lun == other.lun
    }
}

/// The commands that a task management function concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Task(TaskId),
    Unit { target: u8, lun: Lun },
    Target(u8),
    All,
}

impl Scope {
    pub(crate) fn contains(&self, id: &TaskId) -> bool {
        match self {
            Self::Task(task) => task == id,
            Self::Unit { target, lun } => *target == id.target && *lun == id.lun,
            Self::Target(target) => *target == id.target,
            Self::All => true,
        }
    }
}

/// The commands that a queue, or the timer, works on.
#[derive(Debug, Default)]
pub(crate) struct TaskList {
    state: Mutex<State>,
    left: Condvar,
    /// How many of them are to be ended.
    marked: AtomicUsize,
    /// Whether the thread of the queue is wanted.
    called: AtomicBool,
    /// Wakes the thread of the queue, if it has one that sleeps.
    waker: OnceLock<EventFd>,
}

#[derive(Debug, Default)]
struct State {
    tasks: Vec<Entry>,
    next_sequence: u64,
    /// How many of the tasks have the ordered attribute.
    ordered: usize,
    /// Threads to tell of each command that leaves.
    waiters: usize,
    /// Whether the queue's own thread has commands that wait for others.
    holding: bool,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    id: TaskId,
    attribute: TaskAttribute,
    /// How task management wants it to end.
    end: Option<Outcome>,
}

impl TaskList {
    /// Notes that there is a command until what is returned is dropped.
    pub(crate) fn enter(self: &Arc<Self>, id: TaskId, attribute: TaskAttribute) -> Running {
        let mut state = self.lock();
        let sequence = state.next_sequence;
        state.next_sequence = sequence.wrapping_add(1);
        if attribute == TaskAttribute::Ordered {
            state.ordered = state.ordered.saturating_add(1);
        }
        let has_to_wait = state.has_to_wait(sequence, &id, attribute);
        state.tasks.push(Entry {
            sequence,
            id,
            attribute,
            end: None,
        });
        Running {
            list: Arc::clone(self),
            sequence,
            has_to_wait,
        }
    }

    /// Whether there is a command of that scope.
    pub(crate) fn contains(&self, scope: Scope) -> bool {
        self.lock()
            .tasks
            .iter()
            .any(|task| scope.contains(&task.id))
    }

    /// Asks for all commands of that scope to end as soon as they can, in that
    /// way. The first to ask has it its way.
    pub(crate) fn mark(&self, scope: Scope, outcome: Outcome) {
        let mut state = self.lock();
        let concerned = |task: &&mut Entry| task.end.is_none() && scope.contains(&task.id);
        let marked = state
            .tasks
            .iter_mut()
            .filter(concerned)
            .map(|task| task.end = Some(outcome))
            .count();
        self.marked.fetch_add(marked, Ordering::Release);
        drop(state);
        if marked > 0 {
            self.wake();
        }
    }

    /// Whether commands are to be ended.
    pub(crate) fn has_marked(&self) -> bool {
        self.marked.load(Ordering::Acquire) > 0
    }

    /// Waits for those commands of that scope that are there now. Commands that
    /// come later are not waited for.
    pub(crate) fn wait(&self, scope: Scope) {
        self.wait_until(scope, None);
    }

    /// The same, no longer than `until`, if that is given. Says whether all of them have left.
    pub(crate) fn wait_until(&self, scope: Scope, until: Option<Instant>) -> bool {
        let limit = self.lock().next_sequence;
        let is_concerned = |task: &Entry| task.sequence < limit && scope.contains(&task.id);
        self.wait_while(is_concerned, until)
    }

    /// Waits for one of the present commands to leave.
    pub(crate) fn wait_for_any(&self) {
        let present: Vec<_> = self.lock().tasks.iter().map(|task| task.sequence).collect();
        let mut state = self.lock();
        state.waiters = state.waiters.saturating_add(1);
        let all_there = |state: &State| {
            let is_there = |sequence| state.tasks.iter().any(|task| task.sequence == sequence);
            present.iter().all(|sequence| is_there(*sequence))
        };
        while !present.is_empty() && all_there(&state) {
            state = self.sleep(state);
        }
        state.waiters = state.waiters.saturating_sub(1);
    }

    fn wait_while(&self, is_concerned: impl Fn(&Entry) -> bool, until: Option<Instant>) -> bool {
        let mut state = self.lock();
        state.waiters = state.waiters.saturating_add(1);
        let mut are_there = state.tasks.iter().any(&is_concerned);
        while are_there {
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.sleep(state),
                Some(Duration::ZERO) => break,
                Some(left) => {
                    let woken = self.left.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            are_there = state.tasks.iter().any(&is_concerned);
        }
        state.waiters = state.waiters.saturating_sub(1);
        !are_there
    }

    /// Says whether the queue's thread has commands that wait for others, and
    /// so has to be woken when one leaves.
    pub(crate) fn set_holding(&self, holding: bool) {
        self.lock().holding = holding;
    }

    /// The event that says that the queue's thread is wanted.
    pub(crate) fn waker(&self) -> io::Result<&EventFd> {
        if self.waker.get().is_none() {
            // If another thread was quicker, this one is closed again.
            let _ = self.waker.set(EventFd::new(EFD_NONBLOCK)?);
        }
        self.waker.get().ok_or_else(|| io::ErrorKind::Other.into())
    }

    /// Whether the queue's thread is wanted.
    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }

    /// The queue's thread is there.
    pub(crate) fn answer_call(&self) {
        if self.called.swap(false, Ordering::AcqRel) {
            let _ = self.waker.get().map(EventFd::read);
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            // Only a counter that is about to overflow says no, and then the
            // thread is going to wake up anyway.
            let _ = waker.write(1);
        }
        // After the event, so that no event is left that nobody reads.
        self.called.store(true, Ordering::Release);
    }

    fn leave(&self, sequence: u64) {
        let mut state = self.lock();
        // The newest are last, and seldom is there more than one.
        let Some(at) = state
            .tasks
            .iter()
            .rposition(|task| task.sequence == sequence)
        else {
            return;
        };
        let task = state.tasks.swap_remove(at);
        if task.attribute == TaskAttribute::Ordered {
            state.ordered = state.ordered.saturating_sub(1);
        }
        if task.end.is_some() {
            self.marked.fetch_sub(1, Ordering::Release);
        }
        if state.waiters > 0 {
            self.left.notify_all();
        }
        if state.holding {
            self.wake();
        }
    }

    fn sleep<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.left
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a command has to wait for earlier ones of its unit: an ordered
    /// one for all, others for ordered ones (SAM-5, section 8.6).
    fn has_to_wait(&self, sequence: u64, id: &TaskId, attribute: TaskAttribute) -> bool {
        if self.ordered == 0 || attribute == TaskAttribute::HeadOfQueue {
            return false;
        }
        let is_ordered = attribute == TaskAttribute::Ordered;
        self.tasks.iter().any(|task| {
            task.sequence < sequence
                && task.id.is_same_unit(id)
                && (is_ordered || task.attribute == TaskAttribute::Ordered)
        })
    }
}

/// A command that a queue works on.
#[derive(Debug)]
#[must_use = "the command counts as there only while this is held"]
pub(crate) struct Running {
    list: Arc<TaskList>,
    sequence: u64,
    /// Whether it had to wait for others when it came.
    pub(crate) has_to_wait: bool,
}

impl Running {
    /// How task management wants the command to end, if it does.
    pub(crate) fn end(&self) -> Option<Outcome> {
        if !self.list.has_marked() {
            return None;
        }
        self.look(|_, task| task.end).flatten()
    }

    /// Whether the command still has to wait for others.
    pub(crate) fn still_has_to_wait(&self) -> bool {
        let waits = |state: &State, task: &Entry| {
            state.has_to_wait(task.sequence, &task.id, task.attribute)
        };
        self.look(waits).unwrap_or(false)
    }

    fn look<T>(&self, at: impl FnOnce(&State, &Entry) -> T) -> Option<T> {
        let state = self.list.lock();
        let found = state
            .tasks
            .iter()
            .find(|task| task.sequence == self.sequence);
        found.map(|task| at(&state, task))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.list.leave(self.sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(lun: u16) -> TaskId {
        TaskId {
            target: 0,
            lun: Lun::Unit(lun),
            tag: 1,
        }
    }

    #[test]
    fn ordered_commands_wait_for_earlier_ones_and_hold_up_later_ones() {
        let list = Arc::new(TaskList::default());
        let first = list.enter(id(0), TaskAttribute::Simple);
        let ordered = list.enter(id(0), TaskAttribute::Ordered);
        let other_unit = list.enter(id(1), TaskAttribute::Ordered);
        let urgent = list.enter(id(0), TaskAttribute::HeadOfQueue);
        let later = list.enter(id(0), TaskAttribute::Simple);
        let waits = [&first, &ordered, &other_unit, &urgent, &later].map(|each| each.has_to_wait);
        assert_eq!(waits, [false, true, false, false, true]);
        drop(first);
        assert!(!ordered.still_has_to_wait());
        assert!(later.still_has_to_wait());
        drop(ordered);
        assert!(!later.still_has_to_wait());
    }

    #[test]
    fn only_what_is_concerned_is_marked_and_only_once() {
        let list = Arc::new(TaskList::default());
        let tasks = [0, 1].map(|lun| list.enter(id(lun), TaskAttribute::Simple));
        let lun = Lun::Unit(1);
        list.mark(Scope::Unit { target: 0, lun }, Outcome::Aborted);
        list.mark(Scope::Task(id(1)), Outcome::Reset);
        assert_eq!(
            tasks.each_ref().map(Running::end),
            [None, Some(Outcome::Aborted)]
        );
        drop(tasks);
        assert!(!list.has_marked());
    }
}
