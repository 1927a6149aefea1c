// SPDX-License-Identifier: GPL-2.0

//! Which driver a device is for.
//!
//! What root has said about a device (`driver_override`) comes first, then what root has said about
//! a driver (`new_id`), then the driver's own table. Offers of sockets are no devices in earnest;
//! the one driver that takes those takes them all.

use crate::sys::{
    locks::ADDED,
    Device,
    Driver,
    DriverId,
    Override, //
};
use core::str;
use kernel::prelude::*;
use protocol::vmbus::Guid;

/// Whether a driver is for a device.
pub(crate) fn matches(device: Device, driver: Driver) -> bool {
    if device.channel().is_socket() {
        return driver.takes_sockets();
    }
    id(device, driver).is_some()
}

/// By which of its ids a driver is for a device.
pub(crate) fn id(device: Device, driver: Driver) -> Option<DriverId> {
    let said = driver.told_of(device);
    if said == Override::Other {
        return None;
    }
    let class = device.class();
    let by_class = added(driver, class)
        .then(|| DriverId::new(class))
        .or_else(|| driver.table().find(|id| id.class() == class));
    // Who is told to take a device need not know it.
    by_class.or_else(|| (said == Override::This).then(DriverId::none))
}

/// Whether a class was added to a driver's.
fn added(driver: Driver, class: Guid) -> bool {
    ADDED.lock().contains(&(driver, class))
}

/// Something was written to the `new_id` of a driver: the devices of this class are its own, too.
pub(crate) fn new_id(driver: Driver, text: &[u8]) -> Result {
    let class = parse(text)?;
    let mut ids = ADDED.lock();
    if ids.contains(&(driver, class)) {
        return Err(EEXIST);
    }
    ids.push((driver, class), GFP_KERNEL)?;
    // Probing looks at the ids.
    drop(ids);
    driver.attach()
}

/// Something was written to the `remove_id` of a driver. Devices that it has remain its own.
pub(crate) fn remove_id(driver: Driver, text: &[u8]) -> Result {
    let class = parse(text)?;
    let mut ids = ADDED.lock();
    let before = ids.len();
    ids.retain(|id| *id != (driver, class));
    if ids.len() == before {
        return Err(ENODEV);
    }
    Ok(())
}

/// A driver goes, and what was added to it.
pub(crate) fn forget(driver: Driver) {
    let mut ids = ADDED.lock();
    ids.retain(|(one, _)| *one != driver);
    if ids.is_empty() {
        // The last driver leaves no memory behind.
        *ids = KVec::new();
    }
}

/// A GUID at the beginning of what was written, as the kernel reads one: without braces.
fn parse(text: &[u8]) -> Result<Guid> {
    let text = text.get(..36).and_then(|text| str::from_utf8(text).ok());
    text.and_then(Guid::parse).ok_or(EINVAL)
}
