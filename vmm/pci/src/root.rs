// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Bus 0: up to 32 devices of up to 8 functions, and the two ways to reach
//! their configuration space.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::bus::BusDevice;
use thiserror::Error;

use crate::address_space::AddressSpaces;
use crate::bars::Windows;
use crate::device::PciDevice;
use crate::function::{Function, FunctionError, Released};
use crate::host_bridge::HostBridge;
use crate::pin::Lines;

/// Devices on a bus.
const DEVICES: u8 = 32;

/// Functions of a device.
const FUNCTIONS: u8 = 8;

/// First port of the CF8/CFC pair.
pub const PORTS_BASE: u64 = 0xcf8;

/// Number of ports of the pair.
pub const PORTS_LEN: u64 = 8;

/// Bytes of ECAM for one bus.
pub const ECAM_LEN: u64 = 1 << 20;

/// Where a function is on its bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Device number, 0 to 31.
    pub device: u8,
    /// Function number, 0 to 7.
    pub function: u8,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "00:{:02x}.{}", self.device, self.function)
    }
}

/// Why a device could not be put on the bus.
#[derive(Debug, Error)]
pub enum RootError {
    /// All 248 places beside the host bridge are taken.
    #[error("the PCI bus is full: it has places for 248 functions")]
    Full,
    /// No device number is free, which is what hot-plug needs.
    #[error("no PCI slot is free: all 31 have a device")]
    NoSlot,
    /// The device is no possible function.
    #[error(transparent)]
    Function(#[from] FunctionError),
}

/// The root bus of a machine, with a host bridge at 00:00.0.
pub struct RootBus {
    spaces: Arc<dyn AddressSpaces>,
    windows: Mutex<Windows>,
    lines: Arc<Lines>,
    functions: Mutex<BTreeMap<Slot, Arc<Function>>>,
}

impl RootBus {
    /// A bus whose functions get their first BAR addresses from `windows`, and whose
    /// interrupt pins are tied to `lines`.
    ///
    /// # Errors
    ///
    /// None that can happen with a host bridge that has no BARs.
    pub fn new(
        spaces: Arc<dyn AddressSpaces>,
        mut windows: Windows,
        lines: Arc<Lines>,
    ) -> Result<Arc<Self>, RootError> {
        let bridge = Function::new(Arc::new(HostBridge), spaces.clone(), Some(&mut windows))?;
        let first = Slot {
            device: 0,
            function: 0,
        };
        Ok(Arc::new(Self {
            spaces,
            windows: Mutex::new(windows),
            lines,
            functions: Mutex::new(BTreeMap::from([(first, Arc::new(bridge))])),
        }))
    }

    /// Puts a device in the next free place: a device number of its own as long
    /// as there is one, then further functions of the devices that exist.
    ///
    /// # Errors
    ///
    /// [`RootError`] if there is no place, or none for its BARs.
    pub fn add(&self, device: Arc<dyn PciDevice>) -> Result<Slot, RootError> {
        let mut functions = self.lock();
        let slot = next_slot(&functions).ok_or(RootError::Full)?;
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let function = Function::new(device, self.spaces.clone(), Some(&mut windows))?;
        function.connect(self.lines.end(slot.device));
        functions.insert(slot, Arc::new(function));
        if slot.function != 0 {
            if let Some(first) = functions.get(&Slot {
                function: 0,
                ..slot
            }) {
                first.set_multi_function();
            }
        }
        Ok(slot)
    }

    /// Puts a device in a free slot, under a device number of its own, while
    /// the guest runs. The guest gives it addresses when it finds it.
    ///
    /// # Errors
    ///
    /// [`RootError`] if there is no slot, or the device is none.
    pub fn plug(&self, device: Arc<dyn PciDevice>) -> Result<Slot, RootError> {
        let function = Arc::new(Function::new(device, self.spaces.clone(), None)?);
        let mut functions = self.lock();
        let slot = next_slot(&functions)
            .filter(|slot| slot.function == 0)
            .ok_or(RootError::NoSlot)?;
        function.connect(self.lines.end(slot.device));
        functions.insert(slot, function);
        Ok(slot)
    }

    /// Takes a function off the bus and stops its device; see
    /// [`Function::remove`]. Says whether there was one.
    pub fn unplug(&self, slot: Slot) -> bool {
        let removed = self.lock().remove(&slot);
        let Some(function) = removed else {
            return false;
        };
        function.remove();
        self.retry_bars();
        true
    }

    /// How many functions the device has that `slot` is a part of.
    pub fn functions_of(&self, slot: Slot) -> usize {
        let functions = self.lock();
        let of_device = functions.keys().filter(|key| key.device == slot.device);
        of_device.count()
    }

    /// Stops every device; see [`Function::reset`].
    pub fn reset(&self) {
        for function in self.all() {
            function.reset();
        }
    }

    /// Lets every function claim addresses that another one gave up.
    fn retry_bars(&self) {
        for function in self.all() {
            function.retry_bars();
        }
    }

    fn all(&self) -> Vec<Arc<Function>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Slot, Arc<Function>>> {
        self.functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The function at `slot`, if there is one.
    pub fn function(&self, slot: Slot) -> Option<Arc<Function>> {
        self.lock().get(&slot).cloned()
    }

    /// A configuration read; all ones if there is no such function.
    fn read(&self, slot: Slot, register: usize, data: &mut [u8]) {
        match self.function(slot) {
            Some(function) => function.config_read(register, data),
            None => data.fill(0xff),
        }
    }

    /// A configuration write; lost if there is no such function.
    fn write(&self, slot: Slot, register: usize, data: &[u8]) {
        if let Some(function) = self.function(slot) {
            if function.config_write(register, data) == Released::Yes {
                self.retry_bars();
            }
        }
    }
}

fn next_slot(functions: &BTreeMap<Slot, Arc<Function>>) -> Option<Slot> {
    let all = (0..FUNCTIONS).flat_map(|function| {
        // The host bridge stays alone, as on real machines.
        (1..DEVICES).map(move |device| Slot { device, function })
    });
    let mut free = all.filter(|slot| !functions.contains_key(slot));
    free.next()
}

/// Splits device and function out of an ECAM offset or a CF8 address.
fn slot(devfn: u64) -> Slot {
    Slot {
        device: ((devfn >> 3) & 31) as u8,
        function: (devfn & 7) as u8,
    }
}

/// The memory-mapped way: 4 KiB a function, 1 MiB for bus 0.
pub struct Ecam(pub Arc<RootBus>);

impl BusDevice for Ecam {
    fn read(&self, offset: u64, data: &mut [u8]) {
        self.0
            .read(slot(offset >> 12), (offset & 0xfff) as usize, data);
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.0
            .write(slot(offset >> 12), (offset & 0xfff) as usize, data);
    }
}

/// The way through ports: an address in CF8, data in CFC to CFF.
pub struct ConfigPorts {
    root: Arc<RootBus>,
    address: Mutex<u32>,
}

/// Bit of CF8 that makes CFC a configuration access.
const ADDRESS_ENABLE: u32 = 1 << 31;

impl ConfigPorts {
    /// The port pair for `root`, to be put at [`PORTS_BASE`].
    pub fn new(root: Arc<RootBus>) -> Self {
        Self {
            root,
            address: Mutex::new(0),
        }
    }

    /// What an access at `offset` (4 to 7) of the pair is for.
    fn target(&self, offset: u64) -> Option<(Slot, usize)> {
        let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
        let bus = (address >> 16) & 0xff;
        let register = (address & 0xfc) as usize | (offset & 3) as usize;
        let reachable = address & ADDRESS_ENABLE != 0 && bus == 0 && offset >= 4;
        reachable.then(|| (slot(u64::from((address >> 8) & 0xff)), register))
    }
}

impl BusDevice for ConfigPorts {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        if let (0, [_, _, _, _]) = (offset, &*data) {
            let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
            data.copy_from_slice(&address.to_le_bytes());
        } else if let Some((slot, register)) = self.target(offset) {
            self.root.read(slot, register, data);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if let (0, Ok(bytes)) = (offset, <[u8; 4]>::try_from(data)) {
            *self.address.lock().unwrap_or_else(PoisonError::into_inner) =
                u32::from_le_bytes(bytes);
        } else if let Some((slot, register)) = self.target(offset) {
            self.root.write(slot, register, data);
        }
    }
}

#[cfg(test)]
#[path = "root_tests.rs"]
mod tests;
