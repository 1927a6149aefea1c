// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Serving queues on the caller's thread: for fuzzing, where a thread for each
//! of many thousand runs a second would be too much.

use std::sync::Arc;

use protocol::virtio_scsi::{CONTROL_QUEUE, EVENT_QUEUE};

use super::control::{self, Control};
use super::request::Request;
use super::{ScsiHost, Shared};
use crate::queue::{Chain, VirtQueue};

impl ScsiHost {
    /// Serves all that is in a queue, for a driver that accepted `features`.
    /// The host must not run.
    pub fn serve_here(&self, queue: &Arc<VirtQueue>, features: u64) {
        let shared = &self.shared;
        shared.space.start(features);
        match queue.index() {
            CONTROL_QUEUE => {
                let control = Control {
                    requests: &[],
                    target: &shared.target,
                    counters: &shared.control,
                    faulty: &shared.faulty,
                };
                queue.drain(|chain| control::serve(chain, &control));
            }
            EVENT_QUEUE => {
                shared.events.start(Some(queue.clone()), features);
                shared.events.buffers_posted();
            }
            _ => queue.drain(|chain| shared.request_here(queue, chain)),
        }
    }
}

impl Shared {
    fn request_here(&self, queue: &VirtQueue, chain: Chain) {
        let Some((request, command)) = Request::accept(chain, self.space.field_sizes()) else {
            return;
        };
        let Some(lane) = self.lanes.first() else {
            return;
        };
        if let Some((request, command, delay)) = self.faulty.command(queue, request, command) {
            lane.submit_after(command, delay, move |outcome| request.complete(outcome));
        }
    }
}
