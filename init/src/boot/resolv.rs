//! `/etc/resolv.conf`: in a read-only root it is a link to a place that can be
//! written, where a DHCP client puts its file.

use std::fs;
use std::path::Path;

use crate::Error;
use crate::mount_point::make_file;

/// Makes what the link at `path` leads to, empty, so that it can be bound into
/// containers before there is a name server. Without a link nothing is done.
///
/// # Errors
/// The folder or the file cannot be made.
pub(super) fn prepare(path: &Path) -> Result<(), Error> {
    let Ok(link) = fs::read_link(path) else {
        return Ok(());
    };
    let target = path.parent().unwrap_or(Path::new("/")).join(link);
    make_file(&target)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_links_target_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        prepare(&path).unwrap();
        assert!(!path.exists());
        symlink("run/resolvconf/resolv.conf", &path).unwrap();
        prepare(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        fs::write(&path, "nameserver").unwrap();
        prepare(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"nameserver");
    }
}
