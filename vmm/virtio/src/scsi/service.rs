// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the thread of a request queue does.

use std::os::fd::RawFd;
use std::sync::Arc;

use hospes_device::worker::Service;
use hospes_scsi::Driver;

use super::request::Request;
use super::Shared;
use crate::fault::OfRequests as _;
use crate::queue::{Chain, VirtQueue};

/// Serves one request queue by way of a driver of the target.
pub(super) struct RequestService {
    shared: Arc<Shared>,
    driver: Driver,
    queue: Arc<VirtQueue>,
}

impl RequestService {
    pub(super) fn new(shared: Arc<Shared>, driver: Driver, queue: Arc<VirtQueue>) -> Self {
        Self {
            shared,
            driver,
            queue,
        }
    }

    fn begin(&mut self, chain: Chain) {
        let shared = &self.shared;
        let Some((request, command)) = Request::accept(chain, shared.space.field_sizes()) else {
            return;
        };
        if !shared.faulty.is_armed() {
            let complete = move |outcome| request.complete(outcome);
            return self.driver.submit(command, complete);
        }
        if shared.faulty.faults.has_lies() {
            // One is told of a request that has the queue to itself.
            self.driver.settle();
        }
        let faulted = shared.faulty.command(&self.queue, request, command);
        if let Some((request, command, delay)) = faulted {
            let complete = move |outcome| request.complete(outcome);
            self.driver.submit_after(command, delay, complete);
        }
    }
}

impl Service<VirtQueue> for RequestService {
    fn serve(&mut self, queue: &Arc<VirtQueue>) {
        queue.drain_with(self, Self::begin, |service| service.driver.flush());
    }

    fn sources(&self) -> Vec<RawFd> {
        self.driver.sources().collect()
    }

    /// What is done comes back together, with one interrupt where that will do.
    fn woken(&mut self) {
        let queue = self.queue.clone();
        if self.driver.has_work() {
            queue.together(|| self.driver.poll());
        }
    }

    fn settle(&mut self) {
        self.driver.settle();
    }
}
