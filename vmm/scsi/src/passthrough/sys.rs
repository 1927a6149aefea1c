// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The system calls of the SCSI generic interface (`scsi/sg.h` in Linux).

use std::ffi::{c_int, c_uchar, c_uint, c_ushort, c_void};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

use hospes_device::memory::SgList;
use protocol::scsi::sense::SenseBytes;

use super::reply::Reply;

/// How many pieces one call takes: the system's limit for vectors.
pub(super) const MAX_PIECES: usize = 1024;

const SG_GET_VERSION_NUM: libc::Ioctl = 0x2282;
const SG_IO: libc::Ioctl = 0x2285;
const BLKSECTGET: libc::Ioctl = 0x1267;
/// The first version with SG_IO.
const MIN_VERSION: c_int = 30_000;
/// [`SgIoHdr::interface_id`].
const INTERFACE_ID: c_int = b'S' as c_int;

/// Which way data goes.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
enum Direction {
    None = -1,
    ToDevice = -2,
    FromDevice = -3,
}

/// A request and its outcome (`struct sg_io_hdr`).
#[repr(C)]
struct SgIoHdr {
    interface_id: c_int,
    dxfer_direction: c_int,
    cmd_len: c_uchar,
    mx_sb_len: c_uchar,
    iovec_count: c_ushort,
    dxfer_len: c_uint,
    dxferp: *mut c_void,
    cmdp: *const c_uchar,
    sbp: *mut c_uchar,
    /// In milliseconds.
    timeout: c_uint,
    flags: c_uint,
    pack_id: c_int,
    usr_ptr: *mut c_void,
    status: c_uchar,
    masked_status: c_uchar,
    msg_status: c_uchar,
    sb_len_wr: c_uchar,
    host_status: c_ushort,
    driver_status: c_ushort,
    resid: c_int,
    duration: c_uint,
    info: c_uint,
}

const _: () = assert!(size_of::<SgIoHdr>() == 88);

/// Memory that the host's kernel reads from or writes to for a command.
///
/// # Invariants
///
/// The vectors are memory that stays mapped for `'a`, and that the kernel may
/// meanwhile read, and write to if the direction is [`Direction::FromDevice`].
/// Together they have `len` bytes.
pub(super) struct Transfer<'a> {
    direction: Direction,
    vectors: Vec<libc::iovec>,
    len: u32,
    _memory: PhantomData<&'a mut [u8]>,
}

impl<'a> Transfer<'a> {
    /// No data.
    pub(super) fn none() -> Self {
        // INVARIANT: there are no vectors.
        Self::new(Direction::None, Vec::new())
    }

    /// The first `len` bytes of a list go to the device.
    pub(super) fn from_guest(list: &'a SgList, len: u32) -> Self {
        // INVARIANT: the list keeps its memory mapped, and is borrowed for 'a.
        Self::new(Direction::ToDevice, vectors(list, len))
    }

    /// Data of the device goes to the first `len` bytes of a list.
    pub(super) fn to_guest(list: &'a SgList, len: u32) -> Self {
        // INVARIANT: as before. There are no references to guest memory, which is
        // only accessed through volatile slices, so that it may be written to.
        Self::new(Direction::FromDevice, vectors(list, len))
    }

    /// A slice goes to the device.
    pub(super) fn from_slice(data: &'a [u8]) -> Self {
        let vector = libc::iovec {
            iov_base: data.as_ptr().cast_mut().cast(),
            iov_len: data.len(),
        };
        // INVARIANT: the slice is borrowed for 'a, and is only read.
        Self::new(Direction::ToDevice, vec![vector])
    }

    /// Data of the device goes to a slice.
    pub(super) fn to_slice(data: &'a mut [u8]) -> Self {
        let vector = libc::iovec {
            iov_base: data.as_mut_ptr().cast(),
            iov_len: data.len(),
        };
        // INVARIANT: the slice is borrowed exclusively for 'a.
        Self::new(Direction::FromDevice, vec![vector])
    }

    fn new(direction: Direction, vectors: Vec<libc::iovec>) -> Self {
        let total = vectors
            .iter()
            .fold(0_usize, |sum, vector| sum.saturating_add(vector.iov_len));
        Self {
            direction,
            // What is longer was refused before; none of it is accessed then.
            len: u32::try_from(total).unwrap_or(0),
            vectors,
            _memory: PhantomData,
        }
    }
}

fn vectors(list: &SgList, len: u32) -> Vec<libc::iovec> {
    let vector = |slice: vm_memory::VolatileSlice<'_>| libc::iovec {
        iov_base: slice.ptr_guard_mut().as_ptr().cast(),
        iov_len: slice.len(),
    };
    let pieces = list.slices(0, len.into()).take(MAX_PIECES);
    pieces.map(vector).collect()
}

/// Has the device execute a command, and waits for it.
pub(super) fn sg_io(
    file: &File,
    cdb: &[u8],
    mut transfer: Transfer<'_>,
    timeout: Duration,
) -> io::Result<Reply> {
    let mut sense = [0_u8; SenseBytes::CAPACITY];
    let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut header = SgIoHdr {
        interface_id: INTERFACE_ID,
        dxfer_direction: transfer.direction as c_int,
        cmd_len: c_uchar::try_from(cdb.len()).map_err(too_long)?,
        mx_sb_len: SenseBytes::CAPACITY as c_uchar,
        iovec_count: c_ushort::try_from(transfer.vectors.len()).map_err(too_long)?,
        dxfer_len: transfer.len,
        dxferp: transfer.vectors.as_mut_ptr().cast(),
        cmdp: cdb.as_ptr(),
        sbp: sense.as_mut_ptr(),
        timeout: c_uint::try_from(timeout.as_millis()).unwrap_or(c_uint::MAX),
        flags: 0,
        pack_id: 0,
        usr_ptr: ptr::null_mut(),
        status: 0,
        masked_status: 0,
        msg_status: 0,
        sb_len_wr: 0,
        host_status: 0,
        driver_status: 0,
        resid: 0,
        duration: 0,
        info: 0,
    };
    // SAFETY:
    // - The descriptor is open, as `file` is borrowed. If it is no SCSI device, the
    //   kernel refuses the request.
    // - `header` is what the request takes: `cmdp` and `sbp` point to as many bytes
    //   as it says, `dxferp` to `iovec_count` vectors.
    // - The kernel may access the memory of these vectors in that direction until
    //   the call returns, by the invariant of `transfer`. Afterwards it does not,
    //   not even if a signal ended the wait: sg gives up the data then.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), SG_IO, &raw mut header) };
    drop(transfer);
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let written = usize::from(header.sb_len_wr);
    Ok(Reply {
        status: header.status,
        sense: SenseBytes::new(sense.get(..written).unwrap_or(&sense)),
        host_status: header.host_status,
        driver_status: header.driver_status,
        residual: header.resid,
    })
}

/// Whether SG_IO is there.
pub(super) fn check_version(file: &File) -> io::Result<()> {
    let mut version: c_int = 0;
    // SAFETY: The descriptor is open, and the request writes an integer, for which
    // there is room.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), SG_GET_VERSION_NUM, &raw mut version) };
    match result {
        0 if version >= MIN_VERSION => Ok(()),
        0 => Err(io::ErrorKind::Unsupported.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The longest transfer, in bytes. Block devices say it in sectors of 512 bytes,
/// as a short integer, the sg driver in bytes, as an integer.
pub(super) fn max_transfer(file: &File, is_block: bool) -> io::Result<u32> {
    let mut value: c_uint = 0;
    // SAFETY: The descriptor is open, and the request writes an integer or a short
    // one, for either of which there is room.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), BLKSECTGET, &raw mut value) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(if is_block {
        value.saturating_mul(512)
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmm_sys_util::tempfile::TempFile;

    #[test]
    fn a_file_is_no_device() {
        let file = TempFile::new().unwrap();
        let file = file.as_file();
        assert!(check_version(file).is_err());
        let mut data = [7; 36];
        let cdb = [0x12, 0, 0, 0, 36, 0];
        let timeout = Duration::from_secs(1);
        let error = sg_io(file, &cdb, Transfer::to_slice(&mut data), timeout).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        assert_eq!(data, [7; 36]);
    }

    #[test]
    fn lengths_of_transfers() {
        assert_eq!(Transfer::none().len, 0);
        assert_eq!(Transfer::from_slice(&[0; 9]).len, 9);
        assert_eq!(Transfer::to_slice(&mut [0; 7]).len, 7);
    }
}
