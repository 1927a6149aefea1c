// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Bodies of channel messages (`struct vmbus_channel_*` of `include/linux/hyperv.h`).

use zerocopy::little_endian::{U16, U32, U64};

use crate::hyperv::wire::wire;
use crate::vmbus::{Guid, Version, USER_DATA_SIZE};

/// `status` of a request that was done. Any other value is a failure.
pub const STATUS_SUCCESS: u32 = 0;

/// Flag of an offer: a device that the guest is to enumerate.
pub const OFFER_ENUMERATE: u16 = 0x0001;
/// Flag of an offer: its rings are in memory that the host cannot read.
pub const OFFER_CONFIDENTIAL_RING: u16 = 0x0002;
/// Flag of an offer: so is all that its packets name.
pub const OFFER_CONFIDENTIAL_MEMORY: u16 = 0x0004;
/// Flag of an offer: a pipe. The first word of the user data is its mode.
pub const OFFER_NAMED_PIPE: u16 = 0x0010;
/// Flag of an offer: it is the guest's own.
pub const OFFER_LOOPBACK: u16 = 0x0100;
/// Flag of an offer: it is the host's.
pub const OFFER_PARENT: u16 = 0x0200;
/// Flag of an offer: signals go by a monitor page.
pub const OFFER_MONITORED: u16 = 0x0400;
/// Flag of an offer: a Hyper-V socket.
pub const OFFER_SOCKET: u16 = 0x2000;

/// Mode of a pipe: bytes.
pub const PIPE_BYTES: u32 = 0;
/// Mode of a pipe: messages.
pub const PIPE_MESSAGES: u32 = 4;

/// Bit of [`Offer::monitor_allocated`].
pub const MONITOR_ALLOCATED: u8 = 1;
/// Bit of [`Offer::dedicated_interrupt`].
pub const DEDICATED_INTERRUPT: u16 = 1;

/// Feature flag of version 6.0: encrypted rings and encrypted memory.
pub const FEATURE_CONFIDENTIAL_CHANNELS: u32 = 0x10;

wire! {
    /// A channel, as the host offers it.
    pub struct Offer: 188 {
        /// Class of the device, of [`crate::vmbus::class`].
        pub class: Guid,
        /// Which device of its class.
        pub instance: Guid,
        /// Unused.
        pub reserved: [U64; 2],
        /// `OFFER_…`.
        pub flags: U16,
        /// Room for registers that the device wants, in megabytes.
        pub mmio_megabytes: U16,
        /// What the device has to say, or a pipe's mode and what it has to say.
        pub user_data: [u8; USER_DATA_SIZE],
        /// 0, or which sub-channel of the device this is.
        pub sub_channel_index: U16,
        /// Unused.
        pub reserved2: U16,
        /// The channel's number, by which all else refers to it.
        pub relid: U32,
        /// Which bit of the monitor pages.
        pub monitor_id: u8,
        /// [`MONITOR_ALLOCATED`] if `monitor_id` means anything.
        pub monitor_allocated: u8,
        /// [`DEDICATED_INTERRUPT`]: a signal is the hypercall and no bit in the interrupt page.
        pub dedicated_interrupt: U16,
        /// What to signal.
        pub connection_id: U32,
    }
}

impl Offer {
    /// An offer as hosts make it today: a device to enumerate, with a connection of its own.
    pub fn new(class: Guid, instance: Guid, relid: u32, connection_id: u32) -> Self {
        Self {
            class,
            instance,
            reserved: [U64::ZERO; 2],
            flags: U16::new(OFFER_ENUMERATE),
            mmio_megabytes: U16::ZERO,
            user_data: [0; USER_DATA_SIZE],
            sub_channel_index: U16::ZERO,
            reserved2: U16::ZERO,
            relid: U32::new(relid),
            monitor_id: 0,
            monitor_allocated: 0,
            dedicated_interrupt: U16::new(DEDICATED_INTERRUPT),
            connection_id: U32::new(connection_id),
        }
    }

    /// Whether the device's first channel is another one.
    pub fn is_sub_channel(&self) -> bool {
        self.sub_channel_index.get() != 0
    }

    /// Whether it is a Hyper-V socket.
    pub fn is_socket(&self) -> bool {
        self.flags.get() & OFFER_SOCKET != 0
    }

    /// Whether a signal is the hypercall alone.
    pub fn has_dedicated_interrupt(&self) -> bool {
        self.dedicated_interrupt.get() & DEDICATED_INTERRUPT != 0
    }

    /// The bit of the monitor pages that is this channel's, if it has one.
    pub fn monitor(&self) -> Option<u8> {
        (self.monitor_allocated & MONITOR_ALLOCATED != 0).then_some(self.monitor_id)
    }

    /// The mode of a pipe, if it is one.
    pub fn pipe_mode(&self) -> Option<u32> {
        let mode = self.user_data.first_chunk()?;
        (self.flags.get() & OFFER_NAMED_PIPE != 0).then(|| u32::from_le_bytes(*mode))
    }
}

wire! {
    /// A channel and nothing else: rescind, close, released.
    pub struct ChannelRelid: 4 {
        /// The channel.
        pub relid: U32,
    }
}

wire! {
    /// What a channel is opened with.
    pub struct Open: 140 {
        /// The channel.
        pub relid: U32,
        /// Anything; comes back in the result. Linux uses the relid.
        pub open_id: U32,
        /// The memory of both rings, the one to the host first.
        pub ring_gpadl: U32,
        /// The virtual processor to interrupt.
        pub target_vp: U32,
        /// The page of that memory with which the ring to the guest begins.
        pub downstream_page: U32,
        /// What the driver has to say to the device.
        pub user_data: [u8; USER_DATA_SIZE],
    }
}

wire! {
    /// Whether a channel is open.
    pub struct OpenResult: 12 {
        /// The channel.
        pub relid: U32,
        /// As in the request.
        pub open_id: U32,
        /// [`STATUS_SUCCESS`] if it is.
        pub status: U32,
    }
}

wire! {
    /// The beginning of a GPADL. The range list follows.
    pub struct GpadlHeader: 12 {
        /// The channel that the memory is for.
        pub relid: U32,
        /// The handle that the guest has chosen for it.
        pub gpadl: U32,
        /// Length of the whole range list in bytes, or as much of that as 16 bits hold.
        pub range_len: U16,
        /// Number of ranges.
        pub range_count: U16,
    }
}

wire! {
    /// The rest of a GPADL, or a part. More of the range list follows.
    pub struct GpadlBody: 8 {
        /// Meant to count messages; Linux leaves it at 0 in each of them.
        pub number: U32,
        /// The handle.
        pub gpadl: U32,
    }
}

wire! {
    /// Whether a GPADL is taken.
    pub struct GpadlCreated: 12 {
        /// The channel.
        pub relid: U32,
        /// The handle.
        pub gpadl: U32,
        /// [`STATUS_SUCCESS`] if it is.
        pub status: U32,
    }
}

wire! {
    /// A GPADL that is to be forgotten.
    pub struct GpadlTeardown: 8 {
        /// The channel.
        pub relid: U32,
        /// The handle.
        pub gpadl: U32,
    }
}

wire! {
    /// A GPADL that is forgotten.
    pub struct GpadlTorndown: 4 {
        /// The handle.
        pub gpadl: U32,
    }
}

wire! {
    /// The first message.
    pub struct InitiateContact: 32 {
        /// The version that the guest wants to speak.
        pub version: U32,
        /// The virtual processor that messages are to go to.
        pub target_vp: U32,
        /// From version 5.0 on a [`MessageTarget`], before that the interrupt page's address.
        pub target: U64,
        /// Address of the monitor page that the host writes.
        pub monitor_page1: U64,
        /// Address of the monitor page that the guest writes.
        pub monitor_page2: U64,
    }
}

wire! {
    /// Where messages go to, from version 5.0 on.
    pub struct MessageTarget: 8 {
        /// The interrupt source; 2 in Linux, as before.
        pub sint: u8,
        /// The virtual trust level.
        pub vtl: u8,
        /// Zero.
        pub reserved: U16,
        /// From version 6.0 on: `FEATURE_…`.
        pub features: U32,
    }
}

impl InitiateContact {
    /// The version that the guest wants to speak.
    pub fn version(&self) -> Version {
        Version(self.version.get())
    }

    /// Where messages go to, if the version is new enough to say.
    pub fn message_target(&self) -> Option<MessageTarget> {
        self.version()
            .has_message_connection()
            .then(|| zerocopy::transmute!(self.target))
    }

    /// Address of the interrupt page, in versions that have one: the first half is written by
    /// the host, the second by the guest, a bit a channel.
    pub fn interrupt_page(&self) -> Option<u64> {
        (!self.version().has_message_connection()).then(|| self.target.get())
    }
}

wire! {
    /// Whether the host speaks a version.
    pub struct VersionResponse: 8 {
        /// 0 if not.
        pub supported: u8,
        /// 0 if all is well.
        pub connection_state: u8,
        /// Zero.
        pub padding: U16,
        /// From version 5.0 on: the connection that all other messages go to.
        pub connection_id: U32,
    }
}

impl VersionResponse {
    /// Yes, and messages go to this connection from now on.
    pub const fn accept(connection_id: u32) -> Self {
        Self {
            supported: 1,
            connection_state: 0,
            padding: U16::ZERO,
            connection_id: U32::new(connection_id),
        }
    }

    /// No; the guest may ask for another version.
    pub const REFUSE: Self = Self {
        supported: 0,
        connection_state: 0,
        padding: U16::ZERO,
        connection_id: U32::ZERO,
    };
}

wire! {
    /// A Hyper-V socket to connect.
    pub struct TlConnectRequest: 32 {
        /// The guest's end.
        pub endpoint: Guid,
        /// The service of the host.
        pub service: Guid,
    }
}

wire! {
    /// A channel and the virtual processor that it is to interrupt from now on.
    pub struct ModifyChannel: 8 {
        /// The channel.
        pub relid: U32,
        /// The virtual processor.
        pub target_vp: U32,
    }
}

wire! {
    /// Whether a channel has been moved.
    pub struct ModifyChannelResponse: 8 {
        /// The channel.
        pub relid: U32,
        /// [`STATUS_SUCCESS`] if it has.
        pub status: U32,
    }
}
