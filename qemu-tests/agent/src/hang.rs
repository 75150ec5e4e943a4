//! A process that the kernel cannot kill: it asks a filesystem of its own
//! (FUSE) that takes the question and never answers, and as it is the one who
//! should answer, it waits for ever.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use nix::mount::MsFlags;

/// `FUSE_INIT` of `linux/fuse.h`.
const INIT: u32 = 26;

/// Mounts it at `folder`, looks for a file in it, and does not come back.
pub(crate) fn forever(folder: &str) -> io::Result<()> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")?;
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0",
        device.as_raw_fd()
    );
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let kind = Some("fuse");
    nix::mount::mount(Some("hang"), folder, kind, flags, Some(options.as_str()))?;
    std::thread::spawn(move || listen(device));
    println!("hangs");
    fs::metadata(format!("{folder}/nothing")).map(drop)
}

/// Answers the first question, by which the kernel makes itself known, and
/// takes all others.
fn listen(mut device: File) {
    let mut question = [0; 64 * 1024];
    while let Ok(length) = device.read(&mut question) {
        let number = |at: usize| {
            let bytes = question.get(at..at + 4).and_then(|b| b.first_chunk());
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        if length < 48 || number(4) != INIT {
            continue;
        }
        // `struct fuse_out_header` with the question's number, and `struct
        // fuse_init_out`: the kernel's version, and nothing more.
        let mut answer = Vec::new();
        answer.extend(80_u32.to_le_bytes());
        answer.extend(0_u32.to_le_bytes());
        answer.extend(question.get(8..16).unwrap_or_default());
        answer.extend(number(40).to_le_bytes());
        answer.extend(number(44).to_le_bytes());
        answer.resize(80, 0);
        // `max_write`, which must not be nothing.
        answer.splice(36..40, 4096_u32.to_le_bytes());
        if device.write_all(&answer).is_err() {
            return;
        }
    }
}
