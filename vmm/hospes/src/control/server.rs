// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Connections: one thread serves them all, one request at a time.
//!
//! A client may keep its connection. It has [`PATIENCE`] to send a request to
//! its end and to take the answer, and [`IDLE`] between two. There are at most
//! [`MAX_CONNECTIONS`]; one more takes the place of the one that has done
//! nothing for the longest time.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hospes_device::thread::{self, Role};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

use crate::control::http::{self, Answer, Parsed, Request, Status};

/// Time for one request or one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two requests.
const IDLE: Duration = Duration::from_secs(60);

/// Most clients at a time.
const MAX_CONNECTIONS: usize = 16;

/// How long the end of the machine waits for a request that is being carried
/// out. It may be about a file that does not answer.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often times are looked at while there are clients.
const TICK_MS: i32 = 1000;

/// Tokens beside those of connections.
const STOP: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;

/// Who may connect: the user.
const MODE: u32 = 0o600;

/// What carries requests out.
pub type Service = Box<dyn Fn(&Request) -> Answer + Send>;

/// A running control socket. Dropping it ends its thread and removes its file.
pub struct Server {
    path: PathBuf,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes the socket and serves it.
    ///
    /// # Errors
    ///
    /// Whatever the host says; `AddrInUse` if something is at `path` that is no
    /// abandoned socket.
    pub fn start(path: &Path, service: Service) -> io::Result<Self> {
        let listener = bind(path)?;
        let stop = Arc::new(EventFd::new(EFD_NONBLOCK)?);
        let epoll = Epoll::new()?;
        watch(&epoll, &*stop, STOP)?;
        watch(&epoll, &listener, LISTENER)?;
        let mut connections = Connections {
            epoll,
            listener,
            service,
            open: BTreeMap::new(),
            next: 0,
        };
        let keep = stop.clone();
        let thread = thread::spawn(Role::Control, "control", move || {
            connections.serve();
            drop(keep);
        })?;
        Ok(Self {
            path: path.to_owned(),
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop.write(1) {
            tracing::error!(%error, "the control socket's thread cannot be stopped");
            return;
        }
        let start = Instant::now();
        while !self.ended() && start.elapsed() < FAREWELL {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !self.ended() {
            tracing::error!("a request on the control socket does not come to an end");
        } else if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the control socket's thread panicked");
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the control socket stays");
        }
    }
}

impl Server {
    fn ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// Makes a listening socket at `path`, in place of one that nobody serves.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn watch(epoll: &Epoll, fd: &impl AsRawFd, token: u64) -> io::Result<()> {
    let interest = EpollEvent::new(EventSet::IN, token);
    epoll.ctl(ControlOperation::Add, fd.as_raw_fd(), interest)
}

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Keep,
    Close,
}

/// All connections.
struct Connections {
    epoll: Epoll,
    listener: UnixListener,
    service: Service,
    open: BTreeMap<u64, Connection>,
    next: u64,
}

impl Connections {
    fn serve(&mut self) {
        let mut events = [EpollEvent::default(); MAX_CONNECTIONS];
        loop {
            let timeout = if self.open.is_empty() { -1 } else { TICK_MS };
            let count = match self.epoll.wait(timeout, &mut events) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "the control socket is given up");
                    return;
                }
            };
            for event in events.iter().take(count) {
                match event.data() {
                    STOP => return,
                    LISTENER => self.accept(),
                    token => self.proceed(token),
                }
            }
            self.end_late();
        }
    }

    fn accept(&mut self) {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => {
                // Out of file descriptors, for example. The client waits; this
                // thread must not do so by asking again and again.
                tracing::warn!(%error, "a client of the control socket cannot be accepted");
                self.end_oldest();
                std::thread::sleep(Duration::from_millis(100));
                return;
            }
        };
        if self.open.len() >= MAX_CONNECTIONS {
            self.end_oldest();
        }
        let token = self.next;
        self.next = self.next.wrapping_add(1) % LISTENER;
        let ready = stream
            .set_nonblocking(true)
            .and_then(|()| watch(&self.epoll, &stream, token));
        match ready {
            Ok(()) => {
                self.open.insert(token, Connection::new(stream));
            }
            Err(error) => tracing::warn!(%error, "a client of the control socket is refused"),
        }
    }

    fn proceed(&mut self, token: u64) {
        let Some(connection) = self.open.get_mut(&token) else {
            return;
        };
        let waited_to_send = connection.sends();
        let next = connection.proceed(&self.service);
        let sends = connection.sends();
        let mut keep = next == Next::Keep;
        if keep && waited_to_send != sends {
            let set = if sends { EventSet::OUT } else { EventSet::IN };
            let fd = connection.stream.as_raw_fd();
            let change = EpollEvent::new(set, token);
            keep = self.epoll.ctl(ControlOperation::Modify, fd, change).is_ok();
        }
        if !keep {
            // Closing the socket takes it off the epoll set too.
            self.open.remove(&token);
        }
    }

    /// Ends connections whose time is over.
    fn end_late(&mut self) {
        self.open.retain(|_, connection| !connection.late());
    }

    fn end_oldest(&mut self) {
        let oldest = self
            .open
            .iter()
            .min_by_key(|(_, connection)| connection.since)
            .map(|(token, _)| *token);
        if let Some(token) = oldest {
            self.open.remove(&token);
        }
    }
}

/// One client.
struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of the output was sent.
    sent: usize,
    /// When what is under way began: a request, an answer, or waiting.
    since: Instant,
    /// The answer under way is the last one.
    last: bool,
    /// The client sends no more, but may take answers.
    half_closed: bool,
}

impl Connection {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            since: Instant::now(),
            last: false,
            half_closed: false,
        }
    }

    /// Whether there is an answer to be sent.
    fn sends(&self) -> bool {
        !self.output.is_empty()
    }

    /// Does what can be done without waiting.
    fn proceed(&mut self, service: &Service) -> Next {
        let more = if self.sends() {
            self.send()
        } else {
            self.receive()
        };
        match more {
            Ok(Next::Keep) => match self.answer_all(service) {
                // What is left is no whole request, and never will be.
                Next::Keep if self.half_closed && !self.sends() => Next::Close,
                next => next,
            },
            Ok(Next::Close) | Err(_) => Next::Close,
        }
    }

    /// Reads what is there, up to the size of the largest request.
    fn receive(&mut self) -> io::Result<Next> {
        let mut buffer = [0; 4096];
        while self.input.len() < http::MAX_HEAD.saturating_add(http::MAX_BODY) {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.half_closed = true;
                    break;
                }
                Ok(count) => {
                    if self.input.is_empty() {
                        self.since = Instant::now();
                    }
                    let read = buffer.get(..count).unwrap_or_default();
                    self.input.extend_from_slice(read);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Next::Keep)
    }

    /// Answers requests until one is incomplete or an answer cannot be sent.
    fn answer_all(&mut self, service: &Service) -> Next {
        while !self.sends() && !self.input.is_empty() {
            match http::parse(&self.input) {
                Parsed::Incomplete => break,
                Parsed::Request(request, len) => {
                    self.input.drain(..len);
                    self.last = request.close;
                    self.output = service(&request).encode(request.close);
                }
                Parsed::Bad(answer) => {
                    self.input.clear();
                    self.last = true;
                    self.output = answer.encode(true);
                }
            }
            self.since = Instant::now();
            match self.send() {
                Ok(Next::Keep) => {}
                Ok(Next::Close) | Err(_) => return Next::Close,
            }
        }
        Next::Keep
    }

    fn send(&mut self) -> io::Result<Next> {
        while let Some(rest) = self.output.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => self.sent = self.sent.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Keep),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // A long answer's memory is not kept for a client that waits.
        self.output = Vec::new();
        self.sent = 0;
        self.since = Instant::now();
        Ok(if self.last { Next::Close } else { Next::Keep })
    }

    /// Whether its time is over; a slow request is told so, if that is possible
    /// at once.
    fn late(&mut self) -> bool {
        let busy = self.sends() || !self.input.is_empty();
        let late = self.since.elapsed() > if busy { PATIENCE } else { IDLE };
        if late && busy && !self.sends() {
            let text = format!("the request took more than {} seconds", PATIENCE.as_secs());
            let answer = Answer::error(Status::TIMEOUT, text).encode(true);
            // Whoever does not take it is closed all the same.
            let _ = self.stream.write(&answer);
        }
        late
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
