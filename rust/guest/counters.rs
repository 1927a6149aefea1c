// SPDX-License-Identifier: GPL-2.0

//! What the queues of a device have done, in debugfs.
//!
//! Each queue counts for itself, under the lock that it holds anyway; what is here only reads.

use crate::virtio::Counts;
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    fmt,
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// What has queues that count.
pub trait Counted: Send + Sync + 'static {
    /// The name and the counts of the queue with this index, if there is one.
    fn counts(&self, index: usize) -> Option<(&'static str, Counts)>;
}

/// A directory `DRIVER-DEVICE` in debugfs with one file, `queues`: a table with a line a queue.
/// Dropping it removes them. On a kernel without debugfs there is nothing.
#[pin_data]
pub struct Counters<T: Counted> {
    #[pin]
    file: File<Arc<T>>,
}

impl<T: Counted> Counters<T> {
    /// The counters of `counted`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(driver: &CStr, device: &CStr, counted: Arc<T>) -> Result<Pin<KBox<Self>>> {
        let name = CString::try_from_fmt(fmt!("{driver}-{device}"))?;
        let directory = Dir::new(&name);
        KBox::pin_init(
            pin_init!(Self {
                file <- directory.read_callback_file(c"queues", counted, &write::<T>),
            }),
            GFP_KERNEL,
        )
    }
}

fn write<T: Counted>(counted: &Arc<T>, to: &mut fmt::Formatter<'_>) -> fmt::Result {
    to.write_str("queue name submitted completed kicks busy\n")?;
    let mut index = 0usize;
    while let Some((name, counts)) = counted.counts(index) {
        let Counts {
            submitted,
            completed,
            kicks,
            busy,
        } = counts;
        writeln!(to, "{index} {name} {submitted} {completed} {kicks} {busy}")?;
        index = index.wrapping_add(1);
    }
    Ok(())
}
