// SPDX-License-Identifier: GPL-2.0

//! Pages that a guest gives to its host.
//!
//! - [`pages`]: pages on their way, by who has a claim on them;
//! - [`store`]: the balloon itself: pages that the host has.
//!
//! A page is in exactly one place, and what may be done with it follows from the type of that: only
//! pages on which the host has no claim are ever freed. They change the type by what a host says,
//! which is for the code that talks to it, in this crate ([`vmware`](crate::vmware)).
//!
//! C header: [`include/linux/balloon.h`](srctree/include/linux/balloon.h)

pub mod pages;
pub mod store;

pub use pages::{
    Lent,
    Offered,
    Pages,
    Refused,
    Returned, //
};
pub use store::{
    Balloon,
    Migrate,
    Migration,
    Moved, //
};

use crate::bindings;

/// How many pages of memory the guest has.
pub fn total_pages() -> u64 {
    // SAFETY: Reads a counter.
    unsafe { bindings::totalram_pages() as u64 }
}
