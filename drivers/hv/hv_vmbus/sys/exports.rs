// SPDX-License-Identifier: GPL-2.0

//! What drivers of VMBus devices call (`include/linux/hyperv.h`).
//!
//! Each has the requirements of the kernel's own function of that name: the channel is one that the
//! bus has given to the driver, and lengths are those of what pointers point to.

#![expect(
    clippy::missing_safety_doc,
    reason = "said once for all functions, above"
)]

use super::{
    bindings,
    ring::{
        Inbound,
        Outbound,
        Parts,
        DESCRIPTOR,
        REQUEST_ERROR, //
    },
    rings::{
        Callback,
        Gpadl, //
    },
    Channel, //
};
use crate::bus::{
    self,
    Use, //
};
use core::{
    ptr,
    slice, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use protocol::{
    hyperv::{
        hypercall::PostMessage,
        message::PAYLOAD_SIZE, //
    },
    vmbus::{
        packet,
        Guid, //
    }, //
};

type RawChannel = *mut bindings::vmbus_channel;
type OnChannel = Option<unsafe extern "C" fn(*mut c_void)>;

fn errno(result: Result) -> c_int {
    result.map_or_else(|error| error.to_errno(), |()| 0)
}

/// The channel that a driver names.
///
/// # Safety
///
/// It must be one that the bus has given to the driver.
#[inline]
unsafe fn given(channel: RawChannel) -> Channel {
    // SAFETY: By the safety requirement, which includes that it is not null.
    unsafe { Channel::from_valid(channel) }
}

/// # Safety
///
/// The pointer must be valid for reads of so many bytes, which may be none.
#[inline]
unsafe fn bytes<'a>(from: *const c_void, len: u32) -> &'a [u8] {
    if from.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: By the safety requirement.
    unsafe { slice::from_raw_parts(from.cast(), len as usize) }
}

#[no_mangle]
unsafe extern "C" fn vmbus_alloc_ring(channel: RawChannel, send: u32, receive: u32) -> c_int {
    // SAFETY: See above.
    errno(unsafe { given(channel) }.alloc_rings(send, receive))
}

#[no_mangle]
unsafe extern "C" fn vmbus_free_ring(channel: RawChannel) {
    // SAFETY: See above.
    unsafe { given(channel) }.free_rings();
}

#[no_mangle]
unsafe extern "C" fn vmbus_connect_ring(
    channel: RawChannel,
    function: OnChannel,
    context: *mut c_void,
) -> c_int {
    // SAFETY: See above.
    let channel = unsafe { given(channel) };
    errno(bus::open(channel, &[], Callback { function, context }))
}

#[no_mangle]
unsafe extern "C" fn vmbus_disconnect_ring(channel: RawChannel) -> c_int {
    // SAFETY: See above.
    errno(bus::disconnect(unsafe { given(channel) }))
}

#[no_mangle]
unsafe extern "C" fn vmbus_open(
    channel: RawChannel,
    send: u32,
    receive: u32,
    data: *mut c_void,
    data_len: u32,
    function: OnChannel,
    context: *mut c_void,
) -> c_int {
    // SAFETY: See above.
    let (channel, data) = unsafe { (given(channel), bytes(data, data_len)) };
    let result = channel.alloc_rings(send, receive).and_then(|()| {
        bus::open(channel, data, Callback { function, context })
            .inspect_err(|_| channel.free_rings())
    });
    errno(result)
}

#[no_mangle]
unsafe extern "C" fn vmbus_close(channel: RawChannel) {
    // SAFETY: See above.
    bus::close(unsafe { given(channel) });
}

/// # Safety
///
/// As for the functions that call it.
unsafe fn establish(
    channel: RawChannel,
    purpose: Use,
    buffer: *mut c_void,
    size: u32,
    gpadl: *mut Gpadl,
) -> c_int {
    // SAFETY: By the safety requirement.
    let (channel, gpadl) = unsafe { (given(channel), &mut *gpadl) };
    errno(bus::establish(
        channel,
        purpose,
        buffer as usize,
        size,
        gpadl,
    ))
}

#[no_mangle]
unsafe extern "C" fn vmbus_establish_gpadl(
    channel: RawChannel,
    buffer: *mut c_void,
    size: u32,
    gpadl: *mut Gpadl,
) -> c_int {
    // SAFETY: See above.
    unsafe { establish(channel, Use::Buffer, buffer, size, gpadl) }
}

#[no_mangle]
unsafe extern "C" fn vmbus_establish_gpadl_caller_decrypted(
    channel: RawChannel,
    buffer: *mut c_void,
    size: u32,
    gpadl: *mut Gpadl,
) -> c_int {
    // SAFETY: See above.
    unsafe { establish(channel, Use::DecryptedBuffer, buffer, size, gpadl) }
}

#[no_mangle]
unsafe extern "C" fn vmbus_teardown_gpadl(channel: RawChannel, gpadl: *mut Gpadl) -> c_int {
    // SAFETY: See above.
    let (channel, gpadl) = unsafe { (given(channel), &mut *gpadl) };
    errno(bus::teardown(channel, gpadl))
}

/// The first word of the descriptor of a packet of `len` bytes, and how many bytes these are with
/// what is to be filled up. The other word is the transaction id, which is not known yet.
#[inline]
fn descriptor(kind: u32, flags: u32, offset: u32, len: u32) -> Option<(u64, u32)> {
    let whole = len.checked_next_multiple_of(8)?;
    let words = u16::try_from(whole >> 3).ok()?;
    let fields = [kind as u16, (offset >> 3) as u16, words, flags as u16];
    let [kind, offset, words, flags] = fields.map(u64::from);
    Some((kind | offset << 16 | words << 32 | flags << 48, whole))
}

#[no_mangle]
unsafe extern "C" fn vmbus_sendpacket_getid(
    channel: RawChannel,
    buffer: *mut c_void,
    len: u32,
    request: u64,
    id_out: *mut u64,
    kind: bindings::vmbus_packet_type,
    flags: u32,
) -> c_int {
    let whole = len.saturating_add(DESCRIPTOR);
    let Some((word, padded)) = descriptor(kind, flags, DESCRIPTOR, whole) else {
        return EMSGSIZE.to_errno();
    };
    let mut head = [0; DESCRIPTOR as usize];
    if let Some(first) = head.first_chunk_mut() {
        *first = word.to_le_bytes();
    }
    // SAFETY: See above.
    unsafe {
        let parts = Parts {
            head: &head,
            body: bytes(buffer, len),
            len: padded,
            padding: (padded - whole) as usize,
            flags: flags as u16,
        };
        match Outbound::of(given(channel)).write(&parts, request) {
            Ok(id) => {
                if !id_out.is_null() {
                    *id_out = id;
                }
                0
            }
            Err(error) => error.to_errno(),
        }
    }
}

#[no_mangle]
unsafe extern "C" fn vmbus_sendpacket(
    channel: RawChannel,
    buffer: *mut c_void,
    len: u32,
    request: u64,
    kind: bindings::vmbus_packet_type,
    flags: u32,
) -> c_int {
    // SAFETY: See above.
    unsafe { vmbus_sendpacket_getid(channel, buffer, len, request, ptr::null_mut(), kind, flags) }
}

#[no_mangle]
unsafe extern "C" fn vmbus_sendpacket_mpb_desc(
    channel: RawChannel,
    ranges: *mut bindings::vmbus_packet_mpb_array,
    ranges_len: u32,
    buffer: *mut c_void,
    len: u32,
    request: u64,
) -> c_int {
    let (kind, flags) = (u32::from(packet::Kind::GPA_DIRECT.0), 1);
    let whole = len.saturating_add(ranges_len);
    let Some((word, padded)) = descriptor(kind, flags, ranges_len, whole) else {
        return EMSGSIZE.to_errno();
    };
    if ranges_len < DESCRIPTOR + 4 {
        return EINVAL.to_errno();
    }
    // SAFETY: See above. The descriptor and the reserved word behind it are the bus's to write.
    unsafe {
        let start = ranges.cast::<u64>();
        start.write_unaligned(word.to_le());
        start.add(1).write_unaligned(0);
        start.add(2).cast::<u32>().write_unaligned(0);
        let parts = Parts {
            head: bytes(ranges.cast(), ranges_len),
            body: bytes(buffer, len),
            len: padded,
            padding: (padded - whole) as usize,
            flags: flags as u16,
        };
        match Outbound::of(given(channel)).write(&parts, request) {
            Ok(_) => 0,
            Err(error) => error.to_errno(),
        }
    }
}

/// Copies the packet that is next, from `offset` on, which depends on the packet.
///
/// # Safety
///
/// As for the functions that call it.
unsafe fn receive(
    channel: RawChannel,
    buffer: *mut c_void,
    room: u32,
    len_out: *mut u32,
    id_out: *mut u64,
    offset: impl FnOnce(u16) -> u32,
) -> c_int {
    if room == 0 {
        return EINVAL.to_errno();
    }
    // SAFETY: By the safety requirement; the copy of a packet has lengths that fit.
    unsafe {
        let inbound = Inbound::of(given(channel));
        (*len_out, *id_out) = (0, 0);
        let packet = inbound.first();
        if packet.is_null() {
            return 0;
        }
        let offset = offset((*packet).offset8);
        let len = (u32::from((*packet).len8) << 3).saturating_sub(offset);
        (*len_out, *id_out) = (len, (*packet).trans_id);
        if len > room {
            return ENOBUFS.to_errno();
        }
        let from = packet.cast::<u8>().add(offset as usize);
        ptr::copy_nonoverlapping(from, buffer.cast(), len as usize);
        inbound.next(packet);
        inbound.release();
    }
    0
}

#[no_mangle]
unsafe extern "C" fn vmbus_recvpacket(
    channel: RawChannel,
    buffer: *mut c_void,
    room: u32,
    len_out: *mut u32,
    id_out: *mut u64,
) -> c_int {
    let payload = |offset8| u32::from(offset8) << 3;
    // SAFETY: See above.
    unsafe { receive(channel, buffer, room, len_out, id_out, payload) }
}

#[no_mangle]
unsafe extern "C" fn vmbus_recvpacket_raw(
    channel: RawChannel,
    buffer: *mut c_void,
    room: u32,
    len_out: *mut u32,
    id_out: *mut u64,
) -> c_int {
    // SAFETY: See above.
    unsafe { receive(channel, buffer, room, len_out, id_out, |_| 0) }
}

#[no_mangle]
unsafe extern "C" fn hv_pkt_iter_first(channel: RawChannel) -> *mut bindings::vmpacket_descriptor {
    // SAFETY: See above.
    unsafe { Inbound::of(given(channel)).first() }
}

#[no_mangle]
unsafe extern "C" fn __hv_pkt_iter_next(
    channel: RawChannel,
    packet: *const bindings::vmpacket_descriptor,
) -> *mut bindings::vmpacket_descriptor {
    // SAFETY: See above.
    unsafe { Inbound::of(given(channel)).next(packet) }
}

#[no_mangle]
unsafe extern "C" fn hv_pkt_iter_close(channel: RawChannel) {
    // SAFETY: See above.
    unsafe { Inbound::of(given(channel)).release() };
}

#[no_mangle]
unsafe extern "C" fn vmbus_setevent(channel: RawChannel) {
    // SAFETY: See above.
    unsafe { given(channel) }.signal();
}

#[no_mangle]
unsafe extern "C" fn vmbus_set_event(channel: RawChannel) {
    // SAFETY: See above.
    unsafe { given(channel) }.signal_event();
}

#[no_mangle]
unsafe extern "C" fn vmbus_send_modifychannel(channel: RawChannel, target_vp: u32) -> c_int {
    // SAFETY: See above.
    errno(bus::move_channel(unsafe { given(channel) }, target_vp))
}

#[no_mangle]
unsafe extern "C" fn vmbus_send_tl_connect_request(
    endpoint: *const bindings::guid_t,
    service: *const bindings::guid_t,
) -> c_int {
    // SAFETY: See above; 16 bytes each.
    let (endpoint, service) = unsafe { ((*endpoint).b, (*service).b) };
    errno(bus::connect_socket(Guid(endpoint), Guid(service)))
}

#[no_mangle]
unsafe extern "C" fn vmbus_set_sc_create_callback(
    channel: RawChannel,
    callback: Option<unsafe extern "C" fn(RawChannel)>,
) {
    // SAFETY: See above.
    unsafe { ptr::write_volatile(&raw mut (*channel).sc_creation_callback, callback) };
}

#[no_mangle]
unsafe extern "C" fn vmbus_set_chn_rescind_callback(
    channel: RawChannel,
    callback: Option<unsafe extern "C" fn(RawChannel)>,
) {
    // SAFETY: See above.
    unsafe { ptr::write_volatile(&raw mut (*channel).chn_rescind_callback, callback) };
}

/// The host always takes the channel of a socket away, so that is waited for.
#[no_mangle]
unsafe extern "C" fn vmbus_hvsock_device_unregister(channel: RawChannel) {
    // SAFETY: See above.
    let channel = unsafe { given(channel) };
    while !channel.is_probed() || !channel.is_rescinded() {
        fsleep(Delta::from_millis(1));
    }
    if let Some(device) = channel.device() {
        crate::device::unregister(device);
    }
}

#[no_mangle]
unsafe extern "C" fn vmbus_initiate_unload(crash: bool) {
    bus::unload(crash);
}

#[no_mangle]
unsafe extern "C" fn vmbus_is_confidential() -> bool {
    bus::is_confidential()
}

#[no_mangle]
unsafe extern "C" fn hv_ringbuffer_spinlock_busy(channel: RawChannel) -> bool {
    // SAFETY: See above.
    unsafe { bindings::spin_is_locked(&raw mut (*channel).outbound.ring_lock) }
}

#[no_mangle]
unsafe extern "C" fn hv_ringbuffer_get_debuginfo(
    ring: *mut bindings::hv_ring_buffer_info,
    info: *mut bindings::hv_ring_buffer_debug_info,
) -> c_int {
    // SAFETY: See above; the mutex keeps the ring mapped.
    unsafe {
        bindings::mutex_lock(&raw mut (*ring).ring_buffer_mutex);
        let seen = super::ring::look(ring);
        bindings::mutex_unlock(&raw mut (*ring).ring_buffer_mutex);
        match seen {
            Some(seen) => {
                *info = seen;
                0
            }
            None => EINVAL.to_errno(),
        }
    }
}

/// Posts a message of any type, as `mshv_vtl` does. Returns a status of the hypervisor's, or
/// `EMSGSIZE`.
#[no_mangle]
unsafe extern "C" fn hv_post_message(
    connection: u32,
    kind: u32,
    payload: *mut c_void,
    len: usize,
) -> c_int {
    // SAFETY: See above.
    let payload = unsafe { bytes(payload, len.min(u32::MAX as usize) as u32) };
    if payload.len() > PAYLOAD_SIZE {
        return EMSGSIZE.to_errno();
    }
    let message = PostMessage {
        connection,
        kind,
        payload,
    };
    c_int::from(bus::post_raw(message).0)
}

const _: () = assert!(REQUEST_ERROR == u64::MAX - 1);
