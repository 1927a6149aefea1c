// SPDX-License-Identifier: GPL-2.0

//! Ranges of addresses that are somebody's: `struct resource`.

use super::bindings;
use core::{
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};
use protocol::vmbus::mmio::Span;

/// A window that firmware leaves to the bus, and who has what of it.
pub(crate) struct Window {
    span: Span,
    resource: Pin<KBox<Opaque<bindings::resource>>>,
}

// SAFETY: The kernel has a lock around what is in a resource.
unsafe impl Send for Window {}

impl Window {
    /// A window of which nobody has anything.
    pub(crate) fn new(span: Span) -> Result<Self> {
        let resource = Opaque::ffi_init(|slot: *mut bindings::resource| {
            let mut resource = pin_init::zeroed::<bindings::resource>();
            resource.start = span.first;
            resource.end = span.last;
            resource.name = c"hyperv mmio".as_char_ptr();
            resource.flags = bindings::IORESOURCE_MEM as c_ulong;
            // SAFETY: `slot` is valid for writes.
            unsafe { slot.write(resource) };
        });
        Ok(Self {
            span,
            resource: KBox::pin_init(resource, GFP_KERNEL)?,
        })
    }

    /// What it was made of.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// Makes a part of it somebody's, unless it is already.
    pub(crate) fn claim(&self, part: Span, name: &'static CStr) -> bool {
        // SAFETY: The window is there until everybody has released what was claimed, or the bus
        // has gone, and its name for ever.
        let claimed = unsafe {
            bindings::__request_region(
                self.resource.get(),
                part.first,
                part.size(),
                name.as_char_ptr(),
                bindings::IORESOURCE_BUSY as c_int,
            )
        };
        !claimed.is_null()
    }

    /// Takes back what was claimed. If it was not, the kernel says so.
    pub(crate) fn release(&self, part: Span) {
        // SAFETY: A valid resource.
        unsafe { bindings::__release_region(self.resource.get(), part.first, part.size()) };
    }
}

/// Makes a part of all addresses somebody's, `None` if it is already.
///
/// # Safety
///
/// `name` must be there until the part is released.
pub(super) unsafe fn claim_memory(
    part: Span,
    name: *const c_char,
) -> Option<NonNull<bindings::resource>> {
    // SAFETY: By the safety requirement; the resource of all addresses is there for ever.
    NonNull::new(unsafe {
        bindings::__request_region(
            &raw mut bindings::iomem_resource,
            part.first,
            part.size(),
            name,
            bindings::IORESOURCE_EXCLUSIVE as c_int,
        )
    })
}

/// Takes back what was claimed. If it was not, the kernel says so.
pub(crate) fn release_memory(part: Span) {
    // SAFETY: The resource of all addresses is there for ever.
    unsafe {
        bindings::__release_region(&raw mut bindings::iomem_resource, part.first, part.size())
    };
}
