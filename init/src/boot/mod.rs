//! What the kernel leaves to PID 1: mounts, modules, settings (design 3.1,
//! steps 1 to 4).

/// What the boot left behind for the rest.
#[derive(Debug, Default)]
pub struct Booted {
    /// What went wrong and did not stop it, a line each.
    pub problems: Vec<String>,
}

/// Makes the machine usable.
#[must_use]
pub fn run() -> Booted {
    Booted::default()
}
