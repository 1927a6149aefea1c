// SPDX-License-Identifier: GPL-2.0

//! Drivers of PCI functions, for what the kernel crate's [`kernel::pci`] does not do yet.
//!
//! - [`Driver`]: a driver that is also told of shutdown, suspend and resume;
//! - [`Bar`]: registers that stay mapped as long as somebody has them;
//! - [`Interrupt`]: one vector and its handler, as one value without a lifetime.
//!
//! Devices, their ids and kinds of interrupts are the kernel crate's. What is different here is
//! that a driver's data may be shared by reference count (with interrupt handlers, works, and the
//! layers above), where the kernel crate ties it to a lifetime of the binding.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

mod bar;
mod driver;
mod interrupt;

pub use self::bar::Bar;
pub use self::driver::{
    Adapter,
    Driver, //
};
pub use self::interrupt::Interrupt;

use crate::bindings;
use core::ptr;
use kernel::{
    device::DeviceContext,
    pci::Device, //
};

/// A device as C has it.
fn as_raw<Ctx: DeviceContext>(dev: &Device<Ctx>) -> *mut bindings::pci_dev {
    // CAST: A `pci::Device` is transparent over a `struct pci_dev`, in an `Opaque`.
    ptr::from_ref(dev).cast_mut().cast()
}
