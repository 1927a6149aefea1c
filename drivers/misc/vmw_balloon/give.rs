// SPDX-License-Identifier: GPL-2.0

//! Pages that go to the host.

use crate::{
    link::Link,
    tray::Tray, //
};
use guest::{
    balloon::Balloon,
    sched::cond_resched, //
};
use protocol::vmballoon::policy::{
    Change,
    Giving,
    Outcome,
    Step,
    Then, //
};

/// Gives pages until there are enough in the balloon, or it does not get on. Returns how many were
/// given, in pages of 4 KiB. Sleeps.
pub(crate) fn give(balloon: &Balloon<Link>, tray: &mut Tray) -> u64 {
    let link = balloon.owner();
    let mut run = Giving::new(link.capabilities());
    let mut given = 0u64;
    while let Change::Give(missing) = link.change(balloon.len()) {
        let Some(step) = run.next(missing) else {
            break;
        };
        let (outcome, accepted) = offer(balloon, tray, step);
        given = given.saturating_add(accepted);
        match run.after(step, outcome) {
            Then::GoOn => (),
            Then::Split => tray.split_refused(),
            Then::Stop => break,
        }
        cond_resched();
    }
    tray.clear(&link.counters);
    given
}

/// Looks for the pages of one step and offers them to the host. Returns how that went, and how many
/// it has taken, in pages of 4 KiB.
fn offer(balloon: &Balloon<Link>, tray: &mut Tray, step: Step) -> (Outcome, u64) {
    let link = balloon.owner();
    let found = tray.fill(step, &link.counters);
    let Tray {
        offered,
        refused,
        back,
        ..
    } = tray;
    let outcome = link.settle(step, found, |port| {
        port.give(offered, &mut back.lent, refused)
    });
    let accepted = (back.lent.len() as u64).saturating_mul(step.size.pages());
    balloon.put(&mut back.lent);
    (outcome, accepted)
}
