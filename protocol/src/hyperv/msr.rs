// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Model-specific registers of the SynIC (TLFS, sections 11.8 and 11.9).

/// Control: [`ENABLE`] switches the SynIC of this virtual processor on.
pub const SCONTROL: u32 = 0x4000_0080;
/// Version: reads [`VERSION_1`].
pub const SVERSION: u32 = 0x4000_0081;
/// Address of the event flag page, a [`PageRegister`].
pub const SIEFP: u32 = 0x4000_0082;
/// Address of the message page, a [`PageRegister`].
pub const SIMP: u32 = 0x4000_0083;
/// End of message: any write has the host look at its queues again.
pub const EOM: u32 = 0x4000_0084;
/// The first of [`super::SINT_COUNT`] registers, each a [`Sint`].
pub const SINT0: u32 = 0x4000_0090;

/// Value of [`SVERSION`].
pub const VERSION_1: u64 = 1;

/// Bit of [`SCONTROL`], [`SIEFP`] and [`SIMP`].
pub const ENABLE: u64 = 1;

/// Lowest vector that a source may have.
pub const FIRST_VALID_VECTOR: u8 = 16;

/// The register of a source, or `None` if there is no such source.
pub fn sint(source: u8) -> Option<u32> {
    (source < super::SINT_COUNT).then(|| SINT0.wrapping_add(u32::from(source)))
}

/// Value of [`SIEFP`] or [`SIMP`]: a page, and whether it is in use.
///
/// Bits 1 to 11 have no meaning and are kept as they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageRegister(pub u64);

impl PageRegister {
    /// A register that names the page at this guest physical address, in use.
    pub const fn enabled(address: u64) -> Self {
        Self((address & !0xfff) | ENABLE)
    }

    /// Guest physical address of the page, if it is in use.
    pub fn page(self) -> Option<u64> {
        (self.0 & ENABLE != 0).then_some(self.0 & !0xfff)
    }
}

/// Value of a source's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sint(pub u64);

impl Sint {
    /// The source raises no interrupt. So it is after a reset.
    pub const MASKED: u64 = 1 << 16;
    /// The interrupt is acknowledged by being delivered.
    pub const AUTO_EOI: u64 = 1 << 17;
    /// The guest polls: messages and flags arrive, interrupts do not.
    pub const POLLING: u64 = 1 << 18;
    /// The source belongs to a paravisor and is passed on by it.
    pub const PROXY: u64 = 1 << 20;

    /// A source that raises this vector, which the guest acknowledges.
    pub fn raising(vector: u8) -> Self {
        Self(u64::from(vector))
    }

    /// The vector.
    pub const fn vector(self) -> u8 {
        let [vector, ..] = self.0.to_le_bytes();
        vector
    }

    /// The vector that the source raises, if it raises one.
    pub fn raises(self) -> Option<u8> {
        let silent = self.0 & (Self::MASKED | Self::POLLING) != 0;
        (!silent && self.vector() >= FIRST_VALID_VECTOR).then_some(self.vector())
    }
}

impl Default for Sint {
    fn default() -> Self {
        Self(Self::MASKED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_say_what_is_on() {
        assert_eq!(PageRegister::default().page(), None);
        assert_eq!(PageRegister::enabled(0x1234_5678).page(), Some(0x1234_5000));
        assert_eq!(Sint::default().raises(), None);
        assert_eq!(Sint::raising(0xf3).raises(), Some(0xf3));
        assert_eq!(Sint::raising(15).raises(), None);
        assert_eq!(Sint(0xf3 | Sint::POLLING).raises(), None);
        assert_eq!(Sint(0xf3 | Sint::AUTO_EOI).raises(), Some(0xf3));
        assert_eq!((sint(2), sint(16)), (Some(0x4000_0092), None));
    }
}
