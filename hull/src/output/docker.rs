//! The system as an image for Docker and its kin, in the form that `docker
//! load` takes (`docker run --privileged` starts `/init` in it).

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use serde_json::json;

use super::Error;
use super::kit::Kit;
use crate::digest::Hashing;
use crate::layer::write_tar;
use crate::tree::{Content, Meta, Node, Tree};

/// Writes it; `name` is the image's.
pub(super) fn write(kit: &Kit<'_>, name: &str, out: &mut dyn Write) -> Result<(), Error> {
    let spool = kit.spool()?;
    let archive = || -> io::Result<Tree> {
        let mut hashing = Hashing::new(BufWriter::with_capacity(256 * 1024, &spool));
        write_tar(&kit.system.tree, &mut hashing)?;
        hashing.flush()?;
        let (digest, len, _) = hashing.finish();
        let layer = Content::Range {
            file: Arc::new(spool.try_clone()?),
            offset: 0,
            len,
        };
        let config = json!({
            "architecture": kit.arch.oci(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": ["/init"],
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=docker"],
                // What /init takes for "power off".
                "StopSignal": "SIGUSR2",
            },
            "rootfs": {"type": "layers", "diff_ids": [digest.to_string()]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "hull build"}],
        });
        let manifest = json!([{
            "Config": "config.json",
            "RepoTags": [format!("{}:latest", repository(name))],
            "Layers": ["layer.tar"],
        }]);
        let mut tree = Tree::new();
        for (path, content) in [
            ("config.json", Content::from(config.to_string().as_str())),
            ("layer.tar", layer),
            (
                "manifest.json",
                Content::from(manifest.to_string().as_str()),
            ),
        ] {
            tree.add(path, Node::file(Meta::root(0o644), content))
                .map_err(io::Error::other)?;
        }
        Ok(tree)
    };
    archive()
        .and_then(|tree| write_tar(&tree, out))
        .and_then(|()| out.flush())
        .map_err(Error::Parts)
}

/// `name` with what a repository's may hold.
fn repository(name: &str) -> String {
    let allowed = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    };
    let name: String = name.chars().map(allowed).collect();
    match name.trim_matches('-') {
        "" => "system".to_owned(),
        name => name.to_owned(),
    }
}
