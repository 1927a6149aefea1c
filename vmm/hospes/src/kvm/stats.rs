// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What KVM itself counts about a vCPU: exits that never reach user space, halts,
//! interrupts.
//!
//! KVM describes its statistics in the file that it gives for them
//! (`KVM_GET_STATS_FD`): a header, a descriptor for each statistic with its name,
//! and a block of numbers. Which there are depends on the host's kernel, and
//! they are passed on by their names there. Histograms and the like, which are
//! more than one number, are left out.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use kvm_ioctls::VcpuFd;
use serde_json::{Map, Value};

use crate::sys;

/// The header: flags, length of names, number of descriptors, and the offsets of
/// the file's own name, of the descriptors and of the numbers.
const HEADER: usize = 24;
/// A descriptor before its name: flags, exponent, number of numbers, offset
/// among them, bucket size.
const DESCRIPTOR: usize = 16;
/// A kernel that has more statistics, or longer names, is misunderstood.
const MOST: u32 = 1024;

/// The statistics of a vCPU.
#[derive(Debug)]
pub struct Statistics {
    file: File,
    numbers: Vec<Number>,
}

/// One number, and where in the file it is.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    name: String,
    offset: u64,
}

impl Statistics {
    /// The statistics of `vcpu`, if this host's KVM has any.
    pub fn of(vcpu: &VcpuFd) -> Option<Self> {
        let open = || {
            let file = sys::statistics_of(vcpu)?;
            let numbers = describe(&file)?;
            io::Result::Ok(Self { file, numbers })
        };
        open()
            .inspect_err(|error| tracing::debug!(%error, "KVM tells no statistics"))
            .ok()
    }

    /// The present values by name.
    pub fn read(&self) -> Value {
        let value = |number: &Number| {
            let value = self.file.read_u64(number.offset).ok()?;
            Some((number.name.clone(), Value::from(value)))
        };
        Value::Object(self.numbers.iter().filter_map(value).collect::<Map<_, _>>())
    }
}

/// Reads what the file says of itself.
fn describe(file: &impl Numbers) -> io::Result<Vec<Number>> {
    let mut header = [0; HEADER];
    file.fill(0, &mut header)?;
    let field = |at| number_at(&header, at).map_err(io::Error::other);
    let (name_len, count, first, data) = (field(4)?, field(8)?, field(16)?, field(20)?);
    if name_len > MOST || count > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut descriptor = vec![0; DESCRIPTOR.saturating_add(name_len as usize)];
    let mut numbers = Vec::new();
    let mut offset = u64::from(first);
    for _ in 0..count {
        file.fill(offset, &mut descriptor)?;
        numbers.extend(number(&descriptor, data.into()));
        offset = offset.saturating_add(descriptor.len() as u64);
    }
    Ok(numbers)
}

/// What a descriptor describes, if that is a single number.
fn number(descriptor: &[u8], data: u64) -> Option<Number> {
    let size = descriptor.get(6..8)?.try_into().ok()?;
    let offset = number_at(descriptor, 8).ok()?;
    let name = descriptor.get(DESCRIPTOR..)?.split(|byte| *byte == 0);
    let name = String::from_utf8(name.take(1).flatten().copied().collect()).ok()?;
    (u16::from_ne_bytes(size) == 1).then(|| Number {
        name,
        offset: data.saturating_add(offset.into()),
    })
}

fn number_at(bytes: &[u8], at: usize) -> Result<u32, &'static str> {
    let field = bytes.get(at..at.saturating_add(4));
    let field = field.and_then(|field| field.try_into().ok());
    field.map(u32::from_ne_bytes).ok_or("too short")
}

/// A file that numbers can be read from.
trait Numbers {
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    fn read_u64(&self, offset: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.fill(offset, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

impl Numbers for File {
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl Numbers for Bytes {
        fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            let from = self.0.get(offset as usize..).unwrap_or(&[]);
            let from = from.get(..buffer.len());
            buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }
    }

    /// A file with two statistics: a number, and a histogram of two.
    fn file() -> Bytes {
        let mut bytes = Vec::new();
        for field in [0u32, 8, 2, 0, 24, 72] {
            bytes.extend(field.to_ne_bytes());
        }
        for (size, offset, name) in [(1u16, 16u32, b"exits\0\0\0"), (2, 0, b"waits\0\0\0")] {
            bytes.extend([0; 6]);
            bytes.extend(size.to_ne_bytes());
            bytes.extend(offset.to_ne_bytes());
            bytes.extend([0; 4]);
            bytes.extend(name);
        }
        for value in [1u64, 2, 77] {
            bytes.extend(value.to_ne_bytes());
        }
        Bytes(bytes)
    }

    #[test]
    fn numbers_are_found_by_what_the_file_says_of_them() {
        let file = file();
        let numbers = describe(&file).unwrap();
        let [number] = &numbers[..] else {
            panic!("{numbers:?}");
        };
        assert_eq!(number.name, "exits");
        assert_eq!(file.read_u64(number.offset).unwrap(), 77);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused() {
        let Bytes(mut bytes) = file();
        assert!(describe(&Bytes(bytes[..40].to_vec())).is_err());
        bytes[8..12].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(describe(&Bytes(bytes)).is_err());
    }
}
