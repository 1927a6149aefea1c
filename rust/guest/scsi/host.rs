// SPDX-License-Identifier: GPL-2.0

//! A host that is registered with the SCSI layer.

use super::{
    fibre_channel::{
        self,
        Names,
        Transport, //
    },
    template::Template,
    Driver,
    HostRef, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::size_of,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    device,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        rcu,
        Arc,
        ArcBorrow, //
    }, //
};

/// What a host can do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Hardware queues, at least 1.
    pub queues: u32,
    /// Maps of hardware queues, by [`QueueKind::maps`](super::QueueKind::maps).
    pub maps: u32,
    /// Commands in flight on each hardware queue.
    pub queue_depth: u32,
    /// Commands in flight to each device.
    pub commands_per_device: u32,
    /// Pieces of data in each command, and of protection information if there is any.
    pub segments: u16,
    /// Sectors of 512 bytes in each command.
    pub sectors: u32,
    /// Bytes in the command descriptor block.
    pub cdb_len: u16,
    /// Buses.
    pub channels: u32,
    /// Targets on each bus.
    pub targets: u32,
    /// Logical units of each target, as the SCSI layer counts them.
    pub luns: u64,
    /// What becomes of protection information.
    pub protection: Protection,
    /// No gaps: all pieces of data but the first begin at a multiple of this plus one, and all but
    /// the last end there. 0 if there may be gaps.
    pub gap_boundary: usize,
    /// Whether WRITE SAME is never sent.
    pub no_write_same: bool,
}

impl Limits {
    /// The limits of a simple host: one queue, and one unit of one target.
    pub const SIMPLE: Self = Self {
        queues: 1,
        maps: 1,
        queue_depth: 16,
        commands_per_device: 16,
        segments: 128,
        sectors: 1024,
        cdb_len: 16,
        channels: 1,
        targets: 1,
        luns: 1,
        protection: Protection::None,
        gap_boundary: 0,
        no_write_same: false,
    };
}

/// What a host does with protection information (PI): eight bytes a block with a checksum (guard)
/// and the block's address, known as T10 DIF between host and device and as DIX between
/// memory and host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It knows nothing of it.
    None,
    /// It takes and gives PI of types 1 to 3 with a CRC as guard.
    Crc,
}

impl Protection {
    /// What the SCSI layer is told: capabilities and guard.
    const fn raw(self) -> (u32, u8) {
        match self {
            Self::None => (0, 0),
            Self::Crc => (
                bindings::scsi_host_prot_capabilities_SHOST_DIF_TYPE1_PROTECTION
                    | bindings::scsi_host_prot_capabilities_SHOST_DIF_TYPE2_PROTECTION
                    | bindings::scsi_host_prot_capabilities_SHOST_DIF_TYPE3_PROTECTION
                    | bindings::scsi_host_prot_capabilities_SHOST_DIX_TYPE1_PROTECTION
                    | bindings::scsi_host_prot_capabilities_SHOST_DIX_TYPE2_PROTECTION
                    | bindings::scsi_host_prot_capabilities_SHOST_DIX_TYPE3_PROTECTION,
                bindings::scsi_host_guard_type_SHOST_DIX_GUARD_CRC as u8,
            ),
        }
    }
}

/// Room for what a driver says of a host, and a zero.
const INFO_SIZE: usize = 128;

/// What is in the part of a `struct Scsi_Host` that is the driver's.
///
/// # Invariants
///
/// `driver` is an `Arc` of `T` as a raw pointer, or null before the host is registered and an RCU
/// grace period after it is not any more. `info` ends with a zero, and does not change once the host
/// is registered.
pub(super) struct HostData<T> {
    driver: Atomic<*mut T>,
    info: [u8; INFO_SIZE],
}

impl<T: Driver> HostData<T> {
    /// # Safety
    ///
    /// `shost` must be valid for `'a`, and allocated by [`Host::register`] with this `T`.
    unsafe fn of<'a>(shost: *mut bindings::Scsi_Host) -> &'a Self {
        // SAFETY: The space was allocated with the host, and zeros are valid.
        unsafe { &*(&raw const (*shost).hostdata).cast() }
    }

    /// What the driver says of a host, for as long as that is valid.
    ///
    /// # Safety
    ///
    /// As for `of`.
    pub(super) unsafe fn info(shost: *mut bindings::Scsi_Host) -> *const c_char {
        // SAFETY: By the safety requirement.
        unsafe { Self::of(shost) }.info.as_ptr().cast()
    }

    /// Copies what the driver says of a host to where it stays.
    ///
    /// # Safety
    ///
    /// `shost` must be allocated by [`Host::register`] with this `T`, and not be registered.
    unsafe fn set_info(shost: *mut bindings::Scsi_Host, info: &CStr) {
        // SAFETY: By the safety requirement, the space is there and nobody else uses it.
        let room = unsafe {
            let data = (&raw mut (*shost).hostdata).cast::<Self>();
            &mut (*data).info
        };
        // INVARIANT: The last byte stays zero, as all of the space was.
        for (to, from) in room.iter_mut().zip(info.to_bytes()).take(INFO_SIZE - 1) {
            *to = *from;
        }
    }

    /// The driver of a host.
    ///
    /// # Safety
    ///
    /// As for `of`, and the host must be registered during `'a`.
    #[inline]
    pub(super) unsafe fn driver<'a>(shost: *mut bindings::Scsi_Host) -> &'a T {
        // SAFETY: By the safety requirement, and the type invariant. The pointer does not change
        // while the host is registered.
        unsafe { &**Self::of(shost).driver.as_ptr() }
    }

    /// The driver of a host, unless that is not registered any more.
    ///
    /// # Safety
    ///
    /// As for `of`.
    pub(super) unsafe fn upgrade(shost: *mut bindings::Scsi_Host) -> Option<Arc<T>> {
        let _rcu = rcu::read_lock();
        // SAFETY: By the safety requirement.
        let driver = unsafe { Self::of(shost) }.driver.load(Acquire);
        if driver.is_null() {
            return None;
        }
        // SAFETY: By the type invariant, and we are in an RCU read-side section.
        Some(unsafe { ArcBorrow::from_raw(driver) }.into())
    }
}

/// A host that is registered with the SCSI layer. Dropping it removes the host, with its devices,
/// after what they have in flight was completed. That sleeps.
///
/// # Invariants
///
/// `shost` is a host with the template of `T`, of which we hold a reference. It is registered, with
/// `port` if there is one.
pub struct Host<T: Driver> {
    shost: NonNull<bindings::Scsi_Host>,
    /// Of a port of Fibre Channel. Dropped last.
    port: Option<Arc<fibre_channel::Template>>,
    _driver: PhantomData<Arc<T>>,
}

// SAFETY: A host may be used from any thread.
unsafe impl<T: Driver> Send for Host<T> {}

// SAFETY: A host may be used from any thread.
unsafe impl<T: Driver> Sync for Host<T> {}

impl<T: Driver> Host<T> {
    /// Registers a host as a child of `parent`, which is also what does DMA for it.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the limits make no sense, `ENOMEM`, or what the SCSI layer says.
    pub fn register(
        parent: &device::Device<device::Bound>,
        driver: Arc<T>,
        limits: &Limits,
    ) -> Result<Self> {
        Self::register_with(parent, driver, limits, None)
    }

    /// Registers a host that is a port of Fibre Channel, with these names.
    ///
    /// # Errors
    ///
    /// As for [`register`](Self::register), or `ENODEV` if the module is not attached to the class.
    pub fn register_port(
        parent: &device::Device<device::Bound>,
        driver: Arc<T>,
        limits: &Limits,
        transport: &Transport,
        names: Names,
    ) -> Result<Self> {
        let host = Self::register_with(parent, driver, limits, transport.template()?)?;
        if host.port.is_some() {
            // SAFETY: The host was just registered, with a template of the class.
            unsafe {
                fibre_channel::set_names(host.shost, names);
                fibre_channel::add_remote_port(host.shost)?;
            }
        }
        Ok(host)
    }

    fn register_with(
        parent: &device::Device<device::Bound>,
        driver: Arc<T>,
        limits: &Limits,
        port: Option<Arc<fibre_channel::Template>>,
    ) -> Result<Self> {
        Template::<T>::check()?;
        let info = if T::HAS_INFO {
            Some(driver.info()?)
        } else {
            None
        };
        // SAFETY: The template is a constant. The private part is zeroed.
        let shost = unsafe {
            bindings::scsi_host_alloc(Template::<T>::VALUE, size_of::<HostData<T>>() as c_int)
        };
        let shost = NonNull::new(shost).ok_or(ENOMEM)?;
        if let Some(info) = info {
            // SAFETY: The host is new, and not registered.
            unsafe { HostData::<T>::set_info(shost.as_ptr(), &info) };
        }
        if let Some(port) = &port {
            // SAFETY: As above. The host has a reference for as long as it looks at this.
            unsafe { (*shost.as_ptr()).transportt = port.as_raw() };
        }
        // SAFETY: As above.
        let result = unsafe { limits.apply(shost.as_ptr()) };
        // SAFETY: The host is valid; its private part is that of `T`.
        let slot = &unsafe { HostData::<T>::of(shost.as_ptr()) }.driver;
        slot.store(Arc::into_raw(driver).cast_mut(), Release);

        // CAST: A `device::Device` is transparent over a `struct device`.
        let parent = ptr::from_ref(parent).cast_mut().cast::<bindings::device>();
        let result = result.and_then(|()| {
            // SAFETY: The host is complete, and the parent is valid.
            to_result(unsafe { bindings::scsi_add_host_with_dma(shost.as_ptr(), parent, parent) })
        });
        if let Err(error) = result {
            // SAFETY: The host was not registered, and this is our reference.
            unsafe { Self::release(shost) };
            return Err(error);
        }
        // INVARIANT: It is registered now.
        Ok(Self {
            shost,
            port,
            _driver: PhantomData,
        })
    }

    /// The number of the host in the system.
    pub fn number(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.shost.as_ptr()).host_no }
    }

    /// A reference to the host.
    pub fn reference(&self) -> HostRef {
        // SAFETY: Registered by the type invariant, with the template that is passed.
        unsafe { HostRef::new(self.shost, self.port.clone()) }
    }

    /// Takes the driver from a host, and gives the reference to it up.
    ///
    /// # Safety
    ///
    /// The host must not be registered, and `shost` a reference that the caller gives up.
    unsafe fn release(shost: NonNull<bindings::Scsi_Host>) {
        // SAFETY: The host is valid; its private part is that of `T`.
        let slot = &unsafe { HostData::<T>::of(shost.as_ptr()) }.driver;
        let driver = slot.xchg(ptr::null_mut(), Relaxed);
        rcu::synchronize_rcu();
        // SAFETY: Made in `register`. Nobody who got it from the slot is without a reference of
        // his own any more.
        drop(unsafe { Arc::from_raw(driver.cast_const()) });
        // SAFETY: By the safety requirement.
        unsafe { bindings::scsi_host_put(shost.as_ptr()) };
    }
}

impl<T: Driver> Drop for Host<T> {
    fn drop(&mut self) {
        if let Some(port) = &self.port {
            // SAFETY: The host is registered by the type invariant, with this template, and is
            // dropped once.
            unsafe { port.remove(self.shost) };
        }
        // SAFETY: The host is registered by the type invariant.
        unsafe { bindings::scsi_remove_host(self.shost.as_ptr()) };
        // SAFETY: It was just removed, and the reference is ours by the type invariant.
        unsafe { Self::release(self.shost) };
    }
}

impl Limits {
    /// # Safety
    ///
    /// `shost` must be valid and not registered. It has a thread already, which does not look at
    /// the limits.
    unsafe fn apply(&self, shost: *mut bindings::Scsi_Host) -> Result {
        let queue_depth = i16::try_from(self.queue_depth).unwrap_or(i16::MAX);
        let per_device = i16::try_from(self.commands_per_device).unwrap_or(i16::MAX);
        if queue_depth == 0 || per_device == 0 || self.queues == 0 || self.segments == 0 {
            return Err(EINVAL);
        }
        let (capabilities, guard) = self.protection.raw();
        // SAFETY: By the safety requirement.
        unsafe {
            (*shost).nr_hw_queues = self.queues;
            (*shost).nr_maps = self.maps;
            (*shost).can_queue = queue_depth.into();
            (*shost).cmd_per_lun = per_device.min(queue_depth);
            (*shost).sg_tablesize = self.segments;
            (*shost).max_sectors = self.sectors;
            (*shost).max_cmd_len = self.cdb_len;
            (*shost).max_channel = self.channels.saturating_sub(1);
            (*shost).max_id = self.targets;
            (*shost).max_lun = self.luns;
            if self.gap_boundary != 0 {
                // Without gaps a piece may be as long as it likes.
                (*shost).virt_boundary_mask = self.gap_boundary;
                (*shost).max_segment_size = u32::MAX;
            }
            (*shost).set_no_write_same(self.no_write_same.into());
            (*shost).prot_capabilities = capabilities;
            (*shost).prot_guard_type = guard;
            if capabilities != 0 {
                (*shost).sg_prot_tablesize = self.segments;
            }
        }
        Ok(())
    }
}
