// SPDX-License-Identifier: GPL-2.0

//! How all begins, begins anew, and ends.
//!
//! A host that has lost count of the balloon, or of which we have, is told that it ends, and forgets
//! it; all pages are freed; then it begins. In between nobody but the worker has a page of it: whoever
//! migrates one is told to come again, and nobody shrinks it.

use crate::{
    counters::Event,
    device::{
        Vmballoon,
        Worker, //
    },
    take::pop, //
};
use guest::{
    vmware::{
        Doorbell,
        Ring, //
    },
    work::periodic::Waker, //
};
use kernel::{
    pr_err_once,
    prelude::*,
    sync::Arc, //
};
use protocol::vmballoon::Capabilities;

/// Hears the doorbell.
pub(crate) struct Listener(Waker<Vmballoon>);

impl Ring for Listener {
    fn rung(&self) {
        let link = self.0.task().link();
        link.counters.add(Event::Doorbell, 1);
        self.0.wake();
    }
}

impl Vmballoon {
    /// Begins anew. If the host does not want to, the next run of the worker tries again.
    pub(crate) fn reset(&self, worker: &mut Worker, waker: &Waker<Self>) {
        self.hang_up(worker);
        let link = self.link();
        let Some(capabilities) = link.open() else {
            pr_err_once!("the host does not begin\n");
            return;
        };
        link.counters.add(Event::Reset, 1);
        if capabilities.contains(Capabilities::SIGNALLED) {
            worker.doorbell = self
                .make_doorbell(waker)
                .inspect_err(|_| pr_err_once!("no doorbell\n"))
                .ok();
        }
        let told = link.say(|port| port.tell_guest());
        if !told.is_some_and(|report| report.is_success()) {
            pr_err_once!("the host does not want to know what system this is\n");
        }
    }

    /// Ends for good.
    pub(crate) fn end(&self) {
        self.hang_up(&mut self.worker.lock());
    }

    fn hang_up(&self, worker: &mut Worker) {
        // Whoever shrinks the balloon has put back what he could not free.
        let _shrinking = self.shrinking.lock();
        let (link, balloon) = (self.link(), self.balloon());
        if let Some(doorbell) = worker.doorbell.take() {
            link.say(|port| port.set_doorbell(None));
            drop(doorbell);
        }
        if let Some(forgotten) = link.close(!balloon.is_empty()) {
            pop(balloon, &mut worker.tray.back, &forgotten);
        }
    }

    fn make_doorbell(&self, waker: &Waker<Self>) -> Result<Doorbell<Listener>> {
        let listener = Arc::new(Listener(waker.clone()), GFP_KERNEL)?;
        let doorbell = Doorbell::new(listener)?;
        let handle = doorbell.handle();
        let set = self.link().say(|port| port.set_doorbell(Some(handle)));
        match set {
            Some(report) if report.is_success() => Ok(doorbell),
            _ => Err(EIO),
        }
    }
}
