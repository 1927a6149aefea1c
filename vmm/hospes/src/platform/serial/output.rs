// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the UART writes to: collects bytes to lines, and passes these on.

use std::io::{self, Write};
use std::sync::Arc;

use super::destination::Destination;

/// Collected output is passed on at the latest when it is this long.
const CHUNK: usize = 4096;

/// Collects output for its destinations.
pub struct Output {
    collected: Vec<u8>,
    destinations: Arc<[Destination]>,
}

impl Output {
    /// Nothing collected yet.
    pub fn new(destinations: Arc<[Destination]>) -> Self {
        Self {
            collected: Vec::new(),
            destinations,
        }
    }

    /// Passes on what was collected.
    pub fn drain(&mut self) {
        if self.collected.is_empty() {
            return;
        }
        for destination in &*self.destinations {
            destination.push(&self.collected);
        }
        self.collected.clear();
    }
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.collected.extend_from_slice(data);
        if data.contains(&b'\n') || self.collected.len() >= CHUNK {
            self.drain();
        }
        Ok(data.len())
    }

    /// The UART flushes after each byte, which is what this type avoids.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
