//! Which service waits for which.

use super::{EntryId, Kind, Spec};

/// What an entry waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Deps {
    /// These have been started, or will not be.
    pub after: Vec<EntryId>,
    /// These run.
    pub requires: Vec<EntryId>,
}

impl Deps {
    /// Both kinds.
    pub(super) fn all(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.after.iter().chain(&self.requires).copied()
    }
}

/// The dependencies of each entry of `specs`, in its order, or why it can have
/// none. The graph of those that have some is without cycles.
///
/// The builder refuses such files; an image may still hold one, and must boot.
/// A name after which nothing can start is left out, as the entry itself says
/// that the order is all it wants.
pub(super) fn resolve(specs: &[Spec]) -> Vec<Result<Deps, String>> {
    let mut deps: Vec<Result<Deps, String>> = specs.iter().map(|spec| named(spec, specs)).collect();
    let cyclic: Vec<Option<Vec<EntryId>>> = (0..specs.len())
        .map(|index| cycle(EntryId(index), &deps))
        .collect();
    for (deps, cycle) in deps.iter_mut().zip(cyclic) {
        if let Some(cycle) = cycle {
            let names: Vec<&str> = cycle
                .iter()
                .filter_map(|id| specs.get(id.0))
                .map(|spec| spec.name.as_str())
                .collect();
            *deps = Err(format!("waits for itself: {}", names.join(" -> ")));
        }
    }
    deps
}

fn named(spec: &Spec, specs: &[Spec]) -> Result<Deps, String> {
    if spec.kind != Kind::Service {
        return Ok(Deps::default());
    }
    let find = |name: &String| {
        specs
            .iter()
            .position(|other| other.kind == Kind::Service && other.name == *name)
            .map(EntryId)
    };
    Ok(Deps {
        after: spec.supervision.after.iter().filter_map(find).collect(),
        requires: spec
            .supervision
            .requires
            .iter()
            .map(|name| find(name).ok_or_else(|| format!("requires {name}, which is no service")))
            .collect::<Result<_, _>>()?,
    })
}

/// The way from `start` back to it, if there is one.
fn cycle(start: EntryId, deps: &[Result<Deps, String>]) -> Option<Vec<EntryId>> {
    let next = |id: EntryId| {
        deps.get(id.0)
            .and_then(|deps| deps.as_ref().ok())
            .into_iter()
            .flat_map(Deps::all)
    };
    let mut seen = vec![false; deps.len()];
    let mut paths = vec![vec![start]];
    while let Some(path) = paths.pop() {
        for id in path.last().copied().into_iter().flat_map(next) {
            let mut longer = path.clone();
            longer.push(id);
            if id == start {
                return Some(longer);
            }
            if let Some(seen) = seen.get_mut(id.0).filter(|seen| !**seen) {
                *seen = true;
                paths.push(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use hullkit_bundle::Supervision;

    fn service(name: &str, after: &[&str], requires: &[&str]) -> Spec {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Spec {
            kind: Kind::Service,
            name: name.to_owned(),
            supervision: Supervision {
                after: owned(after),
                requires: owned(requires),
                ..Supervision::default()
            },
            error: None,
        }
    }

    #[test]
    fn finds_services_by_name() {
        let specs = [
            service("web", &["log"], &["db"]),
            service("db", &[], &[]),
            service("log", &[], &[]),
        ];
        let deps = resolve(&specs);
        let expected = Deps {
            after: vec![EntryId(2)],
            requires: vec![EntryId(1)],
        };
        assert_eq!(
            deps,
            [Ok(expected), Ok(Deps::default()), Ok(Deps::default())]
        );
    }

    #[test]
    fn an_onboot_entry_is_no_service() {
        let onboot = Spec {
            kind: Kind::Onboot,
            ..service("db", &[], &[])
        };
        let deps = resolve(&[service("web", &["db"], &[]), onboot.clone()]);
        assert_eq!(deps[0], Ok(Deps::default()));
        let deps = resolve(&[service("web", &[], &["db"]), onboot]);
        assert_eq!(deps[0], Err("requires db, which is no service".to_owned()));
    }

    #[test]
    fn names_a_cycle_and_spares_the_rest() {
        let specs = [
            service("a", &["b"], &[]),
            service("b", &[], &["c"]),
            service("c", &["a"], &[]),
            service("d", &["a"], &[]),
            service("e", &["e"], &[]),
        ];
        let deps = resolve(&specs);
        assert_eq!(
            deps[0],
            Err("waits for itself: a -> b -> c -> a".to_owned())
        );
        assert!(deps[1].is_err() && deps[2].is_err());
        assert_eq!(
            deps[3],
            Ok(Deps {
                after: vec![EntryId(0)],
                requires: vec![]
            })
        );
        assert_eq!(deps[4], Err("waits for itself: e -> e".to_owned()));
    }
}
