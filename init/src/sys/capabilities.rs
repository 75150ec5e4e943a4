//! A process's capabilities, [`capabilities(7)`], as sets of bits.
//!
//! [`capabilities(7)`]: https://man7.org/linux/man-pages/man7/capabilities.7.html

use std::io;

/// The three sets of [`capset(2)`](https://man7.org/linux/man-pages/man2/capset.2.html).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// In force.
    pub effective: u64,
    /// May be put in force.
    pub permitted: u64,
    /// Kept by an exec, where the program's file says so.
    pub inheritable: u64,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words of 32 bits a set.
const VERSION: u32 = 0x2008_0522;

/// Sets all three.
///
/// # Errors
/// The kernel's: they are not ours to have.
pub fn set(sets: Sets) -> io::Result<()> {
    // Version, and 0: this process.
    let header: [u32; 2] = [VERSION, 0];
    let low = |set: u64| u32::try_from(set & 0xffff_ffff).unwrap_or_default();
    let high = |set: u64| u32::try_from(set >> 32).unwrap_or_default();
    let Sets {
        effective: e,
        permitted: p,
        inheritable: i,
    } = sets;
    let data: [u32; 6] = [low(e), low(p), low(i), high(e), high(p), high(i)];
    // SAFETY: both have the layout of the kernel's structures, and live on.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    check(done)
}

/// Takes all out of the bounding set that are not in `set`.
///
/// # Errors
/// The kernel's.
pub fn limit(set: u64) -> io::Result<()> {
    for capability in (0..64).filter(|bit| set & (1 << bit) == 0) {
        match prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            // The kernel knows no further one.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            done => done?,
        }
    }
    Ok(())
}

/// Puts those of `set` into the ambient set, which is empty.
///
/// # Errors
/// The kernel's.
pub fn raise_ambient(set: u64) -> io::Result<()> {
    for capability in (0..64).filter(|bit| set & (1 << bit) != 0) {
        let raise = u64::from(libc::PR_CAP_AMBIENT_RAISE.unsigned_abs());
        prctl(libc::PR_CAP_AMBIENT, raise, capability)?;
    }
    Ok(())
}

fn prctl(option: i32, first: u64, second: u64) -> io::Result<()> {
    // SAFETY: these options take numbers only.
    let done = unsafe { libc::syscall(libc::SYS_prctl, option, first, second, 0, 0) };
    check(done)
}

fn check(done: libc::c_long) -> io::Result<()> {
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
