// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `ioload`: keeps a number of 4 KiB requests in flight on a disk until so many
//! are done, and says how long that took.
//!
//! For measurements: by one thread, past the page cache, in an order that is
//! scattered and always the same. What is on the disk afterwards is of no use.

mod sys;

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{ensure, Context, Result};
use clap::Parser;

use sys::{Operation, Ring};

/// Bytes of a request.
const SIZE: u64 = 4096;

/// Keeps a number of 4 KiB requests in flight on a disk.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Block device or file.
    path: PathBuf,
    /// Write instead of reading; what was there is lost.
    #[arg(long)]
    write: bool,
    /// How many requests.
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// How many of them at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    depth: u16,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ioload: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<String> {
    let mut disk = OpenOptions::new()
        .read(true)
        .write(cli.write)
        .custom_flags(libc::O_DIRECT)
        .open(&cli.path)
        .with_context(|| format!("cannot open {}", cli.path.display()))?;
    let blocks = blocks(&mut disk).context("cannot find the size")?;
    ensure!(
        blocks > 0,
        "{} is smaller than a request",
        cli.path.display()
    );
    let operation = if cli.write {
        Operation::Write
    } else {
        Operation::Read
    };
    let mut ring = Ring::new(disk, operation, cli.depth).context("no io_uring")?;
    let started = Instant::now();
    load(&mut ring, cli, blocks).with_context(|| cli.path.display().to_string())?;
    let seconds = started.elapsed().as_secs_f64().max(1e-9);
    Ok(format!(
        "count={} depth={} seconds={seconds:.6} iops={:.1}",
        cli.count,
        cli.depth,
        cli.count as f64 / seconds
    ))
}

fn blocks(disk: &mut File) -> Result<u64> {
    let bytes = disk.seek(SeekFrom::End(0))?;
    Ok(bytes.checked_div(SIZE).unwrap_or(0))
}

/// Starts as many requests as may be in flight, then one for each that ends.
fn load(ring: &mut Ring, cli: &Cli, blocks: u64) -> Result<()> {
    let mut order = Order { state: 1, blocks };
    let mut left = cli.count;
    for slot in 0..cli.depth {
        if left > 0 {
            left = left.saturating_sub(1);
            ring.start(slot, order.next())?;
        }
    }
    while ring.in_flight() > 0 {
        for slot in ring.wait()? {
            if left > 0 {
                left = left.saturating_sub(1);
                ring.start(slot, order.next())?;
            }
        }
    }
    Ok(())
}

/// Places all over the disk, always the same ones (a xorshift generator).
struct Order {
    state: u64,
    blocks: u64,
}

impl Order {
    /// The offset of the next request.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
            .checked_rem(self.blocks)
            .unwrap_or(0)
            .saturating_mul(SIZE)
    }
}
