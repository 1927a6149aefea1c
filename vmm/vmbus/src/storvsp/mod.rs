// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A controller of Hyper-V for SCSI, Fibre Channel or IDE in front of a SCSI target.
//!
//! | module | what |
//! |---|---|
//! | `port` | the device's end of an open channel: answers, and what is owed |
//! | `service` | what the thread of a channel does |
//! | `kind` | which of them it is, and where its units are |
//! | `request` | a command on its way to the target and back |
//! | [`fault`] | what it does wrong when it is told to |
//! | `resets` | the thread that waits for what a reset ends |
//!
//! Each channel has a thread and a queue of the target to itself, and shares no
//! lock with the others on the way of a command.
//!
//! What is not obvious:
//!
//! - **Nothing is lost.** Linux starts the timer of a command again and again, so
//!   an answer that does not come hangs it. Each command is an object that answers
//!   when it ends, through resets as well; an answer that finds the ring full waits
//!   for room.
//! - **Nothing is unbounded.** A channel takes no more from its ring while it owes
//!   [`MAX_IN_FLIGHT`] answers.
//! - **Names.** A Fibre Channel controller has two ports, of which one is in use;
//!   which one changes only when that is asked for, as a fault.

pub mod fault;
#[cfg(feature = "fuzzing")]
pub mod here;
mod kind;
mod port;
mod request;
mod resets;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::counters::{Counted, Counter};
use hospes_device::worker::Worker;
use hospes_scsi::{AioMode, Queue, Target, UnitAddress};
use protocol::storvsp::packet::{Properties, WorldWideNames};
use protocol::storvsp::Operation;
use protocol::vmbus::Guid;
use serde::Serialize;
use serde_json::{json, Value};

use crate::channel::{Channel, MoreChannels};
use crate::device::{Device, Identity, Opening};
use fault::Faulty;
pub use kind::Kind;
use port::{Leaving, Port, Record};
use resets::Resets;
use service::ChannelService;

/// Answers that a channel may owe.
pub const MAX_IN_FLIGHT: usize = 2048;

/// Most channels of a controller.
pub const MAX_CHANNELS: u16 = 64;

/// Most bytes of data of a command, unless something else is said.
pub const DEFAULT_TRANSFER: u32 = 1 << 20;
/// Most that a packet can name the pages of.
pub const MAX_TRANSFER: u32 = 32 << 20;

/// What a user chooses about a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Most channels, 1 to [`MAX_CHANNELS`].
    pub channels: u16,
    /// Most bytes of data of a command.
    pub max_transfer: u32,
    /// How I/O is done.
    pub aio: AioMode,
}

/// What is counted of a controller.
#[derive(Debug, Default, Serialize)]
struct Counters {
    /// Packets that made no sense.
    malformed: Counter,
    /// Resets carried out.
    resets: Counter,
    /// What the guest was told by itself: units came or went.
    notices: Counter,
}

/// A controller.
pub struct Storvsp {
    config: Config,
    shared: Arc<Shared>,
    running: Mutex<Running>,
    /// Once it is on a bus.
    bus: Mutex<Option<MoreChannels>>,
}

/// What the threads of a controller have in common.
struct Shared {
    name: String,
    kind: Kind,
    /// Whether the secondary port is the one in use.
    is_secondary: AtomicBool,
    properties: Properties,
    target: Arc<Target>,
    /// The target's queue for each channel.
    lanes: Vec<Queue>,
    records: Vec<Arc<Record>>,
    resets: Resets,
    faulty: Arc<Faulty>,
    counters: Counters,
}

impl Shared {
    /// The names of a Fibre Channel controller.
    fn names(&self) -> Option<WorldWideNames> {
        let Kind::FibreChannel(mut names) = self.kind else {
            return None;
        };
        if self.is_secondary.load(Ordering::Relaxed) {
            names.primary_active = 0;
        }
        Some(names)
    }

    /// Puts the other port in use, and returns the names, if it has any.
    fn switch_ports(&self) -> Option<WorldWideNames> {
        self.is_secondary.fetch_xor(true, Ordering::Relaxed);
        self.names()
    }

    /// Ends what is kept or waits, when a channel was closed, and waits for the rest.
    fn settle(&self, index: u16, port: &Port) {
        if index == 0 {
            self.resets.clear();
        }
        self.faulty.release();
        self.faulty.late.release();
        port.wait_idle();
    }
}

/// The channels that are open.
#[derive(Default)]
struct Running {
    channels: BTreeMap<u16, OpenChannel>,
    resets: Option<Worker>,
    is_paused: bool,
}

/// One of them. Dropped first to last.
struct OpenChannel {
    worker: Worker,
    port: Arc<Port>,
}

impl Storvsp {
    /// A controller in front of `target`.
    ///
    /// # Errors
    ///
    /// A text that names the setting that cannot be, or what the host does not give.
    pub fn new(config: &Config, target: Arc<Target>) -> Result<Arc<Self>, String> {
        if !(1..=MAX_CHANNELS).contains(&config.channels) {
            return Err(format!(
                "channels={}: give 1 to {MAX_CHANNELS}",
                config.channels
            ));
        }
        if config.max_transfer == 0 || config.max_transfer > MAX_TRANSFER {
            return Err(format!(
                "{} bytes a command: give 1 to {MAX_TRANSFER}",
                config.max_transfer
            ));
        }
        let more = config.channels.saturating_sub(1);
        let shared = Shared {
            name: config.name.clone(),
            kind: config.kind,
            is_secondary: AtomicBool::new(false),
            properties: Properties::new(more, config.max_transfer),
            lanes: (0..config.channels).map(|_| target.queue()).collect(),
            records: (0..config.channels).map(|_| Arc::default()).collect(),
            target,
            resets: Resets::new().map_err(|error| error.to_string())?,
            faulty: Faulty::new(),
            counters: Counters::default(),
        };
        Ok(Arc::new(Self {
            config: config.clone(),
            shared: Arc::new(shared),
            running: Mutex::default(),
            bus: Mutex::default(),
        }))
    }

    /// Tells the guest about a unit that was added to the target.
    pub fn unit_added(&self, _: UnitAddress) {
        self.notify(Operation::ENUMERATE_BUS);
    }

    /// Tells the guest about a unit that was removed from the target.
    pub fn unit_removed(&self, _: UnitAddress) {
        self.notify(Operation::REMOVE_DEVICE);
    }

    /// Has the guest look at its units, one of which has another size now.
    pub fn capacity_changed(&self, _: UnitAddress) {
        self.notify(Operation::ENUMERATE_BUS);
    }

    fn notify(&self, operation: Operation) {
        if let Some(channel) = self.running().channels.get(&0) {
            if channel.port.notify(operation) {
                self.shared.counters.notices.inc();
            }
        }
    }

    /// Takes nothing more from the channels and waits until nothing of the
    /// controller touches guest memory any more. Commands that wait for the latency
    /// of their unit stay where they are, and signals are not forgotten.
    pub fn pause(&self) {
        let mut running = self.running();
        running.is_paused = true;
        // Resets wait for the others, so they come first.
        for workers in [
            running.resets.iter().collect::<Vec<_>>(),
            running.workers().collect(),
        ] {
            workers.iter().for_each(|worker| worker.pause());
            workers.iter().for_each(|worker| worker.wait_paused());
        }
        self.shared.target.pause();
        self.shared.faulty.late.set_paused(true);
    }

    /// Goes on after a [`pause`](Self::pause).
    pub fn resume(&self) {
        let mut running = self.running();
        running.is_paused = false;
        self.shared.faulty.late.set_paused(false);
        self.shared.target.resume();
        running.workers().for_each(Worker::resume);
        running.resets.iter().for_each(Worker::resume);
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, index: u16, channel: Channel) -> io::Result<OpenChannel> {
        let more = channel.more.clone();
        let record = self.shared.records.get(usize::from(index));
        let record = record.ok_or(io::ErrorKind::NotFound)?.clone();
        let (port, consumer) = Port::new(channel, record)?;
        let (shared, mode) = (self.shared.clone(), self.config.aio);
        let name = format!("{}-c{index}", self.config.name);
        let of_service = port.clone();
        let worker = Worker::spawn(name, vec![port.clone()], move || {
            let lane = shared.lanes.get(usize::from(index));
            let driver = lane.ok_or(io::ErrorKind::NotFound)?.driver(mode)?;
            Ok(ChannelService::new(
                shared, driver, of_service, consumer, index, more,
            ))
        })?;
        Ok(OpenChannel { worker, port })
    }

    /// Ends all commands, and the thread of resets.
    fn end_all(&self) {
        self.shared.target.reset();
        let resets = self.running().resets.take();
        drop(resets);
    }

    /// Those of these channels that are open are not any more.
    fn remove(&self, channels: &[u16]) -> Vec<(u16, OpenChannel)> {
        let mut running = self.running();
        let remove = |index: &u16| Some((*index, running.channels.remove(index)?));
        channels.iter().filter_map(remove).collect()
    }

    fn start_resets(&self) -> io::Result<Worker> {
        let shared = self.shared.clone();
        let name = format!("{}-resets", self.config.name);
        let queue = vec![self.shared.resets.queue()];
        Worker::spawn(name, queue, move || Ok(resets::service(shared)))
    }
}

impl Running {
    fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.channels.values().map(|channel| &channel.worker)
    }
}

impl Device for Storvsp {
    fn name(&self) -> String {
        self.config.name.clone()
    }

    fn identity(&self) -> Identity {
        self.config.kind.identity(&self.config.name)
    }

    fn offered(&self, bus: MoreChannels) {
        *self.bus.lock().unwrap_or_else(PoisonError::into_inner) = Some(bus);
    }

    fn opening(&self, index: u16) -> Opening {
        match self.shared.faulty.opening(index) {
            None => Opening::Ordinary,
            Some(false) => Opening::Refused,
            Some(true) => Opening::Rescinded,
        }
    }

    fn open(&self, index: u16, channel: Channel) -> io::Result<()> {
        let opened = self.start(index, channel)?;
        let resets = (index == 0).then(|| self.start_resets()).transpose()?;
        let mut running = self.running();
        if running.is_paused {
            opened.worker.pause();
            resets.iter().for_each(Worker::pause);
        }
        running.channels.insert(index, opened);
        if resets.is_some() {
            running.resets = resets;
        }
        Ok(())
    }

    /// Answers nothing more on the channel, ends what its thread works on, and
    /// waits for the rest. With the first channel all commands of the controller
    /// end, and its units are as after power on.
    fn close(&self, index: u16) {
        let Some(OpenChannel { worker, port }) = self.running().channels.remove(&index) else {
            return;
        };
        port.close();
        drop(worker);
        if index == 0 {
            self.end_all();
        }
        self.shared.settle(index, &port);
    }

    /// Of a device that goes all commands end. Those of a sub-channel that goes alone
    /// have their time; what the kernel has not begun ends.
    fn leave(&self, channels: &[u16]) {
        let what = Leaving::with(channels);
        let leaving = self.remove(channels);
        for (_, channel) in &leaving {
            channel.port.leave(what);
        }
        // Each thread takes what is left in its ring.
        let end = |(index, channel): (u16, OpenChannel)| (index, channel.port);
        let ports: Vec<_> = leaving.into_iter().map(end).collect();
        if what == Leaving::Device {
            self.end_all();
        }
        for (index, port) in ports {
            self.shared.settle(index, &port);
            port.end();
        }
    }
}

impl Counted for Storvsp {
    fn counters(&self) -> Value {
        let counters = |record: &Arc<Record>| serde_json::to_value(&record.counters);
        let channels = (self.shared.records.iter()).filter_map(|record| counters(record).ok());
        json!({
            "controller": self.shared.counters,
            "channels": channels.collect::<Vec<_>>(),
            "faults": self.shared.faulty.faults.counters(),
            "units": self.shared.target.counters(),
        })
    }
}

/// A GUID made of a name: the same each time, so that a guest knows the controller
/// again.
pub fn instance_of(name: &str) -> Guid {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let step = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    // FNV-1a of 128 bits.
    Guid::from_u128(name.bytes().fold(OFFSET, step))
}
