//! Where things lie, in the image and in the running guest.
//!
//! The image's half is LinuxKit's layout, so that LinuxKit's users find what
//! they know; the guest's half lives below `/run/hullkit`.

use std::path::{Path, PathBuf};

/// The three kinds of entry, each a folder below [`CONTAINERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Run one after another at boot, each to its end.
    Onboot,
    /// Run one after another on the way down, each to its end.
    Onshutdown,
    /// Supervised.
    Services,
}

impl Section {
    /// All sections, in the order in which LinuxKit counts ids through them.
    pub const ALL: [Self; 3] = [Self::Onboot, Self::Onshutdown, Self::Services];

    /// The folder's name, which is also the YAML's key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Onboot => "onboot",
            Self::Onshutdown => "onshutdown",
            Self::Services => "services",
        }
    }

    /// The name of the folder that holds the bundle of the entry `name`, the
    /// `index`th (from 0) of its section: `000-NAME`, or `NAME` for a service.
    #[must_use]
    pub fn bundle_name(self, index: usize, name: &str) -> String {
        match self {
            Self::Onboot | Self::Onshutdown => format!("{index:03}-{name}"),
            Self::Services => name.to_owned(),
        }
    }

    /// The folder of this section below an image root at `root`.
    #[must_use]
    pub fn dir(self, root: &Path) -> PathBuf {
        root.join(CONTAINERS).join(self.as_str())
    }
}

/// Folder of all bundles, relative to the image's root.
pub const CONTAINERS: &str = "containers";
/// Folder of the volumes, relative to the image's root; each holds
/// [`LOWER`], [`TMP`] and [`MERGED`].
pub const VOLUMES: &str = "containers/volumes";
/// A volume's mount point, below the volume's folder.
pub const MERGED: &str = "merged";

/// The OCI configuration, in a bundle.
pub const CONFIG_JSON: &str = "config.json";
/// What we keep beside it ([`crate::RuntimeConfig`]), in a bundle.
pub const RUNTIME_JSON: &str = "runtime.json";
/// The container's root, in a bundle; empty in the image when [`LOWER`] is there.
pub const ROOTFS: &str = "rootfs";
/// The read-only lower layer of a writable container, in a bundle. That this
/// folder is there is what tells PID 1 to mount a tmpfs on [`TMP`] and an
/// overlay on [`ROOTFS`].
pub const LOWER: &str = "lower";
/// Where a writable container's tmpfs is mounted, in a bundle; it gets
/// [`UPPER`] and [`WORK`].
pub const TMP: &str = "tmp";
/// The overlay's upper folder, below [`TMP`].
pub const UPPER: &str = "upper";
/// The overlay's work folder, below [`TMP`].
pub const WORK: &str = "work";

/// PID 1.
pub const INIT: &str = "/init";
/// The control client: the same program as [`INIT`] under another name.
pub const HULLCTL: &str = "/usr/bin/hullctl";
/// The OCI runtime.
pub const RUNTIME: &str = "/usr/bin/runc-shim";
/// Kernel modules: `/lib/modules/RELEASE/…`, made by `hull kernel import`.
pub const MODULES: &str = "/lib/modules";
/// What `/etc/resolv.conf` links to; a DHCP client writes it.
pub const RESOLV_CONF: &str = "/run/resolvconf/resolv.conf";

/// All that PID 1 keeps at run time.
pub const RUN: &str = "/run/hullkit";
/// The control socket (unix, stream): [`crate::control`].
pub const CONTROL_SOCKET: &str = "/run/hullkit/control.sock";
/// The socket for those who may only look (unix, stream):
/// [`crate::control::Op::only_looks`].
pub const VIEW_SOCKET: &str = "/run/hullkit/view.sock";
/// The log process's socket (unix, stream): [`crate::control::LogRequest`].
pub const LOG_SOCKET: &str = "/run/hullkit/log.sock";
/// Folder of the folders, one a service, that hold the socket by which it says
/// how it is: `services.web/notify.sock`.
pub const NOTIFY: &str = "/run/hullkit/notify";
/// Where a service finds its folder of [`NOTIFY`].
pub const NOTIFY_INSIDE: &str = "/run/notify";
/// The socket, in that folder.
pub const NOTIFY_SOCKET: &str = "notify.sock";
/// `--root` of the OCI runtime.
pub const RUNTIME_ROOT: &str = "/run/runc-shim";
/// Where cgroup v2 is mounted.
pub const CGROUP: &str = "/sys/fs/cgroup";

/// The `linux.cgroupsPath` that the builder writes for an entry that names
/// none: `/hullkit/SECTION/BUNDLE`, below [`CGROUP`].
#[must_use]
pub fn cgroup(section: Section, bundle: &str) -> String {
    format!("/hullkit/{}/{bundle}", section.as_str())
}

/// The OCI runtime's id of an entry: `SECTION.BUNDLE`, unique in a guest.
#[must_use]
pub fn container_id(section: Section, bundle: &str) -> String {
    format!("{}.{bundle}", section.as_str())
}
