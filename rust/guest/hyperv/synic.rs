// SPDX-License-Identifier: GPL-2.0

//! The registers of the SynIC of this processor.
//!
//! There are two of them where a paravisor has channels of its own: the hypervisor's and the
//! paravisor's.

use super::{
    page::SharedPage,
    platform, //
};
use crate::bindings;
use protocol::hyperv::msr::{
    sint,
    PageRegister,
    Sint,
    ENABLE,
    EOM,
    SCONTROL,
    SIEFP,
    SIMP, //
};

/// Whose registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The hypervisor's.
    Hypervisor,
    /// The paravisor's.
    Paravisor,
}

impl Owner {
    fn read(self, register: u32) -> u64 {
        // SAFETY: Registers of the SynIC; the kernel has found it before it loads us.
        unsafe {
            match self {
                Self::Hypervisor => bindings::hv_get_msr(register),
                Self::Paravisor => bindings::hv_para_get_synic_register(register),
            }
        }
    }

    fn write(self, register: u32, value: u64) {
        // SAFETY: As in `read`; what a page register names is ours, or nothing.
        unsafe {
            match self {
                Self::Hypervisor => bindings::hv_set_msr(register, value),
                Self::Paravisor => bindings::hv_para_set_synic_register(register, value),
            }
        }
    }

    /// The bits of a page register that have no meaning stay as they are.
    fn set_page(self, register: u32, page: &SharedPage) {
        let kept = self.read(register) & 0xffe;
        self.write(register, PageRegister::enabled(page.physical()).0 | kept);
    }

    fn clear_page(self, register: u32) {
        let kept = self.read(register) & 0xffe;
        self.write(register, kept);
    }

    /// Has messages and events arrive in these pages.
    ///
    /// The pages must outlive that; [`Owner::clear_pages`] is the end of it.
    pub fn set_pages(self, messages: &SharedPage, events: &SharedPage) {
        self.set_page(SIMP, messages);
        self.set_page(SIEFP, events);
    }

    /// No page is used any more.
    pub fn clear_pages(self) {
        self.clear_page(SIMP);
        self.clear_page(SIEFP);
    }

    /// The page that a register names already, in use from now on; there are such pages where a
    /// paravisor or the root partition has made them.
    pub fn adopt_page(self, register: u32) -> u64 {
        let value = self.read(register) | ENABLE;
        self.write(register, value);
        value & !0xfff & !platform::shared_address_bit()
    }

    /// The page that a register names is not used any more, but stays there.
    pub fn disown_page(self, register: u32) {
        let value = self.read(register) & !ENABLE;
        self.write(register, value);
    }

    /// Switches all sources on or off.
    pub fn enable(self, on: bool) {
        let value = self.read(SCONTROL);
        self.write(SCONTROL, if on { value | ENABLE } else { value & !ENABLE });
    }

    /// Lets the host deliver what it has kept back.
    #[inline]
    pub fn end_of_message(self) {
        self.write(EOM, 0);
    }
}

/// Has a source raise a vector on this processor.
pub fn unmask(source: u8, vector: u8) {
    let Some(register) = sint(source) else {
        return;
    };
    // SAFETY: No requirements.
    let auto = if unsafe { bindings::hv_recommend_using_aeoi() } {
        Sint::AUTO_EOI
    } else {
        0
    };
    let kept = Owner::Hypervisor.read(register) & !(0xff | Sint::MASKED | Sint::AUTO_EOI);
    Owner::Hypervisor.write(register, kept | Sint::raising(vector).0 | auto);
}

/// Has a source raise nothing.
pub fn mask(source: u8) {
    let Some(register) = sint(source) else {
        return;
    };
    let value = Owner::Hypervisor.read(register);
    Owner::Hypervisor.write(register, value | Sint::MASKED);
}

/// Lets a paravisor pass a vector on to this processor, or not.
pub fn pass_vector(cpu: u32, vector: u8, pass: bool) {
    // SAFETY: No requirements.
    unsafe { bindings::hv_enable_coco_interrupt(cpu, u32::from(vector), pass) };
}

/// The registers by which pages are adopted.
pub mod register {
    pub use protocol::hyperv::msr::{
        SIEFP,
        SIMP, //
    };
}
