// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that say what the disk is.

use protocol::scsi::block::{Capacity10, Capacity16, LBPME, LBPRZ, PROT_EN};
use protocol::scsi::inquiry::{DeviceType, StandardInquiry, PROTECT};
use protocol::scsi::protection::Kind;
use protocol::scsi::vpd::{self, CodeSet, DesignatorType};
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::IntoBytes;

use super::compare::MAX_COMPARE_AND_WRITE;
use super::provisioning::MAX_UNMAP_DESCRIPTORS;
use super::{BlockSize, Disk};
use crate::data_in::DataIn;
use crate::identity::{self, Identify};
use crate::unit::Task;

/// The length of a physical block: a page of the host's cache, and what most
/// file systems allocate.
const PHYSICAL_LEN: u32 = 4096;
/// The pages that there are, in order.
const PAGES: [u8; 7] = [
    vpd::SUPPORTED_PAGES,
    vpd::UNIT_SERIAL_NUMBER,
    vpd::DEVICE_IDENTIFICATION,
    vpd::EXTENDED_INQUIRY,
    vpd::BLOCK_LIMITS,
    vpd::BLOCK_DEVICE_CHARACTERISTICS,
    vpd::LOGICAL_BLOCK_PROVISIONING,
];

impl Identify for Disk {
    const KIND: DeviceType = DeviceType::Block;
    const PRODUCT: &'static str = "DISK";

    fn describe(&self, inquiry: &mut StandardInquiry) {
        if self.protection_kind().is_some() {
            inquiry.flags5 |= PROTECT;
        }
    }

    fn vpd_page(&self, page: u8) -> Option<Vec<u8>> {
        Some(match page {
            vpd::SUPPORTED_PAGES => PAGES.to_vec(),
            vpd::UNIT_SERIAL_NUMBER => self.serial.clone().into_bytes(),
            vpd::DEVICE_IDENTIFICATION => self.designators(),
            vpd::EXTENDED_INQUIRY => self.extended_inquiry().as_bytes().to_vec(),
            vpd::BLOCK_LIMITS => self.block_limits().as_bytes().to_vec(),
            vpd::BLOCK_DEVICE_CHARACTERISTICS => {
                let rotation_rate = U16::new(vpd::NON_ROTATING);
                let page = vpd::BlockDeviceCharacteristics {
                    rotation_rate,
                    unused: [0; 58],
                };
                page.as_bytes().to_vec()
            }
            vpd::LOGICAL_BLOCK_PROVISIONING => self.provisioning().as_bytes().to_vec(),
            _ => return None,
        })
    }
}

impl Disk {
    /// Two names of the unit: one to read, and a number for a world-wide name.
    fn designators(&self) -> Vec<u8> {
        let text = identity::t10_name(Self::PRODUCT, &self.serial);
        let number = vpd::naa_locally_assigned(hash(&text));
        let mut page = identity::designator(CodeSet::Binary, DesignatorType::Naa, &number);
        page.extend(identity::designator(
            CodeSet::Ascii,
            DesignatorType::T10VendorId,
            &text,
        ));
        page
    }

    fn extended_inquiry(&self) -> vpd::ExtendedInquiry {
        let checks = vpd::GRD_CHK | vpd::APP_CHK | vpd::REF_CHK;
        vpd::ExtendedInquiry {
            protection: match self.protection_kind() {
                None => 0,
                Some(Kind::Type1) => checks,
                Some(Kind::Type3) => vpd::SPT_TYPE_3 | checks,
            },
            attributes: vpd::SIMPSUP | vpd::ORDSUP | vpd::HEADSUP,
            caches: vpd::V_SUP,
            others: 0,
            unused: [0; 56],
        }
    }

    fn block_limits(&self) -> vpd::BlockLimits {
        let per_physical = PHYSICAL_LEN
            .checked_div(self.block_size.bytes())
            .unwrap_or(1);
        let mut limits = vpd::BlockLimits {
            flags: vpd::WSNZ,
            max_compare_and_write: MAX_COMPARE_AND_WRITE,
            optimal_granularity: U16::new(u16::try_from(per_physical).unwrap_or(1)),
            max_transfer: U32::new(self.max_blocks()),
            max_write_same: U64::new(self.max_blocks().into()),
            ..vpd::BlockLimits::default()
        };
        if self.thin {
            // All ones: only the number of descriptors is limited.
            limits.max_unmap_blocks = U32::new(u32::MAX);
            limits.max_unmap_descriptors = U32::new(MAX_UNMAP_DESCRIPTORS);
            limits.unmap_granularity = U32::new(per_physical);
        }
        limits
    }

    fn provisioning(&self) -> vpd::LogicalBlockProvisioning {
        let (flags, provisioning) = if self.thin {
            (
                vpd::LBPU | vpd::LBPWS | vpd::LBPWS10 | vpd::LBPRZ,
                vpd::THIN_PROVISIONED,
            )
        } else {
            (0, vpd::FULLY_PROVISIONED)
        };
        vpd::LogicalBlockProvisioning {
            flags,
            provisioning,
            ..Default::default()
        }
    }

    /// READ CAPACITY (10).
    pub(super) fn read_capacity_10(&self, task: &Task<'_>) -> u64 {
        let last_lba = u32::try_from(self.last_lba()).unwrap_or(u32::MAX);
        let capacity = Capacity10 {
            last_lba: U32::new(last_lba),
            block_len: U32::new(self.block_size.bytes()),
        };
        DataIn::new(task.data_in, u32::MAX).finish(&capacity)
    }

    /// READ CAPACITY (16).
    pub(super) fn read_capacity_16(&self, task: &Task<'_>, allocation: u32) -> u64 {
        let capacity = Capacity16 {
            last_lba: U64::new(self.last_lba()),
            block_len: U32::new(self.block_size.bytes()),
            protection: self
                .protection_kind()
                .map_or(0, |kind| (kind.p_type() << 1) | PROT_EN),
            exponents: match self.block_size {
                BlockSize::B512 => 3,
                BlockSize::B4096 => 0,
            },
            provisioning: U16::new(if self.thin { LBPME | LBPRZ } else { 0 }),
            reserved: [0; 16],
        };
        DataIn::new(task.data_in, allocation).finish(&capacity)
    }

    fn last_lba(&self) -> u64 {
        self.blocks().saturating_sub(1)
    }
}

/// FNV-1a, which stays the same from one release to the next.
pub(super) fn hash(data: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    data.iter().fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}
