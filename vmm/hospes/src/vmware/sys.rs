// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The result of a port read, once what was asked is known.

use kvm_bindings::{KVM_EXIT_IO, KVM_EXIT_IO_IN};
use kvm_ioctls::VcpuFd;

/// Sets what the port read of the last exit brings: four bytes, once. Nothing happens, and
/// false is returned, if that was something else.
pub(super) fn set_read_result(vcpu: &mut VcpuFd, value: u32) -> bool {
    let run = vcpu.get_kvm_run();
    if run.exit_reason != KVM_EXIT_IO {
        return false;
    }
    // SAFETY: The exit reason says that KVM filled in this field. It consists of
    // numbers, for which any bytes are valid.
    let io = unsafe { run.__bindgen_anon_1.io };
    if u32::from(io.direction) != KVM_EXIT_IO_IN || io.size != 4 || io.count != 1 {
        return false;
    }
    let start = std::ptr::from_mut(run).cast::<u8>();
    // SAFETY:
    // - `start` is that of the mapping which KVM shares with us, which is as long as KVM
    //   says it is, and KVM says that the data of this exit is at that offset in it;
    // - it is as long as `size` and `count` say, and nobody else refers to it, as the vCPU
    //   is borrowed and does not run;
    // - where it is need not be aligned.
    unsafe {
        let data = start.add(io.data_offset as usize).cast::<u32>();
        data.write_unaligned(value);
    }
    true
}
