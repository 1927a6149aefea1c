// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The PVH start info: what Xen's direct boot ABI hands to a kernel.

use linux_loader::loader::elf::start_info::{
    hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info, XEN_HVM_MEMMAP_TYPE_RAM,
    XEN_HVM_MEMMAP_TYPE_RESERVED, XEN_HVM_START_MAGIC_VALUE,
};
use vm_memory::{ByteValued, Bytes, GuestAddress, GuestMemoryMmap};

use super::{memory_map, Boot, BootError, Initrd};
use crate::layout;

/// Version of the structure that has a memory map.
const VERSION: u32 = 1;

/// Bytes of a memory map entry.
const MAP_ENTRY_LEN: u64 = 24;

/// Writes the start info and what it points to.
pub fn write(
    memory: &GuestMemoryMmap<()>,
    boot: &Boot<'_>,
    initrd: Initrd,
) -> Result<(), BootError> {
    let map = memory_map(boot.ram);
    for (index, entry) in (0u64..).zip(&map) {
        let entry = hvm_memmap_table_entry {
            addr: entry.range.start,
            size: entry.range.end.saturating_sub(entry.range.start),
            type_: if entry.usable {
                XEN_HVM_MEMMAP_TYPE_RAM
            } else {
                XEN_HVM_MEMMAP_TYPE_RESERVED
            },
            reserved: 0,
        };
        let offset = index.saturating_mul(MAP_ENTRY_LEN);
        put(memory, layout::PVH_MEMORY_MAP.saturating_add(offset), entry)?;
    }
    if initrd.len > 0 {
        let module = hvm_modlist_entry {
            paddr: initrd.address,
            size: initrd.len,
            ..Default::default()
        };
        put(memory, layout::PVH_MODULES, module)?;
    }
    let info = hvm_start_info {
        magic: XEN_HVM_START_MAGIC_VALUE,
        version: VERSION,
        nr_modules: u32::from(initrd.len > 0),
        modlist_paddr: layout::PVH_MODULES,
        cmdline_paddr: layout::CMDLINE,
        rsdp_paddr: boot.rsdp.0,
        memmap_paddr: layout::PVH_MEMORY_MAP,
        memmap_entries: u32::try_from(map.len()).unwrap_or(0),
        ..Default::default()
    };
    put(memory, layout::PVH_START_INFO, info)
}

fn put<T: ByteValued>(
    memory: &GuestMemoryMmap<()>,
    address: u64,
    value: T,
) -> Result<(), BootError> {
    memory
        .write_obj(value, GuestAddress(address))
        .map_err(|_| BootError::Room("the start info"))
}
