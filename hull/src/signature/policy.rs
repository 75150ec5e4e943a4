//! Which images have to be signed, and by whom: a file in the form of
//! containers-policy.json(5), of which the requirements
//! `insecureAcceptAnything`, `reject` and `sigstoreSigned` with key files are
//! known. Others are an error, so that nothing passes unchecked.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Evidence, Key};
use crate::digest::Digest;
use crate::reference::Reference;

/// Why an image is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy, or a key, cannot be read.
    #[error("signature policy: {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The policy is not as it should be.
    #[error("signature policy {path}: {why}")]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The policy does not want this image.
    #[error("image {name}: refused by the policy {path} (scope {scope:?}): {why}")]
    Refused {
        /// The image.
        name: String,
        /// The policy's file.
        path: PathBuf,
        /// The part of the policy that it falls under.
        scope: String,
        /// Why.
        why: String,
    },
}

/// Says which images are taken.
#[derive(Clone, Debug)]
pub struct Policy {
    path: PathBuf,
    default: Vec<Requirement>,
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

/// What is asked of an image.
#[derive(Clone, Debug)]
enum Requirement {
    Nothing,
    Reject,
    Signed(Vec<Key>, Identity),
}

/// Which name a signature has to be for.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Identity {
    /// The name with its tag; of a name with a digest, the repository.
    MatchRepoDigestOrExact,
    /// The name with its tag.
    MatchExact,
    /// The name without its tag.
    MatchRepository,
    /// This name.
    #[serde(rename_all = "camelCase")]
    ExactReference {
        /// With its tag.
        docker_reference: String,
    },
    /// This repository.
    #[serde(rename_all = "camelCase")]
    ExactRepository {
        /// Without a tag.
        docker_repository: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    default: Vec<RawRequirement>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<RawRequirement>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawRequirement {
    #[serde(rename = "type")]
    kind: String,
    key_path: Option<PathBuf>,
    #[serde(default)]
    key_paths: Vec<PathBuf>,
    key_data: Option<String>,
    signed_identity: Option<Identity>,
}

impl Policy {
    /// Reads a policy and its keys; their paths are relative to the policy's
    /// folder.
    ///
    /// # Errors
    /// It cannot be read, or asks for something that we do not know.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read(path)?;
        let broken = |why: String| Error::Broken {
            path: path.to_owned(),
            why,
        };
        let form: Form = serde_json::from_slice(&text).map_err(|e| broken(e.to_string()))?;
        let all = |raw: Vec<RawRequirement>| {
            if raw.is_empty() {
                return Err(broken("a list of requirements is empty".to_owned()));
            }
            let all = raw.into_iter().map(|one| requirement(path, one));
            all.collect::<Result<Vec<_>, Error>>()
        };
        let mut transports = BTreeMap::new();
        for (transport, scopes) in form.transports {
            let of_transport: &mut BTreeMap<_, _> = transports.entry(transport).or_default();
            for (scope, raw) in scopes {
                of_transport.insert(scope, all(raw)?);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            default: all(form.default)?,
            transports,
        })
    }

    /// Whether an image by name is taken only with a signature.
    #[must_use]
    pub fn wants_signature(&self, name: &Reference) -> bool {
        let scopes = scopes(name);
        let (_, requirements) = self.scope("docker", &scopes);
        let mut all = requirements.iter();
        all.any(|one| matches!(one, Requirement::Signed(..)))
    }

    /// Whether the image `name`, which is `manifest`, is taken with what
    /// speaks for it.
    ///
    /// # Errors
    /// It is not, and why.
    pub fn check(
        &self,
        name: &Reference,
        manifest: Digest,
        evidence: &Evidence,
    ) -> Result<(), Error> {
        let scopes = scopes(name);
        let (scope, requirements) = self.scope("docker", &scopes);
        for one in requirements {
            let done = match one {
                Requirement::Nothing => Ok(()),
                Requirement::Reject => Err("it is not wanted".to_owned()),
                Requirement::Signed(keys, identity) => {
                    evidence.speaks_for(name, manifest, keys, identity)
                }
            };
            done.map_err(|why| self.refused(name.familiar(), scope, why))?;
        }
        Ok(())
    }

    /// Whether an image that is at a place on this machine is taken.
    ///
    /// # Errors
    /// It is not: it has no signatures.
    pub fn check_place(&self, transport: &str, place: &Path) -> Result<(), Error> {
        let parents = place.ancestors().map(|p| p.display().to_string());
        let scopes: Vec<String> = parents.chain([String::new()]).collect();
        let (scope, requirements) = self.scope(transport, &scopes);
        let why = requirements.iter().find_map(|one| match one {
            Requirement::Nothing => None,
            Requirement::Reject => Some("it is not wanted"),
            Requirement::Signed(..) => Some("it has to be signed, and has no signatures"),
        });
        match why {
            None => Ok(()),
            Some(why) => {
                let name = format!("{transport}:{}", place.display());
                Err(self.refused(name, scope, why.to_owned()))
            }
        }
    }

    /// The first of `scopes` that the policy has something for.
    fn scope<'a>(&'a self, transport: &str, scopes: &'a [String]) -> (&'a str, &'a [Requirement]) {
        let known = self.transports.get(transport);
        let found = scopes.iter().find_map(|scope| {
            let requirements = known?.get(scope)?;
            Some((scope.as_str(), requirements.as_slice()))
        });
        found.unwrap_or(("default", &self.default))
    }

    fn refused(&self, name: String, scope: &str, why: String) -> Error {
        Error::Refused {
            name,
            path: self.path.clone(),
            scope: scope.to_owned(),
            why,
        }
    }
}

/// The scopes that a name falls under, the narrowest first: itself, its
/// repository, the folders above, the host, `*.DOMAIN`, everything.
fn scopes(name: &Reference) -> Vec<String> {
    let repository = format!("{}/{}", name.registry(), name.repository());
    let mut scopes = vec![name.to_string(), repository.clone()];
    let mut rest = repository.as_str();
    while let Some((parent, _)) = rest.rsplit_once('/') {
        scopes.push(parent.to_owned());
        rest = parent;
    }
    let mut domain = rest.split(':').next().unwrap_or_default();
    while let Some((_, parent)) = domain.split_once('.') {
        scopes.push(format!("*.{parent}"));
        domain = parent;
    }
    scopes.push(String::new());
    scopes
}

fn requirement(policy: &Path, raw: RawRequirement) -> Result<Requirement, Error> {
    let broken = |why: String| Error::Broken {
        path: policy.to_owned(),
        why,
    };
    match raw.kind.as_str() {
        "insecureAcceptAnything" => return Ok(Requirement::Nothing),
        "reject" => return Ok(Requirement::Reject),
        "sigstoreSigned" => {}
        other => {
            return Err(broken(format!(
                "the requirement {other:?} is not known; there are insecureAcceptAnything, reject \
                 and sigstoreSigned"
            )));
        }
    }
    let mut keys = Vec::new();
    for path in raw.key_path.iter().chain(&raw.key_paths) {
        let path = policy.parent().unwrap_or(Path::new(".")).join(path);
        let key = Key::from_pem(&read(&path)?);
        keys.push(key.map_err(|why| broken(format!("key {}: {why}", path.display())))?);
    }
    if let Some(data) = raw.key_data {
        let pem = STANDARD.decode(data).unwrap_or_default();
        keys.push(Key::from_pem(&pem).map_err(|why| broken(format!("keyData: {why}")))?);
    }
    if keys.is_empty() {
        return Err(broken(
            "sigstoreSigned needs keyPath, keyPaths or keyData".to_owned(),
        ));
    }
    let identity = raw
        .signed_identity
        .unwrap_or(Identity::MatchRepoDigestOrExact);
    Ok(Requirement::Signed(keys, identity))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

impl Identity {
    /// Whether a signature for the name `signed` will do for `name`.
    pub(super) fn takes(&self, name: &Reference, signed: &str) -> Result<(), String> {
        let repository =
            |reference: &Reference| format!("{}/{}", reference.registry(), reference.repository());
        let parsed: Result<Reference, _> = signed.parse();
        // `a/b` is `a/b:latest` to the parser; a signature's name without a
        // tag has none.
        let has_tag = signed
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'));
        let takes = parsed.is_ok_and(|parsed| {
            let same_repository = parsed.same_repository(name);
            let same_tag = has_tag && parsed.tag() == name.tag();
            match self {
                Self::MatchRepository => same_repository,
                Self::MatchExact => same_repository && same_tag && name.tag().is_some(),
                Self::MatchRepoDigestOrExact => {
                    same_repository && (same_tag || name.digest().is_some())
                }
                Self::ExactReference { docker_reference } => {
                    has_tag && docker_reference.parse::<Reference>().as_ref() == Ok(&parsed)
                }
                Self::ExactRepository { docker_repository } => {
                    let wanted = docker_repository.parse::<Reference>();
                    wanted.is_ok_and(|wanted| repository(&wanted) == repository(&parsed))
                }
            }
        });
        match takes {
            true => Ok(()),
            false => Err(format!(
                "the signature is for the name {signed:?} (the policy's signedIdentity says which \
                 names will do; cosign signs names without a tag, which matchRepository takes)"
            )),
        }
    }
}
