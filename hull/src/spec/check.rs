//! What only the whole shows: names that clash or are missing, the order of
//! services.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use super::container::resolve;
use super::document::{Draft, DraftFile};
use super::place::{Located, Problem};
use super::read::{MAX_PROBLEMS, did_you_mean, listed};
use super::types::{Bind, Container, Entry, File, Security, Spec};

/// The first id of an entry.
const FIRST_ID: u32 = 100;

/// Counts and compares. The spec, or what is wrong.
pub(super) fn finish(draft: Draft) -> Result<Spec, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut next = FIRST_ID;
    let security = draft.security;
    let [onboot, onshutdown, services] = draft.entries.map(|section| {
        let mut entries = Vec::with_capacity(section.len());
        for (index, mut d) in section.into_iter().enumerate() {
            d.entry.index = index;
            d.entry.id = next;
            next += 1;
            let own = d.entry.supervise.security.or(security);
            if own != Some(Security::LinuxKit) {
                problems.append(&mut d.strict);
            }
            entries.push(d.entry);
        }
        entries
    });
    let mut spec = Spec {
        kernel: draft.kernel,
        init: draft.init,
        onboot,
        onshutdown,
        services,
        files: Vec::new(),
        volumes: draft.volumes,
        security,
        log: draft.log,
        warnings: draft.warnings,
        ..Spec::default()
    };
    problems.extend(unique_services(&spec));
    problems.extend(unique_volumes(&spec));
    let ids = spec.ids();
    for entry in spec.entries() {
        problems.extend(ids_known(&entry.container, &ids));
        let own = entry.supervise.security.or(spec.security);
        let rule = ReadOnly::of(own.unwrap_or_default());
        problems.extend(volumes_known(&entry.container, &spec, rule));
    }
    let orders: Vec<Order<'_>> = spec.services.iter().map(order_of).collect();
    problems.extend(order(&orders));
    spec.files = files(draft.files, &ids, &mut problems);
    if problems.is_empty() {
        Ok(spec)
    } else {
        problems.truncate(MAX_PROBLEMS);
        Err(problems)
    }
}

fn unique_services(spec: &Spec) -> Vec<Problem> {
    let named = spec.services.iter().map(|e| (e.name.as_str(), &e.place));
    duplicates(named, "service")
}

fn unique_volumes(spec: &Spec) -> Vec<Problem> {
    let named = spec.volumes.iter().map(|v| (v.name.as_str(), &v.place));
    duplicates(named, "volume")
}

fn duplicates<'a>(
    named: impl Iterator<Item = (&'a str, &'a super::Place)>,
    what: &str,
) -> Vec<Problem> {
    let mut seen = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, place) in named {
        match seen.entry(name) {
            Slot::Vacant(slot) => {
                slot.insert(place);
            }
            Slot::Occupied(first) => problems.push(Problem {
                place: place.clone(),
                field: "name".to_owned(),
                message: format!(
                    "a second {what} with the name \"{name}\"; the first is at {}",
                    first.get()
                ),
            }),
        }
    }
    problems
}

impl Spec {
    /// The entries' own ids, by name. Of entries with the same name the last
    /// one counts, as in LinuxKit.
    pub(crate) fn ids(&self) -> BTreeMap<String, u32> {
        self.entries().map(|e| (e.name.clone(), e.id)).collect()
    }
}

fn ids_known(container: &Container, ids: &BTreeMap<String, u32>) -> Vec<Problem> {
    let owned = [("uid", &container.uid), ("gid", &container.gid)];
    let groups = container.additional_gids.iter().flatten();
    owned
        .into_iter()
        .filter_map(|(field, id)| Some((field, id.as_ref()?)))
        .chain(groups.map(|id| ("additionalGids", id)))
        .filter_map(|(field, id)| {
            Some(Problem {
                place: id.place.clone(),
                field: field.to_owned(),
                message: resolve(id, ids).err()?,
            })
        })
        .collect()
}

/// When a volume counts as bound for reading only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOnly {
    /// `ro` is among the options, and `rw` is not.
    Meant,
    /// As LinuxKit finds out: a bind's options are `ro` alone; of a mount's
    /// options `ro` and `rw` the first one counts.
    LinuxKit,
}

impl ReadOnly {
    /// What counts for an entry with this security.
    pub(crate) fn of(security: Security) -> Self {
        match security {
            Security::LinuxKit => Self::LinuxKit,
            Security::Default | Security::Strict => Self::Meant,
        }
    }

    fn holds(self, field: &str, options: &[String]) -> bool {
        let has = |word: &str| options.iter().any(|o| o == word);
        match (self, field) {
            (Self::Meant, _) => has("ro") && !has("rw"),
            (Self::LinuxKit, "binds") => options.len() == 1 && has("ro"),
            (Self::LinuxKit, _) => {
                options
                    .iter()
                    .find(|o| *o == "ro" || *o == "rw")
                    .map(String::as_str)
                    == Some("ro")
            }
        }
    }
}

/// Binds and bind mounts of volumes: the volume is there, and one that is
/// read-only is not bound for writing.
pub(crate) fn volumes_known(container: &Container, spec: &Spec, rule: ReadOnly) -> Vec<Problem> {
    let binds = container.binds.iter().flatten();
    let binds =
        binds
            .chain(container.binds_add.iter().flatten())
            .map(|Located { value, place }| {
                let Bind {
                    source, options, ..
                } = value;
                ("binds", source, options.as_deref().unwrap_or(&[]), place)
            });
    let mounts = container.mounts.iter().flatten();
    let mounts = mounts
        .filter(|m| m.value.kind == "bind")
        .map(|m| ("mounts", &m.value.source, &m.value.options[..], &m.place));
    let mut problems = Vec::new();
    for (field, source, options, place) in binds.chain(mounts) {
        if source.starts_with('/') {
            continue;
        }
        let names: Vec<&str> = spec.volumes.iter().map(|v| v.name.as_str()).collect();
        let message = match spec.volume(source) {
            None => format!(
                "no volume has the name \"{source}\"{}, allowed: a path that begins with /, or the name of a volume: {}",
                did_you_mean(source, &names),
                if names.is_empty() {
                    "none is declared".to_owned()
                } else {
                    listed(&names)
                }
            ),
            Some(volume) if volume.readonly && !rule.holds(field, options) => format!(
                "the volume \"{source}\" is read-only ({}), allowed: the option ro",
                volume.place
            ),
            Some(_) => continue,
        };
        problems.push(Problem {
            place: place.clone(),
            field: field.to_owned(),
            message,
        });
    }
    problems
}

fn files(
    drafts: Vec<DraftFile>,
    ids: &BTreeMap<String, u32>,
    problems: &mut Vec<Problem>,
) -> Vec<File> {
    drafts
        .into_iter()
        .map(|draft| {
            let mut file = draft.file;
            for (field, id, slot) in [
                ("uid", draft.uid, &mut file.uid),
                ("gid", draft.gid, &mut file.gid),
            ] {
                let Some(id) = id else { continue };
                match resolve(&id, ids) {
                    Ok(number) => *slot = number,
                    Err(message) => problems.push(Problem {
                        place: id.place,
                        field: format!("files.{field}"),
                        message,
                    }),
                }
            }
            file
        })
        .collect()
}

/// What a service waits for.
pub(crate) struct Order<'a> {
    /// The service.
    pub(crate) name: &'a str,
    /// `after`.
    pub(crate) after: &'a [Located<String>],
    /// `requires`.
    pub(crate) requires: &'a [Located<String>],
}

fn order_of(entry: &Entry) -> Order<'_> {
    Order {
        name: &entry.name,
        after: entry.supervise.after.as_deref().unwrap_or(&[]),
        requires: entry.supervise.requires.as_deref().unwrap_or(&[]),
    }
}

/// Whether all that services wait for is there, and comes to an end.
pub(crate) fn order(services: &[Order<'_>]) -> Vec<Problem> {
    let names: Vec<&str> = services.iter().map(|s| s.name).collect();
    let mut problems = Vec::new();
    let mut waits: Vec<Vec<(usize, &Located<String>, &'static str)>> = Vec::new();
    for service in services {
        let mut edges = Vec::new();
        let after = service.after.iter().map(|n| ("after", n));
        let requires = service.requires.iter().map(|n| ("requires", n));
        for (field, wanted) in after.chain(requires) {
            match names.iter().position(|name| *name == wanted.value) {
                Some(target) => edges.push((target, wanted, field)),
                None => problems.push(Problem {
                    place: wanted.place.clone(),
                    field: format!("services.{}.{field}", service.name),
                    message: format!(
                        "no service has the name \"{}\"{}, allowed: {}",
                        wanted.value,
                        did_you_mean(&wanted.value, &names),
                        listed(&names)
                    ),
                }),
            }
        }
        waits.push(edges);
    }
    problems.extend(cycle(&names, &waits));
    problems
}

/// The first cycle, told from where it closes. Depth first, without
/// recursion: a chain may be as long as the list of services.
fn cycle(
    names: &[&str],
    waits: &[Vec<(usize, &Located<String>, &'static str)>],
) -> Option<Problem> {
    let mut done = vec![false; names.len()];
    for start in 0..names.len() {
        // Each step: a service, and which of its edges comes next.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((at, next)) = path.last_mut() {
            let at = *at;
            let edge = waits.get(at).and_then(|edges| edges.get(*next));
            *next += 1;
            let Some((target, wanted, field)) = edge else {
                if let Some(slot) = done.get_mut(at) {
                    *slot = true;
                }
                path.pop();
                continue;
            };
            if let Some(begin) = path.iter().position(|(service, _)| service == target) {
                let mut circle: Vec<&str> = path[begin..].iter().map(|(s, _)| names[*s]).collect();
                circle.push(names[*target]);
                return Some(Problem {
                    place: wanted.place.clone(),
                    field: format!("services.{}.{field}", names[at]),
                    message: format!("services wait for each other: {}", circle.join(" → ")),
                });
            }
            if !done[*target] {
                path.push((*target, 0));
            }
        }
    }
    None
}
