// SPDX-License-Identifier: GPL-2.0

//! The balloon and its worker: what is done each second, or when the doorbell rings.

use crate::{
    counters::Event,
    give::give,
    link::Link,
    session::Listener,
    take::{
        take,
        Wanted, //
    },
    tray::{
        Back,
        Tray, //
    }, //
};
use guest::{
    balloon::{
        total_pages,
        Balloon, //
    },
    vmware::{
        Doorbell,
        Port, //
    },
    work::periodic::{
        Repeat,
        Waker, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};
use protocol::vmballoon::policy::{
    self,
    Change,
    Pause,
    POLL_MS, //
};

/// What only the worker has, and who ends all.
pub(crate) struct Worker {
    pub(crate) tray: Tray,
    pub(crate) doorbell: Option<Doorbell<Listener>>,
    pause: Pause,
}

/// The balloon and who works on it.
#[pin_data]
pub(crate) struct Vmballoon {
    #[pin]
    balloon: Balloon<Link>,
    /// Held for as long as the worker runs, who may allocate.
    #[pin]
    pub(crate) worker: Mutex<Worker>,
    /// Only ever tried for by those who look for memory.
    #[pin]
    pub(crate) shrinking: Mutex<Back>,
}

impl Vmballoon {
    /// A balloon of which the host does not know yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let port = Port::new()?;
        let back = Back::new()?;
        let worker = Worker {
            tray: Tray::new()?,
            doorbell: None,
            pause: Pause::default(),
        };
        Arc::pin_init(
            pin_init!(Self {
                balloon <- Balloon::new(Link::new(port)),
                worker <- new_mutex!(worker, "vmw_balloon::Vmballoon::worker"),
                shrinking <- new_mutex!(back, "vmw_balloon::Vmballoon::shrinking"),
            }),
            GFP_KERNEL,
        )
    }

    /// The balloon.
    pub(crate) fn balloon(&self) -> &Balloon<Link> {
        &self.balloon
    }

    /// The way to the host.
    pub(crate) fn link(&self) -> &Link {
        self.balloon.owner()
    }

    /// Asks the host for the target. Returns whether it has said one.
    fn ask_target(&self) -> bool {
        let pages = total_pages();
        if !policy::may_ask(pages, self.link().capabilities()) {
            return false;
        }
        let report = self.link().say(|port| port.ask_target(pages));
        report.is_some_and(|report| report.is_success())
    }
}

impl Repeat for Vmballoon {
    const PERIOD_MS: u32 = POLL_MS;

    fn run(&self, waker: &Waker<Self>) {
        let worker = &mut *self.worker.lock();
        let (balloon, link) = (self.balloon(), self.link());
        if link.needs_reset() {
            self.reset(worker, waker);
        }
        link.counters.add(Event::Run, 1);
        if !self.ask_target() {
            return;
        }
        match link.change(balloon.len()) {
            Change::None => (),
            Change::Give(_) => {
                if worker.pause.is_over(link.target()) {
                    let given = give(balloon, &mut worker.tray);
                    worker.pause.ran(given);
                }
            }
            Change::Take(_) => {
                take(balloon, &mut worker.tray.back, Wanted::Surplus);
            }
        }
    }
}
