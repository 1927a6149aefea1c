// SPDX-License-Identifier: GPL-2.0

//! Targets that come and go, by messages of the device.
//!
//! Messages stay in their ring until the work that acts on them takes them, one by one. So they are
//! bounded by the ring, and after a reset of the adapter there are none.

use crate::adapter::{
    Adapter,
    Phase,
    State, //
};
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
        let has_messages = self.state.with(|state| {
            state.messages = true;
            self.has_messages(state)
        });
        if has_messages {
            self.act_later();
        }
    }

    /// Waits until no message is being acted on, and has none acted on any more.
    pub(crate) fn stop_messages(self: ArcBorrow<'_, Self>) {
        self.state.with(|state| state.messages = false);
        work::cancel_sync(&self.into());
    }

    /// Whether there are messages to act on. If what the device says makes no sense, none are wanted
    /// any more.
    pub(crate) fn has_messages(&self, state: &mut State) -> bool {
        if !state.messages || state.phase != Phase::Running {
            return false;
        }
        match state.rings.waiting_messages() {
            Ok(count) => count != 0,
            Err(error) => {
                self.complain_of_ring("broken message ring, not used any more", error);
                state.messages = false;
                false
            }
        }
    }

    /// Has messages acted on in a context that may sleep.
    pub(crate) fn act_later(self: ArcBorrow<'_, Self>) {
        // Fails if it is queued already, and then it is going to see these, too.
        let _ = workqueue::system_freezable().enqueue(Arc::<Self>::from(self));
    }

    fn next_message(&self) -> Option<MessageDescriptor> {
        self.state.with(|state| {
            if !self.has_messages(state) {
                return None;
            }
            // An index that cannot be was just found out.
            state.rings.next_message().ok().flatten()
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
            match this.next_message() {
                Some(message) => this.act(host, &message),
                None => return,
            }
        }
        this.as_arc_borrow().act_later();
    }
}
