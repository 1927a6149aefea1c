// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The control page, and arithmetic with indices.

use crate::hyperv::shared::Shared;
use crate::hyperv::PAGE_SIZE;

/// Offset of the write index. Written by the producer.
pub const WRITE_INDEX: u32 = 0;
/// Offset of the read index. Written by the consumer.
pub const READ_INDEX: u32 = 4;
/// Offset of the interrupt mask: unless 0, the consumer needs no signal. Written by the consumer.
pub const INTERRUPT_MASK: u32 = 8;
/// Offset of the pending send size: unless 0, the producer waits for more room than that.
/// Written by the producer.
pub const PENDING_SEND_SIZE: u32 = 12;
/// Offset of the feature bits.
pub const FEATURES: u32 = 64;
/// Offset of the data.
pub const DATA: u32 = PAGE_SIZE;

/// Feature bit: the producer uses the pending send size, and heeds it in the ring that goes
/// the other way.
pub const FEATURE_PENDING_SEND_SIZE: u32 = 1;

/// Bytes of an entry that are not its packet.
pub const TRAILER_SIZE: u32 = 8;
/// What entries and indices are multiples of.
pub const ALIGNMENT: u32 = 8;
/// Fewest bytes of data: one entry without a payload, and a unit that stays free.
pub const MIN_DATA_SIZE: u32 = 32;

/// Why a ring cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// The memory is too small, too large or not made of whole units.
    Size {
        /// Number of bytes of it.
        size: u32,
    },
    /// The write index is outside of the data or not a multiple of 8, or has overtaken the
    /// read index.
    WriteIndex {
        /// Its value.
        index: u32,
        /// Size of the data.
        size: u32,
    },
    /// The read index is.
    ReadIndex {
        /// Its value.
        index: u32,
        /// Size of the data.
        size: u32,
    },
    /// A packet's descriptor is impossible, or says more than there is.
    Packet {
        /// Where the packet begins.
        index: u32,
        /// Where its payload begins, in units of 8 bytes.
        offset8: u16,
        /// How long it is, in units of 8 bytes.
        len8: u16,
        /// Number of bytes that there are.
        available: u32,
    },
    /// One of these was found before.
    Dead,
}

/// Size of ring memory for that much data, as Linux has it (`VMBUS_RING_SIZE`): the control
/// page is added to data of less than eight pages and taken from more. `None` if too large.
pub fn memory_size(data: u32) -> Option<u32> {
    let control = if data >= PAGE_SIZE.saturating_mul(8) {
        0
    } else {
        PAGE_SIZE
    };
    data.checked_add(control)?
        .checked_next_multiple_of(PAGE_SIZE)
}

/// Makes an empty ring of any memory, and announces flow control: what a guest does to both
/// of its rings before it opens a channel.
pub fn format<M: Shared>(memory: &M) {
    const ZEROES: [u8; 64] = [0; 64];
    for offset in (0..PAGE_SIZE).step_by(ZEROES.len()) {
        memory.write(offset, &ZEROES);
    }
    announce(memory);
}

/// Announces flow control in the ring that the caller produces into.
pub fn announce<M: Shared>(memory: &M) {
    let features = memory.load(FEATURES);
    memory.store(FEATURES, features | FEATURE_PENDING_SEND_SIZE);
}

/// Whether a producer of a ring is woken when there is room again. `reverse` is the ring in
/// which the other side produces. If not, the producer has to look from time to time.
pub fn is_woken<M: Shared>(reverse: &M) -> bool {
    reverse.load(FEATURES) & FEATURE_PENDING_SEND_SIZE != 0
}

/// Memory that is a ring, and its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring<M> {
    pub(super) memory: M,
    size: u32,
}

impl<M: Shared> Ring<M> {
    pub(super) fn new(memory: M) -> Result<Self, RingError> {
        let whole = memory.size();
        let size = whole.saturating_sub(DATA);
        // Twice the size has to be a number, for sums of indices.
        if size < MIN_DATA_SIZE || size % ALIGNMENT != 0 || size > u32::MAX >> 1 {
            return Err(RingError::Size { size: whole });
        }
        Ok(Self { memory, size })
    }

    /// Size of the data.
    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// Reads the write index. Data before it may be read after that.
    pub(super) fn write_index(&self) -> Result<u32, RingError> {
        let (index, size) = (self.memory.load_acquire(WRITE_INDEX), self.size);
        self.is_index(index)
            .then_some(index)
            .ok_or(RingError::WriteIndex { index, size })
    }

    /// Reads the read index. Space before it may be written after that.
    pub(super) fn read_index(&self) -> Result<u32, RingError> {
        let (index, size) = (self.memory.load_acquire(READ_INDEX), self.size);
        self.is_index(index)
            .then_some(index)
            .ok_or(RingError::ReadIndex { index, size })
    }

    const fn is_index(&self, index: u32) -> bool {
        index < self.size && index % ALIGNMENT == 0
    }

    /// The index that many bytes after another; at most one round.
    pub(super) fn advance(&self, index: u32, bytes: u32) -> u32 {
        let sum = index.wrapping_add(bytes);
        sum.checked_sub(self.size).unwrap_or(sum)
    }

    /// Number of bytes from one index up to another.
    pub(super) fn distance(&self, from: u32, to: u32) -> u32 {
        to.checked_sub(from)
            .unwrap_or_else(|| self.size.wrapping_sub(from).wrapping_add(to))
    }

    /// Number of bytes that are free, of which the last may not be used.
    pub(super) fn free(&self, read: u32, write: u32) -> u32 {
        self.size.wrapping_sub(self.distance(read, write))
    }

    /// Splits that many bytes from an index on where they reach the end of the data.
    fn before_end(&self, index: u32, len: usize) -> usize {
        let room = self.size.saturating_sub(index);
        usize::try_from(room).unwrap_or(usize::MAX).min(len)
    }

    /// Copies bytes out, around the end if need be.
    pub(super) fn read(&self, index: u32, into: &mut [u8]) {
        let (head, tail) = into.split_at_mut(self.before_end(index, into.len()));
        self.memory.read(DATA.wrapping_add(index), head);
        if !tail.is_empty() {
            self.memory.read(DATA, tail);
        }
    }

    /// Copies bytes in, around the end if need be.
    pub(super) fn write(&self, index: u32, from: &[u8]) {
        let (head, tail) = from.split_at(self.before_end(index, from.len()));
        self.memory.write(DATA.wrapping_add(index), head);
        if !tail.is_empty() {
            self.memory.write(DATA, tail);
        }
    }
}
