//! `modules.devname`: device files whose first opening loads their module
//! (`/dev/net/tun`, `/dev/loop-control`): `MODULE NAME cMAJOR:MINOR`.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{self, Mode, SFlag, dev_t};

use crate::Error;

/// A line of the file.
#[derive(Debug, PartialEq, Eq)]
struct Node<'a> {
    /// Relative to `/dev`.
    name: &'a str,
    kind: SFlag,
    device: dev_t,
}

/// Makes the device files that `text` names, below `dev`.
///
/// # Errors
/// One that could not be made; those behind it are not tried.
pub fn make(text: &str, dev: &Path) -> Result<(), Error> {
    for node in text.lines().filter_map(parse) {
        let path = dev.join(node.name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::path("make folder", folder))?;
        }
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        match stat::mknod(&path, node.kind, mode, node.device) {
            // The module is there already, and its device with it.
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(Error::path("make device", &path)(errno)),
        }
    }
    Ok(())
}

fn parse(line: &str) -> Option<Node<'_>> {
    let mut words = line.split_ascii_whitespace();
    let (module, name, device) = (words.next()?, words.next()?, words.next()?);
    if module.starts_with('#') || name.starts_with('/') || name.split('/').any(|part| part == "..")
    {
        return None;
    }
    let kind = match device.get(..1)? {
        "c" => SFlag::S_IFCHR,
        "b" => SFlag::S_IFBLK,
        _ => return None,
    };
    let (major, minor) = device.get(1..)?.split_once(':')?;
    Some(Node {
        name,
        kind,
        device: stat::makedev(major.parse().ok()?, minor.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(
            parse("tun net/tun c10:200"),
            Some(Node {
                name: "net/tun",
                kind: SFlag::S_IFCHR,
                device: stat::makedev(10, 200)
            })
        );
        assert_eq!(parse("btrfs x b1:2").unwrap().kind, SFlag::S_IFBLK);
        for bad in [
            "",
            "# Device nodes to trigger on-demand module loading.",
            "a ../b c1:1",
            "a /b c1:1",
            "a b x1:1",
            "a b c1",
            "a b c1:x",
            "a b",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
