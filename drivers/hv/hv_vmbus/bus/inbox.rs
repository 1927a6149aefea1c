// SPDX-License-Identifier: GPL-2.0

//! Messages from the host, in the tasklet of the processor that got them.
//!
//! A message is copied once, then checked, then used. If there is no memory to keep an offer or a
//! rescind, the message stays in its slot and the tasklet comes again.

use super::{
    bus,
    complain,
    waiters::{
        Answer,
        Key, //
    },
    Bus, //
};
use crate::sys::{
    interrupt::SOURCE,
    trace, //
};
use guest::hyperv::{
    page::Memory,
    synic::Owner, //
};
use kernel::prelude::*;
use protocol::{
    hyperv::{
        message::KIND_CHANNEL,
        slot::{
            Released,
            Slot, //
        }, //
    },
    vmbus::message::{
        Kind,
        Message, //
    }, //
};

/// Takes the message that is in a page, if there is one. `false`: not now, come again.
pub(crate) fn take_message(page: Memory<'_>, owner: Owner) -> bool {
    let (Some(bus), Some(slot)) = (bus(), Slot::new(page, SOURCE)) else {
        return true;
    };
    let kind = match slot.peek() {
        Ok(None) => return true,
        Ok(Some(message)) => {
            trace::seen(message.payload());
            if message.kind() == KIND_CHANNEL && bus.dispatch(message.payload()).is_err() {
                return false;
            }
            message.kind()
        }
        Err(error) => {
            complain(|| pr_err!("a message of {} bytes is too long\n", error.size));
            error.kind
        }
    };
    if slot.release(kind) == Released::EndOfMessage {
        owner.end_of_message();
    }
    true
}

impl Bus {
    /// Does what can be done at once, and has the rest done.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if that is not possible now.
    fn dispatch(&'static self, payload: &[u8]) -> Result {
        let message = match Message::parse(payload) {
            Ok(message) => message,
            Err(error) => {
                complain(|| pr_err!("a message makes no sense: {:?}\n", error));
                return Ok(());
            }
        };
        match message {
            Message::Offer(offer) => return self.take_offer(offer),
            Message::Rescind(rescind) => return self.take_rescind(rescind.relid.get()),
            Message::AllOffersDelivered => self.all_offered.complete_all(),
            Message::UnloadResponse => self.unloaded.complete_all(),
            Message::Unknown(Kind::TL_CONNECT_RESULT, _) => {}
            other => {
                trace::handled(other.kind(), payload);
                self.take_answer(&other);
            }
        }
        Ok(())
    }

    fn take_answer(&self, message: &Message<'_>) {
        let (key, answer) = match message {
            Message::VersionResponse(response) => (
                Key::Version,
                Answer::Version {
                    is_supported: response.supported != 0,
                    connection: response.connection_id.get(),
                },
            ),
            Message::OpenResult(result) => (
                Key::Open {
                    relid: result.relid.get(),
                    open_id: result.open_id.get(),
                },
                Answer::Status(result.status.get()),
            ),
            Message::GpadlCreated(created) => (
                Key::Created {
                    relid: created.relid.get(),
                    gpadl: created.gpadl.get(),
                },
                Answer::Status(created.status.get()),
            ),
            Message::GpadlTorndown(torn) => (
                Key::TornDown {
                    gpadl: torn.gpadl.get(),
                },
                Answer::Status(0),
            ),
            Message::ModifyChannelResponse(response) => (
                Key::Moved {
                    relid: response.relid.get(),
                },
                Answer::Status(response.status.get()),
            ),
            other => {
                complain(|| pr_err!("a message that no host sends: type {}\n", other.kind().0));
                return;
            }
        };
        self.waiters.with(|waiters| waiters.answer(key, answer));
    }
}
