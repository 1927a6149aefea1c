// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What everything here calls itself.

use protocol::scsi::inquiry::Names;

/// T10 VENDOR IDENTIFICATION.
pub(crate) const VENDOR: [u8; 8] = *b"HOSPES  ";

/// The names of a product. A longer name than fits is cut.
pub(crate) fn names(product: &str) -> Names {
    Names {
        vendor: VENDOR,
        product: padded(product),
        revision: padded(env!("CARGO_PKG_VERSION_MINOR")),
    }
}

/// `text`, followed by spaces.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [b' '; N];
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_padded_and_cut() {
        assert_eq!(&names("DISK").product, b"DISK            ");
        assert_eq!(&padded("abcdef"), b"abcd");
    }
}
