// SPDX-License-Identifier: GPL-2.0

//! Pages that come back from the host.

use crate::{
    counters::PageEvent,
    link::Link,
    tray::Back, //
};
use guest::{
    balloon::Balloon,
    sched::cond_resched,
    vmware::Forgotten, //
};
use protocol::vmballoon::{
    policy::{
        Change,
        Outcome,
        Step,
        Taking,
        Then, //
    },
    PageSize, //
};

/// How many pages of 4 KiB are to come back.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// As many as there are too many for the target.
    Surplus,
    /// So many, whether the host agrees or not with each of them.
    Pages(u64),
}

/// Takes pages back until there are enough, or it does not get on. Returns how many came back, in
/// pages of 4 KiB. Sleeps, but does not allocate.
pub(crate) fn take(balloon: &Balloon<Link>, back: &mut Back, wanted: Wanted) -> u64 {
    let link = balloon.owner();
    let mut run = Taking::new(link.capabilities());
    let (mut tried, mut taken) = (0u64, 0u64);
    loop {
        let surplus = match (wanted, link.change(balloon.len())) {
            (Wanted::Pages(pages), _) => pages.saturating_sub(tried),
            (Wanted::Surplus, Change::Take(pages)) => pages,
            (Wanted::Surplus, _) => 0,
        };
        let Some(step) = run.next(surplus) else {
            return taken;
        };
        let (outcome, returned) = ask(balloon, back, step);
        let frames = |pages: usize| (pages as u64).saturating_mul(step.size.pages());
        tried = tried.saturating_add(frames(outcome.found));
        taken = taken.saturating_add(frames(returned));
        if run.after(step, outcome) == Then::Stop {
            return taken;
        }
        cond_resched();
    }
}

/// Asks the host for the pages of one step. Returns how that went, and how many came back.
fn ask(balloon: &Balloon<Link>, back: &mut Back, step: Step) -> (Outcome, usize) {
    let link = balloon.owner();
    let found = balloon.take(step.size, step.count, &mut back.lent);
    let outcome = link.settle(step, found, |port| {
        port.take_back(&mut back.lent, &mut back.returned)
    });
    let returned = back.returned.len();
    link.counters
        .add_pages(PageEvent::Free, step.size, returned);
    back.returned.free();
    // What the host has kept stays in the balloon.
    balloon.put(&mut back.lent);
    (outcome, returned)
}

/// Frees all pages of a balloon that the host has forgotten. Waits for those that somebody migrates.
pub(crate) fn pop(balloon: &Balloon<Link>, back: &mut Back, forgotten: &Forgotten) {
    while !balloon.is_empty() {
        let mut found = 0usize;
        for size in [PageSize::Small, PageSize::Large] {
            let taken = balloon.take(size, usize::MAX, &mut back.lent);
            let counters = &balloon.owner().counters;
            counters.add_pages(PageEvent::Free, size, taken);
            back.lent.reclaim(forgotten, &mut back.returned);
            back.returned.free();
            found = found.saturating_add(taken);
        }
        if found == 0 {
            balloon.wait_for_migration();
        }
        cond_resched();
    }
}
