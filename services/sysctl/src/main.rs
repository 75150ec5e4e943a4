//! `sysctl`: sets the kernel parameters that its image's `/etc/sysctl.d/*.conf`
//! and `/etc/sysctl.conf` ask for, once, and says which it could not set.
//!
//! ```yaml
//! onboot:
//!   - name: sysctl
//!     image: hullkit/sysctl
//!     binds:            # settings of one's own, beside the image's defaults
//!       - /etc/sysctl.d/50-mine.conf:/etc/sysctl.d/50-mine.conf:ro
//! ```
//!
//! Exit codes: 0 all set; 1 something was not, the rest is; 2 usage.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(argument) = std::env::args_os().nth(1) {
        eprintln!(
            "sysctl: unknown argument {argument:?}: it takes none, and reads /etc/sysctl.d/*.conf and /etc/sysctl.conf"
        );
        return ExitCode::from(2);
    }
    let problems = hullkit_sysctl::apply(Path::new("/etc"), Path::new("/proc/sys"));
    for problem in &problems {
        eprintln!("sysctl: {problem}");
    }
    if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
