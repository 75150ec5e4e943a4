//! The options of all commands that may talk to a registry.

use clap::ArgAction;
use clap::builder::FalseyValueParser;

use super::{Global, validate};
use crate::registry::{Client, Mirror, Options, Progress};
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

/// What is done about images that are not in the store.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Registries")]
pub struct Pulling {
    #[command(flatten)]
    access: Access,
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
    /// What a finder does by them.
    pub(super) fn remote(&self, global: &Global) -> Remote {
        if self.docker {
            validate::note([
                "--docker: hull asks no Docker daemon; `docker save` an image and name it as \
                 docker-archive:FILE",
            ]);
        }
        Remote {
            client: (!self.offline).then(|| self.access.client(global)),
            always: self.pull,
        }
    }
}
