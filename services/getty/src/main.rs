//! `getty`: a shell, or a login, on each console of the machine.
//!
//! ```yaml
//! services:
//!   - name: getty
//!     image: hullkit/getty
//!     env: ["INSECURE=true"]   # a root shell without a password
//! ```
//!
//! Without `INSECURE=true` it runs `login`, which asks for a user of the
//! container's `/etc/passwd` and `/etc/shadow` (bind one's own over them; root
//! is locked in the image).
//!
//! `getty` serves all consoles; `getty --on TTY` is one session on one of
//! them, which it starts for each, again and again.

use std::ffi::OsString;
use std::process::ExitCode;

use hullkit_getty::{Login, Session, console, serve};

const USAGE: &str = "usage: getty [--on TTY]";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let login = Login::from_env(std::env::var_os("INSECURE").as_deref());
    let failure = match args.as_slice() {
        [] => serve::all(&console::active()),
        [on, tty] if on == "--on" => Session::new(tty, login).run(),
        _ => {
            eprintln!("getty: {USAGE}");
            return ExitCode::from(2);
        }
    };
    eprintln!("getty: {failure}");
    ExitCode::FAILURE
}
