// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The pvscsi adapter, and a driver that does whatever it likes.
//!
//! A byte chooses what comes next: a register, a word of the rings' state, a
//! request, bytes anywhere in memory, rings, a command, or a target that comes or
//! goes. Its operands follow.

use std::sync::{Arc, OnceLock};

use hospes_device::memory::GuestMemory;
use hospes_pci::device::PciDevice;
use hospes_pci::stand_in::NoInterrupts;
use hospes_pvscsi::{Config, Pvscsi};
use hospes_scsi::{AioMode, UnitAddress};
use protocol::pvscsi::command::{Descriptor, Pages, SetupMessageRing, SetupRings};
use protocol::pvscsi::register;
use protocol::pvscsi::request::Data;
use protocol::pvscsi::{Context, RequestDescriptor, RingsState};
use vm_memory::{Bytes, GuestAddress};
use zerocopy::IntoBytes;

use crate::backing::target;
use crate::input::Input;
use crate::machine::memory;

/// Memory of the guest.
const LEN: usize = 0x2_0000;
/// Where the rings are, unless the input says something else.
const STATE: u64 = 0x1000;
const REQUESTS: u64 = 0x2000;
const COMPLETIONS: u64 = 0x4000;
const MESSAGES: u64 = 0x6000;
/// Where data is.
const DATA: u64 = 0x1_0000;
/// Most steps of a run.
const STEPS: usize = 64;
/// Entries of the request ring that requests are put into.
const ENTRIES: u64 = 32;

struct Run<'a> {
    memory: GuestMemory,
    adapter: Arc<Pvscsi>,
    input: Input<'a>,
    produced: u32,
}

/// Runs a driver's steps.
///
/// # Panics
///
/// If the adapter still writes to memory after its reset.
pub fn run(data: &[u8]) {
    static MEMORY: OnceLock<GuestMemory> = OnceLock::new();
    let memory = MEMORY.get_or_init(|| memory(LEN)).clone();
    memory
        .write_slice(&[0; 0x8000], GuestAddress(0))
        .expect("memory");
    let mut run = Run {
        adapter: adapter(&memory),
        memory,
        input: Input(data),
        produced: 0,
    };
    run.set_up(1);
    for _ in 0..STEPS {
        if run.input.is_empty() {
            break;
        }
        run.step();
    }
    run.adapter.reset();
    let before = run.rings();
    run.write(register::KICK_OTHER, 0);
    run.adapter.unit_added(UnitAddress { target: 3, lun: 0 });
    assert_eq!(run.rings(), before);
}

/// An adapter with one small disk, without a thread.
fn adapter(memory: &GuestMemory) -> Arc<Pvscsi> {
    let config = Config {
        name: "s0".to_owned(),
        targets: 64,
        aio: AioMode::Sync,
    };
    Pvscsi::threadless(&config, target(), memory, &NoInterrupts).expect("an adapter")
}

impl Run<'_> {
    fn step(&mut self) {
        match self.input.u8() & 7 {
            0 => {
                let (offset, value) = (self.input.u16() & 0x7fff, self.input.u32());
                self.write(offset.into(), value);
            }
            1 => {
                let word = u64::from(self.input.u8()) * 4 % size_of::<RingsState>() as u64;
                let value = self.input.u32();
                let address = GuestAddress(STATE + word);
                self.memory.write_obj(value, address).expect("memory");
            }
            2 => self.request(),
            3 => {
                let address = u64::from(self.input.u16());
                let bytes = self.input.take(64);
                self.memory
                    .write_slice(bytes, GuestAddress(address))
                    .expect("memory");
            }
            4 => {
                let pages = self.input.u8();
                self.set_up(u32::from(pages));
            }
            5 => {
                let number = self.input.u8();
                self.write(register::COMMAND, u32::from(number & 15));
                let words = self.input.u8() & 7;
                for _ in 0..words {
                    let word = self.input.u32();
                    self.write(register::COMMAND_DATA, word);
                }
            }
            6 => {
                let target = self.input.u8();
                let at = UnitAddress { target, lun: 0 };
                if target & 1 == 0 {
                    self.adapter.unit_added(at);
                } else {
                    self.adapter.unit_removed(at);
                }
            }
            _ => self.write(register::KICK_READ_WRITE, 0),
        }
    }

    /// A request that is mostly right, and a kick.
    fn request(&mut self) {
        let (flags, len) = (u32::from(self.input.u8()), u32::from(self.input.u16()));
        let address = DATA + u64::from(self.input.u16());
        let data = Data {
            address,
            len,
            flags,
        };
        let target = self.input.u8() & 1;
        let cdb = self.input.take(16);
        let context = Context::of_index(self.produced);
        let request = RequestDescriptor::new(context, target, 0, cdb, data);
        let request = request.with_sense(address, u32::from(flags as u8));
        let entry = REQUESTS + u64::from(self.produced) % ENTRIES * 128;
        self.memory
            .write_slice(request.as_bytes(), GuestAddress(entry))
            .expect("memory");
        self.produced = self.produced.wrapping_add(1);
        self.memory
            .write_obj(self.produced, GuestAddress(STATE))
            .expect("memory");
        self.write(register::KICK_OTHER, 0);
    }

    fn set_up(&mut self, count: u32) {
        let pages = |address| Pages { address, count };
        self.produced = 0;
        let rings = SetupRings::new(STATE, pages(REQUESTS), pages(COMPLETIONS));
        self.command(&rings);
        self.command(&SetupMessageRing::new(pages(MESSAGES)));
    }

    fn command<D: Descriptor>(&self, descriptor: &D) {
        self.write(register::COMMAND, D::COMMAND.0);
        for word in descriptor.words() {
            self.write(register::COMMAND_DATA, word);
        }
    }

    fn write(&self, offset: usize, value: u32) {
        self.adapter
            .bar_write(0, offset as u64, &value.to_le_bytes());
    }

    /// All that the adapter may write to by itself.
    fn rings(&self) -> Vec<u8> {
        let mut bytes = vec![0; 0x8000];
        self.memory
            .read_slice(&mut bytes, GuestAddress(0))
            .expect("memory");
        bytes
    }
}
