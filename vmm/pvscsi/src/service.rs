// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the thread of an adapter does: takes requests, and has the target execute
//! them.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use hospes_device::worker::Service;
use hospes_scsi::fault::disarm;
use hospes_scsi::{Command, Driver, Outcome, Queue};
use protocol::pvscsi::ring::offset;
use protocol::pvscsi::{HostStatus, RequestDescriptor};

use crate::fault::{self, Fate};
use crate::port::Port;
use crate::request::Request;

/// What executes commands.
pub(crate) trait Executor {
    /// Begins a command, `extra` later than its unit would; `complete` is called once with
    /// what came of it.
    fn submit(
        &mut self,
        command: Command,
        extra: Duration,
        complete: impl FnOnce(Outcome) + Send + 'static,
    );

    /// Begins what has been put off.
    fn flush(&mut self);
}

impl Executor for Driver {
    fn submit(
        &mut self,
        command: Command,
        extra: Duration,
        complete: impl FnOnce(Outcome) + Send + 'static,
    ) {
        self.submit_after(command, extra, complete);
    }

    fn flush(&mut self) {
        Driver::flush(self);
    }
}

/// On the thread that calls.
impl Executor for Queue {
    fn submit(
        &mut self,
        command: Command,
        extra: Duration,
        complete: impl FnOnce(Outcome) + Send + 'static,
    ) {
        self.submit_after(command, extra, complete);
    }

    fn flush(&mut self) {}
}

/// The requests that were not taken yet.
pub(crate) struct Intake<E> {
    port: Arc<Port>,
    pub(crate) executor: E,
    consumed: u32,
}

impl<E: Executor> Intake<E> {
    pub(crate) fn new(port: Arc<Port>, executor: E) -> Self {
        Self {
            port,
            executor,
            consumed: 0,
        }
    }

    /// Takes requests until there is none.
    pub(crate) fn drain(&mut self) {
        let port = self.port.clone();
        port.together(|| loop {
            let turn = port.begin_turn();
            let is_stuck = !self.take();
            self.executor.flush();
            port.end_turn(turn);
            if is_stuck || port.is_closed() || self.available() == Some(0) {
                return;
            }
        });
    }

    /// Takes what is there now; false if nothing more can be taken for now.
    fn take(&mut self) -> bool {
        let Some(available) = self.available() else {
            return false;
        };
        let mut is_stuck = false;
        for _ in 0..available {
            let rings = &self.port.rings;
            let entry = rings.requests.read(&rings.memory, self.consumed);
            let descriptor = entry.filter(|_| !self.port.is_closed() && self.port.begin());
            let Some(descriptor) = descriptor else {
                is_stuck = true;
                break;
            };
            self.consumed = self.consumed.wrapping_add(1);
            self.execute(&descriptor);
        }
        (self.port.rings).store(offset::REQUEST_CONSUMED, self.consumed);
        !is_stuck
    }

    /// How many requests are there; `None` if the guest says what cannot be.
    fn available(&self) -> Option<u32> {
        let rings = &self.port.rings;
        let produced = rings.load(offset::REQUEST_PRODUCED);
        (rings.requests.entries.used(produced, self.consumed))
            .inspect_err(|error| self.port.fail(&format!("the request ring: {error:?}")))
            .ok()
    }

    fn execute(&mut self, descriptor: &RequestDescriptor) {
        let counters = &self.port.record.counters;
        counters.requests.inc();
        let request = Request::new(self.port.clone(), descriptor);
        let fate = fault::fate(&self.port.record.faults, descriptor);
        match request.command(descriptor) {
            Ok(Some(command)) => match fate {
                None => self.submit(request, command, Duration::ZERO),
                Some(fate) => self.submit_wrongly(request, command, *fate),
            },
            Ok(None) => request.fail(HostStatus::SELECTION_TIMEOUT),
            Err(why) => {
                counters.malformed.inc();
                let record = self.port.record.clone();
                record.warn(&format!("a request makes no sense: {why}"));
                request.fail(HostStatus::INVALID_PARAMETER);
            }
        }
    }
}

impl<E: Executor> Intake<E> {
    fn submit(&mut self, request: Request, command: Command, extra: Duration) {
        let complete = move |outcome| request.complete(outcome);
        self.executor.submit(command, extra, complete);
    }

    #[cold]
    fn submit_wrongly(&mut self, mut request: Request, mut command: Command, fate: Fate) {
        if fate.is_dropped {
            match self.port.keep(request) {
                None => return,
                Some(back) => request = back,
            }
        }
        if fate.wrong.is_instead() {
            disarm(&mut command);
        }
        request.go_wrong(fate.wrong);
        self.submit(request, command, fate.delay);
    }
}

impl Service<Port> for Intake<Driver> {
    fn serve(&mut self, port: &Arc<Port>) {
        port.flush_waiting_messages();
        self.drain();
    }

    fn sources(&self) -> Vec<RawFd> {
        self.executor.sources().collect()
    }

    /// What is done comes back together, with one interrupt where that will do.
    fn woken(&mut self) {
        let port = self.port.clone();
        port.flush_waiting_messages();
        if self.executor.has_work() {
            port.together(|| self.executor.poll());
        }
    }

    fn settle(&mut self) {
        self.executor.settle();
    }
}
