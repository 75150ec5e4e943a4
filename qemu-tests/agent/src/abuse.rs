//! What a container, or a client, does that means no good.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use crate::sys::{self, Fork};

/// Forks until there is no room for a further process, and again for ever.
pub(crate) fn fork_bomb() -> io::Result<()> {
    loop {
        match sys::fork() {
            Ok(Fork::Child) | Err(_) => {}
            Ok(Fork::Parent(_)) => std::thread::yield_now(),
        }
    }
}

/// Uses the processor for ever.
pub(crate) fn hog() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// Writes lines for ever, as fast as they are taken.
pub(crate) fn flood() -> io::Result<()> {
    let line = [b'x'; 199];
    let mut out = io::stdout().lock();
    loop {
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
}

/// Fills the filesystem of `path`, with a file there.
pub(crate) fn fill(path: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    let block = vec![0; 1 << 16];
    let mut size = block.len();
    loop {
        match file.write(block.get(..size).unwrap_or_default()) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::StorageFull && size > 1 => size /= 2,
            Err(e) if e.kind() == io::ErrorKind::StorageFull => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// Kills processes at random, `count` in all: none of the kernel's, not the
/// first one, not this one.
pub(crate) fn massacre(count: u64) -> io::Result<()> {
    let mut random: u64 = 0x5eed;
    let mut killed = 0;
    while killed < count {
        // Knuth's constants for a linear congruential generator.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let victims = victims()?;
        let index = usize::try_from(random >> 33).unwrap_or(0) % victims.len().max(1);
        let Some(victim) = victims.get(index) else {
            std::thread::yield_now();
            continue;
        };
        if sys::kill(*victim, 9).is_ok() {
            killed += 1;
        }
    }
    Ok(())
}

fn victims() -> io::Result<Vec<i32>> {
    let ourselves = i32::try_from(std::process::id()).unwrap_or(0);
    let pids = fs::read_dir("/proc")?.filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        // The kernel's own have no program.
        let program = fs::read_link(format!("/proc/{pid}/exe")).is_ok();
        (pid > 1 && pid != ourselves && program).then_some(pid)
    });
    Ok(pids.collect())
}

/// A hundred clients of the socket at `path` that say nothing, say too much, or
/// ask and do not listen; then waits for ever with what it has got.
pub(crate) fn pester(path: &str) -> io::Result<()> {
    let mut kept = Vec::new();
    let request = b"{\"version\":1,\"op\":\"status\"}\n".repeat(300);
    for n in 0..100 {
        let mut stream = UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        let _refused = match n % 3 {
            0 => Ok(()),
            1 => stream.write_all(&vec![b'x'; 1 << 20]),
            _ => stream.write_all(&request),
        };
        kept.push(stream);
    }
    println!("pestering");
    loop {
        // Those that are turned away come again.
        for stream in &mut kept {
            if stream.read(&mut [0; 1]).is_ok_and(|count| count == 0) {
                *stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
            }
            let _full = stream.write(&request);
        }
        std::thread::yield_now();
    }
}
