// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Multimedia devices: what a CD or DVD drive has beyond SPC (MMC-6).
//!
//! | module | what |
//! |---|---|
//! | [`cdb`] | commands, decoded |
//! | [`toc`] | the table of contents, and addresses in minutes and seconds |
//! | [`feature`] | what drive and medium can do, by GET CONFIGURATION |
//! | [`event`] | what happened to the medium |
//! | [`disc`] | what is known of a disc, its track and its layers |
//! | [`mode`] | mode pages |
//!
//! A disc here is read-only, complete, and has one session with one data track
//! of 2048-byte blocks: what a disc image is.

pub mod cdb;
pub mod disc;
pub mod event;
pub mod feature;
pub mod mode;
pub mod toc;

/// The length of a block of a data track in Mode 1, as of a DVD.
pub const BLOCK_LEN: u32 = 2048;

/// The number of the only track, and of the only session.
pub const ONLY: u8 = 1;
