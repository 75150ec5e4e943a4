//! What a container makes of a disk: mounts, loop devices, mapped devices.
#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::mount::MsFlags;

/// Mounts an ext4, and makes the folder for it.
pub(crate) fn mount_ext4(device: &str, folder: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let none = None::<&str>;
    nix::mount::mount(Some(device), folder, Some("ext4"), MsFlags::empty(), none)?;
    Ok(())
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// `LOOP_SET_FD` of `linux/loop.h`.
const LOOP_SET_FD: libc::Ioctl = 0x4c00;

/// Makes the loop device of a file.
pub(crate) fn attach_loop(file: &str, device: &str) -> io::Result<()> {
    let (file, device) = (open(file)?, open(device)?);
    let fd: RawFd = file.as_raw_fd();
    // SAFETY: the argument is a descriptor, which is open.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_FD, fd) };
    Ok(Errno::result(done).map(drop)?)
}

/// The size of `struct dm_ioctl` of `linux/dm-ioctl.h`.
const HEADER: usize = 312;
const DM_DEV_CREATE: libc::Ioctl = nix::request_code_readwrite!(0xfd, 3, HEADER);
const DM_DEV_SUSPEND: libc::Ioctl = nix::request_code_readwrite!(0xfd, 6, HEADER);
const DM_TABLE_LOAD: libc::Ioctl = nix::request_code_readwrite!(0xfd, 9, HEADER);

/// Maps the whole of `device` to a new device `name`.
pub(crate) fn map_linear(device: &str, name: &str) -> io::Result<()> {
    let control = open("/dev/mapper/control")?;
    let sectors = open(device)?.seek(SeekFrom::End(0))? / 512;
    let ask = |request: libc::Ioctl, target: &[u8]| {
        let mut bytes = request_bytes(name, target);
        // SAFETY: the request reads and writes a buffer of the size that is
        // written in it.
        let done = unsafe { libc::ioctl(control.as_raw_fd(), request, bytes.as_mut_ptr()) };
        Errno::result(done)
    };
    // `struct dm_target_spec`, and its parameters.
    let mut target = vec![0; 8];
    target.extend(sectors.to_le_bytes());
    target.extend([0; 8]);
    target.extend(b"linear\0\0\0\0\0\0\0\0\0\0");
    target.extend(format!("{device} 0\0").bytes());
    target.resize(target.len().next_multiple_of(8), 0);
    ask(DM_DEV_CREATE, &[])?;
    ask(DM_TABLE_LOAD, &target)?;
    // It is resumed: the flag that says otherwise is not set.
    ask(DM_DEV_SUSPEND, &[])?;
    Ok(())
}

/// `struct dm_ioctl` about the device `name`, and a target behind it.
fn request_bytes(name: &str, target: &[u8]) -> Vec<u8> {
    let size = u32::try_from(HEADER + target.len()).unwrap_or(0);
    let targets = u32::from(!target.is_empty());
    let header = u32::try_from(HEADER).unwrap_or(0);
    let mut bytes = Vec::new();
    for number in [4, 0, 0, size, header, targets] {
        bytes.extend(number.to_le_bytes());
    }
    // Behind the numbers, some of which are the kernel's: the name.
    bytes.resize(48, 0);
    bytes.extend(name.bytes().take(127));
    bytes.resize(HEADER, 0);
    bytes.extend(target);
    bytes
}
