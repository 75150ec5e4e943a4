//! The program: see `runc_shim::cli`.

use std::process::exit;

fn main() {
    let arguments = std::env::args_os().skip(1).collect();
    exit(runc_shim::cli::main(arguments).0)
}
