//! Files: openat(2), mkdirat(2), mknodat(2), close_range(2) and their kin.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{check_int, check_unit};

/// Where a relative path begins: a directory, or the current one.
pub type At<'a> = Option<BorrowedFd<'a>>;

pub(super) fn raw_at(at: At<'_>) -> libc::c_int {
    at.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd())
}

pub(super) fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just returned this descriptor, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// openat(2), always with `O_CLOEXEC`.
///
/// # Errors
/// The kernel's.
pub fn openat(at: At<'_>, path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: `path` is a C string that outlives the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat,
            raw_at(at),
            path.as_ptr(),
            flags | libc::O_CLOEXEC,
            mode,
        )
    };
    check_int(fd).map(owned)
}

/// mkdirat(2).
///
/// # Errors
/// The kernel's.
pub fn mkdirat(at: At<'_>, path: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `path` is a C string that outlives the call.
    check_unit(unsafe { libc::syscall(libc::SYS_mkdirat, raw_at(at), path.as_ptr(), mode) })
}

/// mknodat(2). `mode` holds the type of the node too.
///
/// # Errors
/// The kernel's.
pub fn mknodat(at: At<'_>, path: &CStr, mode: u32, major: u32, minor: u32) -> io::Result<()> {
    let device = libc::makedev(major, minor);
    // SAFETY: `path` is a C string that outlives the call.
    check_unit(unsafe { libc::syscall(libc::SYS_mknodat, raw_at(at), path.as_ptr(), mode, device) })
}

/// symlinkat(2).
///
/// # Errors
/// The kernel's.
pub fn symlinkat(target: &CStr, at: At<'_>, path: &CStr) -> io::Result<()> {
    // SAFETY: both are C strings that outlive the call.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_symlinkat,
            target.as_ptr(),
            raw_at(at),
            path.as_ptr(),
        )
    })
}

/// fchownat(2) that does not follow a symbolic link.
///
/// # Errors
/// The kernel's.
pub fn chownat(at: At<'_>, path: &CStr, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: `path` is a C string that outlives the call.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_fchownat,
            raw_at(at),
            path.as_ptr(),
            uid,
            gid,
            libc::AT_SYMLINK_NOFOLLOW,
        )
    })
}

/// fchdir(2).
///
/// # Errors
/// The kernel's.
pub fn fchdir(dir: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check_unit(unsafe { libc::syscall(libc::SYS_fchdir, dir.as_raw_fd()) })
}

/// chdir(2).
///
/// # Errors
/// The kernel's.
pub fn chdir(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` is a C string that outlives the call.
    check_unit(unsafe { libc::syscall(libc::SYS_chdir, path.as_ptr()) })
}

/// chroot(2) to the current directory.
///
/// # Errors
/// The kernel's.
pub fn chroot_to_cwd() -> io::Result<()> {
    // SAFETY: the path is a static C string.
    check_unit(unsafe { libc::syscall(libc::SYS_chroot, c".".as_ptr()) })
}

/// Whether the current directory can be reached from the root: getcwd(2)
/// writes `(unreachable)` before one that cannot.
///
/// # Errors
/// The kernel's.
pub fn cwd_is_reachable() -> io::Result<bool> {
    let mut path = [0u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is ours and as long as stated.
    check_int(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) })?;
    Ok(path.first() == Some(&b'/'))
}

/// faccessat(2) for execution, by the real ids.
///
/// # Errors
/// The kernel's.
pub fn can_execute(path: &CStr) -> io::Result<()> {
    access(path, libc::X_OK)
}

/// faccessat(2) for writing, by the real ids.
///
/// # Errors
/// The kernel's.
pub fn can_write(path: &CStr) -> io::Result<()> {
    access(path, libc::W_OK)
}

fn access(path: &CStr, how: i32) -> io::Result<()> {
    // SAFETY: `path` is a C string that outlives the call.
    check_unit(unsafe { libc::syscall(libc::SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), how) })
}

/// What [`stat`] tells of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Type and permissions.
    pub mode: u32,
    /// The device number, of a device node.
    pub device: (u32, u32),
    /// The filesystem and the inode: what makes two names the same file.
    pub identity: (u64, u64),
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Stat {
    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    /// Whether it is an ordinary file.
    #[must_use]
    pub fn is_regular(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    /// Whether it is a character device of these numbers.
    #[must_use]
    pub fn is_char_device(&self, major: u32, minor: u32) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFCHR && self.device == (major, minor)
    }
}

/// fstat(2).
///
/// # Errors
/// The kernel's.
pub fn stat(fd: BorrowedFd<'_>) -> io::Result<Stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills the structure, which is ours.
    check_unit(unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) }.into())?;
    // SAFETY: fstat succeeded, so it is filled.
    let stat = unsafe { stat.assume_init() };
    Ok(Stat {
        mode: stat.st_mode,
        device: (libc::major(stat.st_rdev), libc::minor(stat.st_rdev)),
        identity: (stat.st_dev, stat.st_ino),
        uid: stat.st_uid,
        gid: stat.st_gid,
    })
}

/// The kind of filesystem that a file lies on, where we must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filesystem {
    magic: i64,
}

impl Filesystem {
    /// procfs.
    #[must_use]
    pub fn is_proc(self) -> bool {
        self.magic == 0x9fa0
    }

    /// devpts.
    #[must_use]
    pub fn is_devpts(self) -> bool {
        self.magic == 0x1cd1
    }

    /// resctrl.
    #[must_use]
    pub fn is_resctrl(self) -> bool {
        self.magic == 0x0765_5821
    }

    /// cgroup v2.
    #[must_use]
    pub fn is_cgroup2(self) -> bool {
        self.magic == 0x6367_7270
    }
}

/// fstatfs(2).
///
/// # Errors
/// The kernel's.
pub fn filesystem(fd: BorrowedFd<'_>) -> io::Result<Filesystem> {
    let mut stat = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the kernel fills the structure, which is ours.
    check_unit(unsafe { libc::fstatfs(fd.as_raw_fd(), stat.as_mut_ptr()) }.into())?;
    // SAFETY: fstatfs succeeded, so it is filled.
    let stat = unsafe { stat.assume_init() };
    // Signed or not: that differs between C libraries.
    Ok(Filesystem {
        magic: stat.f_type as _,
    })
}

/// fstatvfs(3): whether the file lies on a mount, or on a filesystem, that
/// cannot be written.
///
/// # Errors
/// The kernel's.
pub fn is_on_read_only_mount(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut stat = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the structure is filled, and ours.
    check_unit(unsafe { libc::fstatvfs(fd.as_raw_fd(), stat.as_mut_ptr()) }.into())?;
    // SAFETY: fstatvfs succeeded, so it is filled.
    let stat = unsafe { stat.assume_init() };
    Ok(stat.f_flag & libc::ST_RDONLY != 0)
}

/// write(2), all of it in one call: for files of `/proc`, `/sys` and cgroups,
/// where a second call would be another command.
///
/// # Errors
/// The kernel's; a short write is `EIO`.
pub fn write_once(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the buffer is valid for its length.
    let n = check_int(unsafe {
        libc::syscall(libc::SYS_write, fd.as_raw_fd(), bytes.as_ptr(), bytes.len())
    })?;
    if usize::try_from(n) == Ok(bytes.len()) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EIO))
    }
}

/// read(2), once; the part of `buffer` that was filled.
///
/// # Errors
/// The kernel's.
pub fn read_once<'a>(fd: BorrowedFd<'_>, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    // SAFETY: the buffer is ours and as long as stated.
    let n = check_int(unsafe {
        libc::syscall(
            libc::SYS_read,
            fd.as_raw_fd(),
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    })?;
    let filled = buffer.get(..usize::try_from(n).unwrap_or_default());
    Ok(filled.unwrap_or_default())
}

/// flock(2), exclusive; waits for whoever has it.
///
/// # Errors
/// The kernel's.
pub fn lock(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check_unit(unsafe { libc::syscall(libc::SYS_flock, fd.as_raw_fd(), libc::LOCK_EX) })
}

/// close_range(2) with `CLOSE_RANGE_CLOEXEC`: every descriptor from `first`
/// on closes at the next exec.
///
/// # Errors
/// The kernel's.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: no pointers.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    })
}

/// close_range(2) around these: closes every descriptor from `first` on but
/// them. Only for a new process that goes on with these alone; what else its
/// memory names is closed under it.
///
/// # Errors
/// The kernel's.
pub fn close_all_but(first: u32, keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep
        .iter()
        .filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok())
        .collect();
    keep.sort_unstable();
    let mut first = first;
    for fd in keep {
        if first < fd {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: no pointers; who owns the descriptors never uses them again, as
    // `close_all_but` says.
    check_unit(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })
}

/// dup3(2): makes `number`, which is no other, mean what `fd` means, and keeps
/// it through exec.
///
/// # Errors
/// The kernel's.
pub fn duplicate_to(fd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    // SAFETY: no pointers; `number` is of those that nobody owns (0, 1, 2).
    check_unit(unsafe { libc::syscall(libc::SYS_dup3, fd.as_raw_fd(), number, 0) })
}

/// Whether a descriptor of this number is open, by fcntl(2).
#[must_use]
pub fn is_open(number: u32) -> bool {
    // SAFETY: no pointers.
    unsafe { libc::syscall(libc::SYS_fcntl, number, libc::F_GETFD) >= 0 }
}

/// fcntl(2): whether reads and writes wait for the other side.
///
/// # Errors
/// The kernel's.
pub fn set_waiting(fd: BorrowedFd<'_>, waiting: bool) -> io::Result<()> {
    let flags = if waiting { 0 } else { libc::O_NONBLOCK };
    // SAFETY: no pointers.
    check_unit(unsafe { libc::syscall(libc::SYS_fcntl, fd.as_raw_fd(), libc::F_SETFL, flags) })
}

/// fchown(2) of the owner alone.
///
/// # Errors
/// The kernel's.
pub fn give_to(fd: BorrowedFd<'_>, uid: u32) -> io::Result<()> {
    // SAFETY: no pointers; -1 leaves the group as it is.
    check_unit(unsafe { libc::syscall(libc::SYS_fchown, fd.as_raw_fd(), uid, -1) })
}

/// umask(2).
pub fn umask(mask: u32) {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::syscall(libc::SYS_umask, mask) };
}

/// memfd_create(2) that can be sealed.
///
/// # Errors
/// The kernel's.
pub fn memfd(name: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::MFD_ALLOW_SEALING | libc::MFD_CLOEXEC;
    // SAFETY: `name` is a C string that outlives the call.
    check_int(unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags) }).map(owned)
}

const ALL_SEALS: i32 =
    libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// Forbids every change of a memfd, for good.
///
/// # Errors
/// The kernel's.
pub fn seal(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check_unit(unsafe {
        libc::syscall(
            libc::SYS_fcntl,
            fd.as_raw_fd(),
            libc::F_ADD_SEALS,
            ALL_SEALS,
        )
    })
}

/// Whether nothing can change this file: it is a memfd with every seal.
#[must_use]
pub fn is_sealed(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: no pointers.
    let seals = unsafe { libc::syscall(libc::SYS_fcntl, fd.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & i64::from(ALL_SEALS) == i64::from(ALL_SEALS)
}
