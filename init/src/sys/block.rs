//! Block devices that stand on others, and keep them: loop devices and the
//! device mapper's.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// `LOOP_CLR_FD` of `linux/loop.h`.
const LOOP_CLR_FD: u64 = 0x4c01;

/// Lets an open loop device go of its file.
///
/// # Errors
/// `ENXIO`: it has none; `EBUSY`: it is in use.
pub fn detach_loop(device: &File) -> Result<(), Errno> {
    // SAFETY: the request has no argument.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD as _, 0) };
    Errno::result(result).map(drop)
}

/// `struct dm_ioctl` of `linux/dm-ioctl.h`, of which we need the beginning.
#[repr(C)]
struct DmIoctl {
    version: [u32; 3],
    data_size: u32,
    rest: [u32; 74],
}

/// `DM_REMOVE_ALL`.
const DM_REMOVE_ALL: libc::Ioctl = nix::request_code_readwrite!(0xfd, 1, size_of::<DmIoctl>());

/// Removes all mapped devices that are not in use. `control` is
/// `/dev/mapper/control`.
///
/// # Errors
/// The kernel's word.
pub fn remove_mapped(control: &File) -> Result<(), Errno> {
    let mut request = DmIoctl {
        version: [4, 0, 0],
        data_size: u32::try_from(size_of::<DmIoctl>()).unwrap_or(0),
        rest: [0; 74],
    };
    // SAFETY: the request reads and writes a struct of this layout and size.
    let result = unsafe { libc::ioctl(control.as_raw_fd(), DM_REMOVE_ALL, &raw mut request) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_as_large_as_the_kernels() {
        assert_eq!(size_of::<DmIoctl>(), 312);
    }
}
