// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Guest memory, and the scatter lists that point into it.

use std::sync::Arc;

use vm_memory::{GuestAddress, GuestMemoryMmap};

/// The memory of one machine. Its layout is fixed once the machine runs.
pub type GuestMemory = Arc<GuestMemoryMmap<()>>;

/// A piece of guest memory that the guest offered as a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts.
    pub address: GuestAddress,
    /// Its length in bytes.
    pub len: u32,
}
