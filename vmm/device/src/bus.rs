// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Address spaces: which device answers which address.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use thiserror::Error;

/// Something that answers accesses in a range of an address space.
///
/// Several vCPUs call it at the same time: what must not be seen half-done is
/// the device's own to lock. Offsets are relative to the start of its range.
pub trait BusDevice: Send + Sync {
    /// Fills `data` from `offset`. Whatever is not there reads as all ones.
    fn read(&self, offset: u64, data: &mut [u8]);
    /// Takes `data` at `offset`. Whatever is not there ignores the write.
    fn write(&self, offset: u64, data: &[u8]);
}
