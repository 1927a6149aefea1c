// SPDX-License-Identifier: GPL-2.0

//! Targets that come and go, by messages of the device.
//!
//! Messages stay in their ring until the work that acts on them takes them, one by one. So they are
//! bounded by the ring. Where the adapter is started again over some that nobody has taken, all
//! targets are looked at instead.

use crate::{
    adapter::{
        Adapter,
        Phase,
        State, //
    },
    rings::Rings, //
};
use core::mem::take;
use guest::{
    scsi::{
        HostRef,
        Unit, //
    },
    work, //
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        SetOnce, //
    },
    workqueue::{
        self,
        WorkItem, //
    }, //
};
use protocol::pvscsi::{
    MessageDescriptor,
    Notice,
    Place, //
};

/// How many messages are acted on before it is others' turn: a device may report without end.
const AT_ONCE: u32 = 16;

/// What is listened to, under the lock of the adapter.
#[derive(Default)]
pub(crate) struct Hearing {
    /// Whether messages are acted on: once the host is registered, until it is going to be removed.
    wanted: bool,
    /// Whether what the device said of the ring made no sense. It is not looked at any more until
    /// the adapter is started again.
    broken: bool,
    /// Whether messages were lost, so that all targets are to be looked at.
    missed: bool,
}

impl Hearing {
    /// The rings are going to be made as new: what is in that of messages is lost.
    pub(crate) fn start_again(&mut self, rings: &Rings) {
        let is_empty = matches!(rings.waiting_messages(), Ok(0));
        self.missed |= self.wanted && (self.broken || !is_empty);
        self.broken = false;
    }
}

/// What the work does next.
enum Step {
    LookAtAll,
    Act(MessageDescriptor),
}

/// What acting on messages needs.
pub(crate) struct Messages {
    host: SetOnce<HostRef>,
}

impl Messages {
    pub(crate) fn new() -> Self {
        Self {
            host: SetOnce::new(),
        }
    }
}

impl Adapter {
    /// Has messages acted on, which are about the devices of `host`.
    pub(crate) fn start_messages(self: ArcBorrow<'_, Self>, host: HostRef) {
        self.messages.host.populate(host);
        self.state.with(|state| {
            state.hearing.wanted = true;
            self.act_later(state);
        });
    }

    /// Waits until no message is being acted on, and has none acted on any more.
    pub(crate) fn stop_messages(self: ArcBorrow<'_, Self>) {
        self.state.with(|state| state.hearing.wanted = false);
        // Nobody queues it from here on: that is done with the lock held, and only while wanted.
        work::cancel_sync(&self.into());
    }

    /// Has messages acted on, if there are any, in a context that may sleep.
    pub(crate) fn act_later(self: ArcBorrow<'_, Self>, state: &mut State) {
        if self.has_messages(state) {
            // Fails if it is queued already, and then it is going to see these, too.
            let _ = workqueue::system_freezable().enqueue(Arc::<Self>::from(self));
        }
    }

    /// Whether there is anything to act on.
    fn has_messages(&self, state: &mut State) -> bool {
        if !state.hearing.wanted || state.phase != Phase::Running {
            return false;
        }
        state.hearing.missed || self.has_waiting(state)
    }

    /// Whether there are messages in the ring.
    fn has_waiting(&self, state: &mut State) -> bool {
        if state.hearing.broken {
            return false;
        }
        state.rings.waiting_messages().unwrap_or_else(|error| {
            self.complain_of_ring("broken message ring, not used until a reset", error);
            state.hearing.broken = true;
            0
        }) != 0
    }

    fn next_step(&self) -> Option<Step> {
        self.state.with(|state| {
            if !self.has_messages(state) {
                return None;
            }
            if take(&mut state.hearing.missed) {
                return Some(Step::LookAtAll);
            }
            // An index that cannot be was just found out.
            let message = state.rings.next_message().ok().flatten();
            message.map(Step::Act)
        })
    }

    fn act(&self, host: &HostRef, message: &MessageDescriptor) {
        let (what, value) = match message.decode() {
            Notice::Added(place) => return self.add(host, place),
            Notice::Removed(place) => return self.remove(host, place),
            Notice::BadBus(bus) => ("message for no bus", bus),
            Notice::BadTarget(target) => ("message for no target", target),
            Notice::BadLun(byte) => ("message for no unit", byte.into()),
            Notice::Unknown(kind) => ("unknown message", kind),
        };
        self.complain(what, value.into());
    }

    fn add(&self, host: &HostRef, place: Place) {
        let unit = unit(place);
        if host.lookup(unit).is_some() {
            self.complain("message for a target that is there already", unit.id.into());
            return;
        }
        dev_info!(self.dev(), "target {} added\n", unit.id);
        if let Err(error) = host.add(unit) {
            let error = error.to_errno().unsigned_abs();
            self.complain("target was not added, error", error.into());
        }
    }

    fn remove(&self, host: &HostRef, place: Place) {
        let unit = unit(place);
        match host.lookup(unit) {
            Some(device) => {
                dev_info!(self.dev(), "target {} removed\n", unit.id);
                device.remove();
            }
            None => self.complain("message for a target that is not there", unit.id.into()),
        }
    }
}

fn unit(place: Place) -> Unit {
    Unit {
        channel: 0,
        id: place.target.into(),
        lun: place.lun.into(),
    }
}

impl WorkItem for Adapter {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let Some(host) = this.messages.host.as_ref() else {
            return;
        };
        for _ in 0..AT_ONCE {
            match this.next_step() {
                Some(Step::LookAtAll) => host.look_at_all(),
                Some(Step::Act(message)) => this.act(host, &message),
                None => return,
            }
        }
        let this = this.as_arc_borrow();
        this.state.with(|state| this.act_later(state));
    }
}
