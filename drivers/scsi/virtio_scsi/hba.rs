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
    ratelimit::RateLimit,
    scsi::{
        Command,
        QueueKind, //
    },
    virtio::{
        self,
        Callback,
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
    FIRST_REQUEST_QUEUE, //
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
    pub(crate) control: Arc<ControlQueue>,
    pub(crate) event: Arc<EventQueue>,
    pub(crate) requests: KVec<Arc<RequestQueue>>,
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
        let mut requests = KVec::new();
        for index in 0..counts.total() {
            let (name, callback) = if index < counts.interrupt {
                (c_str!("request"), Callback::Interrupt)
            } else {
                (c_str!("request_poll"), Callback::Polled)
            };
            requests.push(plan.add(name, callback)?, GFP_KERNEL)?;
        }
        // Only the request queues' interrupts are spread over the CPUs.
        queues.find(plan, u32::from(FIRST_REQUEST_QUEUE))?;

        let dev: &device::Device<Core<'_>> = dev.as_ref();
        dev_info!(
            dev,
            "{}/{}/{} default/read/poll queues\n",
            counts.interrupt,
            0,
            counts.polled
        );
        Arc::pin_init(
            pin_init!(Self {
                dev: dev.into(),
                queues: queues.clone(),
                counts,
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

    /// Stops the device for good. What it has is completed as failed; it takes nothing any more.
    pub(crate) fn stop(&self) {
        self.queues.stop();
    }

    /// Whether a queue is broken, so that what is in it does not come back by itself.
    pub(crate) fn is_broken(&self) -> bool {
        self.control.is_broken()
            || self.event.is_broken()
            || self.requests.iter().any(|queue| queue.is_broken())
    }

    /// Completes what the device has returned on all request queues.
    pub(crate) fn drain_requests(&self) {
        for queue in &self.requests {
            self.drain(queue);
        }
    }

    /// Completes what the device has returned on a request queue.
    #[inline(never)]
    fn drain(&self, queue: &RequestQueue) {
        queue.drain(|command, used_len| command::finish(self, command, used_len));
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
            CONTROL_QUEUE => {
                // Dropping one wakes who waits for it. The used length is no help: a response has
                // one byte, and whether it was written is seen from its value.
                self.control.drain(|tmf, _used_len| drop(tmf));
            }
            EVENT_QUEUE => self.take_events(),
            _ => {
                let index = queue.wrapping_sub(FIRST_REQUEST_QUEUE);
                if let Some(requests) = self.requests.get(usize::from(index)) {
                    self.drain(requests);
                }
            }
        }
    }
}
