// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What every machine has: the VM, its memory, its buses, and the devices that are
//! always at the same place.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use hospes_device::memory::GuestMemory;
use hospes_pci::pin::Lines;
use hospes_pci::root::{ConfigPorts, Ecam, RootBus, ECAM_LEN, PORTS_BASE, PORTS_LEN};
use kvm_ioctls::{Kvm, VmFd};

use crate::acpi::slots::{self, Slots};
use crate::config::{self, ConfigError};
use crate::kvm::interrupts::Interrupts;
use crate::kvm::spaces::Spaces;
use crate::kvm::vm;
use crate::outcome::Stopper;
use crate::platform::i8042::I8042;
use crate::platform::power::{self, Power};
use crate::platform::rtc::{self, Rtc};
use crate::platform::serial::{self, SerialPort};
use crate::{layout, memory};

/// A machine without processors, and with nothing on its PCI bus.
pub(super) struct Chassis {
    pub(super) kvm: Kvm,
    pub(super) vm: Arc<VmFd>,
    pub(super) memory: GuestMemory,
    pub(super) interrupts: Arc<Interrupts>,
    pub(super) spaces: Arc<Spaces>,
    pub(super) root: Arc<RootBus>,
    pub(super) serial: Arc<SerialPort>,
    pub(super) power: Arc<Power>,
    /// For what comes and goes, if somebody can ask for that.
    pub(super) slots: Option<Arc<Slots>>,
}

impl Chassis {
    /// Makes what `config` says, of a VM of its own.
    pub(super) fn new(config: &config::Machine, stopper: &Stopper) -> Result<Self> {
        let kvm = vm::open()?;
        let memory = memory::create(config.memory.0)?;
        let vm = vm::create(&kvm, &memory)?;
        let interrupts = Interrupts::new(vm.clone());
        let spaces = Spaces::new(vm.clone());
        let windows = layout::windows(config.memory.0);
        let root = RootBus::new(spaces.clone(), windows, pci_lines(&interrupts))?;
        let serial = serial_port(&config.serial, &interrupts)?;
        let power = Arc::new(power(stopper, &interrupts));
        let slots = config.control.as_ref();
        let slots = slots.map(|_| Arc::new(Slots::new(power.clone())));
        let chassis = Self {
            kvm,
            vm,
            memory,
            interrupts,
            spaces,
            root,
            serial,
            power,
            slots,
        };
        chassis.insert_all(stopper)?;
        Ok(chassis)
    }

    /// Puts the devices on the buses.
    fn insert_all(&self, stopper: &Stopper) -> Result<()> {
        let io = &self.spaces.io;
        io.insert(layout::SERIAL_PORT, serial::LEN, self.serial.clone())?;
        io.insert(layout::RTC_PORT, rtc::LEN, Arc::new(Rtc::new()))?;
        io.insert(layout::I8042_PORT, 1, Arc::new(I8042(stopper.clone())))?;
        io.insert(layout::PM_PORT, power::LEN, self.power.clone())?;
        let ports = Arc::new(ConfigPorts::new(self.root.clone()));
        io.insert(PORTS_BASE, PORTS_LEN, ports)?;
        if let Some(slots) = &self.slots {
            io.insert(layout::HOTPLUG_PORT, slots::LEN, slots.clone())?;
        }
        let ecam = Arc::new(Ecam(self.root.clone()));
        self.spaces.memory.insert(layout::ECAM, ECAM_LEN, ecam)?;
        Ok(())
    }
}

fn serial_port(config: &config::Serial, interrupts: &Interrupts) -> Result<Arc<SerialPort>> {
    let line = interrupts
        .line(layout::SERIAL_IRQ)
        .context("the serial line has no interrupt")?;
    let create = |path: &Path| {
        let fail = |error| ConfigError(format!("serial: file={}: {error}", path.display()));
        File::create(path).map_err(fail)
    };
    let file = config.file.as_deref().map(create).transpose()?;
    let stdout = config.stdout.then(serial::stdout).transpose()?;
    let files = file.into_iter().chain(stdout).collect();
    SerialPort::new(line, files).context("the serial line cannot be written")
}

/// The lines of the PCI bus, which are pins of the IOAPIC.
fn pci_lines(interrupts: &Arc<Interrupts>) -> Arc<Lines> {
    let interrupts = interrupts.clone();
    let set = move |line, active| interrupts.set_level(layout::pci_irq(line), active);
    Lines::new(Box::new(set))
}

/// The power registers, whose interrupt is the SCI.
fn power(stopper: &Stopper, interrupts: &Arc<Interrupts>) -> Power {
    let interrupts = interrupts.clone();
    let line = move |active| interrupts.set_level(u32::from(layout::SCI_IRQ), active);
    Power::new(stopper.clone(), Box::new(line))
}
