// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What devices do wrong when they are told to. What there is depends on the
//! kind of device, so a fault is a JSON object up to here.

use hospes_device::fault::{Fault, FaultError, FaultStatus, Kind};
use hospes_pvscsi::Pvscsi;
use hospes_virtio::scsi::ScsiHost;
use hospes_vmbus::server::fault::FaultKind as BusFaultKind;
use hospes_vmbus::storvsp::Storvsp;
use hospes_vmbus::VmBus;
use hospes_vmware::balloon::Port;
use serde_json::{Map, Value};

use crate::config::ScsiKind;
use crate::refusal::Refusal;

/// A controller that can be told to do something wrong.
pub trait Faulty {
    /// Has it do that; the result names the fault.
    ///
    /// # Errors
    ///
    /// A text that names the key.
    fn inject(&self, fault: Map<String, Value>) -> Result<u64, String>;
    /// What it does wrong.
    fn faults(&self) -> Vec<Value>;
    /// Has it do one thing right again; false if there is no such fault.
    fn clear_fault(&self, id: u64) -> bool;
    /// Has it do everything right again.
    fn clear_faults(&self);
}

/// Says whether a controller of this kind can do that.
///
/// # Errors
///
/// A text that names the key.
pub fn check(kind: ScsiKind, fault: &Map<String, Value>) -> Result<(), String> {
    match kind {
        ScsiKind::Virtio => parse::<hospes_virtio::fault::FaultKind>(fault.clone()).map(drop),
        ScsiKind::Vmbus => {
            parse::<hospes_vmbus::storvsp::fault::FaultKind>(fault.clone()).map(drop)
        }
        ScsiKind::Pvscsi => parse::<hospes_pvscsi::fault::FaultKind>(fault.clone()).map(drop),
    }
}

/// The same of VMBus itself.
///
/// # Errors
///
/// A text that names the key.
pub fn check_bus(fault: &Map<String, Value>) -> Result<(), String> {
    parse::<BusFaultKind>(fault.clone()).map(drop)
}

pub(crate) fn parse<K: Kind>(fault: Map<String, Value>) -> Result<Fault<K>, String> {
    serde_json::from_value(Value::Object(fault)).map_err(|error| error.to_string())
}

fn inject<K: Kind>(
    fault: Map<String, Value>,
    inject: impl FnOnce(Fault<K>) -> Result<u64, FaultError>,
) -> Result<u64, String> {
    inject(parse(fault)?).map_err(|error| error.to_string())
}

fn list<K: Kind>(faults: Vec<FaultStatus<K>>) -> Vec<Value> {
    let value = |fault| serde_json::to_value(fault).ok();
    faults.into_iter().filter_map(value).collect()
}

/// Devices whose faults are of a type of their own, and called alike.
macro_rules! faulty {
    ($($device:ty),+) => {$(
        impl Faulty for $device {
            fn inject(&self, fault: Map<String, Value>) -> Result<u64, String> {
                inject(fault, |fault| <$device>::inject(self, fault))
            }

            fn faults(&self) -> Vec<Value> {
                list(<$device>::faults(self))
            }

            fn clear_fault(&self, id: u64) -> bool {
                <$device>::clear_fault(self, id)
            }

            fn clear_faults(&self) {
                <$device>::clear_faults(self);
            }
        }
    )+};
}

faulty!(ScsiHost, Storvsp, VmBus, Pvscsi, Port);

/// Has a device do one thing right again, or everything.
///
/// # Errors
///
/// A [`Refusal`] if there is no such fault.
pub fn clear(faulty: &(impl Faulty + ?Sized), id: Option<u64>) -> Result<(), Refusal> {
    match id {
        None => faulty.clear_faults(),
        Some(id) if faulty.clear_fault(id) => {}
        Some(id) => return Err(Refusal::unknown(format!("there is no fault {id}"))),
    }
    Ok(())
}
