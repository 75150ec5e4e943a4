//! PID 1's own environment, which its children begin with.

/// Sets `name` to `value`.
///
/// Only at the start of PID 1: `getenv` in another thread would race with it.
pub fn set(name: &str, value: &str) {
    // SAFETY: there is no other thread yet; PID 1's only one is made at the
    // machine's end (`shutdown`), and asks for no variable.
    unsafe { std::env::set_var(name, value) };
}
