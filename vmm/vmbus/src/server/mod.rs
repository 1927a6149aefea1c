// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The bus: one thread that handles channel messages.
//!
//! - [`VmBus`]: what the machine holds;
//! - `inbox`: what waits for the thread;
//! - `outbox`: messages that wait for the guest's slot;
//! - `connection`: what a message means, and what is answered;
//! - `channels` and `gpadls`: what the connection knows;
//! - [`fault`]: what goes wrong when that is wanted.
//!
//! A message that finds its slot occupied is tried again when the guest says that
//! it has emptied that, of which KVM tells ([`Synic::with_end_of_message`]), or,
//! where it does not, after a moment.

mod channels;
mod connection;
mod counters;
pub mod fault;
mod gpadls;
#[cfg(feature = "fuzzing")]
pub mod here;
mod inbox;
mod outbox;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hospes_device::counters::Counted;
use hospes_device::fault::{FaultError, Kind as _};
use hospes_device::memory::GuestMemory;
use hospes_device::thread::{self, Role};
use protocol::hyperv::hypercall::{
    PostMessage, Status, CONNECTION_MESSAGE, CONNECTION_MESSAGE_4, POST_MESSAGE_SIZE,
};
use protocol::hyperv::message::KIND_CHANNEL;
use protocol::vmbus::{Guid, Version};
use serde_json::{json, Value};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use crate::device::{Device, Signals};
use crate::synic::Synic;
use connection::Connection;
use counters::BusCounters;
use fault::{Fault, FaultStatus, Faulty};
pub(crate) use inbox::Inbox;
use inbox::Request;

/// How long a message waits for its slot before it is tried again, if nobody says
/// when that is free.
const RETRY: Duration = Duration::from_millis(1);
/// The same if somebody does: a guest may forget.
const LONG_RETRY: Duration = Duration::from_millis(100);

/// What a user chooses about the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The newest version that is spoken.
    pub max_version: Version,
}

impl Settings {
    /// The newest version that the bus knows.
    pub const MAX_VERSION: Version = Version::V5_3;
    /// The oldest version that the bus speaks.
    pub const MIN_VERSION: Version = Version::V4_0;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_version: Self::MAX_VERSION,
        }
    }
}

/// The bus of a machine.
///
/// Dropping it closes all channels and ends the thread.
pub struct VmBus {
    inbox: Arc<Inbox>,
    synic: Arc<Synic>,
    counters: Arc<BusCounters>,
    faulty: Arc<Faulty>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl VmBus {
    /// Starts the bus, with no device on it.
    ///
    /// # Errors
    ///
    /// If there can be no thread for it.
    pub fn start(
        settings: Settings,
        memory: GuestMemory,
        synic: Arc<Synic>,
        signals: Arc<dyn Signals>,
    ) -> io::Result<Self> {
        let bus = Bus::new(settings, memory, synic.clone(), signals)?;
        let (inbox, counters) = (bus.inbox.clone(), bus.counters.clone());
        let faulty = bus.faulty.clone();
        let thread = thread::spawn(Role::Device, "vmbus", move || bus.run())?;
        Ok(Self {
            inbox,
            synic,
            counters,
            faulty,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The guest's SynICs.
    pub fn synic(&self) -> &Synic {
        &self.synic
    }

    /// Takes a message that a processor of the guest posts, given the input of its
    /// hypercall.
    pub fn post(&self, input: &[u8]) -> Status {
        post(&self.inbox, input)
    }

    /// Most bytes of input that [`post`](Self::post) looks at.
    pub const POST_SIZE: usize = POST_MESSAGE_SIZE;

    /// Offers a device to the guest.
    pub fn offer(&self, device: Arc<dyn Device>) {
        self.inbox.push(Request::Offer(device));
    }

    /// Takes a device away. All that it does for the guest ends, then the guest is
    /// told; `done` is called once that has let go of it.
    pub fn rescind(&self, instance: Guid, done: impl FnOnce() + Send + 'static) {
        self.inbox.push(Request::Rescind(instance, Box::new(done)));
    }

    /// Arms a fault, or has it act at once if it is of such a kind, of which a guest that
    /// has not made contact sees nothing. Returns a number that
    /// [`clear_fault`](Self::clear_fault) takes.
    ///
    /// # Errors
    ///
    /// [`FaultError`] for what makes no sense.
    pub fn inject(&self, fault: Fault) -> Result<u64, FaultError> {
        fault.check()?;
        if fault.kind.is_immediate() {
            self.inbox.push(Request::Forge(fault.kind.clone()));
        }
        self.faulty.arm(fault)
    }

    /// The armed faults.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.faulty.faults.list()
    }

    /// Disarms a fault. False if there is none with that number.
    pub fn clear_fault(&self, id: u64) -> bool {
        self.faulty.faults.clear(id)
    }

    /// Disarms every fault.
    pub fn clear_faults(&self) {
        self.faulty.faults.clear_all();
    }

    /// Handles no message and delivers none until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.wait_for(Request::Pause);
    }

    /// Goes on after a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.inbox.push(Request::Resume);
    }

    /// Closes all channels and forgets the guest, as at a reset.
    pub fn reset(&self) {
        self.wait_for(Request::Reset);
    }

    fn wait_for(&self, request: impl FnOnce(std::sync::mpsc::Sender<()>) -> Request) {
        let (done, wait) = std::sync::mpsc::channel();
        self.inbox.push(request(done));
        // A thread that is gone drops the other end, and there is nothing to wait for.
        let _ = wait.recv();
    }
}

fn post(inbox: &Inbox, input: &[u8]) -> Status {
    let message = match PostMessage::parse(input) {
        Ok(message) => message,
        Err(status) => return status,
    };
    if !matches!(
        message.connection,
        CONNECTION_MESSAGE | CONNECTION_MESSAGE_4
    ) {
        return Status::INVALID_CONNECTION_ID;
    }
    if message.kind != KIND_CHANNEL {
        return Status::INVALID_PARAMETER;
    }
    if inbox.post(message.payload) {
        Status::SUCCESS
    } else {
        Status::INSUFFICIENT_BUFFERS
    }
}

impl Counted for VmBus {
    fn counters(&self) -> Value {
        json!({
            "bus": &*self.counters,
            "synic": self.synic.counters(),
            "faults": self.faulty.faults.counters(),
        })
    }
}

impl Drop for VmBus {
    fn drop(&mut self) {
        self.inbox.push(Request::Stop);
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of VMBus panicked");
        }
    }
}

/// What the thread has.
struct Bus {
    connection: Connection,
    inbox: Arc<Inbox>,
    counters: Arc<BusCounters>,
    faulty: Arc<Faulty>,
    synic: Arc<Synic>,
    epoll: Epoll,
    retry: Duration,
    is_paused: bool,
}

impl Bus {
    fn new(
        settings: Settings,
        memory: GuestMemory,
        synic: Arc<Synic>,
        signals: Arc<dyn Signals>,
    ) -> io::Result<Self> {
        let inbox = Arc::new(Inbox::new()?);
        let counters = Arc::new(BusCounters::default());
        let faulty = Arc::<Faulty>::default();
        let epoll = Epoll::new()?;
        let listen = |fd| epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(EventSet::IN, 0));
        listen(inbox.fd())?;
        let mut retry = RETRY;
        if let Some(event) = synic.end_of_message() {
            listen(event.as_raw_fd())?;
            retry = LONG_RETRY;
        }
        let connection = Connection::new(
            settings,
            memory,
            synic.clone(),
            signals,
            Arc::downgrade(&inbox),
            counters.clone(),
            faulty.clone(),
        );
        Ok(Self {
            connection,
            inbox,
            counters,
            faulty,
            synic,
            epoll,
            retry,
            is_paused: false,
        })
    }

    fn run(mut self) {
        let _closed = Closed(self.inbox.clone());
        let mut events = [EpollEvent::default()];
        loop {
            let timeout = if self.connection.has_mail() && !self.is_paused {
                i32::try_from(self.retry.as_millis()).unwrap_or(1)
            } else {
                -1
            };
            match self.epoll.wait(timeout, &mut events) {
                // The guest may not have heard of the message that is in the slot.
                Ok(0) => self.connection.remind(),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return tracing::error!(%error, "VMBus cannot wait for messages");
                }
                Ok(_) | Err(_) => {}
            }
            if !self.turn() {
                return self.connection.reset();
            }
        }
    }

    /// Does what there is to do; false if that is to end.
    fn turn(&mut self) -> bool {
        self.inbox.clear();
        self.synic.clear_end_of_message();
        while let Some(request) = self.next_request() {
            if !self.serve(request) {
                return false;
            }
        }
        if !self.is_paused {
            let was_stuffed = self.connection.is_stuffed();
            self.connection.deliver();
            if was_stuffed && !self.connection.is_stuffed() {
                self.inbox.wake();
            }
        }
        true
    }

    /// The next thing to do. A guest that takes no messages gets none of its own handled.
    fn next_request(&self) -> Option<Request> {
        self.inbox
            .pop(self.is_paused || self.connection.is_stuffed())
    }

    /// Does what is asked; false if that is to end.
    fn serve(&mut self, request: Request) -> bool {
        match request {
            Request::Message(payload) => self.connection.receive(payload.as_slice()),
            Request::Offer(device) => self.connection.offer(device),
            Request::OfferMore { primary, count } => self.connection.offer_more(primary, count),
            Request::ComeBack { primary, index } => self.connection.come_back(primary, index),
            Request::Rescind(instance, done) => self.connection.rescind(instance, done),
            Request::Say(message) => self.connection.say(&message),
            Request::Forge(fault) => self.connection.forge(&fault),
            Request::Pause(done) => {
                self.is_paused = true;
                drop(done);
            }
            Request::Resume => self.is_paused = false,
            Request::Reset(done) => {
                self.connection.reset();
                drop(done);
            }
            Request::Stop => return false,
        }
        true
    }
}

/// Has requests that nobody serves any more go away with those who wait for them.
struct Closed(Arc<Inbox>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.close();
    }
}
