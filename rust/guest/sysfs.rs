// SPDX-License-Identifier: GPL-2.0

//! Attributes in sysfs, as tables of functions.
//!
//! A table is a constant: for each attribute its name, what it shows, and perhaps what it does with
//! what is written, and whether a given object has it. [`Group`] makes what the kernel registers
//! of it. An object is whatever an [`Owner`] can be made of for a `struct kobject`: a device of a
//! bus, or anything with a directory of its own, whose `struct kobj_type` then has
//! [`operations`].
//!
//! C header: [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use crate::bindings;
use core::{
    fmt,
    marker::PhantomData,
    ptr,
    slice, //
};
use kernel::{
    prelude::*,
    str::as_char_ptr_in_const_context, //
};

/// What has attributes.
///
/// # Safety
///
/// [`from_kobject`](Self::from_kobject) must be sound for each kobject that a [`Group`] of this
/// owner, or a type with its [`operations`], is registered for.
pub unsafe trait Owner: Copy {
    /// The owner of a kobject.
    ///
    /// # Safety
    ///
    /// `kobj` must be valid, and one that a group of this owner is registered for.
    unsafe fn from_kobject(kobj: *mut bindings::kobject) -> Self;
}

/// What an attribute shows: a page at most.
pub struct Text<'a> {
    page: &'a mut [u8],
    used: usize,
}

impl Text<'_> {
    /// Calls `show` with the page of an attribute, and returns what the kernel wants to know: how
    /// much there is in it.
    ///
    /// # Safety
    ///
    /// `page` must be a page that is the caller's.
    pub unsafe fn fill(page: *mut c_char, show: impl FnOnce(&mut Text<'_>) -> Result) -> isize {
        // SAFETY: By the safety requirement; zeroed, as sysfs gives it.
        let page = unsafe { slice::from_raw_parts_mut(page.cast(), bindings::PAGE_SIZE) };
        let mut text = Text { page, used: 0 };
        match show(&mut text) {
            Ok(()) => text.used as isize,
            Err(error) => error.to_errno() as isize,
        }
    }
}

impl fmt::Write for Text<'_> {
    /// Text beyond the page is an error, and leaves what is before it.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.used.checked_add(text.len()).ok_or(fmt::Error)?;
        let room = self.page.get_mut(self.used..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.used = end;
        Ok(())
    }
}

/// An attribute of an `O`.
#[repr(C)]
pub struct Attribute<O> {
    raw: bindings::device_attribute,
    show: fn(O, &mut Text<'_>) -> Result,
    store: Option<fn(O, &[u8]) -> Result>,
    condition: Option<fn(O) -> bool>,
}

// SAFETY: A constant; nobody writes it.
unsafe impl<O> Sync for Attribute<O> {}

impl<O: Owner> Attribute<O> {
    /// An attribute that everybody may read.
    pub const fn new(name: &'static CStr, show: fn(O, &mut Text<'_>) -> Result) -> Self {
        let mut raw: bindings::device_attribute = pin_init::zeroed();
        raw.attr.name = as_char_ptr_in_const_context(name);
        raw.attr.mode = 0o444;
        raw.__bindgen_anon_1.show = Some(Self::device_show);
        raw.__bindgen_anon_2.store = Some(Self::device_store);
        Self {
            raw,
            show,
            store: None,
            condition: None,
        }
    }

    /// The same, which root may write.
    pub const fn writable(mut self, store: fn(O, &[u8]) -> Result) -> Self {
        self.raw.attr.mode = 0o644;
        self.store = Some(store);
        self
    }

    /// The same, which not all have.
    pub const fn only_if(mut self, condition: fn(O) -> bool) -> Self {
        self.condition = Some(condition);
        self
    }

    /// The attribute that a pointer of the kernel's is part of.
    ///
    /// # Safety
    ///
    /// `attr` must be the first member of an attribute of a table of `O`.
    unsafe fn of<'a>(attr: *mut bindings::attribute) -> &'a Self {
        // SAFETY: `raw.attr` is at the beginning; tables are constants.
        unsafe { &*attr.cast() }
    }

    extern "C" fn show(
        kobj: *mut bindings::kobject,
        attr: *mut bindings::attribute,
        page: *mut c_char,
    ) -> isize {
        // SAFETY: sysfs calls with what was registered.
        let (attribute, owner) = unsafe { (Self::of(attr), O::from_kobject(kobj)) };
        // SAFETY: sysfs calls with a page.
        unsafe { Text::fill(page, |text| (attribute.show)(owner, text)) }
    }

    extern "C" fn store(
        kobj: *mut bindings::kobject,
        attr: *mut bindings::attribute,
        text: *const c_char,
        len: usize,
    ) -> isize {
        // SAFETY: sysfs calls with what was registered, and with `len` bytes.
        let (attribute, owner, text) = unsafe {
            let text = slice::from_raw_parts(text.cast::<u8>(), len);
            (Self::of(attr), O::from_kobject(kobj), text)
        };
        let stored = attribute
            .store
            .ok_or(EIO)
            .and_then(|store| store(owner, text));
        stored.map_or_else(|error| error.to_errno() as isize, |()| len as isize)
    }

    extern "C" fn device_show(
        dev: *mut bindings::device,
        attr: *mut bindings::device_attribute,
        page: *mut c_char,
    ) -> isize {
        // SAFETY: The driver core calls with a valid device, of which this is the kobject.
        Self::show(unsafe { &raw mut (*dev).kobj }, attr.cast(), page)
    }

    extern "C" fn device_store(
        dev: *mut bindings::device,
        attr: *mut bindings::device_attribute,
        text: *const c_char,
        len: usize,
    ) -> isize {
        // SAFETY: As above.
        Self::store(unsafe { &raw mut (*dev).kobj }, attr.cast(), text, len)
    }

    extern "C" fn is_visible(
        kobj: *mut bindings::kobject,
        attr: *mut bindings::attribute,
        _index: c_int,
    ) -> bindings::umode_t {
        // SAFETY: sysfs calls with what was registered.
        let (attribute, owner) = unsafe { (Self::of(attr), O::from_kobject(kobj)) };
        match attribute.condition {
            Some(condition) if !condition(owner) => 0,
            _ => attribute.raw.attr.mode,
        }
    }
}

/// How the attributes of kobjects are called that are not those of devices.
pub const fn operations<O: Owner>() -> bindings::sysfs_ops {
    bindings::sysfs_ops {
        show: Some(Attribute::<O>::show),
        store: Some(Attribute::<O>::store),
    }
}

/// The attributes of a table by their addresses, as the kernel wants them.
#[repr(C)]
pub struct List<O, const N: usize> {
    attributes: [*const bindings::attribute; N],
    end: *const bindings::attribute,
    owner: PhantomData<fn(O)>,
}

// SAFETY: A constant; nobody writes it, nor what it points to.
unsafe impl<O, const N: usize> Sync for List<O, N> {}

impl<O, const N: usize> List<O, N> {
    /// The list of a table.
    pub const fn new(table: &'static [Attribute<O>; N]) -> Self {
        let mut attributes = [ptr::null(); N];
        let mut index = 0;
        while index < N {
            attributes[index] = &raw const table[index].raw.attr;
            index += 1;
        }
        Self {
            attributes,
            end: ptr::null(),
            owner: PhantomData,
        }
    }
}

/// A group of attributes.
#[repr(transparent)]
pub struct Group(bindings::attribute_group);

// SAFETY: A constant; nobody writes it, nor what it points to.
unsafe impl Sync for Group {}

impl Group {
    /// The group of the attributes of a table.
    pub const fn new<O: Owner, const N: usize>(list: &'static List<O, N>) -> Self {
        let mut group: bindings::attribute_group = pin_init::zeroed();
        group.__bindgen_anon_1.is_visible = Some(Attribute::<O>::is_visible);
        group.__bindgen_anon_2.attrs_const = ptr::from_ref(list).cast();
        Self(group)
    }

    /// The same, with what else the kernel lets a group have.
    pub const fn raw_mut(&mut self) -> &mut bindings::attribute_group {
        &mut self.0
    }

    /// For the kernel.
    pub const fn as_raw(&'static self) -> *const bindings::attribute_group {
        &raw const self.0
    }
}

/// A list of one group, as the kernel wants it.
#[repr(C)]
pub struct Groups([*const bindings::attribute_group; 2]);

// SAFETY: A constant; nobody writes it, nor what it points to.
unsafe impl Sync for Groups {}

impl Groups {
    /// The list of one group.
    pub const fn new(group: &'static Group) -> Self {
        Self([group.as_raw(), ptr::null()])
    }

    /// For the kernel.
    pub const fn as_raw(&'static self) -> *const *const bindings::attribute_group {
        self.0.as_ptr()
    }
}
