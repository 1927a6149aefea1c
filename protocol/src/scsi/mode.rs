// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Mode parameters: headers, block descriptors and pages
//! (SPC-5, section 7.5, and SBC-4, section 6.5).

use core::mem::size_of;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::FromBytes as _;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::sense::{asc, Sense};

/// The caching page.
pub const CACHING: u8 = 0x08;
/// The control page.
pub const CONTROL: u8 = 0x0a;
/// The informational exceptions control page.
pub const INFORMATIONAL_EXCEPTIONS: u8 = 0x1c;
/// Every page.
pub const ALL_PAGES: u8 = 0x3f;
/// Every subpage.
pub const ALL_SUBPAGES: u8 = 0xff;

/// The header for MODE SENSE (6) and MODE SELECT (6) (SPC-5, section 7.5.5).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header6 {
    /// MODE DATA LENGTH: what follows it.
    pub data_len: u8,
    /// MEDIUM TYPE: zero for a disk.
    pub medium_type: u8,
    /// [`WRITE_PROTECTED`] and [`DPOFUA`].
    pub device_specific: u8,
    /// BLOCK DESCRIPTOR LENGTH.
    pub descriptor_len: u8,
}

const _: () = assert!(size_of::<Header6>() == 4);

/// The header for MODE SENSE (10) and MODE SELECT (10) (SPC-5, section 7.5.5).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header10 {
    /// MODE DATA LENGTH: what follows it.
    pub data_len: U16,
    /// MEDIUM TYPE: zero for a disk.
    pub medium_type: u8,
    /// [`WRITE_PROTECTED`] and [`DPOFUA`].
    pub device_specific: u8,
    /// LONGLBA (0): the block descriptor is a long one.
    pub long_lba: u8,
    /// Reserved.
    pub reserved: u8,
    /// BLOCK DESCRIPTOR LENGTH.
    pub descriptor_len: U16,
}

const _: () = assert!(size_of::<Header10>() == 8);

/// DEVICE-SPECIFIC PARAMETER: WP, the medium is write-protected.
pub const WRITE_PROTECTED: u8 = 0x80;
/// DEVICE-SPECIFIC PARAMETER: DPO and FUA are supported.
pub const DPOFUA: u8 = 0x10;

/// Short LBA mode parameter block descriptor (SBC-4, section 6.5.2.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ShortDescriptor {
    /// NUMBER OF LOGICAL BLOCKS, or all ones if there are more.
    pub blocks: U32,
    /// Reserved (31:24) and LOGICAL BLOCK LENGTH (23:0).
    pub block_len: U32,
}

const _: () = assert!(size_of::<ShortDescriptor>() == 8);

/// Long LBA mode parameter block descriptor (SBC-4, section 6.5.2.3).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct LongDescriptor {
    /// NUMBER OF LOGICAL BLOCKS.
    pub blocks: U64,
    /// Reserved.
    pub reserved: [u8; 4],
    /// LOGICAL BLOCK LENGTH.
    pub block_len: U32,
}

const _: () = assert!(size_of::<LongDescriptor>() == 16);

/// The caching page (SBC-4, section 6.5.5).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct CachingPage {
    /// PS (7), SPF (6), PAGE CODE (5:0).
    pub page: u8,
    /// PAGE LENGTH.
    pub len: u8,
    /// IC (7), ABPF (6), CAP (5), DISC (4), SIZE (3), [`WCE`], MF (1), RCD (0).
    pub flags: u8,
    /// Retention, prefetch and segment sizes: left to the device server.
    pub unused: [u8; 17],
}

const _: () = assert!(size_of::<CachingPage>() == 20);

/// [`CachingPage::flags`]: WCE, writes may end in a volatile cache.
pub const WCE: u8 = 0x04;

impl CachingPage {
    /// The page with these flags.
    pub const fn new(flags: u8) -> Self {
        Self {
            page: CACHING,
            len: 0x12,
            flags,
            unused: [0; 17],
        }
    }
}

/// The control page (SPC-5, section 7.5.10).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct ControlPage {
    /// PS (7), SPF (6), PAGE CODE (5:0).
    pub page: u8,
    /// PAGE LENGTH.
    pub len: u8,
    /// TST (7:5), TMF_ONLY (4), DPICZ (3), D_SENSE (2), GLTSD (1), RLEC (0).
    pub task_set: u8,
    /// QUEUE ALGORITHM MODIFIER (7:4), NUAR (3), QERR (2:1).
    pub queueing: u8,
    /// RAC (6), UA_INTLCK_CTRL (5:4), SWP (3).
    pub protection: u8,
    /// ATO (7), TAS (6), ATMPE (5), RWWP (4), AUTOLOAD MODE (2:0).
    pub autoload: u8,
    /// Obsolete.
    pub obsolete: [u8; 2],
    /// BUSY TIMEOUT PERIOD, in 100 ms.
    pub busy_timeout: U16,
    /// EXTENDED SELF-TEST COMPLETION TIME, in seconds.
    pub self_test_time: U16,
}

const _: () = assert!(size_of::<ControlPage>() == 12);

/// [`ControlPage::task_set`]: TST 001b, a task set for each initiator.
pub const TST_PER_NEXUS: u8 = 0x20;
/// [`ControlPage::task_set`]: D_SENSE, sense data is made of descriptors.
pub const D_SENSE: u8 = 0x04;
/// [`ControlPage::queueing`]: simple commands may be reordered at will.
pub const UNRESTRICTED_REORDERING: u8 = 0x10;

impl ControlPage {
    /// The page with these flags, and no time-outs.
    pub const fn new(task_set: u8, queueing: u8) -> Self {
        Self {
            page: CONTROL,
            len: 0x0a,
            task_set,
            queueing,
            protection: 0,
            autoload: 0,
            obsolete: [0; 2],
            busy_timeout: U16::ZERO,
            self_test_time: U16::ZERO,
        }
    }
}

/// [`ControlPage::protection`]: SWP, the medium is write-protected by software.
pub const SWP: u8 = 0x08;
/// [`ControlPage::autoload`]: ATO, the application tag is the initiator's own.
pub const ATO: u8 = 0x80;

/// The informational exceptions control page (SPC-5, section 7.5.13).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct InformationalExceptionsPage {
    /// PS (7), SPF (6), PAGE CODE (5:0).
    pub page: u8,
    /// PAGE LENGTH.
    pub len: u8,
    /// PERF (7), EBF (5), EWASC (4), DEXCPT (3), TEST (2), EBACKERR (1), LOGERR (0).
    pub flags: u8,
    /// MRIE (3:0): [`MRIE_ON_REQUEST`].
    pub method: u8,
    /// INTERVAL TIMER, in 100 ms.
    pub interval: U32,
    /// REPORT COUNT.
    pub count: U32,
}

const _: () = assert!(size_of::<InformationalExceptionsPage>() == 12);

/// [`InformationalExceptionsPage::method`]: REQUEST SENSE tells of exceptions.
pub const MRIE_ON_REQUEST: u8 = 6;

impl InformationalExceptionsPage {
    /// The page with this method of reporting.
    pub const fn new(method: u8) -> Self {
        Self {
            page: INFORMATIONAL_EXCEPTIONS,
            len: 0x0a,
            flags: 0,
            method,
            interval: U32::ZERO,
            count: U32::ZERO,
        }
    }
}

/// What MODE SELECT's block descriptor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectedBlocks {
    /// NUMBER OF LOGICAL BLOCKS.
    pub blocks: u64,
    /// LOGICAL BLOCK LENGTH.
    pub block_len: u32,
    /// Where the length is in the parameter list.
    pub at: u16,
}

/// A page in MODE SELECT's parameter list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectedPage<'a> {
    /// The page, header included.
    pub bytes: &'a [u8],
    /// Where it starts in the parameter list.
    pub at: u16,
}

/// MODE SELECT's parameter list.
#[derive(Clone, Copy, Debug)]
pub struct SelectList<'a> {
    /// The block descriptor, if there is one.
    pub blocks: Option<SelectedBlocks>,
    pages: &'a [u8],
    pages_at: u16,
}

impl<'a> SelectList<'a> {
    /// Takes a parameter list apart.
    ///
    /// # Errors
    ///
    /// PARAMETER LIST LENGTH ERROR if something is cut off, INVALID FIELD IN
    /// PARAMETER LIST for a block descriptor of a wrong length.
    pub fn parse(list: &'a [u8], long_header: bool) -> Result<Self, Sense> {
        let cut_off = Sense::illegal(asc::PARAMETER_LIST_LENGTH_ERROR);
        let (long_lba, descriptor_len, len_at, rest) = if long_header {
            let (header, rest) = Header10::read_from_prefix(list).map_err(|_| cut_off)?;
            (
                header.long_lba & 1 != 0,
                header.descriptor_len.get(),
                6_u16,
                rest,
            )
        } else {
            let (header, rest) = Header6::read_from_prefix(list).map_err(|_| cut_off)?;
            (false, header.descriptor_len.into(), 3, rest)
        };
        let (descriptor, pages) = rest
            .split_at_checked(descriptor_len.into())
            .ok_or(cut_off)?;
        let header_len = if long_header { 8 } else { 4 };
        let blocks = match descriptor_len {
            0 => None,
            _ => Some(
                read_descriptor(descriptor, long_lba, header_len)
                    .ok_or(Sense::invalid_parameter(len_at, None))?,
            ),
        };
        let pages_at = descriptor_len.saturating_add(header_len);
        Ok(Self {
            blocks,
            pages,
            pages_at,
        })
    }

    /// The pages, in order. An error ends them.
    pub fn pages(self) -> impl Iterator<Item = Result<SelectedPage<'a>, Sense>> {
        let mut rest = self.pages;
        let mut at = self.pages_at;
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let Some((page, next)) = page_len(rest).and_then(|len| rest.split_at_checked(len))
            else {
                rest = &[];
                return Some(Err(Sense::illegal(asc::PARAMETER_LIST_LENGTH_ERROR)));
            };
            let page = SelectedPage { bytes: page, at };
            rest = next;
            at = at.saturating_add(u16::try_from(page.bytes.len()).unwrap_or(u16::MAX));
            Some(Ok(page))
        })
    }
}

fn read_descriptor(bytes: &[u8], long: bool, at: u16) -> Option<SelectedBlocks> {
    if long {
        let descriptor = LongDescriptor::read_from_bytes(bytes).ok()?;
        let (blocks, block_len) = (descriptor.blocks.get(), descriptor.block_len.get());
        Some(SelectedBlocks {
            blocks,
            block_len,
            at: at.saturating_add(12),
        })
    } else {
        let descriptor = ShortDescriptor::read_from_bytes(bytes).ok()?;
        let block_len = descriptor.block_len.get() & 0x00ff_ffff;
        let blocks = descriptor.blocks.get().into();
        Some(SelectedBlocks {
            blocks,
            block_len,
            at: at.saturating_add(5),
        })
    }
}

/// SPF: the page has a subpage code, and two bytes of length.
const SPF: u8 = 0x40;

/// The length of the page that `bytes` starts with, header included.
fn page_len(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [page, _, high, low, ..] if page & SPF != 0 => {
            usize::from(u16::from_be_bytes([*high, *low])).checked_add(4)
        }
        [page, len, ..] if page & SPF == 0 => usize::from(*len).checked_add(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;
    use zerocopy::IntoBytes as _;

    #[test]
    fn a_list_of_the_six_byte_command() {
        let mut list = std::vec![0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 2, 0];
        list.extend(CachingPage::new(WCE).as_bytes());
        list.extend(ControlPage::new(0, 0).as_bytes());
        let parsed = SelectList::parse(&list, false).unwrap();
        assert_eq!(
            parsed.blocks,
            Some(SelectedBlocks {
                blocks: 9,
                block_len: 512,
                at: 9
            })
        );
        let pages: Vec<_> = parsed.pages().map(Result::unwrap).collect();
        assert_eq!(pages.len(), 2);
        assert_eq!((pages[0].at, pages[0].bytes[0]), (12, CACHING));
        assert_eq!((pages[1].at, pages[1].bytes[0]), (32, CONTROL));
    }

    #[test]
    fn cut_off_lists() {
        let error = Sense::illegal(asc::PARAMETER_LIST_LENGTH_ERROR);
        assert_eq!(SelectList::parse(&[0; 3], false).unwrap_err(), error);
        assert_eq!(
            SelectList::parse(&[0, 0, 0, 8, 0, 0], false).unwrap_err(),
            error
        );
        let pages = SelectList::parse(&[0, 0, 0, 0, CACHING, 0x12, WCE], false).unwrap();
        assert_eq!(pages.pages().collect::<Vec<_>>(), [Err(error)]);
    }

    #[test]
    fn a_descriptor_of_the_wrong_length() {
        let list = [0, 0, 0, 0, 1, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        let error = SelectList::parse(&list, true).unwrap_err();
        assert_eq!(error, Sense::invalid_parameter(6, None));
    }

    proptest! {
        #[test]
        fn any_list_is_parsed_without_panic(list: Vec<u8>, long: bool) {
            if let Ok(parsed) = SelectList::parse(&list, long) {
                prop_assert!(parsed.pages().count() <= list.len());
            }
        }
    }
}
