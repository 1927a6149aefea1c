// SPDX-License-Identifier: GPL-2.0 OR MIT

use proptest::prelude::*;
use serde_json::{json, Value};

use super::keys::{Object, CDROM, CONTROL, DISK, FAULT, PASSTHROUGH, SCSI, SERIAL};
use super::*;

fn machine(value: serde_json::Value) -> Result<Machine, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_those_of_the_help() {
    let machine = machine(json!({"kernel": "k"})).unwrap();
    assert_eq!((machine.cpus, machine.memory.0), (1, 512 << 20));
    assert_eq!(
        machine.serial,
        Serial {
            stdout: true,
            stdin: false,
            file: None
        }
    );
    assert_eq!(machine.check(), Ok(()));
}

#[test]
fn what_is_dumped_can_be_read() {
    let machine = machine(json!({
        "kernel": "k", "cpus": 4, "memory": "1G",
        "serial": {"file": "x"},
        "scsi": [{"type": "virtio", "id": "s0", "queues": 4}],
        "disk": [{"path": "p%d", "on": "s0", "count": 64}],
    }))
    .unwrap();
    let text = serde_json::to_string(&machine).unwrap();
    assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), machine);
}

#[test]
fn unknown_keys_are_named() {
    let error = machine(json!({"kernel": "k", "cpu": 4})).unwrap_err();
    assert!(error.contains("`cpu`"), "{error}");
    let error = options::parse(&DISK, "path=p,on=s0,latency=3").unwrap_err();
    assert!(
        error
            .0
            .starts_with("--disk: unknown key latency; the keys are path, on"),
        "{error}"
    );
}

#[test]
fn options_have_the_shape_of_the_file() {
    let value = options::parse(&SCSI, "virtio,id=s0,queues=4").unwrap();
    assert_eq!(value, json!({"type": "virtio", "id": "s0", "queues": 4}));
    let value = options::parse(&DISK, "path=/a=b,on=s0,readonly,thin=off").unwrap();
    assert_eq!(
        value,
        json!({"path": "/a=b", "on": "s0", "readonly": true, "thin": false})
    );
}

#[test]
fn wrong_values_are_named() {
    for (object, text, message) in [
        (SCSI, "virtio", "--scsi: id is missing; add id=NAME"),
        (
            SCSI,
            "id=s0",
            "--scsi: type is missing; add type=virtio|vmbus|pvscsi",
        ),
        (SCSI, "virtio,id=", "--scsi: id=: give id=NAME"),
        (SCSI, "virtio,id=a,id=b", "--scsi: id is given twice"),
        (DISK, "path=p,on=s,lun=x", "--disk: lun=x: give lun=N"),
        (
            DISK,
            "path=p,on=s,readonly=1",
            "--disk: readonly=1: give readonly=on|off",
        ),
    ] {
        assert_eq!(options::parse(&object, text).unwrap_err().0, message);
    }
}

#[test]
fn the_whole_is_checked() {
    let scsi = json!([{"type": "virtio", "id": "s0"}]);
    for (value, key) in [
        (json!({"kernel": "k", "cpus": 0}), "cpus=0"),
        (json!({"kernel": "k", "cpus": 65}), "cpus=65"),
        (json!({"kernel": "k", "memory": 4096}), "memory=4096"),
        (json!({"kernel": "k", "time_limit": 0}), "time_limit=0"),
        (json!({"kernel": "k", "scsi": [scsi[0], scsi[0]]}), "id=s0"),
        (
            json!({"kernel": "k", "disk": [{"path": "p", "on": "s1"}]}),
            "on=s1",
        ),
        (
            json!({"kernel": "k", "scsi": scsi, "disk": [{"path": "p", "on": "s0", "count": 2}]}),
            "count=2",
        ),
        (
            json!({"kernel": "k", "scsi": scsi, "disk": [{"path": "p", "on": "s0", "block_size": 1}]}),
            "block_size=1",
        ),
        (
            json!({"kernel": "k", "scsi": [{"type": "vmbus", "id": "v"}]}),
            "--personality hyperv",
        ),
        (hyperv(json!({"queues": 1}), json!({})), "no queues"),
        (hyperv(json!({}), json!({"target": 16})), "target=16"),
        (
            json!({"kernel": "k", "scsi": [{"type": "virtio", "id": "s0", "channels": 1}]}),
            "no channels",
        ),
        (
            json!({"kernel": "k", "scsi": [{"type": "pvscsi", "id": "s0", "queues": 1}]}),
            "no queues",
        ),
        (
            json!({"kernel": "k", "scsi": [{"type": "pvscsi", "id": "s0"}],
                   "disk": [{"path": "p", "on": "s0", "target": 64}]}),
            "target=64",
        ),
        (
            json!({"kernel": "k", "scsi": [{"type": "pvscsi", "id": "s0"}],
                   "fault": [{"on": "s0", "kind": "drop", "lun": 1}]}),
            "lun",
        ),
    ] {
        let error = machine(value).unwrap().check().unwrap_err();
        assert!(error.0.contains(key), "{error} does not name {key}");
    }
}

/// A machine with a controller on VMBus and a disk, with more keys.
fn hyperv(scsi: serde_json::Value, disk: serde_json::Value) -> serde_json::Value {
    let with = |mut value: serde_json::Value, more: serde_json::Value| {
        let more = more.as_object().unwrap().clone();
        value.as_object_mut().unwrap().extend(more);
        value
    };
    json!({
        "kernel": "k",
        "personality": "hyperv",
        "scsi": [with(json!({"type": "vmbus", "id": "v"}), scsi)],
        "disk": [with(json!({"path": "p", "on": "v"}), disk)],
    })
}

#[test]
fn a_machine_of_hyper_v_has_disks_on_vmbus() {
    let good = machine(hyperv(json!({"channels": 4}), json!({"target": 15}))).unwrap();
    good.check().unwrap();
    assert_eq!(good.vmbus_max_version, VmbusVersion::default());
    assert!(machine(json!({"kernel": "k", "vmbus_max_version": "6.0"})).is_err());
}

#[test]
fn an_ide_controller_has_one_unit() {
    let ide = |disk: Value, more: Value| {
        let mut value = hyperv(json!({"kind": "ide"}), disk);
        let more = more.as_object().unwrap().clone();
        value.as_object_mut().unwrap().extend(more);
        machine(value).unwrap().check().map_err(|error| error.0)
    };
    ide(json!({}), json!({})).unwrap();
    ide(json!({}), json!({"disk": [], "cdrom": [{"on": "v"}]})).unwrap();
    for (disk, more) in [
        (json!({"path": "%d", "count": 2}), json!({})),
        (json!({}), json!({"cdrom": [{"on": "v"}]})),
        (json!({}), json!({"disk": []})),
    ] {
        assert!(ide(disk, more).unwrap_err().contains("exactly one"));
    }
    let error = ide(json!({"target": 1}), json!({})).unwrap_err();
    assert!(error.contains("position=1"), "{error}");
}

#[test]
fn a_port_of_fibre_channel_has_two_paths_of_targets() {
    let port = |target: u8| {
        let value = hyperv(
            json!({"kind": "fc", "channels": 4}),
            json!({"target": target}),
        );
        machine(value).unwrap().check()
    };
    port(255).unwrap();
    let scsi = hyperv(json!({"kind": "scsi"}), json!({"target": 16}));
    assert!(machine(scsi).unwrap().check().is_err());
    let unknown = hyperv(json!({"kind": "sas"}), json!({}));
    assert!(machine(unknown).unwrap_err().contains("sas"));
}

#[test]
fn controllers_of_vmware_go_with_any_personality() {
    for personality in ["kvm", "vmware", "hyperv"] {
        let value = json!({
            "kernel": "k",
            "personality": personality,
            "scsi": [{"type": "pvscsi", "id": "s0", "max_target": 255}],
            "disk": [{"path": "%d", "on": "s0", "target": 6, "count": 250}],
        });
        machine(value).unwrap().check().unwrap();
    }
}

/// Every key of an option exists in the JSON, and the other way round.
#[test]
fn keys_and_fields_are_the_same() {
    let check = |object: &Object, value: serde_json::Value| {
        let mut fields: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let mut keys: Vec<_> = object.keys.iter().map(|key| key.name.to_owned()).collect();
        fields.sort();
        keys.sort();
        assert_eq!(fields, keys);
    };
    let serial = Serial {
        stdout: true,
        stdin: true,
        file: Some("f".into()),
    };
    check(&SERIAL, serde_json::to_value(serial).unwrap());
    let scsi = Scsi {
        channels: Some(1),
        kind: ScsiKind::Virtio,
        id: "a".to_owned(),
        queues: Some(1),
        queue_size: Some(4),
        seg_max: Some(1),
        max_sectors: Some(1),
        cmd_per_lun: Some(1),
        max_target: Some(1),
        vmbus_kind: Some(VmbusKind::Fc),
        wwpn: Some(WorldWideName(1)),
        wwnn: Some(WorldWideName(2)),
        position: Some(0),
        aio: hospes_scsi::AioMode::Sync,
        protection: true,
    };
    check(&SCSI, serde_json::to_value(scsi).unwrap());
    let unit = json!({"path": "p", "on": "s0", "lun": 1, "serial": "x"});
    let mut disk: Disk = serde_json::from_value(unit.clone()).unwrap();
    (disk.protection, disk.pi) = (Some(1), Some("pi".into()));
    check(&DISK, serde_json::to_value(disk).unwrap());
    let cdrom: Cdrom = serde_json::from_value(unit).unwrap();
    check(&CDROM, serde_json::to_value(cdrom).unwrap());
    let device = json!({"path": "p", "on": "s0", "lun": 1});
    let device: Passthrough = serde_json::from_value(device).unwrap();
    check(&PASSTHROUGH, serde_json::to_value(device).unwrap());
    let control = Control { path: "p".into() };
    check(&CONTROL, serde_json::to_value(control).unwrap());
}

#[test]
fn counted_disks_are_numbered() {
    let disk: Disk = serde_json::from_value(
        json!({"path": "/d/%d.img", "on": "s0", "count": 12, "serial": "S%d"}),
    )
    .unwrap();
    assert_eq!(disk.path_of(11), PathBuf::from("/d/11.img"));
    assert_eq!(disk.serial_of(11), "S11");
}

#[test]
fn disks_on_one_file_have_serial_numbers_of_their_own() {
    let mut disk: Disk =
        serde_json::from_value(json!({"path": "/d", "on": "s0", "count": 2, "readonly": true}))
            .unwrap();
    assert_ne!(disk.serial_of(0), disk.serial_of(1));
    let scsi = serde_json::from_value(json!({"type": "virtio", "id": "s0"})).unwrap();
    disk.check(&scsi).unwrap();
    disk.serial = "S".to_owned();
    assert!(disk.check(&scsi).unwrap_err().0.contains("%d"));
}

#[test]
fn a_target_that_no_guest_looks_at_is_refused() {
    let machine = |target| -> Machine {
        serde_json::from_value(json!({
            "kernel": "k",
            "scsi": [{"type": "virtio", "id": "s0", "max_target": 1}],
            "disk": [{"path": "p", "on": "s0", "target": target}],
        }))
        .unwrap()
    };
    machine(1).check().unwrap();
    let error = machine(2).check().unwrap_err();
    assert!(error.0.contains("max_target=1"), "{error}");
}

#[test]
fn faults_have_their_keys_beside_their_controller() {
    let value = options::parse(&FAULT, "on=s0,kind=delay,ms=0x10,lun=3,count=2").unwrap();
    let fault: Fault = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(fault.on, "s0");
    let json = serde_json::to_value(&fault).unwrap();
    assert_eq!((&json["on"], &json["ms"]), (&json!("s0"), &json!(16)));
    assert_eq!(serde_json::from_value::<Fault>(json).unwrap(), fault);
}

#[test]
fn what_goes_wrong_depends_on_the_controller() {
    let check = |kind: &str, fault: Value| {
        let machine: Machine = serde_json::from_value(json!({
            "kernel": "k",
            "personality": "hyperv",
            "scsi": [{"type": kind, "id": "s0"}],
            "fault": [fault],
        }))
        .unwrap();
        machine.check().map_err(|error| error.0)
    };
    let delay = json!({"on": "s0", "kind": "delay", "ms": 1});
    for kind in ["virtio", "vmbus"] {
        check(kind, delay.clone()).unwrap();
        let unknown = json!({"on": "s0", "kind": "delay", "ms": 1, "mss": 1});
        assert!(check(kind, unknown).unwrap_err().contains("mss"));
        let missing = json!({"on": "s0", "ms": 1});
        assert!(check(kind, missing).unwrap_err().contains("kind"));
    }
    let lie = json!({"on": "s0", "kind": "used-twice", "queue": 2});
    check("virtio", lie.clone()).unwrap();
    assert!(check("vmbus", lie).unwrap_err().contains("used-twice"));
    let index = json!({"on": "s0", "kind": "write-index", "value": 4, "channel": 1});
    check("vmbus", index.clone()).unwrap();
    assert!(check("virtio", index).unwrap_err().contains("write-index"));
}

#[test]
fn the_bus_itself_may_go_wrong_where_there_is_one() {
    let check = |personality: &str, id: &str, fault: &str| {
        let fault = options::parse(&FAULT, &format!("on=vmbus,{fault}")).unwrap();
        let machine: Machine = serde_json::from_value(json!({
            "kernel": "k",
            "personality": personality,
            "scsi": [{"type": "virtio", "id": id}],
            "fault": [fault],
        }))
        .unwrap();
        machine.check().map_err(|error| error.0)
    };
    let offer = "kind=offer,relid=1,stranger=on,monitor=200,connection=0xffffffff";
    check("hyperv", "s0", offer).unwrap();
    check("hyperv", "s0", "kind=message,message=1,len=20,slot=5").unwrap();
    let error = check("hyperv", "s0", "kind=drop,operation=7").unwrap_err();
    assert!(error.contains("on=vmbus: operation=7"), "{error}");
    assert!(check("hyperv", "vmbus", offer)
        .unwrap_err()
        .contains("id=vmbus"));
    assert!(check("kvm", "s0", offer).unwrap_err().contains("on=vmbus"));
}

#[test]
fn drives_may_be_empty() {
    for value in [json!({"on": "s0"}), json!({"on": "s0", "path": "empty"})] {
        let cdrom: Cdrom = serde_json::from_value(value).unwrap();
        assert_eq!(cdrom.medium(), None);
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,60}") {
        for object in [SERIAL, CONTROL, SCSI, DISK, CDROM, PASSTHROUGH, FAULT] {
            let _ = options::parse(&object, &text);
        }
    }
}
