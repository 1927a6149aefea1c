// SPDX-License-Identifier: GPL-2.0

//! What was done, and the file in debugfs that tells it.
//!
//! Keys and form are those of the kernel's driver, as there are programs that read them.

use crate::device::Vmballoon;
use core::array;
use guest::{
    debugfs::Show,
    vmware::Report, //
};
use kernel::{
    fmt,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    ModuleMetadata,
    ThisModule, //
};
use protocol::vmballoon::{
    Capabilities,
    Command,
    PageSize, //
};

/// A count.
type Count = Atomic<u64>;

/// The commands in the order of the file, and what they are called there.
const COMMANDS: [(Command, &str); 10] = [
    (Command::START, "start"),
    (Command::GET_TARGET, "target"),
    (Command::LOCK, "lock"),
    (Command::UNLOCK, "unlock"),
    (Command::GUEST_ID, "guestType"),
    (Command::BATCHED_LOCK, "batchLock"),
    (Command::BATCHED_UNLOCK, "batchUnlock"),
    (Command::BATCHED_2M_LOCK, "2m-lock"),
    (Command::BATCHED_2M_UNLOCK, "2m-unlock"),
    (Command::DOORBELL_SET, "doorbellSet"),
];

/// Things that happen to the balloon as a whole.
#[derive(Clone, Copy)]
pub(crate) enum Event {
    /// The worker has run.
    Run,
    /// The doorbell has rung.
    Doorbell,
    /// All has begun anew.
    Reset,
    /// The balloon was to shrink.
    Shrink,
    /// Pages that this has freed.
    ShrinkFree,
}

const EVENTS: [(Event, &str); 5] = [
    (Event::Run, "timer"),
    (Event::Doorbell, "doorbell"),
    (Event::Reset, "reset"),
    (Event::Shrink, "shrink"),
    (Event::ShrinkFree, "shrinkFree"),
];

/// Things that happen to pages of a size.
#[derive(Clone, Copy)]
pub(crate) enum PageEvent {
    /// One was looked for.
    Alloc,
    /// There was none.
    AllocFail,
    /// The host has refused one, in whichever direction.
    Refused,
    /// One that it had refused was freed.
    RefusedFree,
    /// One came back from the host and was freed.
    Free,
}

const PAGE_EVENTS: [(PageEvent, &str); 5] = [
    (PageEvent::Alloc, "alloc"),
    (PageEvent::AllocFail, "allocFail"),
    (PageEvent::Refused, "errAlloc"),
    (PageEvent::RefusedFree, "errFree"),
    (PageEvent::Free, "free"),
];

const SIZES: [(PageSize, &str); 2] = [(PageSize::Small, "4k"), (PageSize::Large, "2M")];

/// All counts.
pub(crate) struct Counters {
    commands: [Count; Command::COUNT],
    failures: [Count; Command::COUNT],
    events: [Count; EVENTS.len()],
    small: [Count; PAGE_EVENTS.len()],
    large: [Count; PAGE_EVENTS.len()],
}

fn zeros<const N: usize>() -> [Count; N] {
    array::from_fn(|_| Count::new(0))
}

fn add(counts: &[Count], index: usize, more: u64) {
    if let Some(count) = counts.get(index) {
        count.add(more, Relaxed);
    }
}

fn value(counts: &[Count], index: usize) -> u64 {
    counts.get(index).map_or(0, |count| count.load(Relaxed))
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            commands: zeros(),
            failures: zeros(),
            events: zeros(),
            small: zeros(),
            large: zeros(),
        }
    }

    /// Counts a command.
    pub(crate) fn note(&self, report: &Report) {
        let Some((command, reply)) = report.said else {
            return;
        };
        add(&self.commands, command.0 as usize, 1);
        if !reply.status.is_success() {
            add(&self.failures, command.0 as usize, 1);
        }
    }

    /// Counts an event so many times.
    pub(crate) fn add(&self, event: Event, more: u64) {
        add(&self.events, event as usize, more);
    }

    /// Counts an event of so many pages.
    pub(crate) fn add_pages(&self, event: PageEvent, size: PageSize, more: usize) {
        add(self.pages(size), event as usize, more as u64);
    }

    fn pages(&self, size: PageSize) -> &[Count] {
        match size {
            PageSize::Small => &self.small,
            PageSize::Large => &self.large,
        }
    }

    fn show(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (command, name) in COMMANDS {
            let (all, failed) = (
                value(&self.commands, command.0 as usize),
                value(&self.failures, command.0 as usize),
            );
            writeln!(to, "{name:<22}: {all:>16} ({failed} failed)")?;
        }
        for (event, name) in EVENTS {
            let count = value(&self.events, event as usize);
            writeln!(to, "{name:<22}: {count:>16}")?;
        }
        for (event, name) in PAGE_EVENTS {
            for (size, size_name) in SIZES {
                let count = value(self.pages(size), event as usize);
                writeln!(to, "{name:<18}({size_name}): {count:>16}")?;
            }
        }
        Ok(())
    }
}

/// A line with a number as C's `%#16x` has it: zero has no prefix.
fn show_hex(to: &mut fmt::Formatter<'_>, name: &str, number: u64) -> fmt::Result {
    match number {
        0 => writeln!(to, "{name:<22}: {number:>16}"),
        _ => writeln!(to, "{name:<22}: {number:>#16x}"),
    }
}

impl Show for Vmballoon {
    const MODULE: ThisModule = <crate::LocalModule as ModuleMetadata>::THIS_MODULE;

    fn show(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = self.link();
        let resetting = if link.needs_reset() { "y" } else { "n" };
        show_hex(to, "balloon capabilities", Capabilities::ALL.0)?;
        show_hex(to, "used capabilities", link.capabilities().0)?;
        writeln!(to, "{:<22}: {resetting:>16}", "is resetting")?;
        writeln!(to, "{:<22}: {:>16}", "target", link.target())?;
        writeln!(to, "{:<22}: {:>16}", "current", self.balloon().len())?;
        link.counters.show(to)
    }
}
