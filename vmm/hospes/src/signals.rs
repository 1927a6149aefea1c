// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SIGINT and SIGTERM end the machine in order; a second one ends the process at
//! once.

use std::ffi::c_int;
use std::{io, process};

use hospes_device::thread::{self, Role};
use vmm_sys_util::signal::{block_signal, create_sigset};

use crate::outcome::{Outcome, Stopper};
use crate::sys;

/// The signals that end the machine.
const SIGNALS: [c_int; 2] = [libc::SIGINT, libc::SIGTERM];

/// Has the signals wait for [`watch`], and SIGXFSZ do nothing; to be called
/// before any thread is started, because they have to be blocked in all of them.
///
/// # Errors
///
/// What the kernel says.
pub fn block() -> io::Result<()> {
    for signal in SIGNALS {
        block_signal(signal).map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    // A write beyond the limit for the length of files is to be an error, for
    // the guest or the log, and not the end of the process.
    block_signal(libc::SIGXFSZ).map_err(|error| io::Error::other(format!("{error:?}")))
}

/// Has the signals end the machine, on a thread that lives as long as the
/// process.
///
/// # Errors
///
/// What the kernel says.
pub fn watch(stopper: Stopper) -> io::Result<()> {
    let set = create_sigset(&SIGNALS).map_err(io::Error::from)?;
    thread::spawn(Role::Signals, "signals", move || {
        let mut asked = false;
        while sys::wait_for_signal(&set).is_ok() {
            if asked {
                process::exit(i32::from(Outcome::Interrupted.status()));
            }
            asked = true;
            stopper.stop(Outcome::Interrupted);
        }
    })?;
    Ok(())
}
