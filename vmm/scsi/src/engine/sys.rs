// SPDX-License-Identifier: GPL-2.0 OR MIT

//! An io_uring that owns what it works on.
//!
//! A [`Job`] is moved into the ring together with its access, and comes out
//! when the kernel has let go of its buffers. There is no other way to get it
//! back, so nothing of a command in the ring can be freed or used elsewhere.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use hospes_device::memory::SgList;
use io_uring::{opcode, squeue, types, IoUring};

use super::Job;
use crate::backing::Durability;
use crate::command::Outcome;
use crate::unit::Operation;

/// Accesses that can be given to the kernel in one system call.
const ENTRIES: u32 = 64;
/// Results that the kernel can hold before it has to allocate memory for them.
const RESULTS: u32 = 512;
/// Most pieces of a buffer that one access takes (`UIO_MAXIOV`).
const MAX_PIECES: usize = 1024;
/// The name of requests that cancel others. Jobs have their slot.
const CANCEL: u64 = u64::MAX;

/// An io_uring and the jobs in it.
///
/// # Invariants
///
/// - Each access that the kernel knows of, or is going to be told of by the
///   next system call, has its slot as user data, and the slot stays taken until
///   its result was seen.
/// - A slot's `list` and `vectors` do not change while it is taken.
pub(crate) struct Ring {
    ring: IoUring,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    in_flight: usize,
    /// Whether there are entries that the kernel does not know of yet.
    is_dirty: bool,
}

struct Slot {
    job: Box<Job>,
    /// Keeps the guest's memory mapped.
    list: SgList,
    /// The pieces of the list, if there are several.
    vectors: Vec<libc::iovec>,
    is_cancelled: bool,
}

/// An access that came out of the ring.
pub(crate) struct Finished {
    pub(crate) job: Box<Job>,
    /// How many bytes were transferred.
    pub(crate) result: io::Result<u64>,
}

/// A job that the ring cannot take.
pub(crate) struct Refused(pub(crate) Box<Job>);

impl Ring {
    /// A ring of the calling thread.
    ///
    /// # Errors
    ///
    /// Those of the system, which may not have io_uring or not permit it.
    pub(crate) fn new() -> io::Result<Self> {
        let frugal = IoUring::builder()
            .setup_cqsize(RESULTS)
            .setup_coop_taskrun()
            .setup_single_issuer()
            .build(ENTRIES);
        let ring = match frugal {
            // The flags are younger than io_uring itself.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::new(ENTRIES)?,
            other => other?,
        };
        // READ and WRITE came with this feature, in Linux 5.6.
        if !ring.params().is_feature_rw_cur_pos() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self {
            ring,
            slots: Vec::new(),
            free: Vec::new(),
            in_flight: 0,
            is_dirty: false,
        })
    }

    /// How many jobs are in it.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Takes a job and what is left of its access, which begins with the next
    /// [`submit`](Self::submit) at the latest.
    ///
    /// # Errors
    ///
    /// The job, if it has no file, or the kernel takes nothing at present.
    pub(crate) fn take(&mut self, mut job: Box<Job>) -> Result<(), Refused> {
        let (Some((access, done)), true) = (job.access(), job.file().is_some()) else {
            return Err(Refused(job));
        };
        if !self.make_room() {
            return Err(Refused(job));
        }
        let list = job.take_list();
        let left = access.len.saturating_sub(done);
        let vectors = match access.operation {
            Operation::Flush => Vec::new(),
            _ => vectors_of(&list, done, left),
        };
        let slot = Slot {
            job,
            list,
            vectors,
            is_cancelled: false,
        };
        let offset = access.offset.saturating_add(done);
        let Some(entry) = slot.entry(access.operation, offset) else {
            return Err(slot.refuse());
        };
        let at = self.free.pop().unwrap_or(self.slots.len());
        let entry = entry.user_data(at as u64);
        // INVARIANT: the slot is taken before the kernel can know of the access.
        match self.slots.get_mut(at) {
            Some(free) => *free = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        // SAFETY:
        // - What the entry points to is the slot's `vectors`, or memory of its
        //   `list`. By the invariants both stay as they are, and the list keeps
        //   that memory mapped, until the result was seen. Moving the slot, as
        //   a growing table does, moves neither.
        // - No reference to that memory exists: guest memory is only accessed
        //   through volatile slices. So the kernel may read and write it at any
        //   time.
        // - The descriptor is open: the slot's job keeps the file, and the
        //   kernel keeps it for itself from the system call on.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        if pushed.is_err() {
            let slot = self.slots.get_mut(at).and_then(Option::take);
            self.free.push(at);
            return slot.map_or(Ok(()), |slot| Err(slot.refuse()));
        }
        self.in_flight = self.in_flight.saturating_add(1);
        self.is_dirty = true;
        Ok(())
    }

    /// Begins all accesses that were taken.
    pub(crate) fn submit(&mut self) {
        if self.is_dirty {
            self.enter(0);
        }
    }

    /// Waits until there is a result, if any job is in the ring.
    pub(crate) fn wait(&mut self) {
        if self.in_flight > 0 {
            self.enter(1);
        }
    }

    fn enter(&mut self, want: usize) {
        match self.ring.submit_and_wait(want) {
            Ok(_) => self.is_dirty = !self.ring.submission().is_empty(),
            Err(error) if is_passing(&error) => {}
            // Entries stay where they are, and are submitted the next time.
            Err(error) => tracing::error!(%error, "cannot submit disk accesses"),
        }
    }

    /// Makes room for one entry more.
    fn make_room(&mut self) -> bool {
        if self.ring.submission().is_full() {
            self.enter(0);
        }
        !self.ring.submission().is_full()
    }

    /// Moves what came out to the end of `finished`.
    pub(crate) fn reap(&mut self, finished: &mut Vec<Finished>) {
        if self.in_flight == 0 {
            return;
        }
        for result in self.ring.completion() {
            // A request to cancel has no slot, and its own result says nothing
            // that the result of the cancelled access does not.
            let at = usize::try_from(result.user_data()).unwrap_or(usize::MAX);
            let Some(slot) = self.slots.get_mut(at).and_then(Option::take) else {
                continue;
            };
            self.free.push(at);
            self.in_flight = self.in_flight.saturating_sub(1);
            finished.push(slot.finish(result.result()));
        }
    }

    /// Asks the kernel to give up the accesses of commands that are to end.
    pub(crate) fn cancel_marked(&mut self) {
        self.cancel(|job| job.wanted_end().is_some());
    }

    /// Has the kernel give up what it has not begun, waits for the rest, and
    /// ends all commands as they are.
    pub(crate) fn end_all(&mut self, outcome: Outcome) {
        self.cancel(|_| true);
        let mut finished = Vec::new();
        while self.in_flight > 0 {
            self.wait();
            self.reap(&mut finished);
            for Finished { job, .. } in finished.drain(..) {
                job.end(outcome);
            }
        }
    }

    fn cancel(&mut self, is_concerned: impl Fn(&Job) -> bool) {
        for at in 0..self.slots.len() {
            let Some(Some(slot)) = self.slots.get(at) else {
                continue;
            };
            if slot.is_cancelled || !is_concerned(&slot.job) || !self.make_room() {
                continue;
            }
            let entry = opcode::AsyncCancel::new(at as u64)
                .build()
                .user_data(CANCEL);
            // SAFETY: The entry points to nothing.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            if let (Ok(()), Some(Some(slot))) = (pushed, self.slots.get_mut(at)) {
                slot.is_cancelled = true;
                self.is_dirty = true;
            }
        }
        self.submit();
    }
}

impl AsFd for Ring {
    /// Readable while there are results.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: The ring is open as long as `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

impl Drop for Ring {
    /// Waits until the kernel has let go of everything.
    fn drop(&mut self) {
        self.end_all(Outcome::Aborted);
    }
}

impl Slot {
    /// The entry for its access, without a name yet.
    fn entry(&self, operation: Operation, offset: u64) -> Option<squeue::Entry> {
        let file = types::Fd(self.job.file()?.as_raw_fd());
        let count = u32::try_from(self.vectors.len()).ok()?;
        let flags = match operation {
            Operation::Write(Durability::Durable) => libc::RWF_DSYNC,
            _ => 0,
        };
        let (vectors, only) = (self.vectors.as_ptr(), self.vectors.first());
        let single = only.filter(|only| count == 1 && u32::try_from(only.iov_len).is_ok());
        let entry = match (operation, single) {
            (Operation::Flush, _) => opcode::Fsync::new(file)
                .flags(types::FsyncFlags::DATASYNC)
                .build(),
            (Operation::Read, Some(only)) => {
                opcode::Read::new(file, only.iov_base.cast(), only.iov_len as u32)
                    .offset(offset)
                    .build()
            }
            (Operation::Read, None) => opcode::Readv::new(file, vectors, count)
                .offset(offset)
                .build(),
            (Operation::Write(_), Some(only)) => {
                opcode::Write::new(file, only.iov_base.cast(), only.iov_len as u32)
                    .offset(offset)
                    .rw_flags(flags)
                    .build()
            }
            (Operation::Write(_), None) => opcode::Writev::new(file, vectors, count)
                .offset(offset)
                .rw_flags(flags)
                .build(),
        };
        Some(entry)
    }

    fn refuse(self) -> Refused {
        Refused(self.into_job())
    }

    fn into_job(self) -> Box<Job> {
        let Self { mut job, list, .. } = self;
        job.return_list(list);
        job
    }

    fn finish(self, result: i32) -> Finished {
        let result = match u64::try_from(result) {
            Ok(count) => Ok(count),
            Err(_) => Err(io::Error::from_raw_os_error(result.saturating_neg())),
        };
        Finished {
            job: self.into_job(),
            result,
        }
    }
}

/// The pieces of `len` bytes of a list, from `from` on.
fn vectors_of(list: &SgList, from: u64, len: u64) -> Vec<libc::iovec> {
    let vector = |slice: vm_memory::VolatileSlice<'_>| libc::iovec {
        iov_base: slice.ptr_guard_mut().as_ptr().cast(),
        iov_len: slice.len(),
    };
    list.slices(from, len)
        .take(MAX_PIECES)
        .map(vector)
        .collect()
}

/// Errors after which the next attempt may succeed.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)
    )
}
