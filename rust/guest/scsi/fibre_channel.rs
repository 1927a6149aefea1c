// SPDX-License-Identifier: GPL-2.0

//! Hosts that are ports of Fibre Channel.
//!
//! The kernel shows them in `/sys/class/fc_host` by a transport class, a module of its own
//! (`scsi_transport_fc`), to which who uses this is linked. A module attaches itself to the class
//! once, by a static [`Transport`], before it has hosts, and leaves it when its last host is gone.
//!
//! There is nothing behind a port but what its driver says: its [`Names`], and one remote port
//! that stands for the guest's own end. Units are those of the host itself, not of remote ports.
//!
//! Where the kernel has no such class, hosts are ordinary ones.
//!
//! What every host has to do when it goes is reached by way of its [`Template`], so that modules
//! that have no ports do without the class.
//!
//! C header: [`include/scsi/scsi_transport_fc.h`](srctree/include/scsi/scsi_transport_fc.h)

use crate::bindings;
use core::{
    ops::Range,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed, //
        },
        rcu,
        Arc,
        ArcBorrow, //
    },
    types::Opaque, //
};

/// Whether the kernel has the class.
const IS_THERE: bool = cfg!(CONFIG_SCSI_FC_ATTRS);

/// The world wide names of a port, as numbers whose first byte is the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// Of the node.
    pub node: u64,
    /// Of the port.
    pub port: u64,
}

/// A module's place in the class: a static of the module.
///
/// # Examples
///
/// ```ignore
/// static TRANSPORT: Transport = Transport::new();
///
/// // When the module is loaded, and kept until its driver is not registered any more.
/// let attachment = TRANSPORT.attach()?;
/// // When a device is probed.
/// let host = scsi::Host::register_port(parent, driver, &limits, &TRANSPORT, names)?;
/// ```
///
/// # Invariants
///
/// `template` is an `Arc` as a raw pointer, or null before the module is attached, and an RCU grace
/// period after it is not any more.
pub struct Transport {
    template: Atomic<*mut Template>,
}

impl Transport {
    /// A place that is not taken.
    pub const fn new() -> Self {
        // INVARIANT: The module is not attached.
        Self {
            template: Atomic::new(ptr::null_mut()),
        }
    }

    /// Attaches the module to the class. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EBUSY` if it is attached already.
    pub fn attach(&'static self) -> Result<Attachment> {
        if !IS_THERE {
            return Ok(Attachment(self));
        }
        let template = Arc::new(Template::new()?, GFP_KERNEL)?;
        let template = Arc::into_raw(template).cast_mut();
        let before = self.template.cmpxchg(ptr::null_mut(), template, Full);
        if before.is_err() {
            // SAFETY: It was an `Arc`, and nobody else got it.
            drop(unsafe { Arc::from_raw(template.cast_const()) });
            return Err(EBUSY);
        }
        Ok(Attachment(self))
    }

    /// The template for a host; none if the kernel has no such class.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the module is not attached.
    pub(super) fn template(&self) -> Result<Option<Arc<Template>>> {
        if !IS_THERE {
            return Ok(None);
        }
        let _rcu = rcu::read_lock();
        let template = self.template.load(Acquire);
        if template.is_null() {
            return Err(ENODEV);
        }
        // SAFETY: By the type invariant, and we are in an RCU read-side section.
        Ok(Some(unsafe { ArcBorrow::from_raw(template) }.into()))
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self::new()
    }
}

/// That a module is attached to the class. Dropping it leaves the class, once there is no host of
/// the module's any more. That sleeps.
pub struct Attachment(&'static Transport);

impl Drop for Attachment {
    fn drop(&mut self) {
        let template = self.0.template.xchg(ptr::null_mut(), Relaxed);
        if template.is_null() {
            return;
        }
        rcu::synchronize_rcu();
        // SAFETY: Made in `attach`. Nobody who got it from the place is without a reference of his
        // own any more.
        drop(unsafe { Arc::from_raw(template.cast_const()) });
    }
}

/// What a module's hosts have in common for the class. Dropping it sleeps.
///
/// # Invariants
///
/// `raw` is attached to the class, with what is in `_functions`, which does not change. `release` is
/// [`release`], and `remove` is [`remove`].
pub(super) struct Template {
    raw: NonNull<bindings::scsi_transport_template>,
    release: unsafe fn(NonNull<bindings::scsi_transport_template>),
    remove: unsafe fn(NonNull<bindings::Scsi_Host>),
    _functions: KBox<Opaque<bindings::fc_function_template>>,
}

// SAFETY: A template may be used, and released, from any thread.
unsafe impl Send for Template {}

// SAFETY: Nothing changes in a template that is attached.
unsafe impl Sync for Template {}

impl Template {
    /// Attaches a new one to the class.
    fn new() -> Result<Self> {
        let mut functions: bindings::fc_function_template = pin_init::zeroed();
        functions.set_show_host_node_name(1);
        functions.set_show_host_port_name(1);
        let functions = KBox::new(Opaque::new(functions), GFP_KERNEL)?;
        // SAFETY: What is shown was said, and the box stays where it is until the template is
        // released.
        let raw = unsafe { bindings::fc_attach_transport(functions.get()) };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // SAFETY: The template is new, and no host has it yet.
        unsafe { (*raw.as_ptr()).user_scan = Some(user_scan) };
        // INVARIANT: It was just attached.
        Ok(Self {
            raw,
            release,
            remove,
            _functions: functions,
        })
    }

    /// What a host is told.
    pub(super) fn as_raw(&self) -> *mut bindings::scsi_transport_template {
        self.raw.as_ptr()
    }

    /// Takes from the class what it has of a host, which is about to be removed. Sleeps.
    ///
    /// # Safety
    ///
    /// `shost` must be registered, with this template. This must be called once.
    pub(super) unsafe fn remove(&self, shost: NonNull<bindings::Scsi_Host>) {
        // SAFETY: By the safety requirement, and the type invariant.
        unsafe { (self.remove)(shost) };
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        // SAFETY: Attached by the type invariant. Each host that is registered, or that a driver
        // can reach, holds a reference; of others the SCSI layer does not look at this.
        unsafe { (self.release)(self.raw) };
    }
}

/// # Safety
///
/// `template` must be attached to the class, with no host that has it. This must be called once.
unsafe fn release(template: NonNull<bindings::scsi_transport_template>) {
    // SAFETY: By the safety requirement.
    unsafe { bindings::fc_release_transport(template.as_ptr()) };
}

/// # Safety
///
/// `shost` must be registered, with a [`Template`]. This must be called once.
unsafe fn remove(shost: NonNull<bindings::Scsi_Host>) {
    // SAFETY: By the safety requirement.
    unsafe { bindings::fc_remove_host(shost.as_ptr()) };
}

/// Says what a host is called.
///
/// # Safety
///
/// `shost` must be valid, and have been registered with a [`Template`].
pub(super) unsafe fn set_names(shost: NonNull<bindings::Scsi_Host>, names: Names) {
    // SAFETY: What the class has of a host is there from when that is registered until it is freed.
    unsafe {
        bindings::set_fc_host_node_name(shost.as_ptr(), names.node);
        bindings::set_fc_host_port_name(shost.as_ptr(), names.port);
    }
}

/// Shows a port that stands for the guest's own end. [`Template::remove`] removes it.
///
/// # Safety
///
/// `shost` must be registered, with a [`Template`].
pub(super) unsafe fn add_remote_port(shost: NonNull<bindings::Scsi_Host>) -> Result {
    let mut ids = bindings::fc_rport_identifiers {
        roles: bindings::FC_PORT_ROLE_FCP_DUMMY_INITIATOR,
        ..pin_init::zeroed()
    };
    // SAFETY: By the safety requirement. What identifies the port is copied.
    let port = unsafe { bindings::fc_remote_port_add(shost.as_ptr(), 0, &mut ids) };
    if port.is_null() {
        return Err(ENOMEM);
    }
    Ok(())
}

/// Looks for what user space names. The class's own way would look behind remote ports only.
extern "C" fn user_scan(
    shost: *mut bindings::Scsi_Host,
    channel: c_uint,
    id: c_uint,
    lun: u64,
) -> c_int {
    // SAFETY: The SCSI layer passes a host that is registered, whose limits do not change.
    let (max_channel, max_id, max_lun) =
        unsafe { ((*shost).max_channel, (*shost).max_id, (*shost).max_lun) };
    let channels = wanted(channel, max_channel.saturating_add(1));
    let (Some(channels), Some(ids)) = (channels, wanted(id, max_id)) else {
        return EINVAL.to_errno();
    };
    if lun != ANY_LUN && lun >= max_lun {
        return EINVAL.to_errno();
    }
    for channel in channels {
        for id in ids.clone() {
            // SAFETY: As above; the parent of a target is its host.
            unsafe {
                bindings::scsi_scan_target(
                    &raw mut (*shost).shost_gendev,
                    channel,
                    id,
                    lun,
                    bindings::scsi_scan_mode_SCSI_SCAN_MANUAL,
                )
            };
        }
    }
    0
}

/// Stands for all buses or targets, and for all units (`SCAN_WILD_CARD`).
const ANY: u32 = u32::MAX;
const ANY_LUN: u64 = u64::MAX;

/// The numbers that are meant, of those up to `end`.
fn wanted(number: u32, end: u32) -> Option<Range<u32>> {
    match number {
        ANY => Some(0..end),
        _ if number < end => Some(number..number.saturating_add(1)),
        _ => None,
    }
}

#[cfg(guest_kunit)]
#[kernel::macros::kunit_tests(guest_scsi_fibre_channel)]
mod tests {
    use super::*;

    #[test]
    fn one_number_or_all_are_meant() {
        assert_eq!(wanted(ANY, 8), Some(0..8));
        assert_eq!(wanted(7, 8), Some(7..8));
        assert_eq!(wanted(8, 8), None);
        assert_eq!(wanted(0, 0), None);
    }
}
