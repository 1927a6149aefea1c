// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a user can do with a machine's balloon, whichever protocol its guest knows.

use hospes_device::counters::Counted;

use crate::storage::fault::Faulty;

pub use hospes_device::balloon::Status;

/// Its name among devices.
pub const ID: &str = "balloon";

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
