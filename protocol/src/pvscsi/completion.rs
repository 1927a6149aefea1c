// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Completions: how the device says what became of a request.
//!
//! Not obvious: there are two ways to say that less was transferred than asked
//! for. A status of success with fewer bytes is a short transfer that is as it
//! should be. An underrun or overrun is an error, whatever else is said. And
//! zero bytes with success say nothing: some devices never count.

use zerocopy::little_endian::{U16, U32, U64};

use super::request::Context;
use super::SENSE_SIZE;
use crate::hyperv::wire::wire;
use crate::scsi::status;

/// What the adapter says of a request; any value may come. The numbers are BusLogic's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostStatus(pub u16);

impl HostStatus {
    /// The target has had it; the SCSI status tells the rest.
    pub const SUCCESS: Self = Self(0x00);
    /// The same, of a linked command.
    pub const LINKED_COMMAND_COMPLETED: Self = Self(0x0a);
    /// The same, of a linked command with a flag.
    pub const LINKED_COMMAND_COMPLETED_WITH_FLAG: Self = Self(0x0b);
    /// Less data than expected, which is an error.
    pub const DATA_UNDERRUN: Self = Self(0x0c);
    /// There is no such target.
    pub const SELECTION_TIMEOUT: Self = Self(0x11);
    /// Less or more data than expected, which is an error.
    pub const DATA_RUN: Self = Self(0x12);
    /// The bus became free when it should not.
    pub const BUS_FREE: Self = Self(0x13);
    /// The target asked for an invalid phase.
    pub const INVALID_PHASE: Self = Self(0x14);
    /// The unit of a linked command is another one.
    pub const LUN_MISMATCH: Self = Self(0x17);
    /// The request makes no sense.
    pub const INVALID_PARAMETER: Self = Self(0x1a);
    /// Sense data could not be fetched.
    pub const SENSE_FAILED: Self = Self(0x1b);
    /// The target has rejected the tag.
    pub const TAG_REJECTED: Self = Self(0x1c);
    /// The adapter does not know a message of the target, or the request is wrong.
    pub const BAD_MESSAGE: Self = Self(0x1d);
    /// The adapter has failed.
    pub const ADAPTER_HARDWARE: Self = Self(0x20);
    /// The target did not answer.
    pub const NO_RESPONSE: Self = Self(0x21);
    /// The adapter has reset the bus.
    pub const SENT_RESET: Self = Self(0x22);
    /// Somebody else has reset the bus.
    pub const RECEIVED_RESET: Self = Self(0x23);
    /// The target was not where it had been.
    pub const DISCONNECTED: Self = Self(0x24);
    /// The adapter has reset the target.
    pub const BUS_RESET: Self = Self(0x25);
    /// The request was aborted.
    pub const ABORT_QUEUE: Self = Self(0x26);
    /// The adapter's program has failed.
    pub const ADAPTER_SOFTWARE: Self = Self(0x27);
    /// The adapter took too long.
    pub const ADAPTER_TIMEOUT: Self = Self(0x30);
    /// A parity error.
    pub const PARITY: Self = Self(0x34);

    /// Whether the SCSI status counts.
    #[inline]
    pub const fn is_success(self) -> bool {
        matches!(
            self,
            Self::SUCCESS
                | Self::LINKED_COMMAND_COMPLETED
                | Self::LINKED_COMMAND_COMPLETED_WITH_FLAG
        )
    }

    /// What a SCSI mid-layer is to be told of a status that is no success, if it is known.
    const fn failure(self) -> Option<Verdict> {
        Some(match self {
            Self::SELECTION_TIMEOUT => Verdict::BadTarget,
            Self::SENT_RESET | Self::RECEIVED_RESET | Self::BUS_RESET => Verdict::Reset,
            Self::ABORT_QUEUE => Verdict::BusBusy,
            Self::PARITY => Verdict::Parity,
            Self::DATA_UNDERRUN
            | Self::DATA_RUN
            | Self::BUS_FREE
            | Self::INVALID_PHASE
            | Self::LUN_MISMATCH
            | Self::INVALID_PARAMETER
            | Self::SENSE_FAILED
            | Self::TAG_REJECTED
            | Self::BAD_MESSAGE
            | Self::ADAPTER_HARDWARE
            | Self::NO_RESPONSE
            | Self::DISCONNECTED
            | Self::ADAPTER_SOFTWARE
            | Self::ADAPTER_TIMEOUT => Verdict::Error,
            _ => return None,
        })
    }
}

wire! {
    /// An entry of the completion ring.
    pub struct CompletionDescriptor: 32 {
        /// The [`Context`] of the request.
        pub context: U64,
        /// Bytes that were transferred, or zero for who does not say.
        pub data_len: U64,
        /// Bytes of sense data that were written.
        pub sense_len: U32,
        /// A [`HostStatus`].
        pub host_status: U16,
        /// The SCSI status.
        pub scsi_status: U16,
        /// Zero.
        pub reserved: [U32; 2],
    }
}

/// What a SCSI mid-layer is to be told, beside the SCSI status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the SCSI status tells (`DID_OK`).
    Ok,
    /// There is no such target (`DID_BAD_TARGET`).
    BadTarget,
    /// It was lost in a reset (`DID_RESET`).
    Reset,
    /// It may be sent again (`DID_BUS_BUSY`).
    BusBusy,
    /// It was damaged on its way (`DID_PARITY`).
    Parity,
    /// It has failed; some more tries are due (`DID_ERROR`).
    Error,
}

/// Something in a completion that no correct device writes. Each carries the offending value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// The adapter's status is none that is known.
    UnknownHostStatus(u16),
    /// The SCSI status is no byte.
    ScsiStatus(u16),
    /// More was transferred than there was to transfer.
    DataLength(u64),
    /// There is more sense data than there is room for.
    SenseLength(u32),
}

/// A completion after all checks.
///
/// # Invariants
///
/// `residual` is at most the length of the data, `sense_len` at most [`SENSE_SIZE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the mid-layer is to be told.
    pub verdict: Verdict,
    /// The SCSI status; good unless the verdict is [`Verdict::Ok`].
    pub status: u8,
    /// Bytes that were not transferred.
    pub residual: u32,
    /// Bytes of sense data to take; none unless the SCSI status is CHECK CONDITION.
    pub sense_len: usize,
    /// The first thing that was wrong, if anything was.
    pub anomaly: Option<Anomaly>,
}

impl CompletionDescriptor {
    /// What a device says of a request that the target has not had, or not to its end.
    pub const fn failed(context: Context, host_status: HostStatus) -> Self {
        Self {
            context: U64::new(context.0),
            data_len: U64::ZERO,
            sense_len: U32::ZERO,
            host_status: U16::new(host_status.0),
            scsi_status: U16::ZERO,
            reserved: [U32::ZERO; 2],
        }
    }

    /// What a device says of a request that the target has answered. Less data than asked for
    /// is no error here: whether it is one the SCSI status tells.
    pub const fn answered(context: Context, scsi_status: u8, transferred: u64) -> Self {
        Self {
            data_len: U64::new(transferred),
            scsi_status: U16::new(scsi_status as u16),
            ..Self::failed(context, HostStatus::SUCCESS)
        }
    }

    /// The same with the length of sense data that was written.
    pub const fn with_sense(self, len: u32) -> Self {
        Self {
            sense_len: U32::new(len),
            ..self
        }
    }

    /// The request that was completed.
    #[inline]
    pub fn context(&self) -> Context {
        Context(self.context.get())
    }

    /// Checks a completion that was copied out of shared memory, of a request with `data_len`
    /// bytes of data.
    pub fn check(&self, data_len: u32) -> Outcome {
        let mut anomaly = None;
        let mut note = |found| {
            anomaly.get_or_insert(found);
        };
        let transferred = u32::try_from(self.data_len.get()).unwrap_or(u32::MAX);
        if transferred > data_len {
            note(Anomaly::DataLength(self.data_len.get()));
        }
        let left = data_len.saturating_sub(transferred);
        let host = HostStatus(self.host_status.get());
        let (verdict, scsi_status, residual) = match u8::try_from(self.scsi_status.get()) {
            Ok(status) if host.is_success() => {
                let residual = if transferred == 0 { 0 } else { left };
                let (verdict, status) = judge(status);
                (verdict, status, residual)
            }
            Err(_) if host.is_success() => {
                note(Anomaly::ScsiStatus(self.scsi_status.get()));
                (Verdict::Error, status::GOOD, data_len)
            }
            _ => {
                let verdict = host.failure().unwrap_or_else(|| {
                    note(Anomaly::UnknownHostStatus(host.0));
                    Verdict::Error
                });
                let counts = matches!(host, HostStatus::DATA_RUN | HostStatus::DATA_UNDERRUN);
                (verdict, status::GOOD, if counts { left } else { 0 })
            }
        };
        let sense_len = match scsi_status {
            status::CHECK_CONDITION => self.sense_len(&mut note),
            _ => 0,
        };
        Outcome {
            verdict,
            status: scsi_status,
            residual,
            sense_len,
            anomaly,
        }
    }

    /// How much sense data there is. A length of zero says nothing: the buffer tells then.
    fn sense_len(&self, note: &mut impl FnMut(Anomaly)) -> usize {
        let len = self.sense_len.get();
        match len as usize {
            0 => SENSE_SIZE,
            1..=SENSE_SIZE => len as usize,
            _ => {
                note(Anomaly::SenseLength(len));
                SENSE_SIZE
            }
        }
    }
}

/// What becomes of a SCSI status. One of SCSI-2 that no later standard has is a reset.
const fn judge(scsi_status: u8) -> (Verdict, u8) {
    const COMMAND_TERMINATED: u8 = 0x22;
    match scsi_status {
        COMMAND_TERMINATED => (Verdict::Reset, status::GOOD),
        other => (Verdict::Ok, other),
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    fn completion(host: u16, scsi: u16, data_len: u64) -> CompletionDescriptor {
        CompletionDescriptor {
            context: U64::new(1),
            data_len: U64::new(data_len),
            sense_len: U32::ZERO,
            host_status: U16::new(host),
            scsi_status: U16::new(scsi),
            reserved: [U32::ZERO; 2],
        }
    }

    #[test]
    fn success_has_the_status_of_the_target() {
        for host in [0, 0x0a, 0x0b] {
            let outcome = completion(host, 0x08, 0).check(512);
            assert_eq!((outcome.verdict, outcome.status), (Verdict::Ok, 0x08));
            assert_eq!(outcome.anomaly, None);
        }
        let terminated = completion(0, 0x22, 0).check(512);
        assert_eq!(
            (terminated.verdict, terminated.status),
            (Verdict::Reset, status::GOOD)
        );
    }

    #[test]
    fn short_transfers_are_told_by_success_with_fewer_bytes() {
        for (transferred, residual) in [(0, 0), (100, 412), (512, 0)] {
            assert_eq!(completion(0, 0, transferred).check(512).residual, residual);
        }
    }

    #[test]
    fn a_data_run_is_an_error_with_a_residual() {
        for host in [0x0c, 0x12] {
            let outcome = completion(host, 0, 100).check(512);
            assert_eq!(
                (outcome.verdict, outcome.residual, outcome.anomaly),
                (Verdict::Error, 412, None)
            );
        }
    }

    #[test]
    fn failures_are_told_apart() {
        let error = [
            0x13, 0x14, 0x17, 0x1a, 0x1b, 0x1c, 0x1d, 0x20, 0x21, 0x24, 0x27, 0x30,
        ];
        let others = [
            (0x11, Verdict::BadTarget),
            (0x22, Verdict::Reset),
            (0x23, Verdict::Reset),
            (0x25, Verdict::Reset),
            (0x26, Verdict::BusBusy),
            (0x34, Verdict::Parity),
        ];
        for (host, verdict) in error
            .map(|host| (host, Verdict::Error))
            .into_iter()
            .chain(others)
        {
            let outcome = completion(host, 2, 0).check(512);
            assert_eq!((outcome.verdict, outcome.status), (verdict, status::GOOD));
            assert_eq!((outcome.sense_len, outcome.anomaly), (0, None));
        }
    }

    #[test]
    fn sense_data_is_as_long_as_told_but_no_longer_than_the_room() {
        for (told, taken) in [(18, 18), (96, 96), (0, 96)] {
            let mut check = completion(0, 2, 0);
            check.sense_len = U32::new(told);
            assert_eq!(check.check(0).sense_len, taken);
            assert_eq!(check.check(0).anomaly, None);
        }
        let mut check = completion(0, 2, 0);
        check.sense_len = U32::new(97);
        let outcome = check.check(0);
        assert_eq!(outcome.sense_len, 96);
        assert_eq!(outcome.anomaly, Some(Anomaly::SenseLength(97)));
    }

    #[test]
    fn what_no_device_writes_is_noted() {
        let cases = [
            (completion(0x99, 0, 0), Anomaly::UnknownHostStatus(0x99)),
            (completion(0, 0x102, 0), Anomaly::ScsiStatus(0x102)),
            (completion(0, 0, 513), Anomaly::DataLength(513)),
            (completion(0, 0, u64::MAX), Anomaly::DataLength(u64::MAX)),
        ];
        for (completion, anomaly) in cases {
            assert_eq!(completion.check(512).anomaly, Some(anomaly));
        }
    }

    proptest! {
        #[test]
        fn any_completion_ends_within_its_limits(bytes: [u8; 32], data_len: u32) {
            let completion = CompletionDescriptor::read_from_bytes(&bytes).expect("size is exact");
            let outcome = completion.check(data_len);
            prop_assert!(outcome.residual <= data_len);
            prop_assert!(outcome.sense_len <= SENSE_SIZE);
            prop_assert!(outcome.verdict == Verdict::Ok || outcome.status == status::GOOD);
        }
    }
}
