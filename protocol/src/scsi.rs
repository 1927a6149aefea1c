// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SCSI: what a device server and its initiator have to agree on.
//!
//! | module | what | standard |
//! |---|---|---|
//! | [`lun`] | logical unit numbers | SAM-5, section 4.7 |
//! | [`status`] | how a command ended | SAM-5, section 5.3 |
//! | [`sense`] | why it ended so | SPC-5, section 4.4 |
//! | [`opcode`] | the commands, and which bits of each may be set | SPC-5, SBC-4 |
//! | [`cdb`] | a command descriptor block, decoded | SPC-5, SBC-4 |
//! | [`protection`] | what proves that a block is whole | SBC-4, section 4.21 |
//! | [`inquiry`], [`vpd`] | what a unit is | SPC-5, sections 6.6 and 7.7 |
//! | [`mode`] | its settings | SPC-5, section 7.5, SBC-4, section 6.5 |
//! | [`log`] | what it counted | SPC-5, section 7.3, SBC-4, section 6.4 |
//! | [`reservation`] | who may use it | SPC-5, sections 5.14, 6.16 and 6.17 |
//! | [`block`] | capacity, and lists of block ranges | SBC-4, section 5 |
//! | [`mmc`] | CD and DVD drives | MMC-6 |
//!
//! SCSI is big-endian throughout. Layouts are structures; everything that the
//! other side chose is decoded into types that cannot hold a wrong value, or
//! refused together with the place of the first wrong bit.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a test may fail"
    )
)]

pub mod block;
pub mod cdb;
pub mod inquiry;
pub mod log;
pub mod lun;
pub mod mmc;
pub mod mode;
pub mod opcode;
pub mod protection;
pub mod reservation;
pub mod sense;
pub mod status;
pub mod vpd;
