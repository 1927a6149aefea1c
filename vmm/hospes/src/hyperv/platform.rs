// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Hyper-V's emulation in KVM: what it has to have, how it is switched on, and
//! what of it comes back to user space.

use std::io;
use std::sync::{Arc, OnceLock};

use hospes_device::memory::GuestMemory;
use hospes_vmbus::device::Signals;
use hospes_vmbus::{Settings, Synic, VmBus};
use kvm_bindings::{
    kvm_enable_cap, CpuId, KVM_CAP_HYPERV, KVM_CAP_HYPERV_ENFORCE_CPUID, KVM_CAP_HYPERV_EVENTFD,
    KVM_CAP_HYPERV_SEND_IPI, KVM_CAP_HYPERV_SYNIC2, KVM_CAP_HYPERV_TIME, KVM_CAP_HYPERV_TLBFLUSH,
    KVM_CAP_HYPERV_VP_INDEX, KVM_CAP_SYS_HYPERV_CPUID, KVM_CAP_X86_MSR_FILTER,
    KVM_CAP_X86_USER_SPACE_MSR,
};
use kvm_ioctls::{
    Kvm, MsrExitReason, MsrFilterDefaultAction, MsrFilterRange, MsrFilterRangeFlags, VcpuFd, VmFd,
};
use protocol::hyperv::hypercall::{Control, Status, ALIGNMENT, POST_MESSAGE, SIGNAL_EVENT};
use protocol::hyperv::{PAGE_SIZE, VMBUS_SINT};
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

use crate::hyperv::crash::{self, Crash, CrashRegisters};
use crate::hyperv::{cpuid, sys};
use crate::kvm::interrupts::Interrupts;

/// What the emulation is made of, with the names that KVM's documentation has.
const NEEDED: [(u32, &str); 11] = [
    (KVM_CAP_HYPERV, "KVM_CAP_HYPERV"),
    (KVM_CAP_HYPERV_TIME, "KVM_CAP_HYPERV_TIME"),
    (KVM_CAP_HYPERV_SYNIC2, "KVM_CAP_HYPERV_SYNIC2"),
    (KVM_CAP_HYPERV_VP_INDEX, "KVM_CAP_HYPERV_VP_INDEX"),
    (KVM_CAP_HYPERV_EVENTFD, "KVM_CAP_HYPERV_EVENTFD"),
    (KVM_CAP_HYPERV_TLBFLUSH, "KVM_CAP_HYPERV_TLBFLUSH"),
    (KVM_CAP_HYPERV_SEND_IPI, "KVM_CAP_HYPERV_SEND_IPI"),
    (KVM_CAP_SYS_HYPERV_CPUID, "KVM_CAP_SYS_HYPERV_CPUID"),
    (KVM_CAP_HYPERV_ENFORCE_CPUID, "KVM_CAP_HYPERV_ENFORCE_CPUID"),
    (KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR"),
    (KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER"),
];

/// Registers in one word of a filter.
const FILTER_COUNT: u32 = 64;

/// A source of the SynIC that no guest uses.
const UNUSED_SINT: u8 = 15;

/// Bits of an address within its page.
const PAGE_OFFSET: u64 = PAGE_SIZE as u64 - 1;

/// Why there is no such personality.
#[derive(Debug, Error)]
pub enum HypervError {
    /// KVM lacks something.
    #[error(
        "personality=hyperv: KVM on this machine lacks {0}; a kernel of 5.14 or later with \
         CONFIG_KVM_HYPERV has it"
    )]
    Missing(String),
    /// A request was refused.
    #[error("personality=hyperv: KVM refused to {what}: {reason}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it said.
        reason: String,
    },
}

fn refused<E: ToString>(what: &'static str) -> impl Fn(E) -> HypervError {
    move |error| HypervError::Refused {
        what,
        reason: error.to_string(),
    }
}

/// Hyper-V, as the vCPUs of one machine see it.
pub struct Platform {
    memory: GuestMemory,
    crash: CrashRegisters,
    bus: OnceLock<VmBus>,
    /// Lines that nobody raises, by which KVM knows who wants to hear of what.
    unused: OnceLock<Vec<EventFd>>,
}

impl Platform {
    /// Switches on what concerns the whole of `vm`.
    ///
    /// # Errors
    ///
    /// [`HypervError`] naming what KVM lacks.
    pub fn new(kvm: &Kvm, vm: &VmFd, memory: &GuestMemory) -> Result<Arc<Self>, HypervError> {
        for (capability, name) in NEEDED {
            if kvm.check_extension_raw(capability.into()) <= 0 {
                return Err(HypervError::Missing(name.to_owned()));
            }
        }
        let filtered = kvm_enable_cap {
            cap: KVM_CAP_X86_USER_SPACE_MSR,
            args: [u64::from(MsrExitReason::Filter.bits()), 0, 0, 0],
            ..Default::default()
        };
        vm.enable_cap(&filtered)
            .map_err(refused("give registers to user space"))?;
        // All but the crash registers stay with KVM.
        let kept = u64::MAX << crash::COUNT;
        let range = MsrFilterRange {
            flags: MsrFilterRangeFlags::READ | MsrFilterRangeFlags::WRITE,
            base: crash::P0,
            msr_count: FILTER_COUNT,
            bitmap: &kept.to_le_bytes(),
        };
        vm.set_msr_filter(MsrFilterDefaultAction::ALLOW, &[range])
            .map_err(refused("filter registers"))?;
        Ok(Arc::new(Self {
            memory: memory.clone(),
            crash: CrashRegisters::new(memory.clone()),
            bus: OnceLock::new(),
            unused: OnceLock::new(),
        }))
    }

    /// The leaves of a guest of Hyper-V, made of those that it would have
    /// otherwise.
    ///
    /// # Errors
    ///
    /// [`HypervError`] naming what KVM lacks.
    pub fn leaves(&self, kvm: &Kvm, base: &CpuId, max_vcpus: u8) -> Result<CpuId, HypervError> {
        let supported = sys::supported_leaves(kvm).map_err(refused("list leaves of Hyper-V"))?;
        cpuid::replace(base, &supported, max_vcpus.into()).map_err(HypervError::Missing)
    }

    /// Switches on what concerns a vCPU, which has its leaves.
    ///
    /// # Errors
    ///
    /// [`HypervError`] if KVM refuses.
    pub fn enable(&self, vcpu: &VcpuFd) -> Result<(), HypervError> {
        let enable = |cap, value| {
            vcpu.enable_cap(&kvm_enable_cap {
                cap,
                args: [value, 0, 0, 0],
                ..Default::default()
            })
        };
        enable(KVM_CAP_HYPERV_SYNIC2, 0).map_err(refused("switch on a SynIC"))?;
        enable(KVM_CAP_HYPERV_ENFORCE_CPUID, 1)
            .map_err(refused("hold guests to their CPUID leaves"))
    }

    /// Serves an exit that was about Hyper-V.
    pub(crate) fn serve(&self, index: u8, vcpu: &mut VcpuFd) -> Result<(), String> {
        match sys::exit_of(vcpu) {
            Some(sys::Exit::Synic {
                control,
                event_page,
                message_page,
            }) => {
                if let Some(bus) = self.bus() {
                    bus.synic()
                        .changed(index.into(), control, event_page, message_page);
                }
            }
            Some(sys::Exit::Hypercall { input, parameters }) => {
                let [address, _] = parameters;
                let status = self.call(Control(input), address);
                sys::set_hypercall_result(vcpu, status.0.into());
            }
            Some(sys::Exit::Other(kind)) => {
                return Err(format!("KVM reported the unknown Hyper-V exit {kind}"));
            }
            None => return Err("KVM reported a Hyper-V exit that is none".to_owned()),
        }
        Ok(())
    }

    /// Carries out a hypercall that KVM does not know.
    fn call(&self, control: Control, address: u64) -> Status {
        match control.code() {
            POST_MESSAGE if !control.is_simple() || control.is_fast() => Status::INVALID_INPUT,
            POST_MESSAGE => self.post(address).unwrap_or_else(|status| status),
            // KVM knows the connections of all channels.
            SIGNAL_EVENT => Status::INVALID_CONNECTION_ID,
            _ => Status::INVALID_CODE,
        }
    }

    fn post(&self, address: u64) -> Result<Status, Status> {
        let bus = self.bus().ok_or(Status::INVALID_CONNECTION_ID)?;
        if address % ALIGNMENT != 0 {
            return Err(Status::INVALID_ALIGNMENT);
        }
        // The input is within a page; of a shorter one the rest is of no account.
        let offset = address & PAGE_OFFSET;
        let room = u64::from(PAGE_SIZE).saturating_sub(offset);
        let mut input = [0; VmBus::POST_SIZE];
        let len = usize::try_from(room).unwrap_or(0).min(input.len());
        let input = input.get_mut(..len).unwrap_or_default();
        (self.memory.read_slice(input, GuestAddress(address)))
            .map_err(|_| Status::INVALID_PARAMETER)?;
        Ok(bus.post(input))
    }

    /// Starts VMBus, once the vCPUs are there.
    ///
    /// # Errors
    ///
    /// [`HypervError`] if KVM refuses, or there can be no thread.
    pub fn start_bus(
        &self,
        vm: &Arc<VmFd>,
        interrupts: &Interrupts,
        cpus: u8,
        settings: Settings,
    ) -> Result<(), HypervError> {
        let lines = (0..cpus).map(|vp| interrupts.source(vp, VMBUS_SINT));
        let lines = lines
            .collect::<io::Result<Vec<_>>>()
            .map_err(refused("raise the interrupts of a SynIC"))?;
        let synic = match self.hear_ends_of_messages(interrupts, cpus) {
            Ok(end) => Synic::new(self.memory.clone(), lines).with_end_of_message(end),
            Err(error) => {
                tracing::info!(%error, "KVM does not tell of emptied message slots");
                Synic::new(self.memory.clone(), lines)
            }
        };
        let synic = Arc::new(synic);
        let signals = Arc::new(Connections(vm.clone()));
        let bus = VmBus::start(settings, self.memory.clone(), synic, signals)
            .map_err(refused("start VMBus"))?;
        // Nobody else starts one.
        let _ = self.bus.set(bus);
        Ok(())
    }

    /// An eventfd that is signalled when any processor has emptied a message slot for
    /// which more waits.
    fn hear_ends_of_messages(&self, interrupts: &Interrupts, cpus: u8) -> io::Result<EventFd> {
        let end = EventFd::new(EFD_NONBLOCK)?;
        let unused = (0..cpus).map(|vp| interrupts.on_end_of_message(vp, UNUSED_SINT, &end));
        let unused = unused.collect::<io::Result<Vec<_>>>()?;
        // Nobody else asks for it.
        let _ = self.unused.set(unused);
        Ok(end)
    }

    /// VMBus, once it was started.
    pub fn bus(&self) -> Option<&VmBus> {
        self.bus.get()
    }

    /// Reads a register that KVM does not.
    pub fn read_msr(&self, index: u32) -> Option<u64> {
        self.crash.read(index)
    }

    /// Writes a register that KVM does not; `None` is a fault of the guest.
    pub fn write_msr(&self, index: u32, value: u64) -> Option<Option<Crash>> {
        self.crash.write(index, value)
    }
}

/// The guest's signals, by way of KVM.
struct Connections(Arc<VmFd>);

impl Signals for Connections {
    fn bind(&self, connection: u32, event: &EventFd) -> io::Result<()> {
        sys::bind_signal(&self.0, connection, Some(event))
    }

    fn unbind(&self, connection: u32) {
        if let Err(error) = sys::bind_signal(&self.0, connection, None) {
            tracing::warn!(connection, %error, "a connection stays bound");
        }
    }
}
