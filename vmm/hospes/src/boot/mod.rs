// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Loading a kernel the way firmware and boot loader would.
//!
//! An ELF `vmlinux` is entered through its PVH note ([`pvh`]), a `bzImage` at
//! its 64-bit entry ([`linux`]). The former boots faster: nothing has to be
//! decompressed.

mod linux;
mod pvh;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

use linux_loader::loader::{Cmdline, Elf, KernelLoader, PvhBootCapability};
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::kvm::state::Entry;
use crate::layout;

/// First bytes of an ELF file.
const ELF_MAGIC: [u8; 4] = *b"\x7fELF";

/// What a guest is booted with.
#[derive(Clone, Debug)]
pub struct Boot<'a> {
    /// The kernel: ELF with a PVH note, or bzImage.
    pub kernel: &'a Path,
    /// Initial ramdisk.
    pub initrd: Option<&'a Path>,
    /// Command line.
    pub cmdline: &'a str,
    /// Bytes of RAM.
    pub ram: u64,
    /// Where the ACPI tables begin.
    pub rsdp: GuestAddress,
}

/// Why a guest cannot be booted.
#[derive(Debug, Error)]
pub enum BootError {
    /// A file cannot be read.
    #[error("{what} {}: {error}", path.display())]
    File {
        /// `kernel` or `initrd`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The kernel has no format that is understood.
    #[error("kernel {}: {reason}", path.display())]
    Kernel {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to give instead.
        reason: String,
    },
    /// There is too little memory.
    #[error("memory: {0} does not fit into the guest's RAM; give it more")]
    Room(&'static str),
    /// The command line is too long or has a NUL.
    #[error("cmdline: {0}")]
    Cmdline(String),
}

/// An initial ramdisk in guest memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Initrd {
    address: u64,
    len: u64,
}

/// One range of the guest's memory map.
struct MapEntry {
    range: Range<u64>,
    usable: bool,
}

/// Loads everything and says where the first vCPU starts.
///
/// # Errors
///
/// [`BootError`] with the option that is to be changed.
pub fn load(memory: &GuestMemoryMmap<()>, boot: &Boot<'_>) -> Result<Entry, BootError> {
    let mut kernel = open("kernel", boot.kernel)?;
    load_cmdline(memory, boot.cmdline)?;
    let mut magic = [0; 4];
    kernel
        .read_exact(&mut magic)
        .map_err(file_error("kernel", boot.kernel))?;
    kernel.rewind().map_err(file_error("kernel", boot.kernel))?;
    if magic == ELF_MAGIC {
        load_elf(memory, boot, &mut kernel)
    } else {
        linux::load(memory, boot, &mut kernel)
    }
}

fn load_elf(
    memory: &GuestMemoryMmap<()>,
    boot: &Boot<'_>,
    kernel: &mut File,
) -> Result<Entry, BootError> {
    let high = Some(GuestAddress(layout::HIGH_RAM_START));
    let loaded = Elf::load(memory, None, kernel, high)
        .map_err(|error| kernel_error(boot, &format!("not loadable as ELF: {error}")))?;
    let PvhBootCapability::PvhEntryPresent(entry) = loaded.pvh_boot_cap else {
        return Err(kernel_error(
            boot,
            "an ELF file without a PVH entry; build the kernel with CONFIG_PVH=y or give its bzImage",
        ));
    };
    let initrd = load_initrd(memory, boot, loaded.kernel_end, u64::from(u32::MAX))?;
    pvh::write(memory, boot, initrd)?;
    Ok(Entry::Pvh { address: entry.0 })
}

fn kernel_error(boot: &Boot<'_>, reason: &str) -> BootError {
    BootError::Kernel {
        path: boot.kernel.to_owned(),
        reason: reason.to_owned(),
    }
}

fn file_error<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> BootError + 'a {
    move |error| BootError::File {
        what,
        path: path.to_owned(),
        error,
    }
}

fn open(what: &'static str, path: &Path) -> Result<File, BootError> {
    File::open(path).map_err(file_error(what, path))
}

fn load_cmdline(memory: &GuestMemoryMmap<()>, text: &str) -> Result<(), BootError> {
    let bad = |error: &dyn std::fmt::Display| BootError::Cmdline(error.to_string());
    let mut cmdline = Cmdline::new(layout::CMDLINE_MAX).map_err(|error| bad(&error))?;
    cmdline.insert_str(text).map_err(|error| bad(&error))?;
    linux_loader::loader::load_cmdline(memory, GuestAddress(layout::CMDLINE), &cmdline)
        .map_err(|error| bad(&error))
}

/// Loads the initial ramdisk at the end of low RAM, or below `limit`.
fn load_initrd(
    memory: &GuestMemoryMmap<()>,
    boot: &Boot<'_>,
    kernel_end: u64,
    limit: u64,
) -> Result<Initrd, BootError> {
    let Some(path) = boot.initrd else {
        return Ok(Initrd::default());
    };
    let mut file = open("initrd", path)?;
    let len = file.metadata().map_err(file_error("initrd", path))?.len();
    let low = layout::ram(boot.ram).first().map_or(0, |range| range.end);
    let end = low.min(limit.saturating_add(1));
    let address = end.checked_sub(len).map(|address| address & !0xfff);
    let address = address.filter(|address| *address >= kernel_end);
    let address = address.ok_or(BootError::Room("the initial ramdisk"))?;
    let count = usize::try_from(len).map_err(|_| BootError::Room("the initial ramdisk"))?;
    memory
        .read_exact_volatile_from(GuestAddress(address), &mut file, count)
        .map_err(|error| file_error("initrd", path)(io::Error::other(error.to_string())))?;
    Ok(Initrd { address, len })
}

/// The memory map, by address.
fn memory_map(ram: u64) -> Vec<MapEntry> {
    let entry = |range, usable| MapEntry { range, usable };
    let mut map = vec![
        entry(0..layout::LOW_RAM_END, true),
        entry(layout::LOW_RAM_END..layout::HIGH_RAM_START, false),
    ];
    for range in layout::ram(ram) {
        map.push(entry(
            range.start.max(layout::HIGH_RAM_START)..range.end,
            true,
        ));
    }
    let ecam = layout::ECAM..layout::ECAM.saturating_add(hospes_pci::root::ECAM_LEN);
    map.push(entry(ecam, false));
    map.sort_by_key(|entry| entry.range.start);
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use vmm_sys_util::tempfile::TempFile;

    fn file(content: &[u8]) -> TempFile {
        let file = TempFile::new().unwrap();
        file.as_file().write_all(content).unwrap();
        file
    }

    fn boot<'a>(kernel: &'a Path, initrd: Option<&'a Path>) -> Boot<'a> {
        Boot {
            kernel,
            initrd,
            cmdline: "a=b",
            ram: 16 << 20,
            rsdp: GuestAddress(0xe0000),
        }
    }

    #[test]
    fn the_initrd_goes_to_the_end_of_ram() {
        let memory = crate::memory::create(16 << 20).unwrap();
        let initrd = file(&[7; 5000]);
        let boot = boot(Path::new("/"), Some(initrd.as_path()));
        let loaded = load_initrd(&memory, &boot, 0, u64::MAX).unwrap();
        assert_eq!(
            loaded,
            Initrd {
                address: (16 << 20) - 0x2000,
                len: 5000
            }
        );
        let last = GuestAddress(loaded.address + 4999);
        assert_eq!(memory.read_obj::<u8>(last).unwrap(), 7);
        let full = load_initrd(&memory, &boot, 16 << 20, u64::MAX);
        assert!(matches!(full, Err(BootError::Room(_))));
    }

    #[test]
    fn what_is_no_kernel_is_said_so() {
        let memory = crate::memory::create(16 << 20).unwrap();
        for content in [&b"\x7fELF, not really"[..], &[0; 5000], b"#!/bin/sh\n"] {
            let kernel = file(content);
            let result = load(&memory, &boot(kernel.as_path(), None));
            assert!(
                matches!(result, Err(BootError::Kernel { .. })),
                "{result:?}"
            );
        }
        let missing = load(&memory, &boot(Path::new("/nonexistent"), None));
        assert_eq!(
            missing.unwrap_err().to_string(),
            "kernel /nonexistent: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn the_memory_map_is_sorted_and_disjoint() {
        for ram in [16u64 << 20, 3 << 30, 5 << 30] {
            let map = memory_map(ram);
            for pair in map.windows(2) {
                assert!(pair[0].range.end <= pair[1].range.start);
            }
            let usable = map.iter().filter(|entry| entry.usable);
            let sum: u64 = usable
                .map(|entry| entry.range.end - entry.range.start)
                .sum();
            assert_eq!(sum, ram - (layout::HIGH_RAM_START - layout::LOW_RAM_END));
        }
    }
}
