//! Where the things lie that the tests use: what `make build` and
//! `make images` have left in `out/`.

use std::path::{Path, PathBuf};

use hull::arch::Arch;

/// `$HULLKIT_OUT`, else `out/` of this checkout.
#[must_use]
pub fn out() -> PathBuf {
    std::env::var_os("HULLKIT_OUT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../out"),
        PathBuf::from,
    )
}

/// The builder.
#[must_use]
pub fn hull() -> PathBuf {
    out().join("bin/hull")
}

/// The image store.
#[must_use]
pub fn store() -> PathBuf {
    out().join("store")
}

/// The guest's programs, a folder per architecture.
#[must_use]
pub fn guest() -> PathBuf {
    out().join("guest")
}

/// A program of the guest.
#[must_use]
pub fn program(arch: Arch, name: &str) -> PathBuf {
    guest().join(arch.uname()).join(name)
}

/// The examples of this checkout.
#[must_use]
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Where a test's files are while it runs, and stay when it failed.
#[must_use]
pub fn case_dir(test: &str) -> PathBuf {
    out().join("qemu-tests").join(test.replace("::", "-"))
}
