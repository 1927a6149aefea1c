// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The serial line: a 16550A whose output goes to standard output, a file, or
//! both, and whose input may come from standard input.
//!
//! Guests write a byte at a time, and here a system call for each would cost
//! more than all the rest: output is collected until a line is complete or the
//! machine calls [`SerialPort::flush`], which it does several times a second.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hospes_device::bus::BusDevice;
use hospes_device::counters::{Counted, Counter};
use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

/// Ports of a 16550A.
pub const LEN: u64 = 8;

/// Collected output is written at the latest when it is this long.
const OUTPUT_CHUNK: usize = 4096;

/// Input that waits for the guest; more than that waits in the host.
const INPUT_LIMIT: usize = 4096;

/// Raises the interrupt line.
struct Line(EventFd);

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

/// Collects output for its destinations.
struct Output {
    pending: Vec<u8>,
    stdout: bool,
    file: Option<File>,
}

impl Output {
    fn drain(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        // A destination that fails must not keep the other from its output.
        let first = match &mut self.file {
            Some(file) => file.write_all(&pending),
            None => Ok(()),
        };
        let second = if self.stdout {
            write_stdout(&pending)
        } else {
            Ok(())
        };
        first.and(second)
    }
}

fn write_stdout(data: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data)?;
    stdout.flush()
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(data);
        if data.contains(&b'\n') || self.pending.len() >= OUTPUT_CHUNK {
            self.drain()?;
        }
        Ok(data.len())
    }

    /// The UART flushes after each byte, which is what this type avoids.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
    written: Counter,
    received: Counter,
    failed: Counter,
}

impl SerialPort {
    /// A UART that interrupts through `line`.
    pub fn new(line: EventFd, stdout: bool, file: Option<File>) -> Arc<Self> {
        let output = Output {
            pending: Vec::new(),
            stdout,
            file,
        };
        Arc::new(Self {
            state: Mutex::new(State {
                uart: Serial::new(Line(line), output),
                input: VecDeque::new(),
            }),
            written: Counter::default(),
            received: Counter::default(),
            failed: Counter::default(),
        })
    }

    /// Writes what was collected.
    pub fn flush(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.uart.writer_mut().drain().is_err() {
            self.failed.inc();
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
        thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
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
                self.failed.inc();
            }
        }
    }
}

impl Counted for SerialPort {
    fn counters(&self) -> serde_json::Value {
        serde_json::json!({
            "data_writes": self.written,
            "data_reads": self.received,
            "failed": self.failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    fn port() -> (Arc<SerialPort>, EventFd, File) {
        let line = EventFd::new(vmm_sys_util::eventfd::EFD_NONBLOCK).unwrap();
        let file = vmm_sys_util::tempfile::TempFile::new().unwrap().into_file();
        let port = SerialPort::new(
            line.try_clone().unwrap(),
            false,
            Some(file.try_clone().unwrap()),
        );
        (port, line, file)
    }

    fn content(file: &mut File) -> String {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn output_comes_a_line_at_a_time_or_when_flushed() {
        let (port, _, mut file) = port();
        for byte in b"one\ntwo" {
            port.write(0, &[*byte]);
        }
        assert_eq!(content(&mut file), "one\n");
        port.flush();
        assert_eq!(content(&mut file), "one\ntwo");
    }

    #[test]
    fn input_longer_than_the_fifo_arrives_whole() {
        let (port, line, _) = port();
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
