// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The counters of all parts of a machine.

use std::sync::Arc;

use hospes_device::counters::Counted;
use serde_json::{json, Value};

use crate::balloon::BalloonDevice;
use crate::devices::Devices;
use crate::kvm::spaces::Spaces;
use crate::kvm::stats::Statistics;
use crate::kvm::vcpu::ExitCounters;
use crate::platform::serial::SerialPort;
use crate::vmware;

/// What has counters.
pub(super) struct Counters {
    /// By vCPU.
    pub(super) vcpus: Vec<Arc<ExitCounters>>,
    /// What KVM counts, of those vCPUs of which it does.
    pub(super) kvm: Vec<Statistics>,
    /// By device.
    pub(super) devices: Arc<Devices>,
    /// The serial line.
    pub(super) serial: Arc<SerialPort>,
    /// Accesses that nobody answered.
    pub(super) spaces: Arc<Spaces>,
    /// The balloon, if there is one.
    pub(super) balloon: Option<Arc<dyn BalloonDevice>>,
    /// Calls of a guest of VMware, if it is one.
    pub(super) vmware: Option<Arc<vmware::platform::Platform>>,
}

impl Counted for Counters {
    fn counters(&self) -> Value {
        let vcpus: Vec<_> = self
            .vcpus
            .iter()
            .map(|exits| serde_json::to_value(&**exits).unwrap_or_default())
            .collect();
        let kvm: Vec<_> = self.kvm.iter().map(Statistics::read).collect();
        let mut counters = json!({
            "exits": sum(&vcpus),
            "vcpus": vcpus,
            "kvm": sum(&kvm),
            "bus": {"memory": self.spaces.memory.counters(), "io": self.spaces.io.counters()},
            "serial": self.serial.counters(),
            "pci": self.devices.counters(),
        });
        if let (Some(map), Some(vmbus)) = (counters.as_object_mut(), self.devices.vmbus_counters())
        {
            map.insert("vmbus".to_owned(), vmbus);
        }
        if let (Some(map), Some(vmware)) = (counters.as_object_mut(), &self.vmware) {
            map.insert("backdoor".to_owned(), vmware.counters());
        }
        if let (Some(map), Some(balloon)) = (counters.as_object_mut(), &self.balloon) {
            map.insert("balloon".to_owned(), balloon.counters());
        }
        counters
    }
}

/// Adds up objects with the same keys.
fn sum(objects: &[Value]) -> Value {
    let mut total = serde_json::Map::new();
    for (key, value) in objects.iter().filter_map(Value::as_object).flatten() {
        let before = total.get(key).and_then(Value::as_u64).unwrap_or(0);
        let value = value.as_u64().unwrap_or(0);
        total.insert(key.clone(), before.saturating_add(value).into());
    }
    Value::Object(total)
}
