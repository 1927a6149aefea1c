// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The thread that makes all others.

use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread::{Builder, JoinHandle};
use std::{io, process};

use super::{roles, FilterError, Mode, Role};

type Body = Box<dyn FnOnce() + Send>;
type Made = io::Result<JoinHandle<()>>;

/// A thread that is to be made.
struct Order {
    role: Role,
    name: String,
    body: Body,
    reply: Sender<Made>,
}

/// How to reach the launcher, which runs as long as the process.
pub(super) struct Launcher(Sender<Order>);

impl Launcher {
    /// Starts it, and waits until its filter is on.
    pub(super) fn start(mode: Mode) -> Result<Self, FilterError> {
        let (orders, queue) = channel();
        let (sender, confined) = channel();
        Builder::new()
            .name("launcher".to_owned())
            .spawn(move || {
                let result = roles::apply(Role::Launcher, mode);
                let failed = result.is_err();
                if sender.send(result).is_err() || failed {
                    return;
                }
                run(mode, &queue);
            })
            .map_err(FilterError::Launcher)?;
        confined
            .recv()
            .map_err(|error| FilterError::Launcher(io::Error::other(error)))??;
        Ok(Self(orders))
    }

    /// Has a thread made.
    pub(super) fn spawn(&self, role: Role, name: String, body: Body) -> Made {
        let (reply, made) = channel();
        let order = Order {
            role,
            name,
            body,
            reply,
        };
        self.0.send(order).map_err(|_| gone())?;
        made.recv().map_err(|_| gone())?
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts threads is gone")
}

fn run(mode: Mode, queue: &Receiver<Order>) {
    while let Ok(order) = queue.recv() {
        let made = make(mode, order.role, order.name, order.body);
        if let Err(unwanted) = order.reply.send(made) {
            // Who ordered it is gone: the thread goes on by itself.
            drop(unwanted);
        }
    }
}

fn make(mode: Mode, role: Role, name: String, body: Body) -> Made {
    Builder::new().name(name).spawn(move || {
        if let Err(error) = roles::apply(role, mode) {
            // The launcher's filter was taken, so this one is as well. If it is
            // not, a thread without a filter must not see a guest.
            eprintln!("hospes: {error}");
            process::exit(1);
        }
        body();
    })
}
