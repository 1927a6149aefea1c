// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Threads that wait for kicks.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use hospes_device::thread::{self, Role};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

use crate::queue::VirtQueue;

/// The token of the eventfd that ends a thread. Queues have their position.
const STOP: u64 = u64::MAX;

/// A thread that serves some queues, each when it is kicked.
///
/// Dropping it ends the thread and waits until it is gone.
pub struct Worker {
    stop: EventFd,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread that calls `serve` for each queue that was kicked.
    ///
    /// # Errors
    ///
    /// Whatever keeps the thread or its file descriptors from being made.
    pub fn spawn(
        name: String,
        queues: Vec<Arc<VirtQueue>>,
        serve: impl FnMut(&Arc<VirtQueue>) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = EventFd::new(EFD_NONBLOCK)?;
        let epoll = Epoll::new()?;
        watch(&epoll, &stop, STOP)?;
        for (token, queue) in (0..).zip(&queues) {
            watch(&epoll, queue.kick(), token)?;
        }
        let body = move || run(&epoll, &queues, serve);
        let thread = thread::spawn(Role::Device, name, body)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Err(error) = self.stop.write(1) {
            tracing::error!(%error, "cannot stop a queue's thread");
            return;
        }
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("a queue's thread panicked");
        }
    }
}

fn watch(epoll: &Epoll, event: &EventFd, token: u64) -> io::Result<()> {
    let interest = EpollEvent::new(EventSet::IN, token);
    epoll.ctl(ControlOperation::Add, event.as_raw_fd(), interest)
}

fn run(epoll: &Epoll, queues: &[Arc<VirtQueue>], mut serve: impl FnMut(&Arc<VirtQueue>)) {
    let mut events = [EpollEvent::default(); 4];
    loop {
        let count = match epoll.wait(-1, &mut events) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                tracing::error!(%error, "cannot wait for kicks");
                return;
            }
        };
        for event in events.iter().take(count) {
            if event.data() == STOP {
                return;
            }
            let queue = usize::try_from(event.data())
                .ok()
                .and_then(|token| queues.get(token));
            if let Some(queue) = queue {
                answer_kick(queue, &mut serve);
            }
        }
    }
}

fn answer_kick(queue: &Arc<VirtQueue>, serve: &mut impl FnMut(&Arc<VirtQueue>)) {
    // A spurious wake-up: nothing to read, nothing to do.
    if queue.kick().read().is_ok() {
        queue.counters().kicks.inc();
        serve(queue);
    }
}
