//! PID 1's own environment, which its children begin with.

/// Sets `name` to `value`.
///
/// Only at the start of PID 1: `getenv` in another thread would race with it.
pub fn set(name: &str, value: &str) {
    // SAFETY: PID 1 has one thread, now and always.
    unsafe { std::env::set_var(name, value) };
}
