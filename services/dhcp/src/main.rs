//! `dhcp`: gets an address for each Ethernet card, or for the interfaces that
//! are named, and keeps it.
//!
//! ```yaml
//! onboot:
//!   - name: dhcp
//!     image: hullkit/dhcp
//!     command: ["/usr/bin/dhcp", "--one-shot"]   # until the first lease
//! services:
//!   - name: dhcp                                 # takes it over, renews it
//!     image: hullkit/dhcp
//! ```
//!
//! Exit codes: 0 a one-shot has a lease; 1 there is none, or the kernel refused
//! something; 2 usage.

use std::process::ExitCode;

use hullkit_dhcp::options::Options;
use hullkit_dhcp::{Error, run};

fn main() -> ExitCode {
    let ended = Options::parse(std::env::args().skip(1)).and_then(|options| run::run(&options));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dhcp: {error}");
            ExitCode::from(if matches!(error, Error::Usage(_)) {
                2
            } else {
                1
            })
        }
    }
}
