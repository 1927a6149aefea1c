// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The backdoor, the balloon port and the VMCI device of VMware's machines, and a guest that
//! does whatever it likes; and what a guest makes of a host that does.
//!
//! A byte chooses what comes next: a call of the port, an access to a register, bytes of
//! memory, a new target, an order to begin anew, a call of the backdoor, or a host's words on
//! capabilities, a page, a target and a run. Its operands follow.

use std::sync::{Arc, OnceLock};

use hospes_device::fault::Fault;
use hospes_device::memory::GuestMemory;
use hospes_pci::device::PciDevice;
use hospes_pci::stand_in::NoInterrupts;
use hospes_vmware::balloon::fault::FaultKind;
use hospes_vmware::balloon::{Offer, Port};
use hospes_vmware::vmci::Vmci;
use protocol::backdoor::{self, Machine, Time};
use protocol::vmballoon::policy::{self, Answer, Change, Fate, Giving, Outcome, Taking, Then};
use protocol::vmballoon::{
    Call, Capabilities, Command, Entry, Operation, Registers, Reply, Status,
};
use vm_memory::{Bytes, GuestAddress};

use crate::input::Input;
use crate::machine::memory;

/// Memory of the guest: two pages of 2 MiB.
const LEN: usize = 4 << 20;
/// Most steps of a run.
const STEPS: usize = 64;
/// Most steps of giving or taking.
const RUN_STEPS: usize = 16;
/// Bytes of registers that are looked at.
const REGISTERS: u8 = 0x40;

struct Run<'a> {
    memory: GuestMemory,
    port: Port,
    vmci: Arc<Vmci>,
    input: Input<'a>,
}

/// Runs a guest's steps.
///
/// # Panics
///
/// If more is in the balloon than there is memory, or anything once it was ended; if the
/// backdoor answers who does not know its number; or if a guest takes more than it asked for.
pub fn run(data: &[u8]) {
    static MEMORY: OnceLock<GuestMemory> = OnceLock::new();
    let memory = MEMORY.get_or_init(|| memory(LEN)).clone();
    let vmci = Vmci::new(&memory, &NoInterrupts).expect("a device");
    let mut input = Input(data);
    let offer = match input.u8() {
        0 => Offer::Legacy,
        capabilities => Offer::Capabilities(Capabilities(capabilities.into())),
    };
    let mut run = Run {
        port: Port::new(&memory, offer, Some(vmci.clone())),
        memory,
        vmci,
        input,
    };
    for _ in 0..STEPS {
        if run.input.is_empty() {
            break;
        }
        run.step();
    }
    let status = run.port.status();
    assert!(status.current <= status.memory);
    run.port.serve(Call::start(Capabilities::default()));
    assert_eq!(run.port.status().current, 0);
    let reply = run.port.serve(Call::get_target(1));
    assert_eq!(reply.status, Status::RESET);
}

impl Run<'_> {
    fn step(&mut self) {
        match self.input.u8() % 10 {
            0..=2 => self.call(),
            3 => {
                let (bar, offset) = (self.input.u8() & 1, self.input.u8() % REGISTERS);
                let len = usize::from(self.input.u8() & 63);
                let bytes = self.input.take(len);
                self.vmci.bar_write(bar, offset.into(), bytes);
            }
            4 => {
                let offset = self.input.u8() % REGISTERS;
                self.vmci.bar_read(0, offset.into(), &mut [0; 4]);
            }
            5 => {
                let address = u64::from(self.input.u16());
                let bytes = self.input.take(64);
                let written = self.memory.write_slice(bytes, GuestAddress(address));
                written.expect("memory");
            }
            6 => {
                let pages = u64::from(self.input.u16());
                let _ = self.port.set_target(pages << 12);
            }
            7 => {
                let fault = Fault::new(FaultKind::Reset {});
                self.port.inject(fault).expect("a reset");
            }
            8 => self.backdoor(),
            _ => self.host(),
        }
    }

    /// A call of the backdoor, mostly with its number.
    fn backdoor(&mut self) {
        let eax = match self.input.u8() {
            0 => self.input.u32(),
            _ => backdoor::MAGIC,
        };
        let [ebx, ecx, edx, esi, edi] = std::array::from_fn(|_| self.input.u32());
        let call = backdoor::Registers {
            eax,
            ebx,
            // A known command, or any.
            ecx: if ebx & 1 == 0 { ecx & 0x7f } else { ecx },
            edx,
            esi,
            edi,
        };
        let [tsc_hz, memory, seconds] = std::array::from_fn(|_| self.u64());
        let machine = Machine {
            tsc_hz,
            bus_hz: self.input.u32(),
            memory,
            vcpu_info: self.input.u32(),
        };
        let now = || Time {
            seconds,
            microseconds: edi,
        };
        let answer = call.answer(&machine, now);
        assert_eq!(answer.is_some(), eax == backdoor::MAGIC);
    }

    /// What a host says, and what a guest makes of it.
    fn host(&mut self) {
        let words = Registers {
            rax: match self.input.u8() & 3 {
                0 => Status::SUCCESS.0.into(),
                1 => Status::SUCCESS_WITH_CAPABILITIES.0.into(),
                _ => self.u64(),
            },
            rbx: self.u64(),
            rcx: self.u64(),
            ..Registers::default()
        };
        let reply = Reply::from_registers(&words);
        let wanted = Capabilities(u64::from(self.input.u8()));
        let granted = reply.granted(wanted).unwrap_or_default();
        assert!(wanted.contains(granted), "{reply:?}");
        let page = self.u64() >> 12;
        let entry = Entry::new(page ^ u64::from(self.input.u8() >> 7)).with_status(reply.status);
        let answer = Answer::of(entry, page);
        let fate = answer.fate(Operation::Lock);
        assert_eq!(fate == Fate::Unknown, entry.page() != page);
        assert!(fate != Fate::Unknown || answer.fate(Operation::Unlock) == fate);
        let (size, target) = (u64::from(self.input.u32()), reply.result);
        match policy::change(size, policy::target(target, granted)) {
            Change::None => {}
            Change::Give(missing) => self.give(granted, missing),
            Change::Take(surplus) => self.take(granted, surplus),
        }
    }

    /// A run of giving: no step gives more than is missing.
    fn give(&mut self, granted: Capabilities, mut missing: u64) {
        let mut run = Giving::new(granted);
        for _ in 0..RUN_STEPS {
            let Some(step) = run.next(missing) else {
                return;
            };
            let pages = step.size.pages() * step.count as u64;
            assert!(step.count > 0 && pages <= missing);
            let outcome = self.outcome(step.count);
            let given = (outcome.found - outcome.refused) as u64;
            missing -= given * step.size.pages();
            if run.after(step, outcome) == Then::Stop {
                return;
            }
        }
    }

    /// A run of taking.
    fn take(&mut self, granted: Capabilities, mut surplus: u64) {
        let mut run = Taking::new(granted);
        for _ in 0..RUN_STEPS {
            let Some(step) = run.next(surplus) else {
                return;
            };
            assert!(step.count > 0 && (step.count as u64 - 1) * step.size.pages() < surplus);
            let outcome = self.outcome(step.count);
            let taken = (outcome.found - outcome.refused) as u64;
            surplus = surplus.saturating_sub(taken * step.size.pages());
            if run.after(step, outcome) == Then::Stop {
                return;
            }
        }
    }

    /// How a step with so many pages went, mostly well.
    fn outcome(&mut self, count: usize) -> Outcome {
        let kind = self.input.u8();
        let found = match kind & 7 {
            0 => usize::from(self.input.u8()).min(count),
            _ => count,
        };
        let refused = match (kind >> 3) & 7 {
            0 => usize::from(self.input.u8()).min(found),
            _ => 0,
        };
        Outcome {
            found,
            refused,
            ended: kind == u8::MAX,
        }
    }

    fn u64(&mut self) -> u64 {
        (u64::from(self.input.u32()) << 32) | u64::from(self.input.u32())
    }

    /// A call by way of registers. Its arguments are mostly those of pages that there are.
    fn call(&mut self) {
        let command = Command(u32::from(self.input.u8() & 15));
        let size = self.input.u8();
        let (arg1, arg2) = (self.argument(size), self.argument(size >> 4));
        let before: Registers = Call {
            command,
            arg1,
            arg2,
        }
        .registers();
        if let Some(call) = Call::from_registers(&before) {
            let _ = self.port.serve(call).registers(&before);
        }
    }

    fn argument(&mut self, size: u8) -> u64 {
        match size & 7 {
            0 => self.u64(),
            1 | 2 => u64::from(self.input.u8()) << 9,
            3 | 4 => u64::from(self.input.u8()),
            _ => u64::from(self.input.u16()) & 0x3ff,
        }
    }
}
