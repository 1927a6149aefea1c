// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What happened to the medium: GET EVENT STATUS NOTIFICATION
//! (MMC-6, section 6.6).

use core::mem::size_of;

use zerocopy::big_endian::U16;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The media class, as a bit of what is asked for and of what is supported.
pub const MEDIA_CLASS_BIT: u8 = 1 << 4;

/// What the data starts with (MMC-6, table 273).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// EVENT DATA LENGTH: what follows it.
    pub data_len: U16,
    /// NEA (7), no event of what was asked for can be, and NOTIFICATION CLASS (2:0).
    pub class: u8,
    /// SUPPORTED EVENT CLASSES: a bit for each.
    pub supported: u8,
}

const _: () = assert!(size_of::<Header>() == 4);

impl Header {
    /// None of the classes that were asked for is supported.
    pub const NONE: Self = Self {
        data_len: U16::from_bytes([0, 2]),
        class: 0x80,
        supported: MEDIA_CLASS_BIT,
    };

    /// A [`MediaEvent`] follows.
    pub const MEDIA: Self = Self {
        data_len: U16::from_bytes([0, 6]),
        class: 4,
        supported: MEDIA_CLASS_BIT,
    };
}

/// What happened (MMC-6, table 287).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum MediaEventCode {
    /// Nothing since the last time.
    #[default]
    NoChange = 0,
    /// Somebody at the drive would like to have the medium.
    EjectRequest = 1,
    /// There is a medium, and was none.
    NewMedia = 2,
    /// There is none any more.
    MediaRemoval = 3,
}

/// An event of the media class (MMC-6, table 286).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct MediaEvent {
    /// EVENT CODE (3:0): see [`MediaEventCode`].
    pub event: u8,
    /// MEDIA STATUS: [`MEDIA_PRESENT`] and [`TRAY_OPEN`].
    pub status: u8,
    /// START SLOT and END SLOT of a changer.
    pub slots: [u8; 2],
}

const _: () = assert!(size_of::<MediaEvent>() == 4);

/// [`MediaEvent::status`]: there is a medium.
pub const MEDIA_PRESENT: u8 = 0x02;
/// [`MediaEvent::status`]: the tray is open.
pub const TRAY_OPEN: u8 = 0x01;
