// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The routes on a machine without a guest, and their description.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;
use std::sync::Arc;

use hospes_device::bus::BusDevice;
use vmm_sys_util::tempdir::TempDir;

use super::*;
use crate::acpi::slots::Slots;
use crate::control::model::Model;
use crate::outcome::Outcome;

struct Bench {
    handle: Handle,
    slots: Arc<Slots>,
    outcomes: Receiver<Outcome>,
    directory: TempDir,
}

/// A machine with the controller `s0` and a disk at 0:0.
fn bench() -> Bench {
    let Model {
        handle,
        slots,
        outcomes,
    } = Model::new();
    let bench = Bench {
        handle,
        slots,
        outcomes,
        directory: TempDir::new().unwrap(),
    };
    bench.expect(201, "POST", "/scsi", json!({"type": "virtio", "id": "s0"}));
    bench.image("0.img", 1 << 20);
    let disk = json!({"path": bench.path("0.img"), "on": "s0"});
    bench.expect(201, "POST", "/disk", disk);
    bench
}

impl Bench {
    fn path(&self, name: &str) -> String {
        let path = self.directory.as_path().join(name);
        path.to_str().unwrap().to_owned()
    }

    fn image(&self, name: &str, len: u64) {
        let file = std::fs::File::create(self.path(name)).unwrap();
        file.set_len(len).unwrap();
    }

    fn send(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: body.to_vec(),
            close: false,
        };
        answer(&self.handle, &request)
    }

    /// Sends a request and expects a status; null is no body.
    fn expect(&self, status: u16, method: &str, target: &str, body: Value) -> Value {
        let bytes = match &body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let answer = self.send(method, target, &bytes);
        let text = format!("{method} {target} {body}: {}", answer.body);
        assert_eq!(answer.status, Status(status), "{text}");
        let has_error = answer.body.get("error").is_some();
        assert_eq!(has_error, status >= 400, "{text}");
        answer.body
    }
}

#[test]
fn disks_come_and_go() {
    let bench = bench();
    for name in ["1.img", "2.img"] {
        bench.image(name, 4096);
    }
    let disk = json!({"path": bench.path("1.img"), "on": "s0", "lun": 7});
    let added = bench.expect(201, "POST", "/disk", disk.clone());
    assert_eq!(added, json!({"units": ["0:7"]}));
    bench.expect(409, "POST", "/disk", disk);
    let units = bench.expect(200, "GET", "/devices/s0/units", Value::Null);
    assert_eq!(units[1]["unit"], "0:7");
    bench.expect(200, "DELETE", "/devices/s0/units/0:7", Value::Null);
    bench.expect(404, "DELETE", "/devices/s0/units/0:7", Value::Null);
    bench.expect(400, "DELETE", "/devices/s0/units/7", Value::Null);
    let many = json!({"path": bench.path("%d.img"), "on": "s0", "count": 3});
    let added = bench.expect(201, "POST", "/disk", many);
    assert_eq!(added, json!({"units": ["0:1", "0:2", "0:3"]}));
    let device = bench.expect(200, "GET", "/devices/s0", Value::Null);
    assert_eq!(device["units"], 4);
}

#[test]
fn of_many_disks_all_or_none_are_added() {
    let bench = bench();
    let many = json!({"path": bench.path("%d.img"), "on": "s0", "count": 2});
    let error = bench.expect(400, "POST", "/disk", many);
    assert!(
        error["error"].as_str().unwrap().contains("1.img"),
        "{error}"
    );
    let units = bench.expect(200, "GET", "/devices/s0/units", Value::Null);
    assert_eq!(units.as_array().unwrap().len(), 1);
}

#[test]
fn disks_change_their_size() {
    let bench = bench();
    let resize = |status, body| bench.expect(status, "POST", "/devices/s0/units/0:0/resize", body);
    assert_eq!(resize(200, Value::Null), json!({"changed": false}));
    assert_eq!(resize(200, json!({"size": "2M"})), json!({"changed": true}));
    bench.image("0.img", 8192);
    assert_eq!(resize(200, json!({})), json!({"changed": true}));
    resize(400, json!({"size": "big"}));
    let length = std::fs::metadata(bench.path("0.img")).unwrap().len();
    assert_eq!(length, 8192);
    bench.expect(
        409,
        "PUT",
        "/devices/s0/units/0:0/medium",
        json!({"path": "/x"}),
    );
}

#[test]
fn a_controller_goes_when_the_guest_ejects_it() {
    let bench = bench();
    let scsi = json!({"type": "virtio", "id": "s1"});
    let added = bench.expect(201, "POST", "/scsi", scsi.clone());
    assert_eq!(added["address"], "00:02.0");
    bench.expect(409, "POST", "/scsi", scsi.clone());
    let mut bits = [0; 4];
    bench.slots.read(0, &mut bits);
    assert_eq!(u32::from_le_bytes(bits), 0b110);
    let removing = bench.expect(202, "DELETE", "/devices/s1", Value::Null);
    assert_eq!(removing["state"], "removing");
    bench.slots.read(4, &mut bits);
    assert_eq!(u32::from_le_bytes(bits), 0b100);
    bench.expect(200, "GET", "/devices/s1", Value::Null);
    bench.slots.write(8, &bits);
    bench.expect(404, "GET", "/devices/s1", Value::Null);
    bench.expect(201, "POST", "/scsi", scsi);
}

#[test]
fn a_controller_goes_by_surprise() {
    let bench = bench();
    bench.expect(400, "DELETE", "/devices/s0?surprise=maybe", Value::Null);
    bench.expect(200, "DELETE", "/devices/s0?surprise=true", Value::Null);
    bench.expect(404, "DELETE", "/devices/s0?surprise=true", Value::Null);
    let mut bits = [0; 4];
    bench.slots.read(0, &mut bits);
    assert_eq!(
        u32::from_le_bytes(bits) & 1,
        1,
        "the guest is to look at all slots"
    );
}

#[test]
fn pausing_twice_is_no_error() {
    let bench = bench();
    for state in ["paused", "paused", "running", "running", "paused"] {
        let body = json!({"state": state});
        let answer = bench.expect(200, "PUT", "/machine/state", body.clone());
        assert_eq!(answer, body);
        let machine = bench.expect(200, "GET", "/machine", Value::Null);
        assert_eq!(machine["state"], state);
    }
    bench.expect(400, "PUT", "/machine/state", json!({"state": "pausing"}));
}

#[test]
fn the_machine_ends_as_it_is_told() {
    let bench = bench();
    bench.expect(200, "POST", "/machine/quit", Value::Null);
    bench.expect(200, "POST", "/machine/reset", Value::Null);
    assert_eq!(bench.outcomes.try_recv(), Ok(Outcome::Interrupted));
    assert_eq!(bench.outcomes.try_recv(), Ok(Outcome::Reset));
}

#[test]
fn what_is_wrong_is_named() {
    let bench = bench();
    for (status, method, path, body, text) in [
        (404, "GET", "/nothing", Value::Null, "/openapi.json"),
        (405, "POST", "/machine", Value::Null, "GET"),
        (404, "GET", "/devices/s7", Value::Null, "there are s0"),
        (400, "POST", "/disk", json!({"on": "s0"}), "path"),
        (
            400,
            "POST",
            "/disk",
            json!({"path": "/x", "on": "s0", "bs": 1}),
            "bs",
        ),
        (
            404,
            "POST",
            "/disk",
            json!({"path": "/x", "on": "s7"}),
            "s7",
        ),
        (
            400,
            "POST",
            "/disk",
            json!({"path": "/nonexistent", "on": "s0"}),
            "/nonexistent",
        ),
        (
            400,
            "POST",
            "/scsi",
            json!({"type": "virtio", "id": "a/b"}),
            "a/b",
        ),
        (
            400,
            "POST",
            "/scsi",
            json!({"type": "virtio", "id": "x", "queues": 0}),
            "queues",
        ),
        (400, "PUT", "/machine/state", json!([]), "line"),
    ] {
        let error = bench.expect(status, method, path, body)["error"].to_string();
        assert!(error.contains(text), "{error} does not contain {text}");
    }
    assert_eq!(
        bench.send("PUT", "/machine/state", b"{").status,
        Status::BAD_REQUEST
    );
    assert_eq!(
        bench.send("PUT", "/machine/state", b"{}{}").status,
        Status::BAD_REQUEST
    );
}

#[test]
fn a_balloon_has_a_target_and_faults() {
    let mut bench = bench();
    let status = bench.expect(200, "PUT", "/balloon", json!({"target": "4M"}));
    assert_eq!(
        (&status["target"], &status["guest"]),
        (&json!(4 << 20), &json!("off"))
    );
    assert_eq!(bench.expect(200, "GET", "/balloon", Value::Null), status);
    for body in [json!({"target": "1G"}), json!({"size": 1}), json!({})] {
        bench.expect(400, "PUT", "/balloon", body);
    }
    let faults = "/devices/balloon/faults";
    let fault = json!({"kind": "command", "code": 8, "operation": 1});
    let id = bench.expect(201, "POST", faults, fault.clone())["id"].clone();
    bench.expect(400, "POST", faults, json!({"kind": "delay", "ms": 1}));
    let list = bench.expect(200, "GET", faults, Value::Null);
    assert_eq!(list[0]["fault"]["code"], 8);
    bench.expect(200, "DELETE", &format!("{faults}/{id}"), Value::Null);
    bench.expect(404, "DELETE", &format!("{faults}/{id}"), Value::Null);
    bench.handle.balloon = None;
    bench.expect(409, "GET", "/balloon", Value::Null);
    bench.expect(404, "POST", faults, fault);
}

fn description() -> Value {
    serde_json::from_str(DESCRIPTION).unwrap()
}

/// Method, path and operation of everything that is described.
fn operations(description: &Value) -> Vec<(String, String, &Value)> {
    let paths = description["paths"].as_object().unwrap().iter();
    let of_path = |(path, methods): (&String, &'_ Value)| {
        let path = path.clone();
        let names: Vec<_> = methods.as_object().unwrap().keys().cloned().collect();
        names.into_iter().map(move |name| (name, path.clone()))
    };
    let all: Vec<_> = paths.flat_map(of_path).collect();
    all.into_iter()
        .map(|(method, path)| {
            let operation = &description["paths"][&path][&method];
            (method.to_uppercase(), path, operation)
        })
        .collect()
}

#[test]
fn routes_and_their_description_are_the_same() {
    let description = description();
    let described: BTreeSet<_> = operations(&description)
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| (route.method.to_owned(), route.path.to_owned()))
        .collect();
    assert_eq!(routes.len(), ROUTES.len());
    assert_eq!(described, routes);
}

/// Whether `value` is what `schema` says; as much of JSON Schema as is used.
fn check(description: &Value, schema: &Value, value: &Value) {
    if let Some(name) = schema["$ref"].as_str() {
        let target = description
            .pointer(&name[1..])
            .unwrap_or_else(|| panic!("{name}"));
        return check(description, target, value);
    }
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(value), "{value} is none of {values:?}");
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let kind = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Null => "null",
    };
    assert!(kinds.contains(&kind.into()), "{value} is no {kinds:?}");
    for item in value.as_array().into_iter().flatten() {
        check(description, &schema["items"], item);
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(
            value.get(name.as_str().unwrap()).is_some(),
            "{value} lacks {name}"
        );
    }
    for (name, item) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => check(description, schema, item),
            None => assert_ne!(schema["additionalProperties"], false, "{name} in {value}"),
        }
    }
}

#[test]
fn examples_are_what_their_schemas_say() {
    let description = description();
    let mut count = 0;
    for (method, path, operation) in operations(&description) {
        let bodies = operation["responses"].as_object().unwrap().values();
        for body in bodies.chain([&operation["requestBody"]]) {
            let body = match body["$ref"].as_str() {
                Some(name) => description.pointer(&name[1..]).unwrap(),
                None => body,
            };
            let content = &body["content"]["application/json"];
            if content.is_null() {
                assert_eq!(body, &operation["requestBody"], "{method} {path}");
                continue;
            }
            check(&description, &content["schema"], &content["example"]);
            count += 1;
        }
    }
    assert!(count > ROUTES.len());
}

/// What the machine answers is what the description says it answers.
#[test]
fn answers_are_what_their_schemas_say() {
    let bench = bench();
    let description = description();
    bench.image("3.img", 4096);
    for (method, path, operation) in operations(&description) {
        let content = &operation["requestBody"]["content"]["application/json"];
        let example = content["example"].to_string();
        let example = example.replace("/images", bench.directory.as_path().to_str().unwrap());
        let target = path
            .replace("{id}", "s0")
            .replace("{unit}", "0:0")
            .replace("{fault}", "1");
        let body = if content.is_null() {
            String::new()
        } else {
            example
        };
        let answer = bench.send(&method, &target, body.as_bytes());
        let status = answer.status.0.to_string();
        let described = &operation["responses"][&status];
        let described = match described["$ref"].as_str() {
            Some(name) => description.pointer(&name[1..]).unwrap(),
            None => described,
        };
        let schema = &described["content"]["application/json"]["schema"];
        assert!(
            !schema.is_null(),
            "{method} {path} answers {status} {}",
            answer.body
        );
        check(&description, schema, &answer.body);
    }
}

/// Every key of a body is described, and the other way round.
#[test]
fn bodies_are_described_with_all_of_their_keys() {
    use crate::config::keys::{CDROM, DISK, PASSTHROUGH, SCSI, TARGET_SIZE};
    let description = description();
    for (name, object) in [
        ("Scsi", SCSI),
        ("Disk", DISK),
        ("Cdrom", CDROM),
        ("Passthrough", PASSTHROUGH),
        ("BalloonTarget", TARGET_SIZE),
    ] {
        let properties = &description["components"]["schemas"][name]["properties"];
        let described: BTreeSet<_> = properties.as_object().unwrap().keys().cloned().collect();
        let keys = object.keys.iter().map(|key| key.name.to_owned());
        assert_eq!(described, keys.collect(), "{name}");
    }
}
