// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Features that are nothing without another.
//!
//! A guest's kernel switches off what lacks its base, so that a guest would not
//! see what it was promised.

use crate::cpu::features::{Feature, FeatureSet};

/// A feature, and what it needs.
#[rustfmt::skip]
const NEEDS: &[(&str, &str)] = &[
    ("sse", "fxsr"), ("sse2", "sse"), ("pni", "sse2"), ("ssse3", "sse2"), ("sse4_1", "sse2"),
    ("sse4_2", "sse2"), ("sse4a", "sse2"), ("misalignsse", "sse"), ("aes", "sse2"),
    ("pclmulqdq", "sse2"), ("sha_ni", "sse2"), ("gfni", "sse2"),
    ("avx", "xsave"), ("xsaveopt", "xsave"), ("xsavec", "xsave"), ("xsaves", "xsave"),
    ("xgetbv1", "xsave"), ("pku", "xsave"), ("mpx", "xsave"), ("amx_tile", "xsave"),
    ("f16c", "avx"), ("fma", "avx"), ("fma4", "avx"), ("xop", "avx"), ("avx2", "avx"),
    ("vaes", "avx"), ("vpclmulqdq", "avx"), ("avx_vnni", "avx2"), ("avx_ifma", "avx2"),
    ("avx512f", "avx2"), ("avx512dq", "avx512f"), ("avx512cd", "avx512f"),
    ("avx512bw", "avx512f"), ("avx512vl", "avx512f"), ("avx512ifma", "avx512f"),
    ("avx512pf", "avx512f"), ("avx512er", "avx512f"), ("avx512_vpopcntdq", "avx512f"),
    ("avx512_4vnniw", "avx512f"), ("avx512_4fmaps", "avx512f"),
    ("avx512vbmi", "avx512vl"), ("avx512_vbmi2", "avx512vl"), ("avx512_vnni", "avx512vl"),
    ("avx512_bitalg", "avx512vl"), ("avx512_bf16", "avx512vl"), ("avx512_fp16", "avx512bw"),
    ("avx512_vp2intersect", "avx512vl"), ("amx_bf16", "amx_tile"), ("amx_int8", "amx_tile"),
    ("amx_fp16", "amx_tile"), ("xfd", "xsaves"), ("shstk", "xsaves"), ("ibt", "xsaves"),
    ("invpcid", "pcid"),
];

fn pairs() -> impl Iterator<Item = (Feature, Feature)> {
    NEEDS
        .iter()
        .filter_map(|(feature, base)| Some((feature.parse().ok()?, base.parse().ok()?)))
}

/// Takes out of `set` whatever lacks its base. The features in `wanted` were
/// asked for: the first of them that lacks its base is returned, with the base.
pub fn settle(set: &mut FeatureSet, wanted: &[Feature]) -> Result<(), (Feature, Feature)> {
    let unfounded = |set: &FeatureSet| {
        pairs().find(|(feature, base)| set.contains(*feature) && !set.contains(*base))
    };
    // Every round takes one feature out, so this ends.
    while let Some((feature, base)) = unfounded(set) {
        if wanted.contains(&feature) {
            return Err((feature, base));
        }
        set.remove(feature);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_every_pair_exist() {
        assert_eq!(pairs().count(), NEEDS.len());
    }

    #[test]
    fn dependents_go_with_their_base() {
        let mut set = FeatureSet::named(&["fxsr", "sse", "sse2", "avx", "fma", "avx2", "avx512f"]);
        assert_eq!(settle(&mut set, &[]), Ok(()));
        assert_eq!(set, FeatureSet::named(&["fxsr", "sse", "sse2"]));
    }

    #[test]
    fn what_was_asked_for_is_not_dropped() {
        let fma: Feature = "fma".parse().unwrap();
        let mut set = FeatureSet::named(&["fma"]);
        let (feature, base) = settle(&mut set, &[fma]).unwrap_err();
        assert_eq!((feature.name, base.name), ("fma", "avx"));
    }
}
