//! The YAML files of a command: where they come from, and what is changed in
//! them.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::pkg;
use crate::source::Remote;
use crate::spec::{self, Security, Set, Spec};

/// A file of YAML is not longer, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// What is changed in the files.
#[derive(Clone, Debug, clap::Args)]
pub struct Editing {
    /// Puts a value into the YAML before it is read: kernel.cmdline=quiet,
    /// services.web.env=[A=1], 'services[0].sysctl."a.b"="1"'
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Set>,
}

/// Whether the file is one of the web.
pub(super) fn is_url(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.starts_with("http://") || text.starts_with("https://")
}

/// Reads YAML files as one, with `security` in the place of their word.
///
/// # Errors
/// A file cannot be had, or all that is wrong with them, a line each.
pub(super) fn load(
    files: &[PathBuf],
    editing: &Editing,
    security: Option<Security>,
    remote: &Remote,
) -> Result<Spec> {
    let read = |path: &PathBuf| read(path, remote);
    let texts: Vec<(String, Vec<u8>)> = files.iter().map(read).collect::<Result<_>>()?;
    let sources: Vec<_> = texts
        .iter()
        .map(|(name, text)| spec::Source { name, text })
        .collect();
    let template = |number: usize, text: &str| match files.get(number) {
        Some(file) if is_url(file) => {
            Err("a file of the web names no package folder of this machine".to_owned())
        }
        // What is set on the command line is relative to where we are.
        file => template(file.map_or(Path::new("-"), PathBuf::as_path), text),
    };
    let options = spec::Options {
        security,
        sets: &editing.set,
        template: Some(&template),
    };
    Ok(spec::parse_with(&sources, &options)?)
}

/// A file's name, for errors, and its text. `-` is standard input.
fn read(path: &Path, remote: &Remote) -> Result<(String, Vec<u8>)> {
    let name = path.display().to_string();
    if is_url(path) {
        let Some(client) = &remote.client else {
            bail!("{name}: nothing is fetched with --offline");
        };
        let text = client.fetch(&name)?;
        return Ok((name, text));
    }
    let mut text = Vec::new();
    let mut take = |from: &mut dyn Read| from.take(MAX_BYTES + 1).read_to_end(&mut text);
    let read = match name.as_str() {
        "-" => take(&mut std::io::stdin().lock()),
        _ => std::fs::File::open(path).and_then(|mut file| take(&mut file)),
    };
    match read {
        Ok(_) => Ok((name, text)),
        Err(e) if e.kind() == std::io::ErrorKind::IsADirectory => bail!(
            "{name}: is a folder; a YAML file is wanted (a package folder is built by `hull pkg \
             build {name}`)"
        ),
        Err(e) => Err(e).with_context(|| name),
    }
}

/// The image that `@pkg:DIR` in `file` stands for: what the package folder
/// DIR, beside the file, makes.
fn template(file: &Path, text: &str) -> Result<String, String> {
    let Some(dir) = text.strip_prefix("@pkg:") else {
        return Err(format!(
            "found {text:?}, allowed: an image, or @pkg:DIR with a package folder"
        ));
    };
    let beside = file.parent().filter(|_| file != Path::new("-"));
    let dir = beside.unwrap_or(Path::new("")).join(dir);
    let name = pkg::image_of(&dir).map_err(|e| format!("{text}: {e:#}"))?;
    Ok(name.familiar())
}
