// SPDX-License-Identifier: GPL-2.0

//! The KUnit tests of the crate `guest`, as a module: they run when it is loaded.
//!
//! The tests themselves are beside the code, in modules under `cfg(guest_kunit)`.

use kernel::prelude::*;

module! {
    type: GuestKunit,
    name: "guest_kunit",
    authors: ["Hospes contributors"],
    description: "KUnit tests of the wrappers that the guest drivers stand on",
    license: "GPL",
}

struct GuestKunit;

impl kernel::Module for GuestKunit {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
