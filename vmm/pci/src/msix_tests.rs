// SPDX-License-Identifier: GPL-2.0 OR MIT

use proptest::prelude::*;

use super::*;
use crate::testing::FakeAllocator;

const ENTRY_0_CONTROL: u64 = 12;

fn table() -> (FakeAllocator, Arc<Msix>) {
    let allocator = FakeAllocator::default();
    let msix = Msix::new(3, &allocator).unwrap();
    (allocator, msix)
}

#[test]
fn vectors_are_limited() {
    let allocator = FakeAllocator::default();
    assert!(Msix::new(0, &allocator).is_err());
    assert!(Msix::new(MAX_VECTORS + 1, &allocator).is_err());
    assert_eq!(
        Msix::new(MAX_VECTORS, &allocator).unwrap().vectors(),
        MAX_VECTORS
    );
}

#[test]
fn a_programmed_vector_is_sent_with_its_message() {
    let (allocator, msix) = table();
    msix.set_control(CONTROL_ENABLE);
    msix.write_table(16, &0xfee0_1000u64.to_le_bytes());
    msix.write_table(24, &0x41u32.to_le_bytes());
    msix.write_table(28, &[0; 4]);
    msix.signal(1);
    let vectors = allocator.0.lock().unwrap();
    let sent = vectors[1].sent.lock().unwrap();
    assert_eq!(
        *sent,
        [MsiMessage {
            address: 0xfee0_1000,
            data: 0x41
        }]
    );
}

#[test]
fn masks_hold_one_interrupt_back() {
    let (allocator, msix) = table();
    msix.set_control(CONTROL_ENABLE);
    let mut pba = [0; 8];
    for (mask, unmask) in [(ENTRY_0_CONTROL, 0), (u64::MAX, 1)] {
        let function = mask == u64::MAX;
        if function {
            msix.set_control(CONTROL_ENABLE | CONTROL_MASK);
        } else {
            msix.write_table(mask, &[1, 0, 0, 0]);
        }
        msix.signal(0);
        msix.signal(0);
        msix.read_pba(0, &mut pba);
        assert_eq!((pba[0], allocator.sent(0)), (1, unmask));
        if function {
            msix.set_control(CONTROL_ENABLE);
        } else {
            msix.write_table(mask, &[0; 4]);
        }
        msix.read_pba(0, &mut pba);
        assert_eq!((pba[0], allocator.sent(0)), (0, unmask + 1));
    }
}

#[test]
fn nothing_is_sent_while_disabled() {
    let (allocator, msix) = table();
    msix.write_table(ENTRY_0_CONTROL, &[0; 4]);
    msix.signal(0);
    msix.signal(9);
    msix.set_control(CONTROL_ENABLE);
    assert_eq!(allocator.sent(0), 0);
    assert_eq!(
        msix.counters(),
        serde_json::json!({"sent": 0, "masked": 0, "dropped": 2})
    );
}

#[test]
fn reset_masks_everything() {
    let (allocator, msix) = table();
    msix.set_control(CONTROL_ENABLE);
    msix.signal(0);
    msix.reset();
    msix.set_control(CONTROL_ENABLE);
    msix.write_table(ENTRY_0_CONTROL, &[0; 4]);
    assert_eq!(allocator.sent(0), 0);
}

proptest! {
    /// Reserved bits read as zero, and the guest cannot set a pending bit or
    /// reach outside the table.
    #[test]
    fn any_access_is_harmless(
        accesses in prop::collection::vec(
            (any::<bool>(), prop_oneof![0u64..64, any::<u64>()],
             prop::collection::vec(any::<u8>(), 0..17)), 0..64),
    ) {
        let (_, msix) = table();
        for (write, offset, mut data) in accesses {
            if write {
                msix.write_table(offset, &data);
            } else {
                msix.read_table(offset, &mut data);
                msix.read_pba(offset, &mut data);
                prop_assert!(data.iter().all(|byte| *byte == 0));
            }
            let mut control = [0; 4];
            msix.read_table(ENTRY_0_CONTROL, &mut control);
            prop_assert_eq!(u32::from_le_bytes(control) & !ENTRY_MASKED, 0);
        }
    }
}
