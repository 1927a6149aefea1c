// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Address spaces: which device answers which address.
//!
//! A [`Bus`] is a set of disjoint ranges. A device sees offsets into its own
//! range and cannot tell where the guest put it. Ranges come and go while the
//! machine runs (a guest moves its BARs), so a lookup takes a shared lock for
//! as long as it takes to clone one `Arc`; the device itself is called with no
//! lock held and may change the bus.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;

use crate::counters::{Counted, Counter};

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

/// Why a range could not be claimed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BusError {
    /// A part of it belongs to another device.
    #[error("the range {base:#x} with {len:#x} bytes overlaps one that is taken")]
    Overlap {
        /// First address asked for.
        base: u64,
        /// Bytes asked for.
        len: u64,
    },
    /// It is empty, or goes past the last address.
    #[error("the range {base:#x} with {len:#x} bytes is not a range of addresses")]
    Range {
        /// First address asked for.
        base: u64,
        /// Bytes asked for.
        len: u64,
    },
}

/// A device and the last address of its range.
struct Claim {
    last: u64,
    device: Arc<dyn BusDevice>,
}

/// One address space.
#[derive(Default)]
pub struct Bus {
    claims: RwLock<BTreeMap<u64, Claim>>,
    unclaimed_reads: Counter,
    unclaimed_writes: Counter,
}

impl Bus {
    /// An empty address space.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `len` bytes from `base` to `device`.
    ///
    /// # Errors
    ///
    /// [`BusError`] if the range is none or is not free; nothing changes then.
    pub fn insert(&self, base: u64, len: u64, device: Arc<dyn BusDevice>) -> Result<(), BusError> {
        let last = len
            .checked_sub(1)
            .and_then(|span| base.checked_add(span))
            .ok_or(BusError::Range { base, len })?;
        let mut claims = self.claims.write().unwrap_or_else(PoisonError::into_inner);
        // Ranges are disjoint, so only the last one that starts at or below
        // `last` can reach into the new one.
        if let Some((_, below)) = claims.range(..=last).next_back() {
            if below.last >= base {
                return Err(BusError::Overlap { base, len });
            }
        }
        claims.insert(base, Claim { last, device });
        Ok(())
    }

    /// Takes back the range that starts at `base`; says whether there was one.
    ///
    /// An access that was under way on another thread may still reach the
    /// device after this returns.
    pub fn remove(&self, base: u64) -> bool {
        let mut claims = self.claims.write().unwrap_or_else(PoisonError::into_inner);
        claims.remove(&base).is_some()
    }

    /// Reads `data.len()` bytes at `address`; all ones where no device is.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        match self.find(address, data.len()) {
            Some((offset, device)) => device.read(offset, data),
            None => {
                self.unclaimed_reads.inc();
                data.fill(0xff);
            }
        }
    }

    /// Writes `data` at `address`; lost where no device is.
    pub fn write(&self, address: u64, data: &[u8]) {
        match self.find(address, data.len()) {
            Some((offset, device)) => device.write(offset, data),
            None => self.unclaimed_writes.inc(),
        }
    }

    /// The device that owns all of an access, and the offset in its range. An
    /// access across the end of a range belongs to nobody.
    fn find(&self, address: u64, len: usize) -> Option<(u64, Arc<dyn BusDevice>)> {
        let span = u64::try_from(len).ok()?.checked_sub(1)?;
        let end = address.checked_add(span)?;
        let claims = self.claims.read().unwrap_or_else(PoisonError::into_inner);
        let below = (Bound::Unbounded, Bound::Included(address));
        let (base, claim) = claims.range::<u64, _>(below).next_back()?;
        (end <= claim.last).then(|| (address.wrapping_sub(*base), claim.device.clone()))
    }
}

impl Counted for Bus {
    fn counters(&self) -> serde_json::Value {
        serde_json::json!({
            "unclaimed_reads": self.unclaimed_reads,
            "unclaimed_writes": self.unclaimed_writes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;

    /// Answers with its mark and remembers the last write.
    struct Probe {
        mark: u8,
        last: Mutex<Option<(u64, Vec<u8>)>>,
    }

    impl Probe {
        fn new(mark: u8) -> Arc<Self> {
            Arc::new(Self {
                mark,
                last: Mutex::new(None),
            })
        }
    }

    impl BusDevice for Probe {
        fn read(&self, offset: u64, data: &mut [u8]) {
            data.fill(self.mark);
            if let Some(first) = data.first_mut() {
                *first = offset as u8;
            }
        }
        fn write(&self, offset: u64, data: &[u8]) {
            *self.last.lock().unwrap() = Some((offset, data.to_vec()));
        }
    }

    #[test]
    fn devices_see_offsets() {
        let bus = Bus::new();
        let probe = Probe::new(7);
        bus.insert(0x1000, 0x10, probe.clone()).unwrap();
        let mut data = [0; 2];
        bus.read(0x1004, &mut data);
        assert_eq!(data, [4, 7]);
        bus.write(0x100e, &[1, 2]);
        assert_eq!(*probe.last.lock().unwrap(), Some((0xe, vec![1, 2])));
    }

    #[test]
    fn overlaps_are_rejected() {
        let bus = Bus::new();
        bus.insert(0x1000, 0x10, Probe::new(1)).unwrap();
        for (base, len) in [
            (0x1000, 1),
            (0x100f, 1),
            (0xfff, 2),
            (0, 0x2000),
            (0x1004, 4),
        ] {
            let result = bus.insert(base, len, Probe::new(2));
            assert_eq!(result, Err(BusError::Overlap { base, len }));
        }
        for (base, len) in [(0, 0), (u64::MAX, 2)] {
            let result = bus.insert(base, len, Probe::new(2));
            assert_eq!(result, Err(BusError::Range { base, len }));
        }
        bus.insert(0xff0, 0x10, Probe::new(3)).unwrap();
        bus.insert(0x1010, 0x10, Probe::new(4)).unwrap();
        bus.insert(u64::MAX, 1, Probe::new(5)).unwrap();
    }

    #[test]
    fn nobody_answers_with_ones_and_is_counted() {
        let bus = Bus::new();
        bus.insert(0x1000, 0x10, Probe::new(1)).unwrap();
        let mut data = [0; 4];
        bus.read(0x100e, &mut data);
        assert_eq!(data, [0xff; 4]);
        bus.write(0x2000, &data);
        assert!(bus.remove(0x1000));
        assert!(!bus.remove(0x1000));
        bus.read(0x1000, &mut data);
        assert_eq!(
            bus.counters(),
            serde_json::json!({"unclaimed_reads": 2, "unclaimed_writes": 1})
        );
    }

    proptest! {
        /// Every address answers with the device that a plain list would name.
        #[test]
        fn agrees_with_a_list(ranges in prop::collection::vec((0u64..64, 1u64..9), 1..16)) {
            let bus = Bus::new();
            let mut taken: Vec<(u64, u64, u8)> = Vec::new();
            for (mark, &(base, len)) in ranges.iter().enumerate() {
                let free = taken.iter().all(|&(b, l, _)| base + len <= b || b + l <= base);
                let got = bus.insert(base, len, Probe::new(mark as u8));
                prop_assert_eq!(got.is_ok(), free);
                if free {
                    taken.push((base, len, mark as u8));
                }
            }
            for address in 0..80 {
                let mut data = [0; 1];
                bus.read(address, &mut data);
                let owner = taken.iter().find(|&&(b, l, _)| (b..b + l).contains(&address));
                prop_assert_eq!(data[0], owner.map_or(0xff, |&(b, _, _)| (address - b) as u8));
            }
        }
    }
}
