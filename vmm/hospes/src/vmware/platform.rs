// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the machine tells of itself through the backdoor, and how; and how a guest reaches
//! the balloon port, which works alike.
//!
//! The call is an ordinary read of a port, whose answer is in other registers as
//! well. KVM leaves the registers of a guest in the page that it shares with us at
//! each exit, and takes them from there when the vCPU goes on, so that a call needs no
//! further request.

use std::sync::Arc;
use std::time::SystemTime;

use hospes_device::counters::{Counted, Counter};
use kvm_bindings::{kvm_regs, CpuId, KVM_SYNC_X86_REGS};
use kvm_ioctls::{Cap, Kvm, SyncReg, VcpuFd};
use protocol::backdoor::{self, Machine, Registers, Time, VCPU_X2APIC};
use protocol::vmballoon;
use serde::Serialize;
use thiserror::Error;

use crate::vmware::balloon::Port;
use crate::vmware::cpuid;
use crate::vmware::sys::WordRead;

/// KVM's APIC timers count nanoseconds.
const BUS_KHZ: u32 = 1_000_000;

/// Why there is no such personality.
#[derive(Debug, Error)]
pub enum VmwareError {
    /// KVM lacks something.
    #[error("personality=vmware: KVM on this machine lacks {0}")]
    Missing(&'static str),
    /// The list of leaves is full.
    #[error("personality=vmware: no room for its CPUID leaves")]
    Leaves,
}

/// What is counted.
#[derive(Debug, Default, Serialize)]
struct Counters {
    /// Calls with the magic number.
    calls: Counter,
    /// Those for what there is not.
    unknown: Counter,
    /// Reads of the port without it, or not of four bytes in one go.
    stray: Counter,
}

/// A machine of VMware.
pub struct Platform {
    machine: Machine,
    tsc_khz: u32,
    balloon: Option<Arc<Port>>,
    counters: Counters,
}

impl Platform {
    /// A machine with so many bytes of memory, of which `vcpu` is a processor, and which may
    /// have a balloon.
    ///
    /// # Errors
    ///
    /// [`VmwareError`] naming what KVM lacks.
    pub fn new(
        kvm: &Kvm,
        vcpu: &VcpuFd,
        memory: u64,
        balloon: Option<Arc<Port>>,
    ) -> Result<Self, VmwareError> {
        let synced = u32::try_from(kvm.check_extension_int(Cap::SyncRegs)).unwrap_or(0);
        if synced & KVM_SYNC_X86_REGS == 0 {
            return Err(VmwareError::Missing("KVM_CAP_SYNC_REGS"));
        }
        let tsc_khz = vcpu.get_tsc_khz().ok().filter(|khz| *khz > 0);
        let tsc_khz = tsc_khz.ok_or(VmwareError::Missing("KVM_CAP_GET_TSC_KHZ"))?;
        Ok(Self {
            machine: Machine {
                tsc_hz: u64::from(tsc_khz).saturating_mul(1000),
                bus_hz: BUS_KHZ.saturating_mul(1000),
                memory,
                vcpu_info: VCPU_X2APIC,
            },
            tsc_khz,
            balloon,
            counters: Counters::default(),
        })
    }

    /// The leaves of a guest.
    ///
    /// # Errors
    ///
    /// [`VmwareError::Leaves`].
    pub fn leaves(&self, base: &CpuId) -> Result<CpuId, VmwareError> {
        cpuid::replace(base, self.tsc_khz, BUS_KHZ).ok_or(VmwareError::Leaves)
    }

    /// Has KVM show the registers of a vCPU at each exit.
    pub fn enable(vcpu: &mut VcpuFd) {
        vcpu.set_sync_valid_reg(SyncReg::Register);
    }

    /// Whether something may be behind a port, for who knows the magic number.
    pub fn has_port(&self, port: u16) -> bool {
        port == backdoor::PORT || (port == vmballoon::PORT && self.balloon.is_some())
    }

    /// Answers a read of a port, of four bytes, which was answered by all ones already. A
    /// string instruction that reads them piece by piece is no call, and nothing becomes of it.
    pub fn serve(&self, port: u16, vcpu: &mut VcpuFd) {
        let Some(read) = WordRead::of(vcpu) else {
            return self.counters.stray.inc();
        };
        let mut regs = read.regs();
        let result = match &self.balloon {
            Some(balloon) if port == vmballoon::PORT => serve_balloon(balloon, &mut regs),
            _ => self.serve_backdoor(&mut regs),
        };
        match result {
            Some(result) => read.answer(result, regs),
            None => self.counters.stray.inc(),
        }
    }

    /// What the read brings, and changes the other registers; `None` if it was no call.
    fn serve_backdoor(&self, regs: &mut kvm_regs) -> Option<u32> {
        let call = registers(regs);
        let answer = call.answer(&self.machine, now)?;
        self.counters.calls.inc();
        if answer.eax == protocol::backdoor::UNKNOWN {
            self.counters.unknown.inc();
        }
        update(regs, &call, &answer);
        Some(answer.eax)
    }
}

/// The same of the balloon port.
fn serve_balloon(balloon: &Port, regs: &mut kvm_regs) -> Option<u32> {
    let before = balloon_registers(regs);
    let reply = balloon.serve(vmballoon::Call::from_registers(&before)?);
    let after = reply.registers(&before);
    (regs.rbx, regs.rcx) = (after.rbx, after.rcx);
    Some(reply.status.0)
}

impl Counted for Platform {
    fn counters(&self) -> serde_json::Value {
        serde_json::to_value(&self.counters).unwrap_or_default()
    }
}

/// All of each, as the balloon port counts them.
fn balloon_registers(regs: &kvm_regs) -> vmballoon::Registers {
    vmballoon::Registers {
        rax: regs.rax,
        rbx: regs.rbx,
        rcx: regs.rcx,
        rdx: regs.rdx,
        rsi: regs.rsi,
    }
}

fn registers(regs: &kvm_regs) -> Registers {
    Registers {
        eax: regs.rax as u32,
        ebx: regs.rbx as u32,
        ecx: regs.rcx as u32,
        edx: regs.rdx as u32,
        esi: regs.rsi as u32,
        edi: regs.rdi as u32,
    }
}

/// Changes what the answer changed; as with any 32-bit result the upper half becomes zero.
/// RAX is what the port read brings.
fn update(regs: &mut kvm_regs, call: &Registers, answer: &Registers) {
    for (register, before, after) in [
        (&mut regs.rbx, call.ebx, answer.ebx),
        (&mut regs.rcx, call.ecx, answer.ecx),
        (&mut regs.rdx, call.edx, answer.edx),
        (&mut regs.rsi, call.esi, answer.esi),
        (&mut regs.rdi, call.edi, answer.edi),
    ] {
        if before != after {
            *register = after.into();
        }
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or_else(
        |_| Time::default(),
        |since| Time {
            seconds: since.as_secs(),
            microseconds: since.subsec_micros(),
        },
    )
}

#[cfg(test)]
mod tests {
    use hospes_device::bus::Bus;

    use super::*;

    #[test]
    fn nothing_is_behind_the_port_for_whole_buffers() {
        let platform = Platform {
            machine: Machine::default(),
            tsc_khz: 1,
            balloon: None,
            counters: Counters::default(),
        };
        assert!(platform.has_port(backdoor::PORT));
        assert!(!platform.has_port(backdoor::HIGH_BANDWIDTH_PORT));
        assert!(!platform.has_port(vmballoon::PORT));
        let mut data = [0; 4];
        Bus::new().read(backdoor::HIGH_BANDWIDTH_PORT.into(), &mut data);
        assert_eq!(data, [0xff; 4]);
    }

    #[test]
    fn registers_keep_what_is_not_answered() {
        let mut regs = kvm_regs {
            rbx: u64::MAX,
            rcx: 0xffff_0000_0000_002d,
            rdi: 1 << 40,
            rip: 7,
            ..Default::default()
        };
        let call = registers(&regs);
        let answer = Registers {
            eax: 1,
            ecx: 2,
            ..call
        };
        update(&mut regs, &call, &answer);
        assert_eq!((regs.rbx, regs.rcx, regs.rdi), (u64::MAX, 2, 1 << 40));
        assert_eq!((regs.rax, regs.rip), (0, 7));
    }
}
