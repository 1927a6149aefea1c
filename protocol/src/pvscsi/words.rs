// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Requests and completions by words of eight bytes, as a driver writes and reads them.
//!
//! An entry is in memory that the device has as well: each word is written once, or read
//! once. What is always zero is left out: a ring is all zeros at first, and what a device
//! makes of the rest of a request is its own affair.

use zerocopy::little_endian::{U16, U32, U64};

use super::completion::{CompletionDescriptor, HostStatus};
use super::request::{Context, Data, SIMPLE_TAG};
use super::CDB_SIZE;
use crate::scsi::status;

/// Words of a request that are not always zero, which are its first ones.
pub const REQUEST_WORDS: usize = 9;
/// Words of a completion that are not always zero, which are its first ones.
pub const COMPLETION_WORDS: usize = 3;

/// A request, as a driver makes it: see [`RequestDescriptor`](super::RequestDescriptor).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What its completion names it by.
    pub context: Context,
    /// The target.
    pub target: u8,
    /// The number of the logical unit.
    pub lun: u8,
    /// The CDB, and zeros behind it.
    pub cdb: [u8; CDB_SIZE],
    /// Length of the CDB.
    pub cdb_len: u8,
    /// Its data.
    pub data: Data,
    /// Where sense data goes.
    pub sense_address: u64,
    /// Room for sense data, in bytes.
    pub sense_len: u32,
    /// The processor that may wait for it.
    pub vcpu: u16,
}

impl Request {
    /// The numbers that the words are. In memory they are little-endian.
    #[inline]
    pub const fn words(&self) -> [u64; REQUEST_WORDS] {
        let cdb = u128::from_le_bytes(self.cdb);
        [
            self.context.0,
            self.data.address,
            self.data.len as u64,
            self.sense_address,
            self.sense_len as u64 | ((self.data.flags as u64) << 32),
            cdb as u64,
            (cdb >> 64) as u64,
            self.cdb_len as u64 | ((self.lun as u64) << 16),
            ((SIMPLE_TAG as u64) << 8) | ((self.target as u64) << 24) | ((self.vcpu as u64) << 32),
        ]
    }
}

/// A completion, as a driver takes it: the words of a [`CompletionDescriptor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    context: u64,
    data_len: u64,
    /// The length of sense data, the host status and the SCSI status.
    rest: u64,
}

impl Completion {
    /// That of words that were copied out of shared memory.
    #[inline]
    pub const fn of_words([context, data_len, rest]: [u64; COMPLETION_WORDS]) -> Self {
        Self {
            context,
            data_len,
            rest,
        }
    }

    /// The request that was completed.
    #[inline]
    pub const fn context(&self) -> Context {
        Context(self.context)
    }

    /// Whether this is what most completions are of requests with `data_len` bytes of data:
    /// success, all data, nothing odd. What [`check`](CompletionDescriptor::check) would find
    /// is then success and no residual.
    #[inline]
    pub const fn is_plain(&self, data_len: u32) -> bool {
        const { assert!(HostStatus::SUCCESS.0 == 0 && status::GOOD == 0) };
        self.rest >> 32 == 0 && (self.data_len == 0 || self.data_len == data_len as u64)
    }

    /// All of its fields.
    pub const fn descriptor(&self) -> CompletionDescriptor {
        CompletionDescriptor {
            context: U64::new(self.context),
            data_len: U64::new(self.data_len),
            sense_len: U32::new(self.rest as u32),
            host_status: U16::new((self.rest >> 32) as u16),
            scsi_status: U16::new((self.rest >> 48) as u16),
            reserved: [U32::ZERO; 2],
        }
    }
}

impl From<&CompletionDescriptor> for Completion {
    fn from(descriptor: &CompletionDescriptor) -> Self {
        let statuses = u64::from(descriptor.host_status.get())
            | (u64::from(descriptor.scsi_status.get()) << 16);
        Self {
            context: descriptor.context.get(),
            data_len: descriptor.data_len.get(),
            rest: u64::from(descriptor.sense_len.get()) | (statuses << 32),
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]
mod tests {
    use super::super::request::RequestDescriptor;
    use super::super::Verdict;
    use super::*;
    use proptest::prelude::*;
    use zerocopy::{FromBytes, IntoBytes};

    /// What is in memory when the words were written.
    fn bytes(words: &[u64]) -> std::vec::Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    proptest! {
        #[test]
        fn a_request_is_the_same_by_words_and_by_fields(
            (context, address, len, flags) in any::<(u64, u64, u32, u32)>(),
            (target, lun, sense_address, sense_len, vcpu) in any::<(u8, u8, u64, u32, u16)>(),
            cdb in prop::collection::vec(any::<u8>(), 0..=CDB_SIZE),
        ) {
            let data = Data { address, len, flags };
            let descriptor = RequestDescriptor::new(Context(context), target, lun, &cdb, data)
                .with_sense(sense_address, sense_len)
                .with_vcpu(vcpu.into());
            let request = Request {
                context: Context(context),
                target,
                lun,
                cdb: descriptor.cdb,
                cdb_len: descriptor.cdb_len,
                data,
                sense_address,
                sense_len,
                vcpu,
            };
            let (head, tail) = descriptor.as_bytes().split_at(REQUEST_WORDS * 8);
            prop_assert_eq!(bytes(&request.words()), head);
            prop_assert!(tail.iter().all(|byte| *byte == 0));
        }

        #[test]
        fn a_completion_is_the_same_by_words_and_by_fields(words: [u64; COMPLETION_WORDS]) {
            let completion = Completion::of_words(words);
            let descriptor = completion.descriptor();
            prop_assert_eq!(&descriptor.as_bytes()[..COMPLETION_WORDS * 8], bytes(&words));
            prop_assert_eq!(Completion::from(&descriptor), completion);
            prop_assert_eq!(completion.context(), descriptor.context());
        }

        #[test]
        fn a_plain_completion_is_success(bytes: [u8; 32], data_len: u32, plain: bool) {
            let mut descriptor =
                CompletionDescriptor::read_from_bytes(&bytes).expect("size is exact");
            if plain {
                (descriptor.host_status, descriptor.scsi_status) = (U16::ZERO, U16::ZERO);
                descriptor.data_len = U64::new(data_len.into());
            }
            let is_plain = Completion::from(&descriptor).is_plain(data_len);
            let outcome = descriptor.check(data_len);
            if is_plain {
                prop_assert_eq!((outcome.verdict, outcome.status), (Verdict::Ok, status::GOOD));
                prop_assert_eq!((outcome.residual, outcome.anomaly), (0, None));
            }
            prop_assert!(!plain || is_plain);
        }
    }

    #[test]
    fn what_says_more_is_not_plain() {
        let plain = CompletionDescriptor::answered(Context(1), status::GOOD, 512);
        assert!(Completion::from(&plain).is_plain(512));
        assert!(!Completion::from(&plain).is_plain(1024));
        let failed = CompletionDescriptor::failed(Context(1), HostStatus::DATA_RUN);
        assert!(!Completion::from(&failed).is_plain(512));
        let check = CompletionDescriptor::answered(Context(1), status::CHECK_CONDITION, 0);
        assert!(!Completion::from(&check).is_plain(512));
    }
}
