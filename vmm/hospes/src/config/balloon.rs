// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The balloon.

use protocol::vmballoon::Capabilities;
use serde::{Deserialize, Serialize};

use super::{Bytes, ConfigError, Personality};
use crate::vmware::balloon::Offer;

/// What is between the names of capabilities.
const SEPARATOR: char = '+';
/// What is said for a host that names none.
const LEGACY: &str = "legacy";

/// The protocol of a balloon.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BalloonKind {
    /// The balloon port of VMware.
    Vmware,
}

/// A balloon.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Balloon {
    /// Its protocol.
    #[serde(rename = "type")]
    pub kind: BalloonKind,
    /// What is wanted in it from the start, in bytes.
    #[serde(default = "nothing")]
    pub target: Bytes,
    /// What the guest is offered.
    #[serde(default)]
    pub caps: Offered,
}

fn nothing() -> Bytes {
    Bytes(0)
}

/// What a guest is offered: `all`, `legacy`, or capabilities with `+` between them.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Offered(pub Offer);

impl Default for Offered {
    fn default() -> Self {
        Self(Offer::Capabilities(Capabilities::ALL))
    }
}

impl TryFrom<String> for Offered {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "all" => return Ok(Self::default()),
            LEGACY => return Ok(Self(Offer::Legacy)),
            _ => {}
        }
        let mut all = Capabilities::default();
        for name in text.split(SEPARATOR) {
            let mut known = Capabilities::NAMES.iter();
            let (one, _) = known.find(|(_, known)| *known == name).ok_or_else(|| {
                let names = Capabilities::NAMES.map(|(_, name)| name);
                format!(
                    "{name}: give all, {LEGACY}, or some of {} with {SEPARATOR} between them",
                    names.join(", ")
                )
            })?;
            all = all.with(*one);
        }
        Ok(Self(Offer::Capabilities(all)))
    }
}

impl From<Offered> for String {
    fn from(offered: Offered) -> Self {
        let offered = match offered.0 {
            Offer::Legacy => return LEGACY.to_owned(),
            Offer::Capabilities(Capabilities::ALL) => return "all".to_owned(),
            Offer::Capabilities(offered) => offered,
        };
        let names = Capabilities::NAMES.iter();
        let names: Vec<_> = names
            .filter(|(one, _)| offered.contains(*one))
            .map(|(_, name)| *name)
            .collect();
        names.join("+")
    }
}

impl Balloon {
    /// Checks what the type alone does not say.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn check(&self, personality: Personality, memory: Bytes) -> Result<(), ConfigError> {
        if personality != Personality::Vmware {
            let text = "balloon: there is no balloon port; add --personality vmware";
            return Err(ConfigError(text.to_owned()));
        }
        let (target, memory) = (self.target.0, memory.0);
        if target > memory {
            let text = format!("balloon: target={target}: give at most {memory}, all memory");
            return Err(ConfigError(text));
        }
        Ok(())
    }

    /// Whether the guest can be told of a new target, which takes a device.
    pub fn has_doorbell(&self) -> bool {
        match self.caps.0 {
            Offer::Capabilities(offered) => offered.contains(Capabilities::SIGNALLED),
            Offer::Legacy => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_written_as_they_are_read() {
        for text in ["all", "legacy", "basic", "basic+batched+64-bit-target"] {
            let offered = Offered::try_from(text.to_owned()).unwrap();
            assert_eq!(String::from(offered), text);
        }
        let error = Offered::try_from("basic+fast".to_owned()).unwrap_err();
        assert!(
            error.starts_with("fast:") && error.contains("batched-2m"),
            "{error}"
        );
    }

    #[test]
    fn a_doorbell_needs_its_capability() {
        let balloon = |caps: &str| Balloon {
            kind: BalloonKind::Vmware,
            target: Bytes(0),
            caps: Offered::try_from(caps.to_owned()).unwrap(),
        };
        assert!(balloon("all").has_doorbell());
        assert!(!balloon("basic+batched").has_doorbell());
        assert!(!balloon("legacy").has_doorbell());
        let check = |personality| balloon("all").check(personality, Bytes(1));
        assert!(check(Personality::Kvm)
            .unwrap_err()
            .0
            .contains("--personality vmware"));
        assert!(check(Personality::Vmware).is_ok());
    }
}
