// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One PCI function: a device behind configuration space.
//!
//! Three kinds of access arrive here. Configuration accesses change registers
//! under the function's lock, and whatever follows from a change (BARs that
//! move, interrupts that are switched on) happens under that lock as well.
//! BAR accesses go through a [`Window`] straight to the device or the MSI-X
//! table. Capability accesses that a device asked for are passed on with no
//! lock held, since they may do the work of a BAR access.
//!
//! A function can be taken off the bus while the guest uses it. Accesses that
//! were under way then still reach it, so it knows that it is gone: it answers
//! like an empty place, and claims no address any more.

use std::fmt::Display;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::bus::BusDevice;
use hospes_device::counters::Counted;
use thiserror::Error;

use crate::address_space::{AddressSpaces, Space};
use crate::bars::{self, BarError, Windows};
use crate::config::{self, ConfigSpace, NoSpace};
use crate::device::{BarSpec, Capability, Doorbell, MsixSpec, PciDevice};
use crate::msix;
use crate::pin::{Line, Pin};

/// Capability id of MSI-X.
const CAPABILITY_MSIX: u8 = 0x11;

/// Offset of Message Control from the start of the MSI-X capability.
const MSIX_CONTROL: usize = 2;

/// Why a device cannot be made a function.
#[derive(Debug, Error)]
pub enum FunctionError {
    /// Its BARs make no sense, or there is no room for them.
    #[error(transparent)]
    Bar(#[from] BarError),
    /// Its capabilities do not fit.
    #[error(transparent)]
    NoSpace(#[from] NoSpace),
    /// The MSI-X table or pending bits are not inside one of its BARs.
    #[error("the MSI-X structure at offset {offset:#x} is not inside BAR {bar}")]
    Msix {
        /// BAR it should be in.
        bar: u8,
        /// Where it begins.
        offset: u32,
    },
}

/// A BAR and where it is claimed.
struct Bar {
    spec: BarSpec,
    window: Arc<Window>,
    claimed: Option<u64>,
    /// Whether the log has it that something did not work. Once is enough: a
    /// guest can have it fail as often as it likes.
    reported: bool,
}

impl Bar {
    fn report(&mut self, what: &str, address: u64, error: &dyn Display) {
        if !mem::replace(&mut self.reported, true) {
            tracing::warn!(bar = self.spec.index, address, %error, "{what}");
        }
    }
}

/// Whether a configuration write made a function let go of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It did not.
    No,
    /// It did, and they are free for others.
    Yes,
}

/// What changes with configuration accesses.
struct State {
    config: ConfigSpace,
    bars: Vec<Bar>,
    /// The function was taken off its bus.
    gone: bool,
}

/// Where one of the device's own capabilities is in configuration space.
struct Body {
    start: usize,
    len: usize,
}

/// A function on a bus.
pub struct Function {
    device: Arc<dyn PciDevice>,
    spaces: Arc<dyn AddressSpaces>,
    doorbells: Vec<Doorbell>,
    bodies: Vec<Body>,
    /// Offset of the MSI-X capability, and what it describes.
    msix: Option<(usize, MsixSpec)>,
    pin: Option<Arc<Pin>>,
    state: Mutex<State>,
}

impl Function {
    /// Makes `device` a function whose BARs are not yet decoded. They start at
    /// addresses from `windows`; without, the guest has to give them some, as
    /// it does for whatever is plugged in while it runs.
    ///
    /// # Errors
    ///
    /// [`FunctionError`] if the device describes something impossible.
    pub fn new(
        device: Arc<dyn PciDevice>,
        spaces: Arc<dyn AddressSpaces>,
        mut windows: Option<&mut Windows>,
    ) -> Result<Self, FunctionError> {
        let mut config = ConfigSpace::new(&device.identity());
        let specs = device.bars();
        bars::check(&specs)?;
        let mut bodies = Vec::new();
        for capability in device.capabilities() {
            let start = config.add_capability(&capability)?.saturating_add(2);
            bodies.push(Body {
                start,
                len: capability.body.len(),
            });
        }
        let msix = match device.msix() {
            Some(spec) => Some((add_msix(&mut config, &spec, &specs)?, spec)),
            None => None,
        };
        let mut bars = Vec::new();
        for spec in specs {
            let address = match windows.as_deref_mut() {
                Some(windows) => windows.take(&spec)?,
                None => 0,
            };
            bars::install(&mut config, &spec, address);
            let msix = msix.as_ref().map(|(_, spec)| spec.clone());
            let window = Arc::new(Window {
                device: device.clone(),
                bar: spec.index,
                msix,
            });
            bars.push(Bar {
                spec,
                window,
                claimed: None,
                reported: false,
            });
        }
        if let Some((_, spec)) = &msix {
            spec.msix.set_bus_master(false);
        }
        let pin = device.pin();
        if pin.is_some() {
            config.add_pin();
        }
        Ok(Self {
            doorbells: device.doorbells(),
            device,
            spaces,
            bodies,
            msix,
            pin,
            state: Mutex::new(State {
                config,
                bars,
                gone: false,
            }),
        })
    }

    /// Ties the function's pin to a line, if it has one.
    pub(crate) fn connect(&self, line: Line) {
        if let Some(pin) = &self.pin {
            pin.connect(Some(line));
        }
    }

    /// Sets the header's multi-function bit.
    pub fn set_multi_function(&self) {
        self.lock()
            .config
            .set(config::HEADER_TYPE, &[config::HEADER_MULTI_FUNCTION]);
    }

    /// A configuration read.
    pub fn config_read(&self, offset: usize, data: &mut [u8]) {
        let mut state = self.lock();
        if state.gone {
            data.fill(0xff);
            return;
        }
        if let Some(pin) = &self.pin {
            state.config.set_interrupt(pin.is_active());
        }
        state.config.read(offset, data);
        drop(state);
        for (index, body) in self.bodies.iter().enumerate() {
            self.read_body(index, body, offset, data);
        }
    }

    /// A configuration write. Says whether addresses were released, which
    /// other functions may be waiting for.
    pub fn config_write(&self, offset: usize, data: &[u8]) -> Released {
        let mut state = self.lock();
        if state.gone {
            return Released::No;
        }
        state.config.write(offset, data);
        let end = offset.saturating_add(data.len());
        let mut released = Released::No;
        if offset < config::BAR0.saturating_add(24) && end > config::COMMAND {
            released = self.update_bars(&mut state);
            self.update_interrupts(&state);
        }
        if let Some((start, spec)) = &self.msix {
            let control = start.saturating_add(MSIX_CONTROL);
            if offset < control.saturating_add(2) && end > control {
                spec.msix.set_control(state.config.read_u16(control));
                self.device.msix_switched();
            }
        }
        for (index, body) in self.bodies.iter().enumerate() {
            if offset < body.start.saturating_add(body.len) && end > body.start {
                let bytes = state.config.bytes(body.start, body.len).to_vec();
                let first = offset.saturating_sub(body.start);
                let len = end.saturating_sub(offset.max(body.start));
                drop(state);
                self.device.capability_written(index, first, len, &bytes);
                // A write of at most 8 bytes that reaches into two
                // capabilities at once is no access a guest's driver makes.
                break;
            }
        }
        released
    }

    /// Claims what the guest wants decoded and another function had before.
    pub fn retry_bars(&self) {
        let mut state = self.lock();
        if !state.gone {
            self.update_bars(&mut state);
        }
    }

    /// Stops the device and lets go of its addresses: nothing answers, no
    /// interrupt and no DMA come from it any more.
    pub fn reset(&self) {
        let mut state = self.lock();
        self.device.reset();
        self.release_all(&mut state);
    }

    /// What [`reset`](Self::reset) does, for good: the function answers like
    /// an empty place from now on, also to accesses that are under way.
    pub fn remove(&self) {
        let mut state = self.lock();
        state.gone = true;
        // The addresses go first, so that next to no access comes after the
        // reset. One that does finds a device that nothing refers to but the
        // access itself, and that ends with it.
        self.release_all(&mut state);
        self.device.reset();
        if let Some(pin) = &self.pin {
            pin.connect(None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release_all(&self, state: &mut State) {
        state.config.write(config::COMMAND, &[0, 0]);
        self.update_bars(state);
        self.update_interrupts(state);
        if let Some((start, spec)) = &self.msix {
            state
                .config
                .write(start.saturating_add(MSIX_CONTROL), &[0, 0]);
            spec.msix.reset();
        }
    }

    /// Lets the device answer for the part of a read that is in its capability.
    fn read_body(&self, index: usize, body: &Body, offset: usize, data: &mut [u8]) {
        let Some(within) = offset.checked_sub(body.start) else {
            return;
        };
        if within < body.len {
            let len = data.len().min(body.len.saturating_sub(within));
            if let Some(part) = data.get_mut(..len) {
                let _ = self.device.capability_read(index, within, part);
            }
        }
    }

    /// Messages are writes to memory: without the right to any they wait. The line has a
    /// switch of its own.
    fn update_interrupts(&self, state: &State) {
        let command = state.config.read_u16(config::COMMAND);
        if let Some((_, spec)) = &self.msix {
            spec.msix
                .set_bus_master(command & config::COMMAND_BUS_MASTER != 0);
        }
        if let Some(pin) = &self.pin {
            pin.set_disabled(command & config::COMMAND_INTERRUPT_DISABLE != 0);
        }
    }

    /// Claims and releases addresses until the buses agree with the registers.
    fn update_bars(&self, state: &mut State) -> Released {
        let State { config, bars, .. } = state;
        let mut released = Released::No;
        let wanted: Vec<_> = bars
            .iter()
            .map(|bar| bars::decoded(config, &bar.spec))
            .collect();
        // All releases come first: a guest may swap two BARs.
        for (bar, wanted) in bars.iter_mut().zip(&wanted) {
            if bar.claimed != *wanted && self.release(bar) {
                released = Released::Yes;
            }
        }
        for (bar, wanted) in bars.iter_mut().zip(wanted) {
            if let Some(address) = wanted.filter(|_| bar.claimed.is_none()) {
                self.claim(bar, address);
            }
        }
        released
    }

    fn claim(&self, bar: &mut Bar, address: u64) {
        let space = Space::from(bar.spec.kind);
        let bus = self.spaces.bus(space);
        if let Err(error) = bus.insert(address, bar.spec.size, bar.window.clone()) {
            bar.report("BAR is left unmapped", address, &error);
            return;
        }
        bar.claimed = Some(address);
        for (doorbell, address) in self.doorbells_at(bar.spec.index, address) {
            if let Err(error) = self.spaces.add_doorbell(space, address, doorbell) {
                bar.report("doorbell stays in user space", address, &error);
            }
        }
    }

    /// Says whether there was anything to release.
    fn release(&self, bar: &mut Bar) -> bool {
        let Some(address) = bar.claimed.take() else {
            return false;
        };
        let space = Space::from(bar.spec.kind);
        for (doorbell, address) in self.doorbells_at(bar.spec.index, address) {
            if let Err(error) = self.spaces.remove_doorbell(space, address, doorbell) {
                bar.report("doorbell was not there", address, &error);
            }
        }
        self.spaces.bus(space).remove(address)
    }

    /// The doorbells in a BAR that is at `base`, with their addresses.
    fn doorbells_at(&self, bar: u8, base: u64) -> impl Iterator<Item = (&Doorbell, u64)> {
        let mine = self
            .doorbells
            .iter()
            .filter(move |doorbell| doorbell.bar == bar);
        mine.filter_map(move |doorbell| Some((doorbell, base.checked_add(doorbell.offset)?)))
    }
}

impl Counted for Function {
    fn counters(&self) -> serde_json::Value {
        let mut value = self.device.counters();
        if let (Some(object), Some((_, spec))) = (value.as_object_mut(), &self.msix) {
            object.insert("msix".to_owned(), spec.msix.counters());
        }
        value
    }
}

/// Adds the MSI-X capability; returns its offset.
fn add_msix(
    config: &mut ConfigSpace,
    spec: &MsixSpec,
    bars: &[BarSpec],
) -> Result<usize, FunctionError> {
    check_inside(spec.table, table_len(spec), bars)?;
    check_inside(spec.pba, pba_len(spec), bars)?;
    let mut body = Vec::new();
    body.extend_from_slice(&spec.msix.vectors().saturating_sub(1).to_le_bytes());
    for (bar, offset) in [spec.table, spec.pba] {
        body.extend_from_slice(&(offset | u32::from(bar)).to_le_bytes());
    }
    let writable = (msix::CONTROL_ENABLE | msix::CONTROL_MASK)
        .to_le_bytes()
        .to_vec();
    Ok(config.add_capability(&Capability {
        id: CAPABILITY_MSIX,
        body,
        writable,
    })?)
}

/// A structure of MSI-X is 8-aligned and inside one of the BARs.
fn check_inside((bar, offset): (u8, u32), len: u64, bars: &[BarSpec]) -> Result<(), FunctionError> {
    let end = u64::from(offset).saturating_add(len);
    let fits = bars
        .iter()
        .any(|spec| spec.index == bar && end <= spec.size);
    if fits && offset & 7 == 0 {
        Ok(())
    } else {
        Err(FunctionError::Msix { bar, offset })
    }
}

fn table_len(spec: &MsixSpec) -> u64 {
    u64::from(spec.msix.vectors()).saturating_mul(msix::ENTRY_SIZE)
}

fn pba_len(spec: &MsixSpec) -> u64 {
    u64::from(spec.msix.vectors())
        .div_ceil(64)
        .saturating_mul(8)
}

/// A BAR as the bus sees it.
struct Window {
    device: Arc<dyn PciDevice>,
    bar: u8,
    msix: Option<MsixSpec>,
}

/// Which part of a BAR an access is for.
enum Target<'a> {
    Table(&'a msix::Msix, u64),
    Pba(&'a msix::Msix, u64),
    Device,
}

impl Window {
    fn target(&self, offset: u64) -> Target<'_> {
        let Some(spec) = &self.msix else {
            return Target::Device;
        };
        let inside = |(bar, start): (u8, u32), len: u64| {
            let within = offset.checked_sub(u64::from(start))?;
            (bar == self.bar && within < len).then_some(within)
        };
        if let Some(within) = inside(spec.table, table_len(spec)) {
            Target::Table(&spec.msix, within)
        } else if let Some(within) = inside(spec.pba, pba_len(spec)) {
            Target::Pba(&spec.msix, within)
        } else {
            Target::Device
        }
    }
}

impl BusDevice for Window {
    fn read(&self, offset: u64, data: &mut [u8]) {
        match self.target(offset) {
            Target::Table(msix, within) => msix.read_table(within, data),
            Target::Pba(msix, within) => msix.read_pba(within, data),
            Target::Device => self.device.bar_read(self.bar, offset, data),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        match self.target(offset) {
            Target::Table(msix, within) => msix.write_table(within, data),
            Target::Pba(..) => {}
            Target::Device => self.device.bar_write(self.bar, offset, data),
        }
    }
}

#[cfg(test)]
#[path = "function_tests.rs"]
mod tests;
