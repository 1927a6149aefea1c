// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A disk or file, and buffers that direct I/O accepts.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use crate::pattern::{BLOCK, BLOCK_BYTES};

/// An open disk or file, whole blocks long.
pub struct Disk {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl Disk {
    /// Creates a file of `bytes` zeroes.
    pub fn create(path: &Path, bytes: u64) -> Result<()> {
        File::create(path)
            .and_then(|file| file.set_len(bytes))
            .with_context(|| format!("cannot create {}", path.display()))
    }

    /// Opens a disk, past the page cache if `direct`.
    pub fn open(path: &Path, direct: bool) -> Result<Self> {
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
        })
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Fills `buffer` from byte `at` on.
    pub fn read(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        let len = buffer.len();
        self.file.read_exact_at(buffer, at).with_context(|| {
            format!(
                "{}: reading {len} bytes at {at} failed",
                self.path.display()
            )
        })
    }

    /// Writes all of `buffer` to byte `at` and after.
    pub fn write(&self, buffer: &[u8], at: u64) -> Result<()> {
        let len = buffer.len();
        self.file.write_all_at(buffer, at).with_context(|| {
            format!(
                "{}: writing {len} bytes at {at} failed",
                self.path.display()
            )
        })
    }

    /// Makes everything written durable.
    pub fn flush(&self) -> Result<()> {
        self.file
            .sync_all()
            .with_context(|| format!("{}: flushing failed", self.path.display()))
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
