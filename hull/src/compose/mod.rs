//! Image config, labels and YAML entry become `config.json` and
//! `runtime.json`. Pure: no I/O, and the same input gives the same bytes.

use hullkit_bundle::RuntimeConfig;
use oci_spec::image::Config as ImageConfig;

use crate::spec::{Entry, Problem, Problems, Spec};

/// What an entry becomes.
#[derive(Clone, Debug)]
pub struct Composed {
    /// `config.json`.
    pub config: serde_json::Value,
    /// `runtime.json`.
    pub runtime: RuntimeConfig,
    /// The root is used as it is; else an overlay makes it writable, and the
    /// bundle has `lower/`, `tmp/` and an empty `rootfs/`.
    pub readonly: bool,
    /// The volumes that it binds, by name, each once.
    pub volumes: Vec<String>,
    /// Worth a word, and no error.
    pub warnings: Vec<Problem>,
}

/// Composes every entry, in the order of [`Spec::entries`], and checks what
/// only all of them together show (the order of services, with what the
/// images' labels add to it). `image` gives the config of an entry's image.
///
/// # Errors
/// What `image` gives, or the problems found.
pub fn all<E: From<Problems>>(
    spec: &Spec,
    mut image: impl FnMut(&Entry) -> Result<ImageConfig, E>,
) -> Result<Vec<Composed>, E> {
    spec.entries()
        .map(|e| Ok(entry(spec, e, &image(e)?)?))
        .collect()
}

/// Composes one entry.
///
/// # Errors
/// What is wrong with it, its image's labels, or both together.
pub fn entry(_spec: &Spec, entry: &Entry, _image: &ImageConfig) -> Result<Composed, Problems> {
    Err(Problem {
        place: entry.place.clone(),
        field: entry.name.clone(),
        message: "composing is not in this version".to_owned(),
    }
    .into())
}
