// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Sets of features, by name and by the registers of CPUID.

use std::str::FromStr;

use kvm_bindings::kvm_cpuid_entry2;

use crate::cpu::table::{Output, Register, REGISTERS, REGISTER_COUNT};

/// One feature that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Index of its register.
    register: usize,
    /// Its bit there.
    bit: u8,
    /// Its name.
    pub name: &'static str,
}

impl FromStr for Feature {
    type Err = ();

    /// Finds a feature. Hyphens and dots count as underscores, as other programs
    /// write some of the names.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.replace(['-', '.'], "_");
        all().find(|feature| feature.name == text).ok_or(())
    }
}

/// All features, by register.
pub fn all() -> impl Iterator<Item = Feature> {
    REGISTERS.iter().enumerate().flat_map(|(register, entry)| {
        entry.names.iter().map(move |&(bit, name)| Feature {
            register,
            bit,
            name,
        })
    })
}

/// A set of features: the bits of all registers. It also holds bits that have
/// no names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSet([u32; REGISTER_COUNT]);

impl FeatureSet {
    /// What CPUID says in `entries`.
    pub fn of(entries: &[kvm_cpuid_entry2]) -> Self {
        let mut set = Self::default();
        for (value, register) in set.0.iter_mut().zip(&REGISTERS) {
            let entry = entries.iter().find(|entry| register.is_in(entry));
            *value = entry.map_or(0, |entry| register.value(entry));
        }
        set
    }

    /// The features called `names`; names that do not exist are left out.
    pub fn named(names: &[&str]) -> Self {
        let mut set = Self::default();
        for feature in names.iter().filter_map(|name| name.parse().ok()) {
            set.insert(feature);
        }
        set
    }

    /// Adds a feature.
    pub fn insert(&mut self, feature: Feature) {
        if let Some(value) = self.0.get_mut(feature.register) {
            *value |= feature.mask();
        }
    }

    /// Takes a feature out.
    pub fn remove(&mut self, feature: Feature) {
        if let Some(value) = self.0.get_mut(feature.register) {
            *value &= !feature.mask();
        }
    }

    /// Whether a feature is in it.
    pub fn contains(&self, feature: Feature) -> bool {
        let value = self.0.get(feature.register).copied().unwrap_or(0);
        value & feature.mask() != 0
    }

    /// Whether the feature called `name` is in it.
    pub fn has(&self, name: &str) -> bool {
        name.parse().is_ok_and(|feature| self.contains(feature))
    }

    /// The features that are in it and not in `other`.
    pub fn without(&self, other: &Self) -> Vec<Feature> {
        all()
            .filter(|feature| self.contains(*feature) && !other.contains(*feature))
            .collect()
    }

    /// Writes the bits of the registers that `entry` has.
    pub fn write(&self, entry: &mut kvm_cpuid_entry2) {
        for (value, register) in self.0.iter().zip(&REGISTERS) {
            if register.is_in(entry) {
                *register.value_mut(entry) = *value;
            }
        }
    }
}

impl Feature {
    fn mask(self) -> u32 {
        1u32.checked_shl(u32::from(self.bit)).unwrap_or(0)
    }
}

impl Register {
    fn is_in(&self, entry: &kvm_cpuid_entry2) -> bool {
        (entry.function, entry.index) == (self.leaf, self.subleaf)
    }

    fn value(&self, entry: &kvm_cpuid_entry2) -> u32 {
        match self.output {
            Output::Eax => entry.eax,
            Output::Ebx => entry.ebx,
            Output::Ecx => entry.ecx,
            Output::Edx => entry.edx,
        }
    }

    fn value_mut<'a>(&self, entry: &'a mut kvm_cpuid_entry2) -> &'a mut u32 {
        match self.output {
            Output::Eax => &mut entry.eax,
            Output::Ebx => &mut entry.ebx,
            Output::Ecx => &mut entry.ecx,
            Output::Edx => &mut entry.edx,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Names and numbers of Linux 7.3, `arch/x86/include/asm/cpufeatures.h`.
    const LINUX: &str = include_str!("linux_features.txt");

    /// Linux's number of the word that a register is kept in.
    fn word(register: &Register) -> Option<u32> {
        Some(match (register.leaf, register.subleaf, register.output) {
            (1, 0, Output::Edx) => 0,
            (0x8000_0001, 0, Output::Edx) => 1,
            (1, 0, Output::Ecx) => 4,
            (0x8000_0001, 0, Output::Ecx) => 6,
            (7, 0, Output::Ebx) => 9,
            (0xd, 1, Output::Eax) => 10,
            (7, 1, Output::Eax) => 12,
            (0x8000_0008, 0, Output::Ebx) => 13,
            (6, 0, Output::Eax) => 14,
            (7, 0, Output::Ecx) => 16,
            (7, 0, Output::Edx) => 18,
            (0x8000_0021, 0, Output::Eax) => 20,
            // Linux keeps this one bit in a word of its own making.
            (0x8000_0007, 0, Output::Edx) => return None,
            _ => panic!("{register:?} is no word of Linux"),
        })
    }

    #[test]
    fn names_and_bits_are_those_of_linux() {
        let known: BTreeSet<(u32, u32, &str)> = LINUX
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let [word, bit, name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                    panic!("{line}");
                };
                (word.parse().unwrap(), bit.parse().unwrap(), name)
            })
            .collect();
        for feature in all() {
            let Some(word) = word(&REGISTERS[feature.register]) else {
                continue;
            };
            let entry = (word, u32::from(feature.bit), feature.name);
            assert!(known.contains(&entry), "{entry:?}");
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = all().map(|feature| feature.name).collect();
        assert_eq!(names.len(), all().count());
    }

    #[test]
    fn other_spellings_are_found() {
        for (text, name) in [
            ("sse4.1", "sse4_1"),
            ("lahf-lm", "lahf_lm"),
            ("avx2", "avx2"),
        ] {
            assert_eq!(text.parse::<Feature>().unwrap().name, name);
        }
        assert!("avx3".parse::<Feature>().is_err());
    }

    #[test]
    fn sets_and_registers_agree() {
        let set = FeatureSet::named(&["avx2", "invpcid", "lm", "nothing"]);
        let mut entry = kvm_cpuid_entry2 {
            function: 7,
            ebx: 1,
            ecx: 1,
            ..Default::default()
        };
        set.write(&mut entry);
        assert_eq!((entry.ebx, entry.ecx), ((1 << 5) | (1 << 10), 0));
        let other = FeatureSet::of(&[entry]);
        let missing: Vec<_> = set.without(&other).iter().map(|it| it.name).collect();
        assert_eq!(missing, ["lm"]);
        assert!(other.has("avx2") && !other.has("lm"));
    }
}
