// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What waits for the bus's thread.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::hyperv::message::PAYLOAD_SIZE;
use protocol::vmbus::Guid;
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

use super::fault::{FaultKind, Forged};
use crate::device::Device;

/// Most messages of the guest that wait. A guest that posts more is told to try
/// again.
const MAX_MESSAGES: usize = 128;

/// Something to do.
pub(super) enum Request {
    /// The guest posted this.
    Message(Box<Payload>),
    /// There is a new device.
    Offer(Arc<dyn Device>),
    /// The device with this first channel wants to have so many more.
    OfferMore { primary: u16, count: u16 },
    /// A device is to go.
    Rescind(Guid, Box<dyn FnOnce() + Send>),
    /// Channel number `index` of the device with this first channel is to go, and to
    /// come back; 0 is the device.
    ComeBack { primary: u16, index: u16 },
    /// A message is due that was late, or that no right host sends.
    Say(Forged),
    /// The bus is to do something wrong.
    Forge(FaultKind),
    /// Nothing is to happen for a while. The sender is dropped when that is so.
    Pause(Sender<()>),
    /// That is over.
    Resume,
    /// The guest is to be forgotten; the sender as above.
    Reset(Sender<()>),
    /// The end.
    Stop,
}

impl Request {
    /// Whether it is a message of the guest's, or ends what devices do for it: nothing
    /// of that while the machine stands still, nor for a guest that takes no messages.
    fn is_for_guest(&self) -> bool {
        matches!(
            self,
            Self::Message(_) | Self::Rescind(..) | Self::ComeBack { .. }
        )
    }
}

/// The payload of a message.
pub(super) struct Payload {
    bytes: [u8; PAYLOAD_SIZE],
    len: usize,
}

impl Payload {
    /// `None` if it is too long.
    fn new(payload: &[u8]) -> Option<Self> {
        let mut bytes = [0; PAYLOAD_SIZE];
        let len = payload.len();
        bytes.get_mut(..len)?.copy_from_slice(payload);
        Some(Self { bytes, len })
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

/// The queue to the thread.
pub(crate) struct Inbox {
    state: Mutex<State>,
    event: EventFd,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    messages: usize,
    is_closed: bool,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            event: EventFd::new(EFD_NONBLOCK)?,
        })
    }

    /// Readable when something waits.
    pub(super) fn fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Asks for more channels of a device.
    pub(crate) fn offer_more(&self, primary: u16, count: u16) {
        self.push(Request::OfferMore { primary, count });
    }

    /// Asks for a channel, or a whole device, to go and to come back.
    pub(crate) fn come_back(&self, primary: u16, index: u16) {
        self.push(Request::ComeBack { primary, index });
    }

    pub(super) fn push(&self, request: Request) {
        let mut state = self.lock();
        if !state.is_closed {
            state.requests.push_back(request);
        }
        drop(state);
        self.wake();
    }

    /// Takes a message of the guest's, unless there are too many.
    pub(super) fn post(&self, payload: &[u8]) -> bool {
        let mut state = self.lock();
        let has_room = state.messages < MAX_MESSAGES && !state.is_closed;
        match Payload::new(payload).filter(|_| has_room) {
            Some(payload) => {
                state.messages = state.messages.saturating_add(1);
                state
                    .requests
                    .push_back(Request::Message(Box::new(payload)));
            }
            None => return false,
        }
        drop(state);
        self.wake();
        true
    }

    /// The next request; what is for a guest stays where it is if that is `held`.
    pub(super) fn pop(&self, held: bool) -> Option<Request> {
        let mut state = self.lock();
        let is_due = |request: &Request| !held || !request.is_for_guest();
        let at = state.requests.iter().position(is_due)?;
        let request = state.requests.remove(at)?;
        if matches!(request, Request::Message(_)) {
            state.messages = state.messages.saturating_sub(1);
        }
        Some(request)
    }

    /// Takes back that something waits; to be called before what does is looked at.
    pub(super) fn clear(&self) {
        let _ = self.event.read();
    }

    /// Takes nothing more, and forgets what waits.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let requests = std::mem::take(&mut state.requests);
        drop(state);
        drop(requests);
    }

    /// Wakes the thread.
    pub(super) fn wake(&self) {
        // Only a counter that is about to overflow says no, and then the thread is
        // going to wake up anyway.
        let _ = self.event.write(1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
