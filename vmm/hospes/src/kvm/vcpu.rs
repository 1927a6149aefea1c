// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The loop around `KVM_RUN`, one thread a vCPU.
//!
//! A vCPU ends when the machine's stop flag is set. To get it out of the guest
//! it is sent a signal again and again until its thread is gone, so a signal
//! that falls between the look at the flag and `KVM_RUN` loses nothing.
//!
//! Where vCPUs share a processor, each runs for a while before it is the next
//! one's turn: in turns shorter than a guest's timer period, on a host where
//! exits are slow, guests do nothing but handle their timers' interrupts. The
//! threads of devices ask for no such turns, and so preempt vCPUs when they wake.
//!
//! String I/O (`rep outs`) reaches a device as one access of all its bytes.
//! No device here has a use for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{ffi::c_int, io};

use hospes_device::counters::Counter;
use hospes_device::thread::{self as confined, Role};
use kvm_bindings::{KVM_SYSTEM_EVENT_CRASH, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_SHUTDOWN};
use kvm_ioctls::{ReadMsrExit, VcpuExit, VcpuFd, WriteMsrExit};
use serde::Serialize;
use vmm_sys_util::signal::{register_signal_handler, Killable, SIGRTMIN};

use crate::hyperv::platform::Platform;
use crate::kvm::gate::{Gate, Waited};
use crate::kvm::spaces::Spaces;
use crate::kvm::trouble::{Tries, Trouble};
use crate::outcome::{Outcome, Stopper};
use crate::{sys, vmware};

/// How long a vCPU runs at a time while others want its processor: more than two
/// periods of a guest's 250 Hz timer.
const TIME_SLICE: Duration = Duration::from_millis(10);

/// How often a vCPU came back to user space, by reason.
#[derive(Debug, Default, Serialize)]
pub struct ExitCounters {
    /// Port reads.
    pub io_in: Counter,
    /// Port writes.
    pub io_out: Counter,
    /// Reads of memory that is not RAM.
    pub mmio_read: Counter,
    /// Writes to memory that is not RAM.
    pub mmio_write: Counter,
    /// HLT that KVM did not handle itself.
    pub hlt: Counter,
    /// Triple faults.
    pub shutdown: Counter,
    /// Events that the guest or KVM raised about the machine as a whole.
    pub system_event: Counter,
    /// Changes of a SynIC and hypercalls of a guest of Hyper-V.
    pub hyperv: Counter,
    /// Reads and writes of model-specific registers that KVM leaves to us.
    pub msr: Counter,
    /// Returns because of a signal, or before the vCPU was started.
    pub interrupted: Counter,
    /// Instructions that KVM could not emulate, each try.
    pub emulation: Counter,
    /// Failures of KVM, and reasons that are not expected.
    pub other: Counter,
}

/// What a vCPU thread shares with its machine.
#[derive(Clone)]
pub struct Context {
    /// Where accesses go.
    pub spaces: Arc<Spaces>,
    /// Who is told about the end.
    pub stopper: Stopper,
    /// Set when vCPUs have to come back.
    pub stop: Arc<AtomicBool>,
    /// Where vCPUs wait while the machine is paused.
    pub gate: Arc<Gate>,
    /// Hyper-V, if that is what the guest sees.
    pub hyperv: Option<Arc<Platform>>,
    /// VMware, if that is what the guest sees.
    pub vmware: Option<Arc<vmware::platform::Platform>>,
}

/// A running vCPU.
pub struct Vcpu {
    thread: JoinHandle<()>,
}

/// The signal that interrupts `KVM_RUN`.
fn kick_signal() -> c_int {
    SIGRTMIN()
}

/// Interrupting `KVM_RUN` is all that the signal is for.
extern "C" fn on_kick(_: c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

/// Makes the kick signal harmless; to be called before the first vCPU runs.
///
/// # Errors
///
/// What the kernel says.
pub fn prepare_kicks() -> io::Result<()> {
    register_signal_handler(kick_signal(), on_kick).map_err(io::Error::from)
}

impl Vcpu {
    /// Runs `vcpu` on a thread of its own.
    ///
    /// # Errors
    ///
    /// If there can be no such thread.
    pub fn start(
        index: u8,
        vcpu: VcpuFd,
        context: Context,
        counters: Arc<ExitCounters>,
    ) -> io::Result<Self> {
        let body = move || run(index, vcpu, &context, &counters);
        let thread = confined::spawn(Role::Vcpu, format!("vcpu{index}"), body)?;
        Ok(Self { thread })
    }

    /// Has it come out of the guest, if it is there.
    pub fn kick(&self) {
        // The thread may end at any time; then there is nobody to signal.
        let _ = self.thread.kill(kick_signal());
    }

    /// Waits until the thread is gone; the machine's stop flag is set.
    ///
    /// # Errors
    ///
    /// If the thread panicked.
    pub fn join(self) -> Result<(), String> {
        while !self.thread.is_finished() {
            self.kick();
            thread::sleep(Duration::from_millis(1));
        }
        self.thread
            .join()
            .map_err(|_| "a vCPU thread panicked".to_owned())
    }
}

/// Tells the machine about a panic on a vCPU's thread, which would otherwise
/// wait for the guest's end for ever.
struct PanicGuard<'a>(&'a Stopper);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0
                .stop(Outcome::Error("a vCPU thread panicked".to_owned()));
        }
    }
}

fn run(index: u8, mut vcpu: VcpuFd, context: &Context, counters: &ExitCounters) {
    let _guard = PanicGuard(&context.stopper);
    if let Err(error) = sys::set_time_slice(TIME_SLICE) {
        tracing::debug!(%error, "vCPUs have time slices like any other thread");
    }
    let _visitor = context.gate.visitor();
    let mut tries = Tries::default();
    while !context.stop.load(Ordering::Acquire) {
        if context.gate.pass(&context.stop) == Waited::Yes {
            // The guest's watchdogs are not to count the pause. A guest without
            // KVM's clock cannot be told, which KVM reports as an error.
            let _ = vcpu.kvmclock_ctrl();
        }
        let end = match vcpu.run() {
            Ok(exit) => handle(exit, context, counters),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {
                counters.interrupted.inc();
                Step::Continue
            }
            Err(error) => {
                counters.other.inc();
                Step::Fail(format!("KVM_RUN failed: {error}"))
            }
        };
        let end = match end {
            Step::Hyperv => serve_hyperv(index, &mut vcpu, context),
            Step::Backdoor(port) => serve_backdoor(port, &mut vcpu, context),
            Step::Trouble => try_again(&mut vcpu, &mut tries, counters),
            other => {
                tries.forget();
                other
            }
        };
        let outcome = match end {
            Step::Continue | Step::Hyperv | Step::Backdoor(_) | Step::Trouble => continue,
            Step::End(outcome) => outcome,
            Step::Fail(text) => Outcome::Error(format!("vCPU {index}: {text}{}", place(&vcpu))),
        };
        context.stopper.stop(outcome);
        return;
    }
}

/// What follows from an exit.
enum Step {
    Continue,
    /// What it was about is looked at once the vCPU is ours again.
    Hyperv,
    /// The same, of a read of one of VMware's ports.
    Backdoor(u16),
    /// The same, of an internal error of KVM.
    Trouble,
    End(Outcome),
    Fail(String),
}

fn handle(exit: VcpuExit<'_>, context: &Context, counters: &ExitCounters) -> Step {
    let spaces = &context.spaces;
    match exit {
        VcpuExit::IoIn(port, data) => {
            counters.io_in.inc();
            let vmware = context.vmware.as_ref().filter(|_| data.len() == 4);
            if vmware.is_some_and(|vmware| vmware.has_port(port)) {
                data.fill(0xff);
                return Step::Backdoor(port);
            }
            spaces.io.read(u64::from(port), data);
        }
        VcpuExit::IoOut(port, data) => {
            counters.io_out.inc();
            spaces.io.write(u64::from(port), data);
        }
        VcpuExit::MmioRead(address, data) => {
            counters.mmio_read.inc();
            spaces.memory.read(address, data);
        }
        VcpuExit::MmioWrite(address, data) => {
            counters.mmio_write.inc();
            spaces.memory.write(address, data);
        }
        VcpuExit::InternalError => return Step::Trouble,
        VcpuExit::Hyperv => {
            counters.hyperv.inc();
            return Step::Hyperv;
        }
        VcpuExit::X86Rdmsr(exit) => {
            counters.msr.inc();
            read_msr(exit, context);
        }
        VcpuExit::X86Wrmsr(exit) => {
            counters.msr.inc();
            return write_msr(&exit, context).unwrap_or_else(|| {
                *exit.error = 1;
                Step::Continue
            });
        }
        VcpuExit::Hlt => counters.hlt.inc(),
        VcpuExit::Intr => counters.interrupted.inc(),
        VcpuExit::Shutdown => {
            counters.shutdown.inc();
            return Step::End(Outcome::TripleFault);
        }
        VcpuExit::SystemEvent(event, _) => {
            counters.system_event.inc();
            return system_event(event);
        }
        other => {
            counters.other.inc();
            return Step::Fail(format!("KVM could not go on: {}", name(&other)));
        }
    }
    Step::Continue
}

fn serve_hyperv(index: u8, vcpu: &mut VcpuFd, context: &Context) -> Step {
    let Some(platform) = &context.hyperv else {
        return Step::Fail("KVM reported an exit of Hyper-V, which is not there".to_owned());
    };
    match platform.serve(index, vcpu) {
        Ok(()) => Step::Continue,
        Err(text) => Step::Fail(text),
    }
}

fn serve_backdoor(port: u16, vcpu: &mut VcpuFd, context: &Context) -> Step {
    if let Some(platform) = &context.vmware {
        platform.serve(port, vcpu);
    }
    Step::Continue
}

/// What becomes of a vCPU after an internal error of KVM.
fn try_again(vcpu: &mut VcpuFd, tries: &mut Tries, counters: &ExitCounters) -> Step {
    let Some((suberror, data)) = sys::internal_error(vcpu) else {
        return Step::Fail("KVM reported an error, and took it back".to_owned());
    };
    let trouble = Trouble { suberror, data };
    let place = vcpu.get_regs().map_or(0, |regs| regs.rip);
    if !trouble.is_emulation() || !tries.again(place) {
        counters.other.inc();
        return Step::Fail(format!("KVM could not go on: {trouble}"));
    }
    counters.emulation.inc();
    tracing::warn!("at {place:#x}: {trouble}; trying again");
    Step::Continue
}

/// Reads a register; one that does not exist is a fault of the guest.
fn read_msr(exit: ReadMsrExit<'_>, context: &Context) {
    let platform = context.hyperv.as_ref();
    match platform.and_then(|platform| platform.read_msr(exit.index)) {
        Some(value) => *exit.data = value,
        None => *exit.error = 1,
    }
}

/// Writes a register; `None` if it does not exist.
fn write_msr(exit: &WriteMsrExit<'_>, context: &Context) -> Option<Step> {
    let platform = context.hyperv.as_ref()?;
    Some(match platform.write_msr(exit.index, exit.data)? {
        None => Step::Continue,
        Some(crash) => {
            tracing::error!("{crash}");
            Step::End(Outcome::Panic)
        }
    })
}

fn system_event(event: u32) -> Step {
    match event {
        KVM_SYSTEM_EVENT_SHUTDOWN => Step::End(Outcome::PowerOff),
        KVM_SYSTEM_EVENT_RESET => Step::End(Outcome::Reset),
        KVM_SYSTEM_EVENT_CRASH => Step::End(Outcome::Panic),
        _ => Step::Fail(format!("KVM reported the unknown system event {event}")),
    }
}

/// A name for an exit that ends the machine.
fn name(exit: &VcpuExit<'_>) -> String {
    match exit {
        VcpuExit::FailEntry(reason, _) => format!("guest entry failed with reason {reason:#x}"),
        VcpuExit::Unsupported(reason) => format!("exit reason {reason}"),
        _ => "an exit that nobody asked for".to_owned(),
    }
}

/// Where the guest is, for error messages.
fn place(vcpu: &VcpuFd) -> String {
    vcpu.get_regs()
        .map_or_else(|_| String::new(), |regs| format!(" (rip {:#x})", regs.rip))
}
