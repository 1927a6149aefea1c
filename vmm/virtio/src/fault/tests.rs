// SPDX-License-Identifier: GPL-2.0 OR MIT

use proptest::prelude::*;
use serde_json::{json, Value};

use super::*;

fn parse(value: Value) -> Result<Fault, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn on_queue(queue: u16) -> About {
    About {
        queue,
        unit: Some((0, 3)),
        opcode: Some(0x28),
        subtype: None,
        is_alone: true,
    }
}

#[test]
fn one_flat_object() {
    let value = json!({"kind": "delay", "ms": 500, "lun": 3, "count": 10});
    let fault = parse(value).unwrap();
    assert_eq!(fault.kind, FaultKind::Delay { ms: 500 });
    assert_eq!(fault.select.lun, Some(3));
    assert_eq!(fault.when.count, Some(10));
    let again = serde_json::to_value(&fault).unwrap();
    let expected = json!({"kind": "delay", "ms": 500, "lun": 3,
        "skip": 0, "count": 10, "percent": 100, "seed": 0});
    assert_eq!(again, expected);
    assert_eq!(parse(again).unwrap(), fault);
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let kinds = [
        (
            json!({"kind": "status"}),
            json!({"kind": "status", "status": 2, "key": 4, "asc": 0x44, "ascq": 0}),
        ),
        (
            json!({"kind": "response"}),
            json!({"kind": "response", "code": 9}),
        ),
        (
            json!({"kind": "used-length"}),
            json!({"kind": "used-length", "len": 0}),
        ),
        (
            json!({"kind": "used-index"}),
            json!({"kind": "used-index", "ahead": 1}),
        ),
        (
            json!({"kind": "used-unknown"}),
            json!({"kind": "used-unknown", "id": 4294967295_u32}),
        ),
        (
            json!({"kind": "events"}),
            json!({"kind": "events", "number": 1, "missed": false}),
        ),
        (
            json!({"kind": "tmf-response"}),
            json!({"kind": "tmf-response", "code": 9, "carry_out": false}),
        ),
        (json!({"kind": "garbage"}), json!({"kind": "garbage"})),
    ];
    for (short, long) in kinds {
        let fault = parse(short).unwrap();
        assert_eq!(serde_json::to_value(&fault.kind).unwrap(), long);
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    let cases = [
        (json!({"kind": "explode"}), "explode"),
        (json!({"kind": "delay"}), "ms"),
        (json!({"kind": "drop", "ms": 1}), "ms"),
        (json!({"kind": "delay", "ms": 1, "colour": 1}), "colour"),
        (json!({"kind": "delay", "ms": 1, "queue": 1}), "queue=1"),
        (json!({"kind": "delay", "ms": 1, "subtype": 1}), "subtype"),
        (json!({"kind": "tmf-drop", "opcode": 1}), "opcode"),
        (json!({"kind": "used-twice", "queue": 1, "lun": 1}), "lun"),
        (json!({"kind": "needs-reset", "count": 1}), "count"),
        (
            json!({"kind": "config", "field": "num_queues", "value": 1, "lun": 1}),
            "lun",
        ),
        (json!({"kind": "drop", "percent": 0}), "percent=0"),
        (json!({"kind": "drop", "count": 0}), "count=0"),
        (json!([]), "map"),
    ];
    for (value, word) in cases {
        let error = parse(value.clone()).unwrap_err();
        assert!(error.contains(word), "{value}: {error}");
    }
}

#[test]
fn nothing_is_asked_for_while_nothing_is_armed() {
    let faults = Faults::default();
    assert!(!faults.is_armed());
    let id = faults.arm(Fault::new(FaultKind::Drop {})).unwrap();
    assert!(faults.is_armed());
    assert!(faults.clear(id));
    assert!(!faults.clear(id));
    assert!(!faults.is_armed());
}

#[test]
fn so_many_after_so_many() {
    let faults = Faults::default();
    let value = json!({"kind": "drop", "skip": 2, "count": 3, "lun": 3, "opcode": 0x28});
    faults.arm(parse(value).unwrap()).unwrap();
    let other = About {
        opcode: Some(0x2a),
        ..on_queue(2)
    };
    assert!(faults.of_command(&other).is_empty());
    let happened: Vec<_> = (0..4)
        .map(|_| faults.of_command(&on_queue(2)).len())
        .collect();
    assert_eq!(happened, [0, 0, 1, 1]);
    let status = &faults.list()[0];
    assert_eq!((status.seen, status.injected), (4, 2));
    assert_eq!(faults.of_command(&on_queue(5)).len(), 1);
    assert!(!faults.is_armed(), "a fault that is used up is gone");
    assert_eq!(faults.counters(), json!({"drop": 3}));
}

#[test]
fn queues_and_subjects_are_kept_apart() {
    let faults = Faults::default();
    faults.arm(Fault::new(FaultKind::UsedTwice {})).unwrap();
    faults.arm(Fault::new(FaultKind::TmfDrop {})).unwrap();
    let control = parse(json!({"kind": "used-length", "queue": 0})).unwrap();
    faults.arm(control).unwrap();
    assert_eq!(faults.of_command(&on_queue(2)).len(), 1);
    assert_eq!(faults.of_completion(&on_queue(1)).len(), 0);
    assert_eq!(faults.of_completion(&on_queue(0)).len(), 1);
    let function = About {
        subtype: Some(5),
        ..About::default()
    };
    assert_eq!(faults.of_function(&function).len(), 1);
}

#[test]
fn lies_wait_for_a_request_that_is_alone() {
    let faults = Faults::default();
    let value = json!({"kind": "used-index", "count": 1});
    faults.arm(parse(value).unwrap()).unwrap();
    assert!(faults.has_lies());
    let among_others = About {
        is_alone: false,
        ..on_queue(2)
    };
    assert_eq!(faults.of_command(&among_others).len(), 0);
    assert_eq!(faults.of_command(&on_queue(2)).len(), 1);
    assert!(!faults.has_lies());
}

#[test]
fn there_is_an_end_to_faults() {
    let faults = Faults::default();
    let arm = || faults.arm(Fault::new(FaultKind::Drop {}));
    let error = (0..1000).find_map(|_| arm().err()).unwrap();
    assert_eq!(error, FaultError::TooMany(256));
    faults.clear_all();
    arm().unwrap();
}

proptest! {
    #[test]
    fn chances_can_be_had_again(percent in 1_u8..=100, seed: u64) {
        let run = || {
            let faults = Faults::default();
            let value = json!({"kind": "drop", "percent": percent, "seed": seed});
            faults.arm(parse(value).unwrap()).unwrap();
            (0..64).map(|_| faults.of_command(&on_queue(2)).len()).collect::<Vec<_>>()
        };
        let first = run();
        prop_assert_eq!(&first, &run());
        if percent == 100 {
            prop_assert_eq!(first, vec![1; 64]);
        }
    }

    #[test]
    fn any_text_is_a_fault_or_an_error(text in "\\PC{0,60}") {
        let _ = serde_json::from_str::<Fault>(&text);
    }
}
