// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a device tells the PCI core about itself.

use std::sync::Arc;

use hospes_device::counters::Counted;
use vmm_sys_util::eventfd::EventFd;

use crate::msix::Msix;
use crate::pin::Pin;

/// The fixed part of a type 0 header (PCI 3.0, section 6.2.1).
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Revision id.
    pub revision: u8,
    /// Class code: base class, sub-class, programming interface.
    pub class: [u8; 3],
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem id.
    pub subsystem: u16,
}

/// What kind of address space a BAR lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// Memory below 4 GiB.
    Memory32,
    /// Memory anywhere; takes two BAR registers.
    Memory64,
    /// Port I/O.
    Io,
}

/// One base address register.
#[derive(Clone, Copy, Debug)]
pub struct BarSpec {
    /// Register number, 0 to 5 (0 to 4 for [`BarKind::Memory64`]).
    pub index: u8,
    /// Address space.
    pub kind: BarKind,
    /// Size in bytes: a power of two, at least 16 (memory: a page).
    pub size: u64,
}

/// Where a function's MSI-X table and pending bits are.
///
/// The device makes its own [`Msix`] and keeps a clone to signal with; the core
/// gives the guest access to it.
#[derive(Clone)]
pub struct MsixSpec {
    /// The vectors.
    pub msix: Arc<Msix>,
    /// BAR and offset of the table (16 bytes a vector).
    pub table: (u8, u32),
    /// BAR and offset of the pending bit array.
    pub pba: (u8, u32),
}

/// A capability as the device wants it in configuration space.
#[derive(Clone, Debug)]
pub struct Capability {
    /// Capability id.
    pub id: u8,
    /// All that follows the id and the next pointer.
    pub body: Vec<u8>,
    /// Mask of the bits in `body` that the guest may write; shorter means
    /// read-only from there on.
    pub writable: Vec<u8>,
}

/// An address whose write is a plain signal: the machine has KVM deliver it to
/// `event` with no exit to user space (an ioeventfd).
#[derive(Debug)]
pub struct Doorbell {
    /// BAR of the address.
    pub bar: u8,
    /// Offset in the BAR.
    pub offset: u64,
    /// Only this value, with its width; `None` matches any write of any width.
    pub value: Option<u16>,
    /// What is signalled.
    pub event: EventFd,
}

/// A function behind the PCI core.
///
/// The core owns configuration space, BAR decoding and the MSI-X table; the
/// device is asked once for its shape and then sees only accesses inside its
/// BARs. `&self` everywhere: several vCPUs call at once.
pub trait PciDevice: Counted + Send + Sync {
    /// Header fields.
    fn identity(&self) -> Identity;
    /// The BARs, in register order.
    fn bars(&self) -> Vec<BarSpec>;
    /// Capabilities beside MSI-X, which the core adds itself.
    fn capabilities(&self) -> Vec<Capability> {
        Vec::new()
    }
    /// MSI-X, if the function has it.
    fn msix(&self) -> Option<MsixSpec> {
        None
    }
    /// The interrupt pin, if the function has one.
    fn pin(&self) -> Option<Arc<Pin>> {
        None
    }
    /// Called after the guest has switched MSI-X on or off, or may have.
    fn msix_switched(&self) {}
    /// A read inside a BAR, outside the MSI-X table and PBA.
    fn bar_read(&self, bar: u8, offset: u64, data: &mut [u8]);
    /// A write inside a BAR, outside the MSI-X table and PBA.
    fn bar_write(&self, bar: u8, offset: u64, data: &[u8]);
    /// A read of a capability's body; `index` counts [`capabilities`]
    /// (PciDevice::capabilities). `None` leaves it to the core's copy.
    fn capability_read(&self, _index: usize, _offset: usize, _data: &mut [u8]) -> Option<()> {
        None
    }
    /// Called after the core stored a write of `len` bytes at `offset` of a
    /// capability's body; `body` is all of it as it is now. A write may begin
    /// before the body (`offset` is 0 then) and end after it.
    fn capability_written(&self, _index: usize, _offset: usize, _len: usize, _body: &[u8]) {}
    /// Doorbells, asked for once.
    fn doorbells(&self) -> Vec<Doorbell> {
        Vec::new()
    }
    /// Back to the state after power-on, with no interrupt or DMA after return.
    fn reset(&self);
}
