// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reads and writes by io_uring, one at a time.
//!
//! A thread that wants more than one in flight takes more threads: what is
//! tested is the way of a request, not this program's speed. With polling the
//! kernel asks the driver for completions instead of waiting for an interrupt.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use io_uring::{opcode, squeue, types, IoUring};

/// A ring of one thread.
pub struct Ring {
    ring: IoUring,
}

impl Ring {
    /// A ring that polls for completions, or sleeps until they come.
    ///
    /// # Errors
    ///
    /// The kernel has no io_uring, or forbids it.
    pub fn new(polled: bool) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        if polled {
            builder.setup_iopoll();
        }
        Ok(Self {
            ring: builder.build(2)?,
        })
    }

    /// Reads to `buffer` from byte `at` on; says how much it was.
    ///
    /// # Errors
    ///
    /// What the kernel answers; `EOPNOTSUPP` if nobody polls for this file.
    pub fn read(&mut self, file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let len = length(buffer)?;
        let file = types::Fd(file.as_raw_fd());
        let entry = opcode::Read::new(file, buffer.as_mut_ptr(), len).offset(at);
        self.carry_out(&entry.build())
    }

    /// Writes `buffer` to byte `at` and after; says how much it was.
    ///
    /// # Errors
    ///
    /// As for [`Ring::read`].
    pub fn write(&mut self, file: &File, buffer: &[u8], at: u64) -> io::Result<usize> {
        let len = length(buffer)?;
        let file = types::Fd(file.as_raw_fd());
        let entry = opcode::Write::new(file, buffer.as_ptr(), len).offset(at);
        self.carry_out(&entry.build())
    }

    /// Has `entry` carried out, and comes back when the kernel is done with it.
    fn carry_out(&mut self, entry: &squeue::Entry) -> io::Result<usize> {
        // SAFETY:
        // - Both callers borrow the file and the buffer that `entry` names for
        //   the whole call, and the buffer is as long as `entry` says; the one
        //   that is written to is borrowed mutably.
        // - This function does not return before `wait` has seen the entry's
        //   completion: the ring never holds another one, and `wait` does not
        //   give up. After that the kernel uses neither any more.
        unsafe { self.ring.submission().push(entry) }
            .map_err(|_| io::Error::other("the ring is full"))?;
        let result = self.wait();
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(result.saturating_neg()))
    }

    /// Submits what is in the ring and waits for its completion.
    fn wait(&mut self) -> i32 {
        loop {
            let entered = self.ring.submit_and_wait(1);
            if let Some(done) = self.ring.completion().next() {
                return done.result();
            }
            match entered.map_err(|error| error.raw_os_error()) {
                Ok(_) | Err(Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)) => {}
                // The kernel may still own the buffer: there is no way back.
                Err(_) => std::process::abort(),
            }
        }
    }
}

fn length(buffer: &[u8]) -> io::Result<u32> {
    u32::try_from(buffer.len()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
