//! Namespaces that are joined by path.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::error::Error;
use crate::spec::{NamespaceKind, Namespaces};
use crate::sys::{file, namespace};

/// Namespaces that are open and known to be what they should be.
pub(super) struct Joined(Vec<(NamespaceKind, CString, OwnedFd)>);

impl Joined {
    /// Opens them, in the runtime, while its paths still mean what they say.
    pub(super) fn open(namespaces: &Namespaces) -> Result<Self, Error> {
        let open = |(kind, path): (NamespaceKind, &CString)| {
            let name = path.to_string_lossy();
            let fd = file::openat(None, path, libc::O_RDONLY, 0)
                .map_err(Error::io("open the namespace", &name))?;
            match namespace::kind(fd.as_fd()) {
                Ok(flag) if flag == kind.flag() => Ok((kind, path.clone(), fd)),
                Ok(_) => Err(Error::Unsupported(format!(
                    "{name} is a namespace, but not one of type {}",
                    kind.name()
                ))),
                Err(_) => Err(Error::Unsupported(format!("{name} is not a namespace"))),
            }
        };
        namespaces
            .joined()
            .map(open)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Joins them all: first what we may join as who we are, then the user
    /// namespace, then what we may join only in it.
    pub(super) fn join(self) -> Result<(), (CString, io::Error)> {
        let (user, others): (Vec<_>, Vec<_>) = self
            .0
            .into_iter()
            .partition(|(kind, ..)| *kind == NamespaceKind::User);
        let mut refused = Vec::new();
        for (kind, path, fd) in others {
            match namespace::join(fd.as_fd(), kind.flag()) {
                Ok(()) => {}
                Err(e) if e.raw_os_error() == Some(libc::EPERM) && !user.is_empty() => {
                    refused.push((kind, path, fd));
                }
                Err(e) => return Err((path, e)),
            }
        }
        for (kind, path, fd) in user.into_iter().chain(refused) {
            namespace::join(fd.as_fd(), kind.flag()).map_err(|e| (path, e))?;
        }
        Ok(())
    }
}
