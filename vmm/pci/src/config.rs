// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Configuration space: bytes, what of them the guest may write, capabilities.

use thiserror::Error;

use crate::device::{Capability, Identity};

/// Bytes of conventional configuration space. ECAM gives a function 4096; the
/// rest is for extended capabilities, of which there are none.
pub const CONFIG_SIZE: usize = 256;

/// Command register.
pub const COMMAND: usize = 0x04;
/// Command: I/O BARs decode.
pub const COMMAND_IO: u16 = 1 << 0;
/// Command: memory BARs decode.
pub const COMMAND_MEMORY: u16 = 1 << 1;
/// Command: the function may access memory, and so send interrupts.
pub const COMMAND_BUS_MASTER: u16 = 1 << 2;
/// Command: the function leaves its interrupt line alone.
pub const COMMAND_INTERRUPT_DISABLE: u16 = 1 << 10;
/// Status register.
const STATUS: usize = 0x06;
/// Status: the function wants its interrupt line to be active.
const STATUS_INTERRUPT: u8 = 1 << 3;
/// Status: there is a list of capabilities.
const STATUS_CAPABILITIES: u8 = 1 << 4;
/// Header type.
pub const HEADER_TYPE: usize = 0x0e;
/// Header type: the device has further functions.
pub const HEADER_MULTI_FUNCTION: u8 = 1 << 7;
/// First base address register.
pub const BAR0: usize = 0x10;
/// Pointer to the first capability.
const CAPABILITIES: usize = 0x34;
/// Scratch register of the firmware and the guest.
const INTERRUPT_LINE: usize = 0x3c;
/// Which interrupt pin there is.
const INTERRUPT_PIN: usize = 0x3d;
/// The only one that is used here.
const PIN_A: u8 = 1;
/// End of the header.
const HEADER_END: usize = 0x40;

/// Command bits a guest may set: I/O, memory, bus master, parity error
/// response, SERR, INTx disable.
const COMMAND_WRITABLE: u16 = 0x0547;

/// The capabilities do not fit.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("capability {id:#x} does not fit into configuration space")]
pub struct NoSpace {
    /// Its id.
    pub id: u8,
}

/// The registers of one function.
pub struct ConfigSpace {
    bytes: [u8; CONFIG_SIZE],
    writable: [u8; CONFIG_SIZE],
    /// Where the next pointer of the last capability is.
    last_pointer: usize,
    /// Where the next capability can go.
    free: usize,
}

impl ConfigSpace {
    /// A type 0 header with no BARs and no capabilities.
    pub fn new(identity: &Identity) -> Self {
        let mut space = Self {
            bytes: [0; CONFIG_SIZE],
            writable: [0; CONFIG_SIZE],
            last_pointer: CAPABILITIES,
            free: HEADER_END,
        };
        let [base_class, sub_class, interface] = identity.class;
        space.set(0x00, &identity.vendor.to_le_bytes());
        space.set(0x02, &identity.device.to_le_bytes());
        space.set(0x08, &[identity.revision, interface, sub_class, base_class]);
        space.set(0x2c, &identity.subsystem_vendor.to_le_bytes());
        space.set(0x2e, &identity.subsystem.to_le_bytes());
        space.allow(COMMAND, &COMMAND_WRITABLE.to_le_bytes());
        space.allow(INTERRUPT_LINE, &[0xff]);
        space
    }

    /// Appends a capability; returns the offset of its id.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if it does not fit.
    pub fn add_capability(&mut self, capability: &Capability) -> Result<usize, NoSpace> {
        let no_space = NoSpace { id: capability.id };
        let start = self.free;
        let body = start.saturating_add(2);
        let end = body.saturating_add(capability.body.len());
        let pointer = u8::try_from(start).map_err(|_| no_space)?;
        if end > CONFIG_SIZE {
            return Err(no_space);
        }
        self.set(start, &[capability.id, 0]);
        self.set(body, &capability.body);
        let within = capability.writable.len().min(capability.body.len());
        self.allow(body, capability.writable.get(..within).unwrap_or_default());
        self.set(self.last_pointer, &[pointer]);
        self.set(STATUS, &[STATUS_CAPABILITIES]);
        self.last_pointer = start.saturating_add(1);
        self.free = end.next_multiple_of(4);
        Ok(start)
    }

    /// Says that there is an interrupt pin.
    pub fn add_pin(&mut self) {
        self.set(INTERRUPT_PIN, &[PIN_A]);
    }

    /// Notes whether the function wants its interrupt line to be active.
    pub fn set_interrupt(&mut self, is_active: bool) {
        if let Some(status) = self.bytes.get_mut(STATUS) {
            *status &= !STATUS_INTERRUPT;
            *status |= if is_active { STATUS_INTERRUPT } else { 0 };
        }
    }

    /// Sets bytes whatever the guest may do to them.
    pub fn set(&mut self, offset: usize, data: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(offset).zip(data) {
            *to = *from;
        }
    }

    /// Lets the guest write the bits that are set in `mask`.
    pub fn allow(&mut self, offset: usize, mask: &[u8]) {
        for (to, from) in self.writable.iter_mut().skip(offset).zip(mask) {
            *to = *from;
        }
    }

    /// Reads; past the end it reads as zero.
    pub fn read(&self, offset: usize, data: &mut [u8]) {
        let bytes = self
            .bytes
            .iter()
            .skip(offset)
            .copied()
            .chain(std::iter::repeat(0));
        for (to, from) in data.iter_mut().zip(bytes) {
            *to = from;
        }
    }

    /// Writes what the guest may write, and leaves the rest.
    pub fn write(&mut self, offset: usize, data: &[u8]) {
        let bytes = self.bytes.iter_mut().zip(&self.writable).skip(offset);
        for ((to, mask), from) in bytes.zip(data) {
            *to = (*to & !mask) | (from & mask);
        }
    }

    /// A 16-bit register.
    pub fn read_u16(&self, offset: usize) -> u16 {
        let mut data = [0; 2];
        self.read(offset, &mut data);
        u16::from_le_bytes(data)
    }

    /// A 32-bit register.
    pub fn read_u32(&self, offset: usize) -> u32 {
        let mut data = [0; 4];
        self.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    /// `len` bytes from `offset`, fewer at the end of the space.
    pub fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        let tail = self.bytes.get(offset..).unwrap_or_default();
        tail.get(..len).unwrap_or(tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IDENTITY: Identity = Identity {
        vendor: 0x1234,
        device: 0x5678,
        revision: 9,
        class: [1, 2, 3],
        subsystem_vendor: 0xabcd,
        subsystem: 0xef01,
    };

    #[test]
    fn header_has_the_standard_layout() {
        let space = ConfigSpace::new(&IDENTITY);
        assert_eq!(space.read_u32(0), 0x5678_1234);
        assert_eq!(space.read_u32(8), 0x0102_0309);
        assert_eq!(space.read_u32(0x2c), 0xef01_abcd);
    }

    #[test]
    fn capabilities_form_a_list() {
        let mut space = ConfigSpace::new(&IDENTITY);
        let body = vec![1, 2, 3];
        let capability = Capability {
            id: 9,
            body,
            writable: vec![0xf0],
        };
        assert_eq!(space.add_capability(&capability), Ok(0x40));
        assert_eq!(space.add_capability(&capability), Ok(0x48));
        assert_eq!(space.read_u16(0x34), 0x40);
        assert_eq!(space.read_u32(0x40), 0x0201_4809);
        assert_eq!(space.read_u16(0x48), 0x0009);
        assert_eq!(space.read_u16(STATUS), u16::from(STATUS_CAPABILITIES));
        space.write(0x42, &[0xff; 3]);
        assert_eq!(space.bytes(0x42, 3), [0xf1, 2, 3]);
    }

    #[test]
    fn too_many_capabilities_are_an_error() {
        let mut space = ConfigSpace::new(&IDENTITY);
        let capability = Capability {
            id: 9,
            body: vec![0; 100],
            writable: vec![],
        };
        assert!(space.add_capability(&capability).is_ok());
        assert_eq!(space.add_capability(&capability), Err(NoSpace { id: 9 }));
    }

    proptest! {
        /// Whatever is written where, only writable bits change.
        #[test]
        fn read_only_bits_stay(
            writes in prop::collection::vec(
                (0usize..5000, prop::collection::vec(any::<u8>(), 0..9)), 0..64),
        ) {
            let mut space = ConfigSpace::new(&IDENTITY);
            let before = space.bytes;
            for (offset, data) in &writes {
                space.write(*offset, data);
                space.read(*offset, &mut [0; 8]);
            }
            for ((old, new), mask) in before.iter().zip(space.bytes).zip(space.writable) {
                prop_assert_eq!(old & !mask, new & !mask);
            }
        }
    }
}
