// SPDX-License-Identifier: GPL-2.0

//! Drivers of devices: `struct hv_driver`, and the functions by which modules register them.

use super::{
    bindings,
    bus_type,
    root,
    Channel,
    Device, //
};
use crate::device::matching;
use core::{
    iter,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};
use protocol::vmbus::Guid;

/// A driver.
///
/// # Invariants
///
/// It is registered, or in the middle of being unregistered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Driver(NonNull<bindings::hv_driver>);

// SAFETY: A driver may be used from any thread.
unsafe impl Send for Driver {}

/// What of a device a driver is for.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct DriverId(bindings::hv_vmbus_device_id);

/// What root has said about which driver a device is to have (`driver_override`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Override {
    /// Nothing.
    None,
    /// The driver that is asked about.
    This,
    /// Another one.
    Other,
}

impl DriverId {
    /// An id of a class that is in no table.
    pub(crate) fn new(class: Guid) -> Self {
        Self(bindings::hv_vmbus_device_id {
            guid: bindings::guid_t { b: class.0 },
            driver_data: 0,
        })
    }

    /// An id of no class.
    pub(crate) fn none() -> Self {
        Self::new(Guid::default())
    }

    /// The class.
    pub(crate) fn class(&self) -> Guid {
        Guid(self.0.guid.b)
    }
}

impl Driver {
    /// The driver that a `struct device_driver` is part of.
    ///
    /// # Safety
    ///
    /// `driver` must be null or one of this bus, and registered while there is the handle.
    pub(super) unsafe fn from_generic(driver: *const bindings::device_driver) -> Option<Self> {
        let driver = NonNull::new(driver.cast_mut())?.as_ptr();
        // SAFETY: All drivers of this bus are part of an `hv_driver`, by the safety requirement.
        let driver = unsafe { kernel::container_of!(driver, bindings::hv_driver, driver) };
        // INVARIANT: By the safety requirement.
        NonNull::new(driver).map(Self)
    }

    fn as_raw(self) -> *mut bindings::hv_driver {
        self.0.as_ptr()
    }

    pub(super) fn generic(self) -> *mut bindings::device_driver {
        // SAFETY: Valid by the type invariant.
        unsafe { &raw mut (*self.as_raw()).driver }
    }

    /// What root has said about a device, as far as it is about this driver.
    pub(crate) fn told_of(self, device: Device) -> Override {
        // SAFETY: A device and a driver of this bus.
        match unsafe { bindings::device_match_driver_override(device.generic(), self.generic()) } {
            0 => Override::Other,
            said if said > 0 => Override::This,
            _ => Override::None,
        }
    }

    /// Whether offers of sockets are for it.
    pub(crate) fn takes_sockets(self) -> bool {
        // SAFETY: Valid by the type invariant; set before it was registered.
        unsafe { (*self.as_raw()).hvsock }
    }

    /// Its table of ids, up to the one of no class that ends it.
    pub(crate) fn table(self) -> impl Iterator<Item = DriverId> {
        // SAFETY: As above.
        let first = unsafe { (*self.as_raw()).id_table };
        let ids = iter::successors(NonNull::new(first.cast_mut()), |id| {
            // SAFETY: `id` was not the last one, or nobody would ask for the next.
            Some(unsafe { id.add(1) })
        });
        // SAFETY: In the table, by what ends it.
        ids.map(|id| DriverId(unsafe { *id.as_ptr() }))
            .take_while(|id| id.class() != Guid::default())
    }

    /// Binds it to the devices that it is for and that have no driver.
    pub(crate) fn attach(self) -> Result {
        // SAFETY: A registered driver by the type invariant.
        to_result(unsafe { bindings::driver_attach(self.generic()) })
    }

    /// # Safety
    ///
    /// As for the driver's `probe`.
    pub(super) unsafe fn probe(self, device: Device) -> Result {
        // SAFETY: Valid by the type invariant.
        let probe = unsafe { (*self.as_raw()).probe }.ok_or(ENODEV)?;
        let id = matching::id(device, self);
        let id = id.as_ref().map_or(ptr::null(), |id| &raw const id.0);
        // SAFETY: By the safety requirement. The id is there during the call, which is how long
        // drivers look at it.
        to_result(unsafe { probe(device.as_raw(), id) })
    }

    /// # Safety
    ///
    /// The device must be bound to the driver.
    pub(super) unsafe fn remove(self, device: Device) {
        // SAFETY: Valid by the type invariant; then by the safety requirement.
        if let Some(remove) = unsafe { (*self.as_raw()).remove } {
            // SAFETY: As above.
            unsafe { remove(device.as_raw()) };
        }
    }

    /// # Safety
    ///
    /// The device must be bound to the driver.
    pub(super) unsafe fn shutdown(self, device: Device) {
        // SAFETY: Valid by the type invariant; then by the safety requirement.
        if let Some(shutdown) = unsafe { (*self.as_raw()).shutdown } {
            // SAFETY: As above.
            unsafe { shutdown(device.as_raw()) };
        }
    }

    /// # Safety
    ///
    /// The device must be bound to the driver.
    pub(super) unsafe fn suspend(self, device: Device) -> Result {
        // SAFETY: Valid by the type invariant; then by the safety requirement.
        let suspend = unsafe { (*self.as_raw()).suspend }.ok_or(EOPNOTSUPP)?;
        // SAFETY: By the safety requirement.
        to_result(unsafe { suspend(device.as_raw()) })
    }

    /// # Safety
    ///
    /// The device must be bound to the driver.
    pub(super) unsafe fn resume(self, device: Device) -> Result {
        // SAFETY: Valid by the type invariant; then by the safety requirement.
        let resume = unsafe { (*self.as_raw()).resume }.ok_or(EOPNOTSUPP)?;
        // SAFETY: By the safety requirement.
        to_result(unsafe { resume(device.as_raw()) })
    }
}

impl Channel {
    /// Takes back what a driver has set of a first channel, so that the next one finds it as it was
    /// offered, and nobody calls a module that has gone.
    pub(super) fn forget_driver(self) {
        let raw = self.as_raw();
        // SAFETY: A valid channel, which has no driver any more and was closed by the last.
        unsafe {
            (*raw).callback_mode = bindings::vmbus_channel_hv_callback_mode_HV_CALL_BATCHED;
            ptr::write_volatile(&raw mut (*raw).chn_rescind_callback, None);
            ptr::write_volatile(&raw mut (*raw).sc_creation_callback, None);
            (*raw).change_target_cpu_callback = None;
            (*raw).next_request_id_callback = None;
            (*raw).request_addr_callback = None;
            (*raw).rqstor_size = 0;
            (*raw).max_pkt_size = 0;
            (*raw).low_latency = false;
        }
    }
}

/// Registers a driver; modules call it by `vmbus_driver_register()`.
///
/// # Safety
///
/// `driver` must be whole, but for what is set here, and there until it is unregistered.
#[no_mangle]
unsafe extern "C" fn __vmbus_driver_register(
    driver: *mut bindings::hv_driver,
    owner: *mut bindings::module,
    module: *const c_char,
) -> c_int {
    if !root::exists() {
        return ENODEV.to_errno();
    }
    // SAFETY: By the safety requirement; nobody else has it yet. What it has of dynamic ids is not
    // used: `matching` keeps those of all drivers.
    unsafe {
        pr_info!(
            "registering driver {}\n",
            CStr::from_char_ptr((*driver).name)
        );
        (*driver).driver.name = (*driver).name;
        (*driver).driver.owner = owner;
        (*driver).driver.mod_name = module;
        (*driver).driver.bus = bus_type::as_raw();
        bindings::driver_register(&raw mut (*driver).driver)
    }
}

/// Undoes `__vmbus_driver_register()`.
///
/// # Safety
///
/// `driver` must have been registered.
#[no_mangle]
unsafe extern "C" fn vmbus_driver_unregister(driver: *mut bindings::hv_driver) {
    if !root::exists() {
        return;
    }
    let Some(this) = NonNull::new(driver).map(Driver) else {
        return;
    };
    // SAFETY: By the safety requirement.
    unsafe {
        pr_info!(
            "unregistering driver {}\n",
            CStr::from_char_ptr((*driver).name)
        );
        bindings::driver_unregister(this.generic());
    }
    matching::forget(this);
}
