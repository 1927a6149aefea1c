// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the process asks of its host, and what it gives up.
//!
//! A disk is a file, an interrupt vector and a queue are eventfds: a large
//! machine needs more than the 1024 open files that a process is usually given.
//! It needs no privilege for anything, so it gives up the way to get some.

use std::io;

use crate::sys;

/// Raises the limit on open files as far as this user may.
///
/// # Errors
///
/// What the kernel says; the limit is then as it was.
pub fn raise_open_files() -> io::Result<()> {
    sys::raise_open_files()
}

/// Has the process never gain rights that it was not started with.
///
/// # Errors
///
/// What the kernel says.
pub fn forbid_new_privileges() -> io::Result<()> {
    sys::forbid_new_privileges()
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[test]
    fn raising_works_more_than_once() {
        super::raise_open_files().unwrap();
        super::raise_open_files().unwrap();
    }

    #[test]
    fn privileges_are_given_up() {
        super::forbid_new_privileges().unwrap();
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
}
