// SPDX-License-Identifier: GPL-2.0

//! What is known of the host, and the way to it.
//!
//! The worker, the shrinker and whoever migrates a page of the balloon talk to the host, one at a
//! time. Nothing is allocated meanwhile: see the module's root.

use crate::counters::{
    Counters,
    PageEvent, //
};
use guest::{
    balloon::{
        Migrate,
        Migration,
        Moved, //
    },
    ratelimit::RateLimit,
    vmware::{
        Forgotten,
        Port,
        Report, //
    }, //
};
use kernel::{
    new_mutex,
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex,
        SpinLock, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};
use protocol::vmballoon::{
    policy::{
        self,
        Change,
        Outcome,
        Step,
        SHORTAGE_MS, //
    },
    Capabilities,
    Status, //
};

/// The way to the host.
struct Channel {
    port: Port,
    /// Whether pages may be given and taken.
    is_open: bool,
}

/// What is known of the host, and the way to it.
#[pin_data]
pub(crate) struct Link {
    #[pin]
    channel: Mutex<Channel>,
    capabilities: Atomic<u64>,
    target: Atomic<u64>,
    needs_reset: Atomic<bool>,
    /// When the guest was short of memory last.
    #[pin]
    shortage: SpinLock<Option<Instant<Monotonic>>>,
    pub(crate) counters: Counters,
    #[pin]
    complaints: RateLimit,
}

impl Link {
    /// A link that begins with a reset.
    pub(crate) fn new(port: Port) -> impl PinInit<Self> {
        let channel = Channel {
            port,
            is_open: false,
        };
        pin_init!(Self {
            channel <- new_mutex!(channel, "vmw_balloon::Link::channel"),
            capabilities: Atomic::new(0),
            target: Atomic::new(0),
            needs_reset: Atomic::new(true),
            shortage <- new_spinlock!(None, "vmw_balloon::Link::shortage"),
            counters: Counters::new(),
            complaints <- RateLimit::new(),
        })
    }

    /// What both sides can do.
    pub(crate) fn capabilities(&self) -> Capabilities {
        Capabilities(self.capabilities.load(Relaxed))
    }

    /// How many pages the host wants in the balloon.
    pub(crate) fn target(&self) -> u64 {
        self.target.load(Relaxed)
    }

    /// Whether all has to begin anew.
    pub(crate) fn needs_reset(&self) -> bool {
        self.needs_reset.load(Relaxed)
    }

    /// All has to begin anew, or has done so.
    pub(crate) fn set_needs_reset(&self, needs_reset: bool) {
        self.needs_reset.store(needs_reset, Relaxed);
    }

    /// What a balloon of `size` pages lacks.
    pub(crate) fn change(&self, size: u64) -> Change {
        if self.needs_reset() {
            return Change::None;
        }
        match policy::change(size, self.target()) {
            Change::Give(_) if self.is_short_of_memory() => Change::None,
            change => change,
        }
    }

    /// The guest is short of memory.
    pub(crate) fn note_shortage(&self) {
        *self.shortage.lock() = Some(Instant::now());
    }

    fn is_short_of_memory(&self) -> bool {
        let shortage = *self.shortage.lock();
        shortage.is_some_and(|since| since.elapsed() < Delta::from_millis(SHORTAGE_MS.into()))
    }

    /// Talks to the host, if pages may be given and taken. Sleeps.
    fn talk<R>(&self, talk: impl FnOnce(&mut Port) -> R) -> Option<R> {
        let mut channel = self.channel.lock();
        channel.is_open.then(|| talk(&mut channel.port))
    }

    /// Says something to the host, if pages may be given and taken. Sleeps.
    pub(crate) fn say(&self, say: impl FnOnce(&mut Port) -> Report) -> Option<Report> {
        self.talk(|port| {
            let report = say(port);
            self.note(&report);
            report
        })
    }

    /// Has the host decide about the pages of a step, of which `found` were found; it is not bothered
    /// with none. Returns how that went. Sleeps.
    pub(crate) fn settle(
        &self,
        step: Step,
        found: usize,
        say: impl FnOnce(&mut Port) -> Report,
    ) -> Outcome {
        let mut outcome = Outcome {
            found,
            refused: 0,
            ended: false,
        };
        if found == 0 {
            return outcome;
        }
        let report = self.say(say);
        outcome.refused = report.map_or(0, |report| report.refused);
        outcome.ended = report.is_none_or(|report| report.ends_run());
        self.counters
            .add_pages(PageEvent::Refused, step.size, outcome.refused);
        outcome
    }

    /// Begins. Returns what both sides can do, if that is enough.
    pub(crate) fn open(&self) -> Option<Capabilities> {
        let mut channel = self.channel.lock();
        let report = channel.port.start(Capabilities::ALL);
        let capabilities = channel.port.capabilities();
        let can_move = [Capabilities::BASIC, Capabilities::BATCHED]
            .into_iter()
            .any(|way| capabilities.contains(way));
        self.capabilities.store(capabilities.0, Relaxed);
        self.set_needs_reset(!can_move);
        channel.is_open = can_move;
        self.note(&report);
        can_move.then_some(capabilities)
    }

    /// Ends, if it has begun or `must` says so: the host forgets the balloon.
    pub(crate) fn close(&self, must: bool) -> Option<Forgotten> {
        let mut channel = self.channel.lock();
        if !channel.is_open && !must {
            return None;
        }
        channel.is_open = false;
        let (report, forgotten) = channel.port.end();
        self.note(&report);
        if let Some((_, reply)) = report.said.filter(|_| !report.is_success()) {
            self.complain(
                "the host does not say that it ends, but",
                reply.status.0.into(),
            );
        }
        Some(forgotten)
    }

    /// Keeps what the host has said, before somebody else talks to it.
    fn note(&self, report: &Report) {
        self.counters.note(report);
        let Some((command, reply)) = report.said else {
            return;
        };
        if let Some(target) = reply.target(command) {
            let target = policy::target(target, self.capabilities());
            self.target.store(target, Relaxed);
        }
        if reply.status == Status::RESET {
            self.set_needs_reset(true);
        }
        if let Some(page) = report.stray {
            self.set_needs_reset(true);
            self.complain("the host speaks of a page it was not asked about", page);
        }
    }

    #[cold]
    fn complain(&self, what: &str, value: u64) {
        if self.complaints.allows() {
            pr_err!("{}: {:#x}\n", what, value);
        }
    }
}

impl Migrate for Link {
    fn migrate(&self, pages: Migration<'_>) -> Moved {
        let moved = self.talk(|port| {
            let (moved, taken, given) = port.exchange(pages);
            self.note(&taken);
            if let Some(given) = given {
                self.note(&given);
            }
            moved
        });
        moved.unwrap_or(Moved::later())
    }
}
