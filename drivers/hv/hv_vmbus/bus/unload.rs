// SPDX-License-Identifier: GPL-2.0

//! Telling the host that we are leaving, even in a panic.
//!
//! A panic may happen anywhere. Then nothing sleeps, no lock is taken, and the answer is looked for
//! in the pages of all processors, as nobody knows whether they still handle interrupts.

use super::{
    bus,
    messages::Pause,
    Bus, //
};
use crate::sys::interrupt::SOURCE;
use core::sync::atomic::Ordering;
use guest::hyperv::synic::Owner;
use kernel::prelude::*;
use protocol::{
    hyperv::slot::{
        Released,
        Slot, //
    },
    vmbus::message::{
        Kind,
        Message, //
    }, //
};

/// How long the host may take: it writes back what its disks have cached.
const LIMIT_MS: u32 = 100_000;
/// Time between two looks in a panic, and between two notices.
const LOOK_MS: u32 = 10;
const NOTICE_MS: u32 = 5_000;

/// Tells the host that all channels are gone, and waits until it has forgotten them. Once; sleeps,
/// unless `crash`.
pub(crate) fn unload(crash: bool) {
    let Some(bus) = bus() else {
        return;
    };
    if !bus.connected.swap(false, Ordering::AcqRel) {
        return;
    }
    bus.unloaded.reset();
    let pause = if crash { Pause::Spin } else { Pause::Sleep };
    let sent = Message::Unload
        .encode()
        .map(|message| bus.post_encoded(&message, Kind::UNLOAD, pause));
    if !matches!(sent, Some(Ok(()))) {
        pr_err!("cannot send UNLOAD\n");
        return;
    }
    if crash {
        bus.poll_for_response();
    } else if bus.unloaded.wait_timeout(LIMIT_MS).is_err() {
        pr_err!("Continuing even though VMBus UNLOAD did not complete\n");
    }
}

impl Bus {
    fn poll_for_response(&self) {
        for waited in (0..LIMIT_MS).step_by(LOOK_MS as usize) {
            if self.look_for_response() {
                return;
            }
            if waited % NOTICE_MS == 0 && waited > 0 {
                pr_notice!("Waiting for VMBus UNLOAD to complete\n");
            }
            Pause::Spin.spin(i64::from(LOOK_MS) * 1000);
        }
        pr_err!("Continuing even though VMBus UNLOAD did not complete\n");
    }

    /// Takes the messages of all processors, and says whether one of them was the answer.
    fn look_for_response(&self) -> bool {
        let mut is_there = self.unloaded.is_done();
        self.processors.each_message_page(|page| {
            let Some(slot) = Slot::new(page, SOURCE) else {
                return;
            };
            let kind = match slot.peek() {
                Ok(None) => return,
                Ok(Some(message)) => {
                    let parsed = Message::parse(message.payload());
                    is_there |= matches!(parsed, Ok(Message::UnloadResponse));
                    message.kind()
                }
                Err(error) => error.kind,
            };
            if slot.release(kind) == Released::EndOfMessage {
                Owner::Hypervisor.end_of_message();
            }
        });
        is_there
    }
}
