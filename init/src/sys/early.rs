//! Before `main`: descriptors 0, 1 and 2 exist.
//!
//! Rust's runtime opens `/dev/null` for each of them that is closed, and
//! aborts where there is no `/dev/null`. That is the state of PID 1 on a
//! machine without a console, and of a helper that the kernel starts: neither
//! may die of it. The root folder, opened for reading, does as well; who has a
//! use for the descriptors puts something better there.

use libc::{c_char, c_int};

/// The C library calls it before `main`, on every architecture.
#[used]
// SAFETY: an entry of this section is called once, before `main`, with one
// thread, by that signature (ELF gABI, `DT_INIT_ARRAY`).
#[unsafe(link_section = ".init_array")]
static FILL: extern "C" fn() = fill_standard_descriptors;

extern "C" fn fill_standard_descriptors() {
    const ROOT: *const c_char = c"/".as_ptr();
    let is_open = |fd: c_int| {
        // SAFETY: F_GETFD takes no pointer and changes nothing.
        unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
    };
    for fd in 0..3 {
        if !is_open(fd) {
            // SAFETY: ROOT is a C string. The lowest free descriptor is `fd`,
            // because those below it are open.
            unsafe { libc::open(ROOT, libc::O_RDONLY) };
        }
    }
}
