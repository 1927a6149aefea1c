// SPDX-License-Identifier: GPL-2.0 OR MIT

//! An io_uring whose requests own their buffers: all that is `unsafe` here.

use std::fs::File;
use std::os::fd::AsRawFd;

use anyhow::{bail, Result};
use io_uring::{opcode, types, IoUring};

use crate::SIZE;

/// What every request does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Reads into its buffer.
    Read,
    /// Writes from it.
    Write,
}

/// A page, aligned as direct I/O wants it.
#[repr(C, align(4096))]
struct Page([u8; SIZE as usize]);

/// A ring with a buffer for each request that may be in flight.
///
/// # Invariants
///
/// A slot's buffer belongs to the kernel while `busy` is set for it. Whoever drops
/// the ring waits for the requests, or leaves the buffers behind.
pub struct Ring {
    ring: IoUring,
    disk: File,
    operation: Operation,
    buffers: Vec<Box<Page>>,
    busy: Vec<bool>,
}

impl Ring {
    /// A ring for `depth` requests at a time.
    pub fn new(disk: File, operation: Operation, depth: u16) -> Result<Self> {
        let entries = u32::from(depth).next_power_of_two();
        Ok(Self {
            ring: IoUring::new(entries)?,
            disk,
            operation,
            buffers: (0..depth)
                .map(|_| Box::new(Page([0; SIZE as usize])))
                .collect(),
            busy: vec![false; depth.into()],
        })
    }

    /// Takes back the slots of requests that ended, well or not.
    fn reap(&mut self) {
        for entry in self.ring.completion() {
            let slot = usize::try_from(entry.user_data()).unwrap_or(usize::MAX);
            if let Some(busy) = self.busy.get_mut(slot) {
                *busy = false;
            }
        }
    }

    /// How many requests the kernel has.
    pub fn in_flight(&self) -> usize {
        self.busy.iter().filter(|busy| **busy).count()
    }

    /// Puts a request into a slot that is free.
    pub fn start(&mut self, slot: u16, offset: u64) -> Result<()> {
        let index = usize::from(slot);
        let (Some(buffer), Some(busy)) = (self.buffers.get_mut(index), self.busy.get_mut(index))
        else {
            bail!("there is no slot {slot}");
        };
        if std::mem::replace(busy, true) {
            bail!("slot {slot} is in use");
        }
        let (fd, len) = (types::Fd(self.disk.as_raw_fd()), SIZE as u32);
        let at = buffer.0.as_mut_ptr();
        let entry = match self.operation {
            Operation::Read => opcode::Read::new(fd, at, len).offset(offset).build(),
            Operation::Write => opcode::Write::new(fd, at, len).offset(offset).build(),
        }
        .user_data(slot.into());
        // SAFETY: The buffer is SIZE bytes long, lives as long as the ring and is
        // not touched until the slot is free again, by the type's invariants.
        if unsafe { self.ring.submission().push(&entry) }.is_err() {
            bail!("more requests than the ring has room for");
        }
        Ok(())
    }

    /// Hands over what was started, waits for one request at least, and returns
    /// the slots of those that ended.
    pub fn wait(&mut self) -> Result<Vec<u16>> {
        self.ring.submit_and_wait(1)?;
        let mut free = Vec::new();
        for entry in self.ring.completion() {
            let slot = u16::try_from(entry.user_data())?;
            if entry.result() != SIZE as i32 {
                bail!("a request ended with {}", entry.result());
            }
            if let Some(busy) = self.busy.get_mut(usize::from(slot)) {
                *busy = false;
            }
            free.push(slot);
        }
        Ok(free)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.reap();
        while self.in_flight() > 0 {
            if self.ring.submit_and_wait(1).is_err() {
                // Closing the ring does not wait for what is in flight.
                std::mem::forget(std::mem::take(&mut self.buffers));
                return;
            }
            self.reap();
        }
    }
}
