// SPDX-License-Identifier: GPL-2.0

//! Processors that come and go.
//!
//! C header: [`include/linux/cpuhotplug.h`](srctree/include/linux/cpuhotplug.h)

use crate::bindings;
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// No processor comes or goes as long as this is there.
#[must_use]
pub struct Steady(NotThreadSafe);

/// Keeps processors from coming and going. Sleeps.
pub fn keep() -> Steady {
    // SAFETY: Undone by the drop, in the same thread.
    unsafe { bindings::cpus_read_lock() };
    Steady(NotThreadSafe)
}

impl Drop for Steady {
    fn drop(&mut self) {
        // SAFETY: Taken when this was made.
        unsafe { bindings::cpus_read_unlock() };
    }
}

/// The highest number that a processor can have, and one.
pub fn limit() -> u32 {
    // SAFETY: Set at boot and only read since.
    unsafe { bindings::nr_cpu_ids }
}

/// Whether a processor runs.
pub fn is_online(cpu: u32) -> bool {
    // SAFETY: The number is in range.
    cpu < limit() && unsafe { bindings::cpu_online(cpu) }
}

/// Whether a processor is there.
pub fn is_present(cpu: u32) -> bool {
    // SAFETY: The number is in range.
    cpu < limit() && unsafe { bindings::cpu_present(cpu) }
}

/// Whether a processor is among those for interrupts that the kernel places.
pub fn takes_interrupts(cpu: u32) -> bool {
    // SAFETY: The number is in range.
    cpu < limit() && unsafe { bindings::is_managed_irq_cpu(cpu) }
}

/// The memory node of a processor.
pub fn node(cpu: u32) -> i32 {
    // SAFETY: The number is in range, or 0.
    unsafe { bindings::cpu_to_node(if cpu < limit() { cpu as i32 } else { 0 }) }
}

/// What is done on each processor that comes or goes.
pub trait Hotplug {
    /// On a processor that comes, and at first on all that run.
    fn online(cpu: u32) -> Result;

    /// On a processor that goes, and at last on all that run.
    ///
    /// # Errors
    ///
    /// If it may not go.
    fn offline(cpu: u32) -> Result;
}

/// That [`Hotplug`] is done, until this is dropped.
///
/// # Invariants
///
/// The number is that of a state that was set up for this.
pub struct Registration(bindings::cpuhp_state);

impl Registration {
    /// Has it done from now on. Sleeps.
    ///
    /// # Errors
    ///
    /// What [`Hotplug::online`] says, or `ENOSPC`.
    pub fn new<H: Hotplug>(name: &'static CStr) -> Result<Self> {
        // SAFETY: The callbacks have the right type, and the state is removed before they go.
        let state = unsafe {
            bindings::__cpuhp_setup_state(
                bindings::cpuhp_state_CPUHP_AP_ONLINE_DYN,
                name.as_char_ptr(),
                true,
                Some(on_online::<H>),
                Some(on_offline::<H>),
                false,
            )
        };
        if state < 0 {
            return Err(Error::from_errno(state));
        }
        // INVARIANT: Just set up.
        Ok(Self(state))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::__cpuhp_remove_state(self.0, true) };
    }
}

fn errno(result: Result) -> c_int {
    result.map_or_else(|error| error.to_errno(), |()| 0)
}

extern "C" fn on_online<H: Hotplug>(cpu: c_uint) -> c_int {
    errno(H::online(cpu))
}

extern "C" fn on_offline<H: Hotplug>(cpu: c_uint) -> c_int {
    errno(H::offline(cpu))
}
