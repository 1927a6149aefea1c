// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Messages: what the device tells by itself.

use zerocopy::little_endian::U32;

use super::MAX_TARGETS;
use crate::hyperv::wire::wire;

/// [`MessageDescriptor::kind`]: a target is there that was not.
pub const DEVICE_ADDED: u32 = 0;
/// [`MessageDescriptor::kind`]: a target is gone.
pub const DEVICE_REMOVED: u32 = 1;

wire! {
    /// An entry of the message ring.
    pub struct MessageDescriptor: 128 {
        /// What happened.
        pub kind: U32,
        /// The bus: zero.
        pub bus: U32,
        /// The target.
        pub target: U32,
        /// The unit, as in a request.
        pub lun: [u8; 8],
        /// Zero.
        pub reserved: [u8; 108],
    }
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The target.
    pub target: u8,
    /// The unit.
    pub lun: u8,
}

/// A message after all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something was added.
    Added(Place),
    /// Something was removed.
    Removed(Place),
    /// There is no such bus.
    BadBus(u32),
    /// There can be no such target.
    BadTarget(u32),
    /// The unit's other bytes are not zero; here is the first of these.
    BadLun(u8),
    /// What happened is not known.
    Unknown(u32),
}

impl MessageDescriptor {
    /// A message of a device.
    pub fn new(kind: u32, place: Place) -> Self {
        Self {
            kind: U32::new(kind),
            bus: U32::ZERO,
            target: U32::new(place.target.into()),
            lun: [0, place.lun, 0, 0, 0, 0, 0, 0],
            reserved: [0; 108],
        }
    }

    /// Decodes a message that was copied out of shared memory.
    pub fn decode(&self) -> Notice {
        let notice = match self.kind.get() {
            DEVICE_ADDED => Notice::Added,
            DEVICE_REMOVED => Notice::Removed,
            other => return Notice::Unknown(other),
        };
        self.place().map_or_else(|wrong| wrong, notice)
    }

    fn place(&self) -> Result<Place, Notice> {
        if self.bus != U32::ZERO {
            return Err(Notice::BadBus(self.bus.get()));
        }
        let [zero, lun, rest @ ..] = self.lun;
        if let Some(byte) = [zero].iter().chain(&rest).find(|byte| **byte != 0) {
            return Err(Notice::BadLun(*byte));
        }
        match u8::try_from(self.target.get()) {
            Ok(target) => Ok(Place { target, lun }),
            Err(_) => Err(Notice::BadTarget(self.target.get())),
        }
    }
}

const _: () = assert!(MAX_TARGETS == u8::MAX as u32 + 1);

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    const PLACE: Place = Place { target: 7, lun: 1 };

    #[test]
    fn what_a_device_says_is_understood() {
        let added = MessageDescriptor::new(DEVICE_ADDED, PLACE);
        assert_eq!(added.decode(), Notice::Added(PLACE));
        let removed = MessageDescriptor::new(DEVICE_REMOVED, PLACE);
        assert_eq!(removed.decode(), Notice::Removed(PLACE));
        assert_eq!(
            MessageDescriptor::new(2, PLACE).decode(),
            Notice::Unknown(2)
        );
    }

    #[test]
    fn a_place_that_cannot_be_keeps_its_value() {
        let good = MessageDescriptor::new(DEVICE_ADDED, PLACE);
        let bus = MessageDescriptor {
            bus: U32::new(1),
            ..good
        };
        assert_eq!(bus.decode(), Notice::BadBus(1));
        let target = MessageDescriptor {
            target: U32::new(256),
            ..good
        };
        assert_eq!(target.decode(), Notice::BadTarget(256));
        for lun in [[3, 1, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 3]] {
            assert_eq!(
                MessageDescriptor { lun, ..good }.decode(),
                Notice::BadLun(3)
            );
        }
    }

    proptest! {
        #[test]
        fn any_message_decodes(bytes: [u8; 20]) {
            let mut whole = [0; 128];
            whole[..20].copy_from_slice(&bytes);
            let message = MessageDescriptor::read_from_bytes(&whole).expect("size is exact");
            if let Notice::Added(place) | Notice::Removed(place) = message.decode() {
                let again = MessageDescriptor::new(message.kind.get(), place);
                prop_assert_eq!(again, message);
            }
        }
    }
}
