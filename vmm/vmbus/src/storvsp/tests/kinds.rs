// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Controllers that are not for SCSI.

use protocol::storvsp::packet::{PortNames, WorldWideNames};
use protocol::storvsp::{Notice, TRANSACTION_UNSOLICITED};
use protocol::vmbus::class;
use serde_json::json;

use super::*;

const PRIMARY: PortNames = PortNames {
    port: 0x5000_0000_0000_0001,
    node: 0x5000_0000_0000_0002,
};
const SECONDARY: PortNames = PortNames {
    port: 0x5000_0000_0000_0003,
    node: 0x5000_0000_0000_0004,
};

fn rig(kind: Kind) -> Rig {
    Rig::of(&Config { kind, ..config(1) })
}

/// What the unit of the address says of a TEST UNIT READY.
fn ask(rig: &mut Rig, address: Address) -> u8 {
    let request = ScsiRequest::new(address, &TEST_UNIT_READY, Direction::None, 0, true);
    let packet = Packet::with(Operation::EXECUTE_SRB, &request.unwrap());
    rig.driver.send(&rig.guest, 1, Data::InBand, &packet);
    let (_, _, packet) = rig.driver.receive(&rig.guest);
    packet.get::<ScsiRequest>().srb_status
}

#[test]
fn a_port_has_names_which_change() {
    let mut rig = rig(Kind::FibreChannel(WorldWideNames::new(PRIMARY, SECONDARY)));
    assert_eq!(rig.driver.offer.class, class::FIBRE_CHANNEL);
    assert_eq!(rig.agreed.names.unwrap().active(), PRIMARY);
    let fault = json!({"kind": "notices", "notice": 12});
    for expected in [SECONDARY, PRIMARY] {
        let fault = serde_json::from_value(fault.clone()).unwrap();
        rig.device.inject(fault).unwrap();
        let (kind, transaction, packet) = rig.driver.receive(&rig.guest);
        let from = (PacketKind::IN_BAND, TRANSACTION_UNSOLICITED);
        assert_eq!((kind, transaction), from);
        let Some(Notice::Names(names)) = Packet::parse_notice(packet.as_bytes()) else {
            panic!("{packet:?}");
        };
        assert_eq!(names.active(), expected);
    }
}

#[test]
fn a_port_has_many_targets() {
    let mut rig = rig(Kind::FibreChannel(WorldWideNames::new(PRIMARY, SECONDARY)));
    let (_file, disk) = disk(0);
    let at = UnitAddress {
        target: 255,
        lun: 3,
    };
    rig.device.shared.target.add(at, Box::new(disk)).unwrap();
    let address = Address {
        path: 1,
        target: 127,
        lun: 3,
        ..Address::default()
    };
    // Its unit attention.
    assert_eq!(ask(&mut rig, address), srb::ERROR | srb::AUTOSENSE_VALID);
    assert_eq!(ask(&mut rig, address), srb::SUCCESS);
    let nobody = Address {
        target: 126,
        path: 0,
        ..address
    };
    assert_eq!(ask(&mut rig, nobody), srb::INVALID_LUN);
}

#[test]
fn an_ide_disk_is_the_target_of_its_instance() {
    let mut rig = rig(Kind::Ide(1));
    let offer = rig.driver.offer;
    assert_eq!(offer.class, class::IDE);
    assert_eq!(offer.instance.0[4..6], [1, 0]);
    assert_eq!((rig.agreed.names, rig.agreed.sub_channels), (None, 0));
    let it = Address {
        target: 1,
        ..Address::default()
    };
    assert_eq!(ask(&mut rig, it), srb::ERROR | srb::AUTOSENSE_VALID);
    assert_eq!(ask(&mut rig, it), srb::SUCCESS);
    for other in [Address::default(), Address { lun: 1, ..it }] {
        assert_eq!(ask(&mut rig, other), srb::INVALID_LUN);
    }
}
