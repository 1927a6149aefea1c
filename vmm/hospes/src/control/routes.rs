// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which method and path do what.

use std::path::PathBuf;

use hospes_scsi::UnitAddress;
use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde_json::{json, Value};

use crate::config::{self, Bytes};
use crate::control::http::{Answer, Request, Status};
use crate::devices::Removal;
use crate::handle::{Handle, State};
use crate::refusal::Refusal;
use crate::storage::unit::{self, Entry};

/// What a route does.
type Action = fn(&Handle, &Call<'_>) -> Result<Answer, Refusal>;

/// A method and a path, whose parts in braces stand for anything.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    action: Action,
}

const fn route(method: &'static str, path: &'static str, action: Action) -> Route {
    Route {
        method,
        path,
        action,
    }
}

/// All routes.
pub const ROUTES: &[Route] = &[
    route("GET", "/machine", get_machine),
    route("PUT", "/machine/state", put_state),
    route("POST", "/machine/power-button", press_power_button),
    route("POST", "/machine/reset", reset),
    route("POST", "/machine/quit", quit),
    route("GET", "/counters", get_counters),
    route("GET", "/balloon", get_balloon),
    route("PUT", "/balloon", put_balloon),
    route("GET", "/devices", get_devices),
    route("GET", "/devices/{id}", get_device),
    route("DELETE", "/devices/{id}", remove_device),
    route("GET", "/devices/{id}/faults", get_faults),
    route("POST", "/devices/{id}/faults", add_fault),
    route("DELETE", "/devices/{id}/faults", clear_faults),
    route("DELETE", "/devices/{id}/faults/{fault}", clear_fault),
    route("GET", "/devices/{id}/units", get_units),
    route("DELETE", "/devices/{id}/units/{unit}", remove_unit),
    route("POST", "/devices/{id}/units/{unit}/resize", resize),
    route("PUT", "/devices/{id}/units/{unit}/medium", change_medium),
    route("DELETE", "/devices/{id}/units/{unit}/medium", eject_medium),
    route("POST", "/scsi", add_scsi),
    route("POST", "/disk", add_disk),
    route("POST", "/cdrom", add_cdrom),
    route("POST", "/passthrough", add_passthrough),
    route("GET", "/openapi.json", get_description),
];

/// The description of all this.
const DESCRIPTION: &str = include_str!("../../openapi.json");

/// A request for a route.
struct Call<'a> {
    request: &'a Request,
    /// What stands for the parts in braces.
    parameters: Vec<&'a str>,
}

impl Call<'_> {
    fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).copied().unwrap_or_default()
    }

    /// The device that the path names.
    fn id(&self) -> &str {
        self.parameter(0)
    }

    /// The unit that the path names.
    fn unit(&self) -> Result<UnitAddress, Refusal> {
        let text = self.parameter(1);
        unit::parse_name(text).ok_or_else(|| {
            Refusal::invalid(format!(
                "{text} is no unit: give target and logical unit number, such as 0:3"
            ))
        })
    }

    /// The body, or an empty object if there is none.
    fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let body = match self.request.body.as_slice() {
            [] => b"{}",
            body => body,
        };
        let mut reader = serde_json::Deserializer::from_slice(body);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(Refusal::invalid)?;
        reader.end().map_err(Refusal::invalid)?;
        Ok(value)
    }

    /// A switch in the query, which may have no other.
    fn switch(&self, name: &str) -> Result<bool, Refusal> {
        let query = self.request.query.as_str();
        match query.split_once('=').unwrap_or((query, "true")) {
            ("", _) => Ok(false),
            (key, "true") if key == name => Ok(true),
            (key, "false") if key == name => Ok(false),
            _ => Err(Refusal::invalid(format!(
                "?{query}: give {name}=true, {name}=false or nothing"
            ))),
        }
    }
}

/// Carries a request out.
pub fn answer(handle: &Handle, request: &Request) -> Answer {
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(parameters) = matches(route.path, &request.path) else {
            continue;
        };
        if route.method == request.method {
            let call = Call {
                request,
                parameters,
            };
            return (route.action)(handle, &call).unwrap_or_else(Answer::from);
        }
        allowed.push(route.method);
    }
    if allowed.is_empty() {
        let text = format!("there is no {}; see /openapi.json", request.path);
        return Answer::error(Status::NOT_FOUND, text);
    }
    let methods = allowed.join(", ");
    let text = format!("{} takes {methods}, not {}", request.path, request.method);
    Answer {
        allow: Some(methods),
        ..Answer::error(Status::METHOD_NOT_ALLOWED, text)
    }
}

/// What stands for the parts in braces, if `path` has the shape of `template`.
fn matches<'a>(template: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let mut parameters = Vec::new();
    let mut parts = path.split('/');
    for wanted in template.split('/') {
        let part = parts.next()?;
        if wanted.starts_with('{') {
            parameters.push(part);
        } else if wanted != part {
            return None;
        }
    }
    parts.next().is_none().then_some(parameters)
}

fn ok(body: Value) -> Result<Answer, Refusal> {
    Ok(Answer::new(Status::OK, body))
}

fn done() -> Result<Answer, Refusal> {
    ok(json!({}))
}

fn to_json(value: impl serde::Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(value).map_err(Refusal::failed)
}

fn get_machine(handle: &Handle, _: &Call<'_>) -> Result<Answer, Refusal> {
    ok(json!({
        "state": to_json(handle.state())?,
        "cpus": handle.cpus,
        "memory": handle.memory_size,
    }))
}

/// The body of a change of state.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    state: WantedState,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WantedState {
    Running,
    Paused,
}

fn put_state(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let state = match call.body::<Wanted>()?.state {
        WantedState::Running => handle.resume(),
        WantedState::Paused => handle.pause(),
    };
    let status = match state {
        State::Pausing => Status::ACCEPTED,
        State::Running | State::Paused => Status::OK,
    };
    Ok(Answer::new(status, json!({ "state": to_json(state)? })))
}

fn press_power_button(handle: &Handle, _: &Call<'_>) -> Result<Answer, Refusal> {
    handle.press_power_button();
    done()
}

fn reset(handle: &Handle, _: &Call<'_>) -> Result<Answer, Refusal> {
    handle.reset();
    done()
}

fn quit(handle: &Handle, _: &Call<'_>) -> Result<Answer, Refusal> {
    handle.quit();
    done()
}

fn get_counters(handle: &Handle, _: &Call<'_>) -> Result<Answer, Refusal> {
    ok(handle.counters())
}

fn get_balloon(handle: &Handle, _: &Call<'_>) -> Result<Answer, Refusal> {
    ok(to_json(handle.balloon()?)?)
}

/// The body of a new target.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    target: Bytes,
}

fn put_balloon(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let target = call.body::<Target>()?.target.0;
    ok(to_json(handle.set_balloon_target(target)?)?)
}

fn get_devices(handle: &Handle, _: &Call<'_>) -> Result<Answer, Refusal> {
    ok(to_json(handle.devices.list())?)
}

fn get_device(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    ok(to_json(handle.devices.describe(call.id())?)?)
}

fn remove_device(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let (removal, status) = if call.switch("surprise")? {
        (Removal::Surprise, Status::OK)
    } else {
        (Removal::Orderly, Status::ACCEPTED)
    };
    let device = handle.remove_device(call.id(), removal)?;
    Ok(Answer::new(status, to_json(device)?))
}

fn get_faults(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    ok(handle.faults(call.id())?.into())
}

fn add_fault(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let id = handle.inject(call.id(), call.body()?)?;
    Ok(Answer::new(Status::CREATED, json!({ "id": id })))
}

fn clear_faults(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    handle.clear_faults(call.id(), None)?;
    done()
}

fn clear_fault(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let text = call.parameter(1);
    let id = text
        .parse()
        .map_err(|_| Refusal::invalid(format!("{text} is no number of a fault")))?;
    handle.clear_faults(call.id(), Some(id))?;
    done()
}

fn get_units(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    ok(handle.units(call.id())?.into())
}

fn remove_unit(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    handle.remove_unit(call.id(), call.unit()?)?;
    done()
}

/// The body of a resize.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resize {
    size: Option<Bytes>,
}

fn resize(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let size = call.body::<Resize>()?.size.map(|size| size.0);
    let changed = handle.resize(call.id(), call.unit()?, size)?;
    ok(json!({ "changed": changed }))
}

/// The body of a change of medium.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Medium {
    path: PathBuf,
}

fn change_medium(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let path = call.body::<Medium>()?.path;
    let force = call.switch("force")?;
    handle.set_medium(call.id(), call.unit()?, Some(&path), force)?;
    done()
}

fn eject_medium(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let force = call.switch("force")?;
    handle.set_medium(call.id(), call.unit()?, None, force)?;
    done()
}

fn add_scsi(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let device = handle.add_controller(&call.body::<config::Scsi>()?)?;
    Ok(Answer::new(Status::CREATED, to_json(device)?))
}

fn add_disk(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let disk: config::Disk = call.body()?;
    add_units(handle, Entry::Disk(disk.into()))
}

fn add_cdrom(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    add_units(handle, Entry::Cdrom(call.body()?))
}

fn add_passthrough(handle: &Handle, call: &Call<'_>) -> Result<Answer, Refusal> {
    let device: config::Passthrough = call.body()?;
    add_units(handle, Entry::Passthrough(device.into()))
}

fn add_units(handle: &Handle, entry: Entry) -> Result<Answer, Refusal> {
    let units = handle.add_units(entry)?;
    let names: Vec<_> = units.into_iter().map(unit::name).collect();
    Ok(Answer::new(Status::CREATED, json!({ "units": names })))
}

fn get_description(_: &Handle, _: &Call<'_>) -> Result<Answer, Refusal> {
    ok(serde_json::from_str(DESCRIPTION).map_err(Refusal::failed)?)
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
