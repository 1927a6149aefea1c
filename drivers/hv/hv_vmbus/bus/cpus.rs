// SPDX-License-Identifier: GPL-2.0

//! Processors that come and go, and channels that move between them.

use super::{
    bus,
    connect::CONNECT_CPU,
    waiters::{
        Answer,
        Key, //
    },
    Bus, //
};
use crate::sys::{
    Channel,
    State, //
};
use guest::hyperv::{
    cpus::{
        self,
        Hotplug, //
    },
    platform, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use protocol::vmbus::{
    message::{
        Message,
        ModifyChannel, //
    },
    Version, //
};
use zerocopy::little_endian::U32;

/// How long the host may take to have another processor interrupted.
const MOVE_MS: u32 = 60_000;
/// How often, and after what time, events of a processor that goes are looked for.
const LOOKS: u32 = 4;
const LOOK_MS: i64 = 10;

/// What is done on a processor.
pub(super) struct Processing;

impl Hotplug for Processing {
    fn online(cpu: u32) -> Result {
        bus().ok_or(ENODEV)?.processors.online(cpu)
    }

    /// The host cannot be told to use another processor for messages, so that one stays.
    fn offline(cpu: u32) -> Result {
        let Some(bus) = bus() else {
            return Ok(());
        };
        if bus.is_connected() {
            if cpu == CONNECT_CPU {
                return Err(EBUSY);
            }
            bus.leave(cpu)?;
        }
        bus.processors.offline(cpu);
        Ok(())
    }
}

impl Bus {
    /// Moves all channels away from a processor, and waits for what has arrived there.
    fn leave(&self, cpu: u32) -> Result {
        let mut bound = KVec::new();
        {
            let table = self.table.lock();
            for channel in table.iter().filter(|channel| channel.cpu() == cpu) {
                bound.push(channel.hold(), GFP_KERNEL)?;
            }
        }
        for held in &bound {
            self.move_anywhere(held.channel(), cpu)?;
        }
        if !version_allows_moving() {
            return Ok(());
        }
        for _ in 0..LOOKS {
            if !self.processors.has_event(cpu) {
                return Ok(());
            }
            fsleep(Delta::from_millis(LOOK_MS));
        }
        Err(EBUSY)
    }

    /// Moves a channel from a processor that goes to any other, the first one at last. One that is
    /// being opened stays, and so does the processor.
    fn move_anywhere(&self, channel: Channel, from: u32) -> Result {
        if self.table.lock().reassign_closed(channel, CONNECT_CPU) {
            return Ok(());
        }
        if crate::sys::version() < Some(Version::V5_3) {
            return Err(EBUSY);
        }
        let start = from.wrapping_add(channel.relid_now());
        let limit = cpus::limit();
        let others = (0..limit).filter_map(|at| start.wrapping_add(at).checked_rem(limit));
        let usable = |cpu: &u32| *cpu != from && *cpu != CONNECT_CPU && cpus::is_online(*cpu);
        let mut result = Err(EBUSY);
        for cpu in Iterator::chain(others.filter(usable), [CONNECT_CPU]) {
            result = self.move_locked(channel, cpu);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Has another processor be interrupted. No processor may come or go.
    fn move_locked(&self, channel: Channel, cpu: u32) -> Result {
        if !version_allows_moving() {
            return Err(EIO);
        }
        if !cpus::is_online(cpu) || !cpus::takes_interrupts(cpu) {
            return Err(EINVAL);
        }
        let mut table = self.table.lock();
        // The host has nothing to say about a channel that is not open.
        if !table.has(channel) || !channel.is(State::Opened) {
            return Err(EIO);
        }
        let from = channel.cpu();
        if from == cpu {
            return Ok(());
        }
        self.ask_to_move(channel, platform::virtual_processor(cpu))
            .map_err(|_| EIO)?;
        table.bind(channel, cpu);
        channel.cpu_changed(from, cpu);
        Ok(())
    }

    fn ask_to_move(&self, channel: Channel, target_vp: u32) -> Result {
        let relid = channel.relid_now();
        let body = ModifyChannel {
            relid: U32::new(relid),
            target_vp: U32::new(target_vp),
        };
        let message = Message::ModifyChannel(&body);
        let version = crate::sys::version().ok_or(ENODEV)?;
        if !version.acknowledges_modify_channel() {
            return self.post(&message);
        }
        let key = Key::Moved { relid };
        match self.ask(key, Some(relid), Some(MOVE_MS), || self.post(&message))? {
            Answer::Status(0) => Ok(()),
            _ => Err(EAGAIN),
        }
    }
}

fn version_allows_moving() -> bool {
    crate::sys::version().is_some_and(|version| version.can_modify_channel())
}

/// Has another processor be interrupted for a channel. Sleeps.
///
/// # Errors
///
/// `EINVAL` if that is no processor for interrupts, `EIO` if the channel is not open or the host
/// does not do it.
pub(crate) fn retarget(channel: Channel, cpu: u32) -> Result {
    let _cpus = cpus::keep();
    bus().ok_or(EIO)?.move_locked(channel, cpu)
}

/// Tells the host which processor of its own numbering to interrupt for a channel. Sleeps.
///
/// # Errors
///
/// `EAGAIN` if the host does not do it, or why it could not be asked.
pub(crate) fn move_channel(channel: Channel, target_vp: u32) -> Result {
    bus().ok_or(ENODEV)?.ask_to_move(channel, target_vp)
}

/// Sets the registers of this processor again, after a sleep.
pub(crate) fn synic_on(cpu: u32) {
    if let Some(bus) = bus() {
        if bus.processors.enable_registers(cpu).is_err() {
            pr_err!("processor {} gets no messages\n", cpu);
        }
    }
}

/// Clears the registers of this processor: nothing arrives any more.
pub(crate) fn synic_off(cpu: u32) {
    if let Some(bus) = bus() {
        bus.processors.disable_registers(cpu);
    }
}

/// Clears the registers of all processors, before another kernel begins. The host must know
/// nothing of us. Sleeps.
pub(crate) fn forget_cpus() {
    if let Some(bus) = bus() {
        let hotplug = bus.hotplug.lock().take();
        drop(hotplug);
    }
}
