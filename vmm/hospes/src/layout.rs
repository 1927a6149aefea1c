// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Where everything is in the guest's address spaces.
//!
//! | from | to | what |
//! |---|---|---|
//! | 0 | 0x9fc00 | RAM; boot structures at fixed addresses |
//! | 0x9fc00 | 0x10_0000 | reserved; ACPI tables from 0xe_0000, SMBIOS from 0xf_0000 |
//! | 0x10_0000 | at most 0xc000_0000 | RAM; initrd at its end |
//! | 0xc000_0000 | 0xc010_0000 | ECAM of bus 0 |
//! | 0xc800_0000 | 0xd000_0000 | registers of devices on VMBus |
//! | 0xd000_0000 | 0xfec0_0000 | 32-bit BARs |
//! | 0xfec0_0000 | 0x1_0000_0000 | IOAPIC, LAPIC, KVM's own pages |
//! | 0x1_0000_0000 | | RAM that did not fit below |
//! | next multiple of 16 GiB | +16 GiB | 64-bit BARs |
//! | then | +4 GiB | registers of devices on VMBus |

use std::ops::Range;

use hospes_pci::bars::Windows;

/// End of conventional memory; an extended BIOS data area would start here.
pub const LOW_RAM_END: u64 = 0x9_fc00;

/// Start of extended memory.
pub const HIGH_RAM_START: u64 = 0x10_0000;

/// Where a GDT for the first instructions is.
pub const GDT: u64 = 0x500;
/// Where the PVH start info is, followed by its tables.
pub const PVH_START_INFO: u64 = 0x6000;
/// Where the PVH module list is.
pub const PVH_MODULES: u64 = 0x6040;
/// Where the PVH memory map is.
pub const PVH_MEMORY_MAP: u64 = 0x6100;
/// Where the Linux boot parameters (the "zero page") are.
pub const BOOT_PARAMS: u64 = 0x7000;
/// First of the six pages of initial page tables.
pub const PAGE_TABLES: u64 = 0xa000;
/// Where the command line is.
pub const CMDLINE: u64 = 0x2_0000;
/// Longest command line, with its final NUL.
pub const CMDLINE_MAX: usize = 0x1_0000;

/// Where the ACPI tables are. The BIOS area is also searched for the RSDP.
pub const ACPI: Range<u64> = 0xe_0000..0xf_0000;
/// Where the SMBIOS tables are, if there are any. Their entry point is searched for here.
pub const SMBIOS: Range<u64> = 0xf_0000..0x10_0000;

/// End of RAM below 4 GiB.
pub const PCI_HOLE: u64 = 0xc000_0000;
/// Configuration space of PCI bus 0.
pub const ECAM: u64 = 0xc000_0000;
/// Room for registers of devices on VMBus, below 4 GiB.
pub const VMBUS_MEMORY32: Range<u64> = 0xc800_0000..0xd000_0000;
/// Size of the room for them above RAM.
const VMBUS_MEMORY64_LEN: u64 = 4 << 30;
/// BARs below 4 GiB.
pub const PCI_MEMORY32: Range<u64> = 0xd000_0000..0xfec0_0000;
/// I/O BARs.
pub const PCI_IO: Range<u64> = 0xc000..0xfff0;
/// Size of the window for BARs above RAM, and its alignment.
const PCI_MEMORY64_LEN: u64 = 16 << 30;

/// IOAPIC registers.
pub const IOAPIC: u32 = 0xfec0_0000;
/// Local APIC registers.
pub const LAPIC: u32 = 0xfee0_0000;
/// A page that KVM needs on Intel processors for an identity map.
pub const KVM_IDENTITY_MAP: u64 = 0xfffb_c000;
/// Three pages that KVM needs on Intel processors for a task state segment.
pub const KVM_TSS: usize = 0xfffb_d000;
/// 4 GiB, where RAM goes on.
pub const ABOVE_4G: u64 = 0x1_0000_0000;

/// Ports of the first serial line.
pub const SERIAL_PORT: u64 = 0x3f8;
/// Interrupt of the first serial line.
pub const SERIAL_IRQ: u32 = 4;
/// Ports of the real-time clock.
pub const RTC_PORT: u64 = 0x70;
/// Command and status port of the keyboard controller.
pub const I8042_PORT: u64 = 0x64;
/// Ports of the ACPI power management registers.
pub const PM_PORT: u64 = 0x600;
/// Ports of the hot-plug registers.
pub const HOTPLUG_PORT: u64 = 0x620;
/// Interrupt of ACPI events.
pub const SCI_IRQ: u8 = 9;
/// The first interrupt of the lines of the PCI bus, above those of ISA.
const PCI_IRQS: u8 = 16;

/// The interrupt of a line of the PCI bus.
pub const fn pci_irq(line: u8) -> u32 {
    PCI_IRQS.saturating_add(line) as u32
}

/// The RAM ranges of a machine with `size` bytes: one, or two around the hole.
pub fn ram(size: u64) -> Vec<Range<u64>> {
    let above = size.saturating_sub(PCI_HOLE);
    let both = [
        0..size.min(PCI_HOLE),
        ABOVE_4G..ABOVE_4G.saturating_add(above),
    ];
    both.into_iter().filter(|range| !range.is_empty()).collect()
}

/// The windows for BARs of a machine with `size` bytes of RAM.
pub fn windows(size: u64) -> Windows {
    let ram_end = ram(size).last().map_or(0, |range| range.end);
    let start = ram_end.max(ABOVE_4G).next_multiple_of(PCI_MEMORY64_LEN);
    Windows {
        memory32: PCI_MEMORY32,
        memory64: start..start.saturating_add(PCI_MEMORY64_LEN),
        io: PCI_IO,
    }
}

/// The room for registers of devices on VMBus above those windows.
pub fn vmbus_memory64(windows: &Windows) -> Range<u64> {
    let start = windows.memory64.end;
    start..start.saturating_add(VMBUS_MEMORY64_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_leaves_the_hole_free() {
        for (size, ranges) in [
            (512 << 20, &[(0, 512 << 20)][..]),
            (3 << 30, &[(0, 3 << 30)]),
            (5 << 30, &[(0, 3 << 30), (4 << 30, 6 << 30)]),
        ] {
            let got: Vec<_> = ram(size)
                .iter()
                .map(|range| (range.start, range.end))
                .collect();
            assert_eq!(got, ranges);
        }
    }

    #[test]
    fn the_high_window_is_above_ram() {
        assert_eq!(windows(1 << 30).memory64, 16 << 30..32 << 30);
        assert_eq!(windows(30 << 30).memory64, 32 << 30..48 << 30);
    }
}
