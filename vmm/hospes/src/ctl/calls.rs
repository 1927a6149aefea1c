// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which request each command is.

use std::path::Path;

use hospes::config::keys::{Object, CDROM, DISK, FAULT, PASSTHROUGH, SCSI};
use hospes::config::keys::{CHANGE, CLEAR, CONTROLLER, EJECT, REMOVE, RESIZE, TARGET_SIZE, UNIT};
use hospes::config::{options, ConfigError};
use serde_json::{json, Map, Value};

use super::words::{
    CdromCommand, Command, DiskCommand, FaultCommand, Keys, Method, PassthroughCommand, ScsiCommand,
};

/// A request, and when it is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// The path with its query.
    pub path: String,
    /// The body.
    pub body: Option<Value>,
    /// When it is done.
    pub until: Until,
}

/// When a request is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// When it is answered.
    Done,
    /// When the machine is paused.
    Paused,
    /// When there is nothing at this path any more, or after so many seconds.
    Gone {
        /// Where to look.
        path: String,
        /// How long; none is not at all.
        limit: Option<u64>,
    },
}

impl Call {
    /// A request that is done when it is answered.
    pub fn new(method: &'static str, path: impl Into<String>, body: Option<Value>) -> Self {
        Self {
            method,
            path: path.into(),
            body,
            until: Until::Done,
        }
    }
}

impl Command {
    /// The request.
    pub fn call(&self) -> Result<Call, ConfigError> {
        let get = |path: &str| Ok(Call::new("GET", path, None));
        let post = |path: &str| Ok(Call::new("POST", path, None));
        match self {
            Self::Machine => get("/machine"),
            Self::Pause => Ok(Call {
                until: Until::Paused,
                ..state("paused")
            }),
            Self::Resume => Ok(state("running")),
            Self::PowerButton => post("/machine/power-button"),
            Self::Reset => post("/machine/reset"),
            Self::Quit => post("/machine/quit"),
            Self::Counters => get("/counters"),
            Self::Balloon { keys: None } => get("/balloon"),
            Self::Balloon { keys: Some(keys) } => {
                let body = Value::Object(parse_text(&TARGET_SIZE, keys)?);
                Ok(Call::new("PUT", "/balloon", Some(body)))
            }
            Self::Devices => get("/devices"),
            Self::Units(keys) => get(&below(&parse(&CONTROLLER, keys)?, "units")),
            Self::Faults(keys) => get(&below(&parse(&CONTROLLER, keys)?, "faults")),
            Self::Scsi(command) => command.call(),
            Self::Disk(command) => command.call(),
            Self::Cdrom(command) => command.call(),
            Self::Passthrough(command) => command.call(),
            Self::Fault(command) => command.call(),
            Self::Request { method, path, json } => request(*method, path, json.as_deref()),
        }
    }
}

impl ScsiCommand {
    fn call(&self) -> Result<Call, ConfigError> {
        match self {
            Self::Add(keys) => add(&SCSI, keys),
            Self::Remove { keys, wait } => {
                let map = parse_text(&REMOVE, keys)?;
                let path = format!("/devices/{}", text(&map, "id"));
                let query = if is_on(&map, "surprise") {
                    "?surprise=true"
                } else {
                    ""
                };
                Ok(Call {
                    until: Until::Gone {
                        path: path.clone(),
                        limit: *wait,
                    },
                    ..Call::new("DELETE", path + query, None)
                })
            }
        }
    }
}

impl DiskCommand {
    fn call(&self) -> Result<Call, ConfigError> {
        match self {
            Self::Add(keys) => add(&DISK, keys),
            Self::Remove(keys) => remove(keys),
            Self::Resize(keys) => {
                let map = parse(&RESIZE, keys)?;
                let size = map.get("size").map(|size| json!({ "size": size }));
                let body = size.unwrap_or_else(|| json!({}));
                Ok(Call::new("POST", unit(&map) + "/resize", Some(body)))
            }
        }
    }
}

impl CdromCommand {
    fn call(&self) -> Result<Call, ConfigError> {
        match self {
            Self::Add(keys) => add(&CDROM, keys),
            Self::Remove(keys) => remove(keys),
            Self::Change(keys) => {
                let map = parse(&CHANGE, keys)?;
                let body = json!({ "path": text(&map, "path") });
                Ok(Call::new("PUT", medium(&map), Some(body)))
            }
            Self::Eject(keys) => Ok(Call::new("DELETE", medium(&parse(&EJECT, keys)?), None)),
        }
    }
}

impl PassthroughCommand {
    fn call(&self) -> Result<Call, ConfigError> {
        match self {
            Self::Add(keys) => add(&PASSTHROUGH, keys),
            Self::Remove(keys) => remove(keys),
        }
    }
}

impl FaultCommand {
    fn call(&self) -> Result<Call, ConfigError> {
        match self {
            Self::Add(keys) => {
                let mut map = parse(&FAULT, keys)?;
                let path = below(&map, "faults");
                map.remove("on");
                Ok(Call::new("POST", path, Some(Value::Object(map))))
            }
            Self::Clear(keys) => {
                let map = parse(&CLEAR, keys)?;
                let mut path = below(&map, "faults");
                if let Some(id) = map.get("id") {
                    path.push_str(&format!("/{id}"));
                }
                Ok(Call::new("DELETE", path, None))
            }
        }
    }
}

fn state(state: &str) -> Call {
    Call::new("PUT", "/machine/state", Some(json!({ "state": state })))
}

fn add(object: &Object, keys: &Keys) -> Result<Call, ConfigError> {
    let body = Value::Object(parse(object, keys)?);
    Ok(Call::new("POST", format!("/{}", object.name), Some(body)))
}

fn remove(keys: &Keys) -> Result<Call, ConfigError> {
    Ok(Call::new("DELETE", unit(&parse(&UNIT, keys)?), None))
}

fn request(method: Method, path: &str, json: Option<&str>) -> Result<Call, ConfigError> {
    let method = match method {
        Method::Get => "GET",
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Delete => "DELETE",
    };
    let plain = |byte: u8| byte.is_ascii_graphic();
    if !path.starts_with('/') || !path.bytes().all(plain) {
        let text = format!("request: {path}: give a path that starts with / and has no spaces");
        return Err(ConfigError(text));
    }
    let body = json.map(serde_json::from_str).transpose();
    let body = body.map_err(|error| ConfigError(format!("request: {error}")))?;
    Ok(Call::new(method, path, body))
}

fn parse(object: &Object, keys: &Keys) -> Result<Map<String, Value>, ConfigError> {
    parse_text(object, &keys.keys)
}

/// Reads keys; paths are made absolute, because the VMM may be elsewhere.
fn parse_text(object: &Object, keys: &str) -> Result<Map<String, Value>, ConfigError> {
    let value = options::parse(object, keys)
        .map_err(|ConfigError(text)| ConfigError(text.trim_start_matches("--").to_owned()))?;
    let Value::Object(mut map) = value else {
        return Ok(Map::new());
    };
    for key in ["path", "pi"] {
        if let Some(Value::String(path)) = map.get_mut(key) {
            let is_path = object.name != CDROM.name || path != "empty";
            if let Some(absolute) = std::path::absolute(Path::new(path))
                .ok()
                .filter(|_| is_path)
            {
                *path = absolute.to_string_lossy().into_owned();
            }
        }
    }
    Ok(map)
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_on(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// The path of something that the controller `on` has.
fn below(map: &Map<String, Value>, what: &str) -> String {
    format!("/devices/{}/{what}", text(map, "on"))
}

/// The path of the unit that `on`, `target` and `lun` name.
fn unit(map: &Map<String, Value>) -> String {
    let number = |key| map.get(key).and_then(Value::as_u64).unwrap_or(0);
    let name = format!("units/{}:{}", number("target"), number("lun"));
    below(map, &name)
}

fn medium(map: &Map<String, Value>) -> String {
    let query = if is_on(map, "force") {
        "?force=true"
    } else {
        ""
    };
    unit(map) + "/medium" + query
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use hospes::control::routes::ROUTES;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn call(line: &str) -> Result<Call, ConfigError> {
        let words = ["ctl"].into_iter().chain(line.split(' '));
        Line::try_parse_from(words).unwrap().command.call()
    }

    fn brief(line: &str) -> String {
        let call = call(line).unwrap();
        let body = call.body.map(|body| format!(" {body}"));
        format!("{} {}{}", call.method, call.path, body.unwrap_or_default())
    }

    #[test]
    fn commands_are_requests() {
        for (line, request) in [
            ("machine", "GET /machine"),
            ("pause", "PUT /machine/state {\"state\":\"paused\"}"),
            ("balloon", "GET /balloon"),
            ("balloon target=1G", "PUT /balloon {\"target\":\"1G\"}"),
            ("balloon 1G", "PUT /balloon {\"target\":\"1G\"}"),
            ("units on=s0", "GET /devices/s0/units"),
            ("units s0", "GET /devices/s0/units"),
            (
                "disk add path=/a,on=s0,readonly",
                "POST /disk {\"on\":\"s0\",\"path\":\"/a\",\"readonly\":true}",
            ),
            ("disk remove on=s0,lun=3", "DELETE /devices/s0/units/0:3"),
            (
                "disk resize on=s0,lun=3,target=1,size=2G",
                "POST /devices/s0/units/1:3/resize {\"size\":\"2G\"}",
            ),
            (
                "disk resize on=s0,lun=3",
                "POST /devices/s0/units/0:3/resize {}",
            ),
            (
                "cdrom change on=s0,lun=1,path=/b.iso,force",
                "PUT /devices/s0/units/0:1/medium?force=true {\"path\":\"/b.iso\"}",
            ),
            (
                "cdrom eject on=s0,lun=1",
                "DELETE /devices/s0/units/0:1/medium",
            ),
            (
                "cdrom add path=empty,on=s0",
                "POST /cdrom {\"on\":\"s0\",\"path\":\"empty\"}",
            ),
            (
                "scsi remove id=s1,surprise",
                "DELETE /devices/s1?surprise=true",
            ),
            ("scsi remove s1", "DELETE /devices/s1"),
            (
                "fault add on=s0,kind=delay,ms=0x10",
                "POST /devices/s0/faults {\"kind\":\"delay\",\"ms\":16}",
            ),
            ("fault clear on=s0,id=2", "DELETE /devices/s0/faults/2"),
            ("fault clear on=s0", "DELETE /devices/s0/faults"),
            ("request GET /x", "GET /x"),
        ] {
            assert_eq!(brief(line), request, "{line}");
        }
    }

    #[test]
    fn paths_do_not_depend_on_where_the_vmm_is() {
        let body = call("disk add path=a.img,on=s0").unwrap().body.unwrap();
        assert!(body["path"].as_str().unwrap().starts_with('/'), "{body}");
    }

    #[test]
    fn mistakes_are_named() {
        for (line, text) in [
            ("disk remove on=s0", "disk remove: lun is missing"),
            ("disk add on=s0", "disk: path is missing"),
            ("request GET x", "starts with /"),
        ] {
            let error = call(line).unwrap_err();
            assert!(
                error.0.contains(text) && !error.0.starts_with('-'),
                "{error}"
            );
        }
    }

    /// Every route but its description can be reached by a command of its own.
    #[test]
    fn there_is_a_command_for_every_route() {
        let lines = [
            "machine",
            "pause",
            "power-button",
            "reset",
            "quit",
            "counters",
            "balloon",
            "balloon target=0",
            "devices",
            "units s0",
            "faults s0",
            "scsi add virtio,id=s1",
            "scsi remove s1",
            "disk add path=/a,on=s0",
            "disk remove on=s0,lun=3",
            "disk resize on=s0,lun=3",
            "cdrom add on=s0",
            "cdrom change on=s0,lun=3,path=/b",
            "cdrom eject on=s0,lun=3",
            "passthrough add path=/a,on=s0",
            "fault add on=s0,kind=drop",
            "fault clear on=s0",
            "fault clear on=s0,id=1",
        ];
        let mut missing: Vec<_> = ROUTES
            .iter()
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        for line in lines {
            let call = call(line).unwrap();
            let path = call.path.replace("s0", "{id}").replace("s1", "{id}");
            let path = path
                .replace("0:3", "{unit}")
                .replace("faults/1", "faults/{fault}");
            missing.retain(|route| *route != format!("{} {path}", call.method));
        }
        assert_eq!(missing, ["GET /devices/{id}", "GET /openapi.json"]);
    }
}
