// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The CPUID leaves of a model, made of what KVM supports on this host.

use kvm_bindings::{kvm_cpuid_entry2, CpuId};
use thiserror::Error;

use crate::cpu::choice::{Base, Change, CpuModel};
use crate::cpu::dependencies;
use crate::cpu::features::{Feature, FeatureSet};
use crate::cpu::models::{Model, Vendor, OF_KVM};
use crate::cpu::{leaves, xsave};

/// Why a model cannot be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CpuError {
    /// The host lacks features.
    #[error(
        "cpu_model={model}: KVM on this machine lacks {}; use another machine, or do without: \
         cpu_model={model}{}",
        list(missing, ", "),
        without(missing)
    )]
    Missing {
        /// What was asked for.
        model: String,
        /// What is not there.
        missing: Vec<&'static str>,
    },
    /// A feature was added to a model that lacks its base.
    #[error("cpu_model={model}: {feature} is nothing without {base}; add +{base}")]
    Unfounded {
        /// What was asked for.
        model: String,
        /// The feature.
        feature: &'static str,
        /// What it needs.
        base: &'static str,
    },
    /// There are more leaves than KVM takes.
    #[error("cpu_model={0}: more CPUID leaves than KVM takes")]
    TooMany(String),
}

fn list(names: &[&str], separator: &str) -> String {
    names.join(separator)
}

fn without(names: &[&str]) -> String {
    (names.iter()).fold(String::new(), |text, name| text + ",-" + name)
}

/// The leaves of `choice`, before topology, given what KVM supports.
///
/// # Errors
///
/// [`CpuError::Missing`] with all that the host lacks.
pub fn build(choice: &CpuModel, supported: &CpuId) -> Result<CpuId, CpuError> {
    let host = supported.as_slice();
    let features = features(choice, &FeatureSet::of(host))?;
    let mut entries = match choice.base {
        Base::Host => leaves::of_host(host),
        Base::Named(model) => leaves::of_model(model, host),
    };
    entries.retain(|entry| entry.function != xsave::LEAF && leaves::is_described(entry, &features));
    for entry in &mut entries {
        features.write(entry);
    }
    entries.extend(xsave::entries(host, &features));
    if vendor_is_amd(choice, host) {
        leaves::mirror(&mut entries);
    }
    leaves::raise_levels(&mut entries);
    CpuId::from_entries(&entries).map_err(|_| CpuError::TooMany(choice.to_string()))
}

fn vendor_is_amd(choice: &CpuModel, host: &[kvm_cpuid_entry2]) -> bool {
    match choice.base {
        Base::Host => leaves::is_mirrored(host),
        Base::Named(model) => model.vendor == Vendor::Amd,
    }
}

/// The features of `choice`, all of which are in `host`.
fn features(choice: &CpuModel, host: &FeatureSet) -> Result<FeatureSet, CpuError> {
    let mut set = match choice.base {
        Base::Host => *host,
        Base::Named(model) => of_model(model, host),
    };
    let mut wanted = Vec::new();
    for change in &choice.changes {
        match *change {
            Change::Add(feature) => {
                set.insert(feature);
                wanted.push(feature);
            }
            Change::Remove(feature) => {
                set.remove(feature);
                wanted.retain(|other| *other != feature);
            }
        }
    }
    settle(choice, &mut set, &wanted)?;
    let missing: Vec<_> = set.without(host).iter().map(|it| it.name).collect();
    if missing.is_empty() {
        return Ok(set);
    }
    Err(CpuError::Missing {
        model: choice.to_string(),
        missing,
    })
}

fn of_model(model: &Model, host: &FeatureSet) -> FeatureSet {
    let mut set = FeatureSet::named(model.features);
    let of_kvm = OF_KVM.iter().filter(|name| host.has(name));
    for feature in of_kvm.filter_map(|name| name.parse().ok()) {
        set.insert(feature);
    }
    set
}

fn settle(choice: &CpuModel, set: &mut FeatureSet, wanted: &[Feature]) -> Result<(), CpuError> {
    dependencies::settle(set, wanted).map_err(|(feature, base)| CpuError::Unfounded {
        model: choice.to_string(),
        feature: feature.name,
        base: base.name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::features;
    use crate::cpu::models::MODELS;

    fn entry(function: u32, index: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            index,
            ..Default::default()
        }
    }

    /// A host that has all features but those called `lacks`.
    fn host(lacks: &[&str]) -> CpuId {
        let mut set = FeatureSet::default();
        for feature in features::all().filter(|feature| !lacks.contains(&feature.name)) {
            set.insert(feature);
        }
        let mut entries = vec![
            kvm_cpuid_entry2 {
                eax: 0x20,
                ..entry(0, 0)
            },
            kvm_cpuid_entry2 {
                eax: 0xc0662,
                ..entry(1, 0)
            },
            entry(6, 0),
            entry(7, 0),
            entry(7, 1),
            kvm_cpuid_entry2 {
                eax: 7,
                ecx: 832,
                ..entry(0xd, 0)
            },
            entry(0xd, 1),
            kvm_cpuid_entry2 {
                eax: 256,
                ebx: 576,
                ..entry(0xd, 2)
            },
            kvm_cpuid_entry2 {
                ebx: 0x4b4d_564b,
                ..entry(0x4000_0000, 0)
            },
            entry(0x8000_0000, 0),
            entry(0x8000_0001, 0),
            entry(0x8000_0007, 0),
            kvm_cpuid_entry2 {
                eax: 0x3934,
                ..entry(0x8000_0008, 0)
            },
            kvm_cpuid_entry2 {
                eax: 1,
                ..entry(0x8000_000a, 0)
            },
            entry(0x8000_0021, 0),
        ];
        for entry in &mut entries {
            set.write(entry);
        }
        CpuId::from_entries(&entries).unwrap()
    }

    fn choice(text: &str) -> CpuModel {
        text.parse().unwrap()
    }

    fn leaf(cpuid: &CpuId, function: u32) -> Option<kvm_cpuid_entry2> {
        let mut entries = cpuid.as_slice().iter();
        entries.find(|entry| entry.function == function).copied()
    }

    #[test]
    fn a_guest_sees_the_model_and_nothing_else() {
        for model in &MODELS {
            let cpuid = build(&choice(model.name), &host(&[])).unwrap();
            let mut expected = FeatureSet::named(model.features);
            for name in OF_KVM {
                expected.insert(name.parse().unwrap());
            }
            let found = FeatureSet::of(cpuid.as_slice());
            assert_eq!(found.without(&expected), []);
            assert_eq!(expected.without(&found), []);
            let name = leaf(&cpuid, 0).unwrap();
            let vendor = [name.ebx, name.edx, name.ecx]
                .map(u32::to_le_bytes)
                .concat();
            assert_eq!(vendor, model.vendor.name());
            assert_eq!(leaf(&cpuid, 1).unwrap().eax, model.signature.eax());
            assert_eq!(leaf(&cpuid, 0xd).unwrap().eax, 7);
            // A processor without LA57 has 48 bits of virtual addresses.
            assert_eq!(leaf(&cpuid, 0x8000_0008).unwrap().eax & 0xffff, 0x3034);
            assert_eq!(leaf(&cpuid, 0x8000_000a), None);
            assert_eq!(leaf(&cpuid, 0x4000_0000).unwrap().ebx, 0x4b4d_564b);
        }
    }

    #[test]
    fn one_error_names_all_that_is_missing() {
        let host = host(&["pcid", "invpcid", "hle", "rtm"]);
        let error = build(&choice("haswell,-rtm"), &host).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cpu_model=haswell,-rtm: KVM on this machine lacks pcid, hle, invpcid; use another \
             machine, or do without: cpu_model=haswell,-rtm,-pcid,-hle,-invpcid"
        );
        // What the error proposes works.
        build(&choice("haswell,-rtm,-pcid,-hle,-invpcid"), &host).unwrap();
    }

    #[test]
    fn what_is_taken_out_takes_its_dependents_along() {
        let cpuid = build(&choice("host,-avx"), &host(&[])).unwrap();
        let features = FeatureSet::of(cpuid.as_slice());
        for name in ["avx", "avx2", "fma", "avx512f", "vaes"] {
            assert!(!features.has(name), "{name}");
        }
        assert!(features.has("bmi2"));
        assert_eq!(leaf(&cpuid, 0xd).unwrap().eax, 3);
        let error = build(&choice("haswell,-avx,+fma"), &host(&[])).unwrap_err();
        assert!(matches!(error, CpuError::Unfounded { .. }), "{error}");
    }

    #[test]
    fn an_added_feature_brings_its_leaf() {
        let cpuid = build(&choice("opteron-g5,+svm"), &host(&[])).unwrap();
        assert!(leaf(&cpuid, 0x8000_000a).is_some());
        assert_eq!(leaf(&cpuid, 0x8000_0000).unwrap().eax, 0x8000_000a);
        let error = build(&choice("haswell,+svm"), &host(&["svm"])).unwrap_err();
        assert!(error.to_string().contains("lacks svm;"), "{error}");
    }

    #[test]
    fn the_host_is_what_kvm_supports() {
        let host = host(&["svm"]);
        let cpuid = build(&CpuModel::default(), &host).unwrap();
        let before = FeatureSet::of(host.as_slice());
        assert_eq!(FeatureSet::of(cpuid.as_slice()), before);
        assert_eq!(leaf(&cpuid, 1), leaf(&host, 1));
        assert_eq!(leaf(&cpuid, 0x8000_0021), leaf(&host, 0x8000_0021));
    }
}
