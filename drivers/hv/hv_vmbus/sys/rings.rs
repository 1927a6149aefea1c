// SPDX-License-Identifier: GPL-2.0

//! The memory of a channel's rings: one piece, the ring to the host first.
//!
//! Each ring is mapped once more: its control page, and its data twice. Drivers that map rings into
//! processes look at these fields, too.

use super::{
    bindings,
    Channel, //
};
use core::{
    mem::size_of,
    ptr, //
};
use guest::hyperv::cpus;
use kernel::{
    error::to_result,
    prelude::*, //
};
use protocol::hyperv::PAGE_SIZE;

/// `struct vmbus_gpadl`: memory that the host is told of.
pub(crate) type Gpadl = bindings::vmbus_gpadl;

const PAGE: usize = PAGE_SIZE as usize;
/// Most bytes of a packet that comes in, unless a driver says otherwise.
const DEFAULT_PACKET: u32 = 4096;

/// What is called when packets come in.
#[derive(Clone, Copy)]
pub(crate) struct Callback {
    pub(super) function: Option<unsafe extern "C" fn(*mut c_void)>,
    pub(super) context: *mut c_void,
}

/// The physical page at an address.
pub(crate) fn pfn_at(address: usize) -> u64 {
    // SAFETY: The address is that of memory of the kernel's, as who asks has allocated it.
    (unsafe { bindings::address_to_pfn(address as *mut c_void) }) as u64
}

fn page_count(size: u32) -> c_int {
    size.div_ceil(PAGE_SIZE) as c_int
}

/// Lets the host see memory.
pub(crate) fn decrypt(address: usize, size: u32) -> Result {
    // SAFETY: The memory is whole pages of the caller's.
    to_result(unsafe { bindings::set_memory_decrypted(address, page_count(size)) })
}

/// Hides memory from the host again.
pub(crate) fn encrypt(address: usize, size: u32) -> Result {
    // SAFETY: As above.
    to_result(unsafe { bindings::set_memory_encrypted(address, page_count(size)) })
}

fn order(pages: usize) -> u32 {
    pages.next_power_of_two().trailing_zeros()
}

impl Channel {
    /// Allocates the memory of both rings, near the processor that is interrupted.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a size is not that of a ring, `ENOMEM`.
    pub(crate) fn alloc_rings(self, send: u32, receive: u32) -> Result {
        let is_ring = |size: u32| size % PAGE_SIZE == 0 && size >= 2 * PAGE_SIZE;
        let total = send.checked_add(receive).ok_or(EINVAL)?;
        if !is_ring(send) || !is_ring(receive) || total > i32::MAX as u32 {
            return Err(EINVAL);
        }
        let pages = total as usize / PAGE;
        let gfp = bindings::GFP_KERNEL | bindings::__GFP_ZERO;
        let raw = self.as_raw();
        // SAFETY: A valid channel that has no rings; the node is one that there is.
        unsafe {
            let near = cpus::node(self.cpu());
            let mut page = bindings::alloc_pages_node(near, gfp, order(pages));
            if page.is_null() {
                page = bindings::alloc_pages(gfp, order(pages));
            }
            if page.is_null() {
                return Err(ENOMEM);
            }
            (*raw).ringbuffer_page = page;
            (*raw).ringbuffer_pagecount = pages as u32;
            (*raw).ringbuffer_send_offset = send / PAGE_SIZE;
        }
        Ok(())
    }

    /// Whether there is memory for rings.
    pub(crate) fn has_rings(self) -> bool {
        // SAFETY: A valid channel.
        unsafe { !(*self.as_raw()).ringbuffer_page.is_null() }
    }

    /// Address and size of the memory.
    pub(crate) fn ring_memory(self) -> (usize, u32) {
        let raw = self.as_raw();
        // SAFETY: A valid channel that has rings.
        unsafe {
            let address = bindings::page_address((*raw).ringbuffer_page);
            (address as usize, (*raw).ringbuffer_pagecount * PAGE_SIZE)
        }
    }

    /// Bytes of the ring to the host, with its control page.
    pub(crate) fn send_ring_size(self) -> u32 {
        // SAFETY: A valid channel that has rings.
        unsafe { (*self.as_raw()).ringbuffer_send_offset * PAGE_SIZE }
    }

    pub(crate) fn ring_gpadl(self) -> Gpadl {
        // SAFETY: A valid channel.
        unsafe { ptr::read(&raw const (*self.as_raw()).ringbuffer_gpadlhandle) }
    }

    pub(crate) fn set_ring_gpadl(self, gpadl: Gpadl) {
        // SAFETY: A valid channel; who opens or closes it has these fields to himself.
        unsafe { ptr::write(&raw mut (*self.as_raw()).ringbuffer_gpadlhandle, gpadl) };
    }

    /// Maps both rings, empty. Those of a channel that was only disconnected still are.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn map_rings(self) -> Result {
        self.unmap_rings();
        let raw = self.as_raw();
        // SAFETY: A valid channel that has rings, which nobody uses yet.
        unsafe {
            let (send, all) = ((*raw).ringbuffer_send_offset, (*raw).ringbuffer_pagecount);
            if (*raw).max_pkt_size == 0 {
                (*raw).max_pkt_size = DEFAULT_PACKET;
            }
            let (shared, first) = (!(*raw).co_ring_buffer, (*raw).ringbuffer_page);
            map(&raw mut (*raw).outbound, first, send, 0, shared)?;
            let second = bindings::nth_page(first, send as usize);
            let packet = (*raw).max_pkt_size;
            map(&raw mut (*raw).inbound, second, all - send, packet, shared)
        }
    }

    /// Undoes [`Channel::map_rings`], as far as that came.
    pub(crate) fn unmap_rings(self) {
        let raw = self.as_raw();
        // SAFETY: A valid channel that is closed, so that nobody uses its rings; who looks at them
        // otherwise has the mutex.
        unsafe {
            unmap(&raw mut (*raw).outbound);
            unmap(&raw mut (*raw).inbound);
        }
    }

    /// Frees the memory, unless nobody knows whether the host still sees it.
    pub(crate) fn free_rings(self) {
        self.unmap_rings();
        let raw = self.as_raw();
        // SAFETY: A valid channel that is closed; the memory was allocated by `alloc_rings`.
        unsafe {
            let page = ptr::replace(&raw mut (*raw).ringbuffer_page, ptr::null_mut());
            if !page.is_null() && !(*raw).ringbuffer_gpadlhandle.decrypted {
                bindings::__free_pages(page, order((*raw).ringbuffer_pagecount as usize));
            }
        }
    }

    /// The memory may still be the host's: it is never used again.
    pub(crate) fn leak_rings(self) {
        // SAFETY: A valid channel that is closed.
        unsafe { (*self.as_raw()).ringbuffer_page = ptr::null_mut() };
    }

    pub(crate) fn set_callback(self, callback: Callback) {
        let raw = self.as_raw();
        // SAFETY: A valid channel. The context is there before anybody calls.
        unsafe {
            (*raw).channel_callback_context = callback.context;
            let flags = bindings::spin_lock_irqsave(&raw mut (*raw).sched_lock);
            ptr::write_volatile(&raw mut (*raw).onchannel_callback, callback.function);
            bindings::spin_unlock_irqrestore(&raw mut (*raw).sched_lock, flags);
        }
    }

    /// Takes the callback back, of a channel that was not opened after all. Sleeps.
    pub(crate) fn silence_callback(self) {
        let raw = self.as_raw();
        // SAFETY: A valid channel.
        let subs = unsafe { ptr::read_volatile(&raw const (*raw).sc_creation_callback) };
        self.silence();
        // SAFETY: As above; its driver may still be given sub-channels.
        unsafe { ptr::write_volatile(&raw mut (*raw).sc_creation_callback, subs) };
    }
}

/// # Safety
///
/// `info` must be that of a closed channel, and `first` the first of `count` pages.
unsafe fn map(
    info: *mut bindings::hv_ring_buffer_info,
    first: *mut bindings::page,
    count: u32,
    packet: u32,
    shared: bool,
) -> Result {
    let data = count as usize - 1;
    let mut pages = KVVec::with_capacity(1 + 2 * data, GFP_KERNEL)?;
    for at in Iterator::chain(0..=data, 1..=data) {
        // SAFETY: One of the pages.
        pages.push(unsafe { bindings::nth_page(first, at) }, GFP_KERNEL)?;
    }
    // SAFETY: By the safety requirement.
    unsafe {
        let base = bindings::vmap_pages(pages.as_mut_ptr(), pages.len() as u32, shared);
        if base.is_null() {
            return Err(ENOMEM);
        }
        // Decrypting may have changed the page.
        ptr::write_bytes(base.cast::<u8>(), 0, PAGE);
        (*info).ring_buffer = base.cast();
        protocol::vmbus::ring::control::announce(&guest::hyperv::page::Memory::new(
            ptr::NonNull::new_unchecked(base.cast()),
            PAGE_SIZE,
        ));
        (*info).ring_size = count * PAGE_SIZE;
        (*info).ring_datasize = (*info).ring_size - PAGE_SIZE;
        (*info).ring_size_div10_reciprocal = bindings::reciprocal_value((*info).ring_size / 10);
        (*info).priv_read_index = 0;
        if packet > 0 {
            let buffer = KVec::<u64>::from_elem(0, packet.div_ceil(8) as usize, GFP_KERNEL)?;
            let (buffer, _, _) = buffer.into_raw_parts();
            (*info).pkt_buffer = buffer.cast();
            (*info).pkt_buffer_size = packet;
        }
    }
    Ok(())
}

/// # Safety
///
/// `info` must be that of a closed channel.
unsafe fn unmap(info: *mut bindings::hv_ring_buffer_info) {
    // SAFETY: By the safety requirement; what is freed was allocated by `map`.
    unsafe {
        bindings::mutex_lock(&raw mut (*info).ring_buffer_mutex);
        let base = ptr::replace(&raw mut (*info).ring_buffer, ptr::null_mut());
        bindings::mutex_unlock(&raw mut (*info).ring_buffer_mutex);
        if !base.is_null() {
            bindings::vunmap(base.cast());
        }
        bindings::kfree(ptr::replace(&raw mut (*info).pkt_buffer, ptr::null_mut()).cast_const());
        (*info).pkt_buffer_size = 0;
    }
}

/// Memory for a driver, of which the host is to be told, and the pieces that it is made of. Null if
/// there is none.
///
/// # Safety
///
/// The pointers must be valid for writes.
#[no_mangle]
unsafe extern "C" fn vmbus_alloc_buffer(
    channel: *mut bindings::vmbus_channel,
    size: u32,
    chunks_out: *mut *mut *mut bindings::page,
    chunk_cnt_out: *mut u32,
) -> *mut c_void {
    // SAFETY: By the safety requirement.
    unsafe {
        *chunks_out = ptr::null_mut();
        *chunk_cnt_out = 0;
        let Some(channel) = Channel::from_raw(channel) else {
            return ptr::null_mut();
        };
        let pages = size.div_ceil(PAGE_SIZE) as usize;
        let (_, is_confidential) = channel.confidential();
        if !guest::hyperv::platform::is_isolated() || is_confidential {
            return bindings::vzalloc_pages(pages);
        }
        let mut chunks = Chunks::default();
        match chunks.fill(pages, cpus::node(channel.cpu())) {
            Ok(address) => {
                let (list, count) = chunks.give();
                *chunks_out = list;
                *chunk_cnt_out = count;
                address
            }
            Err(_) => ptr::null_mut(),
        }
    }
}

/// Frees what [`vmbus_alloc_buffer`] has returned.
///
/// # Safety
///
/// It must be that, and nobody may use it.
#[no_mangle]
unsafe extern "C" fn vmbus_free_buffer(
    address: *mut c_void,
    chunks: *mut *mut bindings::page,
    chunk_cnt: u32,
) {
    // SAFETY: By the safety requirement.
    unsafe {
        if chunks.is_null() {
            return bindings::vfree(address);
        }
        bindings::vunmap(address);
        drop(Chunks {
            list: KVVec::from_raw_parts(chunks, chunk_cnt as usize, chunk_cnt as usize),
        });
    }
}

/// Pieces of memory that the host sees. One whose state nobody knows is not among them any more.
#[derive(Default)]
struct Chunks {
    list: KVVec<*mut bindings::page>,
}

/// The largest piece: the kernel's largest.
const LARGEST: u32 = 10;

impl Chunks {
    fn fill(&mut self, pages: usize, node: i32) -> Result<*mut c_void> {
        let mut mapped = KVVec::with_capacity(pages, GFP_KERNEL)?;
        let mut largest = LARGEST;
        while mapped.len() < pages {
            let left = pages - mapped.len();
            let order = largest.min(left.ilog2());
            let Some(page) = self.add(order, node)? else {
                largest = order.checked_sub(1).ok_or(ENOMEM)?;
                continue;
            };
            for at in 0..1_usize << order {
                // SAFETY: One of the pages of the piece.
                mapped.push(unsafe { bindings::nth_page(page, at) }, GFP_KERNEL)?;
            }
        }
        // SAFETY: Pages that are ours.
        unsafe {
            let address = bindings::vmap_pages(mapped.as_mut_ptr(), pages as u32, true);
            if address.is_null() {
                return Err(ENOMEM);
            }
            ptr::write_bytes(address.cast::<u8>(), 0, pages * PAGE);
            Ok(address)
        }
    }

    /// Adds a piece of so many pages, if there is one.
    fn add(&mut self, order: u32, node: i32) -> Result<Option<*mut bindings::page>> {
        self.list.reserve(1, GFP_KERNEL)?;
        let mut gfp = bindings::GFP_KERNEL | bindings::__GFP_ZERO;
        if order > 0 {
            gfp |= bindings::__GFP_COMP | bindings::__GFP_NORETRY | bindings::__GFP_NOWARN;
        }
        // SAFETY: A node that there is. A piece that cannot be decrypted is left alone.
        unsafe {
            let page = bindings::alloc_pages_node(node, gfp, order);
            if page.is_null() {
                return Ok(None);
            }
            decrypt(bindings::page_address(page) as usize, PAGE_SIZE << order)?;
            self.list.push(page, GFP_KERNEL)?;
            Ok(Some(page))
        }
    }

    /// The list, for who frees it later.
    fn give(mut self) -> (*mut *mut bindings::page, u32) {
        let list = core::mem::replace(&mut self.list, KVVec::new());
        let mut list = core::mem::ManuallyDrop::new(list);
        // Its capacity has to be known by its length.
        let count = list.len() as u32;
        (list.as_mut_ptr(), count)
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        for page in self.list.iter().copied() {
            // SAFETY: A piece of ours that nothing maps any more.
            unsafe {
                let order = bindings::folio_order_of(page);
                let address = bindings::page_address(page) as usize;
                if encrypt(address, PAGE_SIZE << order).is_ok() {
                    bindings::__free_pages(page, order);
                }
            }
        }
    }
}

const _: () = assert!(size_of::<bindings::hv_ring_buffer>() == PAGE);
