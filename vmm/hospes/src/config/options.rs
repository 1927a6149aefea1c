// SPDX-License-Identifier: GPL-2.0 OR MIT

//! From `key=value,key=value` to JSON.

use serde_json::{Map, Value};

use super::keys::{Key, Kind, Object};
use super::ConfigError;

/// Turns one option's text into the JSON object that a file would have.
///
/// # Errors
///
/// [`ConfigError`] naming option and key.
pub fn parse(object: &Object, text: &str) -> Result<Value, ConfigError> {
    let mut map = Map::new();
    for (index, word) in text.split(',').enumerate() {
        let (name, value) = split(object, index, word);
        let fail = |text: String| ConfigError(format!("--{}: {text}", object.name));
        let Some(key) = object.key(name) else {
            return Err(fail(format!(
                "unknown key {name}; the keys are {}",
                object.names()
            )));
        };
        let value = convert(key, value).map_err(fail)?;
        if map.insert(key.name.to_owned(), value).is_some() {
            return Err(fail(format!("{name} is given twice")));
        }
    }
    for key in object.keys {
        if key.default.is_empty() && !map.contains_key(key.name) {
            let name = key.name;
            let text = format!(
                "--{}: {name} is missing; add {name}={}",
                object.name, key.value
            );
            return Err(ConfigError(text));
        }
    }
    Ok(Value::Object(map))
}

/// Splits a word; a first word without `=` may be the value of the head key.
fn split<'a>(object: &Object, index: usize, word: &'a str) -> (&'a str, Option<&'a str>) {
    match (word.split_once('='), object.head) {
        (Some((name, value)), _) => (name, Some(value)),
        (None, Some(head)) if index == 0 => (head, Some(word)),
        (None, _) => (word, None),
    }
}

fn convert(key: &Key, value: Option<&str>) -> Result<Value, String> {
    let name = key.name;
    let expected = || {
        format!(
            "{name}={}: give {name}={}",
            value.unwrap_or_default(),
            key.value
        )
    };
    match (key.kind, value) {
        (Kind::Text, Some(text)) if !text.is_empty() => Ok(Value::from(text)),
        (Kind::Number, Some(text)) => number(text).map(Value::from).ok_or_else(expected),
        (Kind::Switch, None | Some("on")) => Ok(Value::from(true)),
        (Kind::Switch, Some("off")) => Ok(Value::from(false)),
        _ => Err(expected()),
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
