//! A case: a configuration, what is done with it, and what must come of it.

use serde_json::{Value, json};

/// A case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) config: Value,
    pub(crate) script: String,
    says: Vec<String>,
    never_says: Vec<String>,
}

/// The configuration that a system image has for a plain service.
pub(crate) fn plain(command: &str) -> Value {
    json!({
        "ociVersion": "1.2.1",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sh", "-c", command],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {}
        },
        "root": {"path": "/rootfs", "readonly": true},
        "mounts": [
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/proc", "type": "proc", "source": "proc",
             "options": ["nosuid", "nodev", "noexec", "relatime"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
        ],
        "linux": {
            "resources": {},
            "namespaces": [{"type": "pid"}, {"type": "mount"}]
        }
    })
}

impl Case {
    /// Runs a shell command in a plain container, attached.
    pub(crate) fn new(name: &'static str, command: &str) -> Self {
        Self {
            name,
            config: plain(command),
            script: "runc-shim --root /run/state run --bundle . $1; echo rc=$?; ls /run/state"
                .to_owned(),
            says: Vec::new(),
            never_says: vec!["Kernel panic".to_owned()],
        }
    }

    /// Sets a value of the configuration, by its JSON pointer; the last part
    /// may be new.
    pub(crate) fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        let parent = self.config.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(list) if last == "-" => list.push(value),
            Value::Array(list) => list[last.parse::<usize>().unwrap()] = value,
            parent => parent[last] = value,
        }
        self
    }

    /// A namespace of this type.
    pub(crate) fn namespace(self, kind: &str) -> Self {
        self.with("/linux/namespaces/-", json!({"type": kind}))
    }

    /// Another script than "run it".
    pub(crate) fn script(mut self, script: &str) -> Self {
        script.clone_into(&mut self.script);
        self
    }

    /// A line that must be there.
    pub(crate) fn says(mut self, line: &str) -> Self {
        self.says.push(line.to_owned());
        self
    }

    /// A text that must be nowhere.
    pub(crate) fn never_says(mut self, text: &str) -> Self {
        self.never_says.push(text.to_owned());
        self
    }

    /// Looks at the case's part of the console.
    pub(crate) fn judge(&self, console: &str) -> Result<(), String> {
        let begin = format!("=== {}\n", self.name);
        let part = console.split_once(&begin).map(|(_, rest)| rest);
        let part = part
            .and_then(|rest| rest.split("=== ").next())
            .unwrap_or_default();
        let lines: Vec<&str> = part.lines().collect();
        for line in &self.says {
            if !lines.contains(&line.as_str()) {
                return Err(format!("{}: does not say {line:?}:\n{part}", self.name));
            }
        }
        for text in &self.never_says {
            if part.contains(text.as_str()) {
                return Err(format!("{}: says {text:?}:\n{part}", self.name));
            }
        }
        Ok(())
    }
}
