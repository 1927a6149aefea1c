// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of commands that wait: for a ring, for helper threads, for each other.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{mpsc, Condvar, Mutex};
use std::thread;

use hospes_device::counters::Counted;
use hospes_device::memory::SgList;
use proptest::prelude::*;
use protocol::scsi::lun::Lun;
use protocol::scsi::sense::{asc, Sense, SenseKey};
use protocol::scsi::status;
use vmm_sys_util::tempfile::TempFile;

use super::*;
use crate::backing::{Backing, Incomplete, RawFile};
use crate::testing::{
    access_10, config, content, file, pattern, read_10, write_10, Guest, IN, OUT,
};
use crate::{
    DeviceServer, Disk, DiskConfig, Task, TaskAttribute, TaskFunction, TaskOutcome, UnitAddress,
};

const MODES: [AioMode; 4] = [
    AioMode::Auto,
    AioMode::IoUring,
    AioMode::Threads,
    AioMode::Sync,
];
const TEST_UNIT_READY: [u8; 6] = [0; 6];
const BLOCKS: u64 = 4096;

/// A file that nothing can be read from or written to without waiting; or a
/// pipe in its place, from which there is nothing to read before it is written.
struct Cold {
    raw: RawFile,
    pipe: Option<File>,
}

impl Backing for Cold {
    fn size(&self) -> io::Result<u64> {
        Ok(BLOCKS * 512)
    }
    fn read(&self, offset: u64, list: &SgList, len: u64) -> Result<(), Incomplete> {
        self.raw.read(offset, list, len)
    }
    fn write(
        &self,
        offset: u64,
        list: &SgList,
        len: u64,
        durability: Durability,
    ) -> Result<(), Incomplete> {
        self.raw.write(offset, list, len, durability)
    }
    fn file(&self) -> Option<&File> {
        self.pipe.as_ref().or(self.raw.file())
    }
    fn read_bytes(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.raw.read_bytes(offset, buffer)
    }
    fn write_bytes(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.raw.write_bytes(offset, data)
    }
    fn flush(&self) -> io::Result<()> {
        self.raw.flush()
    }
    fn can_deallocate(&self) -> bool {
        false
    }
    fn deallocate(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        self.raw.zero(offset, len)
    }
}

fn guest_on(pipe: Option<File>) -> (Guest, TempFile) {
    let file = file(BLOCKS * 512);
    let raw = RawFile::open(file.as_path(), false).unwrap();
    let backing = Box::new(Cold { raw, pipe });
    let disk = Disk::with_backing(&config(file.as_path()), backing).unwrap();
    (Guest::with_disk(disk), file)
}

/// A guest with a disk that is a pipe, and what fills that.
fn guest_on_pipe() -> (Guest, UnixStream, TempFile) {
    let (reader, writer) = UnixStream::pair().unwrap();
    let (guest, file) = guest_on(Some(OwnedFd::from(reader).into()));
    (guest, writer, file)
}

/// A driver that has a ring, unless this system has none.
fn with_ring(guest: &Guest) -> Option<Driver> {
    guest.queue.driver(AioMode::IoUring).ok()
}

/// Submits a command, whose outcome can be received.
fn submit(driver: &mut Driver, command: Command) -> mpsc::Receiver<Outcome> {
    let (sender, receiver) = mpsc::channel();
    driver.submit(command, move |outcome| {
        // A test need not care for the outcome.
        let _ = sender.send(outcome);
    });
    receiver
}

fn good(outcome: Outcome, transferred: u64) {
    let Outcome::Completed(response) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        (response.status, response.transferred),
        (status::GOOD, transferred)
    );
}

/// Polls as a thread does that is woken, until there is an outcome.
fn wait(driver: &mut Driver, outcome: &mpsc::Receiver<Outcome>) -> Outcome {
    loop {
        driver.flush();
        driver.poll();
        if let Ok(outcome) = outcome.try_recv() {
            return outcome;
        }
        thread::yield_now();
    }
}

#[test]
fn every_mode_reads_what_it_wrote() {
    for mode in MODES {
        let (guest, file) = guest_on(None);
        let Ok(mut driver) = guest.queue.driver(mode) else {
            assert_eq!(mode, AioMode::IoUring);
            continue;
        };
        // Some hundred pieces of guest memory.
        let data = pattern(600 * 512);
        for flags in [0, 8] {
            let write = guest.command(0, 1, &access_10(0x2a, flags, 7, 600), &data, 0);
            let written = submit(&mut driver, write);
            driver.settle();
            good(written.try_recv().unwrap(), data.len() as u64);
            assert_eq!(content(file.as_file())[7 * 512..607 * 512], data);

            let read = guest.command(0, 1, &access_10(0x28, flags, 7, 600), &[], data.len());
            let read = submit(&mut driver, read);
            driver.settle();
            good(read.try_recv().unwrap(), data.len() as u64);
            let mut seen = vec![0; data.len()];
            guest.list(IN, data.len()).read_at(0, &mut seen);
            assert_eq!(seen, data, "{mode}");
        }
        let flush = submit(
            &mut driver,
            guest.command(0, 1, &access_10(0x35, 0, 0, 0), &[], 0),
        );
        let verify = submit(
            &mut driver,
            guest.command(0, 1, &access_10(0x2f, 0, 0, 9), &[], 0),
        );
        driver.settle();
        good(flush.try_recv().unwrap(), 0);
        good(verify.try_recv().unwrap(), 0);
        // With FUA and by SYNCHRONIZE CACHE.
        assert_eq!(guest.target.counters()["0:0"]["flushes"], 3, "{mode}");
    }
}

#[test]
fn a_file_that_shrank() {
    for mode in MODES {
        let (guest, file) = guest_on(None);
        let Ok(mut driver) = guest.queue.driver(mode) else {
            continue;
        };
        file.as_file().set_len(3 * 512).unwrap();
        let outcome = submit(&mut driver, guest.command(0, 1, &read_10(0, 8), &[], 4096));
        driver.settle();
        let Ok(Outcome::Completed(response)) = outcome.try_recv() else {
            panic!("{mode}");
        };
        let sense = Sense::decode(response.sense.as_slice()).unwrap();
        let expected = Sense::new(SenseKey::MediumError, asc::UNRECOVERED_READ_ERROR).at_block(3);
        assert_eq!((sense, response.transferred), (expected, 3 * 512), "{mode}");
    }
}

#[test]
fn an_abort_takes_a_command_back_from_the_ring() {
    let (guest, _writer, _file) = guest_on_pipe();
    let (outcomes, outcome) = mpsc::channel();
    let task = |tag| (0, Lun::Unit(0), tag);
    thread::scope(|scope| {
        let guest = &guest;
        scope.spawn(move || {
            let Some(mut driver) = with_ring(guest) else {
                return outcomes.send(None).unwrap();
            };
            let read = submit(&mut driver, guest.command(0, 7, &read_10(0, 1), &[], 512));
            outcomes.send(Some(Outcome::Failed)).unwrap();
            outcomes.send(Some(wait(&mut driver, &read))).unwrap();
        });
        if outcome.recv().unwrap().is_none() {
            return;
        }
        let (target, lun, tag) = task(7);
        let query = TaskFunction::QueryTask { target, lun, tag };
        assert_eq!(guest.target.task_management(query), TaskOutcome::Succeeded);
        let abort = TaskFunction::AbortTask { target, lun, tag };
        assert_eq!(guest.target.task_management(abort), TaskOutcome::Complete);
        assert_eq!(guest.target.task_management(query), TaskOutcome::Complete);
        assert_eq!(outcome.recv(), Ok(Some(Outcome::Aborted)));
        assert_eq!(guest.target.counters()["0:0"]["aborted"], 1);
    });
}

#[test]
fn a_driver_that_goes_away_ends_what_it_works_on() {
    let (guest, _writer, _file) = guest_on_pipe();
    let Some(mut driver) = with_ring(&guest) else {
        return;
    };
    let read = submit(&mut driver, guest.command(0, 1, &read_10(0, 1), &[], 512));
    let ordered = Command {
        attribute: TaskAttribute::Ordered,
        ..guest.command(0, 2, &TEST_UNIT_READY, &[], 0)
    };
    let held = submit(&mut driver, ordered);
    driver.flush();
    drop(driver);
    assert_eq!(read.try_recv(), Ok(Outcome::Reset));
    assert_eq!(held.try_recv(), Ok(Outcome::Reset));
}

#[test]
fn ordered_commands_keep_their_place() {
    let (guest, mut writer, _file) = guest_on_pipe();
    let Some(mut driver) = with_ring(&guest) else {
        return;
    };
    let read = submit(&mut driver, guest.command(0, 1, &read_10(0, 1), &[], 512));
    let mut others = Vec::new();
    for attribute in [
        TaskAttribute::Ordered,
        TaskAttribute::Simple,
        TaskAttribute::HeadOfQueue,
    ] {
        let command = Command {
            attribute,
            ..guest.command(0, 2, &TEST_UNIT_READY, &[], 0)
        };
        others.push(submit(&mut driver, command));
    }
    driver.flush();
    driver.poll();
    let done: Vec<_> = others.iter().map(|each| each.try_recv().is_ok()).collect();
    assert_eq!(done, [false, false, true]);
    writer.write_all(&[9; 512]).unwrap();
    good(wait(&mut driver, &read), 512);
    driver.settle();
    good(others[0].try_recv().unwrap(), 0);
    good(others[1].try_recv().unwrap(), 0);
}

/// A unit whose commands all block until a gate opens, but for the ones that
/// look whether it is ready.
#[derive(Default)]
struct Gated {
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl DeviceServer for Gated {
    fn execute(&self, _: &Task<'_>) -> Result<u64, Failure> {
        let (open, changed) = &*self.open;
        let guard = open.lock().unwrap();
        drop(changed.wait_while(guard, |open| !*open).unwrap());
        Ok(0)
    }
    fn plan(&self, task: &Task<'_>) -> Result<Plan, Failure> {
        match task.cdb[0] {
            0 => Ok(Plan::Done(0)),
            _ => Ok(Plan::Blocking),
        }
    }
    fn reset(&self) {}
    fn refresh(&self) -> io::Result<bool> {
        Ok(false)
    }
}

#[test]
fn what_blocks_holds_up_nothing_else_and_can_be_taken_back_before_it_begins() {
    const BLOCKING: u64 = 40;
    let guest = Guest::new();
    let unit = Gated::default();
    let gate = unit.open.clone();
    guest
        .target
        .add(UnitAddress { target: 0, lun: 0 }, Box::new(unit))
        .unwrap();
    let mut driver = guest.queue.driver(AioMode::Auto).unwrap();
    submit(&mut driver, guest.command(0, 0, &TEST_UNIT_READY, &[], 0));
    let blocking: Vec<_> = (1..=BLOCKING)
        .map(|tag| submit(&mut driver, guest.command(0, tag, &[0x1b; 6], &[], 0)))
        .collect();
    let ready = submit(&mut driver, guest.command(0, 0, &TEST_UNIT_READY, &[], 0));
    good(ready.try_recv().unwrap(), 0);

    let abort = |tag| TaskFunction::AbortTask {
        target: 0,
        lun: Lun::Unit(0),
        tag,
    };
    guest.target.task_management(abort(BLOCKING));
    let last = blocking.last().unwrap();
    assert_eq!(last.try_recv(), Ok(Outcome::Aborted));

    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    driver.settle();
    for outcome in blocking.iter().take(BLOCKING as usize - 1) {
        good(outcome.try_recv().unwrap(), 0);
    }
}

/// What one command of a batch does: blocks, flags, and whether it writes.
type Access = (u16, bool, bool);

/// Each command of a batch has a part of the disk and buffers for itself.
const PART: u64 = 64;
const SLOT: u64 = 0x8000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Batches of accesses leave what the same ones one by one would.
    #[test]
    fn batches_are_what_their_commands_are(
        batches in prop::collection::vec(
            prop::collection::vec((1_u16..=64, any::<bool>(), any::<bool>()), 1..40), 1..4),
        mode in prop_oneof![Just(AioMode::Auto), Just(AioMode::Threads)],
    ) {
        let (guest, file) = guest_on(None);
        let mut driver = guest.queue.driver(mode).unwrap();
        let mut model = vec![0_u8; (BLOCKS * 512) as usize];
        for (number, batch) in (1_u8..).zip(&batches) {
            let outcomes: Vec<_> = (0_u64..).zip(batch)
                .map(|(slot, access)| begin(&guest, &mut driver, &mut model, number, slot, *access))
                .collect();
            driver.settle();
            for ((slot, access), outcome) in (0_u64..).zip(batch).zip(outcomes) {
                let len = usize::from(access.0) * 512;
                good(outcome.try_recv().unwrap(), len as u64);
                if !access.2 {
                    let mut read = vec![0; len];
                    guest.list(IN + slot * SLOT, len).read_at(0, &mut read);
                    prop_assert_eq!(&read, &model[(slot * PART * 512) as usize..][..len]);
                }
            }
        }
        prop_assert_eq!(content(file.as_file()), model);
    }
}

fn begin(
    guest: &Guest,
    driver: &mut Driver,
    model: &mut [u8],
    number: u8,
    slot: u64,
    (blocks, force, writes): Access,
) -> mpsc::Receiver<Outcome> {
    let len = usize::from(blocks) * 512;
    let (opcode, flags) = (if writes { 0x2a } else { 0x28 }, u8::from(force) << 3);
    let cdb = access_10(opcode, flags, (slot * PART) as u32, blocks);
    let mut command = guest.command(0, slot, &cdb, &[], 0);
    if writes {
        let place = OUT + slot * SLOT;
        let data: Vec<u8> = vec![number; len];
        command.data_out = guest.list(place, len);
        command.data_out.write_at(0, &data);
        model[(slot * PART * 512) as usize..][..len].copy_from_slice(&data);
    } else {
        command.data_in = guest.list(IN + slot * SLOT, len);
    }
    submit(driver, command)
}

#[test]
fn what_is_in_the_cache_of_the_host_needs_no_ring() {
    let file = file(BLOCKS * 512);
    let disk = Disk::open(&DiskConfig {
        serial: "1".into(),
        ..DiskConfig::new(file.as_path())
    });
    let guest = Guest::with_disk(disk.unwrap());
    let mut driver = guest.queue.driver(AioMode::Auto).unwrap();
    let written = submit(
        &mut driver,
        guest.command(0, 1, &write_10(0, 8), &[5; 4096], 0),
    );
    let read = submit(&mut driver, guest.command(0, 1, &read_10(0, 8), &[], 4096));
    // Where the file system has no way to try, it takes a little longer.
    driver.settle();
    good(written.try_recv().unwrap(), 4096);
    good(read.try_recv().unwrap(), 4096);
}
