//! The emergency console: what remains to talk to when nothing is to be
//! started (`hullkit.emergency`), or nothing can be. Its words are those of
//! `hullctl`; it may look around in an image's root with that image's shell.
//!
//! It is a process of its own, on `/dev/console`, and is started again.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use hullkit_bundle::layout::{self, Section};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::{Error, hullctl};

/// The name that PID 1 starts it by.
pub const NAME: &str = "hullkit-console";

/// The word by which it calls itself, to be somewhere else.
const INSIDE: &str = "--inside";

const HELP: &str = "\
This machine was told to start nothing, or could not.

  list, status, logs, start NAME, poweroff, reboot, ...   as hullctl (help: --help)
  roots                the containers' roots that have a shell
  shell [NAME]         the shell of one, in its root
  exit                 begin anew
";

/// Runs the console on its standard input and output.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    if let [word, root] = args
        && word == INSIDE
    {
        return match inside(Path::new(root)) {
            Ok(never) => match never {},
            Err(error) => {
                say(&format!("{error}\n"));
                ExitCode::FAILURE
            }
        };
    }
    say(HELP);
    let mut lines = io::stdin().lock().lines();
    loop {
        say("hullkit# ");
        let Some(Ok(line)) = lines.next() else {
            return ExitCode::SUCCESS;
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["exit"] => return ExitCode::SUCCESS,
            ["help"] => say(HELP),
            ["roots"] => list_roots(),
            ["shell"] => shell(None),
            ["shell", name] => shell(Some(name)),
            words => {
                let words: Vec<OsString> = words.iter().map(OsString::from).collect();
                // It has said what is to be said.
                let _code = hullctl::main(&words);
            }
        }
    }
}

fn say(text: &str) {
    // Where there is no console there is nobody.
    let _unheard = io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush());
}

/// The roots with a `/bin/sh`, by their bundles' names.
fn roots() -> impl Iterator<Item = (String, PathBuf)> {
    Section::ALL.into_iter().flat_map(|section| {
        let dir = section.dir(Path::new("/"));
        let bundles = fs::read_dir(dir).into_iter().flatten().flatten();
        bundles.flat_map(|bundle| {
            let name = bundle.file_name().to_string_lossy().into_owned();
            // Where the root is an overlay that nobody has mounted, its lower
            // layer has the files.
            [layout::ROOTFS, layout::LOWER]
                .map(|root| (name.clone(), bundle.path().join(root)))
                .into_iter()
                .find(|(_, root)| root.join("bin/sh").symlink_metadata().is_ok())
        })
    })
}

fn list_roots() {
    for (name, root) in roots() {
        say(&format!("{name}  {}\n", root.display()));
    }
}

fn shell(name: Option<&str>) {
    let found = roots().find(|(bundle, _)| name.is_none_or(|name| name == bundle));
    let Some((bundle, root)) = found else {
        return say("no such root with a shell in it; try: roots\n");
    };
    say(&format!("{bundle}: exit to come back\n"));
    let status = Command::new("/proc/self/exe")
        .arg0(NAME)
        .arg(INSIDE)
        .arg(root)
        .status();
    if let Err(error) = status {
        say(&format!("execute {NAME}: {error}\n"));
    }
}

/// Becomes the shell in `root`, which sees the kernel's filesystems.
fn inside(root: &Path) -> Result<std::convert::Infallible, Error> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(Error::os("unshare", "mounts"))?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .map_err(Error::os("make slave", "/"))?;
    for name in ["proc", "sys", "dev", "run"] {
        let from = Path::new("/").join(name);
        let to = root.join(name);
        // A root without that folder does without.
        let _without = mount(
            Some(&from),
            &to,
            none,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            none,
        );
    }
    nix::unistd::chroot(root).map_err(Error::path("chroot", root))?;
    nix::unistd::chdir("/").map_err(Error::os("chdir", "/"))?;
    let error = Command::new("/bin/sh").arg("-i").exec();
    Err(Error::os("execute", "/bin/sh")(error))
}
