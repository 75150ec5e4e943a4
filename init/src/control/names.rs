//! What clients call entries: `web`, `services/web`, `onboot/000-dhcp`, or
//! `dhcp` where that is one entry only.

use crate::supervise::{Entry, EntryId, Kind};

/// Why a name names no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown(pub(crate) String);

/// The entry that `name` means.
pub(crate) fn resolve(name: &str, entries: &[Entry]) -> Result<EntryId, Unknown> {
    let known = || {
        entries
            .iter()
            .enumerate()
            .filter(|(_, e)| !e.spec().kind.is_helper())
    };
    let exact = |(_, entry): &(usize, &Entry)| {
        let spec = entry.spec();
        match name.split_once('/') {
            Some((section, bundle)) => section_name(spec.kind) == section && spec.name == bundle,
            None => spec.name == name,
        }
    };
    let loose = |(_, entry): &(usize, &Entry)| plain_name(&entry.spec().name) == name;
    let mut found: Vec<_> = known().filter(exact).collect();
    if found.is_empty() {
        found = known().filter(loose).collect();
    }
    match found.as_slice() {
        [] => Err(Unknown(format!("no entry is named {name}"))),
        [(index, _)] => Ok(EntryId(*index)),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|(_, e)| format!("{}/{}", section_name(e.spec().kind), e.spec().name))
                .collect();
            Err(Unknown(format!("{name} may be {}", names.join(" or "))))
        }
    }
}

/// The section's name in the YAML.
pub(crate) fn section_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Onboot => "onboot",
        Kind::Service => "services",
        Kind::Onshutdown => "onshutdown",
        Kind::Log | Kind::Uevent | Kind::Console => "",
    }
}

/// `dhcp` of `000-dhcp`.
fn plain_name(bundle: &str) -> &str {
    match bundle.split_once('-') {
        Some((number, name)) if number.len() >= 3 && number.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => bundle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::{Core, Spec};
    use hullkit_bundle::Supervision;

    fn core() -> Core {
        let spec = |kind, name: &str| Spec {
            kind,
            name: name.to_owned(),
            supervision: Supervision::default(),
            error: None,
        };
        Core::new(vec![
            spec(Kind::Onboot, "000-dhcp"),
            spec(Kind::Onboot, "001-mount"),
            spec(Kind::Service, "dhcp"),
            spec(Kind::Service, "web"),
            spec(Kind::Onshutdown, "000-mount"),
            Spec::helper(Kind::Log, "log"),
        ])
    }

    fn find(name: &str) -> Option<usize> {
        resolve(name, core().entries()).ok().map(|id| id.0)
    }

    #[test]
    fn by_bundle_by_section_and_by_plain_name() {
        assert_eq!(find("web"), Some(3));
        assert_eq!(find("services/web"), Some(3));
        assert_eq!(find("000-dhcp"), Some(0));
        assert_eq!(find("onboot/000-dhcp"), Some(0));
        assert_eq!(find("onboot/001-mount"), Some(1));
    }

    #[test]
    fn an_exact_name_wins() {
        assert_eq!(find("dhcp"), Some(2));
    }

    #[test]
    fn says_what_else_it_may_be() {
        let error = resolve("mount", core().entries()).unwrap_err();
        assert_eq!(
            error.0,
            "mount may be onboot/001-mount or onshutdown/000-mount"
        );
    }

    #[test]
    fn unknown() {
        for name in ["", "log", "onboot/web", "/web", "services/", "we"] {
            assert_eq!(find(name), None, "{name}");
        }
    }
}
