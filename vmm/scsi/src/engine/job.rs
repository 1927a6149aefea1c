// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A command that has to wait for its medium.

use std::fs::File;
use std::io;
use std::sync::Arc;

use hospes_device::memory::SgList;

use crate::backing::Incomplete;
use crate::command::{BoxedCompletion, Command, Completion, Failure, Outcome};
use crate::dispatch;
use crate::tasks::{Running, TaskId};
use crate::unit::{Io, Operation, Plan, Unit};

/// A command of a unit, on its way through the engine.
///
/// # Invariants
///
/// `access` is an access that the device server asked for and was not yet told
/// the end of. It is told before the command completes, whatever happens.
pub(crate) struct Job {
    unit: Arc<Unit>,
    command: Command,
    access: Option<Io>,
    /// How many bytes of the access are done.
    done: u64,
    completion: Option<Completion<BoxedCompletion>>,
    /// The last to go: task management waits for that.
    running: Running,
}

impl Job {
    pub(crate) fn new(
        unit: Arc<Unit>,
        command: Command,
        completion: Completion<BoxedCompletion>,
        running: Running,
    ) -> Self {
        Self {
            unit,
            command,
            access: None,
            done: 0,
            completion: Some(completion),
            running,
        }
    }

    pub(crate) fn id(&self) -> TaskId {
        TaskId::of(&self.command)
    }

    pub(crate) fn unit(&self) -> &Arc<Unit> {
        &self.unit
    }

    pub(crate) fn command(&self) -> &Command {
        &self.command
    }

    /// How task management wants the command to end, if it does.
    pub(crate) fn wanted_end(&self) -> Option<Outcome> {
        self.running.end()
    }

    /// Begins an access, of which `done` bytes are done.
    pub(crate) fn begin(&mut self, access: Io, done: u64) {
        self.access = Some(access);
        self.done = done;
    }

    /// The access that is under way, and how many bytes of it are done.
    pub(crate) fn access(&self) -> Option<(Io, u64)> {
        self.access.map(|access| (access, self.done))
    }

    /// The file of the medium, if accesses can be made to that directly.
    pub(crate) fn file(&self) -> Option<&File> {
        self.unit.server.medium()?.file()
    }

    /// Takes out the buffer of the access under way.
    pub(crate) fn take_list(&mut self) -> SgList {
        match self.buffer() {
            Some(buffer) => std::mem::take(buffer),
            None => SgList::empty(),
        }
    }

    /// Puts that back.
    pub(crate) fn return_list(&mut self, list: SgList) {
        if let Some(buffer) = self.buffer() {
            *buffer = list;
        }
    }

    fn buffer(&mut self) -> Option<&mut SgList> {
        match self.access?.operation {
            Operation::Read => Some(&mut self.command.data_in),
            Operation::Write(_) => Some(&mut self.command.data_out),
            Operation::Flush => None,
        }
    }

    /// Takes note of the result of one call for the access under way. If that
    /// was all of it, returns what came of it.
    pub(crate) fn progress(&mut self, result: io::Result<u64>) -> Option<Result<(), Incomplete>> {
        let Some(access) = self.access else {
            return Some(Ok(()));
        };
        let nothing = match access.operation {
            Operation::Flush => return Some(result.map(|_| ()).map_err(Incomplete::from)),
            Operation::Read => io::ErrorKind::UnexpectedEof,
            Operation::Write(_) => io::ErrorKind::WriteZero,
        };
        let incomplete = |error| {
            let transferred = self.done;
            Some(Err(Incomplete { transferred, error }))
        };
        match result {
            Ok(0) => incomplete(nothing.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => incomplete(error),
            Ok(count) => {
                self.done = self.done.saturating_add(count);
                (self.done >= access.len).then_some(Ok(()))
            }
        }
    }

    /// Tells the device server the end of the access under way.
    pub(crate) fn finish_access(
        &mut self,
        result: Result<(), Incomplete>,
    ) -> Result<Plan, Failure> {
        match self.access.take() {
            Some(access) => dispatch::finish(&self.unit, &self.command, &access, result),
            // Nobody calls this without an access.
            None => Err(Failure::Ended(Outcome::Failed)),
        }
    }

    /// The access under way waits for a thread that makes it. Returns what that
    /// thread has to do.
    pub(crate) fn defer(&mut self) -> Plan {
        let Some(access) = self.access.take() else {
            return Plan::Blocking;
        };
        let plan = self.unit.server.defer(access);
        if let Plan::Io(access) = plan {
            self.begin(access, 0);
        }
        plan
    }

    /// Carries out the rest of the command, and waits for all that it takes.
    pub(crate) fn run(mut self, plan: Plan) {
        if let Some(outcome) = self.wanted_end() {
            return self.end(outcome);
        }
        // From here on, the access is told the end of where it is made.
        self.access = None;
        let result = dispatch::run(Some(&self.unit), &self.command, Ok(plan));
        self.complete(result);
    }

    /// The command was carried out.
    pub(crate) fn complete(mut self, result: Result<u64, Failure>) {
        let outcome = dispatch::outcome(Some(&self.unit), &self.command, result);
        self.call(outcome);
    }

    /// The command is not carried out any more.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.unit.counters.aborted.inc();
        self.give_up_access();
        self.call(outcome);
    }

    fn give_up_access(&mut self) {
        if self.access.is_some() {
            let cancelled = io::Error::from_raw_os_error(libc::ECANCELED);
            let transferred = self.done;
            let _ = self.finish_access(Err(Incomplete {
                transferred,
                error: cancelled,
            }));
        }
    }

    fn call(&mut self, outcome: Outcome) {
        if let Some(completion) = self.completion.take() {
            completion.complete(outcome);
        }
    }
}

impl Drop for Job {
    /// Keeps the invariant where a job is dropped by a panic.
    fn drop(&mut self) {
        self.give_up_access();
    }
}
