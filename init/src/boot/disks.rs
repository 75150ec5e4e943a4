//! The names of the disks that are there, before the first container asks for
//! one.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::Error;
use crate::disks::links::{self, Places};
use crate::sys::spawn::{self, Streams};
use crate::sys::{pidfd, wait};
use crate::uevent;

/// How long the disks have to show what is on them. One that takes longer has
/// its names later, or never.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the links below `/dev/disk`, in a process of its own: a disk that does
/// not answer must not keep PID 1.
///
/// # Errors
/// The process could not be started, or does not end.
pub(super) fn name() -> Result<(), Error> {
    if links::devices(&Places::default()).is_empty() {
        return Ok(());
    }
    let streams = Streams {
        stdin: None,
        stdout: None,
        stderr: None,
    };
    let args = [uevent::DISKS];
    let pid = spawn::spawn("/proc/self/exe", uevent::NAME, &args, streams)
        .map_err(Error::os("execute", uevent::NAME))?;
    let fd = pidfd::open(pid).map_err(Error::os("open", uevent::NAME))?;
    let deadline = Instant::now() + TIMEOUT;
    while wait::reap(Some(pid)).is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Bundle {
                object: "/dev/disk".to_owned(),
                reason: "a disk does not answer".to_owned(),
            });
        }
        let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        // Whatever ends it, we look again.
        let _looks_again = poll(
            &mut fds,
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
        );
    }
    Ok(())
}
