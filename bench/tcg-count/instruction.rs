// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The few x86 instructions that matter here, by their bytes.

/// `nopl DISP32(%rax)` with a displacement that no compiler makes.
const MARK: [u8; 7] = [0x0f, 0x1f, 0x80, b'H', b'S', b'P', b'S'];
/// `movabs $IMM64, %rax`, without the constant.
const LOAD: [u8; 2] = [0x48, 0xb8];
const VMRUN: [u8; 3] = [0x0f, 0x01, 0xd8];

/// What an instruction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The beginning of a mark.
    Mark,
    /// A load of this constant.
    Load(u64),
    /// A call of any kind.
    Call,
    /// A near return.
    Return,
    /// The end of an interrupt or an exception.
    Iret,
    /// SVM: the guest runs from here to the next instruction.
    Vmrun,
    /// Anything else.
    Other,
}

/// Recognizes an instruction.
pub fn kind(bytes: &[u8]) -> Kind {
    if bytes == MARK {
        return Kind::Mark;
    }
    if bytes == VMRUN {
        return Kind::Vmrun;
    }
    if let Some(constant) = bytes.strip_prefix(&LOAD) {
        return constant
            .try_into()
            .map_or(Kind::Other, |value| Kind::Load(u64::from_le_bytes(value)));
    }
    let is_prefix = |byte: &&u8| matches!(**byte, 0x40..=0x4f | 0x66 | 0xf2 | 0xf3 | 0x2e | 0x3e);
    let prefixes = bytes.iter().take_while(is_prefix).count();
    match bytes.get(prefixes..) {
        Some([0xe8, ..]) => Kind::Call,
        Some([0xff, modrm, ..]) if (modrm >> 3) & 7 == 2 => Kind::Call,
        Some([0xc3] | [0xc2, ..]) => Kind::Return,
        Some([0xcf]) => Kind::Iret,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_recognized() {
        assert_eq!(kind(&MARK), Kind::Mark);
        assert_eq!(
            kind(&[0x48, 0xb8, 1, 0, 0, 0, 0, 0, 0, 2]),
            Kind::Load((2 << 56) + 1)
        );
        assert_eq!(kind(&[0xe8, 0, 0, 0, 0]), Kind::Call);
        assert_eq!(kind(&[0x41, 0xff, 0xd3]), Kind::Call);
        assert_eq!(kind(&[0xff, 0xe0]), Kind::Other);
        assert_eq!(kind(&[0xf3, 0xc3]), Kind::Return);
        assert_eq!(kind(&[0x48, 0xcf]), Kind::Iret);
        assert_eq!(kind(&[0x0f, 0x01, 0xd8]), Kind::Vmrun);
        assert_eq!(kind(&[]), Kind::Other);
    }
}
