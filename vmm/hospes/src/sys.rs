// SPDX-License-Identifier: GPL-2.0 OR MIT

//! System calls that no library wraps in a safe way.

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::Duration;

use kvm_bindings::{kvm_userspace_memory_region, KVM_EXIT_INTERNAL_ERROR};
use kvm_ioctls::{VcpuFd, VmFd};
use vm_memory::{Address, GuestMemoryRegion, GuestRegionMmap};

/// Asks for huge pages behind a region of guest memory, and names it in
/// `/proc/PID/smaps`. A host without them, or without names, is no worse off.
pub fn prepare_region(region: &GuestRegionMmap<()>) {
    let (start, len) = (region.as_ptr().cast::<c_void>(), region.len() as usize);
    // SAFETY: The range is exactly one live mapping of this process. The advice
    // does not change what it contains.
    let advised = unsafe { libc::madvise(start, len, libc::MADV_HUGEPAGE) };
    if advised != 0 {
        let error = io::Error::last_os_error();
        tracing::debug!(%error, "guest memory has no huge pages");
    }
    let name = c"guest-memory".as_ptr();
    // SAFETY: The range is as above, and the name a string that ends in NUL,
    // which the kernel copies.
    unsafe {
        libc::prctl(
            libc::PR_SET_VMA,
            libc::PR_SET_VMA_ANON_NAME,
            start,
            len,
            name,
        );
    }
}

/// The kind of KVM's internal error, and the words that belong to it, if the last exit
/// was about one.
pub fn internal_error(vcpu: &mut VcpuFd) -> Option<(u32, Vec<u64>)> {
    let run = vcpu.get_kvm_run();
    if run.exit_reason != KVM_EXIT_INTERNAL_ERROR {
        return None;
    }
    // SAFETY: The exit reason says that KVM filled in this field. It consists of
    // numbers, for which any bytes are valid.
    let error = unsafe { run.__bindgen_anon_1.internal };
    let words = error.data.into_iter().take(error.ndata as usize);
    Some((error.suberror, words.collect()))
}

/// Lets a guest see a region of its memory, as KVM's slot number `slot`.
pub fn map_region(
    vm: &VmFd,
    slot: u32,
    region: &GuestRegionMmap<()>,
) -> Result<(), kvm_ioctls::Error> {
    let slot = kvm_userspace_memory_region {
        slot,
        flags: 0,
        guest_phys_addr: region.start_addr().raw_value(),
        memory_size: region.len(),
        userspace_addr: region.as_ptr() as u64,
    };
    // SAFETY: The range is a live mapping of this process. It stays mapped as
    // long as the machine runs: the machine's owner keeps the memory until all
    // vCPUs are gone. The process reaches it only through volatile accesses, so a
    // guest that writes to it at any time breaks no rule.
    unsafe { vm.set_user_memory_region(slot) }
}

/// `KVM_GET_STATS_FD`, of no argument.
const GET_STATS_FD: c_ulong = 0xaece;

/// The file with KVM's statistics about a vCPU.
pub fn statistics_of(vcpu: &VcpuFd) -> io::Result<File> {
    // SAFETY: The descriptor is open, as `vcpu` is borrowed, and the request takes
    // no argument.
    let file = unsafe { libc::ioctl(vcpu.as_raw_fd(), GET_STATS_FD as _) };
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The descriptor is new, and nobody else knows of it.
    Ok(unsafe { File::from_raw_fd(file) })
}

/// Has the calling thread run for so long at a time where others want the
/// processor, too. Its share of that stays the same.
pub fn set_time_slice(slice: Duration) -> io::Result<()> {
    let size = mem::size_of::<libc::sched_attr>() as c_uint;
    let mut attributes = mem::MaybeUninit::<libc::sched_attr>::zeroed();
    // SAFETY: The structure is live and as long as said, which is all that the
    // call writes to. 0 is the calling thread.
    let got =
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0, attributes.as_mut_ptr(), size, 0) };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The structure consists of numbers, for which zeroes are valid.
    let mut attributes = unsafe { attributes.assume_init() };
    attributes.sched_runtime = slice.as_nanos().try_into().unwrap_or(u64::MAX);
    // SAFETY: The structure is live, as long as its field `size` says, and only
    // read.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Raises the limit on open files as far as this user may.
pub fn raise_open_files() -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: The pointer is to a live structure of the type that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: The pointer is to a live structure, which the call only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Has neither this process nor one that it starts gain rights by executing a
/// file.
pub fn forbid_new_privileges() -> io::Result<()> {
    // SAFETY: The call takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Waits for one of the signals in `set`, which are blocked.
pub fn wait_for_signal(set: &libc::sigset_t) -> io::Result<c_int> {
    let mut signal = 0;
    // SAFETY: Both pointers are to live values of the right type, and a set can
    // only be had initialised.
    match unsafe { libc::sigwait(set, &mut signal) } {
        0 => Ok(signal),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
