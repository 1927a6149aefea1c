// SPDX-License-Identifier: GPL-2.0

//! Driver for the balloon of VMware's hypervisors: gives memory that the guest can do without back to
//! the host, as much as that asks for.
//!
//! - [`device`]: the balloon and its worker: what is done each second, or when the doorbell rings;
//! - [`link`]: what is known of the host, and the way to it;
//! - [`tray`]: pages on their way;
//! - [`give`], [`take`]: pages that go to the host, and come back;
//! - [`session`]: how all begins, begins anew, and ends;
//! - [`shrink`]: pages that come back because the guest has no others;
//! - [`counters`]: what was done, and the file that tells it.
//!
//! What is on the wire, how many pages come next, and what an answer means, is the crate `protocol`'s.
//! Who owns a page is in its type ([`guest::balloon`]).
//!
//! Not obvious: looking for memory may lead to the shrinker and to the migration of a page of the
//! balloon, which both talk to the host. So nothing is allocated under the lock of the link to the
//! host, and what else they need is theirs alone, or tried for.

#![deny(unsafe_code)]

mod counters;
mod device;
mod give;
mod link;
mod session;
mod shrink;
mod take;
mod tray;

use device::Vmballoon;
use guest::{
    debugfs::RootFile,
    shrinker::Shrinker,
    vmware,
    work::periodic::Periodic, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

module! {
    type: VmwBalloon,
    name: "vmw_balloon",
    authors: ["The Hospes authors"],
    description: "VMware Memory Control (Balloon) Driver",
    license: "GPL",
    alias: ["dmi:*:svnVMware*:*", "vmware_vmmemctl"],
}

guest::module_param_bool! {
    /// Whether the balloon shrinks when the guest has no other memory.
    static vmwballoon_shrinker_enable: false,
    mode: 0o444,
    description: "Enable non-cooperative out-of-memory protection. Disabled by default as it may degrade performance.",
}

/// What the module is while it is loaded.
///
/// Order of drop: nobody asks, nobody shrinks, nobody works; then the host is told, and all pages are
/// freed.
struct VmwBalloon {
    _file: RootFile<Vmballoon>,
    _shrinker: Option<Shrinker<Vmballoon>>,
    _worker: Periodic<Vmballoon>,
    _session: Session,
}

/// The host knows of a balloon, or may.
struct Session(Arc<Vmballoon>);

impl Drop for Session {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl kernel::Module for VmwBalloon {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        if !vmware::is_guest() {
            return Err(ENODEV);
        }
        let device = Vmballoon::new()?;
        let session = Session(device.clone());
        let shrinker = vmwballoon_shrinker_enable
            .get()
            .then(|| Shrinker::new(c"vmw-balloon", device.clone()))
            .transpose()?;
        Ok(Self {
            _shrinker: shrinker,
            _worker: Periodic::start(device.clone())?,
            _file: RootFile::new(c"vmmemctl", device),
            _session: session,
        })
    }
}
