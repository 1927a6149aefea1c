// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fields of a CDB by their place.

use super::highest_bit;

/// The bytes of a CDB; what is not there reads as zero.
pub(in crate::scsi) struct Fields<'a>(pub(in crate::scsi) &'a [u8]);

impl Fields<'_> {
    fn chunk<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .copied()
            .unwrap_or([0; N])
    }

    /// One byte.
    pub(in crate::scsi) fn u8(&self, at: usize) -> u8 {
        u8::from_be_bytes(self.chunk(at))
    }

    /// Two bytes.
    pub(in crate::scsi) fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.chunk(at))
    }

    /// Four bytes.
    pub(in crate::scsi) fn u32(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.chunk(at))
    }

    /// Eight bytes.
    pub(in crate::scsi) fn u64(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.chunk(at))
    }

    /// One bit of a byte.
    pub(in crate::scsi) fn bit(&self, at: usize, bit: u8) -> bool {
        highest_bit(self.u8(at) & 1_u8.checked_shl(bit.into()).unwrap_or(0)).is_some()
    }
}
