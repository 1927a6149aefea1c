// SPDX-License-Identifier: GPL-2.0

//! How a device is set up, put to sleep, and left.

use crate::{
    adapter::{
        Adapter,
        Handler,
        Phase,
        Settings, //
    },
    parameters,
    registers::Registers,
    rings::Rings, //
};
use guest::{
    dma::SharedMemory,
    pci::{
        self,
        Interrupt, //
    },
    scsi, //
};
use kernel::{
    device::{
        self,
        Core, //
    },
    pci::{
        Device,
        DeviceId,
        IdTable,
        IrqType,
        IrqTypes,
        Vendor, //
    },
    prelude::*,
    sync::Arc, //
};
use protocol::pvscsi::{
    command::Config,
    config::{
        ControllerPage,
        PageHeader, //
    },
    ring,
    CDB_SIZE,
    DEFAULT_TARGETS,
    DEVICE_ID,
    SG_ELEMENTS, //
};

kernel::pci_device_table!(
    DEVICES,
    @none,
    [DeviceId::from_id(Vendor::VMWARE, DEVICE_ID as u32)]
);

/// Most sectors in a command.
const SECTORS: u32 = 0xffff;

/// The driver.
pub(crate) struct Pvscsi;

/// An adapter that runs. Dropping it ends that, when nobody sends commands any more: first the device
/// is told, then the interrupt goes, as a field.
struct Running {
    adapter: Arc<Adapter>,
    interrupt: Interrupt<Handler>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.adapter.stop(Phase::Away);
    }
}

/// A device that is driven. The host goes first, as a field; it waits for the commands in flight.
pub(crate) struct Bound {
    _host: scsi::Host<Adapter>,
    running: Running,
}

impl Drop for Bound {
    /// Messages first, as acting on one may take a reference to what is being removed.
    fn drop(&mut self) {
        self.running.adapter.as_arc_borrow().stop_messages();
    }
}

impl pci::Driver for Pvscsi {
    type Data = Bound;

    const ID_TABLE: IdTable<()> = &DEVICES;

    fn probe(dev: &Device<Core<'_>>) -> Result<Pin<KBox<Bound>>> {
        let bus_device: &device::Device<Core<'_>> = dev.as_ref();
        let adapter = new_adapter(dev)?;
        let interrupt = Interrupt::new(dev, interrupt_types(), c"vmw_pvscsi", |irq_type| {
            Ok(Handler {
                adapter: adapter.clone(),
                shared: matches!(irq_type, IrqType::Intx),
            })
        })?;
        // What follows is undone by dropping it.
        let running = Running { adapter, interrupt };
        let adapter = &running.adapter;
        adapter.start()?;

        let limits = limits(adapter);
        let host = scsi::Host::register(bus_device, adapter.clone(), &limits)?;
        let reference = host.reference();
        let bound = KBox::pin(
            Bound {
                _host: host,
                running,
            },
            GFP_KERNEL,
        )?;
        say(bus_device, &bound.running);
        let adapter = &bound.running.adapter;
        adapter
            .as_arc_borrow()
            .start_messages(bound._host.reference());
        reference.scan();
        Ok(bound)
    }

    fn shutdown(data: Pin<&Bound>) {
        data.running.adapter.as_arc_borrow().stop_messages();
        Self::suspend(data);
    }

    fn suspend(data: Pin<&Bound>) {
        data.running.adapter.stop(Phase::Away);
        data.running.interrupt.synchronize();
    }

    fn resume(data: Pin<&Bound>) -> Result {
        let adapter = data.running.adapter.as_arc_borrow();
        adapter.start()?;
        // Those that came too late to be acted on before the machine slept. After a reset by the
        // error handling, its next command brings an interrupt that does this.
        adapter.state.with(|state| adapter.act_later(state));
        Ok(())
    }
}

/// Maps the device, asks what it has, and makes an adapter of it that is not started.
fn new_adapter(dev: &Device<Core<'_>>) -> Result<Arc<Adapter>> {
    let bus_device: &device::Device<Core<'_>> = dev.as_ref();
    let registers = Registers::map(dev)?;
    let targets = targets(bus_device, &registers);
    registers.reset_adapter();
    let has_messages = parameters::use_msg.get() && registers.has_messages();
    let message_pages = has_messages.then(|| ring::message_pages(parameters::msg_ring_pages.get()));
    let ring_pages = ring::ring_pages(parameters::ring_pages.get(), targets);
    let rings = Rings::new(bus_device, ring_pages, message_pages)?;
    let per_device = u32::try_from(parameters::cmd_per_lun.get()).unwrap_or(1);
    let settings = Settings {
        revision: dev.revision_id(),
        ring_pages,
        message_pages: message_pages.unwrap_or(0),
        commands_per_device: per_device.clamp(1, rings.depth()),
        targets,
        threshold: parameters::use_req_threshold.get(),
    };
    Adapter::new(bus_device, settings, registers, rings)
}

/// How many targets the adapter has, if it says so.
fn targets(dev: &device::Device<Core<'_>>, registers: &Registers) -> u32 {
    let Ok(mut page) = SharedMemory::new(dev, 1) else {
        return DEFAULT_TARGETS;
    };
    page.write(0, &PageHeader::UNWRITTEN);
    registers.send(&Config::controller(page.address()));
    let answer: Option<ControllerPage> = page.read(0);
    let targets = answer.as_ref().and_then(ControllerPage::targets);
    // The memory is not the device's any more even if it has not done with it.
    registers.reset_adapter();
    targets.unwrap_or_else(|| {
        let status = answer.map_or(0, |page| page.header.host_status.get());
        dev_info!(
            dev,
            "no number of targets (status {:#x}), taken for {}\n",
            status,
            DEFAULT_TARGETS
        );
        DEFAULT_TARGETS
    })
}

fn interrupt_types() -> IrqTypes {
    let mut types = IrqTypes::default().with(IrqType::Intx);
    if !parameters::disable_msi.get() {
        types = types.with(IrqType::Msi);
    }
    if !parameters::disable_msix.get() {
        types = types.with(IrqType::MsiX);
    }
    types
}

/// What the SCSI layer may do with the adapter.
fn limits(adapter: &Adapter) -> scsi::Limits {
    let settings = &adapter.settings;
    scsi::Limits {
        queues: 1,
        maps: 1,
        queue_depth: adapter.state.with(|state| state.rings.depth()),
        commands_per_device: settings.commands_per_device,
        segments: SG_ELEMENTS as u16,
        sectors: SECTORS,
        cdb_len: CDB_SIZE as u16,
        targets: settings.targets,
        luns: 1,
        ..scsi::Limits::SIMPLE
    }
}

/// The one line at the end of a probe.
fn say(dev: &device::Device<Core<'_>>, running: &Running) {
    let interrupts = match running.interrupt.irq_type() {
        IrqType::MsiX => "MSI-X",
        IrqType::Msi => "MSI",
        IrqType::Intx => "INTx",
    };
    let threshold = running.adapter.state.with(|state| state.threshold);
    dev_info!(
        dev,
        "{} targets, {}, kicks {}\n",
        running.adapter.settings.targets,
        interrupts,
        if threshold {
            "by threshold"
        } else {
            "each time"
        }
    );
}
