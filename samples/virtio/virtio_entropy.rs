// SPDX-License-Identifier: GPL-2.0

//! The smallest driver for a virtio device: the entropy device (VIRTIO 1.3, section 5.4) has one
//! queue, and fills with random bytes what it is given.
//!
//! Reading `sample_virtio_entropy-DEVICE/random` in debugfs asks the device for sixteen of them.
//! For a machine with such a device and without the kernel's own driver for it, `virtio_rng`.

#![deny(unsafe_code)]

use guest::{completion::Completion, virtio};
use kernel::{
    c_str, debugfs,
    device::{self, Core},
    fmt,
    prelude::*,
    str::CString,
    sync::{
        atomic::{Atomic, Relaxed},
        new_mutex, Arc, ArcBorrow, Mutex,
    },
};

type Bytes = [u8; 16];

/// What the driver has of a device.
#[pin_data]
struct Source {
    queue: virtio::Virtqueue<virtio::Asked<(), Bytes>>,
    /// How much the device has written of what it was asked for last.
    written: Atomic<u32>,
    /// Held by who asks.
    #[pin]
    turn: Mutex<()>,
}

impl Source {
    /// Asks the device for random bytes, and returns as many as it gives.
    fn ask(&self) -> Result<(Bytes, usize)> {
        let _turn = self.turn.lock();
        let message = virtio::Message::new((), Bytes::default(), Completion::new());
        let message = Arc::pin_init(message, GFP_KERNEL)?;
        let asked = virtio::Asked::new(&message);
        self.queue.add(asked, virtio::Kick::Now).map_err(|_| EIO)?;
        message.extra.wait_timeout(5_000)?;
        let len = self.written.load(Relaxed) as usize;
        Ok((message.exchange.response.read(), len))
    }

    fn show(this: &Arc<Self>, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, len) = this.ask().map_err(|_| fmt::Error)?;
        // The length is the device's word: it may be any.
        for byte in bytes.iter().take(len) {
            write!(to, "{byte:02x}")?;
        }
        to.write_str("\n")
    }
}

impl virtio::Handler for Source {
    fn used(self: ArcBorrow<'_, Self>, _queue: u16) {
        self.queue.drain(virtio::Callback::Interrupt, |asked, len| {
            self.written.store(len, Relaxed);
            // Wakes who waits.
            drop(asked);
        });
    }
}

guest::virtio_device_table!(DEVICES, [virtio::DeviceId::new(4)]);

struct Entropy;

impl virtio::Driver for Entropy {
    type Data = debugfs::File<Arc<Source>>;
    type Handler = Source;
    const ID_TABLE: virtio::IdTable = &DEVICES;
    const FEATURES: &'static [u32] = &[];

    fn probe(
        dev: &virtio::Device<Core<'_>>,
        queues: &Arc<virtio::Queues<Source>>,
    ) -> Result<Pin<KBox<Self::Data>>> {
        let mut plan = virtio::Plan::new();
        let queue = plan.add(c_str!("input"), virtio::Callback::Interrupt)?;
        queues.find(plan, 0)?;
        let (written, turn) = (Atomic::new(0), new_mutex!((), "Source::turn"));
        let source = Arc::pin_init(
            pin_init!(Source { queue, written, turn <- turn }),
            GFP_KERNEL,
        )?;
        queues.attach(source.clone())?;

        let bus_device: &device::Device<Core<'_>> = dev.as_ref();
        let name = CString::try_from_fmt(fmt!("sample_virtio_entropy-{}", bus_device.name()))?;
        let directory = debugfs::Dir::new(&name);
        KBox::pin_init(
            directory.read_callback_file(c_str!("random"), source, &Source::show),
            GFP_KERNEL,
        )
    }
}

guest::module_virtio_driver! {
    type: Entropy,
    name: "sample_virtio_entropy",
    authors: ["The Hospes authors"],
    description: "Sample: the smallest virtio driver",
    license: "GPL",
}
