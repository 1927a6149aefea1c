// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a block holds, and what a wrong one tells.
//!
//! A disk is a row of 4 KiB blocks, a block is eight 512-byte sectors. Every
//! sector starts with a header that names the disk, the block, the sector's
//! place in it and the generation, followed by pseudo-random bytes that are a
//! function of the header, and a checksum over all of that. So a sector in the
//! wrong place, from the wrong disk or from an earlier generation names its
//! origin, and a damaged one cannot pass for another.

use std::fmt;

/// Bytes of a block, the unit in which disks are written.
pub const BLOCK: usize = 4096;
/// [`BLOCK`], for sizes and offsets on a disk.
pub const BLOCK_BYTES: u64 = 4096;
/// Bytes of a sector, the unit that a disk may tear a block into.
pub const SECTOR: usize = 512;

/// Begins every sector that `diskcheck` wrote.
const MAGIC: u64 = u64::from_le_bytes(*b"HOSPES\x00\x01");
/// A sector's 64-bit words: five of header, filling, one of checksum.
const WORDS: usize = SECTOR / 8;
const HEADER_WORDS: usize = 5;

/// Where a sector belongs and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The disk's number.
    pub disk: u64,
    /// The block's number on the disk.
    pub block: u64,
    /// The sector's number in the block.
    pub sector: u64,
    /// How often the disk had been rewritten.
    pub generation: u64,
}

impl Place {
    /// The sector's contents.
    fn words(self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        let header = [MAGIC, self.disk, self.block, self.sector, self.generation];
        let mut state = header.iter().fold(0, |state, &word| mix(state ^ word));
        let (body, checksum) = words.split_at_mut(WORDS - 1);
        for (index, word) in body.iter_mut().enumerate() {
            state = mix(state);
            *word = header.get(index).copied().unwrap_or(state);
        }
        for word in checksum {
            *word = fold(body);
        }
        words
    }

    /// Reads a sector back: where it says it belongs, if it is whole.
    fn of(sector: &[u8]) -> Option<Self> {
        let mut header = [0; HEADER_WORDS];
        for (word, bytes) in header.iter_mut().zip(sector.chunks_exact(8)) {
            *word = word_of(bytes);
        }
        let [magic, disk, block, number, generation] = header;
        let place = Self {
            disk,
            block,
            sector: number,
            generation,
        };
        (magic == MAGIC && place.matches(sector)).then_some(place)
    }

    fn matches(self, sector: &[u8]) -> bool {
        let words = self.words();
        sector.len() == SECTOR
            && sector
                .chunks_exact(8)
                .zip(words)
                .all(|(bytes, word)| word_of(bytes) == word)
    }
}

/// Fills `buffer` (whole blocks) with what belongs at block `first` and after.
pub fn fill(buffer: &mut [u8], disk: u64, first: u64, generation: u64) {
    for (block, bytes) in (first..).zip(buffer.chunks_exact_mut(BLOCK)) {
        for (sector, bytes) in (0..).zip(bytes.chunks_exact_mut(SECTOR)) {
            let words = Place {
                disk,
                block,
                sector,
                generation,
            }
            .words();
            for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
    }
}

/// The generation that the first sector of `buffer` claims, if it is whole.
pub fn generation_of(buffer: &[u8]) -> Option<u64> {
    buffer
        .get(..SECTOR)
        .and_then(Place::of)
        .map(|place| place.generation)
}

/// Compares `buffer` (whole blocks) with what belongs at block `first` and after.
///
/// # Errors
///
/// The first sector that differs, with what was found in its place.
pub fn check(buffer: &[u8], disk: u64, first: u64, generation: u64) -> Result<(), Damage> {
    for (block, bytes) in (first..).zip(buffer.chunks_exact(BLOCK)) {
        for (sector, bytes) in (0..).zip(bytes.chunks_exact(SECTOR)) {
            let expected = Place {
                disk,
                block,
                sector,
                generation,
            };
            if !expected.matches(bytes) {
                return Err(Damage {
                    expected,
                    found: Found::of(expected, bytes),
                });
            }
        }
    }
    Ok(())
}

/// A sector that is not what it must be.
#[derive(Debug, PartialEq, Eq)]
pub struct Damage {
    expected: Place,
    found: Found,
}

/// What was found in the place of the expected sector.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// A whole sector of another place or time.
    Other(Place),
    /// The expected sector up to this byte, then something else.
    DamagedAt(usize),
    /// One byte value throughout: never written, or discarded.
    Uniform(u8),
    /// Nothing that `diskcheck` ever wrote.
    Foreign,
}

impl Found {
    fn of(expected: Place, bytes: &[u8]) -> Self {
        if let Some(place) = Place::of(bytes) {
            return Self::Other(place);
        }
        let first = bytes.first().copied().unwrap_or(0);
        if bytes.iter().all(|&byte| byte == first) {
            return Self::Uniform(first);
        }
        let words = expected.words();
        let wanted = words.iter().flat_map(|word| word.to_le_bytes());
        match bytes
            .iter()
            .zip(wanted)
            .position(|(&byte, want)| byte != want)
        {
            Some(at) if at >= 8 => Self::DamagedAt(at),
            _ => Self::Foreign,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            disk,
            block,
            sector,
            generation,
        } = self.expected;
        write!(
            f,
            "disk {disk} block {block} sector {sector} generation {generation}: "
        )?;
        match self.found {
            Found::Other(place) if place.disk != disk => {
                write!(f, "holds disk {} block {}", place.disk, place.block)
            }
            Found::Other(place) if (place.block, place.sector) != (block, sector) => {
                write!(
                    f,
                    "misdirected: holds block {} sector {}",
                    place.block, place.sector
                )
            }
            Found::Other(place) if place.generation < generation => {
                write!(f, "stale: holds generation {}", place.generation)
            }
            Found::Other(place) => write!(f, "holds generation {}", place.generation),
            Found::DamagedAt(at) => write!(f, "damaged from byte {at} of the sector on"),
            Found::Uniform(byte) => write!(f, "holds nothing but {byte:#04x}"),
            Found::Foreign => write!(f, "holds foreign data"),
        }
    }
}

impl std::error::Error for Damage {}

/// One number for a whole disk of one generation: equal numbers inside and
/// outside of a guest mean that both sides verified the same contents.
pub fn digest(disk: u64, generation: u64, bytes: u64) -> u64 {
    let blocks = bytes / BLOCK_BYTES;
    (0..blocks).fold(mix(disk ^ generation.rotate_left(32)), |state, block| {
        let [.., checksum] = Place {
            disk,
            block,
            sector: 0,
            generation,
        }
        .words();
        mix(state ^ checksum)
    })
}

fn word_of(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

fn fold(words: &[u64]) -> u64 {
    words.iter().fold(0, |state, &word| mix(state ^ word))
}

/// A step of a 64-bit mixing function (two multiply-xorshift rounds): every
/// bit of the input reaches every bit of the output.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value ^ (value >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(disk: u64, first: u64, count: usize, generation: u64) -> Vec<u8> {
        let mut buffer = vec![0; count * BLOCK];
        fill(&mut buffer, disk, first, generation);
        buffer
    }

    fn damage(buffer: &[u8]) -> String {
        check(buffer, 1, 10, 5).unwrap_err().to_string()
    }

    #[test]
    fn what_was_written_passes() {
        let buffer = blocks(1, 10, 3, 5);
        assert_eq!(check(&buffer, 1, 10, 5), Ok(()));
        assert_eq!(generation_of(&buffer), Some(5));
    }

    #[test]
    fn wrong_origin_is_named() {
        let cases = [
            (blocks(2, 10, 1, 5), "holds disk 2 block 10"),
            (blocks(1, 11, 1, 5), "misdirected: holds block 11 sector 0"),
            (blocks(1, 10, 1, 4), "stale: holds generation 4"),
            (blocks(1, 10, 1, 6), "holds generation 6"),
            (vec![0; BLOCK], "holds nothing but 0x00"),
            (
                (0..=255).cycle().take(BLOCK).collect(),
                "holds foreign data",
            ),
        ];
        for (buffer, text) in cases {
            assert!(
                damage(&buffer).ends_with(text),
                "{} / {text}",
                damage(&buffer)
            );
        }
    }

    #[test]
    fn torn_block_names_the_first_old_sector() {
        let mut buffer = blocks(1, 10, 1, 5);
        let old = blocks(1, 10, 1, 4);
        buffer[3 * SECTOR..].copy_from_slice(&old[3 * SECTOR..]);
        assert_eq!(
            damage(&buffer),
            "disk 1 block 10 sector 3 generation 5: stale: holds generation 4"
        );
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let good = blocks(1, 10, 1, 5);
        for byte in 0..BLOCK {
            let mut buffer = good.clone();
            buffer[byte] ^= 1 << (byte % 8);
            assert!(check(&buffer, 1, 10, 5).is_err(), "byte {byte}");
        }
        let mut buffer = good;
        buffer[2 * SECTOR + 100] ^= 0x10;
        assert!(damage(&buffer)
            .ends_with("sector 2 generation 5: damaged from byte 100 of the sector on"));
    }

    #[test]
    fn digests_differ_by_disk_and_generation() {
        let size = 16 * BLOCK_BYTES;
        assert_ne!(digest(1, 1, size), digest(2, 1, size));
        assert_ne!(digest(1, 1, size), digest(1, 2, size));
    }
}
