//! `logforward`: the logs of containers to a server.
//!
//! ```yaml
//! services:
//!   - name: logforward
//!     image: hullkit/logforward
//!     command: [/usr/bin/logforward, --ca, /etc/logs.pem, "syslog+tls://logs.example"]
//!     binds.add: ["/etc/logs.pem:/etc/logs.pem:ro"]
//! ```

use std::process::ExitCode;

use hullkit_logforward::config::Config;
use hullkit_logforward::{Error, run};

fn main() -> ExitCode {
    hullkit_logforward::end_when_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = Config::read(&args).and_then(|config| run::forever(&config));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("logforward: {error}");
            match error {
                Error::Usage(_) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
