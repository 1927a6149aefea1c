// SPDX-License-Identifier: GPL-2.0

//! The trace events `hyperv:vmbus_*`.
//!
//! What they look like is in `events.h`, by the macros that C has for that: for each there is a
//! static key, and a function that fires it. When they happen is here. An event that nobody has
//! enabled is a branch that is not taken; on a kernel without tracepoints all of this is nothing.

use super::{
    bindings,
    Channel, //
};
use core::mem::{
    align_of,
    size_of, //
};
use kernel::prelude::*;
use protocol::vmbus::message::{
    ChannelRelid,
    Encoded,
    Kind,
    Message,
    Offer, //
};
use zerocopy::little_endian::U32;

/// Whether somebody has enabled the event that a key belongs to.
#[cfg(CONFIG_TRACEPOINTS)]
macro_rules! is_enabled {
    ($key:path) => {
        // SAFETY: A key that `events.c` defines.
        unsafe { kernel::jump_label::static_branch_unlikely!($key, bindings::tracepoint, key) }
    };
}

#[cfg(not(CONFIG_TRACEPOINTS))]
macro_rules! is_enabled {
    ($key:path) => {
        false
    };
}

/// A function for each event, which fires it if somebody has enabled it.
///
/// The kernel's macro for that wants the C half in its own bindings.
macro_rules! events {
    ($(fn $name:ident($($arg:ident: $type:ty),*);)*) => {
        kernel::macros::paste! {
            // Structures inside of a channel may be empty, which C lets them be.
            #[allow(improper_ctypes)]
            extern "C" {
                $(
                    #[cfg(CONFIG_TRACEPOINTS)]
                    static [<__tracepoint_ $name>]: bindings::tracepoint;
                    fn [<rust_do_trace_ $name>]($($arg: $type),*);
                )*
            }

            $(
                /// # Safety
                ///
                /// What a pointer points to must be valid for reads.
                #[inline(always)]
                unsafe fn $name($($arg: $type),*) {
                    if is_enabled!([<__tracepoint_ $name>]) {
                        // SAFETY: By the safety requirement.
                        unsafe { [<rust_do_trace_ $name>]($($arg),*) };
                    }
                }
            )*
        }
    };
}

events! {
    fn vmbus_chan_sched(it: *const bindings::vmbus_channel);
    fn vmbus_on_event(it: *const bindings::vmbus_channel);
    fn vmbus_setevent(it: *const bindings::vmbus_channel);

    fn vmbus_on_msg_dpc(it: *const bindings::vmbus_channel_message_header);
    fn vmbus_on_message(it: *const bindings::vmbus_channel_message_header);
    fn vmbus_onoffer(it: *const bindings::vmbus_channel_offer_channel);
    fn vmbus_onoffer_rescind(it: *const bindings::vmbus_channel_rescind_offer);
    fn vmbus_onopen_result(it: *const bindings::vmbus_channel_open_result);
    fn vmbus_ongpadl_created(it: *const bindings::vmbus_channel_gpadl_created);
    fn vmbus_ongpadl_torndown(it: *const bindings::vmbus_channel_gpadl_torndown);
    fn vmbus_onmodifychannel_response(
        it: *const bindings::vmbus_channel_modifychannel_response
    );
    fn vmbus_onversion_response(it: *const bindings::vmbus_channel_version_response);

    fn vmbus_negotiate_version(
        it: *const bindings::vmbus_channel_initiate_contact,
        ret: c_int
    );
    fn vmbus_request_offers(ret: c_int);
    fn vmbus_establish_gpadl_header(
        it: *const bindings::vmbus_channel_gpadl_header,
        ret: c_int
    );
    fn vmbus_establish_gpadl_body(it: *const bindings::vmbus_channel_gpadl_body, ret: c_int);
    fn vmbus_teardown_gpadl(it: *const bindings::vmbus_channel_gpadl_teardown, ret: c_int);
    fn vmbus_open(it: *const bindings::vmbus_channel_open_channel, ret: c_int);
    fn vmbus_close_internal(it: *const bindings::vmbus_channel_close_channel, ret: c_int);
    fn vmbus_release_relid(it: *const bindings::vmbus_channel_relid_released, ret: c_int);
    fn vmbus_send_modifychannel(it: *const bindings::vmbus_channel_modifychannel, ret: c_int);
    fn vmbus_send_tl_connect_request(
        it: *const bindings::vmbus_channel_tl_connect_request,
        ret: c_int
    );
}

/// A message as C has it, if there is all of it.
fn whole<T>(bytes: &[u8]) -> Option<*const T> {
    const { assert!(align_of::<T>() == 1) };
    (bytes.len() >= size_of::<T>()).then_some(bytes.as_ptr().cast())
}

/// Fires an event about a message.
macro_rules! fire {
    ($event:ident($bytes:expr $(, $ret:expr)?)) => {
        if let Some(message) = whole($bytes) {
            // SAFETY: There are as many bytes as the structure has, as was checked.
            unsafe { $event(message $(, $ret)?) };
        }
    };
}

/// The host has interrupted for a channel.
#[inline]
pub(super) fn scheduled(channel: Channel) {
    // SAFETY: A valid channel.
    unsafe { vmbus_chan_sched(channel.as_raw()) };
}

/// The tasklet of a channel runs.
#[inline]
pub(super) fn running(channel: Channel) {
    // SAFETY: A valid channel.
    unsafe { vmbus_on_event(channel.as_raw()) };
}

/// The host is signalled.
#[inline]
pub(super) fn signalled(channel: Channel) {
    // SAFETY: A valid channel.
    unsafe { vmbus_setevent(channel.as_raw()) };
}

/// A message of the host's was copied out of its slot.
#[inline]
pub(crate) fn seen(bytes: &[u8]) {
    fire!(vmbus_on_msg_dpc(bytes));
}

/// An offer is handled.
#[inline]
pub(crate) fn offered(offer: &Offer) {
    queued(&Message::Offer(offer));
}

/// A rescind is handled.
#[inline]
pub(crate) fn rescinded(relid: u32) {
    let relid = U32::new(relid);
    queued(&Message::Rescind(&ChannelRelid { relid }));
}

/// A message is handled that was not kept in its wire form.
#[inline]
fn queued(message: &Message<'_>) {
    if !cfg!(CONFIG_TRACEPOINTS) {
        return;
    }
    if let Some(encoded) = message.encode() {
        fire!(vmbus_on_message(encoded.as_slice()));
        handled(message.kind(), encoded.as_slice());
    }
}

/// A message of the host's is handled.
#[inline]
pub(crate) fn handled(kind: Kind, bytes: &[u8]) {
    match kind {
        Kind::OFFER => fire!(vmbus_onoffer(bytes)),
        Kind::RESCIND => fire!(vmbus_onoffer_rescind(bytes)),
        Kind::OPEN_RESULT => fire!(vmbus_onopen_result(bytes)),
        Kind::GPADL_CREATED => fire!(vmbus_ongpadl_created(bytes)),
        Kind::GPADL_TORNDOWN => fire!(vmbus_ongpadl_torndown(bytes)),
        Kind::MODIFY_CHANNEL_RESPONSE => fire!(vmbus_onmodifychannel_response(bytes)),
        Kind::VERSION_RESPONSE => fire!(vmbus_onversion_response(bytes)),
        _ => {}
    }
}

/// A message was posted to the host, or could not be.
#[inline]
pub(crate) fn posted(message: &Encoded, kind: Kind, result: Result) {
    let (bytes, ret) = (
        message.as_slice(),
        result.map_or_else(|error| error.to_errno(), |()| 0),
    );
    match kind {
        Kind::INITIATE_CONTACT => fire!(vmbus_negotiate_version(bytes, ret)),
        // SAFETY: There is no pointer.
        Kind::REQUEST_OFFERS => unsafe { vmbus_request_offers(ret) },
        Kind::GPADL_HEADER => fire!(vmbus_establish_gpadl_header(bytes, ret)),
        Kind::GPADL_BODY => fire!(vmbus_establish_gpadl_body(bytes, ret)),
        Kind::GPADL_TEARDOWN => fire!(vmbus_teardown_gpadl(bytes, ret)),
        Kind::OPEN => fire!(vmbus_open(bytes, ret)),
        Kind::CLOSE => fire!(vmbus_close_internal(bytes, ret)),
        Kind::RELID_RELEASED => fire!(vmbus_release_relid(bytes, ret)),
        Kind::MODIFY_CHANNEL => fire!(vmbus_send_modifychannel(bytes, ret)),
        Kind::TL_CONNECT_REQUEST => fire!(vmbus_send_tl_connect_request(bytes, ret)),
        _ => {}
    }
}
