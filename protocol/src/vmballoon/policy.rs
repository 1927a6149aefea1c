// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How a guest gets from the balloon that it has to the one that its host wants.
//!
//! - [`change`]: whether pages are to be given or taken, and how many;
//! - [`run`]: one run of giving or of taking: how many pages of which size come next, and when it is
//!   over;
//! - [`answer`]: what a guest makes of the host's word on a page;
//! - [`pause`]: how long it leaves giving alone after a run that led to nothing.
//!
//! All numbers are pages of 4 KiB if nothing else is said. Nothing here looks at a clock.
//!
//! Not obvious: a balloon that is too large by less than a large page is left alone, unless it is to
//! be empty. Large pages are taken back whole, and may be the only ones that there are.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::arithmetic_side_effects,
        reason = "a test may fail"
    )
)]

pub mod answer;
pub mod change;
pub mod pause;
pub mod run;

pub use answer::{ends_run, Answer, Fate};
pub use change::{change, may_ask, target, Change};
pub use pause::Pause;
pub use run::{Giving, Outcome, Step, Taking, Then};

/// How often a guest asks for the target, in milliseconds.
pub const POLL_MS: u32 = 1000;
/// For how long nothing is given once the guest was short of memory, in milliseconds.
pub const SHORTAGE_MS: u32 = 5000;
/// So many refused pages of a size end giving pages of that size.
pub const MAX_REFUSED: usize = 16;
