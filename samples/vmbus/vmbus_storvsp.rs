// SPDX-License-Identifier: GPL-2.0

//! The smallest driver for a VMBus device: it agrees with a SCSI controller of Hyper-V on what the
//! two can do, and then does nothing of it.
//!
//! The log has it. For a machine with such a controller, whose own driver `hv_storvsc` is not there.

#![deny(unsafe_code)]

use core::convert::Infallible;
use guest::{completion::Completion, vmbus};
use kernel::{
    device::{self, Core},
    new_spinlock_irq,
    prelude::*,
    sync::{Arc, ArcBorrow, SpinLockIrq},
};
use protocol::{
    storvsp::{init, Packet, Version, TRANSACTION_INIT},
    vmbus::class,
};
use zerocopy::IntoBytes;

/// What the driver has of a controller.
#[pin_data]
struct Controller {
    #[pin]
    answer: SpinLockIrq<Option<Packet>>,
    #[pin]
    answered: Completion,
}

impl Controller {
    /// Asks for one thing after the other, until there is agreement on all.
    fn agree(&self, channels: &vmbus::Channels<Self>) -> Result<init::Agreed> {
        let mut handshake = init::Handshake::new(init::Controller::Plain, &Version::LINUX, 0);
        while let Some(packet) = handshake.request() {
            self.answered.reset();
            channels.send_own(TRANSACTION_INIT, packet.as_bytes())?;
            self.answered.wait_timeout(5_000)?;
            let answer = self.answer.lock().take().ok_or(EIO)?;
            handshake.answer(&answer).map_err(|_| EINVAL)?;
        }
        handshake.agreed().ok_or(EINVAL)
    }
}

impl vmbus::Handler for Controller {
    type Request = Infallible;

    fn answered(self: ArcBorrow<'_, Self>, request: Infallible, _packet: &[u8]) {
        match request {}
    }

    fn received(self: ArcBorrow<'_, Self>, id: u64, packet: &[u8]) {
        if id == TRANSACTION_INIT {
            *self.answer.lock() = Packet::parse(packet);
            self.answered.complete_all();
        }
    }
}

guest::vmbus_device_table!(DEVICES, [vmbus::DeviceId::new(class::SCSI)]);

struct Storvsp;

impl vmbus::Driver for Storvsp {
    type Data = ();
    type Handler = Controller;
    const ID_TABLE: vmbus::IdTable = &DEVICES;

    fn probe(
        dev: &vmbus::Device<Core<'_>>,
        channels: &Arc<vmbus::Channels<Controller>>,
    ) -> Result<Pin<KBox<Self::Data>>> {
        let (answer, answered) = (new_spinlock_irq!(None, "answer"), Completion::new());
        let controller = pin_init!(Controller { answer <- answer, answered <- answered });
        let controller = Arc::pin_init(controller, GFP_KERNEL)?;
        let plan = vmbus::Plan {
            ring_size: 16384,
            max_packet: 80,
            user_data: &[0; 24],
        };
        channels.open(controller.clone(), plan, 0)?;
        let agreed = controller.agree(channels)?;
        let dev: &device::Device<Core<'_>> = dev.as_ref();
        let bytes = agreed.properties.max_transfer_bytes.get();
        dev_info!(dev, "version {:#x}, {bytes} bytes\n", agreed.version.0);
        Ok(KBox::pin((), GFP_KERNEL)?)
    }
}

guest::module_vmbus_driver! {
    type: Storvsp,
    name: "sample_vmbus_storvsp",
    authors: ["The Hospes authors"],
    description: "Sample: the smallest VMBus driver",
    license: "GPL",
}
