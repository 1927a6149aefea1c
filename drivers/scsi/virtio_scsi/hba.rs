// SPDX-License-Identifier: GPL-2.0

//! The adapter: its queues, and what their interrupts do.

use crate::{
    command,
    event::{
        EventQueue,
        Events, //
    },
    task::ControlQueue, //
};
use guest::{
    counters::Counted,
    ratelimit::RateLimit,
    scsi::{
        Command,
        QueueKind, //
    },
    virtio::{
        self,
        Callback,
        Counts,
        Virtqueue, //
    }, //
};
use kernel::{
    c_str,
    device::{
        self,
        Core, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    },
    workqueue::{
        impl_has_work,
        new_work,
        Work, //
    }, //
};
use protocol::virtio_scsi::{
    CONTROL_QUEUE,
    EVENT_QUEUE,
    FIRST_REQUEST_QUEUE,
    F_CHANGE,
    F_HOTPLUG,
    F_T10_PI, //
};

/// A queue for commands.
pub(crate) type RequestQueue = Virtqueue<Command<Hba>>;

/// How many request queues of each kind there are. Those with interrupts come first.
#[derive(Clone, Copy)]
pub(crate) struct QueueCounts {
    pub(crate) interrupt: u32,
    pub(crate) polled: u32,
}

impl QueueCounts {
    /// Divides `total` queues, of which `polled` should be polled. One at least is not.
    pub(crate) fn new(total: u32, polled: u32) -> Self {
        let polled = polled.min(total.saturating_sub(1));
        Self {
            interrupt: total.saturating_sub(polled),
            polled,
        }
    }

    /// How many maps of hardware queues the host needs for them.
    pub(crate) fn maps(&self) -> u32 {
        match self.polled {
            0 => QueueKind::Default.maps(),
            _ => QueueKind::Poll.maps(),
        }
    }

    /// How many there are.
    pub(crate) fn total(&self) -> u32 {
        self.interrupt.saturating_add(self.polled)
    }
}

/// A virtio-scsi device as its driver has it.
#[pin_data]
pub(crate) struct Hba {
    dev: ARef<device::Device>,
    queues: Arc<virtio::Queues<Hba>>,
    pub(crate) counts: QueueCounts,
    /// Whether requests have the longer header, for protection information.
    pub(crate) protection: bool,
    /// Whether the device reports events.
    pub(crate) reports: bool,
    /// Whether the driver is being unbound.
    leaving: Atomic<i32>,
    pub(crate) control: ControlQueue,
    pub(crate) event: EventQueue,
    pub(crate) requests: KVec<RequestQueue>,
    #[pin]
    pub(crate) events: Events,
    #[pin]
    pub(crate) event_work: Work<Hba>,
    #[pin]
    complaints: RateLimit,
}

impl_has_work! {
    impl HasWork<Self> for Hba { self.event_work }
}

impl Hba {
    /// Finds the queues of a device.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or what the transport says.
    pub(crate) fn new(
        dev: &virtio::Device<Core<'_>>,
        queues: &Arc<virtio::Queues<Self>>,
        counts: QueueCounts,
    ) -> Result<Arc<Self>> {
        let mut plan = virtio::Plan::new();
        let control = plan.add(c_str!("control"), Callback::Interrupt)?;
        let event = plan.add(c_str!("event"), Callback::Interrupt)?;
        let mut requests = KVec::with_capacity(counts.total() as usize, GFP_KERNEL)?;
        for index in 0..counts.total() {
            let (name, callback) = if index < counts.interrupt {
                (c_str!("request"), Callback::Interrupt)
            } else {
                (c_str!("request_poll"), Callback::Polled)
            };
            requests
                .push_within_capacity(plan.add(name, callback)?)
                .map_err(|_| ENOMEM)?;
        }
        // Only the request queues' interrupts are spread over the CPUs.
        queues.find(plan, u32::from(FIRST_REQUEST_QUEUE))?;

        let reports = dev.has_feature(F_HOTPLUG) || dev.has_feature(F_CHANGE);
        let protection = dev.has_feature(F_T10_PI);
        let dev: &device::Device<Core<'_>> = dev.as_ref();
        dev_info!(
            dev,
            "{}/0/{} default/read/poll queues\n",
            counts.interrupt,
            counts.polled
        );
        Arc::pin_init(
            pin_init!(Self {
                dev: dev.into(),
                queues: queues.clone(),
                counts,
                protection,
                reports,
                leaving: Atomic::new(0),
                control,
                event,
                requests,
                events <- Events::new(),
                event_work <- new_work!("virtio_scsi::Hba::event_work"),
                complaints <- RateLimit::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Number of descriptors in each request queue, by the first of them.
    pub(crate) fn ring_size(&self) -> u32 {
        self.requests.first().map_or(0, |queue| queue.size())
    }

    /// Stops the device for good. What it has is completed as failed; it takes nothing any more.
    pub(crate) fn stop(&self) {
        self.queues.stop();
    }

    /// Has the device stopped, if it is not: what is in a broken queue does not come back.
    pub(crate) fn stop_soon(&self) {
        self.queues.as_arc_borrow().fail();
    }

    /// From here on a command is not waited for without end: the device is to be left.
    pub(crate) fn leave(&self) {
        self.leaving.store(1, Relaxed);
    }

    /// Whether the driver is being unbound.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed) != 0
    }

    /// Whether a queue is broken, or gone, so that what was in it does not come back by itself.
    pub(crate) fn is_broken(&self) -> bool {
        self.control.is_broken()
            || self.event.is_broken()
            || self.requests.iter().any(|queue| queue.is_broken())
    }

    /// Completes what the device has returned on all request queues.
    pub(crate) fn drain_requests(&self) {
        for index in 0..self.counts.total() {
            self.drain(index as usize);
        }
    }

    /// Completes what the device has returned on a request queue. Returns the number of commands.
    #[inline(never)]
    pub(crate) fn drain(&self, index: usize) -> usize {
        let Some(queue) = self.requests.get(index) else {
            return 0;
        };
        let callback = if index < self.counts.interrupt as usize {
            Callback::Interrupt
        } else {
            Callback::Polled
        };
        queue.drain(callback, |command, used_len| {
            command::finish(self, command, used_len);
        })
    }

    /// Takes back the task management functions that the device has answered.
    #[inline(never)]
    fn take_answers(&self) {
        // Dropping one wakes who waits for it. The used length is no help: a response has one
        // byte, and whether it was written is seen from its value.
        self.control
            .drain(Callback::Interrupt, |tmf, _used_len| drop(tmf));
    }

    /// Says what is wrong with the device, but not too often: it may be wrong all the time.
    #[cold]
    #[inline(never)]
    pub(crate) fn complain(&self, what: &str, value: u32) {
        if self.complaints.allows() {
            dev_err!(self.dev, "{}: {:#x}\n", what, value);
        }
    }
}

impl virtio::Handler for Hba {
    fn used(self: ArcBorrow<'_, Self>, queue: u16) {
        match queue {
            CONTROL_QUEUE => self.take_answers(),
            EVENT_QUEUE => self.take_events(),
            _ => {
                let index = queue.wrapping_sub(FIRST_REQUEST_QUEUE);
                self.drain(usize::from(index));
            }
        }
    }
}

impl Counted for Hba {
    fn counts(&self, index: usize) -> Option<(&'static str, Counts)> {
        let request = match index {
            0 => return Some(("control", self.control.counts())),
            1 => return Some(("event", self.event.counts())),
            _ => index.wrapping_sub(usize::from(FIRST_REQUEST_QUEUE)),
        };
        let name = if request < self.counts.interrupt as usize {
            "request"
        } else {
            "request_poll"
        };
        Some((name, self.requests.get(request)?.counts()))
    }
}

#[kunit_tests(virtio_scsi_hba)]
mod tests {
    use super::*;

    #[test]
    fn one_queue_at_least_is_not_polled() {
        let cases = [
            ((4, 0), (4, 0)),
            ((4, 1), (3, 1)),
            ((4, 3), (1, 3)),
            ((4, u32::MAX), (1, 3)),
            ((1, 1), (1, 0)),
        ];
        for ((total, polled), expected) in cases {
            let counts = QueueCounts::new(total, polled);
            assert_eq!((counts.interrupt, counts.polled), expected);
            assert_eq!(counts.total(), total);
        }
    }
}
