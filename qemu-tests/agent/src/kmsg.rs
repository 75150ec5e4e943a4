//! Files in the kernel's log, which the harness reads off the console.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};

/// Writes what memory is used for, once pages that are free count as free.
///
/// A processor keeps freed pages in a list of its own, some MB, which
/// `MemAvailable` leaves out. The benchmark keeps that list short
/// (`vm.percpu_pagelist_high_fraction`); the kernel cuts it to its length when
/// the next pages come back.
pub(crate) fn tell_memory() -> io::Result<()> {
    drop(std::hint::black_box(vec![1_u8; 16 << 20]));
    tell("/proc/meminfo")
}

/// Writes the lines of the file at `path`, as `act: PATH: LINE`.
pub(crate) fn tell(path: &str) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    let mut log = OpenOptions::new().write(true).open("/dev/kmsg")?;
    for line in text.lines() {
        // A line of its own for each: one write is one record.
        log.write_all(format!("act: {path}: {line}\n").as_bytes())?;
    }
    Ok(())
}
