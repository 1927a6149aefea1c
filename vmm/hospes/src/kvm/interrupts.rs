// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Interrupts as irqfds: an eventfd for each source, and KVM's routing table
//! from there to a message, a controller's pin, or a source of a SynIC.
//!
//! A vector costs nothing in KVM before the guest gives it a message: its
//! interrupt number (GSI) is taken and its irqfd is set up by the first
//! message. KVM replaces its table as a whole, so the table is kept here.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hospes_device::interrupt::{MsiAllocator, MsiMessage, MsiVector};
use kvm_bindings::{
    kvm_irq_routing_entry, kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_hv_sint,
    kvm_irq_routing_irqchip, kvm_irq_routing_msi, kvm_irq_routing_msi__bindgen_ty_1, KvmIrqRouting,
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQ_ROUTING_HV_SINT,
    KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQ_ROUTING_MSI,
};
use kvm_ioctls::VmFd;
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

/// Pins of the IOAPIC, which are the first interrupt numbers.
const IOAPIC_PINS: u32 = 24;

/// Interrupt numbers end here: KVM's table has 4096 entries at most
/// (`KVM_MAX_IRQ_ROUTES`), of which the 16 lines of the PICs take one more each.
const MAX_GSI: u32 = 4096 - 16;

/// The routing table of a machine.
pub struct Interrupts {
    vm: Arc<VmFd>,
    routes: Mutex<BTreeMap<u32, Route>>,
}

/// Where an interrupt number goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Message(MsiMessage),
    /// A source of a virtual processor's SynIC.
    Source {
        vp: u8,
        source: u8,
    },
}

impl Interrupts {
    /// Takes over the routing of `vm`.
    pub fn new(vm: Arc<VmFd>) -> Arc<Self> {
        Arc::new(Self {
            vm,
            routes: Mutex::new(BTreeMap::new()),
        })
    }

    /// An eventfd that raises an edge on a pin of the interrupt controllers.
    ///
    /// # Errors
    ///
    /// What KVM says.
    pub fn line(&self, irq: u32) -> io::Result<EventFd> {
        let event = EventFd::new(EFD_NONBLOCK)?;
        self.vm.register_irqfd(&event, irq).map_err(os_error)?;
        Ok(event)
    }

    /// Sets the level of a pin of the interrupt controllers.
    pub fn set_level(&self, irq: u32, active: bool) {
        if let Err(error) = self.vm.set_irq_line(irq, active) {
            tracing::error!(irq, active, %error, "the level of an interrupt cannot be set");
        }
    }

    /// An eventfd that raises a source of a virtual processor's SynIC.
    ///
    /// # Errors
    ///
    /// What KVM says.
    pub fn source(&self, vp: u8, source: u8) -> io::Result<EventFd> {
        let event = EventFd::new(EFD_NONBLOCK)?;
        let gsi = self.take(Route::Source { vp, source })?;
        self.vm.register_irqfd(&event, gsi).map_err(os_error)?;
        Ok(event)
    }

    /// Has `event` signalled when a virtual processor writes that it has emptied a
    /// message slot of its SynIC.
    ///
    /// KVM tells of that for all sources at once, and besides of the end of each
    /// interrupt of a source: hence `source` is one that has none. What is returned
    /// has to be kept as long as that is to go on.
    ///
    /// # Errors
    ///
    /// What KVM says.
    pub fn on_end_of_message(&self, vp: u8, source: u8, event: &EventFd) -> io::Result<EventFd> {
        let unused = EventFd::new(EFD_NONBLOCK)?;
        let gsi = self.take(Route::Source { vp, source })?;
        let registered = (self.vm).register_irqfd_with_resample(&unused, event, gsi);
        registered
            .map_err(os_error)
            .inspect_err(|_| self.give_back(gsi))?;
        Ok(unused)
    }

    /// Takes a free interrupt number and routes it.
    fn take(&self, route: Route) -> io::Result<u32> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let gsi = free_number(&routes)
            .ok_or_else(|| io::Error::other("the machine has no interrupt number left"))?;
        routes.insert(gsi, route);
        self.apply(&routes).inspect_err(|_| {
            routes.remove(&gsi);
        })?;
        Ok(gsi)
    }

    /// Gives an interrupt number back that nothing signals.
    fn give_back(&self, gsi: u32) {
        // The route that is left in KVM is replaced with the next change.
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.remove(&gsi);
    }

    /// Routes an interrupt number to another message.
    fn route(&self, gsi: u32, message: MsiMessage) -> io::Result<()> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.insert(gsi, Route::Message(message));
        self.apply(&routes)
    }

    fn apply(&self, routes: &BTreeMap<u32, Route>) -> io::Result<()> {
        let routes = routes.iter().map(|(gsi, route)| route_entry(*gsi, *route));
        let entries: Vec<_> = controller_entries().chain(routes).collect();
        let table = KvmIrqRouting::from_entries(&entries)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        self.vm.set_gsi_routing(&table).map_err(os_error)
    }
}

/// A shared allocator: vectors keep the table alive.
pub struct Vectors(pub Arc<Interrupts>);

impl MsiAllocator for Vectors {
    fn allocate(&self) -> io::Result<Arc<dyn MsiVector>> {
        Ok(Arc::new(Vector {
            event: EventFd::new(EFD_NONBLOCK)?,
            gsi: OnceLock::new(),
            interrupts: self.0.clone(),
        }))
    }
}

/// A vector that becomes an irqfd with its first message.
struct Vector {
    event: EventFd,
    gsi: OnceLock<u32>,
    interrupts: Arc<Interrupts>,
}

impl MsiVector for Vector {
    fn signal(&self) -> io::Result<()> {
        self.event.write(1)
    }

    // The owner of a vector calls this under its own lock, so the two steps of
    // the first message cannot be interleaved with a second one.
    fn set_message(&self, message: MsiMessage) -> io::Result<()> {
        if let Some(gsi) = self.gsi.get() {
            return self.interrupts.route(*gsi, message);
        }
        let gsi = self.interrupts.take(Route::Message(message))?;
        let registered = self.interrupts.vm.register_irqfd(&self.event, gsi);
        registered
            .map_err(os_error)
            .inspect_err(|_| self.interrupts.give_back(gsi))?;
        self.gsi
            .set(gsi)
            .map_err(|_| io::Error::other("two first messages for one vector"))
    }
}

impl Drop for Vector {
    fn drop(&mut self) {
        let Some(gsi) = self.gsi.get() else {
            return;
        };
        // In this order: nobody else may be given a number that is signalled.
        match self.interrupts.vm.unregister_irqfd(&self.event, *gsi) {
            Ok(()) => self.interrupts.give_back(*gsi),
            Err(error) => tracing::warn!(gsi, %error, "an interrupt number is lost"),
        }
    }
}

/// An interrupt number above the pins that no route has: the next one, or
/// the first gap once the last one is taken.
fn free_number(routes: &BTreeMap<u32, Route>) -> Option<u32> {
    let last = routes.keys().next_back().copied();
    let next = last.map_or(IOAPIC_PINS, |gsi| gsi.saturating_add(1));
    if next < MAX_GSI {
        return Some(next);
    }
    (IOAPIC_PINS..MAX_GSI).find(|gsi| !routes.contains_key(gsi))
}

fn os_error(error: kvm_ioctls::Error) -> io::Error {
    io::Error::from_raw_os_error(error.errno())
}

/// The lines of an ISA machine: 16 on the two PICs, 24 on the IOAPIC.
fn controller_entries() -> impl Iterator<Item = kvm_irq_routing_entry> {
    let ioapic = (0..IOAPIC_PINS).map(|pin| pin_entry(pin, KVM_IRQCHIP_IOAPIC, pin));
    let master = (0..8).map(|pin| pin_entry(pin, KVM_IRQCHIP_PIC_MASTER, pin));
    let slave = (8..16u32).map(|irq| pin_entry(irq, KVM_IRQCHIP_PIC_SLAVE, irq.wrapping_sub(8)));
    ioapic.chain(master).chain(slave)
}

fn pin_entry(gsi: u32, irqchip: u32, pin: u32) -> kvm_irq_routing_entry {
    kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_IRQCHIP,
        u: kvm_irq_routing_entry__bindgen_ty_1 {
            irqchip: kvm_irq_routing_irqchip { irqchip, pin },
        },
        ..Default::default()
    }
}

fn route_entry(gsi: u32, route: Route) -> kvm_irq_routing_entry {
    match route {
        Route::Message(message) => message_entry(gsi, message),
        Route::Source { vp, source } => kvm_irq_routing_entry {
            gsi,
            type_: KVM_IRQ_ROUTING_HV_SINT,
            u: kvm_irq_routing_entry__bindgen_ty_1 {
                hv_sint: kvm_irq_routing_hv_sint {
                    vcpu: vp.into(),
                    sint: source.into(),
                },
            },
            ..Default::default()
        },
    }
}

fn message_entry(gsi: u32, message: MsiMessage) -> kvm_irq_routing_entry {
    kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_MSI,
        u: kvm_irq_routing_entry__bindgen_ty_1 {
            msi: kvm_irq_routing_msi {
                address_lo: message.address as u32,
                address_hi: (message.address >> 32) as u32,
                data: message.data,
                __bindgen_anon_1: kvm_irq_routing_msi__bindgen_ty_1 { pad: 0 },
            },
        },
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(numbers: impl IntoIterator<Item = u32>) -> BTreeMap<u32, Route> {
        let route = Route::Message(MsiMessage::default());
        numbers.into_iter().map(|gsi| (gsi, route)).collect()
    }

    #[test]
    fn numbers_are_used_again_once_there_are_no_new_ones() {
        assert_eq!(free_number(&taken([])), Some(IOAPIC_PINS));
        assert_eq!(free_number(&taken([30])), Some(31));
        let mut all = taken(IOAPIC_PINS..MAX_GSI);
        assert_eq!(free_number(&all), None);
        all.remove(&77);
        assert_eq!(free_number(&all), Some(77));
    }
}
