// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A port read that is answered in registers, which no library lets us do.

use kvm_bindings::{kvm_regs, KVM_EXIT_IO, KVM_EXIT_IO_IN};
use kvm_ioctls::{SyncReg, VcpuFd};

/// A port read that the last exit was about: of four bytes, once.
///
/// # Invariants
///
/// The last exit of `vcpu` was such a read, and its data is at `offset` in the page that KVM
/// shares with us.
pub(super) struct WordRead<'a> {
    vcpu: &'a mut VcpuFd,
    /// Where KVM takes the result from, in the page that it shares with us.
    offset: usize,
}

impl<'a> WordRead<'a> {
    /// The read; `None` if the exit was about something else.
    pub(super) fn of(vcpu: &'a mut VcpuFd) -> Option<Self> {
        let run = vcpu.get_kvm_run();
        if run.exit_reason != KVM_EXIT_IO {
            return None;
        }
        // SAFETY: The exit reason says that KVM filled in this field. It consists of
        // numbers, for which any bytes are valid.
        let io = unsafe { run.__bindgen_anon_1.io };
        let is_word = io.size == 4 && io.count == 1;
        if u32::from(io.direction) != KVM_EXIT_IO_IN || !is_word {
            return None;
        }
        let offset = io.data_offset as usize;
        // INVARIANT: `offset` is that of the exit, since when the vCPU has not run, and
        // does not as long as it is borrowed here.
        Some(Self { vcpu, offset })
    }

    /// The registers around it, as KVM has left them.
    pub(super) fn regs(&self) -> kvm_regs {
        self.vcpu.sync_regs().regs
    }

    /// Answers: what the read brings, and the other registers.
    pub(super) fn answer(self, value: u32, regs: kvm_regs) {
        let start = std::ptr::from_mut(self.vcpu.get_kvm_run()).cast::<u8>();
        // SAFETY:
        // - `start` is that of the mapping which KVM shares with us, which is as long as
        //   KVM says it is, and KVM says that the four bytes of this exit are at that
        //   offset in it, by the type invariant;
        // - nobody else refers to them, as the vCPU is borrowed and does not run;
        // - where they are need not be aligned.
        unsafe {
            let data = start.add(self.offset).cast::<u32>();
            data.write_unaligned(value);
        }
        self.vcpu.sync_regs_mut().regs = regs;
        self.vcpu.set_sync_dirty_reg(SyncReg::Register);
    }
}
