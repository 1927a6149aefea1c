// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is where in the BARs, and the capabilities that tell a driver so
//! (VIRTIO 1.3, section 4.1.4).
//!
//! BAR 0 holds the virtio structures, a page each. BAR 2 holds the MSI-X table
//! and, behind it on a page of its own, the pending bits. Both are 64-bit.

use hospes_pci::device::{BarKind, BarSpec, Capability};
use zerocopy::little_endian::U32;
use zerocopy::{Immutable, IntoBytes};

use super::common::COMMON_LEN;

/// BAR of the virtio structures.
pub(super) const VIRTIO_BAR: u8 = 0;
/// BAR of the MSI-X table and pending bits.
pub(super) const MSIX_BAR: u8 = 2;

/// As many queues as the notification page has addresses.
pub(super) const MAX_QUEUES: u16 = 1024;

const PAGE: u64 = 0x1000;
const ISR_OFFSET: u64 = PAGE;
const DEVICE_OFFSET: u64 = 2 * PAGE;
const NOTIFY_OFFSET: u64 = 3 * PAGE;
const VIRTIO_BAR_SIZE: u64 = 4 * PAGE;

/// Distance between the notification addresses of two queues, in bytes.
const NOTIFY_MULTIPLIER: u32 = 4;

/// PCI capability id: vendor-specific.
const VENDOR_SPECIFIC: u8 = 9;

const _: () = assert!(NOTIFY_MULTIPLIER as u64 * MAX_QUEUES as u64 <= PAGE);

/// The structures in BAR 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    /// Common configuration.
    Common,
    /// Interrupt status.
    Isr,
    /// Configuration of the device's own kind.
    Device,
    /// Notification addresses.
    Notify,
}

impl Region {
    /// The `cfg_type` by which a capability names the structure.
    const fn cfg_type(self) -> u8 {
        match self {
            Self::Common => 1,
            Self::Notify => 2,
            Self::Isr => 3,
            Self::Device => 4,
        }
    }
}

/// The `cfg_type` of the window to the BARs in configuration space.
const CFG_TYPE_PCI: u8 = 5;

/// Position of the window's capability in [`Layout::capabilities`].
pub(super) const WINDOW_CAPABILITY: usize = 4;

/// A capability's body: `struct virtio_pci_cap` without its first two bytes,
/// which are the PCI core's.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct CapabilityBody {
    cap_len: u8,
    cfg_type: u8,
    bar: u8,
    id: u8,
    padding: [u8; 2],
    offset: U32,
    length: U32,
}

impl CapabilityBody {
    const LEN: u8 = 16;

    fn encode(cfg_type: u8, offset: u64, length: u64, extra: &[u8]) -> Vec<u8> {
        let extra_len = u8::try_from(extra.len()).unwrap_or(0);
        let body = Self {
            cap_len: Self::LEN.saturating_add(extra_len),
            cfg_type,
            bar: VIRTIO_BAR,
            id: 0,
            padding: [0; 2],
            // Every offset and length is below the BAR's size.
            offset: U32::new(offset as u32),
            length: U32::new(length as u32),
        };
        [body.as_bytes(), extra].concat()
    }
}

/// The layout of one function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    queues: u16,
    vectors: u16,
}

impl Layout {
    pub(super) fn new(queues: u16, vectors: u16) -> Self {
        Self { queues, vectors }
    }

    /// The structure at `offset` of BAR 0, and the offset in it.
    pub(super) fn region(&self, offset: u64) -> Option<(Region, u64)> {
        [Region::Common, Region::Isr, Region::Device, Region::Notify]
            .into_iter()
            .find_map(|region| {
                let (start, len) = self.extent(region);
                let within = offset.checked_sub(start)?;
                (within < len).then_some((region, within))
            })
    }

    /// The queue whose notification address is `offset` of its structure.
    pub(super) fn notified_queue(offset: u64) -> usize {
        let queue = offset.checked_div(NOTIFY_MULTIPLIER.into());
        queue
            .and_then(|queue| usize::try_from(queue).ok())
            .unwrap_or(usize::MAX)
    }

    /// Offset in BAR 0 of a queue's notification address.
    pub(super) fn doorbell(queue: u16) -> u64 {
        // A page at most behind a small constant.
        NOTIFY_OFFSET.saturating_add(u64::from(queue).saturating_mul(NOTIFY_MULTIPLIER.into()))
    }

    pub(super) fn bars(&self) -> Vec<BarSpec> {
        let msix_size = self.pba_offset().saturating_add(PAGE).next_power_of_two();
        vec![
            BarSpec {
                index: VIRTIO_BAR,
                kind: BarKind::Memory64,
                size: VIRTIO_BAR_SIZE,
            },
            BarSpec {
                index: MSIX_BAR,
                kind: BarKind::Memory64,
                size: msix_size,
            },
        ]
    }

    /// Offset of the pending bits in their BAR: the first page behind the table.
    pub(super) fn pba_offset(&self) -> u64 {
        u64::from(self.vectors)
            .saturating_mul(16)
            .next_multiple_of(PAGE)
    }

    /// The capabilities, the window's at [`WINDOW_CAPABILITY`].
    pub(super) fn capabilities(&self) -> Vec<Capability> {
        let multiplier = NOTIFY_MULTIPLIER.to_le_bytes();
        vec![
            self.capability(Region::Common, &[]),
            self.capability(Region::Notify, &multiplier),
            self.capability(Region::Isr, &[]),
            self.capability(Region::Device, &[]),
            Capability {
                id: VENDOR_SPECIFIC,
                body: CapabilityBody::encode(CFG_TYPE_PCI, 0, 0, &[0; 4]),
                writable: super::window::WRITABLE.to_vec(),
            },
        ]
    }

    fn capability(&self, region: Region, extra: &[u8]) -> Capability {
        let (offset, length) = self.extent(region);
        Capability {
            id: VENDOR_SPECIFIC,
            body: CapabilityBody::encode(region.cfg_type(), offset, length, extra),
            writable: Vec::new(),
        }
    }

    /// Offset and length of a structure in BAR 0.
    fn extent(&self, region: Region) -> (u64, u64) {
        match region {
            Region::Common => (0, COMMON_LEN as u64),
            Region::Isr => (ISR_OFFSET, 1),
            Region::Device => (DEVICE_OFFSET, PAGE),
            Region::Notify => (
                NOTIFY_OFFSET,
                u64::from(self.queues).saturating_mul(NOTIFY_MULTIPLIER.into()),
            ),
        }
    }
}
