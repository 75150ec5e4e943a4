//! `hull lock`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::access::Pulling;
use super::files::{self, Editing};
use super::{Global, say};
use crate::arch::Arch;
use crate::assemble::references;
use crate::lock::Lock;
use crate::reference::Reference;
use crate::registry::Pulled;
use crate::source::{Remote, Source};
use crate::store::Store;

/// The options of `hull lock`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these architectures [default: all that an image has]
    #[arg(long, value_delimiter = ',')]
    arch: Vec<Arch>,
    #[command(flatten)]
    editing: Editing,
    /// YAML files, as for build
    #[arg(required = true, value_name = "FILE.yml")]
    files: Vec<PathBuf>,
    // Last, because its heading holds for all that follow.
    #[command(flatten)]
    pulling: Pulling,
}

/// Carries it out.
///
/// # Errors
/// An image is neither in the store nor in a registry, or the lock file cannot
/// be written; it is as it was then.
pub fn run(global: &Global, args: &Args) -> Result<ExitCode> {
    let remote = args.pulling.remote(global, &args.files)?;
    let spec = files::load(&args.files, &args.editing, None, &remote)?;
    let store = Store::at(global.store.as_deref())?;
    let mut lock = Lock::new(args.pulling.lock_path(&args.files)?);
    for named in references(&spec) {
        let Source::Name(name) = named.value.parse()? else {
            continue;
        };
        if name.digest().is_none() {
            let found = digests(&store, &remote, &name, &args.arch);
            for one in found.with_context(|| named.place.to_string())? {
                lock.set(&name, one.arch, one.digest);
            }
        }
    }
    lock.write()?;
    say(&lock.path().display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// What a name means now: in the store, if that has all architectures, else in
/// a registry, where nothing is loaded; there in any case with --pull.
fn digests(
    store: &Store,
    remote: &Remote,
    name: &Reference,
    arches: &[Arch],
) -> Result<Vec<Pulled>> {
    let wanted = if arches.is_empty() {
        &Arch::ALL
    } else {
        arches
    };
    let is_all = |found: &[Pulled]| wanted.iter().all(|a| found.iter().any(|f| f.arch == *a));
    let mut found = stored(store, name)?;
    if let Some(client) = &remote.client
        && (remote.always || !is_all(&found))
    {
        match client.resolve(name) {
            Ok(resolved) => {
                found.retain(|one| resolved.manifests.iter().all(|new| new.arch != one.arch));
                found.extend(resolved.manifests);
            }
            // It was made here: no registry knows it.
            Err(error) if !found.is_empty() && error.is_unknown() => {}
            Err(error) => return Err(error.into()),
        }
    }
    found.retain(|one| wanted.contains(&one.arch));
    if found.is_empty() || (!arches.is_empty() && !is_all(&found)) {
        bail!(
            "image {:?} is not in the store for all of these architectures",
            name.familiar()
        );
    }
    Ok(found)
}

fn stored(store: &Store, name: &Reference) -> Result<Vec<Pulled>> {
    let mut found = Vec::new();
    for arch in Arch::ALL {
        let image = store.find(&name.familiar(), name, arch)?;
        if let Some(manifest) = image.and_then(|image| image.manifest) {
            let digest = manifest.digest;
            found.push(Pulled { arch, digest });
        }
    }
    Ok(found)
}
