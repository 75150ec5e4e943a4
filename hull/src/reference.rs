//! Image references, as Docker reads them: `redis` is
//! `docker.io/library/redis:latest`.

use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::Reference as Parsed;

use crate::digest::Digest;

/// A reference to an image by name; equal when they mean the same image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that is no reference.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not an image name: {why}")]
pub struct BadReference {
    /// The text.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(name: &str) -> Result<Self, BadReference> {
        let bad = |why: String| BadReference {
            name: name.to_owned(),
            why,
        };
        let parsed: Parsed = name.parse().map_err(|e| bad(format!("{e}")))?;
        if parsed.repository().bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(bad("repository name must be lowercase".to_owned()));
        }
        let digest = parsed
            .digest()
            .map(str::parse)
            .transpose()
            .map_err(|e| bad(format!("{e}")))?;
        Ok(Self {
            registry: parsed.registry().to_owned(),
            repository: parsed.repository().to_owned(),
            tag: parsed.tag().map(ToOwned::to_owned),
            digest,
        })
    }
}

impl Reference {
    /// Host (and port) of the registry.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path below the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` where neither tag nor digest were given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that pins it.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Whether both name the same repository of the same registry.
    #[must_use]
    pub fn same_repository(&self, other: &Self) -> bool {
        self.registry == other.registry && self.repository == other.repository
    }

    /// The image of this digest in the same repository.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// As people write it: without what Docker would add.
    #[must_use]
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        match full.strip_prefix("docker.io/") {
            Some(rest) => rest.strip_prefix("library/").unwrap_or(rest).to_owned(),
            None => full,
        }
    }
}

/// The full form: registry, repository, tag, digest.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_expand_as_docker_does() {
        for (name, full, familiar) in [
            ("redis", "docker.io/library/redis:latest", "redis:latest"),
            ("redis:7", "docker.io/library/redis:7", "redis:7"),
            (
                "hullkit/kernel:6.12",
                "docker.io/hullkit/kernel:6.12",
                "hullkit/kernel:6.12",
            ),
            (
                "localhost:5000/a/b",
                "localhost:5000/a/b:latest",
                "localhost:5000/a/b:latest",
            ),
            ("ghcr.io/a/b:c", "ghcr.io/a/b:c", "ghcr.io/a/b:c"),
            (
                "docker.io/library/redis:7",
                "docker.io/library/redis:7",
                "redis:7",
            ),
        ] {
            let reference: Reference = name.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(reference.familiar().parse(), Ok(reference));
        }
    }

    #[test]
    fn a_digest_stands_in_for_the_tag() {
        let name = format!("a/b@sha256:{}", "0".repeat(64));
        let reference: Reference = name.parse().unwrap();
        assert_eq!(reference.tag(), None);
        assert_eq!(reference.digest().unwrap().hex(), "0".repeat(64));
    }

    #[test]
    fn what_is_no_name_is_named() {
        for bad in ["", "Upper/case", "a b", "a:", "a@sha256:12", "-x", "a//b"] {
            let error = bad.parse::<Reference>().unwrap_err();
            assert_eq!(error.name, bad);
        }
    }
}
