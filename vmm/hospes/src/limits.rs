// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The host's limit on open files.
//!
//! A disk is a file, an interrupt vector and a queue are eventfds: a large
//! machine needs more than the 1024 that a process is usually given.

use std::io;

/// Raises the limit as far as this user may.
///
/// # Errors
///
/// What the kernel says; the limit is then as it was.
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

#[cfg(test)]
mod tests {
    #[test]
    fn raising_works_more_than_once() {
        super::raise_open_files().unwrap();
        super::raise_open_files().unwrap();
    }
}
