// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Access to the BARs through configuration space (VIRTIO 1.3, section
//! 4.1.4.9), for drivers that run before BARs are mapped.
//!
//! The driver writes BAR, offset and length to a capability and then reads or
//! writes the capability's data field, which is an access to the BAR.

use super::layout::VIRTIO_BAR;

/// Offsets in the capability's body, which starts after id and next pointer.
const BAR: usize = 2;
const OFFSET: usize = 6;
const LENGTH: usize = 10;
const DATA: usize = 14;

/// The bits that a driver may write: BAR, offset, length and data.
pub(super) const WRITABLE: [u8; 18] = {
    let mut mask = [0xff; 18];
    let [cap_len, cfg_type, _, id, padding_0, padding_1, ..] = &mut mask;
    *cap_len = 0;
    *cfg_type = 0;
    *id = 0;
    *padding_0 = 0;
    *padding_1 = 0;
    mask
};

/// What the driver selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    bar: u8,
    offset: u32,
    length: u32,
}

/// An access to BAR 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Offset in the BAR.
    pub(super) offset: u64,
    /// Number of bytes: 1, 2 or 4.
    pub(super) length: usize,
}

impl Window {
    /// Takes over what the capability's body says. Tells the access to make if
    /// the `len` bytes written at `offset` of the body included the data field.
    pub(super) fn written(
        &mut self,
        offset: usize,
        len: usize,
        body: &[u8],
    ) -> Option<(Target, [u8; 4])> {
        self.bar = body.get(BAR).copied().unwrap_or_default();
        self.offset = field(body, OFFSET);
        self.length = field(body, LENGTH);
        let touched = offset.saturating_add(len) > DATA;
        let target = self.target().filter(|_| touched)?;
        Some((target, field(body, DATA).to_le_bytes()))
    }

    /// The access to make for a read at `offset` of the body, if that is in
    /// the data field, and the position in the field.
    pub(super) fn read(&self, offset: usize) -> Option<(Target, usize)> {
        let within = offset.checked_sub(DATA)?;
        Some((self.target()?, within))
    }

    /// The access selected, unless the specification forbids it.
    fn target(&self) -> Option<Target> {
        let length = usize::try_from(self.length).ok()?;
        let aligned =
            matches!(length, 1 | 2 | 4) && self.offset.checked_rem(self.length) == Some(0);
        let target = Target {
            offset: self.offset.into(),
            length,
        };
        (aligned && self.bar == VIRTIO_BAR).then_some(target)
    }
}

fn field(body: &[u8], offset: usize) -> u32 {
    body.get(offset..)
        .and_then(<[u8]>::first_chunk)
        .copied()
        .map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bar: u8, offset: u32, length: u32, data: u32) -> Vec<u8> {
        let mut body = vec![20, 5, bar, 0, 0, 0];
        for field in [offset, length, data] {
            body.extend(field.to_le_bytes());
        }
        body
    }

    #[test]
    fn only_a_write_of_the_data_field_is_an_access() {
        let mut window = Window::default();
        let body = body(0, 0x14, 1, 3);
        assert_eq!(window.written(LENGTH, 4, &body), None);
        let target = Target {
            offset: 0x14,
            length: 1,
        };
        assert_eq!(window.written(DATA, 1, &body), Some((target, [3, 0, 0, 0])));
        assert_eq!(window.read(DATA), Some((target, 0)));
        assert_eq!(window.read(LENGTH), None);
    }

    #[test]
    fn bad_selections_do_nothing() {
        for (bar, offset, length) in [(2, 0, 4), (0, 2, 4), (0, 0, 8), (0, 0, 0), (0, 1, 2)] {
            let mut window = Window::default();
            assert_eq!(window.written(DATA, 4, &body(bar, offset, length, 0)), None);
            assert_eq!(window.read(DATA), None);
        }
        assert_eq!(Window::default().written(DATA, 4, &[]), None);
    }
}
