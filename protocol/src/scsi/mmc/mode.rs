// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Mode pages of a drive (MMC-6, section 7, and MMC-3 for capabilities).

use core::mem::size_of;

use zerocopy::big_endian::U16;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The read/write error recovery page.
pub const ERROR_RECOVERY: u8 = 0x01;
/// The capabilities and mechanical status page. Since MMC-4, features say the
/// same; initiators still ask for it.
pub const CAPABILITIES: u8 = 0x2a;

/// The read/write error recovery page (MMC-6, section 7.3).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ErrorRecovery {
    /// PS (7) and PAGE CODE (5:0).
    pub page: u8,
    /// PAGE LENGTH.
    pub len: u8,
    /// Which recovery is done, and told of: zero for all, silently.
    pub flags: u8,
    /// READ RETRY COUNT, and what concerns writing.
    pub unused: [u8; 9],
}

const _: () = assert!(size_of::<ErrorRecovery>() == 12);

impl ErrorRecovery {
    /// The page of a drive that does what it can.
    pub const DEFAULT: Self = Self {
        page: ERROR_RECOVERY,
        len: 0x0a,
        flags: 0,
        unused: [0; 9],
    };
}

/// The capabilities and mechanical status page (MMC-3, section 6.3.11), up to
/// the current write speed.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Capabilities {
    /// PS (7) and PAGE CODE (5:0).
    pub page: u8,
    /// PAGE LENGTH.
    pub len: u8,
    /// What can be read: [`READS_DVD_ROM`] and recordable media.
    pub read: u8,
    /// What can be written.
    pub write: u8,
    /// [`MULTI_SESSION`], modes and audio.
    pub flags4: u8,
    /// Audio, bar codes and other data of a CD.
    pub flags5: u8,
    /// [`TRAY`], [`EJECT`], [`PREVENT_JUMPER`], [`LOCKED`], [`LOCK`].
    pub mechanism: u8,
    /// Volumes and changers.
    pub flags7: u8,
    /// Obsolete: maximum read speed, in kB/s.
    pub max_read_speed: U16,
    /// NUMBER OF VOLUME LEVELS SUPPORTED.
    pub volume_levels: U16,
    /// BUFFER SIZE SUPPORTED, in KiB.
    pub buffer_kib: U16,
    /// Obsolete: current read speed, in kB/s.
    pub read_speed: U16,
    /// Digital output.
    pub output: [u8; 2],
    /// Obsolete: write speeds.
    pub write_speeds: [U16; 2],
}

const _: () = assert!(size_of::<Capabilities>() == 22);

/// [`Capabilities::read`]: DVD-ROM.
pub const READS_DVD_ROM: u8 = 0x08;
/// [`Capabilities::flags4`]: discs with more than one session.
pub const MULTI_SESSION: u8 = 0x40;
/// [`Capabilities::mechanism`]: LOADING MECHANISM TYPE 1, a tray.
pub const TRAY: u8 = 1 << 5;
/// [`Capabilities::mechanism`]: START STOP UNIT ejects.
pub const EJECT: u8 = 0x08;
/// [`Capabilities::mechanism`]: there is no jumper that prevents removal.
pub const PREVENT_JUMPER: u8 = 0x04;
/// [`Capabilities::mechanism`]: the medium is locked in now.
pub const LOCKED: u8 = 0x02;
/// [`Capabilities::mechanism`]: PREVENT ALLOW MEDIUM REMOVAL locks it in.
pub const LOCK: u8 = 0x01;

/// The speed to report, of which an image has none: that of a 48x drive.
const SPEED: U16 = U16::new(48 * 176);

impl Capabilities {
    /// A drive with a tray that reads CD-ROM and DVD-ROM.
    pub const fn new(locked: bool) -> Self {
        let lock_state = if locked { LOCKED } else { 0 };
        Self {
            page: CAPABILITIES,
            len: 0x14,
            read: READS_DVD_ROM,
            write: 0,
            flags4: 0,
            flags5: 0,
            mechanism: TRAY | EJECT | PREVENT_JUMPER | LOCK | lock_state,
            flags7: 0,
            max_read_speed: SPEED,
            volume_levels: U16::ZERO,
            buffer_kib: U16::ZERO,
            read_speed: SPEED,
            output: [0; 2],
            write_speeds: [U16::ZERO; 2],
        }
    }
}
