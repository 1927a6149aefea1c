// SPDX-License-Identifier: GPL-2.0

//! What the kernel calls when it ends, or all of it sleeps.

use super::bindings;
use crate::device::ending;
use core::pin::Pin;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// Almost the last in line: others still need their devices.
const PANIC_PRIORITY: c_int = c_int::MIN + 1;

/// Has the host told when this kernel panics. Dropping it ends that.
pub(crate) struct Panic(Pin<KBox<Opaque<bindings::notifier_block>>>);

// SAFETY: The list that it is in has a lock.
unsafe impl Send for Panic {}

// SAFETY: As above.
unsafe impl Sync for Panic {}

impl Panic {
    pub(crate) fn new() -> Result<Self> {
        let block = Opaque::ffi_init(|slot: *mut bindings::notifier_block| {
            let mut block = pin_init::zeroed::<bindings::notifier_block>();
            block.notifier_call = Some(panic_callback);
            block.priority = PANIC_PRIORITY;
            // SAFETY: `slot` is valid for writes.
            unsafe { slot.write(block) };
        });
        let block = KBox::pin_init(block, GFP_KERNEL)?;
        // SAFETY: A list of the kernel's, and a block that is there until it is taken out. This
        // list refuses nothing.
        unsafe {
            bindings::atomic_notifier_chain_register(
                &raw mut bindings::panic_notifier_list,
                block.get(),
            )
        };
        Ok(Self(block))
    }
}

impl Drop for Panic {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe {
            bindings::atomic_notifier_chain_unregister(
                &raw mut bindings::panic_notifier_list,
                self.0.get(),
            )
        };
    }
}

extern "C" fn panic_callback(
    _block: *mut bindings::notifier_block,
    _event: c_ulong,
    _message: *mut c_void,
) -> c_int {
    ending::panic();
    bindings::NOTIFY_DONE as c_int
}

/// Has the host told when another kernel takes over, and the interrupts of the bus go to sleep
/// with the machine. Dropping it ends that.
pub(crate) struct Handlers(Pin<KBox<Opaque<bindings::syscore>>>);

// SAFETY: The list that it is in has a lock.
unsafe impl Send for Handlers {}

// SAFETY: As above.
unsafe impl Sync for Handlers {}

/// Wraps what only the kernel looks at.
struct Operations(bindings::syscore_ops);

// SAFETY: A constant.
unsafe impl Sync for Operations {}

static OPERATIONS: Operations = Operations(bindings::syscore_ops {
    suspend: Some(suspend_callback),
    resume: Some(resume_callback),
    shutdown: None,
});

impl Handlers {
    pub(crate) fn new() -> Result<Self> {
        let core = Opaque::ffi_init(|slot: *mut bindings::syscore| {
            let mut core = pin_init::zeroed::<bindings::syscore>();
            core.ops = &raw const OPERATIONS.0;
            // SAFETY: `slot` is valid for writes.
            unsafe { slot.write(core) };
        });
        let core = KBox::pin_init(core, GFP_KERNEL)?;
        // SAFETY: Functions of a module that takes them back before it goes, and memory that is
        // there until then.
        unsafe {
            bindings::hv_setup_kexec_handler(Some(kexec_callback));
            bindings::hv_setup_crash_handler(Some(crash_callback));
            bindings::register_syscore(core.get());
        }
        Ok(Self(core))
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`.
        unsafe {
            bindings::unregister_syscore(self.0.get());
            bindings::hv_remove_kexec_handler();
            bindings::hv_remove_crash_handler();
            // The synthetic timers are the kernel's, which goes on using them.
        }
    }
}

extern "C" fn kexec_callback() {
    ending::kexec();
}

extern "C" fn crash_callback(_registers: *mut bindings::pt_regs) {
    let cpu = kernel::cpu::CpuId::current().as_u32();
    ending::crash(cpu, || {
        // SAFETY: May be called at any time for the CPU that it runs on.
        unsafe { bindings::hv_stimer_cleanup(cpu) };
    });
}

extern "C" fn suspend_callback(_data: *mut c_void) -> c_int {
    ending::suspend();
    0
}

extern "C" fn resume_callback(_data: *mut c_void) {
    ending::resume();
}

/// A driver of a frame buffer will unload the bus itself when the kernel panics, once what is on
/// the screen has gone to the host.
#[no_mangle]
extern "C" fn vmbus_set_skip_unload(skip: bool) {
    ending::skip_unload(skip);
}
