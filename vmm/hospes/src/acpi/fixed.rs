// SPDX-License-Identifier: GPL-2.0 OR MIT

//! FADT (fixed registers) and MADT (interrupt controllers).
//!
//! Offsets are those of ACPI 6.5, sections 5.2.9 and 5.2.12.

use acpi_tables::sdt::{GenericAddress, Sdt};

use crate::acpi::{OEM_ID, OEM_REVISION, OEM_TABLE};
use crate::layout;
use crate::platform::{power, rtc};

/// Length of a FADT of revision 6.
const FADT_LEN: u32 = 276;

/// FADT flag: WBINVD works.
const FLAG_WBINVD: u32 = 1 << 0;
/// FADT flag: C1 works on all processors.
const FLAG_PROC_C1: u32 = 1 << 2;
/// FADT flag: there is no sleep button among the fixed registers. The power
/// button is there.
const FLAG_NO_SLEEP_BUTTON: u32 = 1 << 5;
/// FADT flag: there is a reset register.
const FLAG_RESET: u32 = 1 << 10;

/// Boot architecture: there are devices on ISA addresses.
const BOOT_LEGACY_DEVICES: u16 = 1 << 0;
/// Boot architecture: there is no VGA to probe for.
const BOOT_NO_VGA: u16 = 1 << 2;

/// A C-state latency above these means that there is no such state.
const NO_C2: u16 = 101;
const NO_C3: u16 = 1001;

/// The ports of the power registers.
fn power_port(offset: u16) -> u16 {
    u16::try_from(layout::PM_PORT)
        .unwrap_or(u16::MAX)
        .saturating_add(offset)
}

/// The FADT.
pub fn fadt(dsdt: u64, facs: u64) -> Sdt {
    let mut table = Sdt::new(*b"FACP", FADT_LEN, 6, OEM_ID, OEM_TABLE, OEM_REVISION);
    let event = power_port(power::PM1_EVENT);
    let control = power_port(power::PM1_CONTROL);
    table.write_u32(36, facs as u32);
    table.write_u32(40, dsdt as u32);
    table.write_u16(46, u16::from(layout::SCI_IRQ));
    table.write_u32(56, u32::from(event));
    table.write_u32(64, u32::from(control));
    let events = power_port(power::GPE);
    table.write_u32(80, u32::from(events));
    table.write_u8(88, 4);
    table.write_u8(89, 2);
    table.write_u8(92, 2);
    table.write_u16(96, NO_C2);
    table.write_u16(98, NO_C3);
    table.write_u8(108, rtc::CENTURY);
    table.write_u16(109, BOOT_LEGACY_DEVICES | BOOT_NO_VGA);
    let flags = FLAG_WBINVD | FLAG_PROC_C1 | FLAG_NO_SLEEP_BUTTON | FLAG_RESET;
    table.write_u32(112, flags);
    table.write(
        116,
        GenericAddress::io_port_address::<u8>(power_port(power::RESET)),
    );
    table.write_u8(128, power::RESET_VALUE);
    table.write_u8(131, 5);
    table.write_u64(140, dsdt);
    table.write(148, GenericAddress::io_port_address::<u32>(event));
    table.write(172, GenericAddress::io_port_address::<u16>(control));
    table.write(220, GenericAddress::io_port_address::<u16>(events));
    table.write_bytes(268, &OEM_TABLE);
    table.update_checksum();
    table
}

/// MADT flag: there is a pair of PICs as well.
const PCAT_COMPAT: u32 = 1;
/// MADT entry flag: the processor is there.
const PROCESSOR_ENABLED: u32 = 1;
/// MADT interrupt flags: active high, level triggered.
const ACTIVE_HIGH_LEVEL: u16 = 0b1101;

/// The MADT of a machine with `cpus` vCPUs, whose numbers are their APIC ids.
pub fn madt(cpus: u8) -> Sdt {
    let mut table = Sdt::new(*b"APIC", 44, 5, OEM_ID, OEM_TABLE, OEM_REVISION);
    table.write_u32(36, layout::LAPIC);
    table.write_u32(40, PCAT_COMPAT);
    for id in 0..cpus {
        // Type 0: a processor with its LAPIC.
        table.append_slice(&[0, 8, id, id]);
        table.append_slice(&PROCESSOR_ENABLED.to_le_bytes());
    }
    // Type 1: an IOAPIC whose pins are the interrupts from 0.
    table.append_slice(&[1, 12, 0, 0]);
    table.append_slice(&layout::IOAPIC.to_le_bytes());
    table.append_slice(&0u32.to_le_bytes());
    // Type 2: the SCI is no edge like other ISA interrupts.
    table.append_slice(&[2, 10, 0, layout::SCI_IRQ]);
    table.append_slice(&u32::from(layout::SCI_IRQ).to_le_bytes());
    table.append_slice(&ACTIVE_HIGH_LEVEL.to_le_bytes());
    // Type 4: LINT1 of all processors is the NMI.
    table.append_slice(&[4, 6, 0xff, 0, 0, 1]);
    table.update_checksum();
    table
}
