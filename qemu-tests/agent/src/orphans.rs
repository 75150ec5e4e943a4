//! A burst of orphans: processes whose parent ends before they do.

use std::io::{self, PipeReader, PipeWriter, Read};

use crate::sys::{self, Fork};

/// How many live at the same time.
const BATCH: usize = 500;

/// Leaves `count` orphans behind, batch by batch, and returns when the last of
/// them has ended; to reap them is their new parent's work.
///
/// A batch: a child forks the orphans, which wait at a pipe, and ends; so they
/// lose their parent while they live. Then the pipe is closed, and all of them
/// end at once. A second pipe, which each of them holds open, tells when.
pub(crate) fn leave(count: &str) -> io::Result<()> {
    let mut left: usize = count.parse().map_err(io::Error::other)?;
    while left > 0 {
        let batch = left.min(BATCH);
        leave_batch(batch)?;
        left -= batch;
    }
    Ok(())
}

fn leave_batch(count: usize) -> io::Result<()> {
    let (gate, open_gate) = io::pipe()?;
    let (mut all_ended, alive) = io::pipe()?;
    match sys::fork()? {
        Fork::Child => parent_of_orphans(count, gate, open_gate, &alive),
        Fork::Parent(child) => {
            sys::wait_for(child)?;
            drop(gate);
            drop(alive);
            drop(open_gate);
            // The end of this pipe is the end of the last orphan.
            all_ended.read_to_end(&mut Vec::new())?;
            Ok(())
        }
    }
}

/// Forks `count` orphans and ends without waiting for them.
fn parent_of_orphans(
    count: usize,
    mut gate: PipeReader,
    open_gate: PipeWriter,
    _alive: &PipeWriter,
) -> ! {
    // Only the first process may hold the gate shut.
    drop(open_gate);
    for _ in 0..count {
        match sys::fork() {
            Ok(Fork::Child) => {
                let ended = gate.read(&mut [0]);
                sys::exit(i32::from(ended.is_err()))
            }
            Ok(Fork::Parent(_)) => {}
            Err(_) => sys::exit(1),
        }
    }
    sys::exit(0)
}
