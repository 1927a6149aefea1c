// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What becomes of a system call that a filter does not permit.

use std::ffi::{c_int, c_void, CStr};
use std::fmt::{self, Write};
use std::io;

use syscalls::Sysno;
use vmm_sys_util::signal::register_signal_handler;

/// Exit status: the VMM failed.
const STATUS: c_int = 1;

/// Offset of the system call's number in the information about a SIGSYS: three
/// numbers, padding, and the address of the instruction precede it.
const CALL_OFFSET: usize = 24;

/// Has the process say what happened, and end.
pub(super) fn report_violations() -> io::Result<()> {
    register_signal_handler(libc::SIGSYS, on_violation).map_err(io::Error::from)
}

/// Runs in the thread that made the call, at any point of it, so it allocates
/// nothing and takes no lock.
extern "C" fn on_violation(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: The kernel passes a pointer to the information of this signal,
    // which is 128 bytes long and has the number of the call at this offset.
    let call = unsafe { info.cast::<u8>().add(CALL_OFFSET).cast::<c_int>().read() };
    let mut name = [0u8; 16];
    // SAFETY: The call writes at most 16 bytes, with a NUL, to a live buffer of
    // that length.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let mut line = Line::default();
    // It never fails: what does not fit is cut off.
    let _ = describe(&mut line, &name, call);
    let text = line.text();
    // SAFETY: The buffer is live and as long as said.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
    // SAFETY: The call has no precondition; no handlers run, so the state of this
    // process does not matter.
    unsafe { libc::_exit(STATUS) }
}

fn describe(line: &mut Line, name: &[u8], call: c_int) -> fmt::Result {
    let name = CStr::from_bytes_until_nul(name).unwrap_or(c"?");
    let name = name.to_str().unwrap_or("?");
    let number = usize::try_from(call).unwrap_or(usize::MAX);
    let known = Sysno::new(number).map_or("unknown", |call| call.name());
    writeln!(
        line,
        "hospes: thread {name} made the system call {known} ({call}), which its seccomp filter \
         does not permit; please report this (--seccomp=log goes on without)"
    )
}

/// A line in memory that is not allocated.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; 256],
            len: 0,
        }
    }
}

impl Line {
    fn text(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.iter_mut().skip(self.len);
        let written = room.zip(text.bytes()).map(|(byte, new)| *byte = new);
        self.len = self.len.saturating_add(written.count());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_thread_and_call() {
        let mut line = Line::default();
        describe(&mut line, b"vcpu0\0\0", 165).unwrap();
        let text = std::str::from_utf8(line.text()).unwrap();
        assert!(text.starts_with("hospes: thread vcpu0 made the system call mount (165),"));
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let mut line = Line::default();
        line.write_str(&"x".repeat(300)).unwrap();
        line.write_str("y").unwrap();
        assert_eq!(line.text(), "x".repeat(256).as_bytes());
    }
}
