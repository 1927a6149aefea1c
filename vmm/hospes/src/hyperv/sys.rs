// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What Hyper-V's emulation asks of KVM, or is told by it, and `kvm-ioctls` has
//! no function for.

use std::ffi::c_ulong;
use std::io;
use std::os::fd::AsRawFd;

use kvm_bindings::{
    kvm_cpuid_entry2, kvm_hyperv_eventfd, CpuId, KVM_EXIT_HYPERV, KVM_EXIT_HYPERV_HCALL,
    KVM_EXIT_HYPERV_SYNIC, KVM_HYPERV_EVENTFD_DEASSIGN,
};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use vmm_sys_util::eventfd::EventFd;

/// `KVM_GET_SUPPORTED_HV_CPUID`, of `struct kvm_cpuid2`.
const GET_SUPPORTED_HV_CPUID: c_ulong = 0xc008_aec1;
/// `KVM_HYPERV_EVENTFD`, of `struct kvm_hyperv_eventfd`.
const HYPERV_EVENTFD: c_ulong = 0x4018_aebd;

/// Room for leaves; there were ten of them in Linux 7.3.
const MAX_LEAVES: usize = 64;

/// The leaves that KVM could give to a guest of Hyper-V.
pub(crate) fn supported_leaves(kvm: &Kvm) -> io::Result<Vec<kvm_cpuid_entry2>> {
    let mut cpuid = CpuId::new(MAX_LEAVES).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let list = cpuid.as_mut_fam_struct_ptr();
    // SAFETY: The descriptor is open, as `kvm` is borrowed, and the structure has
    // room for as many entries as its length says, which is all that is written.
    let result = unsafe { libc::ioctl(kvm.as_raw_fd(), GET_SUPPORTED_HV_CPUID as _, list) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(cpuid.as_slice().to_vec())
}

/// Has KVM signal `event` when the guest signals a connection, or stop that.
pub(crate) fn bind_signal(vm: &VmFd, connection: u32, event: Option<&EventFd>) -> io::Result<()> {
    let binding = kvm_hyperv_eventfd {
        conn_id: connection,
        fd: event.map_or(-1, AsRawFd::as_raw_fd),
        flags: event.map_or(KVM_HYPERV_EVENTFD_DEASSIGN, |_| 0),
        ..Default::default()
    };
    // SAFETY: Both descriptors are open, as their owners are borrowed, and the
    // structure is live and only read.
    let result = unsafe { libc::ioctl(vm.as_raw_fd(), HYPERV_EVENTFD as _, &raw const binding) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What a guest of Hyper-V wants of user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It wrote to a register of its SynIC, whose registers are these now.
    Synic {
        control: u64,
        event_page: u64,
        message_page: u64,
    },
    /// It called; the result is for [`set_hypercall_result`].
    Hypercall { input: u64, parameters: [u64; 2] },
    /// Something else.
    Other(u32),
}

/// Reads what the exit of a vCPU was about, if it was about Hyper-V.
pub(crate) fn exit_of(vcpu: &mut VcpuFd) -> Option<Exit> {
    let run = vcpu.get_kvm_run();
    if run.exit_reason != KVM_EXIT_HYPERV {
        return None;
    }
    // SAFETY: The exit reason says that KVM filled in this field. It consists of
    // numbers, for which any bytes are valid.
    let exit = unsafe { run.__bindgen_anon_1.hyperv };
    Some(match exit.type_ {
        KVM_EXIT_HYPERV_SYNIC => {
            // SAFETY: As above, given the type.
            let synic = unsafe { exit.u.synic };
            Exit::Synic {
                control: synic.control,
                event_page: synic.evt_page,
                message_page: synic.msg_page,
            }
        }
        KVM_EXIT_HYPERV_HCALL => {
            // SAFETY: As above, given the type.
            let call = unsafe { exit.u.hcall };
            Exit::Hypercall {
                input: call.input,
                parameters: call.params,
            }
        }
        other => Exit::Other(other),
    })
}

/// Says what the hypercall of the last exit returns. Nothing happens if that was
/// none.
pub(crate) fn set_hypercall_result(vcpu: &mut VcpuFd, result: u64) {
    let run = vcpu.get_kvm_run();
    if run.exit_reason != KVM_EXIT_HYPERV {
        return;
    }
    // SAFETY: The exit reason says that this field is the one in use, and it
    // consists of numbers.
    let exit = unsafe { &mut run.__bindgen_anon_1.hyperv };
    if exit.type_ == KVM_EXIT_HYPERV_HCALL {
        // Writing a field of a union that is `Copy` drops nothing and reads nothing.
        exit.u.hcall.result = result;
    }
}
