// SPDX-License-Identifier: GPL-2.0

//! The directory of a channel in sysfs, and the lifetime of the channel, which is that of its
//! kobject.

use super::{
    bindings,
    Channel,
    Device,
    Held, //
};
use crate::device::channel_attributes;
use guest::sysfs::{
    self,
    Group,
    Owner, //
};
use kernel::{
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    str::as_char_ptr_in_const_context, //
};

/// What a driver maps the memory of a ring into a process with.
type MapRing = Option<
    unsafe extern "C" fn(*mut bindings::vmbus_channel, *mut bindings::vm_area_desc) -> c_int,
>;

/// Wraps what only sysfs looks at.
#[repr(transparent)]
struct Constant<T>(T);

// SAFETY: Constants; nobody writes them, nor what they point to.
unsafe impl<T> Sync for Constant<T> {}

static TYPE: Constant<bindings::kobj_type> = Constant(bindings::kobj_type {
    sysfs_ops: &raw const OPERATIONS.0,
    release: Some(release_callback),
    ..pin_init::zeroed()
});

static OPERATIONS: Constant<bindings::sysfs_ops> = Constant(sysfs::operations::<Channel>());

static GROUP: Group = group();

const fn group() -> Group {
    let mut group = Group::new(&channel_attributes::LIST);
    let raw = group.raw_mut();
    raw.bin_attrs = FILES.0.as_ptr();
    raw.is_bin_visible = Some(is_ring_visible_callback);
    raw.bin_size = Some(ring_size_callback);
    group
}

static FILES: Constant<[*const bindings::bin_attribute; 2]> =
    Constant([&raw const RING.0, core::ptr::null()]);

static RING: Constant<bindings::bin_attribute> = Constant(ring());

const fn ring() -> bindings::bin_attribute {
    let mut ring: bindings::bin_attribute = pin_init::zeroed();
    ring.attr.name = as_char_ptr_in_const_context(c"ring");
    ring.attr.mode = 0o600;
    ring.mmap = Some(mmap_callback);
    ring
}

// SAFETY: The type above, and with it the group, is only that of the kobjects of channels.
unsafe impl Owner for Channel {
    unsafe fn from_kobject(kobj: *mut bindings::kobject) -> Self {
        // SAFETY: By the safety requirement.
        unsafe { Channel::from_valid(kernel::container_of!(kobj, bindings::vmbus_channel, kobj)) }
    }
}

// SAFETY: Attributes of devices are registered by the driver core, for devices of this bus only.
unsafe impl Owner for Device {
    unsafe fn from_kobject(kobj: *mut bindings::kobject) -> Self {
        // SAFETY: By the safety requirement.
        unsafe {
            let device = kernel::container_of!(kobj, bindings::device, kobj);
            super::bus_type::device_of(device)
        }
    }
}

fn kobject(channel: Channel) -> *mut bindings::kobject {
    // SAFETY: There as long as there is a handle.
    unsafe { &raw mut (*channel.as_raw()).kobj }
}

/// Initialises the kobject: the channel is freed with the last reference, and not otherwise.
/// Called once, when the channel is made.
pub(crate) fn init(channel: Channel) {
    // SAFETY: Zeroed memory that nobody else has yet.
    unsafe { bindings::kobject_init(kobject(channel), &raw const TYPE.0) };
}

kernel::sync::global_lock! {
    // SAFETY: `init` is called by the module's initialisation, before there is a device.
    pub(super) unsafe(uninit) static DIRECTORIES: Mutex<()> = ();
}

/// Makes the directory `channels` of a device with that of its first channel, if they are not there.
///
/// The driver core tells nobody between making a device's own directory and probing it, so the
/// first to come makes them: a driver's probe, which may run at the same time, or registration.
pub(super) fn prepare(device: Device) -> Result {
    let _guard = DIRECTORIES.lock();
    let raw = device.as_raw();
    // SAFETY: A device in sysfs; the field is only written here and by `close`, under the lock.
    unsafe {
        if !(*raw).channels_kset.is_null() {
            return Ok(());
        }
        let parent = &raw mut (*device.generic()).kobj;
        let channels =
            bindings::kset_create_and_add(c"channels".as_char_ptr(), core::ptr::null(), parent);
        if channels.is_null() {
            return Err(ENOMEM);
        }
        (*raw).channels_kset = channels;
        make(channels, device.channel()).inspect_err(|_| {
            (*raw).channels_kset = core::ptr::null_mut();
            bindings::kset_unregister(channels);
        })
    }
}

/// Removes the directory `channels` of a device; nothing can be made in it any more.
pub(super) fn close(device: Device) {
    let _guard = DIRECTORIES.lock();
    // SAFETY: As in `prepare`. Channels have references of their own.
    unsafe {
        let channels =
            core::mem::replace(&mut (*device.as_raw()).channels_kset, core::ptr::null_mut());
        if !channels.is_null() {
            bindings::kset_unregister(channels);
        }
    }
}

/// Makes the directory of a sub-channel below that of its device.
///
/// # Errors
///
/// `ENODEV`: there is no directory of the device, because it goes or has only come.
pub(crate) fn add(device: Device, channel: Channel) -> Result {
    let _guard = DIRECTORIES.lock();
    // SAFETY: As in `prepare`.
    unsafe {
        let channels = (*device.as_raw()).channels_kset;
        if channels.is_null() {
            return Err(ENODEV);
        }
        make(channels, channel)
    }
}

/// # Safety
///
/// `channels` must be valid, and the channel have no directory.
unsafe fn make(channels: *mut bindings::kset, channel: Channel) -> Result {
    let kobj = kobject(channel);
    // SAFETY: Initialised by `init`; then by the safety requirement. The format takes an unsigned
    // integer.
    unsafe {
        (*kobj).kset = channels;
        let format = c"%u".as_char_ptr();
        to_result(bindings::kobject_add(
            kobj,
            core::ptr::null_mut(),
            format,
            channel.relid(),
        ))?;
        to_result(bindings::sysfs_create_group(kobj, GROUP.as_raw())).inspect_err(|_| {
            pr_err!("Unable to set up channel sysfs files\n");
            bindings::kobject_del(kobj);
        })?;
        bindings::kobject_uevent(kobj, bindings::kobject_action_KOBJ_ADD);
    }
    Ok(())
}

/// Removes the directory, if there is one, and gives up the reference of `init`. Nobody is inside
/// of an attribute after this.
pub(crate) fn remove_and_put(channel: Channel) {
    let kobj = kobject(channel);
    // SAFETY: Initialised by `init`, whose reference this is.
    unsafe {
        if (*kobj).state_in_sysfs() != 0 {
            bindings::kobject_del(kobj);
        }
        bindings::kobject_put(kobj);
    }
}

/// The last reference of a channel has gone, and with it the one on its first channel. Interrupts
/// may still be looking at it.
extern "C" fn release_callback(kobj: *mut bindings::kobject) {
    // SAFETY: The kernel calls with the kobject of a channel, which nobody else has any more. The
    // first channel's reference is that of `Channel::set_primary`.
    unsafe {
        let channel = Channel::from_kobject(kobj).as_raw();
        let first = Held::from_raw((*channel).primary_channel);
        bindings::vmbus_channel_kfree_rcu(channel);
        drop(first);
    }
}

extern "C" fn is_ring_visible_callback(
    kobj: *mut bindings::kobject,
    attribute: *const bindings::bin_attribute,
    _index: c_int,
) -> bindings::umode_t {
    // SAFETY: sysfs calls with the kobject of a channel and with an attribute of the group.
    unsafe {
        match (*Channel::from_kobject(kobj).as_raw()).ring_sysfs_visible {
            true => (*attribute).attr.mode,
            false => 0,
        }
    }
}

extern "C" fn ring_size_callback(
    kobj: *mut bindings::kobject,
    _attribute: *const bindings::bin_attribute,
    _index: c_int,
) -> usize {
    // SAFETY: sysfs calls with the kobject of a channel.
    let pages = unsafe { (*Channel::from_kobject(kobj).as_raw()).ringbuffer_pagecount };
    (pages as usize).saturating_mul(bindings::PAGE_SIZE)
}

/// Has the driver say what a process gets to see of the memory.
extern "C" fn mmap_callback(
    file: *mut bindings::file,
    kobj: *mut bindings::kobject,
    _attribute: *const bindings::bin_attribute,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    from_result(|| {
        let mut description = pin_init::zeroed::<bindings::vm_area_desc>();
        // SAFETY: sysfs calls with the kobject of a channel and a mapping that is being made; the
        // file is there as long as the driver has the channel.
        unsafe {
            let channel = Channel::from_kobject(kobj).as_raw();
            let map = (*channel).mmap_prepare_ring_buffer.ok_or(ENODEV)?;
            bindings::compat_set_desc_from_vma(&raw mut description, file, vma);
            to_result(map(channel, &raw mut description))?;
            to_result(bindings::__compat_vma_mmap(&raw mut description, vma))?;
        }
        Ok(0)
    })
}

/// Shows the file `ring` of a channel: the memory of its rings, which processes can map.
///
/// # Safety
///
/// `channel` must be a channel of this bus, with memory for rings, and `map` callable until
/// `hv_remove_ring_sysfs()`.
#[no_mangle]
unsafe extern "C" fn hv_create_ring_sysfs(
    channel: *mut bindings::vmbus_channel,
    map: MapRing,
) -> c_int {
    // SAFETY: By the safety requirement.
    unsafe {
        (*channel).mmap_prepare_ring_buffer = map;
        (*channel).ring_sysfs_visible = true;
        bindings::sysfs_update_group(&raw mut (*channel).kobj, GROUP.as_raw())
    }
}

/// Hides the file `ring` again.
///
/// # Safety
///
/// `channel` must be a channel of this bus.
#[no_mangle]
unsafe extern "C" fn hv_remove_ring_sysfs(channel: *mut bindings::vmbus_channel) -> c_int {
    // SAFETY: By the safety requirement. Nobody is mapping after the update.
    unsafe {
        (*channel).ring_sysfs_visible = false;
        let updated = bindings::sysfs_update_group(&raw mut (*channel).kobj, GROUP.as_raw());
        (*channel).mmap_prepare_ring_buffer = None;
        updated
    }
}
