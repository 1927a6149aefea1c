// SPDX-License-Identifier: GPL-2.0

//! Messages to the host.

use super::{
    bus,
    is_confidential,
    Bus, //
};
use crate::sys::trace;
use core::sync::atomic::Ordering;
use guest::hyperv::hypercall::post_message;
use kernel::{
    prelude::*,
    time::{
        delay::{
            fsleep,
            udelay, //
        },
        Delta, //
    }, //
};
use protocol::{
    hyperv::{
        hypercall::{
            PostMessage,
            Status, //
        },
        message::KIND_CHANNEL, //
    },
    vmbus::{
        message::{
            Encoded,
            Kind,
            Message,
            TlConnectRequest, //
        },
        Guid, //
    }, //
};

/// How often a message is posted at most.
const TRIES: u32 = 100;
/// How often the time between two tries is doubled, from a microsecond on.
const DOUBLINGS: u32 = 21;
/// Longest time that a processor is kept busy between two tries.
const LONGEST_SPIN_US: i64 = 10_000;

/// How a time is passed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// Others may have the processor.
    Sleep,
    /// Nothing may sleep.
    Spin,
}

impl Pause {
    fn after(self, tries: u32) {
        let us = 1_i64 << tries.min(DOUBLINGS);
        match self {
            Self::Sleep => fsleep(Delta::from_micros(us)),
            Self::Spin => self.spin(us.min(LONGEST_SPIN_US)),
        }
    }

    pub(super) fn spin(self, us: i64) {
        for _ in 0..us / 1000 {
            udelay(Delta::from_millis(1));
        }
        udelay(Delta::from_micros(us % 1000));
    }
}

impl Bus {
    /// Sends a message. Sleeps.
    ///
    /// # Errors
    ///
    /// `EAGAIN` or `ENOBUFS` if the host does not take it for a long time, `ENXIO` if it is the
    /// first and goes nowhere, `EINVAL` otherwise.
    pub(super) fn post(&self, message: &Message<'_>) -> Result {
        self.post_encoded(
            &message.encode().ok_or(EMSGSIZE)?,
            message.kind(),
            Pause::Sleep,
        )
    }

    /// Sends a message that is in its wire form.
    pub(super) fn post_encoded(&self, message: &Encoded, kind: Kind, pause: Pause) -> Result {
        let result = self.try_to_post(message, kind, pause);
        trace::posted(message, kind, result);
        result
    }

    fn try_to_post(&self, message: &Encoded, kind: Kind, pause: Pause) -> Result {
        let message = PostMessage {
            connection: self.connection.load(Ordering::Acquire),
            kind: KIND_CHANNEL,
            payload: message.as_slice(),
        };
        let mut last = EAGAIN;
        for tries in 0..TRIES {
            let page = || self.processors.post_page();
            match post_message(message, page, self.confidential) {
                Status::SUCCESS => return Ok(()),
                Status::INVALID_CONNECTION_ID if kind == Kind::INITIATE_CONTACT => {
                    return Err(ENXIO)
                }
                Status::INVALID_CONNECTION_ID => last = EAGAIN,
                status if status.is_transient() => last = ENOBUFS,
                status => {
                    pr_err!("posting a message failed; error code:{}\n", status.0);
                    return Err(EINVAL);
                }
            }
            pause.after(tries);
        }
        Err(last)
    }
}

/// Asks the host to connect a socket. Sleeps.
///
/// # Errors
///
/// As for [`Bus::post`].
pub(crate) fn connect_socket(endpoint: Guid, service: Guid) -> Result {
    let request = TlConnectRequest { endpoint, service };
    bus()
        .ok_or(ENODEV)?
        .post(&Message::TlConnectRequest(&request))
}

/// Posts a message of any type to any connection, once. On a root partition there is no bus, and
/// that works all the same.
pub(crate) fn post_raw(message: PostMessage<'_>) -> Status {
    let page = || bus().and_then(|bus| bus.processors.post_page());
    post_message(message, page, is_confidential())
}
