// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A controller without threads, for fuzzing.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::worker::Service as _;
use hospes_scsi::{AioMode, Target};

use super::port::Port;
use super::service::ChannelService;
use super::{Config, Storvsp};
use crate::channel::Channel;
use crate::device::{Device, Identity};

/// The controller, on the caller's thread.
pub struct StorvspHere {
    device: Arc<Storvsp>,
    channels: Mutex<BTreeMap<u16, Served>>,
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
        Ok(Arc::new(Self {
            device: Storvsp::new(config, target)?,
            channels: Mutex::default(),
        }))
    }

    /// The controller itself.
    pub fn device(&self) -> &Storvsp {
        &self.device
    }

    /// Serves all channels, as if each had been signalled, and carries resets out.
    /// Returns how many answers are owed then.
    pub fn serve(&self) -> usize {
        let mut channels = self.lock();
        for served in channels.values_mut() {
            served.service.serve(&served.port);
        }
        let shared = &self.device.shared;
        shared.resets.queue().serve(shared);
        channels.values().map(|served| served.port.owed()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, Served>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device for StorvspHere {
    fn name(&self) -> String {
        self.device.name()
    }

    fn identity(&self) -> Identity {
        self.device.identity()
    }

    fn open(&self, index: u16, channel: Channel) -> io::Result<()> {
        let shared = self.device.shared.clone();
        let at = usize::from(index);
        let record = shared.records.get(at).ok_or(io::ErrorKind::NotFound)?;
        let lane = shared.lanes.get(at).ok_or(io::ErrorKind::NotFound)?;
        let driver = lane.driver(AioMode::Sync)?;
        let more = channel.more.clone();
        let (port, consumer) = Port::new(channel, record.clone())?;
        let service =
            ChannelService::new(shared.clone(), driver, port.clone(), consumer, index, more);
        self.lock().insert(index, Served { port, service });
        Ok(())
    }

    fn close(&self, index: u16) {
        let Some(Served { port, service }) = self.lock().remove(&index) else {
            return;
        };
        port.close();
        drop(service);
        if index == 0 {
            self.device.shared.target.reset();
        }
        self.device.shared.settle(index, &port);
    }
}
