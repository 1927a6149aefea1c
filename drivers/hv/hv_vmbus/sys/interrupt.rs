// SPDX-License-Identifier: GPL-2.0

//! The interrupt handler, and the tasklets that it schedules.

use super::{
    bindings,
    processor,
    relids::RELIDS,
    ring::Inbound,
    trace,
    Channel, //
};
use core::ptr::{
    self,
    NonNull, //
};
use guest::hyperv::{
    page::Memory,
    synic::Owner, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};
use protocol::hyperv::{
    event::Flags,
    message::KIND_NONE,
    shared::Shared,
    PAGE_SIZE, //
};

/// The source of interrupts that belongs to VMBus.
pub(crate) const SOURCE: u8 = 2;
/// The vector that it raises (`HYPERVISOR_CALLBACK_VECTOR`).
pub(crate) const VECTOR: u8 = 0xf3;

/// Sets the handler.
pub(crate) fn set_handler() {
    // SAFETY: It is taken away before the module goes.
    unsafe { bindings::hv_setup_vmbus_handler(Some(vmbus_isr)) };
}

/// Takes the handler away.
pub(crate) fn clear_handler() {
    // SAFETY: No requirements.
    unsafe { bindings::hv_remove_vmbus_handler() };
}

/// Handles the vector on this processor.
///
/// # Safety
///
/// Interrupts must be off, and the processor be set up.
#[no_mangle]
unsafe extern "C" fn vmbus_isr() {
    // SAFETY: Undone below, on the same processor.
    unsafe { bindings::hard_interrupt_enter() };
    let this = processor::this();
    // SAFETY: The pages of a processor stay while it can be interrupted, which it just was.
    unsafe {
        schedule_channels((*this).hyp_synic_event_page);
        if !(*this).para_synic_event_page.is_null() {
            schedule_channels_of_paravisor((*this).para_synic_event_page);
        }
        let (own, other) = (
            (*this).hyp_synic_message_page,
            (*this).para_synic_message_page,
        );
        if has_message(own) || has_message(other) {
            bindings::tasklet_schedule(&raw mut (*this).msg_dpc);
        }
        bindings::hard_interrupt_leave();
    }
}

/// Where the type of the message for our source is in a message page.
const KIND_AT: u32 = SOURCE as u32 * protocol::hyperv::message::SLOT_SIZE;

/// # Safety
///
/// The pointer must be null or that of a page that stays.
#[inline]
unsafe fn memory<'a>(page: *mut u8) -> Option<Memory<'a>> {
    // SAFETY: By the safety requirement.
    NonNull::new(page).map(|page| unsafe { Memory::new(page, PAGE_SIZE) })
}

/// # Safety
///
/// As for [`memory`].
#[inline]
unsafe fn has_message(page: *mut u8) -> bool {
    // SAFETY: By the safety requirement.
    unsafe { memory(page) }.is_some_and(|memory| memory.load(KIND_AT) != KIND_NONE)
}

/// There is one in machines that are hidden from their host only.
///
/// # Safety
///
/// As for [`memory`].
#[cold]
#[inline(never)]
unsafe fn schedule_channels_of_paravisor(page: *mut u8) {
    // SAFETY: By the safety requirement.
    unsafe { schedule_channels(page) }
}

/// # Safety
///
/// As for [`memory`].
#[inline]
unsafe fn schedule_channels(page: *mut u8) {
    // SAFETY: By the safety requirement.
    let Some(flags) = unsafe { memory(page) }.and_then(|memory| Flags::new(memory, SOURCE)) else {
        return;
    };
    let rcu = rcu::read_lock();
    flags.take_all(RELIDS.highest(), |relid| {
        if let Some(channel) = RELIDS.get(u32::from(relid), &rcu) {
            // SAFETY: The channel is valid while RCU is locked.
            unsafe { schedule(channel) };
        }
    });
}

/// Calls a channel's callback, or has it called.
///
/// # Safety
///
/// The channel must be valid, and interrupts off.
#[inline]
unsafe fn schedule(channel: Channel) {
    if channel.is_rescinded() {
        return;
    }
    let raw = channel.as_raw();
    // SAFETY: The channel is valid; the lock keeps its callback, and the ring with it.
    unsafe {
        bindings::spin_lock(&raw mut (*raw).sched_lock);
        if let Some(callback) = (*raw).onchannel_callback {
            trace::scheduled(channel);
            (*raw).interrupts = (*raw).interrupts.wrapping_add(1);
            match (*raw).callback_mode {
                bindings::vmbus_channel_hv_callback_mode_HV_CALL_ISR => {
                    callback((*raw).channel_callback_context)
                }
                mode => {
                    if mode == bindings::vmbus_channel_hv_callback_mode_HV_CALL_BATCHED {
                        Inbound::of(channel).mask();
                    }
                    bindings::tasklet_schedule(&raw mut (*raw).callback_event);
                }
            }
        }
        bindings::spin_unlock(&raw mut (*raw).sched_lock);
    }
}

/// Calls a channel's callback. If the host has added a packet after the last look, and was told
/// that no signal is needed, it is called again; a ring in which nothing can be read is left until
/// the host signals.
///
/// # Safety
///
/// The tasklet must be that of a channel, whose address `data` is.
pub(super) unsafe extern "C" fn on_channel_tasklet(data: c_ulong) {
    let raw = data as *mut bindings::vmbus_channel;
    // SAFETY: The tasklet is the channel's; who closes it waits for the tasklet.
    unsafe {
        let Some(channel) = Channel::from_raw(raw) else {
            return;
        };
        trace::running(channel);
        let Some(callback) = ptr::read_volatile(&raw const (*raw).onchannel_callback) else {
            return;
        };
        channel.delay_callback();
        callback((*raw).channel_callback_context);
        if (*raw).callback_mode == bindings::vmbus_channel_hv_callback_mode_HV_CALL_BATCHED
            && Inbound::of(channel).unmask()
        {
            Inbound::of(channel).mask();
            bindings::tasklet_schedule(&raw mut (*raw).callback_event);
        }
    }
}

/// Takes the message of this processor, or both.
///
/// # Safety
///
/// The tasklet must be that of a processor, the address of whose context `data` is.
pub(super) unsafe extern "C" fn on_message_tasklet(data: c_ulong) {
    let context = data as *mut processor::Context;
    // SAFETY: The tasklet is the processor's, which has its pages until the tasklet was killed.
    unsafe {
        let pages = [
            (Owner::Hypervisor, (*context).hyp_synic_message_page),
            (Owner::Paravisor, (*context).para_synic_message_page),
        ];
        for (owner, page) in pages {
            if let Some(memory) = memory(page) {
                if !crate::bus::take_message(memory, owner) {
                    bindings::tasklet_schedule(&raw mut (*context).msg_dpc);
                }
            }
        }
    }
}
