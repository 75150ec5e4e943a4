//! `linux.netDevices`: network devices of the host that the container gets.

use std::collections::BTreeMap;

use super::raw;
use super::{Invalid, NamespaceKind, Namespaces, Result};

/// A network device of the host that moves into the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name on the host.
    pub host: String,
    /// Its name in the container; with `%d`, the kernel puts a number there.
    pub inside: String,
}

impl NetDevice {
    /// Whether the kernel chooses the name, so that it cannot be taken.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.inside.contains("%d")
    }

    pub(super) fn validate_all(
        raw: BTreeMap<String, raw::NetDevice>,
        namespaces: &Namespaces,
    ) -> Result<Vec<Self>> {
        let field = "linux.netDevices";
        if !raw.is_empty() && !namespaces.has(NamespaceKind::Network) {
            let problem = "need a network namespace of the container's own to move into";
            return Err(Invalid::new(field, problem));
        }
        let mut all: Vec<Self> = Vec::with_capacity(raw.len());
        for (host, device) in raw {
            let inside = match device.name {
                name if name.is_empty() => host.clone(),
                name => name,
            };
            check_name(&format!("{field}[{host}]"), &host, false)?;
            check_name(&format!("{field}[{host}].name"), &inside, true)?;
            let device = Self { host, inside };
            let taken = all.iter().find(|other| other.inside == device.inside);
            if let Some(other) = taken.filter(|other| !other.is_template()) {
                let problem = format!("\"{}\" is the name of {} too", device.inside, other.host);
                return Err(Invalid::new(
                    format!("{field}[{}].name", device.host),
                    problem,
                ));
            }
            all.push(device);
        }
        Ok(all)
    }
}

/// What the kernel takes as a name, `dev_valid_name` of its sources.
fn check_name(field: &str, name: &str, template: bool) -> Result<()> {
    let known = |b: u8| b.is_ascii_graphic() && b != b'/' && b != b':' && b != b'%';
    let plain = if template {
        name.replacen("%d", "", 1)
    } else {
        name.to_owned()
    };
    let fits = !name.is_empty() && name.len() <= 15 && name != "." && name != "..";
    if fits && plain.bytes().all(known) {
        return Ok(());
    }
    let problem = format!(
        "\"{name}\" is not the name of a network device: 1 to 15 bytes, without / : % and space"
    );
    Err(Invalid::new(field, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Namespace;

    fn found(names: &[(&str, &str)]) -> String {
        let raw = names.iter().map(|(host, name)| {
            let name = (*name).to_owned();
            ((*host).to_owned(), raw::NetDevice { name })
        });
        let network = Namespace {
            kind: NamespaceKind::Network,
            path: None,
        };
        let namespaces = Namespaces {
            list: vec![network],
            ..Namespaces::default()
        };
        match NetDevice::validate_all(raw.collect(), &namespaces) {
            Ok(all) => all
                .iter()
                .map(|d| format!("{}>{} ", d.host, d.inside))
                .collect(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_are_what_the_kernel_takes_and_differ() {
        assert_eq!(
            found(&[("eth0", ""), ("eth1", "net0")]),
            "eth0>eth0 eth1>net0 "
        );
        assert_eq!(found(&[("a", "x%d"), ("b", "x%d")]), "a>x%d b>x%d ");
        assert_eq!(
            found(&[("a", "x"), ("b", "x")]),
            "linux.netDevices[b].name: \"x\" is the name of a too"
        );
        for (host, name) in [
            ("eth%d", ""),
            ("a/b", ""),
            ("a", ".."),
            ("a", "x%d%d"),
            ("a", "0123456789abcdef"),
        ] {
            assert!(
                found(&[(host, name)]).contains("is not the name of a network device"),
                "{host} {name}"
            );
        }
    }
}
