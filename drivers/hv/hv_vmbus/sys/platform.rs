// SPDX-License-Identifier: GPL-2.0

//! Where the bus is found: the platform device that ACPI makes of `VMBUS`.

use super::{
    acpi::Node,
    bindings,
    root, //
};
use crate::{
    bus,
    device::mmio::{
        self,
        Found, //
    }, //
};
use core::{
    mem::offset_of,
    ptr, //
};
use kernel::{
    device_id::IdTable as _,
    driver,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    types::Opaque,
    ThisModule, //
};

kernel::acpi_device_table!(
    ACPI_IDS,
    @none,
    [
        kernel::acpi::DeviceId::new(c"VMBUS"),
        kernel::acpi::DeviceId::new(c"VMBus"),
    ]
);

kernel::of_device_table!(OF_IDS, @none, [kernel::of::DeviceId::new(c"microsoft,vmbus")]);

/// Makes a platform driver.
pub(crate) struct Adapter;

/// The registration of the platform driver. Dropping it unbinds the bus from its device.
pub(crate) type Registration = driver::Registration<Adapter>;

// SAFETY:
// - `platform_driver` is a C type.
// - No private data is stored by the means of `driver::Registration`, nor any other.
// - The offset is that of the embedded `struct device_driver`.
unsafe impl driver::DriverLayout for Adapter {
    type DriverType = bindings::platform_driver;
    type DriverData<'bound> = ();
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(bindings::platform_driver, driver);
}

// SAFETY: A driver that was registered can be unregistered.
unsafe impl driver::RegistrationOps for Adapter {
    unsafe fn register(
        reg: &Opaque<Self::DriverType>,
        _name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        let drv = reg.get();
        let name = c"vmbus".as_char_ptr();
        // SAFETY: `drv` is valid, zeroed, and nobody else's before it is registered.
        unsafe {
            (*drv).probe = Some(probe_callback);
            (*drv).remove = Some(remove_callback);
            (*drv).driver.name = name;
            (*drv).driver.acpi_match_table = ACPI_IDS.as_ptr();
            (*drv).driver.of_match_table = OF_IDS.as_ptr();
            (*drv).driver.pm = &raw const POWER.0;
            // The module's initialisation goes on with what was found.
            (*drv).driver.probe_type = bindings::probe_type_PROBE_FORCE_SYNCHRONOUS;
            to_result(bindings::__platform_driver_register(
                drv,
                module.as_ptr(),
                c"hv_vmbus".as_char_ptr(),
            ))
        }
    }

    unsafe fn unregister(reg: &Opaque<Self::DriverType>) {
        // SAFETY: It was registered, by the safety requirement.
        unsafe { bindings::platform_driver_unregister(reg.get()) }
    }
}

/// As for devices, see [`super::bus_type`]: the bus sleeps after they do, and wakes before.
struct Power(bindings::dev_pm_ops);

// SAFETY: A constant.
unsafe impl Sync for Power {}

static POWER: Power = Power(bindings::dev_pm_ops {
    freeze_noirq: Some(suspend_callback),
    thaw_noirq: Some(resume_callback),
    poweroff_noirq: Some(suspend_callback),
    restore_noirq: Some(resume_callback),
    ..pin_init::zeroed()
});

/// What firmware says of the frame buffer that it has set up.
pub(crate) enum Firmware {
    /// UEFI: where it is and how large, 0 if nobody told the kernel.
    Uefi {
        /// The first address.
        base: u64,
        /// Bytes.
        size: u64,
    },
    /// A BIOS: where the graphics adapter, a PCI device, has it.
    Bios(Option<protocol::vmbus::mmio::Span>),
}

/// Whether this is a guest of Hyper-V.
pub(crate) fn is_guest() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::hv_is_hyperv_initialized() }
}

/// Whether this is the root of a hypervisor that runs in a guest of another.
pub(crate) fn is_nested() -> bool {
    // SAFETY: Set while the kernel started.
    unsafe { ptr::addr_of!(bindings::hv_nested).read() }
}

extern "C" fn probe_callback(device: *mut bindings::platform_device) -> c_int {
    // SAFETY: The driver core calls with a valid device that it binds.
    let node = unsafe { Node::of(device) };
    from_result(|| {
        let node = node.ok_or(ENODEV)?;
        if root::exists() {
            // There is one bus.
            return Err(EBUSY);
        }
        root::set(node.device());
        find(node).inspect_err(|_| root::set(ptr::null_mut()))?;
        Ok(0)
    })
}

/// Finds the windows of the bus: its own, and those of the next device above that has any.
fn find(node: Node) -> Result {
    let mut found = Found::new();
    node.windows(&mut |window| found.add(window))?;
    let mut above = node.parent();
    while let Some(ancestor) = above {
        // One without a list of resources is passed by.
        let walked = ancestor.windows(&mut |window| found.add(window));
        if walked.is_ok() && !found.is_empty() {
            mmio::begin(found)?;
            mmio::reserve_framebuffer(firmware());
            return Ok(());
        }
        above = ancestor.parent();
    }
    mmio::begin(found)
}

extern "C" fn remove_callback(_device: *mut bindings::platform_device) {
    mmio::end();
    root::set(ptr::null_mut());
}

extern "C" fn suspend_callback(_device: *mut bindings::device) -> c_int {
    from_result(|| bus::suspend().map(|()| 0))
}

extern "C" fn resume_callback(_device: *mut bindings::device) -> c_int {
    from_result(|| bus::resume().map(|()| 0))
}

fn firmware() -> Firmware {
    // SAFETY: No requirements.
    if !unsafe { bindings::is_efi_boot() } {
        return Firmware::Bios(graphics_adapter());
    }
    if !cfg!(CONFIG_SYSFB) {
        // Nobody has noted it.
        return Firmware::Bios(None);
    }
    // SAFETY: No requirements: set while the kernel started.
    unsafe {
        Firmware::Uefi {
            base: bindings::sysfb_lfb_base().into(),
            size: bindings::sysfb_lfb_size().into(),
        }
    }
}

/// The memory of Hyper-V's PCI graphics adapter, of which the driver may be another module.
fn graphics_adapter() -> Option<protocol::vmbus::mmio::Span> {
    const VENDOR: c_uint = 0x1414;
    const DEVICE: c_uint = 0x5353;
    // SAFETY: The device is there until its reference is put, and only read.
    unsafe {
        let device = bindings::pci_get_device(VENDOR, DEVICE, ptr::null_mut());
        if device.is_null() {
            return None;
        }
        let is_memory =
            bindings::pci_resource_flags(device, 0) & bindings::IORESOURCE_MEM as usize != 0;
        let start = bindings::pci_resource_start(device, 0);
        let len = bindings::pci_resource_len(device, 0);
        bindings::pci_dev_put(device);
        protocol::vmbus::mmio::Span::sized(start, len).filter(|_| is_memory)
    }
}
