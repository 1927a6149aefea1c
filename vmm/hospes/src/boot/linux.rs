// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The 64-bit Linux boot protocol, for `bzImage` files.

use std::fs::File;

use linux_loader::loader::bootparam::{boot_e820_entry, boot_params};
use linux_loader::loader::{BzImage, KernelLoader};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::{kernel_error, load_initrd, memory_map, Boot, BootError};
use crate::kvm::state::Entry;
use crate::layout;

/// Offset of the 64-bit entry from the start of the loaded kernel.
const ENTRY_64: u64 = 0x200;

/// `xloadflags`: there is a 64-bit entry.
const XLF_KERNEL_64: u16 = 1 << 0;

/// `type_of_loader`: one without an assigned number.
const LOADER_UNDEFINED: u8 = 0xff;

/// E820 types.
const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;

/// Loads a bzImage, its ramdisk and the boot parameters.
pub fn load(
    memory: &GuestMemoryMmap<()>,
    boot: &Boot<'_>,
    kernel: &mut File,
) -> Result<Entry, BootError> {
    let high = Some(GuestAddress(layout::HIGH_RAM_START));
    let loaded = BzImage::load(memory, None, kernel, high).map_err(|error| {
        kernel_error(
            boot,
            &format!("neither an ELF kernel nor a bzImage: {error}"),
        )
    })?;
    let header = loaded.setup_header.unwrap_or_default();
    if header.xloadflags & XLF_KERNEL_64 == 0 {
        return Err(kernel_error(boot, "a bzImage without a 64-bit entry"));
    }
    // The kernel unpacks itself into the memory behind it.
    let start = loaded.kernel_load.0;
    let end = start
        .saturating_add(u64::from(header.init_size))
        .max(loaded.kernel_end);
    let initrd = load_initrd(memory, boot, end, u64::from(header.initrd_addr_max))?;
    let mut params = boot_params {
        hdr: header,
        ..Default::default()
    };
    params.hdr.type_of_loader = LOADER_UNDEFINED;
    params.hdr.cmd_line_ptr = layout::CMDLINE as u32;
    params.hdr.cmdline_size = u32::try_from(boot.cmdline.len()).unwrap_or(u32::MAX);
    // Ramdisks end below 4 GiB, so both fit.
    params.hdr.ramdisk_image = initrd.address as u32;
    params.hdr.ramdisk_size = initrd.len as u32;
    params.acpi_rsdp_addr = boot.rsdp.0;
    fill_map(&mut params, boot.ram);
    memory
        .write_obj(params, GuestAddress(layout::BOOT_PARAMS))
        .map_err(|_| BootError::Room("the boot parameters"))?;
    Ok(Entry::Linux64 {
        address: start.saturating_add(ENTRY_64),
    })
}

fn fill_map(params: &mut boot_params, ram: u64) {
    let map = memory_map(ram);
    for (entry, slot) in map.iter().zip(params.e820_table.iter_mut()) {
        *slot = boot_e820_entry {
            addr: entry.range.start,
            size: entry.range.end.saturating_sub(entry.range.start),
            r#type: if entry.usable {
                E820_RAM
            } else {
                E820_RESERVED
            },
        };
    }
    params.e820_entries = u8::try_from(map.len()).unwrap_or(0);
}
