// SPDX-License-Identifier: GPL-2.0

//! Units that come, go, or change, and ports that are called something else.
//!
//! An answer may say that its unit has changed or is gone, and a notice that something has come or
//! gone, without what. Neither can be acted on where it is found, so it is noted here, in memory
//! that is there, for a work item. When there is more than has room, all units are looked at.

use crate::hba::Hba;
use guest::{
    scsi::{
        self,
        fibre_channel::Names,
        HostRef,
        Unit, //
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
use protocol::storvsp::outcome::FollowUp;

/// Which of a controller's work items acts on notes.
pub(crate) const NOTES: u64 = 0;

/// Units for which there is room.
const ROOM: usize = 32;

/// What is to be done about units.
#[pin_data]
pub(crate) struct FollowUps {
    #[pin]
    state: SpinLockIrq<State>,
    host: SetOnce<HostRef>,
}

struct State {
    notes: Notes,
    /// Whether anything is to be done: after the host was registered, until it is going to be
    /// removed.
    running: bool,
}

impl FollowUps {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock_irq!(State {
                notes: Notes::new(),
                running: false,
            }, "hv_storvsc::FollowUps::state"),
            host: SetOnce::new(),
        })
    }
}

impl Hba {
    /// Has notes acted on, which are about the devices of `host`.
    pub(crate) fn start_follow_ups(self: ArcBorrow<'_, Self>, host: HostRef) {
        self.follow_ups.host.populate(host);
        self.follow_ups.state.lock().running = true;
        self.act_later();
    }

    /// Waits until no note is being acted on, and has none acted on any more.
    pub(crate) fn stop_follow_ups(self: ArcBorrow<'_, Self>) {
        self.follow_ups.state.lock().running = false;
        work::cancel_sync::<Hba, NOTES>(&self.into());
    }

    /// Something is to be done about a unit. In any context.
    #[cold]
    #[inline(never)]
    pub(crate) fn follow_up(self: ArcBorrow<'_, Self>, unit: Unit, what: FollowUp) {
        self.follow_ups.state.lock().notes.add(unit, what);
        self.act_later();
    }

    /// Units have come or gone. In any context.
    pub(crate) fn look_at_all(self: ArcBorrow<'_, Self>) {
        self.follow_ups.state.lock().notes.all = true;
        self.act_later();
    }

    /// A port of Fibre Channel has these names from now on. In any context.
    pub(crate) fn rename(self: ArcBorrow<'_, Self>, names: Names) {
        self.follow_ups.state.lock().notes.names = Some(names);
        self.act_later();
    }

    /// Has notes acted on, if there are any, in a context that may sleep.
    fn act_later(self: ArcBorrow<'_, Self>) {
        let state = self.follow_ups.state.lock();
        if state.running && !state.notes.is_empty() {
            // Fails if it is queued already, and then it is going to see these, too.
            let _ = workqueue::system_freezable().enqueue::<_, NOTES>(Arc::<Self>::from(self));
        }
    }
}

impl WorkItem<NOTES> for Hba {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let Some(host) = this.follow_ups.host.as_ref() else {
            return;
        };
        for _ in 0..ROOM {
            let note = this.follow_ups.state.lock().notes.next();
            match note {
                Some((unit, what)) => act(host, unit, what),
                None => break,
            }
        }
        let (names, all) = this.follow_ups.state.lock().notes.take_rest();
        if let Some(names) = names {
            host.set_names(names);
        }
        if all {
            look_at_all(host);
        }
        // A host may report without end: others come first.
        this.as_arc_borrow().act_later();
    }
}

fn act(host: &HostRef, unit: Unit, what: FollowUp) {
    // It may be gone already.
    let Some(device) = host.lookup(unit) else {
        return;
    };
    match what {
        FollowUp::Nothing => {}
        FollowUp::Rescan => device.rescan(),
        FollowUp::Remove => device.remove(),
    }
}

/// Finds out what has come and what has gone. Units that are gone say so to any command, which is
/// noted here and acted on next.
fn look_at_all(host: &HostRef) {
    host.for_each_device(scsi::Device::poke);
    host.scan();
}

/// Notes about units, each with the last of what was noted about it.
struct Notes {
    units: [Option<(Unit, FollowUp)>; ROOM],
    /// Whether all units are to be looked at.
    all: bool,
    /// What the port is called now, if that is another than before.
    names: Option<Names>,
}

impl Notes {
    const fn new() -> Self {
        Self {
            units: [None; ROOM],
            all: false,
            names: None,
        }
    }

    fn add(&mut self, unit: Unit, what: FollowUp) {
        let is_same = |note: &&mut Option<(Unit, FollowUp)>| matches!(note, Some((other, _)) if *other == unit);
        if let Some(note) = self.units.iter_mut().find(is_same) {
            *note = Some((unit, what));
        } else if let Some(note) = self.units.iter_mut().find(|note| note.is_none()) {
            *note = Some((unit, what));
        } else {
            self.all = true;
        }
    }

    fn next(&mut self) -> Option<(Unit, FollowUp)> {
        self.units.iter_mut().find_map(Option::take)
    }

    /// What is not about single units.
    fn take_rest(&mut self) -> (Option<Names>, bool) {
        (self.names.take(), core::mem::take(&mut self.all))
    }

    fn is_empty(&self) -> bool {
        !self.all && self.names.is_none() && self.units.iter().all(Option::is_none)
    }
}

#[kunit_tests(hv_storvsc_follow_up)]
mod tests {
    use super::*;

    fn unit(lun: u64) -> Unit {
        Unit { lun, ..Unit::FIRST }
    }

    #[test]
    fn a_unit_is_noted_once() {
        let mut notes = Notes::new();
        notes.add(unit(1), FollowUp::Rescan);
        notes.add(unit(2), FollowUp::Rescan);
        notes.add(unit(1), FollowUp::Remove);
        assert_eq!(notes.next(), Some((unit(1), FollowUp::Remove)));
        assert_eq!(notes.next(), Some((unit(2), FollowUp::Rescan)));
        assert_eq!(notes.next(), None);
        assert!(notes.is_empty());
    }

    #[test]
    fn too_many_notes_are_about_all() {
        let mut notes = Notes::new();
        for lun in 0..=ROOM as u64 {
            assert!(!notes.all);
            notes.add(unit(lun), FollowUp::Remove);
        }
        assert!(notes.all);
        assert!(!notes.is_empty());
    }

    #[test]
    fn the_last_names_count() {
        let mut notes = Notes::new();
        for port in [1, 2] {
            notes.names = Some(Names { node: 7, port });
        }
        assert!(!notes.is_empty());
        assert_eq!(notes.take_rest(), (Some(Names { node: 7, port: 2 }), false));
        assert!(notes.is_empty());
    }
}
