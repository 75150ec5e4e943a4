//! `spec`: an example of a configuration to begin with, as runc writes it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::Outcome;
use crate::error::Error;

const TEMPLATE: &str = include_str!("template.json");

/// What stands in its open places: for root, and for an ordinary user, who may
/// mount no sysfs without a network namespace, and limits nothing.
const FOR_ROOT: [(&str, &str); 4] = [
    ("@GID@", ",\n\t\t\t\t\"gid=5\""),
    (
        "@SYS@",
        r#"{
			"destination": "/sys",
			"type": "sysfs",
			"source": "sysfs",
			"options": [
				"nosuid",
				"noexec",
				"nodev",
				"ro"
			]
		}"#,
    ),
    (
        "@LINUX@",
        r#""resources": {
			"devices": [
				{
					"allow": false,
					"access": "rwm"
				}
			]
		}"#,
    ),
    ("@NAMESPACE@", "network"),
];

const SYS_OF_THE_HOST: &str = r#"{
			"destination": "/sys",
			"type": "none",
			"source": "/sys",
			"options": [
				"rbind",
				"nosuid",
				"noexec",
				"nodev",
				"ro"
			]
		}"#;

/// Writes `config.json`, unless there is one.
pub(super) fn write(bundle: &Path, rootless: bool) -> Outcome {
    let path = bundle.join("config.json");
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(text(rootless).as_bytes()));
    written.map_err(Error::io("write", path.display()))?;
    Ok(None)
}

fn text(rootless: bool) -> String {
    let places = if rootless {
        for_user(crate::sys::identity::own_ids())
    } else {
        FOR_ROOT.map(|(place, text)| (place, text.to_owned()))
    };
    let mut text = TEMPLATE.to_owned();
    for (place, value) in places {
        text = text.replacen(place, &value, 1);
    }
    text
}

fn for_user((uid, gid): (u32, u32)) -> [(&'static str, String); 4] {
    let mapping = |name: &str, id: u32| {
        format!(
            "\"{name}\": [\n\t\t\t{{\n\t\t\t\t\"containerID\": 0,\n\t\t\t\t\"hostID\": {id},\n\t\t\t\t\"size\": 1\n\t\t\t}}\n\t\t]"
        )
    };
    let mappings = mapping("uidMappings", uid) + ",\n\t\t" + &mapping("gidMappings", gid);
    [
        ("@GID@", String::new()),
        ("@SYS@", SYS_OF_THE_HOST.to_owned()),
        ("@LINUX@", mappings),
        ("@NAMESPACE@", "user".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Container, NamespaceKind};

    #[test]
    fn both_examples_are_configurations() {
        for rootless in [false, true] {
            let text = text(rootless);
            let container = Container::parse(text.as_bytes()).unwrap();
            assert!(container.process.terminal);
            assert_eq!(container.namespaces.has(NamespaceKind::User), rootless);
            assert!(!text.contains('@'), "{text}");
        }
    }

    #[test]
    fn a_configuration_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), false).unwrap();
        let error = write(folder.path(), true).unwrap_err().to_string();
        assert!(error.ends_with("config.json: File exists"), "{error}");
    }
}
