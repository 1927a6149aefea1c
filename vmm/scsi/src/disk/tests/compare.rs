// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of COMPARE AND WRITE.

use std::sync::atomic::AtomicU32;
use std::sync::{mpsc, Arc};
use std::thread;

use hospes_device::counters::Counted;

use super::*;
use crate::testing::{access_10, content, pattern, read_10, write_10, Answer};
use crate::{AioMode, Outcome, Task};

/// One of several ways to the same disk.
struct Path(Arc<Disk>);

impl DeviceServer for Path {
    fn execute(&self, task: &Task<'_>) -> Result<u64, Failure> {
        self.0.execute(task)
    }
    fn reset(&self) {
        self.0.reset();
    }
    fn refresh(&self) -> io::Result<bool> {
        self.0.refresh()
    }
}

/// COMPARE AND WRITE.
fn cdb(flags: u8, lba: u64, blocks: u8) -> [u8; 16] {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1], cdb[13]) = (0x89, flags, blocks);
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb
}

fn run(guest: &Guest, lba: u64, expected: &[u8], new: &[u8]) -> Answer {
    let blocks = (expected.len() / 512) as u8;
    guest.run(&cdb(0, lba, blocks), &[expected, new].concat(), 0)
}

#[test]
fn writes_what_was_as_expected() {
    let (guest, file) = guest();
    let old = pattern(255 * 512);
    guest.run(&write_10(7, 255), &old, 0).good();
    let new = vec![9; old.len()];
    let answer = run(&guest, 7, &old, &new);
    assert_eq!(answer.response().transferred, 2 * 255 * 512);
    answer.good();
    assert_eq!(content(file.as_file())[7 * 512..][..new.len()], new);
}

#[test]
fn tells_the_first_byte_that_differs() {
    let (guest, file) = guest();
    let old = pattern(4 * 512);
    guest.run(&write_10(0, 4), &old, 0).good();
    let mut expected = old.clone();
    expected[1234] ^= 1;
    expected[2000] ^= 1;
    let answer = run(&guest, 0, &expected, &[9; 2048]);
    let miscompare = Sense::new(
        SenseKey::Miscompare,
        asc::MISCOMPARE_DURING_VERIFY_OPERATION,
    );
    assert_eq!(answer.sense(), miscompare.with_information(1234));
    assert_eq!(content(file.as_file())[..2048], old);
}

#[test]
fn what_cannot_be_done() {
    let (guest, _file) = guest();
    // No blocks are no error.
    guest.run(&cdb(0, 0, 0), &[], 0).good();
    let outside = Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE);
    assert_eq!(run(&guest, BLOCKS, &[0; 512], &[0; 512]).sense(), outside);
    let short = guest.run(&cdb(0, 0, 2), &[0; 1024], 0);
    assert_eq!(short.outcome, Outcome::Overrun { needed: 2048 });
    let protect = guest.run(&cdb(0x20, 0, 1), &[0; 1024], 0);
    assert_eq!(protect.sense(), Sense::invalid_cdb(1, Some(7)));

    let (guest, _file) = guest_with(|config| config.read_only = true);
    let sense = run(&guest, 0, &[0; 512], &[1; 512]).sense();
    assert_eq!(sense.key, SenseKey::DataProtect);
}

#[test]
fn is_durable_if_asked_to() {
    let (guest, _file) = guest();
    guest.run(&cdb(8, 0, 1), &[0; 1024], 0).good();
    guest.run(&cdb(0, 0, 1), &[0; 1024], 0).good();
    assert_eq!(guest.target.counters()["0:0"]["flushes"], 1);
}

/// Two increment the number in a block as often, by comparing and writing.
#[test]
fn no_increment_is_lost() {
    const THREADS: u32 = 2;
    const TIMES: u32 = 50;
    let file = file(BLOCKS * 512);
    let disk = Disk::open(&config(file.as_path())).unwrap();
    let disk = Arc::new(disk);
    let retries = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let guest = Guest::with_server(Box::new(Path(Arc::clone(&disk))));
                let mut done = 0;
                while done < TIMES {
                    let old = guest.run(&read_10(0, 1), &[], 512).good();
                    let number = u32::from_le_bytes([old[0], old[1], old[2], old[3]]);
                    let mut new = old.clone();
                    new[..4].copy_from_slice(&(number + 1).to_le_bytes());
                    let outcome = run(&guest, 0, &old, &new).response();
                    if outcome.status == 0 {
                        done += 1;
                    } else {
                        retries.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let content = content(file.as_file());
    assert_eq!(content[..4], (THREADS * TIMES).to_le_bytes());
}

/// More of them than there are threads, with writes in between that wait for
/// threads too.
#[test]
fn many_at_once_do_not_wait_for_each_other_for_ever() {
    for mode in [AioMode::Auto, AioMode::Threads, AioMode::Sync] {
        let (guest, _file) = guest();
        let mut driver = guest.queue.driver(mode).unwrap();
        let (sender, outcomes) = mpsc::channel();
        for number in 0..120 {
            let cdb: &[u8] = match number % 3 {
                0 => &cdb(0, 0, 1),
                1 => &access_10(0x2a, 8, 0, 2),
                _ => &write_10(0, 2),
            };
            let command = guest.command(0, number, cdb, &[0; 1024], 0);
            let sender = sender.clone();
            driver.submit(command, move |outcome| sender.send(outcome).unwrap());
        }
        driver.settle();
        let outcomes: Vec<_> = outcomes.try_iter().collect();
        assert_eq!(outcomes.len(), 120, "{mode}");
        for outcome in outcomes {
            assert!(
                matches!(outcome, Outcome::Completed(r) if r.status == 0),
                "{outcome:?}"
            );
        }
        assert_eq!(guest.target.counters()["0:0"]["writes"], 120, "{mode}");
    }
}
