// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The processors of a machine, and the guest that they are to run.

use std::sync::Arc;

use anyhow::{anyhow, Result};
use kvm_bindings::CpuId;
use kvm_ioctls::{VcpuFd, VmFd};

use super::chassis::Chassis;
use crate::acpi::{Board, HotPlug};
use crate::boot::Boot;
use crate::config::{self, ConfigError, Personality};
use crate::hyperv::platform::Platform;
use crate::kvm::{cpuid, state, vm};
use crate::{acpi, boot, cpu, layout, vmware};

/// The vCPUs, and what a guest of VMware is told.
type Loaded = (Vec<VcpuFd>, Option<Arc<vmware::platform::Platform>>);

/// Creates the vCPUs and loads the guest; the first one is at its entry.
pub(super) fn load(
    chassis: &Chassis,
    config: &config::Machine,
    hyperv: Option<&Platform>,
    balloon: Option<Arc<vmware::balloon::Port>>,
) -> Result<Loaded> {
    let mut vcpus: Vec<_> = (0..config.cpus)
        .map(|index| create_vcpu(&chassis.vm, index))
        .collect::<Result<_>>()?;
    let vmware = match config.personality {
        Personality::Vmware => Some(Arc::new(vmware::platform::Platform::new(
            &chassis.kvm,
            first(&vcpus)?,
            config.memory.0,
            balloon,
        )?)),
        Personality::Kvm | Personality::Hyperv => None,
    };
    let leaves = leaves(chassis, config, hyperv, vmware.as_deref())?;
    for (index, vcpu) in (0..).zip(&mut vcpus) {
        set_up_vcpu(vcpu, &leaves, index, config, hyperv)?;
    }
    enter(chassis, config, hyperv.is_some(), first(&vcpus)?)?;
    Ok((vcpus, vmware))
}

/// The leaves of the machine's processor model, as a guest of its personality has
/// them.
fn leaves(
    chassis: &Chassis,
    config: &config::Machine,
    hyperv: Option<&Platform>,
    vmware: Option<&vmware::platform::Platform>,
) -> Result<CpuId> {
    let kvm = &chassis.kvm;
    let plain = cpu::build::build(&config.cpu_model, &cpuid::supported(kvm)?)
        .map_err(|error| ConfigError(error.to_string()))?;
    Ok(match (hyperv, vmware) {
        (Some(hyperv), _) => hyperv.leaves(kvm, &plain, config::MAX_CPUS)?,
        (None, Some(vmware)) => vmware.leaves(&plain)?,
        (None, None) => plain,
    })
}

/// Puts tables and kernel into memory, and the first vCPU at the kernel's entry.
fn enter(chassis: &Chassis, config: &config::Machine, vmbus: bool, first: &VcpuFd) -> Result<()> {
    let memory = &chassis.memory;
    let board = Board {
        hot_plug: match config.control {
            Some(_) => HotPlug::Slots,
            None => HotPlug::None,
        },
        vmbus,
    };
    if config.personality == Personality::Vmware {
        vmware::smbios::write(memory)?;
    }
    let windows = layout::windows(config.memory.0);
    let guest = Boot {
        kernel: &config.kernel,
        initrd: config.initrd.as_deref(),
        cmdline: &config.cmdline,
        ram: config.memory.0,
        rsdp: acpi::write(memory, config.cpus, &windows, &board)?,
    };
    let entry = boot::load(memory, &guest).map_err(|error| ConfigError(error.to_string()))?;
    state::enter(first, memory, entry)?;
    Ok(())
}

fn first(vcpus: &[VcpuFd]) -> Result<&VcpuFd> {
    vcpus
        .first()
        .ok_or_else(|| anyhow!("a machine without vCPUs"))
}

fn create_vcpu(vm: &VmFd, index: u8) -> Result<VcpuFd> {
    let vcpu = vm.create_vcpu(u64::from(index));
    Ok(vcpu.map_err(vm::refused("create a vCPU"))?)
}

/// Makes a vCPU what the machine's are.
fn set_up_vcpu(
    vcpu: &mut VcpuFd,
    base: &CpuId,
    index: u8,
    config: &config::Machine,
    hyperv: Option<&Platform>,
) -> Result<()> {
    vcpu.set_cpuid2(&cpuid::for_vcpu(base, index, config.cpus))
        .map_err(vm::refused("set a vCPU's CPUID leaves"))?;
    if let Some(hyperv) = hyperv {
        hyperv.enable(vcpu)?;
    }
    if config.personality == Personality::Vmware {
        vmware::platform::Platform::enable(vcpu);
    }
    state::set_msrs(vcpu, config.cpu_model.microcode_msr())?;
    Ok(())
}
