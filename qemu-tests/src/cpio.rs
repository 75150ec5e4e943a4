//! A second archive behind an initrd's own, with files that replace the
//! image's: for cases about an image that is broken in a way that `hull build`
//! would not let pass.
//!
//! The kernel unpacks archives one after another (kernel documentation,
//! `driver-api/early-userspace/buffer-format`); this is the format `newc`.

/// An archive of regular files with mode 0644: (path without leading slash,
/// content); a path that ends with a slash is a folder.
#[must_use]
pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    archive_of(0o644, files)
}

/// The same with another mode.
#[must_use]
pub fn archive_of(permissions: u32, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (inode, (path, content)) in (1..).zip(files) {
        match path.strip_suffix('/') {
            Some(folder) => entry(&mut out, inode, 0o040_755, folder, &[]),
            None => entry(&mut out, inode, 0o100_000 | permissions, path, content),
        }
    }
    entry(&mut out, 0, 0, "TRAILER!!!", &[]);
    out
}

fn entry(out: &mut Vec<u8>, inode: u32, mode: u32, path: &str, content: &[u8]) {
    out.extend(b"070701");
    let fields = [
        inode as usize,
        mode as usize,
        0, // uid
        0, // gid
        1, // links
        0, // mtime
        content.len(),
        0, // device, major
        0, // device, minor
        0, // rdev, major
        0, // rdev, minor
        path.len() + 1,
        0, // checksum, unused
    ];
    for field in fields {
        out.extend(format!("{field:08x}").bytes());
    }
    out.extend(path.bytes());
    out.push(0);
    pad(out);
    out.extend(content);
    pad(out);
}

/// Everything begins at a multiple of four.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn cpio_reads_what_we_write() {
        let archive = super::archive(&[("a/", b""), ("a/b.json", b"{"), ("empty", b"")]);
        let mut child = Command::new("cpio")
            .args(["-it", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cpio is installed (build/deps.sh test)");
        child.stdin.take().unwrap().write_all(&archive).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "a\na/b.json\nempty\n"
        );
    }
}
