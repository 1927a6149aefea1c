// SPDX-License-Identifier: GPL-2.0

//! `vmbus_prep_negotiate_resp()`, by which the drivers of integration services agree with the host
//! on versions.

use super::bindings;
use core::slice;
use kernel::prelude::*;
use protocol::vmbus::integration::{
    answer,
    Agreed,
    Refusal,
    ANSWER_SIZE, //
};

/// Puts the answer to a host's list of versions in its place. The versions that were chosen, if
/// any, are stored where a driver wants them.
///
/// # Safety
///
/// There must be `len` bytes at `packet`, the header among them, and as many versions as the counts
/// say.
#[no_mangle]
unsafe extern "C" fn vmbus_prep_negotiate_resp(
    header: *mut bindings::icmsg_hdr,
    packet: *mut u8,
    len: u32,
    frameworks: *const c_int,
    framework_count: c_int,
    services: *const c_int,
    service_count: c_int,
    framework: *mut c_int,
    service: *mut c_int,
) -> bool {
    // SAFETY: By the safety requirement.
    let (packet, frameworks, services) = unsafe {
        (&raw mut (*header).icmsgsize).write_unaligned(ANSWER_SIZE);
        (
            slice::from_raw_parts_mut(packet, len as usize),
            versions(frameworks, framework_count),
            versions(services, service_count),
        )
    };
    match answer(packet, frameworks, services) {
        Ok(Agreed {
            framework: chosen,
            service: of_service,
        }) => {
            // SAFETY: By the safety requirement; a driver that does not care says null.
            unsafe {
                store(framework, chosen.to_u32());
                store(service, of_service.to_u32());
            }
            true
        }
        Err(Refusal::NothingCommon) => false,
        Err(refusal) => {
            kernel::pr_err_once!("Invalid icmsg negotiate: {:?}\n", refusal);
            false
        }
    }
}

/// # Safety
///
/// There must be `count` versions.
unsafe fn versions<'a>(first: *const c_int, count: c_int) -> &'a [u32] {
    match usize::try_from(count) {
        // SAFETY: By the safety requirement; the sign is the only difference.
        Ok(count) if count > 0 => unsafe { slice::from_raw_parts(first.cast(), count) },
        _ => &[],
    }
}

/// # Safety
///
/// `to` must be null or valid for writes.
unsafe fn store(to: *mut c_int, version: u32) {
    if !to.is_null() {
        // SAFETY: By the safety requirement.
        unsafe { to.write(version as c_int) };
    }
}
