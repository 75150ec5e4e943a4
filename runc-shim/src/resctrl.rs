//! Classes of service (`linux.intelRdt`): groups of the kernel's resctrl
//! filesystem, which share caches and memory bandwidth as their schemata say.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::spec::Rdt;
use crate::sys::file;

/// Where the filesystem is mounted, by the kernel's documentation.
const ROOT: &str = "/sys/fs/resctrl";

/// The groups of a container, there or not.
#[derive(Debug)]
pub struct Groups<'a> {
    rdt: &'a Rdt,
    root: &'a Path,
    /// The class.
    class: PathBuf,
    /// What is watched, in the class.
    watched: Option<PathBuf>,
}

impl<'a> Groups<'a> {
    /// Those that a container of this id wants.
    #[must_use]
    pub fn of(rdt: &'a Rdt, id: &str) -> Self {
        Self::at(Path::new(ROOT), rdt, id)
    }

    /// Looks at what the kernel and the processor can do, before anything is
    /// made.
    ///
    /// # Errors
    /// What they lack; a class that is named, without schemata, is not there,
    /// or is there with others.
    pub fn check(&self) -> Result<(), Error> {
        check_mounted()?;
        self.check_abilities()?;
        self.check_class()
    }

    fn at(root: &'a Path, rdt: &'a Rdt, id: &str) -> Self {
        let class = root.join(rdt.class.as_deref().unwrap_or(id));
        let watched = rdt.monitoring.then(|| class.join("mon_groups").join(id));
        Self {
            rdt,
            root,
            class,
            watched,
        }
    }

    /// The folders to remove when the container is deleted, the inner first: a
    /// class that was named belongs to whoever named it.
    #[must_use]
    pub fn own(&self) -> Vec<PathBuf> {
        let class = self.rdt.class.is_none().then(|| self.class.clone());
        self.watched.iter().cloned().chain(class).collect()
    }

    fn check_abilities(&self) -> Result<(), Error> {
        let lacks = |what: &str| {
            let problem = format!(
                "linux.intelRdt: the processor or the kernel has no {what} (/sys/fs/resctrl/info does not show it)"
            );
            Err(Error::Unsupported(problem))
        };
        let shown = |name: &str| self.root.join("info").join(name).is_dir();
        for line in &self.rdt.schemata {
            let resource = line.split(':').next().unwrap_or_default().trim();
            if !shown(resource) {
                return lacks(resource);
            }
        }
        if self.rdt.monitoring && !shown("L3_MON") {
            return lacks("monitoring (L3_MON)");
        }
        Ok(())
    }

    /// A class that is there is somebody's, and stays as it is: it is joined by
    /// its name only.
    fn check_class(&self) -> Result<(), Error> {
        let Some(name) = &self.rdt.class else {
            if self.class.exists() {
                return Err(Error::Unsupported(format!(
                    "linux.intelRdt: {} is there already, and the container's own class would have this name: set closID to join a class",
                    self.class.display()
                )));
            }
            return Ok(());
        };
        let path = self.class.join("schemata");
        let found = match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if self.rdt.schemata.is_empty() {
                    return Err(Error::Unsupported(format!(
                        "linux.intelRdt.closID: there is no class {name} in {}, and no schemata to make it with",
                        self.root.display()
                    )));
                }
                return Ok(());
            }
            other => other.map_err(Error::io("read", path.display()))?,
        };
        match self.rdt.schemata.iter().find(|line| !holds(&found, line)) {
            None => Ok(()),
            Some(line) => Err(Error::Unsupported(format!(
                "linux.intelRdt.closID: the class {name} is there, and not with \"{line}\""
            ))),
        }
    }

    /// Makes what is missing and writes the schemata.
    ///
    /// # Errors
    /// The kernel's, with its word in `info/last_cmd_status`.
    pub fn make(&self) -> Result<(), Error> {
        let made = make_folder(&self.class).map_err(|e| self.explain("make", &self.class, e))?;
        if made {
            let schemata = self.class.join("schemata");
            let lines: String = self
                .rdt
                .schemata
                .iter()
                .map(|line| format!("{line}\n"))
                .collect();
            if !lines.is_empty() {
                fs::write(&schemata, lines).map_err(|e| self.explain("write", &schemata, e))?;
            }
        }
        match &self.watched {
            Some(path) => make_folder(path)
                .map(|_| ())
                .map_err(|e| self.explain("make", path, e)),
            None => Ok(()),
        }
    }

    /// Puts a process, and so its children to come, into the groups.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, pid: i32) -> Result<(), Error> {
        // A process is in the class before it can be watched there.
        for group in [Some(&self.class), self.watched.as_ref()]
            .into_iter()
            .flatten()
        {
            let tasks = group.join("tasks");
            fs::write(&tasks, pid.to_string()).map_err(|e| self.explain("write", &tasks, e))?;
        }
        Ok(())
    }

    fn explain(&self, doing: &'static str, path: &Path, error: io::Error) -> Error {
        let status = fs::read_to_string(self.root.join("info/last_cmd_status"));
        let status = status.unwrap_or_default();
        let object = match status.trim() {
            "" | "ok" => path.display().to_string(),
            why => format!("{} ({why})", path.display()),
        };
        Error::io(doing, object)(error)
    }
}

/// Removes the folders of [`Groups::own`], as far as they are there.
///
/// # Errors
/// The kernel's.
pub fn remove(folders: &[PathBuf]) -> Result<(), Error> {
    for path in folders {
        match fs::remove_dir(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path.display())(e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether it was not there.
fn make_folder(path: &Path) -> io::Result<bool> {
    match fs::create_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        other => other.map(|()| true),
    }
}

fn check_mounted() -> Result<(), Error> {
    let there = fs::File::open(ROOT).and_then(|root| file::filesystem(root.as_fd()));
    if there.is_ok_and(file::Filesystem::is_resctrl) {
        return Ok(());
    }
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let why = if known.lines().any(|line| line.ends_with("\tresctrl")) {
        "resctrl is not mounted on /sys/fs/resctrl"
    } else {
        "the kernel has no resctrl: it was built without it, or the processor has no RDT"
    };
    Err(Error::Unsupported(format!("linux.intelRdt: {why}")))
}

/// Whether schemata hold a line, however their numbers are written: cache masks
/// with or without zeros before, domains in any order.
fn holds(schemata: &str, line: &str) -> bool {
    let Some((resource, values)) = line.split_once(':') else {
        return false;
    };
    let mut found = schemata.lines().filter_map(|line| line.split_once(':'));
    let Some((_, there)) = found.find(|(name, _)| name.trim() == resource.trim()) else {
        return false;
    };
    let there: Vec<_> = domains(there).collect();
    domains(values).all(|wanted| there.contains(&wanted))
}

fn domains(values: &str) -> impl Iterator<Item = (&str, String)> {
    values.split(';').filter_map(|entry| {
        let (domain, value) = entry.split_once('=')?;
        let value = value.trim().trim_start_matches('0').to_ascii_lowercase();
        Some((domain.trim(), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rdt(class: Option<&str>, schemata: &[&str]) -> Rdt {
        Rdt {
            class: class.map(str::to_owned),
            schemata: schemata.iter().map(|&line| line.to_owned()).collect(),
            monitoring: false,
        }
    }

    /// A folder with what the kernel shows.
    fn root(resources: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for resource in resources {
            fs::create_dir_all(root.path().join("info").join(resource)).unwrap();
        }
        root
    }

    #[test]
    fn schemata_are_compared_by_what_they_mean() {
        let found = "    MB:0=100;1= 70\n    L3:0=00ff;1=0F0\n";
        for (line, held) in [
            ("L3:0=ff", true),
            ("L3:1=f0;0=00ff", true),
            ("MB:1=70", true),
            ("MB:1=7", false),
            ("L3:2=ff", false),
            ("L2:0=ff", false),
            ("L3", false),
        ] {
            assert_eq!(holds(found, line), held, "{line}");
        }
    }

    #[test]
    fn what_the_processor_lacks_is_named() {
        let root = root(&["L3"]);
        let check = |rdt: &Rdt| match Groups::at(root.path(), rdt, "c").check_abilities() {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(check(&rdt(None, &["L3:0=f"])), "");
        let lacks = check(&rdt(None, &["L3:0=f", "MB:0=10"]));
        assert!(lacks.contains("has no MB"), "{lacks}");
        let watched = Rdt {
            monitoring: true,
            ..rdt(None, &[])
        };
        let lacks = check(&watched);
        assert!(lacks.contains("has no monitoring"), "{lacks}");
    }

    #[test]
    fn a_class_that_is_named_is_there_or_can_be_made() {
        let root = root(&[]);
        let check = |rdt: &Rdt| match Groups::at(root.path(), rdt, "c").check_class() {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(check(&rdt(None, &[])), "");
        assert_eq!(check(&rdt(Some("gold"), &["L3:0=f"])), "");
        assert!(check(&rdt(Some("gold"), &[])).contains("no class gold"));
        fs::create_dir(root.path().join("gold")).unwrap();
        fs::write(root.path().join("gold/schemata"), "L3:0=00f\n").unwrap();
        assert_eq!(check(&rdt(Some("gold"), &["L3:0=f"])), "");
        assert_eq!(check(&rdt(Some("gold"), &[])), "");
        let other = check(&rdt(Some("gold"), &["L3:0=1"]));
        assert!(other.ends_with("not with \"L3:0=1\""), "{other}");
    }

    #[test]
    fn groups_are_made_filled_and_only_our_own_removed() {
        let root = root(&["L3", "L3_MON"]);
        let wanted = Rdt {
            monitoring: true,
            ..rdt(Some("gold"), &["L3:0=f", "MB:0=10"])
        };
        let groups = Groups::at(root.path(), &wanted, "c");
        // The kernel makes this folder and the files with the class.
        fs::create_dir_all(root.path().join("gold/mon_groups")).unwrap();
        groups.make().unwrap();
        groups.add(7).unwrap();
        let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap_or_default();
        assert_eq!(
            (read("gold/tasks"), read("gold/mon_groups/c/tasks")),
            ("7".into(), "7".into())
        );
        // The class was there: it keeps its schemata.
        assert_eq!(read("gold/schemata"), "");
        assert_eq!(groups.own(), [root.path().join("gold/mon_groups/c")]);

        let plain = rdt(None, &["L3:0=f"]);
        let groups = Groups::at(root.path(), &plain, "web");
        groups.make().unwrap();
        assert_eq!(read("web/schemata"), "L3:0=f\n");
        assert_eq!(groups.own(), [root.path().join("web")]);
        fs::remove_file(root.path().join("web/schemata")).unwrap();
        remove(&groups.own()).unwrap();
        remove(&groups.own()).unwrap();
        assert!(!root.path().join("web").exists());
    }
}
