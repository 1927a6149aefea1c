// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The virtual machine: memory slots and interrupt controllers.

use std::fs;
use std::sync::Arc;

use hospes_device::memory::GuestMemory;
use kvm_bindings::{kvm_pit_config, KVM_PIT_SPEAKER_DUMMY};
use kvm_ioctls::{Cap, Kvm, VmFd};
use thiserror::Error;
use vm_memory::GuestMemoryBackend;

use crate::{layout, sys};

/// Version of the KVM interface, which has not changed since 2007.
const API_VERSION: i32 = 12;

/// Why there is no virtual machine.
#[derive(Debug, Error)]
pub enum VmError {
    /// The device cannot be opened.
    #[error("{0}")]
    Open(String),
    /// KVM lacks something that the machine is built on.
    #[error("KVM on this machine lacks {0}; a kernel of 5.10 or later with KVM_IOAPIC has it")]
    Missing(&'static str),
    /// A request was refused.
    #[error("KVM refused to {what}: {error}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it said.
        error: kvm_ioctls::Error,
    },
}

/// Turns a KVM error into [`VmError::Refused`].
pub fn refused(what: &'static str) -> impl Fn(kvm_ioctls::Error) -> VmError {
    move |error| VmError::Refused { what, error }
}

/// Opens KVM, and says what to do where that cannot work.
///
/// # Errors
///
/// [`VmError`] with a text for the person who typed the command.
pub fn open() -> Result<Kvm, VmError> {
    let kvm = Kvm::new().map_err(|error| VmError::Open(explain_open(error)))?;
    if !has_virtualization(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()) {
        let text = "this machine's processor has neither VMX nor SVM, so its /dev/kvm cannot run \
                    a guest: switch virtualization on in the firmware or the outer hypervisor, or \
                    run inside the nested lab (see Documentation/lab.md)";
        return Err(VmError::Open(text.to_owned()));
    }
    if kvm.get_api_version() != API_VERSION {
        return Err(VmError::Missing("version 12 of its interface"));
    }
    for (capability, name) in [
        (Cap::UserMemory, "user memory"),
        (Cap::Irqchip, "an in-kernel interrupt controller"),
        (Cap::Pit2, "an in-kernel timer"),
        (Cap::Irqfd, "irqfd"),
        (Cap::IrqRouting, "interrupt routing"),
        (Cap::Ioeventfd, "ioeventfd"),
        (Cap::IoeventfdNoLength, "ioeventfds of any length"),
    ] {
        if !kvm.check_extension(capability) {
            return Err(VmError::Missing(name));
        }
    }
    Ok(kvm)
}

fn explain_open(error: kvm_ioctls::Error) -> String {
    let advice = match error.errno() {
        libc::ENOENT | libc::ENXIO | libc::ENODEV => {
            "load kvm_intel or kvm_amd (the processor needs VMX or SVM, switched on in the \
             firmware), or run inside the nested lab (see Documentation/lab.md)"
        }
        libc::EACCES | libc::EPERM => "run as root or as a member of the group kvm",
        _ => "check that KVM works on this machine",
    };
    format!("/dev/kvm cannot be opened: {error}: {advice}")
}

/// Whether the flags in `/proc/cpuinfo` name VMX or SVM. An unreadable file is
/// no reason not to try.
fn has_virtualization(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_none_or(|line| {
        line.split_whitespace()
            .any(|flag| flag == "vmx" || flag == "svm")
    })
}

/// Creates a machine with interrupt controllers and `memory`.
///
/// # Errors
///
/// [`VmError`] if KVM refuses.
pub fn create(kvm: &Kvm, memory: &GuestMemory) -> Result<Arc<VmFd>, VmError> {
    let vm = kvm.create_vm().map_err(refused("create a machine"))?;
    vm.set_identity_map_address(layout::KVM_IDENTITY_MAP)
        .map_err(refused("place its identity map"))?;
    vm.set_tss_address(layout::KVM_TSS)
        .map_err(refused("place its task state segment"))?;
    vm.create_irq_chip()
        .map_err(refused("create interrupt controllers"))?;
    // The "dummy speaker" is port 0x61, by which kernels time the PIT.
    let pit = kvm_pit_config {
        flags: KVM_PIT_SPEAKER_DUMMY,
        ..Default::default()
    };
    vm.create_pit2(pit).map_err(refused("create a timer"))?;
    for (slot, region) in (0u32..).zip(memory.iter()) {
        sys::map_region(&vm, slot, region).map_err(refused("map guest memory"))?;
    }
    Ok(Arc::new(vm))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtualization_is_a_whole_flag() {
        assert!(has_virtualization("x: y\nflags\t\t: fpu svm sse\n"));
        assert!(has_virtualization("flags: vmx"));
        assert!(!has_virtualization("flags: fpu svme_addr_chk vmx_x\n"));
        assert!(has_virtualization(""));
    }

    #[test]
    fn a_missing_device_comes_with_advice() {
        let text = explain_open(kvm_ioctls::Error::new(libc::EACCES));
        assert!(text.contains("group kvm"), "{text}");
        let text = explain_open(kvm_ioctls::Error::new(libc::ENOENT));
        assert!(text.contains("nested lab"), "{text}");
    }
}
