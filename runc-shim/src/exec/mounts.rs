//! Steps that mount.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::child::{Done, Failure};
use super::copy;
use super::proc_guard::{self, Guest};
use super::tree::{Place, Tree, Want};
use crate::spec::{Mount, MountKind, MountOption};
use crate::sys::mount::{self, Change, Propagation, attr};
use crate::sys::{file, resolve};

/// The inode of a procfs's root, `PROC_ROOT_INO` of the kernel.
const PROC_ROOT_INO: u64 = 1;

/// What a mount point that cannot be made is told as.
const MAKING: &str = "making the mount point, which the root lacks";

/// A copy of the mount at `path`, mounted onto it: pivot_root wants the new
/// root to be a mount point, and our changes must not touch the host's mount.
pub(super) fn take_root(path: &CStr) -> Result<Tree, Failure> {
    let place = file::openat(None, path, libc::O_PATH | libc::O_DIRECTORY, 0)?;
    let root = mount::clone_tree(Some(place.as_fd()), c"", true)?;
    mount::attach(root.as_fd(), place.as_fd())?;
    Ok(Tree::new(root))
}

/// Makes the mount that holds `path` private: what is mounted in it from now
/// on is not seen by the host, and pivot_root(2) allows no shared parent.
pub(super) fn part_root(path: &CStr) -> Done {
    let place = file::openat(None, path, libc::O_PATH | libc::O_DIRECTORY, 0)?;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", place.as_raw_fd()))?;
    let table = std::fs::read("/proc/self/mountinfo")?;
    let holder = mount_point_of(&table, path.as_os_str().as_encoded_bytes())
        .ok_or_else(|| Failure::own(libc::ENOENT, "no mount holds it"))?;
    mount::set_propagation(&holder, Propagation::Private, false).map_err(Failure::from)
}

/// The mount point that holds a path: in proc_pid_mountinfo(5) the longest one
/// that the path begins with.
fn mount_point_of(table: &[u8], path: &[u8]) -> Option<CString> {
    let points = table.split(|b| *b == b'\n').filter_map(|line| {
        let point = line.split(|b| *b == b' ').nth(4)?;
        Some(unescape(point))
    });
    let holds = |point: &Vec<u8>| {
        let rest = path.strip_prefix(point.as_slice());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || point == b"/")
    };
    let longest = points.filter(holds).max_by_key(Vec::len)?;
    CString::new(longest).ok()
}

/// `\040` and its like, by which the kernel writes spaces.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| *first == b'\\');
        let code = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        plain.push(code.unwrap_or(*first));
        rest = if code.is_some() {
            tail.get(3..).unwrap_or_default()
        } else {
            tail
        };
    }
    plain
}

/// Mounts, and returns the mount where it has to become read-only later.
///
/// `made` is a bind that the runtime has made.
pub(super) fn mount(
    tree: &Tree,
    wanted: &Mount,
    read_only_later: bool,
    made: Option<OwnedFd>,
) -> Result<Option<OwnedFd>, Failure> {
    let attributes = if read_only_later {
        wanted.attributes.0 & !attr::RDONLY
    } else {
        wanted.attributes.0
    };
    let mounted = match &wanted.kind {
        MountKind::Bind { source, recursive } => bind(tree, wanted, source, *recursive, made)?,
        MountKind::Cgroup => cgroups(tree, wanted, attributes)?,
        MountKind::Filesystem {
            fstype,
            source,
            options,
        } => {
            let fs = Filesystem {
                fstype,
                source,
                options,
                attributes,
                copy_up: wanted.copy_up,
            };
            fs.mount_on(tree, &wanted.destination)?
        }
        MountKind::Remount { options } => remount(tree, wanted, attributes, options)?,
    };
    if let Some(change) = wanted.recursive {
        mount::change(mounted.as_fd(), change, true).map_err(Failure::in_part("attributes"))?;
    }
    for (how, recursive) in &wanted.propagation {
        let change = Change {
            propagation: Some(*how),
            ..Change::default()
        };
        mount::change(mounted.as_fd(), change, *recursive)
            .map_err(Failure::in_part("propagation"))?;
    }
    Ok(read_only_later.then_some(mounted))
}

/// Opens where something is to be mounted, and makes sure that `proc` lets it.
pub(super) fn place(tree: &Tree, path: &CStr, want: Want, what: Guest) -> Result<Place, Failure> {
    let place = tree.place(path, want).map_err(|error| {
        let detail = match error.raw_os_error() {
            Some(libc::EROFS | libc::EACCES | libc::EPERM | libc::ENOENT) => MAKING,
            _ => "the mount point",
        };
        Failure::in_part(detail)(error)
    })?;
    let there = tree.path_of(place.fd.as_fd())?;
    let there = there.ok_or_else(|| Failure::own(libc::EXDEV, "it lies outside of the root"))?;
    proc_guard::check(path.to_bytes(), &there, what)
        .map_err(|problem| Failure::own(libc::EPERM, problem))?;
    Ok(place)
}

fn bind(
    tree: &Tree,
    wanted: &Mount,
    source: &CStr,
    recursive: bool,
    made: Option<OwnedFd>,
) -> Result<OwnedFd, Failure> {
    let copy = match made {
        Some(made) => made,
        None => {
            mount::clone_tree(None, source, recursive).map_err(Failure::in_part("the source"))?
        }
    };
    let source = file::stat(copy.as_fd())?;
    let is_dir = source.is_dir();
    let root_of_proc =
        source.identity.1 == PROC_ROOT_INO && file::filesystem(copy.as_fd())?.is_proc();
    let place = place(
        tree,
        &wanted.destination,
        if is_dir { Want::Folder } else { Want::File },
        if root_of_proc {
            Guest::BoundProc
        } else {
            Guest::Other
        },
    )?;
    if place.existed && file::stat(place.fd.as_fd())?.is_dir() != is_dir {
        let kinds = [
            "the source is a file, the mount point a folder",
            "the source is a folder, the mount point a file",
        ];
        let detail = kinds.get(usize::from(is_dir)).copied().unwrap_or_default();
        return Err(Failure::own(libc::ENOTDIR, detail));
    }
    let change = wanted.attributes.change();
    if change != Change::default() {
        mount::change(copy.as_fd(), change, false).map_err(Failure::in_part("attributes"))?;
    }
    mount::attach(copy.as_fd(), place.fd.as_fd())?;
    Ok(copy)
}

/// What can be taken back from a mount, an attribute each. How access times
/// are kept stays, as with mount(2), where nothing is said about it.
const TAKEN_BACK: [u64; 6] = [
    attr::RDONLY,
    attr::NOSUID,
    attr::NODEV,
    attr::NOEXEC,
    attr::NODIRATIME,
    attr::NOSYMFOLLOW,
];

/// Gives what is mounted at the destination these attributes and no others,
/// but for those that a user namespace has locked, which stay; and its
/// filesystem these options. Only those reach a filesystem that others see too.
fn remount(
    tree: &Tree,
    wanted: &Mount,
    attributes: u64,
    options: &[MountOption],
) -> Result<OwnedFd, Failure> {
    let mounted = tree.open(&wanted.destination)?;
    if !options.is_empty() {
        configure_anew(mounted.as_fd(), options)?;
    }
    let change = crate::spec::Attributes(attributes).change();
    mount::change(mounted.as_fd(), change, false).map_err(not_a_mount)?;
    for one in TAKEN_BACK.into_iter().filter(|one| attributes & one == 0) {
        let change = Change {
            clear: one,
            ..Change::default()
        };
        match mount::change(mounted.as_fd(), change, false) {
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => {}
            other => other.map_err(not_a_mount)?,
        }
    }
    Ok(mounted)
}

fn configure_anew(mounted: BorrowedFd<'_>, options: &[MountOption]) -> Done {
    let fs = mount::pick_filesystem(mounted).map_err(not_a_mount)?;
    options
        .iter()
        .try_for_each(|o| mount::set_option(fs.as_fd(), &o.key, o.value.as_deref()))
        .and_then(|()| mount::reconfigure(fs.as_fd()))
        .map_err(|error| {
            let mut buffer = [0; 256];
            let detail = mount::explain(fs.as_fd(), &mut buffer).unwrap_or_default();
            Failure::in_part(detail)(error)
        })
}

fn not_a_mount(error: io::Error) -> Failure {
    let detail = match error.raw_os_error() {
        Some(libc::EINVAL) => "nothing is mounted there",
        _ => "",
    };
    Failure::in_part(detail)(error)
}

/// cgroup v2, of the container's own cgroup namespace.
fn cgroups(tree: &Tree, wanted: &Mount, attributes: u64) -> Result<OwnedFd, Failure> {
    let fs = Filesystem {
        fstype: c"cgroup2",
        source: c"cgroup",
        options: &[],
        attributes,
        copy_up: false,
    };
    fs.mount_on(tree, &wanted.destination)
}

/// A filesystem to be mounted.
struct Filesystem<'a> {
    fstype: &'a CStr,
    source: &'a CStr,
    options: &'a [MountOption],
    attributes: u64,
    copy_up: bool,
}

impl Filesystem<'_> {
    fn mount_on(&self, tree: &Tree, destination: &CStr) -> Result<OwnedFd, Failure> {
        let what = match self.fstype.to_bytes() {
            b"proc" => Guest::Proc,
            b"sysfs" => Guest::Sysfs,
            _ => Guest::Other,
        };
        let place = place(tree, destination, Want::Folder, what)?;
        // fsconfig(2) takes values of up to 255 bytes.
        let long = |o: &MountOption| o.value.as_ref().is_some_and(|v| v.count_bytes() > 255);
        if self.options.iter().any(long) {
            let mounted = self.mount_in_one(tree, destination, place.fd.as_fd())?;
            self.fill(&place, mounted.as_fd())?;
            return Ok(mounted);
        }
        let fs = mount::open_filesystem(self.fstype).map_err(|error| {
            let why = match error.raw_os_error() {
                Some(libc::ENODEV) => "the kernel knows no such filesystem",
                Some(libc::EPERM) => {
                    "not for this user namespace: a sysfs wants a network namespace of its own, an mqueue an ipc namespace"
                }
                _ => "",
            };
            Failure::in_part(why)(error)
        })?;
        self.configure(fs.as_fd(), &place)
            .and_then(|()| mount::create_mount(fs.as_fd(), self.attributes))
            .map_err(|error| {
                let mut buffer = [0; 256];
                let detail = mount::explain(fs.as_fd(), &mut buffer).unwrap_or_default();
                Failure::in_part(detail)(error)
            })
            .and_then(|mounted| {
                self.fill(&place, mounted.as_fd())?;
                mount::attach(mounted.as_fd(), place.fd.as_fd())?;
                Ok(mounted)
            })
    }

    /// Copies what it covers into it, where that is wanted.
    fn fill(&self, place: &Place, mounted: BorrowedFd<'_>) -> Done {
        if !self.copy_up || !place.existed {
            return Ok(());
        }
        copy::folder(place.fd.as_fd(), mounted).map_err(Failure::in_part("copying what it covers"))
    }

    fn configure(&self, fs: BorrowedFd<'_>, place: &Place) -> io::Result<()> {
        mount::set_option(fs, c"source", Some(self.source))?;
        // A device must not be written at all; of a virtual filesystem it is
        // the mount that cannot be.
        let device = self.source.to_bytes().starts_with(b"/");
        if device && self.attributes & attr::RDONLY != 0 {
            mount::set_option(fs, c"ro", None)?;
        }
        for option in self.options {
            mount::set_option(fs, &option.key, option.value.as_deref())?;
        }
        let mode = self.options.iter().any(|o| o.key.as_bytes() == b"mode");
        if self.fstype == c"tmpfs" && !mode && place.existed {
            // It takes the place of a folder, and so its permissions.
            let mode = file::stat(place.fd.as_fd())?.mode & 0o7777;
            let mode = CString::new(format!("{mode:o}"))?;
            mount::set_option(fs, c"mode", Some(&mode))?;
        }
        Ok(())
    }

    /// mount(2) onto the current directory, which is the place that was
    /// resolved, so that no path is walked again.
    fn mount_in_one(
        &self,
        tree: &Tree,
        destination: &CStr,
        place: BorrowedFd<'_>,
    ) -> Result<OwnedFd, Failure> {
        let mut data = Vec::new();
        for option in self.options {
            if !data.is_empty() {
                data.push(b',');
            }
            data.extend(option.key.as_bytes());
            if let Some(value) = &option.value {
                data.push(b'=');
                data.extend(value.as_bytes());
            }
        }
        let data = CString::new(data).map_err(io::Error::from)?;
        let read_only = self.attributes & attr::RDONLY;
        file::fchdir(place)?;
        mount::mount_on_cwd(self.source, self.fstype, read_only, &data)?;
        file::chdir(c"/")?;
        let mounted = resolve::open_in_root(tree.root(), destination, libc::O_PATH, 0)?;
        let change = crate::spec::Attributes(self.attributes).change();
        mount::change(mounted.as_fd(), change, false)?;
        Ok(mounted)
    }
}

/// Makes a mount read-only; what is locked stays as it is.
pub(super) fn read_only(mounted: BorrowedFd<'_>) -> Done {
    let change = Change {
        set: attr::RDONLY,
        ..Change::default()
    };
    mount::change(mounted, change, false).map_err(Failure::from)
}

/// Whether there is nothing at a path, which is then as good as hidden.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

/// A read-only copy of what is at `path`, with all below it, mounted onto it.
pub(super) fn protect(tree: &Tree, path: &CStr) -> Done {
    let place = match tree.open(path) {
        Err(e) if is_absent(&e) => return Ok(()),
        other => other?,
    };
    let copy = mount::clone_tree(Some(place.as_fd()), c"", true)?;
    let change = Change {
        set: attr::RDONLY,
        ..Change::default()
    };
    mount::change(copy.as_fd(), change, true)?;
    mount::attach(copy.as_fd(), place.as_fd())?;
    Ok(())
}

/// Hides a file behind the host's `/dev/null`, which is made sure to be it
/// (the container's may be anything, CVE-2025-31133), a folder behind an empty
/// read-only tmpfs; all folders share one, the first that was hidden.
pub(super) fn mask(tree: &Tree, path: &CStr, shared: &mut Option<OwnedFd>) -> Done {
    let place = match tree.open(path) {
        Err(e) if is_absent(&e) => return Ok(()),
        other => other?,
    };
    if !file::stat(place.as_fd())?.is_dir() {
        let null = mount::clone_tree(None, c"/dev/null", false)
            .map_err(Failure::in_part("the host's /dev/null"))?;
        if !file::stat(null.as_fd())?.is_char_device(1, 3) {
            return Err(Failure::own(
                libc::ENODEV,
                "the host's /dev/null is something else",
            ));
        }
        mount::attach(null.as_fd(), place.as_fd())?;
        return Ok(());
    }
    let cover = match shared {
        Some(first) => mount::clone_tree(Some(first.as_fd()), c"", false)?,
        None => empty_folder()?,
    };
    mount::attach(cover.as_fd(), place.as_fd())?;
    shared.get_or_insert(cover);
    Ok(())
}

fn empty_folder() -> io::Result<OwnedFd> {
    let fs = mount::open_filesystem(c"tmpfs")?;
    mount::set_option(fs.as_fd(), c"source", Some(c"tmpfs"))?;
    mount::set_option(fs.as_fd(), c"size", Some(c"4k"))?;
    mount::set_option(fs.as_fd(), c"nr_inodes", Some(c"1"))?;
    mount::create_mount(
        fs.as_fd(),
        attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_holds_a_path() {
        let table =
            b"1 0 0:1 / / rw - x x rw\n2 1 0:2 / /a\\040b rw - x x rw\n3 1 0:3 / /a rw - x x rw\n";
        let holder = |path: &[u8]| mount_point_of(table, path).unwrap();
        assert_eq!(holder(b"/a b/c").as_bytes(), b"/a b");
        assert_eq!(holder(b"/a").as_bytes(), b"/a");
        assert_eq!(holder(b"/abc").as_bytes(), b"/");
        assert_eq!(holder(b"/").as_bytes(), b"/");
    }
}
