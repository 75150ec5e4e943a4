//! Image config, labels and YAML entry become `config.json` and
//! `runtime.json`. Pure: no I/O, and the same input gives the same bytes.

mod confine;
mod foresee;
mod healthcheck;
mod linux;
mod logged;
mod merged;
mod mounts;
pub mod oci;
mod own_ids;
mod watched;

use std::collections::BTreeMap;

use hullkit_bundle::{RuntimeConfig, layout};
use oci_spec::image::Config as ImageConfig;

use crate::arch::Arch;
use crate::seccomp;
use crate::spec::check::{self, Order};
use crate::spec::label::{self, Label};
use crate::spec::{
    Capability, Container, Entry, Id, IdMapping, Located, Problem, Problems, Security, Spec,
    Supervise, resolve_id,
};

pub use healthcheck::Healthcheck;

/// What an image says of how it is run.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The configuration's `config`.
    pub config: ImageConfig,
    /// What of it the OCI specification does not know.
    pub healthcheck: Option<Healthcheck>,
}

impl From<ImageConfig> for Image {
    fn from(config: ImageConfig) -> Self {
        Self {
            config,
            healthcheck: None,
        }
    }
}

impl From<&crate::source::Image> for Image {
    fn from(image: &crate::source::Image) -> Self {
        Self {
            config: image.runtime_config(),
            healthcheck: Healthcheck::find(&image.raw_config),
        }
    }
}

/// What an entry becomes.
#[derive(Clone, Debug)]
pub struct Composed {
    /// `config.json`.
    pub config: oci::Config,
    /// `runtime.json`.
    pub runtime: RuntimeConfig,
    /// The root is used as it is; else an overlay makes it writable, and the
    /// bundle has `lower/`, `tmp/` and an empty `rootfs/`.
    pub readonly: bool,
    /// The first of the ids that it has for itself: the owner of its root's
    /// files must be in that range. None: they are as in the image.
    pub first_id: Option<u32>,
    /// The volumes that it binds, by name, each once.
    pub volumes: Vec<String>,
    /// Worth a word, and no error.
    pub warnings: Vec<Problem>,
}

impl Composed {
    /// The text of `config.json`.
    #[must_use]
    pub fn config_json(&self) -> String {
        pretty(&self.config)
    }

    /// The text of `runtime.json`.
    #[must_use]
    pub fn runtime_json(&self) -> String {
        pretty(&self.runtime)
    }
}

/// JSON for people, ending in a newline. Our types hold nothing that JSON
/// cannot say, so there is always a text.
fn pretty(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_string_pretty(value);
    value.map_or_else(|e| format!("{{\"error\": \"{e}\"}}\n"), |text| text + "\n")
}

/// Composes every entry, in the order of [`Spec::entries`], and checks what
/// only all of them together show (the order of services, with what the
/// images' labels add to it). `image` gives the config of an entry's image.
///
/// # Errors
/// What `image` gives, or the problems of all entries.
pub fn all<E: From<Problems>, I: Into<Image>>(
    spec: &Spec,
    arch: Arch,
    mut image: impl FnMut(&Entry) -> Result<I, E>,
) -> Result<Vec<Composed>, E> {
    let mut composed = Vec::new();
    let mut problems = Vec::new();
    for e in spec.entries() {
        match entry(spec, arch, e, &image(e)?.into()) {
            Ok(c) => composed.push(c),
            Err(Problems(more)) => problems.extend(more),
        }
    }
    if problems.is_empty() {
        problems = order(spec, &composed);
        let all = spec.entries().zip(&composed);
        problems.extend(watched::doubled(
            all.map(|(entry, composed)| (entry, &composed.runtime.supervision)),
        ));
        problems.extend(logged::clashes(spec, &composed));
    }
    if problems.is_empty() {
        Ok(composed)
    } else {
        Err(Problems(problems).into())
    }
}

/// Whether the services, with what their images' labels say, wait for
/// services that are there, and not for each other.
fn order(spec: &Spec, composed: &[Composed]) -> Vec<Problem> {
    let all = || spec.entries().zip(composed);
    let services = all().filter(|(e, _)| e.section == layout::Section::Services);
    let located = |entry: &Entry, names: &[String]| -> Vec<Located<String>> {
        let at = |name: &String| Located {
            value: name.clone(),
            place: entry.place.clone(),
        };
        names.iter().map(at).collect()
    };
    let waits: Vec<_> = services
        .map(|(e, c)| {
            let s = &c.runtime.supervision;
            (
                e.name.as_str(),
                located(e, &s.after),
                located(e, &s.requires),
            )
        })
        .collect();
    let orders: Vec<Order<'_>> = waits
        .iter()
        .map(|(name, after, requires)| Order {
            name,
            after,
            requires,
        })
        .collect();
    check::order(&orders)
}

/// Composes one entry.
///
/// # Errors
/// What is wrong with it, its image's labels, or both together.
pub fn entry(spec: &Spec, arch: Arch, entry: &Entry, image: &Image) -> Result<Composed, Problems> {
    let scene = Scene {
        spec,
        arch,
        entry,
        image: &image.config,
    };
    let moby = scene.label(label::MOBY, label::moby)?;
    let ours = scene.label(label::HULLKIT, label::hullkit)?;
    let security = merged::security(spec, entry, &ours.fields);
    scene.check_labels(&moby, &ours, security)?;
    let mut container = merged::container(&entry.container, &moby.fields);
    let first_id = own_ids::give(&mut container, entry, security);
    let supervision = merged::supervision(spec, entry, &ours.fields, image);
    let supervision = supervision.map_err(|(field, message)| scene.problem(field, message))?;
    let readonly = container.readonly.unwrap_or(security == Security::Strict);
    let mut mounts = mounts::compose(spec, &container, readonly, security);
    if supervision.notify {
        let id = layout::container_id(entry.section, &entry.bundle_name());
        mounts.add(watched::notify_mount(&id));
    }
    let (mut config, warnings) = scene.config(&container, security, readonly, mounts.list)?;
    watched::add_variables(&supervision, &mut config.process.env);
    let runtime = merged::runtime(&container.runtime, supervision);
    Ok(Composed {
        config,
        runtime,
        readonly,
        first_id,
        volumes: mounts.volumes,
        warnings,
    })
}

/// What composing an entry looks at.
struct Scene<'a> {
    spec: &'a Spec,
    arch: Arch,
    entry: &'a Entry,
    image: &'a ImageConfig,
}

impl Scene<'_> {
    /// A problem of the entry as a whole.
    fn problem(&self, field: &str, message: String) -> Problem {
        let Entry { section, name, .. } = self.entry;
        Problem {
            place: self.entry.place.clone(),
            field: format!("{}.{name}.{field}", section.as_str()),
            message,
        }
    }

    /// Reads one of the image's labels.
    fn label<T: Default>(
        &self,
        name: &str,
        read: impl FnOnce(&str, &str) -> Result<Label<T>, Problems>,
    ) -> Result<Label<T>, Problems> {
        let labels = self.image.labels().as_ref();
        let text = labels.and_then(|labels| labels.get(name));
        match text {
            None => Ok(Label::default()),
            Some(text) => read(name, text).map_err(|e| self.of_label(e.0)),
        }
    }

    /// A label's problems, told from the line of the YAML that names the
    /// image.
    fn of_label(&self, problems: Vec<Problem>) -> Problems {
        let tell = |p: Problem| Problem {
            place: self.entry.image.place.clone(),
            field: format!("{}.{}.image", self.entry.section.as_str(), self.entry.name),
            message: format!("label of {}: {p}", self.entry.image.value),
        };
        Problems(problems.into_iter().map(tell).collect())
    }

    /// Refuses what is wrong with a label's values, where they are used.
    fn check_labels(
        &self,
        moby: &Label<Container>,
        ours: &Label<Supervise>,
        security: Security,
    ) -> Result<(), Problems> {
        let yaml = &self.entry.container;
        let lenient = security == Security::LinuxKit;
        let strict = if lenient { &[][..] } else { &moby.if_strict };
        let mut wrong: Vec<Problem> = moby
            .if_used
            .iter()
            .chain(strict)
            .filter(|p| !merged::replaces(yaml, &p.field))
            .chain(&ours.if_used)
            .cloned()
            .collect();
        // LinuxKit looks for volumes in the YAML only.
        if !lenient {
            let volumes = check::volumes_known(&moby.fields, self.spec, check::ReadOnly::Meant);
            wrong.extend(
                volumes
                    .into_iter()
                    .filter(|p| !merged::replaces(yaml, &p.field)),
            );
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(self.of_label(wrong))
        }
    }

    /// `config.json`, and what is worth a word about it.
    fn config(
        &self,
        container: &Container,
        security: Security,
        readonly: bool,
        mounts: Vec<oci::Mount>,
    ) -> Result<(oci::Config, Vec<Problem>), Problems> {
        self.refuse(container, security)?;
        let granted = linux::capabilities(container)
            .map_err(|message| self.problem("capabilities", message))?;
        let ours = security != Security::LinuxKit;
        let config = oci::Config {
            oci_version: oci::OCI_VERSION,
            process: oci::Process {
                user: self.user(container)?,
                args: self.args(container),
                env: self.env(container),
                cwd: self.cwd(container),
                capabilities: granted.sets,
                rlimits: rlimits(container),
                no_new_privileges: container.no_new_privileges.unwrap_or(ours),
                oom_score_adj: container.oom_score_adj,
            },
            root: oci::Root {
                path: layout::ROOTFS,
                readonly,
            },
            hostname: container.hostname.clone().unwrap_or_default(),
            mounts,
            annotations: container.annotations.clone().unwrap_or_default(),
            linux: self.linux(container, security, &granted.all),
        };
        Ok((config, self.warnings(container)))
    }

    fn linux(
        &self,
        container: &Container,
        security: Security,
        capabilities: &[Capability],
    ) -> oci::Linux {
        let ours = security != Security::LinuxKit;
        let confined = ours && !confine::is_administrative(capabilities);
        let (devices, resources) = linux::devices(container, security);
        let paths = |said: &Option<Vec<String>>, default: fn(&Container) -> Vec<String>| match said
        {
            Some(paths) => paths.clone(),
            None if confined => default(container),
            None => Vec::new(),
        };
        let own_cgroup = || layout::cgroup(self.entry.section, &self.entry.bundle_name());
        oci::Linux {
            uid_mappings: mappings(container.uid_mappings.as_deref(), security),
            gid_mappings: mappings(container.gid_mappings.as_deref(), security),
            sysctl: container.sysctl.clone().unwrap_or_default(),
            resources,
            cgroups_path: match &container.cgroups_path {
                Some(path) => path.clone(),
                None if ours => own_cgroup(),
                None => String::new(),
            },
            namespaces: linux::namespaces(container, security),
            devices,
            seccomp: ours.then(|| seccomp::profile(self.arch, capabilities)),
            rootfs_propagation: container.rootfs_propagation.clone().unwrap_or_default(),
            masked_paths: paths(&container.masked_paths, confine::masked),
            readonly_paths: paths(&container.readonly_paths, confine::readonly),
        }
    }

    /// Refuses what could only fail at run time. LinuxKit writes it down.
    fn refuse(&self, container: &Container, security: Security) -> Result<(), Problems> {
        if security == Security::LinuxKit {
            return Ok(());
        }
        let mut problems = Vec::new();
        if self.args(container).is_empty() {
            let message = format!(
                "no command: the image {} has neither Entrypoint nor Cmd; say what to run",
                self.entry.image.value
            );
            problems.push(self.problem("command", message));
        }
        let cwd = self.cwd(container);
        if !cwd.starts_with('/') {
            let message = format!("found \"{cwd}\", allowed: a path that begins with /");
            problems.push(self.problem("cwd", message));
        }
        let foreseen = foresee::failures(container, security);
        problems.extend(
            foreseen
                .into_iter()
                .map(|(field, m)| self.problem(field, m)),
        );
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Problems(problems))
        }
    }

    fn warnings(&self, container: &Container) -> Vec<Problem> {
        let mut warnings = Vec::new();
        if let Some(namespace) = &container.runtime.namespace {
            let message = format!(
                "\"{namespace}\" is a namespace of containerd, which is not here: not used"
            );
            warnings.push(self.problem("runtime.namespace", message));
        }
        warnings
    }

    fn user(&self, container: &Container) -> Result<oci::User, Problems> {
        let groups = || container.additional_gids.iter().flatten();
        let said = container.uid.iter().chain(&container.gid).chain(groups());
        let by_name = said.into_iter().any(|id| matches!(id.value, Id::Entry(_)));
        // Most entries name no other one, and builds may have many.
        let ids = if by_name {
            self.spec.ids()
        } else {
            BTreeMap::new()
        };
        let number = |field: &str, id: &Located<Id>| {
            resolve_id(id, &ids).map_err(|message| self.problem(field, message))
        };
        let one = |field: &str, id: &Option<Located<Id>>| match id {
            None => Ok(0),
            Some(id) => number(field, id),
        };
        Ok(oci::User {
            uid: one("uid", &container.uid)?,
            gid: one("gid", &container.gid)?,
            additional_gids: groups()
                .map(|id| number("additionalGids", id))
                .collect::<Result<_, _>>()?,
        })
    }

    fn args(&self, container: &Container) -> Vec<String> {
        container.command.clone().unwrap_or_else(|| {
            let entrypoint = self.image.entrypoint().iter().flatten();
            let cmd = self.image.cmd().iter().flatten();
            entrypoint.chain(cmd).cloned().collect()
        })
    }

    fn env(&self, container: &Container) -> Vec<String> {
        let env = container.env.clone();
        env.unwrap_or_else(|| self.image.env().clone().unwrap_or_default())
    }

    fn cwd(&self, container: &Container) -> String {
        let image = || self.image.working_dir().clone().filter(|d| !d.is_empty());
        let cwd = container.cwd.clone().or_else(image);
        cwd.unwrap_or_else(|| "/".to_owned())
    }
}

fn rlimits(container: &Container) -> Vec<oci::Rlimit> {
    let limits = container.rlimits.iter().flatten();
    limits
        .map(|limit| oci::Rlimit {
            kind: limit.kind.clone(),
            hard: limit.hard,
            soft: limit.soft,
        })
        .collect()
}

/// LinuxKit loses both ids of a mapping and keeps its size: its schema has
/// `hostID`, its decoder looks for `hostid`.
fn mappings(written: Option<&[IdMapping]>, security: Security) -> Vec<oci::Mapping> {
    let written = written.unwrap_or(&[]).iter().copied();
    written
        .map(|mapping| match security {
            Security::LinuxKit => IdMapping {
                container_id: 0,
                host_id: 0,
                ..mapping
            },
            Security::Default | Security::Strict => mapping,
        })
        .map(oci::Mapping::from)
        .collect()
}
