// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What devices are given by a machine that is none.

use std::path::PathBuf;
use std::sync::Arc;

use hospes_device::memory::GuestMemory;
use vm_memory::{GuestAddress, GuestMemoryMmap};

/// Guest memory of that size, from 0 on.
pub fn memory(len: usize) -> GuestMemory {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), len)]);
    Arc::new(memory.expect("some memory"))
}

/// A file of the fuzzer's own, in memory where there is such a file system.
pub fn scratch(name: &str) -> PathBuf {
    let shm = PathBuf::from("/dev/shm");
    let directory = if shm.is_dir() {
        shm
    } else {
        std::env::temp_dir()
    };
    directory.join(format!("hospes-fuzz-{}-{name}", std::process::id()))
}
