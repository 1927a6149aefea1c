// SPDX-License-Identifier: GPL-2.0

//! The bus as the driver core has it: `struct bus_type`, and what is called for its devices.

use super::{
    bindings,
    bus_files as files,
    directory,
    root,
    Device,
    Driver, //
};
use crate::device::{
    attributes,
    matching, //
};
use kernel::{
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    str::as_char_ptr_in_const_context, //
};

/// Wraps what only the driver core looks at.
#[repr(transparent)]
pub(super) struct Constant<T>(pub(super) T);

// SAFETY: Constants; nobody writes them, nor what they point to.
unsafe impl<T> Sync for Constant<T> {}

static BUS: Constant<bindings::bus_type> = Constant(bindings::bus_type {
    name: as_char_ptr_in_const_context(c"vmbus"),
    driver_override: true,
    match_: Some(match_callback),
    probe: Some(probe_callback),
    remove: Some(remove_callback),
    shutdown: Some(shutdown_callback),
    uevent: Some(uevent_callback),
    dma_configure: Some(dma_configure_callback),
    dev_groups: attributes::GROUPS.as_raw(),
    drv_groups: files::DRIVER_GROUPS.0.as_ptr(),
    bus_groups: files::BUS_GROUPS.0.as_ptr(),
    pm: &raw const POWER.0,
    ..pin_init::zeroed()
});

/// Devices are left alone but for hibernation: on suspend to idle they have to wake the machine.
/// It is the "noirq" step, as PCI devices that are passed through are restored in that one, too.
static POWER: Constant<bindings::dev_pm_ops> = Constant(bindings::dev_pm_ops {
    freeze_noirq: Some(suspend_callback),
    thaw_noirq: Some(resume_callback),
    poweroff_noirq: Some(suspend_callback),
    restore_noirq: Some(resume_callback),
    ..pin_init::zeroed()
});

/// The bus, for drivers and devices.
pub(super) fn as_raw() -> *const bindings::bus_type {
    &raw const BUS.0
}

/// The bus while it is registered.
pub(crate) struct Registration(());

impl Registration {
    /// Registers the bus.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: A constant.
        to_result(unsafe { bindings::bus_register(as_raw()) })?;
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: It was registered by `new`.
        unsafe { bindings::bus_unregister(as_raw()) };
    }
}

/// The device of this bus that a generic one is part of.
///
/// # Safety
///
/// `device` must be a device of this bus.
pub(super) unsafe fn device_of(device: *const bindings::device) -> Device {
    // SAFETY: All devices of this bus are part of an `hv_device`, by the safety requirement.
    unsafe {
        let device = device.cast_mut();
        Device::from_valid(kernel::container_of!(device, bindings::hv_device, device))
    }
}

/// A device and the driver that it is bound to, or that is being tried.
///
/// # Safety
///
/// `device` must be a device of this bus, and under its lock.
unsafe fn bound(device: *mut bindings::device) -> (Device, Option<Driver>) {
    // SAFETY: By the safety requirement.
    unsafe { (device_of(device), Driver::from_generic((*device).driver)) }
}

extern "C" fn match_callback(
    device: *mut bindings::device,
    driver: *const bindings::device_driver,
) -> c_int {
    // SAFETY: The driver core calls with a device and a driver of this bus.
    let (device, driver) = unsafe { (device_of(device), Driver::from_generic(driver)) };
    driver
        .is_some_and(|driver| matching::matches(device, driver))
        .into()
}

extern "C" fn probe_callback(raw: *mut bindings::device) -> c_int {
    // SAFETY: The driver core calls with a device of this bus that it is about to bind.
    let (device, driver) = unsafe { bound(raw) };
    from_result(|| {
        directory::prepare(device)?;
        let probed = driver.ok_or(ENODEV).and_then(|driver| {
            // SAFETY: As above.
            unsafe { driver.probe(device) }
        });
        probed.inspect_err(|error| {
            device.channel().forget_driver();
            let name = device.channel().instance();
            pr_err!(
                "probe failed for device {} ({})\n",
                format_args!("{name}"),
                error.to_errno()
            );
        })?;
        Ok(0)
    })
}

extern "C" fn remove_callback(device: *mut bindings::device) {
    // SAFETY: The driver core calls with a device of this bus that it is about to unbind.
    unsafe {
        if let (device, Some(driver)) = bound(device) {
            driver.remove(device);
            device.channel().forget_driver();
        }
    }
}

extern "C" fn shutdown_callback(device: *mut bindings::device) {
    // SAFETY: The driver core calls with a device of this bus, bound or not, under its lock.
    unsafe {
        if let (device, Some(driver)) = bound(device) {
            driver.shutdown(device);
        }
    }
}

extern "C" fn suspend_callback(device: *mut bindings::device) -> c_int {
    // SAFETY: The driver core calls with a device of this bus, bound or not, under its lock.
    from_result(|| unsafe {
        match bound(device) {
            (device, Some(driver)) => driver.suspend(device).map(|()| 0),
            _ => Ok(0),
        }
    })
}

extern "C" fn resume_callback(device: *mut bindings::device) -> c_int {
    // SAFETY: The driver core calls with a device of this bus, bound or not, under its lock.
    from_result(|| unsafe {
        match bound(device) {
            (device, Some(driver)) => driver.resume(device).map(|()| 0),
            _ => Ok(0),
        }
    })
}

/// Names the class, by which udev has modprobe find the driver.
extern "C" fn uevent_callback(
    device: *const bindings::device,
    env: *mut bindings::kobj_uevent_env,
) -> c_int {
    // SAFETY: The driver core calls with a device of this bus, and an environment to add to. The
    // format takes a length and as many bytes.
    unsafe {
        let class = device_of(device).class();
        let size: c_int = 16;
        bindings::add_uevent_var(
            env,
            c"MODALIAS=vmbus:%*phN".as_char_ptr(),
            size,
            class.0.as_ptr(),
        )
    }
}

extern "C" fn dma_configure_callback(device: *mut bindings::device) -> c_int {
    // SAFETY: The driver core calls with a device of this bus, which is below the root device.
    unsafe {
        let attr = bindings::device_get_dma_attr(root::get());
        bindings::hv_setup_dma_ops(device, attr == bindings::dev_dma_attr_DEV_DMA_COHERENT);
    }
    0
}
