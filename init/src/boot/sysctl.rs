//! Kernel parameters from `/etc/sysctl.conf` and `/etc/sysctl.d/*.conf`, as
//! `sysctl.conf(5)` has them. Globs in names are refused by name.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Booted;
use crate::Error;

/// A line of a file.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    /// Below `/proc/sys`.
    path: String,
    value: String,
    /// The line begins with `-`: a failure does not matter.
    optional: bool,
}

/// Applies the files below `etc` to the parameters below `proc`.
pub(super) fn apply(booted: &mut Booted, etc: &Path, proc: &Path) {
    let mut files = conf_files(&etc.join("sysctl.d"));
    files.push(etc.join("sysctl.conf"));
    for file in files {
        let text = match fs::read_to_string(&file) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            read => booted.note("sysctl", read.map_err(Error::path("read", &file))),
        };
        for (number, line) in text.iter().flat_map(|text| text.lines().enumerate()) {
            if let Err(reason) = apply_line(line, proc) {
                let place = format!("{}:{}", file.display(), number + 1);
                booted.problems.push(format!("sysctl: {place}: {reason}"));
            }
        }
    }
}

/// The `*.conf` in `folder`, sorted by name, which is the order in which they
/// count.
fn conf_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "conf")
        })
        .collect();
    files.sort_unstable();
    files
}

fn apply_line(line: &str, proc: &Path) -> Result<(), String> {
    let Some(setting) = parse(line)? else {
        return Ok(());
    };
    let path = proc.join(&setting.path);
    match fs::write(&path, &setting.value) {
        Err(e) if !setting.optional => Err(Error::path("write", &path)(e).to_string()),
        _ => Ok(()),
    }
}

/// One line; `None` where it is empty or a comment.
fn parse(line: &str) -> Result<Option<Setting>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return Ok(None);
    }
    let (optional, line) = match line.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (name, value) = line.split_once('=').ok_or("no `=`")?;
    Ok(Some(Setting {
        path: path_of(name.trim())?,
        value: value.trim().to_owned(),
        optional,
    }))
}

/// `net.ipv4.ip_forward` or `net/ipv4/ip_forward`: the first separator is the
/// one that separates, the other then stands for itself, so that
/// `net.ipv4.conf.eth0/1.forwarding` names the interface `eth0.1`.
fn path_of(name: &str) -> Result<String, String> {
    let path: String = match name.find(['.', '/']).map(|at| name.as_bytes().get(at)) {
        Some(Some(b'.')) => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
        _ => name.to_owned(),
    };
    let leaves = path.split('/').any(|part| part.is_empty() || part == "..");
    if leaves || path.contains(['*', '?', '[']) {
        return Err(format!("{name:?} is not the name of a parameter"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines() {
        let setting = |path: &str, value: &str, optional| {
            Ok(Some(Setting {
                path: path.to_owned(),
                value: value.to_owned(),
                optional,
            }))
        };
        assert_eq!(parse("# x = 1"), Ok(None));
        assert_eq!(parse("; x = 1"), Ok(None));
        assert_eq!(parse("  "), Ok(None));
        assert_eq!(
            parse("kernel.panic = 10 "),
            setting("kernel/panic", "10", false)
        );
        assert_eq!(
            parse("-net.ipv4.tcp_rmem=4096 8192"),
            setting("net/ipv4/tcp_rmem", "4096 8192", true)
        );
        assert_eq!(
            parse("net/ipv4/conf/eth0.1/forwarding=1"),
            setting("net/ipv4/conf/eth0.1/forwarding", "1", false)
        );
        assert_eq!(
            parse("net.ipv4.conf.eth0/1.forwarding=1"),
            setting("net/ipv4/conf/eth0.1/forwarding", "1", false)
        );
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for bad in [
            "kernel.panic 10",
            "= 1",
            "a..b=1",
            "/etc/passwd=1",
            "net/../x=1",
            "a.*.b=1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_count_in_their_order_and_failures_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (etc, proc) = (dir.path().join("etc"), dir.path().join("proc"));
        fs::create_dir_all(etc.join("sysctl.d")).unwrap();
        fs::create_dir_all(proc.join("kernel")).unwrap();
        fs::write(etc.join("sysctl.d/20.conf"), "kernel.a=20\n").unwrap();
        fs::write(etc.join("sysctl.d/10.conf"), "kernel.a=10\nkernel.b=10\n").unwrap();
        fs::write(etc.join("sysctl.d/30.other"), "kernel.a=30\n").unwrap();
        fs::write(etc.join("sysctl.conf"), "#\nvm.gone=1\n-vm.gone=1\n").unwrap();
        let mut booted = Booted::default();
        apply(&mut booted, &etc, &proc);
        assert_eq!(fs::read(proc.join("kernel/a")).unwrap(), b"20");
        assert_eq!(fs::read(proc.join("kernel/b")).unwrap(), b"10");
        assert_eq!(booted.problems.len(), 1);
        assert!(
            booted.problems[0].contains("sysctl.conf:2: write"),
            "{:?}",
            booted.problems
        );
    }

    proptest! {
        #[test]
        fn nothing_leaves_the_folder(line in "[-a./=*# ]{0,12}") {
            if let Ok(Some(setting)) = parse(&line) {
                prop_assert!(!setting.path.starts_with('/'));
                prop_assert!(setting.path.split('/').all(|part| part != ".."));
            }
        }
    }
}
