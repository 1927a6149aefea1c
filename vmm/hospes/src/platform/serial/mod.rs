// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The serial line: a 16550A whose output goes to any number of destinations,
//! and whose input may come from standard input.
//!
//! Guests write a byte at a time, and here a system call for each would cost
//! more than all the rest: output is collected until a line is complete or the
//! machine calls [`SerialPort::flush`], which it does several times a second.
//! Then the threads of `destination` write it; neither a vCPU nor the machine
//! waits for them before the end, [`SerialPort::finish`].

mod destination;
mod output;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hospes_device::bus::BusDevice;
use hospes_device::counters::{Counted, Counter};
use hospes_device::thread::{self as confined, Role};
use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

use self::destination::{Destination, Losses};
use self::output::Output;

/// Ports of a 16550A.
pub const LEN: u64 = 8;

/// Input that waits for the guest; more than that waits in the host.
const INPUT_LIMIT: usize = 4096;

/// How long a destination may stand still before the end goes without it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Standard output, as a destination. Its buffer in the standard library is left
/// out: writes are large, and whoever else prints shall not wait for a lock that
/// a blocked destination holds.
///
/// # Errors
///
/// If there are too many open files.
pub fn stdout() -> io::Result<File> {
    duplicate(io::stdout().as_fd())
}

/// Writes a last line to standard error, which often is the terminal that stands
/// still: this waits no longer for it than the serial line does.
pub fn print_last(line: &str) {
    let destination =
        duplicate(io::stderr().as_fd()).and_then(|file| Destination::new(file, Arc::default()));
    match destination {
        Ok(destination) => {
            destination.push(format!("{line}\n").as_bytes());
            destination.finish(PATIENCE);
        }
        // Without a file or a thread to spare it is better to wait.
        Err(_) => eprintln!("{line}"),
    }
}

fn duplicate(descriptor: BorrowedFd<'_>) -> io::Result<File> {
    descriptor.try_clone_to_owned().map(File::from)
}

/// Raises the interrupt line.
struct Line(EventFd);

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

struct State {
    uart: Serial<Line, NoEvents, Output>,
    input: VecDeque<u8>,
}

impl State {
    /// Moves input into the UART as far as its FIFO has room.
    fn feed(&mut self) {
        let count = self.uart.fifo_capacity().min(self.input.len());
        if count == 0 {
            return;
        }
        let bytes: Vec<u8> = self.input.drain(..count).collect();
        if self.uart.enqueue_raw_bytes(&bytes).is_err() {
            tracing::warn!("the serial line lost input");
        }
    }
}

/// The serial line of a machine.
pub struct SerialPort {
    state: Mutex<State>,
    destinations: Arc<[Destination]>,
    written: Counter,
    received: Counter,
    losses: Arc<Losses>,
}

impl SerialPort {
    /// A UART that interrupts through `line` and writes to all of `files`.
    ///
    /// # Errors
    ///
    /// If there can be no threads that write.
    pub fn new(line: EventFd, files: Vec<File>) -> io::Result<Arc<Self>> {
        let losses = Arc::new(Losses::default());
        let destinations: Arc<[_]> = files
            .into_iter()
            .map(|file| Destination::new(file, losses.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Arc::new(Self {
            state: Mutex::new(State {
                uart: Serial::new(Line(line), Output::new(destinations.clone())),
                input: VecDeque::new(),
            }),
            destinations,
            written: Counter::default(),
            received: Counter::default(),
            losses,
        }))
    }

    /// Has what was collected written; does not wait for that.
    pub fn flush(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.uart.writer_mut().drain();
    }

    /// Flushes, and waits for every destination as long as it makes progress.
    /// What is left of those that do not is dropped and counted, and not worth a
    /// word in the log, which may stand still as well.
    pub fn finish(&self) {
        self.flush();
        for destination in &*self.destinations {
            destination.finish(PATIENCE);
        }
    }

    /// Passes standard input on to the guest, on a thread that lives as long as
    /// the process.
    ///
    /// # Errors
    ///
    /// If there can be no such thread.
    pub fn read_stdin(self: &Arc<Self>) -> io::Result<()> {
        let port = self.clone();
        confined::spawn(Role::Console, "stdin", move || {
            let mut buffer = [0; 256];
            while let Ok(count @ 1..) = io::stdin().lock().read(&mut buffer) {
                port.receive(buffer.get(..count).unwrap_or_default());
            }
        })?;
        Ok(())
    }

    /// Hands input to the guest, and waits while it has enough.
    fn receive(&self, data: &[u8]) {
        loop {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.input.len() < INPUT_LIMIT {
                state.input.extend(data);
                state.feed();
                return;
            }
            drop(state);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl BusDevice for SerialPort {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        if let (Ok(offset), [byte]) = (u8::try_from(offset), data) {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            *byte = state.uart.read(offset);
            if offset == 0 {
                self.received.inc();
                state.feed();
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if let (Ok(offset), [byte]) = (u8::try_from(offset), data) {
            if offset == 0 {
                self.written.inc();
            }
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.uart.write(offset, *byte).is_err() {
                self.losses.failed.inc();
            }
        }
    }
}

impl Counted for SerialPort {
    fn counters(&self) -> serde_json::Value {
        serde_json::json!({
            "data_writes": self.written,
            "data_reads": self.received,
            "failed": self.losses.failed,
            "dropped": self.losses.dropped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    /// A port, its interrupt line, and the other ends of its destinations.
    fn port<const N: usize>() -> (Arc<SerialPort>, EventFd, [UnixStream; N]) {
        let line = EventFd::new(vmm_sys_util::eventfd::EFD_NONBLOCK).unwrap();
        let mut files = Vec::new();
        let streams = [(); N].map(|()| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            files.push(File::from(OwnedFd::from(ours)));
            theirs
        });
        let port = SerialPort::new(line.try_clone().unwrap(), files).unwrap();
        (port, line, streams)
    }

    fn send(port: &SerialPort, text: &str) {
        for byte in text.bytes() {
            port.write(0, &[byte]);
        }
    }

    fn get(stream: &mut UnixStream, len: usize) -> String {
        let mut text = vec![0; len];
        stream.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn output_comes_a_line_at_a_time_or_when_flushed() {
        let (port, _, [mut stream]) = port();
        send(&port, "one\ntwo");
        assert_eq!(get(&mut stream, 4), "one\n");
        port.flush();
        assert_eq!(get(&mut stream, 3), "two");
    }

    #[test]
    fn the_end_waits_for_all_output() {
        let file = vmm_sys_util::tempfile::TempFile::new().unwrap();
        let line = EventFd::new(0).unwrap();
        let copy = file.as_file().try_clone().unwrap();
        let port = SerialPort::new(line, vec![copy]).unwrap();
        send(&port, "one\ntwo");
        port.finish();
        assert_eq!(std::fs::read_to_string(file.as_path()).unwrap(), "one\ntwo");
    }

    #[test]
    fn a_destination_that_blocks_holds_up_neither_guest_nor_others() {
        let (port, _, [_blocked, mut read]) = port();
        while port.losses.dropped.get() == 0 {
            port.destinations[0].push(&[b'x'; 4096]);
        }
        send(&port, "one\ntwo");
        port.flush();
        assert_eq!(get(&mut read, 7), "one\ntwo");
        assert!(port.losses.dropped.get() > 0);
        assert_eq!(port.losses.failed.get(), 0);
    }

    #[test]
    fn input_longer_than_the_fifo_arrives_whole() {
        let (port, line, []) = port();
        port.write(1, &[1]);
        let input: Vec<u8> = (0..200).collect();
        port.receive(&input);
        assert!(line.read().is_ok());
        let mut got = Vec::new();
        for _ in 0..200 {
            let mut byte = [0];
            port.read(0, &mut byte);
            got.extend(byte);
        }
        assert_eq!(got, input);
    }
}
