// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Writing, verifying and exercising a disk with several threads.
//!
//! The disk is cut into chunks of one request each. Thread `n` of `jobs` owns
//! the chunks whose position in the visiting order is `n` modulo `jobs`, so no
//! two threads ever touch the same chunk and neighbouring requests of a linear
//! order are in flight at the same time.

use std::thread;

use anyhow::{bail, ensure, Context, Result};

use crate::disk::{Buffer, Disk, Port};
use crate::pattern::{self, BLOCK, BLOCK_BYTES};

/// The order in which chunks are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Front to back.
    Linear,
    /// Scattered over the disk, each chunk once.
    Scattered,
}

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The generation that every block has.
    pub generation: u64,
}

/// A disk and how it is to be worked on.
pub struct Work {
    disk: Disk,
    id: u64,
    io_size: u64,
    jobs: u64,
    order: Order,
}

/// What a thread works with.
struct Hand<'a> {
    port: Port<'a>,
    buffer: Buffer,
}

/// One request: where it begins, and its bytes (whole blocks).
#[derive(Clone, Copy)]
struct Chunk {
    at: u64,
    len: usize,
}

impl Chunk {
    fn block(self) -> u64 {
        self.at / BLOCK_BYTES
    }
}

impl Work {
    /// Work on `disk`, whose number is `id`.
    pub fn new(disk: Disk, id: u64, io_size: u64, jobs: u64, order: Order) -> Result<Self> {
        ensure!(
            io_size > 0 && io_size % BLOCK_BYTES == 0 && io_size <= 64 << 20,
            "a request of {io_size} bytes is not a number of 4 KiB blocks up to 64M"
        );
        Ok(Self {
            disk,
            id,
            io_size,
            jobs,
            order,
        })
    }

    /// The disk's size.
    pub fn bytes(&self) -> u64 {
        self.disk.bytes()
    }

    /// Makes everything written durable.
    pub fn flush(&self) -> Result<()> {
        self.disk.flush()
    }

    /// Writes one generation to the whole disk.
    pub fn write(&self, generation: u64) -> Result<()> {
        self.each_job(|job| {
            let mut hand = self.hand()?;
            self.chunks(job)
                .try_for_each(|chunk| self.write_one(&mut hand, chunk, generation))
        })
    }

    /// Verifies the whole disk. Without `generation`, all blocks must share the
    /// one that the first block has.
    pub fn verify(&self, generation: Option<u64>) -> Result<Summary> {
        let generation = match generation {
            Some(generation) => generation,
            None => self.first_generation()?,
        };
        self.each_job(|job| {
            let mut hand = self.hand()?;
            self.chunks(job)
                .try_for_each(|chunk| self.verify_one(&mut hand, chunk, generation))
        })?;
        Ok(Summary { generation })
    }

    /// Verifies each chunk, overwrites it with the next generation and reads
    /// that back, `rounds` times over the whole disk; then verifies everything
    /// once more. Returns the last generation.
    pub fn exercise(&self, generation: u64, rounds: u64) -> Result<u64> {
        let last = generation
            .checked_add(rounds)
            .context("the generation is too large")?;
        self.each_job(|job| {
            let mut hand = self.hand()?;
            for old in generation..last {
                for chunk in self.chunks(job) {
                    self.verify_one(&mut hand, chunk, old)?;
                    self.write_one(&mut hand, chunk, old.saturating_add(1))?;
                }
            }
            Ok(())
        })?;
        self.verify(Some(last))?;
        Ok(last)
    }

    /// Writes each thread's first chunk over and over, every time with the next
    /// number, and reads it before and after: a write that is carried out once
    /// more, later, brings an old number back, and one that is lost leaves it.
    /// In the end all of the disk has the last number, which is returned.
    pub fn sequence(&self, generation: u64, writes: u64) -> Result<u64> {
        let last = generation
            .checked_add(writes)
            .context("the generation is too large")?;
        self.each_job(|job| {
            let mut hand = self.hand()?;
            let Some(chunk) = self.chunks(job).next() else {
                return Ok(());
            };
            for old in generation..last {
                self.verify_one(&mut hand, chunk, old)?;
                self.write_one(&mut hand, chunk, old.saturating_add(1))?;
            }
            self.verify_one(&mut hand, chunk, last)
        })?;
        self.write(last)?;
        self.verify(Some(last))?;
        Ok(last)
    }

    fn write_one(&self, hand: &mut Hand<'_>, chunk: Chunk, generation: u64) -> Result<()> {
        let bytes = hand.buffer.head(chunk.len);
        pattern::fill(bytes, self.id, chunk.block(), generation);
        hand.port.write(bytes, chunk.at)
    }

    fn verify_one(&self, hand: &mut Hand<'_>, chunk: Chunk, generation: u64) -> Result<()> {
        let bytes = hand.buffer.head(chunk.len);
        // A read that moves nothing must not find the answer of the one before.
        bytes.fill(0xee);
        hand.port.read(bytes, chunk.at)?;
        Ok(pattern::check(bytes, self.id, chunk.block(), generation)?)
    }

    fn first_generation(&self) -> Result<u64> {
        let mut buffer = Buffer::new(BLOCK);
        let bytes = buffer.head(BLOCK);
        self.disk.port()?.read(bytes, 0)?;
        pattern::generation_of(bytes).context("block 0 holds nothing that diskcheck wrote")
    }

    fn hand(&self) -> Result<Hand<'_>> {
        Ok(Hand {
            port: self.disk.port()?,
            buffer: Buffer::new(usize::try_from(self.io_size)?),
        })
    }

    /// Runs `body` once per job, each on a thread, and returns the first error.
    fn each_job(&self, body: impl Fn(u64) -> Result<()> + Sync) -> Result<()> {
        let body = &body;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.jobs)
                .map(|job| scope.spawn(move || body(job)))
                .collect();
            // All are joined before the first error is looked at.
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            for result in results {
                match result {
                    Ok(result) => result?,
                    Err(_) => bail!("a thread panicked"),
                }
            }
            Ok(())
        })
    }

    /// The chunks that are `job`'s.
    fn chunks(&self, job: u64) -> impl Iterator<Item = Chunk> + '_ {
        let count = self.bytes().div_ceil(self.io_size);
        let stride = stride(count, self.order);
        (0..count)
            .filter(move |position| position.checked_rem(self.jobs) == Some(job))
            .map(move |position| self.chunk(position.wrapping_mul(stride).checked_rem(count)))
    }

    fn chunk(&self, number: Option<u64>) -> Chunk {
        let at = number.unwrap_or(0).saturating_mul(self.io_size);
        let len = self.io_size.min(self.bytes().saturating_sub(at));
        // No chunk is longer than a buffer, whose length is a usize.
        Chunk {
            at,
            len: usize::try_from(len).unwrap_or(usize::MAX),
        }
    }
}

/// The step between two visited chunks: a number near the golden section of
/// `count` that shares no divisor with it, so that each chunk is met once.
fn stride(count: u64, order: Order) -> u64 {
    if order == Order::Linear {
        return 1;
    }
    let wanted = count.saturating_mul(618) / 1000;
    (wanted.max(1)..)
        .find(|&step| common_divisor(step, count) == 1)
        .unwrap_or(1)
}

fn common_divisor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Engine;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    /// A file that goes away with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, bytes: u64) -> Self {
            let path =
                std::env::temp_dir().join(format!("diskcheck-{}-{name}", std::process::id()));
            Disk::create(&path, bytes).unwrap();
            Self(path)
        }

        fn work(&self, id: u64, jobs: u64, order: Order) -> Work {
            self.by(Engine::Sync, id, jobs, order)
        }

        fn by(&self, engine: Engine, id: u64, jobs: u64, order: Order) -> Work {
            let disk = Disk::open(&self.0, false, engine).unwrap();
            Work::new(disk, id, 16384, jobs, order).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn every_chunk_is_visited_once_whatever_the_order() {
        let file = Scratch::new("visit", 37 * 4096);
        for order in [Order::Linear, Order::Scattered] {
            for jobs in [1, 3, 16] {
                let work = file.work(0, jobs, order);
                let chunks: Vec<_> = (0..jobs)
                    .flat_map(|job| work.chunks(job).collect::<Vec<_>>())
                    .collect();
                let starts: BTreeSet<_> = chunks.iter().map(|chunk| chunk.at).collect();
                assert_eq!(starts.len(), chunks.len());
                assert_eq!(
                    chunks.iter().map(|chunk| chunk.len).sum::<usize>(),
                    37 * 4096
                );
            }
        }
    }

    #[test]
    fn written_verifies_and_exercised_moves_on() {
        let file = Scratch::new("cycle", 25 * 4096);
        let work = file.work(7, 4, Order::Scattered);
        work.write(1).unwrap();
        assert_eq!(work.verify(None).unwrap().generation, 1);
        assert_eq!(work.exercise(1, 3).unwrap(), 4);
        assert!(work.verify(Some(1)).is_err());
        assert_eq!(work.verify(Some(4)).unwrap().generation, 4);
        assert!(file.work(8, 1, Order::Linear).verify(Some(4)).is_err());
    }

    #[test]
    fn engines_agree() {
        let file = Scratch::new("engines", 25 * 4096);
        let ring = file.by(Engine::Uring, 7, 2, Order::Scattered);
        match ring.write(1) {
            // Many a container forbids io_uring.
            Err(error) if format!("{error:#}").starts_with("no io_uring") => return,
            result => result.unwrap(),
        }
        file.work(7, 1, Order::Linear).verify(Some(1)).unwrap();
        file.work(7, 1, Order::Linear).write(2).unwrap();
        ring.verify(Some(2)).unwrap();
        assert!(ring.verify(Some(1)).is_err());
    }

    #[test]
    fn sequence_leaves_the_last_number_everywhere() {
        let file = Scratch::new("sequence", 25 * 4096);
        let work = file.work(7, 4, Order::Scattered);
        work.write(5).unwrap();
        assert_eq!(work.sequence(5, 20).unwrap(), 25);
        assert_eq!(work.verify(None).unwrap().generation, 25);
        assert!(work.sequence(24, 1).is_err());
    }

    #[test]
    fn polling_needs_direct_access() {
        let file = Scratch::new("polled", 4096);
        assert!(Disk::open(&file.0, false, Engine::Polled).is_err());
    }

    #[test]
    fn empty_disk_has_no_generation() {
        let file = Scratch::new("empty", 4096);
        assert!(file.work(0, 1, Order::Linear).verify(None).is_err());
    }
}
