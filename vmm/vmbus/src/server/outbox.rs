// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Messages that wait for the guest's slot, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::hyperv::message::{Message as SlotMessage, KIND_CHANNEL};
use protocol::vmbus::message::Message;

use crate::synic::{NotPosted, Synic};

/// The port that messages are said to come from.
const SENDER: u64 = 1;

/// The way to the guest.
pub(super) struct Outbox {
    synic: Arc<Synic>,
    /// The processor that messages go to.
    target: u32,
    waiting: VecDeque<SlotMessage>,
}

impl Outbox {
    pub(super) fn new(synic: Arc<Synic>) -> Self {
        Self {
            synic,
            target: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Whether messages wait.
    pub(super) fn has_mail(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many do.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets what waits; messages go to another processor from now on.
    pub(super) fn redirect(&mut self, target: u32) {
        self.waiting.clear();
        self.target = target;
    }

    /// Queues a message.
    pub(super) fn send(&mut self, message: &Message<'_>) {
        let encoded = message.encode();
        // Each that the bus makes is short enough.
        if let Some(encoded) = encoded {
            self.put(KIND_CHANNEL, encoded.as_slice());
        }
    }

    /// Queues bytes, for a slot that is said to hold this.
    pub(super) fn put(&mut self, kind: u32, payload: &[u8]) {
        if let Some(message) = SlotMessage::new(kind, SENDER, payload) {
            self.waiting.push_back(message);
        }
    }

    /// Has the guest look at its slot once more.
    pub(super) fn remind(&self) {
        self.synic.remind(self.target);
    }

    /// Delivers as many as the guest takes now.
    pub(super) fn deliver(&mut self) {
        while let Some(message) = self.waiting.front() {
            let is_last = self.waiting.len() == 1;
            match self.synic.post(self.target, message, is_last) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(NotPosted::Busy) => return,
                Err(NotPosted::NoSlot) => {
                    tracing::debug!(vp = self.target, "messages for a processor without slots");
                    return self.waiting.clear();
                }
            }
        }
    }
}
