// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Threads that serve queues.
//!
//! A thread sleeps until one of its queues is kicked, or its [`Service`] is
//! wanted for another reason. Kicks are watched edge-triggered: each wakes the
//! thread once, and none costs a further system call to be taken back.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{mpsc, Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

use crate::thread::{self, Role};

/// The token of the event that says that the thread's phase changed. Queues
/// have their position.
const PHASE: u64 = u64::MAX;
/// The token of what the service waits for.
const SERVICE: u64 = u64::MAX - 1;
/// How many events are taken at a time.
const EVENTS: usize = 4;

/// What a thread is kicked for.
pub trait Kicked: Send + Sync + 'static {
    /// Signalled when there is something to do.
    fn kick(&self) -> &EventFd;

    /// Counts a kick.
    fn kicked(&self) {}
}

/// What a thread does for its queues. It is made, used and dropped there.
pub trait Service<Q> {
    /// Serves a queue that was kicked.
    fn serve(&mut self, queue: &Arc<Q>);

    /// What wakes the thread beside kicks.
    fn sources(&self) -> Vec<RawFd> {
        Vec::new()
    }

    /// Called after each time that the thread was woken, before queues are served.
    fn woken(&mut self) {}

    /// Waits until nothing is under way any more of what was served.
    fn settle(&mut self) {}
}

/// A service that needs nothing but kicks.
pub struct OnKick<F>(pub F);

impl<Q, F: FnMut(&Arc<Q>)> Service<Q> for OnKick<F> {
    fn serve(&mut self, queue: &Arc<Q>) {
        (self.0)(queue);
    }
}

/// A thread that serves some queues, each when it is kicked.
///
/// Dropping it ends the thread and waits until it is gone.
pub struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    phases: Mutex<Phases>,
    changed: Condvar,
    /// Says that `phases` changed.
    event: EventFd,
}

/// What the thread is to do, and what it does.
struct Phases {
    wanted: Phase,
    present: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Paused,
    Ended,
}

impl Worker {
    /// Starts a thread with the service that `make` makes there.
    ///
    /// # Errors
    ///
    /// Whatever keeps the thread, its file descriptors or its service from
    /// being made.
    pub fn spawn<Q: Kicked, S: Service<Q>>(
        name: String,
        queues: Vec<Arc<Q>>,
        make: impl FnOnce() -> io::Result<S> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            phases: Mutex::new(Phases {
                wanted: Phase::Running,
                present: Phase::Running,
            }),
            changed: Condvar::new(),
            event: EventFd::new(EFD_NONBLOCK)?,
        });
        let epoll = Epoll::new()?;
        watch(&epoll, shared.event.as_raw_fd(), EventSet::IN, PHASE)?;
        for (token, queue) in (0..).zip(&queues) {
            let interest = EventSet::IN | EventSet::EDGE_TRIGGERED;
            watch(&epoll, queue.kick().as_raw_fd(), interest, token)?;
        }
        let (ready, started) = mpsc::channel();
        let seen = Arc::clone(&shared);
        let thread = thread::spawn(Role::Device, name, move || {
            let service = make().and_then(|service| {
                for source in service.sources() {
                    watch(&epoll, source, EventSet::IN, SERVICE)?;
                }
                Ok(service)
            });
            let service = match service {
                Ok(service) => service,
                // The receiver waits.
                Err(error) => return drop(ready.send(Err(error))),
            };
            let _ = ready.send(Ok(()));
            Server {
                shared: seen,
                epoll,
                queues,
                service,
            }
            .run();
        })?;
        let worker = Self {
            shared,
            thread: Some(thread),
        };
        let failed = |_| io::Error::other("a queue's thread did not start");
        started.recv().map_err(failed)??;
        Ok(worker)
    }

    /// Asks the thread to serve no queue until it is [resumed](Self::resume).
    /// [`wait_paused`](Self::wait_paused) says when that is so.
    pub fn pause(&self) {
        self.shared.want(Phase::Paused);
    }

    /// Waits until the thread serves no queue any more, and its service has
    /// settled.
    pub fn wait_paused(&self) {
        let mut phases = self.shared.lock();
        while phases.wanted == Phase::Paused && phases.present == Phase::Running {
            phases = self.shared.sleep(phases);
        }
    }

    /// Has the thread go on, with all its queues.
    pub fn resume(&self) {
        self.shared.want(Phase::Running);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.want(Phase::Ended);
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("a queue's thread panicked");
        }
    }
}

impl Shared {
    fn want(&self, phase: Phase) {
        self.lock().wanted = phase;
        self.changed.notify_all();
        // Only a counter that is about to overflow says no, and then the
        // thread is going to wake up anyway.
        let _ = self.event.write(1);
    }

    fn sleep<'a>(&self, phases: MutexGuard<'a, Phases>) -> MutexGuard<'a, Phases> {
        self.changed
            .wait(phases)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Phases> {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a thread is gone, however it went.
struct Gone<'a>(&'a Shared);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.lock().present = Phase::Ended;
        self.0.changed.notify_all();
    }
}

fn watch(epoll: &Epoll, source: RawFd, interest: EventSet, token: u64) -> io::Result<()> {
    epoll.ctl(
        ControlOperation::Add,
        source,
        EpollEvent::new(interest, token),
    )
}

/// What a thread has.
struct Server<Q, S> {
    shared: Arc<Shared>,
    epoll: Epoll,
    queues: Vec<Arc<Q>>,
    service: S,
}

impl<Q: Kicked, S: Service<Q>> Server<Q, S> {
    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _gone = Gone(&shared);
        let mut events = [EpollEvent::default(); EVENTS];
        loop {
            let count = match self.epoll.wait(-1, &mut events) {
                Ok(count) => count,
                // The kernel interrupts the thread to give it results, too.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => {
                    tracing::error!(%error, "cannot wait for kicks");
                    return;
                }
            };
            self.service.woken();
            let woken = events.get(..count).unwrap_or(&events);
            for event in woken {
                match event.data() {
                    SERVICE => {}
                    PHASE => {
                        if self.change_phase() == Phase::Ended {
                            return;
                        }
                    }
                    token => self.serve(token),
                }
            }
        }
    }

    fn serve(&mut self, token: u64) {
        let at = usize::try_from(token).unwrap_or(usize::MAX);
        if let Some(queue) = self.queues.get(at) {
            queue.kicked();
            self.service.serve(queue);
        }
    }

    /// Does what is wanted, and returns in the phase to go on in.
    fn change_phase(&mut self) -> Phase {
        // What is there to read says no more than `wanted` does.
        let _ = self.shared.event.read();
        let mut phase = self.shared.lock().wanted;
        if phase == Phase::Paused {
            self.service.settle();
            phase = self.rest();
            if phase == Phase::Running {
                // Kicks that came meanwhile may have been taken for older ones.
                for queue in &self.queues {
                    self.service.serve(queue);
                }
            }
        }
        phase
    }

    /// Sleeps until another phase is wanted.
    fn rest(&self) -> Phase {
        let mut phases = self.shared.lock();
        phases.present = Phase::Paused;
        self.shared.changed.notify_all();
        while phases.wanted == Phase::Paused {
            phases = self.shared.sleep(phases);
        }
        phases.present = phases.wanted;
        phases.wanted
    }
}
