// SPDX-License-Identifier: GPL-2.0

//! Agreeing on a version with the host.

use super::{
    waiters::{
        Answer,
        Key, //
    },
    Bus, //
};
use crate::sys::interrupt::SOURCE;
use core::sync::atomic::Ordering;
use guest::hyperv::platform;
use kernel::{
    fmt,
    prelude::*, //
};
use protocol::{
    hyperv::hypercall::{
        CONNECTION_MESSAGE,
        CONNECTION_MESSAGE_4,
        CONNECTION_MESSAGE_REDIRECT, //
    },
    vmbus::{
        message::{
            body::{
                MessageTarget,
                FEATURE_CONFIDENTIAL_CHANNELS, //
            },
            InitiateContact,
            Message, //
        },
        Version, //
    }, //
};
use zerocopy::little_endian::{
    U16,
    U32,
    U64, //
};

/// The oldest version that is asked for.
const OLDEST: Version = Version::V4_0;
/// The oldest version for a guest whose memory is isolated.
const OLDEST_ISOLATED: Version = Version::V5_2;
/// How long the host may take to say whether it speaks a version.
const ANSWER_MS: u32 = 60_000;
/// The trust level whose messages are redirected.
const REDIRECTED_LEVEL: u8 = 2;
/// The processor that messages go to.
pub(super) const CONNECT_CPU: u32 = 0;

/// A version as the kernel prints it.
fn shown(version: Version) -> impl fmt::Display {
    let (major, minor) = version.parts();
    Shown(major, minor)
}

struct Shown(u16, u16);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{}.{}", self.0, self.1))
    }
}

impl Bus {
    /// Asks for one version after the other until the host speaks one. Sleeps.
    ///
    /// # Errors
    ///
    /// `EDOM` if there is none, `ETIMEDOUT` if the host does not answer, `EINVAL` if the version is
    /// too old for an isolated guest.
    pub(super) fn connect(&self) -> Result {
        let newest = Version(crate::parameters::max_version.get());
        for version in Version::to_try(newest, OLDEST) {
            match self.negotiate(version) {
                Ok(()) => return self.accept(version),
                Err(error) if error == ETIMEDOUT => {
                    pr_err!(
                        "the host does not answer when asked for version {}\n",
                        shown(version)
                    );
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        pr_err!(
            "Hyper-V host does not support VMBus version {} or higher\n",
            shown(OLDEST)
        );
        Err(EDOM)
    }

    fn accept(&self, version: Version) -> Result {
        if platform::is_isolated() && version < OLDEST_ISOLATED {
            pr_err!(
                "version {} is too old for a host that isolates guests\n",
                shown(version)
            );
            super::unload(false);
            return Err(EINVAL);
        }
        crate::sys::set_version(Some(version));
        pr_info!("Vmbus version:{}\n", shown(version));
        Ok(())
    }

    /// Asks for one version. Sleeps.
    ///
    /// # Errors
    ///
    /// `ECONNREFUSED` if the host does not speak it, `ETIMEDOUT`, or why it could not be asked.
    pub(super) fn negotiate(&self, version: Version) -> Result {
        if !version.has_message_connection() {
            return self.contact(version, CONNECTION_MESSAGE);
        }
        if platform::trust_level() == REDIRECTED_LEVEL {
            match self.contact(version, CONNECTION_MESSAGE_REDIRECT) {
                Err(error) if error == ENXIO => {}
                result => return result,
            }
        }
        self.contact(version, CONNECTION_MESSAGE_4)
    }

    fn contact(&self, version: Version, connection: u32) -> Result {
        self.connection.store(connection, Ordering::Release);
        let message = self.first_message(version);
        let answer = self.ask(Key::Version, None, Some(ANSWER_MS), || {
            self.post(&Message::InitiateContact(&message))
        })?;
        let Answer::Version {
            is_supported: true,
            connection,
        } = answer
        else {
            return Err(ECONNREFUSED);
        };
        if version.has_message_connection() {
            self.connection.store(connection, Ordering::Release);
        }
        self.connected.store(true, Ordering::Release);
        Ok(())
    }

    fn first_message(&self, version: Version) -> InitiateContact {
        let [to_guest, to_host] = &self.pages.monitors;
        let shared = |address| U64::new(address | platform::shared_address_bit());
        InitiateContact {
            version: U32::new(version.0),
            target_vp: U32::new(platform::virtual_processor(CONNECT_CPU)),
            target: if version.has_message_connection() {
                zerocopy::transmute!(self.message_target(version))
            } else {
                U64::new(self.pages.interrupts.physical())
            },
            monitor_page1: shared(to_guest.physical()),
            monitor_page2: shared(to_host.physical()),
        }
    }

    fn message_target(&self, version: Version) -> MessageTarget {
        let is_confidential = self.confidential && version >= Version::V6_0;
        MessageTarget {
            sint: SOURCE,
            vtl: platform::trust_level(),
            reserved: U16::ZERO,
            features: U32::new(if is_confidential {
                FEATURE_CONFIDENTIAL_CHANNELS
            } else {
                0
            }),
        }
    }
}
