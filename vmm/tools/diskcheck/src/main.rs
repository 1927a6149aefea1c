// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `diskcheck`: writes self-describing blocks to disks and files, and proves
//! that what is read back is what was written, where it was written, last.
//!
//! The parts are the [`pattern`] (what a block looks like and what a wrong one
//! says about its origin), the [`disk`] (aligned I/O, direct or through the page
//! cache, by system calls or io_uring), the [`work`] that is spread over threads,
//! the same for [`many`] disks, and [`sys`], which has all that is `unsafe`.
//!
//! The same static binary runs inside the guest and outside of it, on the disk
//! that the guest sees and on the file behind it, so one definition of "intact"
//! holds on both sides.

// Tests compute with numbers that they chose.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod disk;
mod many;
mod pattern;
mod sys;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::disk::{Disk, Engine};
use crate::work::{Order, Summary, Work};

/// Writes and verifies self-describing patterns on block devices and files.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write one generation of the pattern to the whole disk and flush it.
    Write(WriteArgs),
    /// Read the whole disk and compare every block with what it must hold.
    Verify(VerifyArgs),
    /// Overwrite and read back in rounds, one more generation each time.
    Exercise(ExerciseArgs),
    /// Overwrite a few places again and again, with a number that counts up.
    Sequence(SequenceArgs),
    /// Write or verify all disks of a list, given as lines NUMBER GENERATION PATH
    /// on standard input.
    Many(ManyArgs),
    /// Ask the kernel for a SCSI reset of a disk (SG_SCSI_RESET).
    Reset(ResetArgs),
}

/// What is done to each disk of a list.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Deed {
    Write,
    Verify,
}

#[derive(Args)]
struct ManyArgs {
    /// What to do.
    #[arg(value_enum)]
    deed: Deed,
    /// Bypass the page cache (O_DIRECT).
    #[arg(long)]
    direct: bool,
    /// Bytes per request; a multiple of 4096.
    #[arg(long, default_value = "64K", value_parser = parse_size)]
    io_size: u64,
    /// Disks at a time, each by one thread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_once: u16,
}

#[derive(Args)]
struct Common {
    /// Block device or file.
    path: PathBuf,
    /// Number that says which disk this is; part of every block.
    #[arg(long)]
    disk: u64,
    /// Bypass the page cache (O_DIRECT).
    #[arg(long)]
    direct: bool,
    /// Bytes per request; a multiple of 4096.
    #[arg(long, default_value = "64K", value_parser = parse_size)]
    io_size: u64,
    /// Threads that share the disk.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: u64,
    /// How requests reach the kernel.
    #[arg(long, value_enum, default_value = "sync")]
    engine: Engine,
    /// Visit the disk in a scattered order instead of front to back.
    #[arg(long)]
    random: bool,
}

#[derive(Args)]
struct WriteArgs {
    #[command(flatten)]
    common: Common,
    /// Generation to write.
    #[arg(long)]
    generation: u64,
    /// Create the file with this size first.
    #[arg(long, value_parser = parse_size)]
    size: Option<u64>,
}

#[derive(Args)]
struct VerifyArgs {
    #[command(flatten)]
    common: Common,
    /// Generation that every block must have; without it, any one that all
    /// blocks share.
    #[arg(long)]
    generation: Option<u64>,
}

#[derive(Args)]
struct ExerciseArgs {
    #[command(flatten)]
    common: Common,
    /// Generation that the disk holds now; the last one written is this plus
    /// the number of rounds.
    #[arg(long)]
    generation: u64,
    /// How often the whole disk is rewritten.
    #[arg(long, default_value_t = 4)]
    rounds: u64,
}

#[derive(Args)]
struct SequenceArgs {
    #[command(flatten)]
    common: Common,
    /// Generation that the disk holds now; the last one written is this plus
    /// the number of writes.
    #[arg(long)]
    generation: u64,
    /// How often each thread writes its place.
    #[arg(long, default_value_t = 100)]
    writes: u64,
}

#[derive(Args)]
struct ResetArgs {
    /// Disk (/dev/sdX).
    path: PathBuf,
    /// What to reset; the kernel does not go on to a larger scope by itself.
    #[arg(long, value_enum, default_value = "device")]
    scope: sys::ResetScope,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("diskcheck: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<String> {
    match command {
        Command::Write(args) => write(&args),
        Command::Verify(args) => verify(&args),
        Command::Exercise(args) => exercise(&args),
        Command::Sequence(args) => sequence(&args),
        Command::Many(args) => many(&args),
        Command::Reset(args) => {
            let disk = std::fs::File::open(&args.path)
                .with_context(|| format!("cannot open {}", args.path.display()))?;
            sys::scsi_reset(&disk, args.scope)
                .with_context(|| format!("{}: the reset failed", args.path.display()))?;
            Ok(format!("{}: reset", args.path.display()))
        }
    }
}

fn write(args: &WriteArgs) -> Result<String> {
    if let Some(size) = args.size {
        Disk::create(&args.common.path, size)?;
    }
    let work = work(&args.common)?;
    let started = Instant::now();
    work.write(args.generation)?;
    work.flush()?;
    Ok(report(
        "wrote",
        &args.common,
        &work,
        work.bytes(),
        started,
        args.generation,
    ))
}

fn verify(args: &VerifyArgs) -> Result<String> {
    let work = work(&args.common)?;
    let started = Instant::now();
    let Summary { generation } = work.verify(args.generation)?;
    Ok(report(
        "verified",
        &args.common,
        &work,
        work.bytes(),
        started,
        generation,
    ))
}

fn exercise(args: &ExerciseArgs) -> Result<String> {
    let work = work(&args.common)?;
    let started = Instant::now();
    let last = work.exercise(args.generation, args.rounds)?;
    work.flush()?;
    let moved = work.bytes().saturating_mul(args.rounds).saturating_mul(2);
    Ok(report(
        "exercised",
        &args.common,
        &work,
        moved,
        started,
        last,
    ))
}

fn sequence(args: &SequenceArgs) -> Result<String> {
    let common = &args.common;
    let work = work(common)?;
    let started = Instant::now();
    let last = work.sequence(args.generation, args.writes)?;
    work.flush()?;
    let moved = [args.writes, common.jobs, common.io_size, 2]
        .into_iter()
        .fold(1, u64::saturating_mul);
    Ok(report("sequenced", common, &work, moved, started, last))
}

fn many(args: &ManyArgs) -> Result<String> {
    let entries = many::read(std::io::stdin().lock())?;
    many::each(&entries, args.at_once.into(), |entry| {
        let disk = Disk::open(&entry.path, args.direct, Engine::Sync)?;
        let work = Work::new(disk, entry.disk, args.io_size, 1, Order::Linear)?;
        match args.deed {
            Deed::Write => work.write(entry.generation).and_then(|()| work.flush()),
            Deed::Verify => work.verify(Some(entry.generation)).map(drop),
        }
    })?;
    let verb = match args.deed {
        Deed::Write => "wrote",
        Deed::Verify => "verified",
    };
    Ok(format!("{verb} disks={}", entries.len()))
}

fn work(common: &Common) -> Result<Work> {
    let order = if common.random {
        Order::Scattered
    } else {
        Order::Linear
    };
    let disk = Disk::open(&common.path, common.direct, common.engine)?;
    Work::new(disk, common.disk, common.io_size, common.jobs, order)
}

/// The one line of a success; the lab's reports are made from its words.
fn report(
    verb: &str,
    common: &Common,
    work: &Work,
    moved: u64,
    started: Instant,
    generation: u64,
) -> String {
    let seconds = started.elapsed().as_secs_f64().max(1e-6);
    let mib = moved as f64 / (1 << 20) as f64;
    format!(
        "{verb} disk={} bytes={} generation={generation} digest={:016x} rate={:.1}MiB/s {}",
        common.disk,
        work.bytes(),
        pattern::digest(common.disk, generation, work.bytes()),
        mib / seconds,
        common.path.display(),
    )
}

/// A size with an optional K, M or G.
fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (text.trim_end_matches('K'), 10),
        Some(b'M') => (text.trim_end_matches('M'), 20),
        Some(b'G') => (text.trim_end_matches('G'), 30),
        _ => (text, 0),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("'{text}' is not a size"))?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("'{text}' is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("64K"), Ok(65536));
        assert_eq!(parse_size("8M"), Ok(8 << 20));
        assert!(parse_size("8X").is_err());
        assert!(parse_size("99999999999999G").is_err());
    }

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
