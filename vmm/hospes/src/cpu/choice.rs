// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A model as the user asks for it: `NAME[,+FEATURE][,-FEATURE]…`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::cpu::features::Feature;
use crate::cpu::models::{Model, MODELS};

/// The name of the model that shows all that KVM supports.
const HOST: &str = "host";

/// What the changes begin from.
#[derive(Clone, Copy, Debug)]
pub enum Base {
    /// All that KVM supports on this host.
    Host,
    /// A named model.
    Named(&'static Model),
}

impl Base {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => HOST,
            Self::Named(model) => model.name,
        }
    }
}

impl PartialEq for Base {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Base {}

/// A base and what is changed about it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuModel {
    /// Where it begins.
    pub base: Base,
    /// Features to add or to take out, in order.
    pub changes: Vec<Change>,
}

/// A change to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The feature is added.
    Add(Feature),
    /// The feature, and what is nothing without it, is taken out.
    Remove(Feature),
}

impl CpuModel {
    /// What the register with the microcode's revision has; `None` leaves it to
    /// KVM.
    pub fn microcode_msr(&self) -> Option<u64> {
        match self.base {
            Base::Host => None,
            Base::Named(model) => Some(model.microcode_msr()),
        }
    }
}

impl Default for CpuModel {
    fn default() -> Self {
        Self {
            base: Base::Host,
            changes: Vec::new(),
        }
    }
}

impl FromStr for CpuModel {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let mut words = text.split(',');
        let name = words.next().unwrap_or_default();
        Ok(Self {
            base: base(name)?,
            changes: words.map(change).collect::<Result<_, _>>()?,
        })
    }
}

fn base(name: &str) -> Result<Base, ConfigError> {
    if name == HOST {
        return Ok(Base::Host);
    }
    let model = MODELS.iter().find(|model| model.name == name);
    model.map(Base::Named).ok_or_else(|| {
        let names: Vec<_> = MODELS.iter().map(|model| model.name).collect();
        let names = names.join(", ");
        ConfigError(format!("cpu_model={name}: give {HOST}, {names}"))
    })
}

fn change(word: &str) -> Result<Change, ConfigError> {
    let fail = |text: &str| Err(ConfigError(format!("cpu_model: {word}: {text}")));
    let (make, name): (fn(Feature) -> Change, &str) = match word.split_at_checked(1) {
        Some(("+", name)) => (Change::Add, name),
        Some(("-", name)) => (Change::Remove, name),
        _ => return fail("give +FEATURE or -FEATURE"),
    };
    match name.parse() {
        Ok(feature) => Ok(make(feature)),
        Err(()) => fail("no such feature; names are those of the flags in /proc/cpuinfo"),
    }
}

impl fmt::Display for CpuModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.name())?;
        for change in &self.changes {
            match change {
                Change::Add(feature) => write!(f, ",+{}", feature.name)?,
                Change::Remove(feature) => write!(f, ",-{}", feature.name)?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for CpuModel {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl From<CpuModel> for String {
    fn from(model: CpuModel) -> Self {
        model.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_choice_are_the_same() {
        for text in ["host", "haswell,-pcid,-invpcid", "opteron-g5,+svm,-tbm"] {
            assert_eq!(text.parse::<CpuModel>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn errors_name_the_word() {
        for (text, part) in [
            ("pentium", "give host, haswell, opteron-g5"),
            ("haswell,avx", "avx: give +FEATURE"),
            ("haswell,", "give +FEATURE"),
            ("host,+avx3", "+avx3: no such feature"),
        ] {
            let error = text.parse::<CpuModel>().unwrap_err();
            assert!(error.0.contains(part), "{error}");
        }
    }
}
