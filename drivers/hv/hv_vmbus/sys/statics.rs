// SPDX-License-Identifier: GPL-2.0

//! The variables that this module exports, and the tables behind them.
//!
//! `drivers/hv/hyperv_vmbus.h` declares them for the few drivers that include it: `uio_hv_generic`
//! reads the pages of `vmbus_connection` and the table of classes, and takes the mutex that is there;
//! `mshv_vtl` reads the pages of `hv_context`. What is behind that is not kept here.

use super::{
    bindings,
    lock::init_mutex,
    Channel, //
};
use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{
        AtomicU32,
        Ordering, //
    }, //
};
use guest::hyperv::page::SharedPage;
use kernel::static_lock_class;
use protocol::vmbus::{
    class::{
        self,
        Class, //
    },
    message::Offer,
    Version, //
};

/// The version that was negotiated, or 0.
#[no_mangle]
static vmbus_proto_version: AtomicU32 = AtomicU32::new(0);

/// The version that was negotiated, if one was.
pub(crate) fn version() -> Option<Version> {
    match vmbus_proto_version.load(Ordering::Relaxed) {
        0 => None,
        version => Some(Version(version)),
    }
}

pub(crate) fn set_version(version: Option<Version>) {
    vmbus_proto_version.store(version.map_or(0, |version| version.0), Ordering::Relaxed);
}

/// The beginning of `struct vmbus_connection`. Its lists and its spinlock are for nobody.
#[repr(C)]
pub(crate) struct Connection {
    msg_conn_id: u32,
    offer_in_progress: u32,
    conn_state: u32,
    next_gpadl_handle: u32,
    unload_event: MaybeUninit<bindings::completion>,
    int_page: UnsafeCell<*mut u8>,
    send_int_page: UnsafeCell<*mut u8>,
    recv_int_page: UnsafeCell<*mut u8>,
    monitor_pages: UnsafeCell<[*mut u8; 2]>,
    chn_msg_list: MaybeUninit<bindings::list_head>,
    channelmsg_lock: MaybeUninit<bindings::spinlock_t>,
    chn_list: MaybeUninit<bindings::list_head>,
    channel_mutex: UnsafeCell<MaybeUninit<bindings::mutex>>,
}

// SAFETY: The pointers change only while there is no channel; the pages are accessed atomically. The
// mutex is one.
unsafe impl Sync for Connection {}

/// What the host has been told of.
#[export_name = "vmbus_connection"]
pub(crate) static CONNECTION: Connection = Connection {
    msg_conn_id: 0,
    offer_in_progress: 0,
    conn_state: 0,
    next_gpadl_handle: 0,
    unload_event: MaybeUninit::zeroed(),
    int_page: UnsafeCell::new(ptr::null_mut()),
    send_int_page: UnsafeCell::new(ptr::null_mut()),
    recv_int_page: UnsafeCell::new(ptr::null_mut()),
    monitor_pages: UnsafeCell::new([ptr::null_mut(); 2]),
    chn_msg_list: MaybeUninit::zeroed(),
    channelmsg_lock: MaybeUninit::zeroed(),
    chn_list: MaybeUninit::zeroed(),
    channel_mutex: UnsafeCell::new(MaybeUninit::zeroed()),
};

/// Bytes of each half of the interrupt page.
const HALF_PAGE: usize = 2048;
/// Where the groups of a monitor page begin, and how far they are apart.
const TRIGGER_GROUPS: usize = 8;

impl Connection {
    /// Makes the mutex.
    ///
    /// # Safety
    ///
    /// Once, before there is a channel or a driver.
    pub(super) unsafe fn init(&self) {
        let class = static_lock_class!();
        // SAFETY: By the safety requirement.
        unsafe { init_mutex(self.channel_mutex.get().cast(), c"vmbus_connection", class) };
    }

    /// Calls `f` with the mutex held. It must not sleep for long.
    pub(super) fn with_lists(&self, f: impl FnOnce()) {
        let mutex = self.channel_mutex.get().cast();
        // SAFETY: Made before there was a channel.
        unsafe { bindings::mutex_lock(mutex) };
        f();
        // SAFETY: Locked above.
        unsafe { bindings::mutex_unlock(mutex) };
    }

    /// Sets the pages, or none. There must be no channel.
    ///
    /// # Safety
    ///
    /// They must be pages until others are set.
    pub(crate) unsafe fn set_pages(&self, interrupts: *mut u8, monitors: [*mut u8; 2]) {
        let to_host = if interrupts.is_null() {
            interrupts
        } else {
            interrupts.wrapping_add(HALF_PAGE)
        };
        // SAFETY: Nobody reads them while there is no channel.
        unsafe {
            self.int_page.get().write_volatile(interrupts);
            self.recv_int_page.get().write_volatile(interrupts);
            self.send_int_page.get().write_volatile(to_host);
            self.monitor_pages.get().write_volatile(monitors);
        }
    }

    /// The page by which the guest triggers, or the host; or null.
    pub(crate) fn monitor_page(&self, of_guest: bool) -> *mut u8 {
        // SAFETY: The pages stay while there is a channel.
        let [to_guest, to_host] = unsafe { self.monitor_pages.get().read() };
        if of_guest {
            to_host
        } else {
            to_guest
        }
    }

    /// Sets the bit of a channel for the host.
    #[inline]
    pub(crate) fn raise_bit(&self, relid: u32) {
        // SAFETY: The pages stay while there is a channel.
        let page = unsafe { self.send_int_page.get().read() };
        let word = (relid / 32) as usize;
        if page.is_null() || word >= HALF_PAGE / 4 {
            return;
        }
        // SAFETY: Inside of half a page, aligned, and accessed atomically by everybody.
        unsafe { AtomicU32::from_ptr(page.cast::<u32>().add(word)) }
            .fetch_or(1 << (relid % 32), Ordering::SeqCst);
    }

    /// Sets a trigger in the guest's monitor page. There are four groups of 32.
    pub(crate) fn trigger(&self, group: u8, bit: u8) {
        // SAFETY: As above.
        let [_, page] = unsafe { self.monitor_pages.get().read() };
        if page.is_null() || group >= 4 {
            return;
        }
        // SAFETY: Inside of the page, aligned, and accessed atomically by everybody.
        unsafe { AtomicU32::from_ptr(page.add(TRIGGER_GROUPS + usize::from(group) * 8).cast()) }
            .fetch_or(1 << (bit % 32), Ordering::SeqCst);
    }
}

/// Has the pages in use, or none. There must be no channel, which holds at the beginning and at
/// the end of a connection.
pub(crate) fn set_pages(pages: Option<(&SharedPage, &[SharedPage; 2])>) {
    let (interrupts, monitors) = match pages {
        Some((interrupts, [first, second])) => {
            (interrupts.as_ptr(), [first.as_ptr(), second.as_ptr()])
        }
        None => (ptr::null_mut(), [ptr::null_mut(); 2]),
    };
    // SAFETY: The bus has the pages until it says that there are none.
    unsafe { CONNECTION.set_pages(interrupts, monitors) };
}

/// `struct vmbus_device`.
#[repr(C)]
#[derive(Clone, Copy)]
struct KnownClass {
    pref_ring_size: usize,
    dev_type: u16,
    guid: [u8; 16],
    perf_device: bool,
    allowed_in_isolated: bool,
}

/// Number of classes that have one, and the number of all others.
const UNKNOWN: usize = 16;
const FILE_COPY: usize = 13;
/// Bytes of a ring of copying files, and of a device that nobody knows.
const FILE_COPY_RING: usize = 0x4000;
const UNKNOWN_RING: usize = 0x11000;

const fn known_class(number: usize, class: &Class) -> KnownClass {
    KnownClass {
        pref_ring_size: if number == FILE_COPY {
            FILE_COPY_RING
        } else {
            0
        },
        dev_type: number as u16,
        guid: class.guid.0,
        perf_device: class.is_fast,
        allowed_in_isolated: class.in_isolation,
    }
}

/// The classes by their numbers, which are those of `enum vmbus_device_type`.
#[no_mangle]
static vmbus_devs: [KnownClass; UNKNOWN + 1] = {
    let mut table = [KnownClass {
        pref_ring_size: UNKNOWN_RING,
        dev_type: UNKNOWN as u16,
        guid: [0; 16],
        perf_device: false,
        allowed_in_isolated: false,
    }; UNKNOWN + 1];
    let mut number = 0;
    while number < UNKNOWN {
        table[number] = known_class(number, &class::ALL[number]);
        number += 1;
    }
    table
};

/// The number of an offer's class. Sockets have none, whatever their GUID.
pub(crate) fn class_number(offer: &Offer) -> u16 {
    let is_it = |known: &&KnownClass| known.guid == offer.class.0;
    let known = vmbus_devs.iter().take(UNKNOWN).find(is_it);
    match known {
        Some(known) if !offer.is_socket() => known.dev_type,
        _ => UNKNOWN as u16,
    }
}

impl Channel {
    /// Whether it is worth spreading over the processors.
    pub(crate) fn is_fast(self) -> bool {
        // SAFETY: A valid channel.
        let number = unsafe { (*self.as_raw()).device_id };
        vmbus_devs
            .get(usize::from(number))
            .is_some_and(|known| known.perf_device)
    }
}
