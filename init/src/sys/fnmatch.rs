//! The C library's `fnmatch(3)`: another opinion for our tests.

use std::ffi::CString;

/// Whether `pattern` matches `text`, without flags.
///
/// # Panics
/// One of them holds a NUL.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern = CString::new(pattern).expect("no NUL");
    let text = CString::new(text).expect("no NUL");
    // SAFETY: both are C strings that live through the call.
    unsafe { libc::fnmatch(pattern.as_ptr(), text.as_ptr(), 0) == 0 }
}
