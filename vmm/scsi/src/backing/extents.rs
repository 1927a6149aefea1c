// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which parts of a file have storage behind them.

mod sys;

use std::fs::File;
use std::io;

/// A part of a backing, from where it was asked for on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it ends.
    pub end: u64,
    /// Whether there is storage behind it, as far as is known. Where there is
    /// none, zeroes are read.
    pub is_allocated: bool,
}

impl Extent {
    /// Everything from anywhere on has storage.
    pub const ALL_ALLOCATED: Self = Self {
        end: u64::MAX,
        is_allocated: true,
    };
}

/// The part of a file from `offset` on. This moves the position of the file,
/// on which nothing depends.
pub(super) fn extent_at(file: &File, offset: u64) -> io::Result<Extent> {
    // Without data up to the end, all of it is a hole.
    let data = sys::seek(file, offset, libc::SEEK_DATA)?.unwrap_or(u64::MAX);
    if data > offset {
        return Ok(Extent {
            end: data,
            is_allocated: false,
        });
    }
    let hole = sys::seek(file, offset, libc::SEEK_HOLE)?;
    Ok(Extent {
        end: hole.unwrap_or(u64::MAX),
        is_allocated: true,
    })
}
