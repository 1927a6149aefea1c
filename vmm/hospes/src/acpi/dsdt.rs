// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The DSDT: devices that a guest cannot find by itself.
//!
//! Interrupt pins of PCI functions lead straight to pins of the IOAPIC, those of a
//! device all to the same one.

use std::ops::Range;

use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, Interrupt, Memory32Fixed, Name, Package,
    ResourceTemplate, Scope, Zero, IO,
};
use acpi_tables::sdt::Sdt;
use acpi_tables::{Aml, AmlSink};
use hospes_pci::bars::Windows;
use hospes_pci::pin::Lines;
use hospes_pci::root::{ECAM_LEN, PORTS_BASE, PORTS_LEN};

use crate::acpi::{bytes, slots, Board, HotPlug, OEM_ID, OEM_REVISION, OEM_TABLE};
use crate::layout;
use crate::platform::{power, rtc, serial};

/// The whole table.
pub fn build(windows: &Windows, board: &Board) -> Vec<u8> {
    let mut table = Sdt::new(*b"DSDT", 36, 2, OEM_ID, OEM_TABLE, OEM_REVISION);
    for part in [
        pci(windows),
        motherboard(),
        serial_line(),
        clock(),
        soft_off(),
    ] {
        table.append_slice(&part);
    }
    if board.vmbus {
        table.append_slice(&vmbus(windows));
    }
    if board.hot_plug == HotPlug::Slots {
        table.append_slice(&slots::methods());
    }
    table.as_slice().to_vec()
}

/// Puts a device with its id and resources below `\_SB`.
fn device(name: &str, id: &str, more: Vec<&dyn Aml>, resources: Vec<&dyn Aml>) -> Vec<u8> {
    let id = Name::new("_HID".into(), &EISAName::new(id));
    let unique = Name::new("_UID".into(), &Zero {});
    let resources = Name::new("_CRS".into(), &ResourceTemplate::new(resources));
    let mut children: Vec<&dyn Aml> = vec![&id, &unique];
    children.extend(more);
    children.push(&resources);
    let device = Device::new(name.into(), children);
    bytes(&Scope::new("\\_SB_".into(), vec![&device]))
}

/// A range of ports.
fn ports(base: u64, len: u64) -> IO {
    let base = u16::try_from(base).unwrap_or(u16::MAX);
    IO::new(base, base, 1, u8::try_from(len).unwrap_or(u8::MAX))
}

/// Where pin A of a device leads: an entry of `_PRT` (ACPI 6.5, section 6.2.13). As with
/// any interrupt of PCI, that is a level, active low.
struct Route(u8);

impl Aml for Route {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        // All functions of the device.
        let address = (u32::from(self.0) << 16) | 0xffff;
        let irq = layout::pci_irq(Lines::of_device(self.0));
        Package::new(vec![&address, &Zero {}, &Zero {}, &irq]).to_aml_bytes(sink);
    }
}

/// The PCI host bridge and the windows that its BARs can move in.
fn pci(windows: &Windows) -> Vec<u8> {
    let low = AddressSpace::new_memory(
        AddressSpaceCacheable::NotCacheable,
        true,
        windows.memory32.start as u32,
        windows.memory32.end.saturating_sub(1) as u32,
        None,
    );
    let high = AddressSpace::new_memory(
        AddressSpaceCacheable::NotCacheable,
        true,
        windows.memory64.start,
        windows.memory64.end.saturating_sub(1),
        None,
    );
    let below = AddressSpace::new_io(0u16, (PORTS_BASE as u16).saturating_sub(1), None);
    let above = AddressSpace::new_io(PORTS_BASE.saturating_add(PORTS_LEN) as u16, 0xffffu16, None);
    let compatible = Name::new("_CID".into(), &EISAName::new("PNP0A03"));
    let segment = Name::new("_SEG".into(), &Zero {});
    let bus = Name::new("_BBN".into(), &Zero {});
    let routes: Vec<_> = slots::SLOTS.map(Route).collect();
    let routes = routes.iter().map(|route| -> &dyn Aml { route });
    let routes = Name::new("_PRT".into(), &Package::new(routes.collect()));
    device(
        "PCI0",
        "PNP0A08",
        vec![&compatible, &segment, &bus, &routes],
        vec![
            &AddressSpace::new_bus_number(0u16, 0u16),
            &ports(PORTS_BASE, PORTS_LEN),
            &below,
            &above,
            &low,
            &high,
        ],
    )
}

/// What belongs to the board itself: Linux uses ECAM only if some device
/// claims its addresses.
fn motherboard() -> Vec<u8> {
    let ecam = Memory32Fixed::new(true, layout::ECAM as u32, ECAM_LEN as u32);
    device(
        "MBRD",
        "PNP0C02",
        vec![],
        vec![
            &ecam,
            &ports(layout::PM_PORT, power::LEN),
            &ports(layout::HOTPLUG_PORT, slots::LEN),
        ],
    )
}

/// VMBus, by which Linux knows that there is one, and the room that its devices can
/// have for registers.
fn vmbus(windows: &Windows) -> Vec<u8> {
    let room = |range: Range<u64>| {
        AddressSpace::new_memory(
            AddressSpaceCacheable::NotCacheable,
            true,
            range.start,
            range.end.saturating_sub(1),
            None,
        )
    };
    let low = room(layout::VMBUS_MEMORY32);
    let high = room(layout::vmbus_memory64(windows));
    let id = Name::new("_HID".into(), &"VMBUS");
    let unique = Name::new("_UID".into(), &Zero {});
    let resources = Name::new("_CRS".into(), &ResourceTemplate::new(vec![&low, &high]));
    let device = Device::new("VMB0".into(), vec![&id, &unique, &resources]);
    bytes(&Scope::new("\\_SB_".into(), vec![&device]))
}

fn serial_line() -> Vec<u8> {
    let interrupt = Interrupt::new(true, true, false, false, layout::SERIAL_IRQ);
    device(
        "COM1",
        "PNP0501",
        vec![],
        vec![&ports(layout::SERIAL_PORT, serial::LEN), &interrupt],
    )
}

fn clock() -> Vec<u8> {
    device(
        "RTC0",
        "PNP0B00",
        vec![],
        vec![&ports(layout::RTC_PORT, rtc::LEN)],
    )
}

/// The sleep type for soft-off, which is the only sleep state.
fn soft_off() -> Vec<u8> {
    let kind = power::SLEEP_TYPE_S5;
    bytes(&Name::new(
        "_S5_".into(),
        &Package::new(vec![&kind, &Zero {}, &Zero {}, &Zero {}]),
    ))
}
