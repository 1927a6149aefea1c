// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a user can do with a machine's balloon, whichever protocol its guest knows.

use hospes_device::counters::Counted;
use serde::Serialize;
use serde_json::Value;

use crate::storage::fault::Faulty;

/// Its name among devices.
pub const ID: &str = "balloon";

/// How a balloon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The protocol.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What is wanted in it, in bytes.
    pub target: u64,
    /// What is in it, in bytes.
    pub current: u64,
    /// Bytes of the machine's memory.
    pub memory: u64,
    /// Whatever else there is to say of the protocol and its guest.
    #[serde(flatten)]
    pub guest: Value,
}

/// A balloon.
pub trait BalloonDevice: Faulty + Counted + Send + Sync {
    /// How it is.
    fn status(&self) -> Status;
    /// Sets what is wanted in it, in bytes, and tells the guest, if it can be told.
    ///
    /// # Errors
    ///
    /// A text that names the key, if there is not that much memory.
    fn set_target(&self, bytes: u64) -> Result<(), String>;
}
