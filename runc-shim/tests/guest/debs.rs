//! Programs of Debian packages, with the libraries that they need.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::cpio::Archive;

/// Unpacks each package below a folder of its own name's, without root.
pub(crate) fn unpack(packages: &Path, to: &Path) {
    for entry in fs::read_dir(packages).expect("a folder of packages") {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "deb") {
            continue;
        }
        let done = Command::new("dpkg").arg("-x").arg(&path).arg(to).status();
        assert!(done.expect("dpkg").success(), "{}", path.display());
    }
}

/// The shared libraries, of which some packages still have some in `/lib`.
pub(crate) fn add_libraries(archive: &mut Archive, root: &Path) {
    const FOLDER: &str = "lib/x86_64-linux-gnu";
    archive.folder("usr/lib/x86_64-linux-gnu");
    for top in ["", "usr/"] {
        let Ok(entries) = fs::read_dir(root.join(format!("{top}{FOLDER}"))) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if !name.contains(".so") {
                continue;
            }
            let place = format!("usr/{FOLDER}/{name}");
            if entry.file_type().unwrap().is_symlink() {
                let target = fs::read_link(entry.path()).unwrap();
                archive.link(&place, target.to_str().unwrap());
            } else {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                archive.file(&place, mode, &fs::read(entry.path()).unwrap());
            }
        }
    }
    let loader = format!("../{FOLDER}/ld-linux-x86-64.so.2");
    archive.link("usr/lib64/ld-linux-x86-64.so.2", &loader);
}
