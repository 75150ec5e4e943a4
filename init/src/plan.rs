//! The plan: what PID 1 reads from the bundles in the image, before anything
//! is started.
//!
//! A bundle that cannot be read is an entry all the same, with its error in the
//! place of its content: the boot goes on, and people see which one it is.

use std::fs;
use std::path::{Component, Path, PathBuf};

use hullkit_bundle::layout::{self, Section};
use hullkit_bundle::{RuntimeConfig, Supervision};
use serde::Deserialize;

use crate::Error;

/// All entries of the image.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order onboot, services, onshutdown; each section sorted by name,
    /// which is the order in which the numbered ones run.
    pub entries: Vec<Entry>,
    /// Sections that could not be read.
    pub problems: Vec<Error>,
}

/// An entry, readable or not.
#[derive(Debug)]
pub struct Entry {
    /// Where it stands in the YAML.
    pub section: Section,
    /// The bundle's name: `000-dhcp`, `web`.
    pub name: String,
    /// How it is supervised; the defaults if that cannot be read.
    pub supervision: Supervision,
    /// Its bundle, or why there is none.
    pub bundle: Result<Bundle, Error>,
}

/// A bundle that PID 1 can hand to the OCI runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Where it stands in the YAML.
    pub section: Section,
    /// Its name: `000-dhcp`, `web`.
    pub name: String,
    /// Its folder, absolute.
    pub dir: PathBuf,
    /// The OCI runtime's id: `services.web`.
    pub id: String,
    /// Its cgroup, absolute: `/sys/fs/cgroup/hullkit/services/web`.
    pub cgroup: PathBuf,
    /// Whether its root is an overlay, whose upper layer is a tmpfs: it has a
    /// `lower` folder.
    pub writable: bool,
    /// Its `runtime.json`.
    pub runtime: RuntimeConfig,
}

impl Bundle {
    /// The container's root.
    #[must_use]
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join(layout::ROOTFS)
    }
}

/// The order in which the sections take their turns.
const ORDER: [Section; 3] = [Section::Onboot, Section::Services, Section::Onshutdown];

/// Reads the bundles below `root` (`/` in the guest).
#[must_use]
pub fn load(root: &Path) -> Plan {
    let mut plan = Plan::default();
    for section in ORDER {
        let dir = section.dir(root);
        match names(&dir) {
            Ok(names) => {
                let entries = names.into_iter().map(|name| read(section, &dir, name));
                plan.entries.extend(entries);
            }
            Err(error) => plan.problems.push(error),
        }
    }
    plan
}

/// The folders in `dir`, sorted; none where there is no such folder.
fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::path("read", dir)(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::path("read", dir))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The part of `config.json` that PID 1 needs; the runtime checks the rest.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    linux: Option<Linux>,
}

#[derive(Deserialize)]
struct Linux {
    #[serde(default, rename = "cgroupsPath")]
    cgroups_path: Option<String>,
}

fn read(section: Section, dir: &Path, name: String) -> Entry {
    let dir = dir.join(&name);
    // A broken `config.json` does not change what its failure means.
    let runtime = RuntimeConfig::read(&dir);
    let supervision = runtime.as_ref().map_or_else(
        |_| Supervision::default(),
        |runtime| runtime.supervision.clone(),
    );
    let bundle = runtime
        .map_err(Error::from)
        .and_then(|runtime| read_bundle(section, &dir, &name, runtime));
    Entry {
        section,
        name,
        supervision,
        bundle,
    }
}

fn read_bundle(
    section: Section,
    dir: &Path,
    name: &str,
    runtime: RuntimeConfig,
) -> Result<Bundle, Error> {
    let path = dir.join(layout::CONFIG_JSON);
    let text = fs::read(&path).map_err(Error::path("read", &path))?;
    let config: Config = serde_json::from_slice(&text).map_err(|source| Error::Json {
        object: path.display().to_string(),
        source,
    })?;
    let id = layout::container_id(section, name);
    let cgroups_path = config.linux.and_then(|linux| linux.cgroups_path);
    Ok(Bundle {
        section,
        name: name.to_owned(),
        dir: dir.to_owned(),
        cgroup: cgroup(&id, cgroups_path.as_deref(), &path)?,
        id,
        writable: dir.join(layout::LOWER).is_dir(),
        runtime,
    })
}

/// The cgroup of the container `id`, whose `config.json` names `cgroups_path`.
///
/// A path that leaves the cgroup filesystem, or names its root, would let
/// `cgroup.kill` end other containers or the machine.
fn cgroup(id: &str, cgroups_path: Option<&str>, config: &Path) -> Result<PathBuf, Error> {
    let given = cgroups_path.filter(|path| !path.is_empty()).unwrap_or(id);
    cgroup_folder(given)
        .filter(|folder| folder != Path::new(layout::CGROUP))
        .ok_or_else(|| Error::Bundle {
            object: config.display().to_string(),
            reason: format!("linux.cgroupsPath {given:?} is not below the cgroup root"),
        })
}

/// The folder of the cgroup that is called `name`; none where the name leaves
/// the cgroup filesystem.
#[must_use]
pub fn cgroup_folder(name: &str) -> Option<PathBuf> {
    let mut folder = PathBuf::from(layout::CGROUP);
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => folder.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hullkit_bundle::supervision::OnFailure;
    use proptest::prelude::*;

    /// An image root with these bundles: section, name, config, runtime.
    fn root(bundles: &[(Section, &str, &str, Option<&str>)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (section, name, config, runtime) in bundles {
            let dir = section.dir(root.path()).join(name);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(layout::CONFIG_JSON), config).unwrap();
            if let Some(runtime) = runtime {
                fs::write(dir.join(layout::RUNTIME_JSON), runtime).unwrap();
            }
        }
        root
    }

    #[test]
    fn sections_in_the_order_of_their_turns() {
        let root = root(&[
            (Section::Onshutdown, "000-bye", "{}", None),
            (Section::Services, "web", "{}", None),
            (Section::Services, "db", "{}", None),
            (Section::Onboot, "001-b", "{}", None),
            (Section::Onboot, "000-a", "{}", None),
        ]);
        let plan = load(root.path());
        let names: Vec<&str> = plan.entries.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["000-a", "001-b", "db", "web", "000-bye"]);
        assert!(plan.entries.iter().all(|entry| entry.bundle.is_ok()));
    }

    #[test]
    fn no_containers_is_an_empty_plan() {
        let root = tempfile::tempdir().unwrap();
        let plan = load(root.path());
        assert!(plan.entries.is_empty() && plan.problems.is_empty());
    }

    #[test]
    fn a_broken_bundle_is_an_entry_with_its_error() {
        let stop = r#"{"supervision":{"onFailure":"stop"}}"#;
        let root = root(&[
            (Section::Onboot, "000-config", "{", Some(stop)),
            (Section::Onboot, "001-runtime", "{}", Some("7")),
            (Section::Onboot, "002-fine", "{}", None),
        ]);
        fs::create_dir(Section::Onboot.dir(root.path()).join("003-empty")).unwrap();
        let plan = load(root.path());
        let error = |index: usize| plan.entries[index].bundle.as_ref().unwrap_err().to_string();
        assert!(
            error(0).contains("000-config/config.json: EOF"),
            "{}",
            error(0)
        );
        assert_eq!(plan.entries[0].supervision.on_failure, OnFailure::Stop);
        assert!(
            error(1).contains("001-runtime/runtime.json: "),
            "{}",
            error(1)
        );
        assert!(plan.entries[2].bundle.is_ok());
        assert!(
            error(3).contains("003-empty/config.json: No such file"),
            "{}",
            error(3)
        );
    }

    /// A bundle as the builder writes it.
    const CONFIG: &str = include_str!("plan/config.json");
    const RUNTIME: &str = include_str!("plan/runtime.json");

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// A byte of a bundle's files is another one, or the file is cut off
        /// there: it is an entry all the same, and so are the others.
        #[test]
        fn a_damaged_bundle_is_an_entry(
            which: bool,
            at: prop::sample::Index,
            change in prop::option::of(1u8..),
        ) {
            let mut files = [CONFIG.as_bytes().to_vec(), RUNTIME.as_bytes().to_vec()];
            let file = &mut files[usize::from(which)];
            let at = at.index(file.len());
            match change {
                Some(bits) => file[at] ^= bits,
                None => file.truncate(at),
            }
            let root = root(&[(Section::Services, "sound", CONFIG, Some(RUNTIME))]);
            let dir = Section::Services.dir(root.path()).join("web");
            fs::create_dir(&dir).unwrap();
            for (name, content) in [layout::CONFIG_JSON, layout::RUNTIME_JSON].iter().zip(&files) {
                fs::write(dir.join(name), content).unwrap();
            }
            let plan = load(root.path());
            prop_assert!(plan.problems.is_empty());
            prop_assert_eq!(plan.entries.len(), 2);
            prop_assert!(plan.entries[0].bundle.is_ok());
            match &plan.entries[1].bundle {
                Ok(bundle) => {
                    let above = Path::new(layout::CGROUP);
                    prop_assert!(bundle.cgroup.starts_with(above) && bundle.cgroup != above);
                }
                Err(error) => {
                    let error = error.to_string();
                    prop_assert!(error.contains("/web/"), "{}", error);
                    prop_assert!(!error.contains('\n'), "{}", error);
                }
            }
        }
    }

    #[test]
    fn the_cgroup_is_below_the_root_of_cgroups() {
        let path = |given| cgroup("services.web", given, Path::new("c")).map_err(|e| e.to_string());
        let below = |path: &str| Ok(Path::new(layout::CGROUP).join(path));
        assert_eq!(path(None), below("services.web"));
        assert_eq!(path(Some("")), below("services.web"));
        assert_eq!(
            path(Some("/hullkit/services/web")),
            below("hullkit/services/web")
        );
        assert_eq!(path(Some("a//./b")), below("a/b"));
        for given in ["/", "..", "a/../..", "/a/.."] {
            assert!(path(Some(given)).is_err(), "{given}");
        }
        // `runtime.json` may name the root: it is there.
        assert_eq!(
            cgroup_folder("/").as_deref(),
            Some(Path::new(layout::CGROUP))
        );
        assert_eq!(cgroup_folder("/a/./b"), below("a/b").ok());
        assert_eq!(cgroup_folder("a/../../b"), None);
    }
}
