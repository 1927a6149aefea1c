// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A disk or file, a thread's way to it, and buffers that direct I/O accepts.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use crate::pattern::{BLOCK, BLOCK_BYTES};
use crate::sys::ring::Ring;

/// How requests reach the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// One system call each.
    Sync,
    /// By io_uring.
    Uring,
    /// By io_uring, which polls for the completion; needs direct I/O and a
    /// driver that has queues for it.
    Polled,
}

/// An open disk or file, whole blocks long.
pub struct Disk {
    file: File,
    path: PathBuf,
    bytes: u64,
    engine: Engine,
}

impl Disk {
    /// Creates a file of `bytes` zeroes.
    pub fn create(path: &Path, bytes: u64) -> Result<()> {
        File::create(path)
            .and_then(|file| file.set_len(bytes))
            .with_context(|| format!("cannot create {}", path.display()))
    }

    /// Opens a disk, past the page cache if `direct`.
    pub fn open(path: &Path, direct: bool, engine: Engine) -> Result<Self> {
        ensure!(
            direct || engine != Engine::Polled,
            "only direct I/O can be polled for"
        );
        let flags = if direct { libc::O_DIRECT } else { 0 };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let bytes = file
            .seek(SeekFrom::End(0))
            .context("cannot find the size")?;
        ensure!(
            bytes > 0 && bytes % BLOCK_BYTES == 0,
            "{}: {bytes} bytes is not a number of 4 KiB blocks",
            path.display()
        );
        Ok(Self {
            file,
            path: path.to_owned(),
            bytes,
            engine,
        })
    }

    /// A thread's way to the disk.
    pub fn port(&self) -> Result<Port<'_>> {
        let ring = match self.engine {
            Engine::Sync => None,
            Engine::Uring => Some(Ring::new(false).context("no io_uring")?),
            Engine::Polled => Some(Ring::new(true).context("no polling io_uring")?),
        };
        Ok(Port { disk: self, ring })
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes everything written durable.
    pub fn flush(&self) -> Result<()> {
        self.file
            .sync_all()
            .with_context(|| format!("{}: flushing failed", self.path.display()))
    }
}

/// One thread's way to a disk.
pub struct Port<'a> {
    disk: &'a Disk,
    ring: Option<Ring>,
}

impl Port<'_> {
    /// Fills `buffer` from byte `at` on.
    pub fn read(&mut self, buffer: &mut [u8], at: u64) -> Result<()> {
        let len = buffer.len();
        match &mut self.ring {
            None => self.disk.file.read_exact_at(buffer, at),
            Some(ring) => whole(ring.read(&self.disk.file, buffer, at), len),
        }
        .with_context(|| {
            format!(
                "{}: reading {len} bytes at {at} failed",
                self.disk.path.display()
            )
        })
    }

    /// Writes all of `buffer` to byte `at` and after.
    pub fn write(&mut self, buffer: &[u8], at: u64) -> Result<()> {
        let len = buffer.len();
        match &mut self.ring {
            None => self.disk.file.write_all_at(buffer, at),
            Some(ring) => whole(ring.write(&self.disk.file, buffer, at), len),
        }
        .with_context(|| {
            format!(
                "{}: writing {len} bytes at {at} failed",
                self.disk.path.display()
            )
        })
    }
}

/// A disk does all of a request or fails it.
fn whole(moved: io::Result<usize>, len: usize) -> io::Result<()> {
    match moved? {
        moved if moved == len => Ok(()),
        moved => Err(io::Error::other(format!("{moved} bytes were moved"))),
    }
}

/// A buffer that starts on a page boundary, as direct I/O wants it.
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// A zeroed buffer of `len` bytes.
    pub fn new(len: usize) -> Self {
        let bytes = vec![0; len.saturating_add(BLOCK)];
        let start = bytes.as_ptr().align_offset(BLOCK);
        Self { bytes, start, len }
    }

    /// The first `len` bytes.
    pub fn head(&mut self, len: usize) -> &mut [u8] {
        let end = self.start.saturating_add(len.min(self.len));
        self.bytes.get_mut(self.start..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_as_long_as_asked() {
        for len in [BLOCK, 16 * BLOCK] {
            let mut buffer = Buffer::new(len);
            assert_eq!(buffer.head(len).len(), len);
            assert_eq!(buffer.head(len).as_ptr().align_offset(BLOCK), 0);
            assert_eq!(buffer.head(2 * len).len(), len);
        }
    }
}
