// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The balloon port and the VMCI device of VMware's machines, and a guest that does
//! whatever it likes.
//!
//! A byte chooses what comes next: a call of the port, an access to a register, bytes of
//! memory, a new target, or an order to begin anew. Its operands follow.

use std::sync::{Arc, OnceLock};

use hospes_device::fault::Fault;
use hospes_device::memory::GuestMemory;
use hospes_pci::device::PciDevice;
use hospes_pci::stand_in::NoInterrupts;
use hospes_vmware::balloon::fault::FaultKind;
use hospes_vmware::balloon::{Offer, Port};
use hospes_vmware::vmci::Vmci;
use protocol::vmballoon::{Call, Capabilities, Command, Registers, Status};
use vm_memory::{Bytes, GuestAddress};

use crate::input::Input;
use crate::machine::memory;

/// Memory of the guest: two pages of 2 MiB.
const LEN: usize = 4 << 20;
/// Most steps of a run.
const STEPS: usize = 64;
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
/// If more is in the balloon than there is memory, or anything once it was ended.
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
        match self.input.u8() & 7 {
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
            _ => {
                let fault = Fault::new(FaultKind::Reset {});
                self.port.inject(fault).expect("a reset");
            }
        }
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
            0 => (u64::from(self.input.u32()) << 32) | u64::from(self.input.u32()),
            1 | 2 => u64::from(self.input.u8()) << 9,
            3 | 4 => u64::from(self.input.u8()),
            _ => u64::from(self.input.u16()) & 0x3ff,
        }
    }
}
