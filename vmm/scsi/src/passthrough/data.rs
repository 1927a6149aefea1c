// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The data of a command, as SG_IO takes it.
//!
//! Guest memory goes to the host's kernel as it is. Only a list of more pieces
//! than one call takes is copied.

use hospes_device::memory::SgList;

use super::sys::{Transfer, MAX_PIECES};

/// The data of one command.
pub(super) enum Data<'a> {
    None,
    /// Guest memory that the device reads.
    Out(&'a SgList, u32),
    /// Guest memory that it writes to.
    In(&'a SgList, u32),
    /// A copy of what the device reads.
    CopiedOut(Vec<u8>),
    /// A place for what it writes, to be copied.
    CopiedIn(Vec<u8>),
}

impl<'a> Data<'a> {
    /// The data of a command that has at most one of the two lists, with the
    /// length of the longer.
    pub(super) fn new(out: &'a SgList, input: &'a SgList, len: u32) -> Self {
        let is_short = |list: &SgList| list.slices(0, len.into()).nth(MAX_PIECES).is_none();
        match (out.is_empty(), input.is_empty()) {
            (true, true) => Self::None,
            (false, _) if is_short(out) => Self::Out(out, len),
            (false, _) => {
                let mut copy = vec![0; len as usize];
                out.read_at(0, &mut copy);
                Self::CopiedOut(copy)
            }
            (true, false) if is_short(input) => Self::In(input, len),
            (true, false) => Self::CopiedIn(vec![0; len as usize]),
        }
    }

    pub(super) fn transfer(&mut self) -> Transfer<'_> {
        match self {
            Self::None => Transfer::none(),
            Self::Out(list, len) => Transfer::from_guest(list, *len),
            Self::In(list, len) => Transfer::to_guest(list, *len),
            Self::CopiedOut(copy) => Transfer::from_slice(copy),
            Self::CopiedIn(copy) => Transfer::to_slice(copy),
        }
    }

    /// Copies what the device wrote, if it did not go to `list` at once.
    pub(super) fn deliver(&self, list: &SgList, transferred: u64) {
        if let Self::CopiedIn(copy) = self {
            let len = usize::try_from(transferred).unwrap_or(usize::MAX);
            list.write_at(0, copy.get(..len).unwrap_or(copy));
        }
    }
}
