// SPDX-License-Identifier: GPL-2.0

//! Devices: `struct hv_device`, from when the host offers one to when it has taken it back.

use super::{
    bindings,
    bus_type,
    directory,
    root,
    testing,
    Channel,
    Device,
    Held, //
};
use crate::bus;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// Microsoft, among the makers of PCI devices.
const VENDOR: u16 = 0x1414;

/// Makes the device of a primary channel, with type, instance and device id of its offer, and its
/// reference. It is not registered yet. The channel stays as long as the device.
pub(crate) fn create(channel: Channel) -> Result<Device> {
    let device = KBox::<bindings::hv_device>::init(pin_init::init_zeroed(), GFP_KERNEL)
        .inspect_err(|_| pr_err!("Unable to allocate device object for child device\n"))?;
    let raw = KBox::into_raw(device);
    // SAFETY: Just made, and nobody else's; the channel is there as long as there is a handle.
    unsafe {
        (*raw).channel = channel.hold().into_raw();
        (*raw).dev_type.b = channel.class().0;
        (*raw).dev_instance.b = channel.instance().0;
        (*raw).vendor_id = VENDOR;
        (*raw).device_id = (*channel.as_raw()).device_id;
        Ok(Device::from_valid(raw))
    }
}

/// Registers a device and its primary channel's directory. If this fails, the device is gone.
///
/// Drivers find the directory when they probe.
pub(crate) fn register(device: Device) -> Result {
    let raw = device.as_raw();
    let generic = device.generic();
    // SAFETY: A device that nobody else has yet. The format takes the address of a GUID.
    let registered = unsafe {
        // Without memory for a name registration fails.
        bindings::dev_set_name(
            generic,
            c"%pUl".as_char_ptr(),
            &raw const (*raw).dev_instance,
        );
        (*generic).bus = bus_type::as_raw();
        (*generic).parent = root::get();
        (*generic).release = Some(release_callback);
        (*generic).dma_parms = &raw mut (*raw).dma_parms;
        (*generic).dma_mask = &raw mut (*raw).dma_mask;
        // Addresses of the guest are all that there is, and have 64 bits.
        bindings::dma_set_mask(generic, u64::MAX);
        bindings::dma_set_coherent_mask(generic, u64::MAX);
        to_result(bindings::device_register(generic))
    };
    registered.inspect_err(|_| {
        pr_err!("Unable to register child device\n");
        // SAFETY: The reference of the device's maker, which nobody has used up.
        unsafe { bindings::put_device(generic) };
    })?;
    directory::prepare(device).inspect_err(|_| {
        pr_err!("Unable to register primary channel\n");
        unregister(device);
    })?;
    testing::add(device);
    Ok(())
}

/// Unregisters a device, and has its driver leave it. What is left goes with the last reference:
/// then [`bus::released`] is called.
pub(crate) fn unregister(device: Device) {
    testing::remove(device);
    directory::close(device);
    // SAFETY: A registered device.
    unsafe { bindings::device_unregister(device.generic()) };
}

/// The last reference of a device has gone.
extern "C" fn release_callback(raw: *mut bindings::device) {
    // SAFETY: The driver core calls with a device of this bus, for the last time.
    let device = unsafe { bus_type::device_of(raw) };
    // SAFETY: The reference of `create`, which goes with the device.
    let held = unsafe { Held::from_raw((*device.as_raw()).channel) };
    if let Some(held) = &held {
        bus::released(held.channel());
    }
    // SAFETY: Made by `create`, and nobody else has it any more.
    drop(unsafe { KBox::from_raw(device.as_raw()) });
}

/// [`unregister`], for drivers whose devices are no hardware.
///
/// # Safety
///
/// `device` must be a registered device of this bus.
#[no_mangle]
unsafe extern "C" fn vmbus_device_unregister(device: *mut bindings::hv_device) {
    // SAFETY: By the safety requirement.
    if let Some(device) = unsafe { Device::from_raw(device) } {
        unregister(device);
    }
}
