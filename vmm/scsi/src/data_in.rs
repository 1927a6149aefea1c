// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Parameter data on its way to the initiator.

use hospes_device::memory::SgList;
use zerocopy::{Immutable, IntoBytes};

/// Writes parameter data, as much as was asked for and has room.
///
/// That data is cut at the allocation length is no error (SPC-5, section
/// 4.2.5.6), and neither is a buffer that is shorter still: the initiator sees
/// from the residual and the data's own length what it got.
pub(crate) struct DataIn<'a> {
    list: &'a SgList,
    allocation: u64,
    written: u64,
}

impl<'a> DataIn<'a> {
    pub(crate) fn new(list: &'a SgList, allocation: u32) -> Self {
        Self {
            list,
            allocation: allocation.into(),
            written: 0,
        }
    }

    /// Appends `data`.
    pub(crate) fn put(&mut self, data: &(impl IntoBytes + Immutable + ?Sized)) -> &mut Self {
        let data = data.as_bytes();
        let room = self.allocation.saturating_sub(self.written);
        let len = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
        let written = self
            .list
            .write_at(self.written, data.get(..len).unwrap_or(data));
        self.written = self.written.saturating_add(written as u64);
        self
    }

    /// The number of bytes that were written.
    pub(crate) fn transferred(&self) -> u64 {
        self.written
    }

    /// Appends the only piece of data, and returns its transferred length.
    pub(crate) fn finish(mut self, data: &(impl IntoBytes + Immutable + ?Sized)) -> u64 {
        self.put(data).transferred()
    }
}
