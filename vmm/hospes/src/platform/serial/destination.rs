// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A destination of the serial line's output: a thread that writes to it, and a
//! bounded buffer in front of that.
//!
//! A terminal may be stopped, and a pipe full, for as long as its other end
//! likes. Only the destination's thread waits for that: the guest goes on, and
//! once the buffer is full, its output is dropped and counted. Every destination
//! has a thread, so that none keeps another from its output either.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hospes_device::counters::Counter;
use hospes_device::thread::{self, Role};

/// Output that waits for a destination; more than that is dropped.
const LIMIT: usize = 1 << 20;

/// The most that is written at once. A system call's progress shows when it
/// returns, and a slow line should show some several times in
/// [`Destination::finish`]'s patience.
const CHUNK: usize = 4096;

/// What went wrong with output, of all destinations together.
#[derive(Default)]
pub struct Losses {
    /// Writes that failed.
    pub failed: Counter,
    /// Bytes that a destination was too slow for.
    pub dropped: Counter,
}

#[derive(Default)]
struct Buffer {
    pending: VecDeque<u8>,
    /// Length of what is being written.
    writing: usize,
    /// Writes that came to an end.
    writes: u64,
    /// Nothing more will come.
    closed: bool,
}

impl Buffer {
    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.writing == 0
    }
}

struct Shared {
    buffer: Mutex<Buffer>,
    /// There is something to write, or never will be.
    filled: Condvar,
    /// All was written.
    idle: Condvar,
    losses: Arc<Losses>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for output; there is none when the buffer is closed and empty.
    fn take(&self) -> Option<Vec<u8>> {
        let mut buffer = self
            .filled
            .wait_while(self.lock(), |buffer| {
                buffer.pending.is_empty() && !buffer.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        let count = buffer.pending.len().min(CHUNK);
        buffer.writing = count;
        (count > 0).then(|| buffer.pending.drain(..count).collect())
    }

    fn written(&self) {
        let mut buffer = self.lock();
        buffer.writing = 0;
        buffer.writes = buffer.writes.wrapping_add(1);
        if buffer.is_idle() {
            self.idle.notify_all();
        }
    }

    /// The destination's thread.
    fn run(&self, mut file: File) {
        while let Some(chunk) = self.take() {
            if file.write_all(&chunk).is_err() {
                self.losses.failed.inc();
            }
            self.written();
        }
    }
}

/// Where output goes. Its thread ends after the destination was dropped, when
/// everything is written.
pub struct Destination(Arc<Shared>);

impl Destination {
    /// Starts a thread that writes to `file`.
    ///
    /// # Errors
    ///
    /// If there can be no such thread.
    pub fn new(file: File, losses: Arc<Losses>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            buffer: Mutex::default(),
            filled: Condvar::new(),
            idle: Condvar::new(),
            losses,
        });
        let writer = shared.clone();
        thread::spawn(Role::Console, "console", move || writer.run(file))?;
        Ok(Self(shared))
    }

    /// Has `data` written. Without room for all of it, all of it is dropped, so
    /// that what is written are whole lines. This does not block.
    pub fn push(&self, data: &[u8]) {
        let mut buffer = self.0.lock();
        if data.len() > LIMIT.saturating_sub(buffer.pending.len()) {
            self.0.losses.dropped.add(data.len() as u64);
            return;
        }
        // The thread waits for nothing else than the first byte.
        let wake = buffer.pending.is_empty();
        buffer.pending.extend(data);
        drop(buffer);
        if wake {
            self.0.filled.notify_one();
        }
    }

    /// Waits until everything is written, or nothing was for as long as
    /// `patience`: what is left then is dropped, and the return value false.
    pub fn finish(&self, patience: Duration) -> bool {
        let mut buffer = self.0.lock();
        loop {
            let before = buffer.writes;
            let (guard, _) = self
                .0
                .idle
                .wait_timeout_while(buffer, patience, |buffer| !buffer.is_idle())
                .unwrap_or_else(PoisonError::into_inner);
            buffer = guard;
            if buffer.is_idle() {
                return true;
            }
            if buffer.writes == before {
                let left = buffer.pending.len().saturating_add(buffer.writing);
                self.0.losses.dropped.add(left as u64);
                buffer.pending.clear();
                return false;
            }
        }
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.filled.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A destination that blocks unless the other end is read.
    fn socket() -> (Destination, Arc<Losses>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let losses = Arc::new(Losses::default());
        let file = File::from(OwnedFd::from(ours));
        let destination = Destination::new(file, losses.clone()).unwrap();
        (destination, losses, theirs)
    }

    fn lines(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|number| format!("{number:01023}\n"))
    }

    /// What is left to read after the destination was dropped.
    fn rest(mut stream: UnixStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_slow_reader_gets_everything_in_order() {
        let (destination, losses, stream) = socket();
        let all: String = lines(1000).collect();
        lines(1000).for_each(|line| destination.push(line.as_bytes()));
        let reader = thread::spawn(move || rest(stream));
        assert!(destination.finish(PATIENCE));
        drop(destination);
        assert!(reader.join().unwrap() == all);
        assert_eq!(losses.dropped.get(), 0);
        assert_eq!(losses.failed.get(), 0);
    }

    #[test]
    fn what_does_not_fit_is_dropped_by_whole_lines_and_counted() {
        let (destination, losses, stream) = socket();
        lines(4000).for_each(|line| destination.push(line.as_bytes()));
        let dropped = losses.dropped.get();
        assert!(dropped > 0);
        let reader = thread::spawn(move || rest(stream));
        assert!(destination.finish(PATIENCE));
        drop(destination);
        let text = reader.join().unwrap();
        assert_eq!(text.len() as u64 + dropped, 4000 * 1024);
        assert!(text.lines().all(|line| line.len() == 1023));
        assert_eq!(losses.dropped.get(), dropped);
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_does_not_read() {
        let (destination, losses, stream) = socket();
        lines(1000).for_each(|line| destination.push(line.as_bytes()));
        assert!(!destination.finish(Duration::from_millis(50)));
        assert!(losses.dropped.get() > 0);
        drop(destination);
        drop(stream);
    }

    #[test]
    fn a_destination_that_fails_is_counted_and_does_not_block() {
        let (destination, losses, stream) = socket();
        drop(stream);
        destination.push(b"lost\n");
        assert!(destination.finish(PATIENCE));
        assert_eq!(losses.failed.get(), 1);
    }
}
