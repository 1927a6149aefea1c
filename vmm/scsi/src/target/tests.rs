// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of the target: addresses, unit attentions, task management.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{mpsc, Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hospes_device::counters::Counted;
use protocol::scsi::lun::{Lun, REPORT_LUNS_WELL_KNOWN};
use protocol::scsi::sense::{asc, Sense};
use protocol::scsi::status;

use crate::testing::{Guest, LONG};
use crate::{
    Attention, DeviceServer, Failure, Outcome, Target, TargetError, Task, TaskAttribute,
    TaskFunction, TaskOutcome, UnitAddress,
};

const TEST_UNIT_READY: [u8; 6] = [0; 6];

/// A unit that does nothing; it can be made slow, or made to wait for a gate.
#[derive(Clone, Default)]
struct Plain {
    latency: Duration,
    executed: Arc<AtomicU32>,
    resets: Arc<AtomicU32>,
    gate: Option<Arc<Gate>>,
}

/// Holds commands in execution until it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| !*open).unwrap());
    }
}

impl DeviceServer for Plain {
    fn execute(&self, _: &Task<'_>) -> Result<u64, Failure> {
        self.executed.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        Ok(0)
    }
    fn latency(&self) -> Duration {
        self.latency
    }
    fn reset(&self) {
        self.resets.fetch_add(1, Ordering::SeqCst);
    }
    fn refresh(&self) -> std::io::Result<bool> {
        Ok(true)
    }
}

fn slow() -> Plain {
    Plain {
        latency: LONG,
        ..Plain::default()
    }
}

fn at(target: u8, lun: u16) -> UnitAddress {
    UnitAddress { target, lun }
}

fn guest_with(units: &[(u16, Plain)]) -> Guest {
    let guest = Guest::new();
    for (lun, unit) in units {
        guest
            .target
            .add(at(0, *lun), Box::new(unit.clone()))
            .unwrap();
    }
    guest
}

/// As the guest is after it has scanned: no unit has anything to tell.
fn without_attentions(guest: Guest) -> Guest {
    for unit in guest.target.snapshot().0.values() {
        while unit.attentions.take().is_some() {}
    }
    guest
}

fn submit(guest: &Guest, lun: u16, tag: u64) -> mpsc::Receiver<Outcome> {
    guest.submit(guest.command(lun, tag, &TEST_UNIT_READY, &[], 0))
}

/// REPORT LUNS with this SELECT REPORT.
fn report_luns(guest: &Guest, lun: u16, select: u8, len: u32) -> Vec<u8> {
    let [a, b, c, d] = len.to_be_bytes();
    let cdb = [0xa0, 0, select, 0, 0, 0, a, b, c, d, 0, 0];
    guest.run_on(lun, &cdb, &[], len as usize).good()
}

#[test]
fn units_by_address() {
    let target = Target::new();
    target
        .add(at(3, 0x3fff), Box::new(Plain::default()))
        .unwrap();
    target.add(at(3, 0), Box::new(Plain::default())).unwrap();
    let occupied = target.add(at(3, 0), Box::new(Plain::default()));
    assert!(matches!(occupied, Err(TargetError::Occupied(_))));
    let too_large = target.add(at(3, 0x4000), Box::new(Plain::default()));
    assert!(matches!(too_large, Err(TargetError::LunTooLarge(0x4000))));
    assert_eq!(target.addresses(), [at(3, 0), at(3, 0x3fff)]);
    assert!(target.has_target(3) && !target.has_target(2));
    target.remove(at(3, 0)).unwrap();
    assert!(matches!(
        target.remove(at(3, 0)),
        Err(TargetError::Absent(_))
    ));
    assert_eq!(target.addresses(), [at(3, 0x3fff)]);
}

#[test]
fn every_unit_can_be_reached() {
    let units: Vec<_> = (0..=0x3fff).map(|lun| (lun, Plain::default())).collect();
    let guest = without_attentions(guest_with(&units));
    let list = report_luns(&guest, 0, 0, 8 + 0x4000 * 8);
    assert_eq!(list.len(), 8 + 0x4000 * 8);
    for (entry, (lun, unit)) in list[8..].chunks_exact(8).zip(&units) {
        let wire = entry.try_into().unwrap();
        assert_eq!(Lun::decode(wire), Some(Lun::Unit(*lun)));
        guest.run_on(*lun, &TEST_UNIT_READY, &[], 0).good();
        assert_eq!(unit.executed.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn reports() {
    let guest = guest_with(&[(1, Plain::default()), (300, Plain::default())]);
    let first = [0, 1, 0, 0, 0, 0, 0, 0];
    let second = [0x41, 0x2c, 0, 0, 0, 0, 0, 0];
    let well_known = [0xc1, 1, 0, 0, 0, 0, 0, 0];
    let header = |len: u8| [0, 0, 0, len, 0, 0, 0, 0];
    let cases: [(u8, Vec<u8>); 5] = [
        (0x00, [header(16), first, second].concat()),
        (0x01, [header(8), well_known].concat()),
        (0x02, [header(24), first, second, well_known].concat()),
        (0x10, header(0).to_vec()),
        (0x11, [header(16), first, second].concat()),
    ];
    for (select, expected) in cases {
        // A unit answers, and so does one that is absent.
        assert_eq!(report_luns(&guest, 1, select, 256), expected);
        assert_eq!(report_luns(&guest, 0, select, 256), expected);
    }
    assert_eq!(
        report_luns(&guest, 0, 0, 12),
        [header(16), first].concat()[..12]
    );
    let wrong = guest.run(&[0xa0, 0, 0x12, 0, 0, 0, 0, 0, 1, 0, 0, 0], &[], 256);
    assert_eq!(wrong.sense(), Sense::invalid_cdb(2, None));
}

#[test]
fn absent_units() {
    let guest = guest_with(&[(1, Plain::default())]);
    let inquiry = guest.run(&[0x12, 0, 0, 0, 36, 0], &[], 36).good();
    assert_eq!(inquiry[0], 0x7f);
    let not_supported = Sense::illegal(asc::LOGICAL_UNIT_NOT_SUPPORTED);
    assert_eq!(guest.run(&TEST_UNIT_READY, &[], 0).sense(), not_supported);
    let asked = guest.run(&[3, 0, 0, 0, 18, 0], &[], 18).good();
    assert_eq!(Sense::decode(&asked), Some(not_supported));

    let mut elsewhere = guest.command(0, 1, &TEST_UNIT_READY, &[], 0);
    elsewhere.target = 1;
    assert_eq!(guest.submit(elsewhere).recv(), Ok(Outcome::NoTarget));
}

#[test]
fn the_well_known_unit() {
    let guest = guest_with(&[(1, Plain::default())]);
    let run = |cdb: &[u8]| {
        let mut command = guest.command(0, 1, cdb, &[], 36);
        command.lun = Lun::WellKnown(REPORT_LUNS_WELL_KNOWN);
        match guest.submit(command).recv().unwrap() {
            Outcome::Completed(response) => (response.status, response.transferred),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(run(&[0x12, 0, 0, 0, 36, 0]), (status::GOOD, 36));
    assert_eq!(
        run(&[0xa0, 0, 1, 0, 0, 0, 0, 0, 0, 16, 0, 0]),
        (status::GOOD, 16)
    );
    assert_eq!(run(&TEST_UNIT_READY), (status::GOOD, 0));
    assert_eq!(
        run(&[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
        (status::CHECK_CONDITION, 0)
    );
}

#[test]
fn attentions_are_told_once() {
    let guest = guest_with(&[(0, Plain::default())]);
    // These come through without clearing it.
    guest.run(&[0x12, 0, 0, 0, 36, 0], &[], 36).good();
    report_luns(&guest, 0, 0, 16);
    let told = guest.run(&TEST_UNIT_READY, &[], 0).sense();
    assert_eq!(told, Attention::PowerOn.sense());
    guest.run(&TEST_UNIT_READY, &[], 0).good();
    // REQUEST SENSE tells it as data.
    guest.target.refresh(at(0, 0)).unwrap();
    assert_eq!(
        guest.attentions_until_none(0),
        [asc::CAPACITY_DATA_HAS_CHANGED]
    );
    guest.run(&TEST_UNIT_READY, &[], 0).good();
}

#[test]
fn other_units_come_and_go() {
    let guest = guest_with(&[(0, Plain::default())]);
    guest.run(&TEST_UNIT_READY, &[], 0).sense();
    guest
        .target
        .add(at(0, 1), Box::new(Plain::default()))
        .unwrap();
    let changed = Attention::LunsChanged.sense();
    assert_eq!(guest.run(&TEST_UNIT_READY, &[], 0).sense(), changed);
    guest.target.remove(at(0, 1)).unwrap();
    // A report of the units makes it known as well.
    report_luns(&guest, 0, 0, 16);
    guest.run(&TEST_UNIT_READY, &[], 0).good();
    guest
        .target
        .add(at(1, 0), Box::new(Plain::default()))
        .unwrap();
    guest.run(&TEST_UNIT_READY, &[], 0).good();
}

#[test]
fn no_auto_contingent_allegiance() {
    let guest = without_attentions(guest_with(&[(0, Plain::default())]));
    let mut command = guest.command(0, 1, &TEST_UNIT_READY, &[], 0);
    command.attribute = TaskAttribute::Aca;
    match guest.submit(command).recv().unwrap() {
        Outcome::Completed(response) => {
            let sense = Sense::decode(response.sense.as_slice());
            assert_eq!(sense, Some(Sense::illegal(asc::INVALID_MESSAGE_ERROR)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn delayed_commands_are_executed() {
    let unit = Plain {
        latency: Duration::from_millis(1),
        ..Plain::default()
    };
    let guest = without_attentions(guest_with(&[(0, unit.clone())]));
    let receivers: Vec<_> = (0..20).map(|tag| submit(&guest, 0, tag)).collect();
    for receiver in receivers {
        assert!(matches!(receiver.recv(), Ok(Outcome::Completed(_))));
    }
    assert_eq!(unit.executed.load(Ordering::SeqCst), 20);
}

#[test]
fn abort_one_command() {
    let unit = slow();
    let guest = without_attentions(guest_with(&[(0, unit.clone())]));
    let commands: Vec<_> = (0..3).map(|tag| submit(&guest, 0, tag)).collect();
    let (target, lun) = (0, Lun::Unit(0));
    let query = TaskFunction::QueryTask {
        target,
        lun,
        tag: 1,
    };
    assert_eq!(guest.target.task_management(query), TaskOutcome::Succeeded);
    let abort = TaskFunction::AbortTask {
        target,
        lun,
        tag: 1,
    };
    assert_eq!(guest.target.task_management(abort), TaskOutcome::Complete);
    assert_eq!(commands[1].try_recv(), Ok(Outcome::Aborted));
    assert_eq!(guest.target.task_management(query), TaskOutcome::Complete);
    assert!(commands[0].try_recv().is_err() && commands[2].try_recv().is_err());
    assert_eq!(guest.target.counters()["0:0"]["aborted"], 1);

    let rest = TaskFunction::AbortTaskSet { target, lun };
    let query = TaskFunction::QueryTaskSet { target, lun };
    assert_eq!(guest.target.task_management(query), TaskOutcome::Succeeded);
    assert_eq!(guest.target.task_management(rest), TaskOutcome::Complete);
    assert_eq!(commands[0].try_recv(), Ok(Outcome::Aborted));
    assert_eq!(commands[2].try_recv(), Ok(Outcome::Aborted));
    assert_eq!(unit.executed.load(Ordering::SeqCst), 0);
}

#[test]
fn reset_one_unit() {
    let (first, second) = (slow(), slow());
    let guest = guest_with(&[(0, first.clone()), (1, second.clone())]);
    let guest = without_attentions(guest);
    let commands = [submit(&guest, 0, 1), submit(&guest, 1, 1)];
    let reset = TaskFunction::LunReset {
        target: 0,
        lun: Lun::Unit(0),
    };
    assert_eq!(guest.target.task_management(reset), TaskOutcome::Complete);
    assert_eq!(commands[0].try_recv(), Ok(Outcome::Reset));
    assert!(commands[1].try_recv().is_err());
    assert_eq!(first.resets.load(Ordering::SeqCst), 1);
    assert_eq!(second.resets.load(Ordering::SeqCst), 0);
    assert_eq!(guest.pending(0), Some(Attention::UnitReset));
    assert_eq!(guest.pending(1), None);
}

#[test]
fn reset_a_nexus_and_everything() {
    let guest = without_attentions(guest_with(&[(0, slow()), (1, slow())]));
    let commands = [submit(&guest, 0, 1), submit(&guest, 1, 1)];
    let reset = TaskFunction::NexusReset { target: 0 };
    assert_eq!(guest.target.task_management(reset), TaskOutcome::Complete);
    assert!(commands
        .iter()
        .all(|command| command.try_recv() == Ok(Outcome::Reset)));
    assert_eq!(guest.pending(1), Some(Attention::NexusLoss));

    let command = submit(&guest, 0, 1);
    guest.target.reset();
    assert_eq!(command.try_recv(), Ok(Outcome::Reset));
    assert_eq!(guest.pending(0), Some(Attention::PowerOn));
}

#[test]
fn functions_for_what_is_not_there() {
    let guest = guest_with(&[(0, Plain::default())]);
    let reset = |target, lun| {
        guest.target.task_management(TaskFunction::LunReset {
            target,
            lun: Lun::Unit(lun),
        })
    };
    assert_eq!(reset(0, 1), TaskOutcome::IncorrectLun);
    assert_eq!(reset(1, 0), TaskOutcome::NoTarget);
    let nexus = TaskFunction::NexusReset { target: 9 };
    assert_eq!(guest.target.task_management(nexus), TaskOutcome::NoTarget);
    let unknown = TaskFunction::AbortTask {
        target: 0,
        lun: Lun::Unit(0),
        tag: 7,
    };
    assert_eq!(guest.target.task_management(unknown), TaskOutcome::Complete);
}

/// A command in the middle of its execution cannot be aborted: task management
/// returns only after its completion, whichever thread executes it.
fn waits_for_what_is_executing(latency: Duration) {
    let gate = Arc::new(Gate::default());
    let unit = Plain {
        latency,
        gate: Some(gate.clone()),
        ..Plain::default()
    };
    let guest = without_attentions(guest_with(&[(0, unit.clone())]));
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let command = guest.command(0, 1, &TEST_UNIT_READY, &[], 0);
        let submitted = sender.clone();
        let guest = &guest;
        scope.spawn(move || {
            guest
                .queue
                .submit(command, move |_| submitted.send("completed").unwrap());
        });
        while unit.executed.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        scope.spawn(move || {
            let abort = TaskFunction::AbortTask {
                target: 0,
                lun: Lun::Unit(0),
                tag: 1,
            };
            assert_eq!(guest.target.task_management(abort), TaskOutcome::Complete);
            sender.send("aborted").unwrap();
        });
        let query = TaskFunction::QueryTask {
            target: 0,
            lun: Lun::Unit(0),
            tag: 1,
        };
        assert_eq!(guest.target.task_management(query), TaskOutcome::Succeeded);
        gate.open();
    });
    assert_eq!(
        receiver.iter().take(2).collect::<Vec<_>>(),
        ["completed", "aborted"]
    );
}

#[test]
fn waits_for_a_queue() {
    waits_for_what_is_executing(Duration::ZERO);
}

#[test]
fn waits_for_the_timer() {
    waits_for_what_is_executing(Duration::from_nanos(1));
}

/// An abort that is not to wait returns while the command still executes, on a queue or on
/// the timer; the command is completed once, later.
#[test]
fn an_abort_need_not_wait() {
    for latency in [Duration::ZERO, Duration::from_nanos(1)] {
        let gate = Arc::new(Gate::default());
        let unit = Plain {
            latency,
            gate: Some(gate.clone()),
            ..Plain::default()
        };
        let guest = without_attentions(guest_with(&[(0, unit.clone())]));
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            let command = guest.command(0, 1, &TEST_UNIT_READY, &[], 0);
            let guest = &guest;
            scope.spawn(move || {
                guest
                    .queue
                    .submit(command, move |outcome| sender.send(outcome).unwrap());
            });
            while unit.executed.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            let now = Some(Instant::now());
            assert!(guest.target.abort(at(0, 0), 2, now), "there is none");
            assert!(!guest.target.abort(at(0, 0), 1, now));
            assert!(receiver.try_recv().is_err());
            gate.open();
            assert!(guest.target.abort(at(0, 0), 1, None));
        });
        assert_eq!(receiver.iter().count(), 1);
    }
}

#[test]
fn removal_ends_commands() {
    let guest = without_attentions(guest_with(&[(0, slow()), (1, Plain::default())]));
    let command = submit(&guest, 0, 1);
    guest.target.remove(at(0, 0)).unwrap();
    assert_eq!(command.try_recv(), Ok(Outcome::Aborted));
    let gone = guest.run(&TEST_UNIT_READY, &[], 0).sense();
    assert_eq!(gone, Sense::illegal(asc::LOGICAL_UNIT_NOT_SUPPORTED));
}

/// Also by queues that never submit again.
#[test]
fn removed_units_are_let_go() {
    let unit = Plain::default();
    let guest = guest_with(&[(0, unit.clone()), (1, Plain::default())]);
    let idle = guest.target.queue();
    assert_eq!(Arc::strong_count(&unit.resets), 2);
    guest.target.remove(at(0, 0)).unwrap();
    assert_eq!(Arc::strong_count(&unit.resets), 1);
    drop(idle);
}

/// Commands come from several threads while others are aborted and units are
/// reset, added and removed: each completes once.
#[test]
fn every_command_completes_once() {
    const THREADS: u64 = 3;
    const COMMANDS: u64 = 400;
    let quick = Plain {
        latency: Duration::from_micros(50),
        ..Plain::default()
    };
    let guest = guest_with(&[(0, quick), (1, Plain::default())]);
    let completions: Vec<_> = (0..THREADS * COMMANDS).map(|_| AtomicU32::new(0)).collect();
    let completions = Arc::new(completions);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (queue, guest, completions) = (guest.target.queue(), &guest, &completions);
            scope.spawn(move || {
                for tag in thread * COMMANDS..(thread + 1) * COMMANDS {
                    let completions = Arc::clone(completions);
                    let command = guest.command(tag as u16 % 3, tag, &TEST_UNIT_READY, &[], 0);
                    queue.submit(command, move |outcome| {
                        assert_ne!(outcome, Outcome::Failed);
                        completions[tag as usize].fetch_add(1, Ordering::SeqCst);
                    });
                }
            });
        }
        for tag in 0..100 {
            let (target, lun) = (0, Lun::Unit(0));
            guest
                .target
                .task_management(TaskFunction::AbortTask { target, lun, tag });
            guest
                .target
                .task_management(TaskFunction::LunReset { target, lun });
            guest
                .target
                .add(at(0, 2), Box::new(Plain::default()))
                .unwrap();
            guest.target.remove(at(0, 2)).unwrap();
        }
    });
    guest.target.reset();
    assert!(completions
        .iter()
        .all(|count| count.load(Ordering::SeqCst) == 1));
}

#[test]
fn commands_end_with_their_target() {
    let guest = without_attentions(guest_with(&[(0, slow())]));
    let command = submit(&guest, 0, 1);
    drop(guest);
    assert_eq!(command.recv(), Ok(Outcome::Aborted));
}

#[test]
fn completions_may_submit() {
    let guest = Arc::new(without_attentions(guest_with(&[(0, Plain::default())])));
    let (sender, receiver) = mpsc::channel();
    let again = guest.clone();
    guest
        .queue
        .submit(guest.command(0, 1, &TEST_UNIT_READY, &[], 0), move |_| {
            let command = again.command(0, 2, &TEST_UNIT_READY, &[], 0);
            again
                .queue
                .submit(command, move |outcome| sender.send(outcome).unwrap());
        });
    assert!(matches!(receiver.try_recv(), Ok(Outcome::Completed(_))));
}

impl Guest {
    /// What a unit has to tell next.
    fn pending(&self, lun: u16) -> Option<Attention> {
        self.target
            .snapshot()
            .get(0, Lun::Unit(lun))?
            .attentions
            .take()
    }

    /// What REQUEST SENSE tells about a unit whose own answer has no data.
    fn attentions_until_none(&self, lun: u16) -> Vec<protocol::scsi::sense::Additional> {
        let next = || {
            let data = self.run_on(lun, &[3, 0, 0, 0, 252, 0], &[], 252).good();
            Sense::decode(&data).map(|sense| sense.additional)
        };
        std::iter::from_fn(next).collect()
    }
}
