// SPDX-License-Identifier: GPL-2.0 OR MIT

//! PCI hot-plug as ACPI has it: registers, and the methods that use them.
//!
//! | offset | size | register |
//! |---|---|---|
//! | 0 | 4 | slots with something new in them; reading clears it |
//! | 4 | 4 | slots that the user wants back; reading clears it |
//! | 8 | 4 | writing a slot's bit: the guest is done with it |
//!
//! Bit N is device number N of bus 0. Bit 0 of the first register, where the
//! host bridge is, asks for a look at all slots: something went away without
//! being asked for.
//!
//! A change raises general purpose event [`EVENT`]; its method reads both
//! registers and notifies the slots. That is all the guest needs: a slot's
//! `_EJ0` writes the third register, and whether there is anything in a slot is
//! read from configuration space.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use acpi_tables::aml::{
    And, Device, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, If, Local,
    Method, Name, Notify, OpRegion, OpRegionSpace, Path, Scope, Store, Zero,
};
use acpi_tables::Aml;
use hospes_device::bus::BusDevice;

use crate::acpi::bytes;
use crate::layout;
use crate::platform::power::Power;

/// Ports that the registers take.
pub const LEN: u64 = 16;

/// The general purpose event of all slots.
pub const EVENT: u8 = 1;

/// Device numbers that are slots: all but the host bridge's.
pub const SLOTS: std::ops::Range<u8> = 1..32;

/// Offsets of the registers.
const INSERTED: u64 = 0;
const WANTED: u64 = 4;
const EJECTED: u64 = 8;

/// Bit of [`INSERTED`] for the bus as a whole.
const WHOLE_BUS: u32 = 1;

/// Values of Notify (ACPI 6.5, section 5.6.6).
const NOTIFY_BUS_CHECK: u8 = 0;
const NOTIFY_DEVICE_CHECK: u8 = 1;
const NOTIFY_EJECT_REQUEST: u8 = 3;

/// Who takes a device out of its slot.
pub trait Eject: Send + Sync {
    /// The guest is done with the device in slot `device`.
    fn eject(&self, device: u8);
}

/// The registers.
pub struct Slots {
    inserted: AtomicU32,
    wanted: AtomicU32,
    power: Arc<Power>,
    ejector: OnceLock<Weak<dyn Eject>>,
}

impl Slots {
    /// Registers that raise their event through `power`.
    pub fn new(power: Arc<Power>) -> Self {
        Self {
            inserted: AtomicU32::new(0),
            wanted: AtomicU32::new(0),
            power,
            ejector: OnceLock::new(),
        }
    }

    /// Sets who ejects; the first one stays.
    pub fn connect(&self, ejector: Weak<dyn Eject>) {
        if self.ejector.set(ejector).is_err() {
            tracing::error!("the PCI slots have somebody who ejects already");
        }
    }

    /// Tells the guest that there is something new in slot `device`.
    pub fn inserted(&self, device: u8) {
        self.raise(&self.inserted, bit(device));
    }

    /// Asks the guest to be done with slot `device`.
    pub fn request_eject(&self, device: u8) {
        self.raise(&self.wanted, bit(device));
    }

    /// Tells the guest that something is gone.
    pub fn vanished(&self) {
        self.raise(&self.inserted, WHOLE_BUS);
    }

    fn raise(&self, register: &AtomicU32, bits: u32) {
        register.fetch_or(bits, Ordering::SeqCst);
        self.power.raise(EVENT);
    }

    fn eject(&self, bits: u32) {
        let Some(ejector) = self.ejector.get().and_then(Weak::upgrade) else {
            return;
        };
        for device in SLOTS.filter(|device| bits & bit(*device) != 0) {
            // What the guest has done with needs no request any more.
            self.wanted.fetch_and(!bit(device), Ordering::SeqCst);
            ejector.eject(device);
        }
    }
}

fn bit(device: u8) -> u32 {
    1u32.checked_shl(u32::from(device)).unwrap_or(0)
}

impl BusDevice for Slots {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let Ok(data) = <&mut [u8; 4]>::try_from(data) else {
            return;
        };
        *data = match offset {
            INSERTED => self.inserted.swap(0, Ordering::SeqCst),
            WANTED => self.wanted.swap(0, Ordering::SeqCst),
            _ => 0,
        }
        .to_le_bytes();
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if let (EJECTED, Ok(data)) = (offset, <[u8; 4]>::try_from(data)) {
            self.eject(u32::from_le_bytes(data));
        }
    }
}

/// Name of a slot's device in the namespace.
fn name(device: u8) -> String {
    format!("SL{device:02X}")
}

/// The slots and their event, as part of the DSDT.
pub fn methods() -> Vec<u8> {
    let mut aml = registers();
    for device in SLOTS {
        aml.extend(slot(device));
    }
    aml.extend(self::scan());
    let name = format!("_E{EVENT:02X}");
    let scan = Path::new("\\_SB_.PCI0.SCAN");
    let handler = Method::new(name.as_str().into(), 0, false, vec![&scan]);
    aml.extend(bytes(&Scope::new("\\_GPE".into(), vec![&handler])));
    aml
}

/// The registers as fields of the host bridge.
fn registers() -> Vec<u8> {
    let port = layout::HOTPLUG_PORT as u32;
    let len = LEN as u32;
    let region = OpRegion::new("HPRG".into(), OpRegionSpace::SystemIO, &port, &len);
    let fields = [*b"INST", *b"WANT", *b"EJCT"].map(|name| FieldEntry::Named(name, 32));
    let fields = Field::new(
        "HPRG".into(),
        FieldAccessType::DWord,
        FieldLockRule::NoLock,
        FieldUpdateRule::WriteAsZeroes,
        fields.to_vec(),
    );
    bytes(&Scope::new("\\_SB_.PCI0".into(), vec![&region, &fields]))
}

fn slot(device: u8) -> Vec<u8> {
    let address = Name::new("_ADR".into(), &(u32::from(device) << 16));
    let number = Name::new("_SUN".into(), &device);
    let target = Path::new("\\_SB_.PCI0.EJCT");
    let mask = bit(device);
    let store = Store::new(&target, &mask);
    let eject = Method::new("_EJ0".into(), 1, true, vec![&store]);
    let slot = Device::new(
        name(device).as_str().into(),
        vec![&address, &number, &eject],
    );
    bytes(&Scope::new("\\_SB_.PCI0".into(), vec![&slot]))
}

/// The method that reads the registers and notifies.
fn scan() -> Vec<u8> {
    let (inserted, wanted) = (Local(0), Local(1));
    let read_inserted = Store::new(&inserted, &Path::new("INST")).to_bytes();
    let read_wanted = Store::new(&wanted, &Path::new("WANT")).to_bytes();
    let mut body = vec![read_inserted, read_wanted];
    body.push(notify_if(
        &inserted,
        WHOLE_BUS,
        "\\_SB_.PCI0",
        NOTIFY_BUS_CHECK,
    ));
    for device in SLOTS {
        let name = name(device);
        body.push(notify_if(
            &inserted,
            bit(device),
            &name,
            NOTIFY_DEVICE_CHECK,
        ));
        body.push(notify_if(&wanted, bit(device), &name, NOTIFY_EJECT_REQUEST));
    }
    let body: Vec<_> = body.into_iter().map(Raw).collect();
    let children = body.iter().map(|part| part as &dyn Aml).collect();
    let method = Method::new("SCAN".into(), 0, true, children);
    bytes(&Scope::new("\\_SB_.PCI0".into(), vec![&method]))
}

/// Notifies `object` if `bits` are set in `register`.
fn notify_if(register: &Local, bits: u32, object: &str, value: u8) -> Vec<u8> {
    let object = Path::new(object);
    let notify = Notify::new(&object, &value);
    let isolated = And::new(&Zero {}, register, &bits);
    bytes(&If::new(&isolated, vec![&notify]))
}

/// AML that is made already.
struct Raw(Vec<u8>);

impl Aml for Raw {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        sink.vec(&self.0);
    }
}

/// Puts a term into bytes, so that it can outlive what it is made of.
trait ToBytes {
    fn to_bytes(&self) -> Vec<u8>;
}

impl<T: Aml> ToBytes for T {
    fn to_bytes(&self) -> Vec<u8> {
        bytes(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::power::testing::power;
    use proptest::prelude::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Ejected(Mutex<Vec<u8>>);

    impl Eject for Ejected {
        fn eject(&self, device: u8) {
            self.0.lock().unwrap().push(device);
        }
    }

    fn register(slots: &Slots, offset: u64) -> u32 {
        let mut data = [0; 4];
        slots.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn requests_are_read_once() {
        let (power, line) = power();
        let slots = Slots::new(power.clone());
        power.enable_event(EVENT);
        slots.inserted(3);
        slots.request_eject(31);
        slots.vanished();
        assert!(line.active());
        assert_eq!(register(&slots, INSERTED), 0b1001);
        assert_eq!(register(&slots, WANTED), 1 << 31);
        assert_eq!(
            (register(&slots, INSERTED), register(&slots, WANTED)),
            (0, 0)
        );
    }

    #[test]
    fn the_guest_ejects_slots_but_not_the_bridge() {
        let slots = Slots::new(power().0);
        slots.write(EJECTED, &u32::MAX.to_le_bytes());
        let ejected: Arc<dyn Eject> = Arc::new(Ejected::default());
        slots.connect(Arc::downgrade(&ejected));
        slots.write(EJECTED, &0x8000_0003u32.to_le_bytes());
        drop(ejected);
        slots.write(EJECTED, &u32::MAX.to_le_bytes());
    }

    #[test]
    fn ejected_slots_are_told_by_number() {
        let slots = Slots::new(power().0);
        let ejected = Arc::new(Ejected::default());
        let dynamic: Arc<dyn Eject> = ejected.clone();
        slots.connect(Arc::downgrade(&dynamic));
        slots.write(EJECTED, &0x8000_0003u32.to_le_bytes());
        assert_eq!(*ejected.0.lock().unwrap(), [1, 31]);
    }

    #[test]
    fn every_slot_is_in_the_table_once() {
        let aml = methods();
        for device in SLOTS {
            let slot = name(device);
            let mut definition = slot.clone().into_bytes();
            definition.extend(b"\x08_ADR");
            let found = aml.windows(definition.len()).filter(|at| *at == definition);
            assert_eq!(found.count(), 1, "{slot}");
        }
    }

    proptest! {
        #[test]
        fn any_access_is_harmless(offset in 0u64..LEN, mut data in prop::collection::vec(any::<u8>(), 0..9)) {
            let slots = Slots::new(power().0);
            slots.write(offset, &data);
            slots.read(offset, &mut data);
        }
    }
}
