// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What threads of a role may ask of the host's kernel.
//!
//! A role's list is short enough to be read. What all threads need is memory,
//! locks, clocks and their own end; a role adds what its work is made of. Memory
//! never becomes executable, signals go nowhere but to this process, and
//! requests to devices (`ioctl`) are permitted one by one.

use std::collections::BTreeMap;

use seccompiler::{
    apply_filter, BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::{FilterError, Mode};

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Waits for the machine's end, and takes it apart.
    Main,
    /// Runs guest code and answers its accesses.
    Vcpu,
    /// Serves queues and does I/O for a device.
    Device,
    /// Moves a console's output or input.
    Console,
    /// Waits for signals.
    Signals,
    /// Serves the control socket; may add and remove devices.
    Control,
    /// Makes all other threads.
    Launcher,
}

/// Any thread.
const BASE: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Making what a device's threads wait for, which a guest causes when it sets a
/// device up.
const EVENTS: &[i64] = &[
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
];

/// How long a thread runs at a time.
const SCHEDULING: &[i64] = &[libc::SYS_sched_getattr, libc::SYS_sched_setattr];

/// Waiting, and I/O on files that are open.
const IO: &[i64] = &[
    libc::SYS_copy_file_range,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_wait,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_lseek,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_readv,
    libc::SYS_statx,
    libc::SYS_sync_file_range,
];

/// Opening and removing files.
const FILES: &[i64] = &[
    libc::SYS_access,
    libc::SYS_faccessat2,
    libc::SYS_flock,
    libc::SYS_fstatfs,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_stat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
];

/// A Unix socket.
const SOCKETS: &[i64] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_umask,
];

/// Making a thread, and what it does until it has its own filter.
const THREADS: &[i64] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_ioctl,
    libc::SYS_mprotect,
    libc::SYS_prctl,
    libc::SYS_rseq,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_seccomp,
    libc::SYS_set_robust_list,
    libc::SYS_socket,
    libc::SYS_tgkill,
];

/// Requests to KVM's machine that a device causes: interrupts and doorbells.
const KVM_MACHINE: &[u64] = &[
    0x4008_ae61, // KVM_IRQ_LINE
    0x4008_ae6a, // KVM_SET_GSI_ROUTING
    0x4020_ae76, // KVM_IRQFD
    0x4040_ae79, // KVM_IOEVENTFD
    0x4020_aea5, // KVM_SIGNAL_MSI
    0x4018_aebd, // KVM_HYPERV_EVENTFD
];

/// Requests to a vCPU.
const KVM_VCPU: &[u64] = &[
    0x0000_ae80, // KVM_RUN
    0x8090_ae81, // KVM_GET_REGS
    0x0000_aead, // KVM_KVMCLOCK_CTRL
];

/// Requests to block and SCSI devices.
const BLOCK: &[u64] = &[
    0x0000_125e, // BLKROGET
    0x0000_1267, // BLKSECTGET
    0x0000_1268, // BLKSSZGET
    0x8008_1272, // BLKGETSIZE64
    0x0000_1277, // BLKDISCARD
    0x0000_1278, // BLKIOMIN
    0x0000_1279, // BLKIOOPT
    0x0000_127a, // BLKALIGNOFF
    0x0000_127b, // BLKPBSZGET
    0x0000_127e, // BLKROTATIONAL
    0x0000_127f, // BLKZEROOUT
    0x0000_2276, // SG_GET_SCSI_ID
    0x0000_2282, // SG_GET_VERSION_NUM
    0x0000_2285, // SG_IO
];

/// Requests to a socket or any other file.
const SOCKET_REQUESTS: &[u64] = &[
    0x0000_5421, // FIONBIO
];

impl Role {
    /// Calls that may be made with any arguments.
    fn calls(self) -> Vec<&'static [i64]> {
        match self {
            Self::Main => vec![BASE, EVENTS, IO, FILES],
            Self::Vcpu => vec![BASE, EVENTS, SCHEDULING],
            Self::Device => vec![BASE, EVENTS, IO],
            Self::Console => vec![BASE],
            Self::Signals => vec![BASE, &[libc::SYS_rt_sigtimedwait]],
            Self::Control => vec![BASE, EVENTS, IO, FILES, SOCKETS],
            Self::Launcher => vec![BASE, EVENTS, IO, FILES, SOCKETS, THREADS, SCHEDULING],
        }
    }

    /// Requests that may be made of devices. The launcher's filter permits any.
    fn requests(self) -> Vec<&'static [u64]> {
        match self {
            Self::Main | Self::Device => vec![KVM_MACHINE, BLOCK],
            Self::Vcpu => vec![KVM_VCPU, KVM_MACHINE],
            Self::Control => vec![KVM_MACHINE, BLOCK, SOCKET_REQUESTS],
            Self::Console | Self::Signals | Self::Launcher => vec![],
        }
    }
}

/// Puts the filter of `role` on the calling thread.
pub(super) fn apply(role: Role, mode: Mode) -> Result<(), FilterError> {
    let action = match mode {
        Mode::Off => return Ok(()),
        Mode::Log => SeccompAction::Log,
        Mode::On => SeccompAction::Trap,
    };
    let refused = |reason: String| FilterError::Refused { role, reason };
    let program = compile(role, action).map_err(|error| refused(error.to_string()))?;
    apply_filter(&program).map_err(|error| refused(error.to_string()))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn compile(role: Role, action: SeccompAction) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::new();
    // A later entry replaces an earlier one.
    guarded(role, &mut rules)?;
    let calls = role.calls();
    rules.extend(calls.into_iter().flatten().map(|call| (*call, Vec::new())));
    SeccompFilter::new(rules, action, SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

/// Calls that may be made with some arguments only.
fn guarded(role: Role, rules: &mut Rules) -> Result<(), BackendError> {
    let not_executable = SeccompCmpOp::MaskedEq(u64::from(libc::PROT_EXEC.unsigned_abs()));
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![rule(2, not_executable.clone(), 0)?]);
    }
    let this_process = u64::from(std::process::id());
    rules.insert(
        libc::SYS_tgkill,
        vec![rule(0, SeccompCmpOp::Eq, this_process)?],
    );
    let get_name = u64::from(libc::PR_GET_NAME.unsigned_abs());
    rules.insert(libc::SYS_prctl, vec![rule(0, SeccompCmpOp::Eq, get_name)?]);
    let requests = role.requests().into_iter().flatten();
    let requests: Vec<_> = requests
        .map(|request| rule(1, SeccompCmpOp::Eq, *request))
        .collect::<Result<_, _>>()?;
    if !requests.is_empty() {
        rules.insert(libc::SYS_ioctl, requests);
    }
    Ok(())
}

/// A call is permitted if the lower half of its argument `index` compares so.
fn rule(index: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)?;
    SeccompRule::new(vec![condition])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 6] = [
        Role::Main,
        Role::Vcpu,
        Role::Device,
        Role::Console,
        Role::Signals,
        Role::Control,
    ];

    #[test]
    fn every_filter_is_a_program() {
        for role in ROLES.into_iter().chain([Role::Launcher]) {
            let program = compile(role, SeccompAction::Trap).unwrap();
            assert!(program.len() > BASE.len(), "{role:?}");
        }
    }

    #[test]
    fn the_launcher_permits_what_any_role_may_do() {
        let all: Vec<_> = Role::Launcher.calls().into_iter().flatten().collect();
        for role in ROLES {
            for call in role.calls().into_iter().flatten() {
                assert!(all.contains(&call), "{role:?}: {call}");
            }
        }
    }

    #[test]
    fn who_sees_a_guest_opens_nothing() {
        for role in [Role::Vcpu, Role::Device, Role::Console, Role::Signals] {
            let calls = role.calls();
            let calls: Vec<_> = calls.into_iter().flatten().collect();
            for forbidden in FILES.iter().chain(SOCKETS).chain(&[libc::SYS_clone3]) {
                assert!(!calls.contains(&forbidden), "{role:?}: {forbidden}");
            }
        }
    }
}
