// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a disk can be asked to be, and why it may not be one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::identify::hash;
use super::ProtectionType;

/// The length of a logical block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockSize {
    /// 512 bytes, eight of them in a physical block.
    #[default]
    B512,
    /// 4096 bytes.
    B4096,
}

impl BlockSize {
    /// The length in bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }
}

/// What a disk is to be.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// The raw file or block device.
    pub path: PathBuf,
    /// Refuse to write.
    pub read_only: bool,
    /// The length of a logical block.
    pub block_size: BlockSize,
    /// The serial number: up to [`MAX_SERIAL_LEN`] printable ASCII characters.
    /// If it is empty, one is made of the path.
    pub serial: String,
    /// How long every command takes at least.
    pub latency: Duration,
    /// Let the guest deallocate blocks, if the file system can do that.
    pub thin: bool,
    /// Keep protection information (T10-PI).
    pub protection: ProtectionType,
    /// Where; if nothing is said, in the file `PATH.pi`.
    pub protection_path: Option<PathBuf>,
}

/// The longest serial number.
pub const MAX_SERIAL_LEN: usize = 36;

impl DiskConfig {
    /// A disk that can be written to, with 512-byte blocks and no latency.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            read_only: false,
            block_size: BlockSize::default(),
            serial: String::new(),
            latency: Duration::ZERO,
            thin: true,
            protection: ProtectionType::None,
            protection_path: None,
        }
    }
}

/// Why there is no disk.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The file cannot be used.
    #[error("cannot open {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file has no complete block.
    #[error("{path} is {len} bytes long, which is less than a block of {block_len}")]
    TooSmall {
        /// Which file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// That of a block.
        block_len: u32,
    },
    /// The serial number cannot be reported.
    #[error("the serial number {0:?} is not up to {MAX_SERIAL_LEN} printable ASCII characters")]
    Serial(String),
}

/// The serial number that a configuration asks for.
pub(super) fn serial_of(config: &DiskConfig) -> Result<String, DiskError> {
    let serial = &config.serial;
    let is_fine =
        serial.len() <= MAX_SERIAL_LEN && serial.bytes().all(|c| (b' '..=b'~').contains(&c));
    match is_fine {
        true if serial.is_empty() => Ok(serial_of_path(&config.path)),
        true => Ok(serial.clone()),
        false => Err(DiskError::Serial(serial.clone())),
    }
}

/// The serial number that a disk on a file has if it is given none: the same
/// for the same file, 16 characters long.
pub fn serial_of_path(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    format!("{:016x}", hash(path.as_os_str().as_encoded_bytes()))
}
