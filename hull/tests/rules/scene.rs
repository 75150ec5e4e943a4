//! One entry, its image, and what comes of them.

use std::collections::HashMap;

use hull::arch::Arch;
use hull::compose::{self, Composed, Healthcheck};
use hull::spec::{self, Problems, Security, Spec, label};
use oci_spec::image::Config as ImageConfig;
use serde_json::{Value, json};

/// Builds a case up, then composes it.
pub(super) struct Scene {
    yaml: String,
    image: ImageConfig,
    healthcheck: Option<Healthcheck>,
    labels: HashMap<String, String>,
    security: Option<Security>,
}

/// A service `c` with these fields.
pub(super) fn service(fields: &str) -> Scene {
    let fields: String = fields.lines().map(|l| format!("    {l}\n")).collect();
    file(&format!(
        "services:\n  - name: c\n    image: x:v1\n{fields}"
    ))
}

/// A whole file.
pub(super) fn file(yaml: &str) -> Scene {
    Scene {
        yaml: yaml.to_owned(),
        image: image(json!({"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]})),
        healthcheck: None,
        labels: HashMap::new(),
        security: None,
    }
}

fn image(config: Value) -> ImageConfig {
    serde_json::from_value(config).unwrap()
}

impl Scene {
    pub(super) fn linuxkit(mut self) -> Self {
        self.security = Some(Security::LinuxKit);
        self
    }

    pub(super) fn strict(mut self) -> Self {
        self.security = Some(Security::Strict);
        self
    }

    pub(super) fn image(mut self, config: Value) -> Self {
        self.image = image(config);
        self
    }

    /// An image's configuration with Docker's HEALTHCHECK.
    pub(super) fn healthcheck(mut self, config: &str) -> Self {
        self.healthcheck = Healthcheck::find(config.as_bytes());
        self
    }

    /// LinuxKit's label.
    pub(super) fn label(mut self, text: &str) -> Self {
        self.labels.insert(label::MOBY.to_owned(), text.to_owned());
        self
    }

    /// Ours.
    pub(super) fn our_label(mut self, text: &str) -> Self {
        self.labels
            .insert(label::HULLKIT.to_owned(), text.to_owned());
        self
    }

    pub(super) fn spec(&self) -> Result<Spec, Problems> {
        let source = spec::Source {
            name: "a.yml",
            text: self.yaml.as_bytes(),
        };
        spec::parse_as(&[source], self.security)
    }

    /// The last entry of the file, composed as a part of the whole.
    pub(super) fn compose(&self) -> Result<Composed, Problems> {
        let spec = self.spec()?;
        let mut image = compose::Image::from(self.image.clone());
        image.config.set_labels(Some(self.labels.clone()));
        image.healthcheck = self.healthcheck.clone();
        let all = compose::all(&spec, Arch::Aarch64, |_| Ok::<_, Problems>(image.clone()))?;
        Ok(all.into_iter().next_back().unwrap())
    }

    /// `config.json`, at a JSON pointer; null where there is nothing.
    pub(super) fn config(&self, pointer: &str) -> Value {
        let composed = self.compose().unwrap_or_else(|e| panic!("{e}"));
        // What the OCI crate's types cannot read is no OCI configuration.
        let text = composed.config_json();
        let _: oci_spec::runtime::Spec = serde_json::from_str(&text).unwrap();
        let config: Value = serde_json::from_str(&text).unwrap();
        config.pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    /// `runtime.json`, at a JSON pointer.
    pub(super) fn runtime(&self, pointer: &str) -> Value {
        let composed = self.compose().unwrap_or_else(|e| panic!("{e}"));
        let runtime = serde_json::to_value(&composed.runtime).unwrap();
        runtime.pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    /// The mount at `destination`.
    pub(super) fn mount(&self, destination: &str) -> Value {
        let mounts = self.config("/mounts");
        let mounts = mounts.as_array().unwrap();
        let mut at = mounts.iter().filter(|m| m["destination"] == destination);
        let found = at.next().cloned().unwrap_or(Value::Null);
        assert!(at.next().is_none(), "two mounts at {destination}");
        found
    }

    /// The types of the namespaces, in order, with their paths.
    pub(super) fn namespaces(&self) -> Vec<String> {
        let namespaces = self.config("/linux/namespaces");
        let namespaces = namespaces.as_array().unwrap().iter();
        namespaces
            .map(|n| match n["path"].as_str() {
                None => n["type"].as_str().unwrap().to_owned(),
                Some(path) => format!("{}={path}", n["type"].as_str().unwrap()),
            })
            .collect()
    }

    /// All that is wrong, as it is printed.
    pub(super) fn errors(&self) -> String {
        match self.compose() {
            Ok(_) => panic!("accepted:\n{}", self.yaml),
            Err(problems) => problems.to_string(),
        }
    }
}
