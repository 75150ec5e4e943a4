//! The options of all commands that may talk to a registry.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ArgAction;
use clap::builder::FalseyValueParser;

use super::files::is_url;
use super::{Global, validate};
use crate::lock::Lock;
use crate::registry::{Client, Mirror, Options, Progress};
use crate::signature::Policy;
use crate::source::Remote;

/// How registries are talked to.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Registries")]
pub struct Access {
    /// A registry without TLS, or whose certificate is not checked; those of
    /// this machine (localhost, 127.0.0.0/8) are taken so unasked
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        env = "HULL_INSECURE_REGISTRY"
    )]
    insecure_registry: Vec<String>,
    /// Asked before the registry (before every registry without REGISTRY=)
    #[arg(
        long,
        value_name = "[REGISTRY=]HOST[:PORT]",
        value_delimiter = ',',
        env = "HULL_MIRROR"
    )]
    mirror: Vec<Mirror>,
}

impl Access {
    /// A client that keeps to them.
    pub(super) fn client(&self, global: &Global) -> Client {
        Client::new(Options {
            insecure: self.insecure_registry.clone(),
            mirrors: self.mirror.clone(),
            progress: Progress::on_terminal(global.quiet),
            ..Options::default()
        })
    }
}

/// Which images are taken.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Registries")]
pub struct Trust {
    /// Says which images have to be signed, and by whom: a file in the form of
    /// containers-policy.json [default: policy.json in $XDG_CONFIG_HOME/hull or
    /// ~/.config/hull, if it is there]
    #[arg(long, value_name = "FILE", env = "HULL_POLICY")]
    policy: Option<PathBuf>,
}

impl Trust {
    /// The policy, if there is one.
    pub(super) fn policy(&self) -> Result<Option<Policy>> {
        let usual = || {
            let from =
                |name| Some(PathBuf::from(std::env::var_os(name)?)).filter(|p| p.is_absolute());
            let config = from("XDG_CONFIG_HOME").or_else(|| Some(from("HOME")?.join(".config")))?;
            Some(config.join("hull/policy.json")).filter(|path| path.exists())
        };
        let path = self.policy.clone().or_else(usual);
        Ok(path.map(|path| Policy::read(&path)).transpose()?)
    }
}

/// What is done about images that are not in the store.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Registries")]
pub struct Pulling {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    trust: Trust,
    /// Takes the images that the lock file names, and no others
    #[arg(long)]
    locked: bool,
    /// The lock file [default: the first file's name with the suffix .lock]
    #[arg(long, value_name = "FILE")]
    lock_file: Option<PathBuf>,
    /// Asks the registry for every image, also for those in the store
    #[arg(long)]
    pull: bool,
    /// Asks no registry: what is not in the store is missing
    #[arg(
        long,
        env = "HULL_OFFLINE",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
        conflicts_with = "pull"
    )]
    offline: bool,
    /// Taken for LinuxKit's sake: hull asks no Docker daemon (docker save, and
    /// docker-archive:FILE, bring an image from there)
    #[arg(long)]
    docker: bool,
}

impl Pulling {
    /// What a finder does by them, for these YAML files.
    pub(super) fn remote(&self, global: &Global, files: &[PathBuf]) -> Result<Remote> {
        if self.docker {
            validate::note([
                "--docker: hull asks no Docker daemon; `docker save` an image and name it as \
                 docker-archive:FILE",
            ]);
        }
        let lock = match self.locked {
            true => Some(Lock::read(&self.lock_path(files)?)?),
            false => None,
        };
        Ok(Remote {
            client: (!self.offline).then(|| self.access.client(global)),
            always: self.pull,
            lock,
            policy: self.trust.policy()?,
        })
    }

    /// Where the lock file of these YAML files lies.
    pub(super) fn lock_path(&self, files: &[PathBuf]) -> Result<PathBuf> {
        match (&self.lock_file, files.first()) {
            (Some(path), _) => Ok(path.clone()),
            (None, Some(file)) if file != Path::new("-") && !is_url(file) => Ok(Lock::beside(file)),
            (None, _) => bail!("--lock-file FILE is wanted: there is no file to lie beside"),
        }
    }
}
