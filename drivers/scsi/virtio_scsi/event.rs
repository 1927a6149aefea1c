// SPDX-License-Identifier: GPL-2.0

//! Units that come, go, or change.
//!
//! The device has [`BUFFERS`] buffers to report events in. One that it has filled waits in a
//! [`Fifo`] for the work that acts on events, in their order, and then goes back to the device.
//! A buffer is always in one of these three places.

use crate::hba::Hba;
use guest::{
    scsi::{
        self,
        HostRef,
        Unit, //
    },
    virtio::{
        Callback,
        Kick,
        Message,
        Virtqueue, //
    },
    work, //
};
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        SetOnce,
        SpinLockIrq, //
    },
    workqueue::{
        self,
        WorkItem, //
    }, //
};
use protocol::virtio_scsi::{
    BadLun,
    Event,
    EventKind,
    Lun, //
};

/// How many buffers the device has for events.
const BUFFERS: usize = 8;

/// What is wrong with an event that is about a unit nobody knows; its number follows.
const NOT_THERE: &str = "event for a unit that is not there";

/// A buffer for an event.
type Buffer = Pin<KBox<Message<(), Event>>>;

/// The queue for them.
pub(crate) type EventQueue = Virtqueue<Buffer>;

/// Events that the device has reported and nobody has acted on.
#[pin_data]
pub(crate) struct Events {
    #[pin]
    state: SpinLockIrq<State>,
    host: SetOnce<HostRef>,
}

struct State {
    reported: Fifo<Buffer, BUFFERS>,
    /// Whether events are wanted: after the host was registered, until it is going to be removed.
    running: bool,
}

impl Events {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock_irq!(State {
                reported: Fifo::new(),
                running: false,
            }, "virtio_scsi::Events::state"),
            host: SetOnce::new(),
        })
    }

    fn next(&self) -> Option<Buffer> {
        self.state.lock().reported.pop()
    }
}

impl Hba {
    /// Lets the device report events, if it has any, which are about the devices of `host`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn start_events(&self, host: HostRef) -> Result {
        self.events.host.populate(host);
        self.events.state.lock().running = true;
        self.post_buffers()
    }

    /// Gives the device all buffers for events that are not anywhere else. After a suspend, these
    /// are all but those with events that nobody has acted on yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn post_buffers(&self) -> Result {
        if !self.reports {
            return Ok(());
        }
        let reported = self.events.state.lock().reported.len;
        for _ in reported..BUFFERS {
            let message = Message::new((), Event::default(), ());
            self.post(KBox::pin_init(message, GFP_KERNEL)?);
        }
        Ok(())
    }

    /// Waits until no event is being acted on, and has none acted on any more.
    pub(crate) fn stop_events(self: ArcBorrow<'_, Self>) {
        self.events.state.lock().running = false;
        work::cancel_sync(&self.into());
    }

    /// Takes the events that the device has reported. In interrupt context.
    #[inline(never)]
    pub(crate) fn take_events(self: ArcBorrow<'_, Self>) {
        self.event.drain(Callback::Interrupt, |buffer, _used_len| {
            self.events.state.lock().reported.push(buffer);
        });
        self.act_later();
    }

    /// Has reported events acted on, if there are any, in a context that may sleep.
    fn act_later(self: ArcBorrow<'_, Self>) {
        let state = self.events.state.lock();
        if state.running && state.reported.len != 0 {
            // Fails if it is queued already, and then it is going to see these, too.
            let _ = workqueue::system_freezable().enqueue(Arc::<Self>::from(self));
        }
    }

    /// Gives a buffer to the device. One that a broken device does not take is of no more use.
    fn post(&self, mut buffer: Buffer) {
        // An empty event, in case the device returns the buffer as it is.
        buffer
            .as_mut()
            .exchange_mut()
            .response
            .set(Event::default());
        let _ = self.event.add(buffer, Kick::Now);
    }

    fn act(&self, host: &HostRef, event: &Event) {
        let notice = event.decode();
        if notice.missed {
            host.look_at_all();
        }
        let (what, value) = match notice.kind {
            EventKind::Nothing => return,
            EventKind::Rescan(lun) => return look_for(host, lun),
            EventKind::Removed(lun) => match lookup(host, lun) {
                Some(device) => return device.remove(),
                None => (NOT_THERE, lun.number().into()),
            },
            EventKind::Changed { lun, asc, ascq } => match lookup(host, lun) {
                Some(device) if EventKind::needs_revalidation(asc, ascq) => return device.rescan(),
                Some(_) => return,
                None => (NOT_THERE, lun.number().into()),
            },
            EventKind::UnknownReason(reason) => ("unsupported event reason", reason),
            EventKind::Unknown(event) => ("unsupported event", event),
            EventKind::BadLun(
                BadLun::NotSingleLevel(byte) | BadLun::AddressMethod(byte) | BadLun::NotZero(byte),
            ) => ("event for no unit", byte.into()),
        };
        self.complain(what, value);
    }
}

impl WorkItem for Hba {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let Some(host) = this.events.host.as_ref() else {
            return;
        };
        for _ in 0..BUFFERS {
            let Some(buffer) = this.events.next() else {
                return;
            };
            this.act(host, &buffer.exchange.response.read());
            this.post(buffer);
        }
        // A device may report without end: others come first.
        this.as_arc_borrow().act_later();
    }
}

/// Looks for a unit, or for all of a target for its unit 0.
fn look_for(host: &HostRef, lun: Lun) {
    if lun.number() == 0 {
        host.scan_target(lun.target().into());
        return;
    }
    let [form, _] = lun.linux_forms();
    // That there is none, or that it is known already, is not an error.
    let _ = host.add(unit(lun, form));
}

/// The device that is known for a unit, by either of the numbers that it may have.
fn lookup(host: &HostRef, lun: Lun) -> Option<scsi::Device> {
    lun.linux_forms()
        .into_iter()
        .find_map(|form| host.lookup(unit(lun, form)))
}

fn unit(lun: Lun, form: u64) -> Unit {
    Unit {
        channel: 0,
        id: lun.target().into(),
        lun: form,
    }
}

/// A queue in a fixed amount of memory.
struct Fifo<T, const N: usize> {
    slots: [Option<T>; N],
    first: usize,
    len: usize,
}

impl<T, const N: usize> Fifo<T, N> {
    const fn new() -> Self {
        Self {
            slots: [const { None }; N],
            first: 0,
            len: 0,
        }
    }

    /// Adds an item at the end. One too many is dropped.
    fn push(&mut self, item: T) {
        let index = self.first.wrapping_add(self.len) % N;
        if self.len < N {
            if let Some(slot) = self.slots.get_mut(index) {
                *slot = Some(item);
                self.len = self.len.wrapping_add(1);
            }
        }
    }

    /// Takes the item at the beginning.
    fn pop(&mut self) -> Option<T> {
        let item = self.slots.get_mut(self.first)?.take()?;
        self.first = self.first.wrapping_add(1) % N;
        self.len = self.len.wrapping_sub(1);
        Some(item)
    }
}

#[kunit_tests(virtio_scsi_event)]
mod tests {
    use super::*;

    #[test]
    fn fifo_keeps_the_order_round_its_end() {
        let mut fifo = Fifo::<u32, 3>::new();
        for round in 0..10 {
            fifo.push(round);
            fifo.push(round + 100);
            assert_eq!(fifo.pop(), Some(round));
            assert_eq!(fifo.pop(), Some(round + 100));
            assert_eq!(fifo.pop(), None);
        }
    }

    #[test]
    fn fifo_holds_no_more_than_it_has_room_for() {
        let mut fifo = Fifo::<u32, 2>::new();
        for item in 0..3 {
            fifo.push(item);
        }
        assert_eq!(
            (fifo.pop(), fifo.pop(), fifo.pop()),
            (Some(0), Some(1), None)
        );
    }
}
