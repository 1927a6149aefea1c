// SPDX-License-Identifier: GPL-2.0

//! What ACPI says of the bus: a node in its tree, and the windows of addresses that it has.

use super::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;
use protocol::vmbus::mmio::Span;

/// A node of the tree.
///
/// # Invariants
///
/// Valid. The bus has its own while it is bound to it, and those above are not removed before.
#[derive(Clone, Copy)]
pub(super) struct Node(NonNull<bindings::acpi_device>);

impl Node {
    /// The node of a platform device, if ACPI has named it.
    ///
    /// # Safety
    ///
    /// `device` must be valid, and bound to a driver for as long as there is the node.
    pub(super) unsafe fn of(device: *mut bindings::platform_device) -> Option<Self> {
        // SAFETY: By the safety requirement.
        let node = unsafe { bindings::ACPI_COMPANION(&raw mut (*device).dev) };
        // INVARIANT: By the safety requirement.
        NonNull::new(node).map(Self)
    }

    /// What it is part of, unless that is all there is.
    pub(super) fn parent(self) -> Option<Self> {
        // SAFETY: Valid by the type invariant.
        let parent = unsafe { bindings::acpi_dev_parent(self.0.as_ptr()) };
        // INVARIANT: A parent is there as long as its child.
        NonNull::new(parent)
            .map(Self)
            .filter(|node| !node.is_root())
    }

    fn is_root(self) -> bool {
        // The root of the name space has all bits set for a handle (`ACPI_ROOT_OBJECT`).
        self.handle().addr() == usize::MAX
    }

    fn handle(self) -> bindings::acpi_handle {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.0.as_ptr()).handle }
    }

    /// The device that the driver core has for it.
    pub(super) fn device(self) -> *mut bindings::device {
        // SAFETY: Valid by the type invariant.
        unsafe { &raw mut (*self.0.as_ptr()).dev }
    }

    /// Calls `found` with each window of addresses that it has for what is below it.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it has no list of resources; else that of `found`.
    pub(super) fn windows<F: FnMut(Span) -> Result>(self, found: &mut F) -> Result {
        let mut walk = Walk {
            found,
            result: Ok(()),
        };
        // SAFETY: The handle is valid, the callback takes a `Walk<F>`, and nobody writes the name.
        let status = unsafe {
            bindings::acpi_walk_resources(
                self.handle(),
                c"_CRS".as_char_ptr().cast_mut(),
                Some(Walk::<F>::callback),
                (&raw mut walk).cast(),
            )
        };
        walk.result?;
        if status != 0 {
            return Err(ENODEV);
        }
        Ok(())
    }
}

/// What there is while the resources of a node are looked at.
struct Walk<'a, F> {
    found: &'a mut F,
    result: Result,
}

impl<F: FnMut(Span) -> Result> Walk<'_, F> {
    extern "C" fn callback(
        resource: *mut bindings::acpi_resource,
        walk: *mut c_void,
    ) -> bindings::acpi_status {
        // SAFETY: ACPI calls with a valid resource and with what `windows` has given.
        let (window, walk) = unsafe { (window(resource), &mut *walk.cast::<Self>()) };
        if let Some(window) = window {
            // What comes after an error is looked at, but for nothing.
            walk.result = walk.result.and_then(|()| (walk.found)(window));
        }
        0
    }
}

/// The addresses of a resource that is a window of a bus. What is for registers of the node itself
/// is of another type.
///
/// # Safety
///
/// `resource` must be valid.
unsafe fn window(resource: *const bindings::acpi_resource) -> Option<Span> {
    // SAFETY: By the safety requirement; the type says what the union holds. The structures are
    // packed, and their fields are copied.
    unsafe {
        match (*resource).type_ {
            bindings::ACPI_RESOURCE_TYPE_ADDRESS32 => {
                let address = (*resource).data.address32.as_ref().address;
                Some(Span {
                    first: address.minimum.into(),
                    last: address.maximum.into(),
                })
            }
            bindings::ACPI_RESOURCE_TYPE_ADDRESS64 => {
                let address = (*resource).data.address64.as_ref().address;
                Some(Span {
                    first: address.minimum,
                    last: address.maximum,
                })
            }
            _ => None,
        }
    }
}
