// SPDX-License-Identifier: GPL-2.0

//! What the host is told when this kernel ends: it must not write to memory, nor interrupt, when
//! that is another kernel's.

use crate::bus;
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

/// The CPU that is left when a machine goes to sleep.
const LAST_CPU: u32 = 0;

/// Whether somebody else unloads the bus in a panic.
static SKIP_UNLOAD: AtomicBool = AtomicBool::new(false);

/// Somebody else unloads the bus in a panic, or does not any more.
pub(crate) fn skip_unload(skip: bool) {
    SKIP_UNLOAD.store(skip, Ordering::Relaxed);
}

/// The kernel panics. Nothing may sleep, nor take a lock.
pub(crate) fn panic() {
    if !SKIP_UNLOAD.load(Ordering::Relaxed) {
        bus::unload(true);
    }
}

/// Another kernel is started in order.
pub(crate) fn kexec() {
    bus::unload(false);
    bus::forget_cpus();
}

/// Another kernel is started to look at what is left of this one. Other CPUs have stopped wherever
/// they were, and only what is `cpu`'s can be cleaned up.
pub(crate) fn crash(cpu: u32, stop_timers: impl FnOnce()) {
    panic();
    stop_timers();
    bus::synic_off(cpu);
}

/// All other CPUs are off, and interrupts; an image of memory is being made, or loaded.
pub(crate) fn suspend() {
    bus::synic_off(LAST_CPU);
}

/// The machine goes on after [`suspend`].
pub(crate) fn resume() {
    bus::synic_on(LAST_CPU);
}
