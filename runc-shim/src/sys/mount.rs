//! Mounts: the file-descriptor API of Linux 5.2 and 5.12 (fsopen(2),
//! open_tree(2), move_mount(2), mount_setattr(2)), mount(2) where that has a
//! limit, and pivot_root(2).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use super::file::{At, owned, raw_at};
use super::{check_int, check_unit};

/// Attributes of a mount, as in `struct mount_attr`.
pub mod attr {
    /// Nothing can be written.
    pub const RDONLY: u64 = 0x01;
    /// Set-user-id bits mean nothing.
    pub const NOSUID: u64 = 0x02;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = 0x04;
    /// Nothing can be executed.
    pub const NOEXEC: u64 = 0x08;
    /// The field of the three ways to keep access times.
    pub const ATIME: u64 = 0x70;
    /// Access times are not kept.
    pub const NOATIME: u64 = 0x10;
    /// Access times are always kept.
    pub const STRICTATIME: u64 = 0x20;
    /// Access times of directories are not kept.
    pub const NODIRATIME: u64 = 0x80;
    /// Symbolic links are not followed.
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// How mounts spread to other mount namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Both ways.
    Shared,
    /// From there to here only.
    Slave,
    /// Not at all.
    Private,
    /// Not at all, and it cannot be bound elsewhere.
    Unbindable,
}

impl Propagation {
    /// The flag of mount(2), which is also that of mount_setattr(2).
    const fn flag(self) -> u64 {
        match self {
            Self::Shared => libc::MS_SHARED,
            Self::Slave => libc::MS_SLAVE,
            Self::Private => libc::MS_PRIVATE,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// What mount_setattr(2) changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Attributes to set ([`attr`]).
    pub set: u64,
    /// Attributes to clear ([`attr`]).
    pub clear: u64,
    /// The new propagation.
    pub propagation: Option<Propagation>,
}

const AT_RECURSIVE: i32 = 0x8000;
const OPEN_TREE_CLONE: i32 = 1;

fn recursive_flag(recursive: bool) -> i32 {
    if recursive { AT_RECURSIVE } else { 0 }
}

/// open_tree(2): a detached copy of the mount at `path` (with those below it).
/// An empty path means `at` itself.
///
/// # Errors
/// The kernel's.
pub fn clone_tree(at: At<'_>, path: &CStr, recursive: bool) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC | libc::AT_EMPTY_PATH | recursive_flag(recursive);
    // SAFETY: `path` is a C string that outlives the call.
    check_int(unsafe { libc::syscall(libc::SYS_open_tree, raw_at(at), path.as_ptr(), flags) })
        .map(owned)
}

/// move_mount(2): attaches a detached mount onto what `target` names.
///
/// # Errors
/// The kernel's.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    const FROM_EMPTY_PATH: u32 = 0x04;
    const TO_EMPTY_PATH: u32 = 0x40;
    // SAFETY: both paths are static C strings.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            FROM_EMPTY_PATH | TO_EMPTY_PATH,
        )
    })
}

/// mount_setattr(2) on the mount that `mount` names.
///
/// # Errors
/// The kernel's.
pub fn change(mount: BorrowedFd<'_>, change: Change, recursive: bool) -> io::Result<()> {
    let attributes: [u64; 4] = [
        change.set,
        change.clear,
        change.propagation.map_or(0, Propagation::flag),
        0,
    ];
    // SAFETY: `attributes` has the layout of `struct mount_attr` (four u64).
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive_flag(recursive),
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    })
}

/// mount_setattr(2) with `MOUNT_ATTR_IDMAP`: files of a mount that is not
/// attached yet belong to whom the user namespace says.
///
/// # Errors
/// The kernel's; `EINVAL`: the filesystem cannot.
pub fn map_ids(
    mount: BorrowedFd<'_>,
    namespace: BorrowedFd<'_>,
    recursive: bool,
) -> io::Result<()> {
    const MAP_IDS: u64 = 0x0010_0000;
    let namespace = u64::try_from(namespace.as_raw_fd()).unwrap_or_default();
    let attributes: [u64; 4] = [MAP_IDS, 0, 0, namespace];
    // SAFETY: `attributes` has the layout of `struct mount_attr` (four u64).
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive_flag(recursive),
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    })
}

/// fsopen(2): a filesystem to be configured.
///
/// # Errors
/// The kernel's; `ENODEV`: it knows no such type.
pub fn open_filesystem(fstype: &CStr) -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: u32 = 1;
    // SAFETY: `fstype` is a C string that outlives the call.
    check_int(unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), FSOPEN_CLOEXEC) })
        .map(owned)
}

/// fsconfig(2): sets an option, with or without a value. The kernel takes no
/// value of more than 255 bytes.
///
/// # Errors
/// The kernel's; [`explain`] may know more.
pub fn set_option(fs: BorrowedFd<'_>, key: &CStr, value: Option<&CStr>) -> io::Result<()> {
    const SET_FLAG: u32 = 0;
    const SET_STRING: u32 = 1;
    let (command, value) = match value {
        Some(value) => (SET_STRING, value.as_ptr()),
        None => (SET_FLAG, ptr::null()),
    };
    // SAFETY: both are C strings that outlive the call, or null where the
    // command wants null.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            fs.as_raw_fd(),
            command,
            key.as_ptr(),
            value,
            0,
        )
    })
}

/// fsconfig(2) and fsmount(2): creates the filesystem and a detached mount of
/// it with these attributes ([`attr`]).
///
/// # Errors
/// The kernel's; [`explain`] may know more.
pub fn create_mount(fs: BorrowedFd<'_>, attributes: u64) -> io::Result<OwnedFd> {
    const CMD_CREATE: u32 = 6;
    const FSMOUNT_CLOEXEC: u32 = 1;
    let none = ptr::null::<libc::c_char>();
    // SAFETY: the command takes no pointers.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            fs.as_raw_fd(),
            CMD_CREATE,
            none,
            none,
            0,
        )
    })?;
    // SAFETY: no pointers.
    check_int(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            fs.as_raw_fd(),
            FSMOUNT_CLOEXEC,
            attributes,
        )
    })
    .map(owned)
}

/// fspick(2): the filesystem of the mount whose root `mount` is, to be
/// configured anew.
///
/// # Errors
/// The kernel's; `EINVAL`: it is not the root of a mount.
pub fn pick_filesystem(mount: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const FSPICK_CLOEXEC: u32 = 1;
    const FSPICK_EMPTY_PATH: u32 = 8;
    // SAFETY: the path is a static C string.
    check_int(unsafe {
        libc::syscall(
            libc::SYS_fspick,
            mount.as_raw_fd(),
            c"".as_ptr(),
            FSPICK_CLOEXEC | FSPICK_EMPTY_PATH,
        )
    })
    .map(owned)
}

/// fsconfig(2): puts options into force that were set on what
/// [`pick_filesystem`] gave.
///
/// # Errors
/// The kernel's; [`explain`] may know more.
pub fn reconfigure(fs: BorrowedFd<'_>) -> io::Result<()> {
    const CMD_RECONFIGURE: u32 = 7;
    let none = ptr::null::<libc::c_char>();
    // SAFETY: the command takes no pointers.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            fs.as_raw_fd(),
            CMD_RECONFIGURE,
            none,
            none,
            0,
        )
    })
}

/// What the kernel had to say about a filesystem that it refused, as text in
/// `buffer`, without the leading level (`e tmpfs: Unknown parameter 'siez'`).
#[must_use]
pub fn explain<'a>(fs: BorrowedFd<'_>, buffer: &'a mut [u8]) -> Option<&'a str> {
    // SAFETY: the buffer is ours and as long as stated.
    let n = check_int(unsafe {
        libc::syscall(
            libc::SYS_read,
            fs.as_raw_fd(),
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    })
    .ok()?;
    let text = std::str::from_utf8(buffer.get(..usize::try_from(n).ok()?)?).ok()?;
    text.trim_end().get(2..).filter(|t| !t.is_empty())
}

/// mount(2) of a new filesystem onto the current directory: where an option is
/// too long for [`set_option`]. `flags` are those of mount(2).
///
/// # Errors
/// The kernel's.
pub fn mount_on_cwd(source: &CStr, fstype: &CStr, flags: u64, data: &CStr) -> io::Result<()> {
    // SAFETY: all are C strings that outlive the call.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_mount,
            source.as_ptr(),
            c".".as_ptr(),
            fstype.as_ptr(),
            flags,
            data.as_ptr(),
        )
    })
}

/// mount(2): changes the propagation of the mount at `path`.
///
/// # Errors
/// The kernel's.
pub fn set_propagation(path: &CStr, how: Propagation, recursive: bool) -> io::Result<()> {
    let recursive = if recursive { libc::MS_REC } else { 0 };
    let none = ptr::null::<libc::c_char>();
    // SAFETY: `path` is a C string; the other pointers may be null here.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_mount,
            none,
            path.as_ptr(),
            none,
            how.flag() | recursive,
            none,
        )
    })
}

/// pivot_root(2) with the current directory as both arguments: the old root
/// ends up mounted on top of the new one, and the current directory is in the
/// new one. [`detach_cwd`] then takes the old root away.
///
/// # Errors
/// The kernel's.
pub fn pivot_to_cwd() -> io::Result<()> {
    // SAFETY: both paths are static C strings.
    check_unit(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })
}

/// umount2(2) with `MNT_DETACH` of what is mounted on the current directory.
///
/// # Errors
/// The kernel's.
pub fn detach_cwd() -> io::Result<()> {
    // SAFETY: the path is a static C string.
    check_unit(unsafe { libc::syscall(libc::SYS_umount2, c".".as_ptr(), libc::MNT_DETACH) })
}

/// umount2(2) with `MNT_DETACH` of what is mounted at `path`.
///
/// # Errors
/// The kernel's.
pub fn detach(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` is a C string that outlives the call.
    check_unit(unsafe { libc::syscall(libc::SYS_umount2, path.as_ptr(), libc::MNT_DETACH) })
}

/// mount(2) with `MS_MOVE`: the mount that is the current directory goes on
/// top of `/`.
///
/// # Errors
/// The kernel's.
pub fn move_cwd_to_root() -> io::Result<()> {
    let none = ptr::null::<libc::c_char>();
    // SAFETY: both paths are static C strings; the rest may be null here.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_mount,
            c".".as_ptr(),
            c"/".as_ptr(),
            none,
            libc::MS_MOVE,
            none,
        )
    })
}
