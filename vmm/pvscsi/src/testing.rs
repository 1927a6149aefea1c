// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A model of a guest's driver, for the tests of this crate.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use hospes_device::interrupt::{MsiAllocator, MsiMessage, MsiVector};
use hospes_device::memory::GuestMemory;
use hospes_pci::device::PciDevice;
use hospes_pci::msix::CONTROL_ENABLE;
use hospes_scsi::{AioMode, DeviceServer, Failure, Plan, Target, Task, UnitAddress};
use protocol::pvscsi::command::{
    Descriptor, Pages, SetupMessageRing, SetupRequestThreshold, SetupRings,
};
use protocol::pvscsi::register::{self, interrupt};
use protocol::pvscsi::request::{flag, Data};
use protocol::pvscsi::{
    Command, CompletionDescriptor, Context, Entries, MessageDescriptor, RequestDescriptor,
    RingsState,
};
use protocol::scsi::sense::{asc, Sense};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use zerocopy::IntoBytes;

use crate::rings::read;
use crate::{Config, Pvscsi};

/// Bytes of the model's memory, which begins at 0.
pub(crate) const MEMORY_SIZE: usize = 0x20_0000;
/// Where everything is.
const STATE: u64 = 0x1000;
const REQUESTS: u64 = 0x2000;
const COMPLETIONS: u64 = 0x4000;
const MESSAGES: u64 = 0x6000;
/// Where the driver's buffers may be.
pub(crate) const SENSE: u64 = 0x8000;
pub(crate) const DATA: u64 = 0x10_0000;

/// Long enough for a host that is busy; no test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn memory() -> GuestMemory {
    Arc::new(GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY_SIZE)]).unwrap())
}

/// Vectors that remember what was sent, all together.
#[derive(Clone, Default)]
pub(crate) struct Vectors(Arc<Mutex<Vec<MsiMessage>>>);

struct Vector {
    all: Vectors,
    message: Mutex<MsiMessage>,
}

impl Vectors {
    pub(crate) fn sent(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn last(&self) -> Option<MsiMessage> {
        self.0.lock().unwrap().last().copied()
    }
}

impl MsiAllocator for Vectors {
    fn allocate(&self) -> io::Result<Arc<dyn MsiVector>> {
        let (all, message) = (self.clone(), Mutex::default());
        Ok(Arc::new(Vector { all, message }))
    }
}

impl MsiVector for Vector {
    fn signal(&self) -> io::Result<()> {
        let message = *self.message.lock().unwrap();
        self.all.0.lock().unwrap().push(message);
        Ok(())
    }

    fn set_message(&self, message: MsiMessage) -> io::Result<()> {
        *self.message.lock().unwrap() = message;
        Ok(())
    }
}

pub(crate) const TEST_UNIT_READY: u8 = 0x00;
pub(crate) const READ: u8 = 0x28;
pub(crate) const WRITE: u8 = 0x2a;

/// Holds commands in execution until it is opened.
#[derive(Default)]
pub(crate) struct Gate {
    is_open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(self.changed.wait_while(is_open, |open| !*open).unwrap());
    }
}

/// A unit that reads as byte 5 of its command everywhere.
struct FakeUnit {
    latency: Duration,
    gate: Option<Arc<Gate>>,
}

impl DeviceServer for FakeUnit {
    fn execute(&self, task: &Task<'_>) -> Result<u64, Failure> {
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        match task.cdb[0] {
            TEST_UNIT_READY => Ok(0),
            READ => {
                // Short by what byte 6 says.
                let byte = |at| task.cdb.get(at).copied().unwrap_or(0);
                let len = (task.data_in.len() as usize).saturating_sub(byte(6).into());
                Ok(task.data_in.write_at(0, &vec![byte(5); len]) as u64)
            }
            WRITE => Ok(task.data_out.len()),
            _ => Err(Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE).into()),
        }
    }

    fn plan(&self, task: &Task<'_>) -> Result<Plan, Failure> {
        match self.gate {
            Some(_) => Ok(Plan::Blocking),
            None => self.execute(task).map(Plan::Done),
        }
    }

    fn latency(&self) -> Duration {
        self.latency
    }

    fn reset(&self) {}

    fn refresh(&self) -> io::Result<bool> {
        Ok(false)
    }
}

/// The target that answers at once, and the one that answers after an hour.
pub(crate) const QUICK: u8 = 0;
pub(crate) const SLOW: u8 = 200;
/// The target that answers once its gate is open, and whose commands cannot be stopped.
pub(crate) const STUCK: u8 = 201;

/// A driver with its adapter.
pub(crate) struct Guest {
    pub(crate) memory: GuestMemory,
    pub(crate) adapter: Arc<Pvscsi>,
    pub(crate) vectors: Vectors,
    pub(crate) gate: Arc<Gate>,
    pub(crate) produced: u32,
    pub(crate) consumed: u32,
}

impl Guest {
    /// An adapter that was not set up.
    pub(crate) fn off() -> Self {
        let target = Target::new();
        let gate = Arc::<Gate>::default();
        for (id, latency) in [(QUICK, 0), (SLOW, 3600), (STUCK, 0)] {
            let unit = FakeUnit {
                latency: Duration::from_secs(latency),
                gate: (id == STUCK).then(|| gate.clone()),
            };
            let at = UnitAddress { target: id, lun: 0 };
            target.add(at, Box::new(unit)).unwrap();
        }
        let (memory, vectors) = (memory(), Vectors::default());
        let config = Config {
            name: "s0".into(),
            targets: 256,
            aio: AioMode::Sync,
        };
        let adapter = Pvscsi::new(&config, target, &memory, &vectors).unwrap();
        Self {
            memory,
            adapter,
            vectors,
            gate,
            produced: 0,
            consumed: 0,
        }
    }

    /// A driver that runs, with 32 entries for requests, and no unit attention pending.
    pub(crate) fn new() -> Self {
        let mut guest = Self::off();
        guest.start();
        guest.submit(QUICK, &[TEST_UNIT_READY, 0, 0, 0, 0, 0], 0, 0);
        guest.completion();
        guest
    }

    pub(crate) fn start(&mut self) {
        let msix = &self.adapter.interrupt.msix;
        msix.set_control(CONTROL_ENABLE);
        msix.write_table(12, &[0; 4]);
        assert_eq!(self.command(&rings()), 0);
        let messages = SetupMessageRing::new(Pages {
            address: MESSAGES,
            count: 1,
        });
        assert_eq!(self.command(&messages), 0);
        assert_eq!(self.command(&SetupRequestThreshold::ENABLE), 1);
        self.write(register::INTERRUPT_MASK, interrupt::ALL);
        (self.produced, self.consumed) = (0, 0);
    }

    pub(crate) fn write(&self, offset: usize, value: u32) {
        self.adapter
            .bar_write(0, offset as u64, &value.to_le_bytes());
    }

    pub(crate) fn read(&self, offset: usize) -> u32 {
        let mut word = [0; 4];
        self.adapter.bar_read(0, offset as u64, &mut word);
        u32::from_le_bytes(word)
    }

    /// A command to the adapter, and its status.
    pub(crate) fn command<D: Descriptor>(&self, descriptor: &D) -> u32 {
        self.write(register::COMMAND, D::COMMAND.0);
        for word in descriptor.words() {
            self.write(register::COMMAND_DATA, word);
        }
        self.read(register::COMMAND_STATUS)
    }

    /// The same for a command without a descriptor.
    pub(crate) fn order(&self, command: Command) -> u32 {
        self.write(register::COMMAND, command.0);
        self.read(register::COMMAND_STATUS)
    }

    pub(crate) fn state(&self) -> RingsState {
        read(&self.memory, GuestAddress(STATE)).unwrap()
    }

    pub(crate) fn set_state(&self, offset: usize, value: u32) {
        let address = GuestAddress(STATE + offset as u64);
        self.memory.write_obj(value.to_le(), address).unwrap();
    }

    /// Puts a request into the ring, with its index as context, and no kick.
    pub(crate) fn put(&mut self, request: &RequestDescriptor) {
        let slot = u64::from(self.produced % 32);
        let address = GuestAddress(REQUESTS + slot * 128);
        self.memory
            .write_slice(request.as_bytes(), address)
            .unwrap();
        self.produced += 1;
        self.set_state(0, self.produced);
    }

    /// The next request.
    pub(crate) fn request(
        &self,
        target: u8,
        cdb: &[u8],
        len: u32,
        flags: u32,
    ) -> RequestDescriptor {
        let data = Data {
            address: DATA,
            len,
            flags,
        };
        let context = Context::of_index(self.produced);
        RequestDescriptor::new(context, target, 0, cdb, data).with_sense(SENSE, 96)
    }

    /// Puts a request into the ring and kicks.
    pub(crate) fn submit(&mut self, target: u8, cdb: &[u8], len: u32, flags: u32) -> Context {
        let flags = if len == 0 { flag::NO_DATA } else { flags };
        let request = self.request(target, cdb, len, flags);
        self.put(&request);
        self.write(register::KICK_OTHER, 0);
        request.context()
    }

    /// Whether there is a completion, which is left there.
    pub(crate) fn has_completion(&self) -> bool {
        self.state().completion_produced.get() != self.consumed
    }

    /// Waits for the next completion.
    pub(crate) fn completion(&mut self) -> CompletionDescriptor {
        self.wait_until(Self::has_completion);
        let slot = u64::from(self.consumed % 128);
        self.consumed += 1;
        self.set_state(16, self.consumed);
        read(&self.memory, GuestAddress(COMPLETIONS + slot * 32)).unwrap()
    }

    /// The message at an index.
    pub(crate) fn message(&self, index: u32) -> MessageDescriptor {
        let slot = u64::from(index % 32);
        read(&self.memory, GuestAddress(MESSAGES + slot * 128)).unwrap()
    }

    /// How many completions the guest was interrupted for.
    pub(crate) fn announced(&self) -> u64 {
        let shared = self.adapter.record.counters.shared.get();
        shared.saturating_add(self.vectors.sent() as u64)
    }

    pub(crate) fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < end, "{:?}", self.state());
            std::thread::yield_now();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.gate.open();
    }
}

/// Rings of a page each.
pub(crate) fn rings() -> SetupRings {
    let page = |address| Pages { address, count: 1 };
    assert_eq!(Entries::of_pages(1, 32).unwrap().count(), 32);
    SetupRings::new(STATE, page(REQUESTS), page(COMPLETIONS))
}
