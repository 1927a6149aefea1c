// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A controller without threads, for fuzzing.
//!
//! What serves a channel stays on the thread that it was made on, so that there is one
//! such controller for a thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use hospes_device::worker::Service as _;
use hospes_scsi::{AioMode, Target};

use super::port::{Leaving, Port};
use super::service::ChannelService;
use super::{Config, Storvsp};
use crate::channel::Channel;
use crate::device::{Device, Identity};

/// The controller, on the caller's thread.
pub struct StorvspHere(Arc<Storvsp>);

thread_local! {
    /// The channels that are open.
    static CHANNELS: RefCell<BTreeMap<u16, Served>> = const { RefCell::new(BTreeMap::new()) };
}

struct Served {
    port: Arc<Port>,
    service: ChannelService,
}

impl StorvspHere {
    /// A controller in front of `target`.
    ///
    /// # Errors
    ///
    /// As [`Storvsp::new`].
    pub fn new(config: &Config, target: Arc<Target>) -> Result<Arc<Self>, String> {
        Ok(Arc::new(Self(Storvsp::new(config, target)?)))
    }

    /// The controller itself.
    pub fn device(&self) -> &Storvsp {
        &self.0
    }

    /// Serves all channels, as if each had been signalled, and carries resets out.
    /// Returns how many answers are owed then.
    pub fn serve(&self) -> usize {
        let shared = &self.0.shared;
        CHANNELS.with_borrow_mut(|channels| {
            for served in channels.values_mut() {
                served.service.serve(&served.port);
            }
            shared.resets.queue().serve(shared);
            channels.values().map(|served| served.port.owed()).sum()
        })
    }
}

impl Device for StorvspHere {
    fn name(&self) -> String {
        self.0.name()
    }

    fn identity(&self) -> Identity {
        self.0.identity()
    }

    fn open(&self, index: u16, channel: Channel) -> io::Result<()> {
        let shared = self.0.shared.clone();
        let at = usize::from(index);
        let record = shared.records.get(at).ok_or(io::ErrorKind::NotFound)?;
        let lane = shared.lanes.get(at).ok_or(io::ErrorKind::NotFound)?;
        let driver = lane.driver(AioMode::Sync)?;
        let more = channel.more.clone();
        let (port, consumer) = Port::new(channel, record.clone())?;
        let service =
            ChannelService::new(shared.clone(), driver, port.clone(), consumer, index, more);
        CHANNELS.with_borrow_mut(|channels| channels.insert(index, Served { port, service }));
        Ok(())
    }

    fn leave(&self, channels: &[u16]) {
        for index in channels {
            CHANNELS.with_borrow(|all| {
                if let Some(served) = all.get(index) {
                    served.port.leave(Leaving::with(channels));
                }
            });
            self.close(*index);
        }
    }

    fn close(&self, index: u16) {
        let closed = CHANNELS.with_borrow_mut(|channels| channels.remove(&index));
        let Some(Served { port, service }) = closed else {
            return;
        };
        if port.leaving().is_none() {
            port.close();
        }
        drop(service);
        if index == 0 {
            self.0.shared.target.reset();
        }
        self.0.shared.settle(index, &port);
        port.end();
    }
}
