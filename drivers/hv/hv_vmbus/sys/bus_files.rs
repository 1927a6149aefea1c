// SPDX-License-Identifier: GPL-2.0

//! The files in sysfs of the bus (`hibernation`) and of its drivers (`new_id`, `remove_id`).

use super::{
    bindings,
    bus_type::Constant,
    Driver, //
};
use crate::device::{
    attributes,
    matching, //
};
use guest::sysfs::Text;
use kernel::{
    prelude::*,
    str::as_char_ptr_in_const_context, //
};

pub(super) static DRIVER_GROUPS: Constant<[*const bindings::attribute_group; 2]> =
    Constant([&raw const DRIVER_GROUP.0, core::ptr::null()]);

static DRIVER_GROUP: Constant<bindings::attribute_group> = Constant(bindings::attribute_group {
    __bindgen_anon_2: bindings::attribute_group__bindgen_ty_2 {
        attrs_const: (&raw const DRIVER_LIST.0).cast(),
    },
    ..pin_init::zeroed()
});

static DRIVER_LIST: Constant<[*const bindings::attribute; 3]> = Constant([
    &raw const NEW_ID.0.attr,
    &raw const REMOVE_ID.0.attr,
    core::ptr::null(),
]);

static NEW_ID: Constant<bindings::driver_attribute> =
    Constant(write_only(c"new_id", new_id_callback));
static REMOVE_ID: Constant<bindings::driver_attribute> =
    Constant(write_only(c"remove_id", remove_id_callback));

type Store = unsafe extern "C" fn(*mut bindings::device_driver, *const c_char, usize) -> isize;

const fn write_only(name: &'static CStr, store: Store) -> bindings::driver_attribute {
    let mut attribute: bindings::driver_attribute = pin_init::zeroed();
    attribute.attr.name = as_char_ptr_in_const_context(name);
    attribute.attr.mode = 0o200;
    attribute.store = Some(store);
    attribute
}

extern "C" fn new_id_callback(
    driver: *mut bindings::device_driver,
    text: *const c_char,
    len: usize,
) -> isize {
    // SAFETY: sysfs calls with a driver of this bus, and with `len` bytes.
    unsafe { change(driver, text, len, matching::new_id) }
}

extern "C" fn remove_id_callback(
    driver: *mut bindings::device_driver,
    text: *const c_char,
    len: usize,
) -> isize {
    // SAFETY: sysfs calls with a driver of this bus, and with `len` bytes.
    unsafe { change(driver, text, len, matching::remove_id) }
}

/// # Safety
///
/// `driver` must be a driver of this bus, and there must be `len` bytes at `text`.
unsafe fn change(
    driver: *mut bindings::device_driver,
    text: *const c_char,
    len: usize,
    change: fn(Driver, &[u8]) -> Result,
) -> isize {
    // SAFETY: By the safety requirement.
    let (driver, text) = unsafe {
        let text = core::slice::from_raw_parts(text.cast::<u8>(), len);
        (Driver::from_generic(driver), text)
    };
    let changed = driver.ok_or(ENODEV).and_then(|driver| change(driver, text));
    changed.map_or_else(|error| error.to_errno() as isize, |()| len as isize)
}

pub(super) static BUS_GROUPS: Constant<[*const bindings::attribute_group; 2]> =
    Constant([&raw const BUS_GROUP.0, core::ptr::null()]);

static BUS_GROUP: Constant<bindings::attribute_group> = Constant(bindings::attribute_group {
    __bindgen_anon_2: bindings::attribute_group__bindgen_ty_2 {
        attrs_const: (&raw const BUS_LIST.0).cast(),
    },
    ..pin_init::zeroed()
});

static BUS_LIST: Constant<[*const bindings::attribute; 2]> =
    Constant([&raw const HIBERNATION.0.attr, core::ptr::null()]);

static HIBERNATION: Constant<bindings::bus_attribute> = Constant(hibernation());

const fn hibernation() -> bindings::bus_attribute {
    let mut attribute: bindings::bus_attribute = pin_init::zeroed();
    attribute.attr.name = as_char_ptr_in_const_context(c"hibernation");
    attribute.attr.mode = 0o444;
    attribute.show = Some(hibernation_callback);
    attribute
}

/// Whether the host lets the machine hibernate.
extern "C" fn hibernation_callback(_bus: *const bindings::bus_type, page: *mut c_char) -> isize {
    // SAFETY: No requirements; then, sysfs calls with a page.
    unsafe {
        let is_supported = bindings::hv_is_hibernation_supported();
        Text::fill(page, |to| attributes::line(to, u8::from(is_supported)))
    }
}
