use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::*;

const SEED: [u8; 32] = [9; 32];

/// A disk of 9 MiB with these bytes, each at its place.
fn disk(spots: &[(u64, u8)]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len(9 << 20).unwrap();
    for (at, byte) in spots {
        file.as_file().write_all_at(&[*byte], *at).unwrap();
    }
    file
}

fn qemu_img(args: &[&str], files: &[&Path]) -> String {
    let output = Command::new("qemu-img")
        .args(args)
        .args(files)
        .output()
        .expect("qemu-img (build/deps.sh test installs it)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "qemu-img {args:?}: {text}{errors}");
    text
}

/// QEMU reads back, in the form `format`, the disk that `write` wrote.
fn check(raw: &NamedTempFile, format: &str, write: impl FnOnce(Raw<'_>, &File) -> io::Result<()>) {
    let out = NamedTempFile::new().unwrap();
    let size = raw.as_file().metadata().unwrap().len();
    let file = raw.as_file();
    write(Raw { file, size }, out.as_file()).unwrap();
    qemu_img(
        &["compare", "-f", "raw", "-F", format],
        &[raw.path(), out.path()],
    );
    if ["qcow2", "vmdk"].contains(&format) {
        qemu_img(&["check", "-f", format], &[out.path()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn qemu_reads_every_form(
        spots in prop::collection::vec((0..9_u64 << 20, 1..=255_u8), 0..12),
    ) {
        let raw = disk(&spots);
        check(&raw, "qcow2", qcow2::write);
        check(&raw, "vpc", |raw, out| vhd::write(raw, vhd::Kind::Fixed, &SEED, out));
        check(&raw, "vpc", |raw, out| vhd::write(raw, vhd::Kind::Dynamic, &SEED, out));
        check(&raw, "vmdk", |raw, out| vmdk::write(raw, "disk.vmdk", &SEED, out));
    }

    #[test]
    fn gnu_tar_unpacks_googles(
        spots in prop::collection::vec((0..9_u64 << 20, 1..=255_u8), 0..60),
    ) {
        let raw = disk(&spots);
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("disk.tar.gz");
        let size = 9 << 20;
        let file = raw.as_file();
        gcp::write(Raw { file, size }, &File::create(&out).unwrap()).unwrap();
        let status = Command::new("tar")
            .arg("-xzf")
            .arg(&out)
            .arg("-C")
            .arg(dir.path())
            .status()
            .unwrap();
        prop_assert!(status.success());
        let unpacked = File::open(dir.path().join("disk.raw")).unwrap();
        prop_assert_eq!(unpacked.metadata().unwrap().len(), 1 << 30);
        let mut found = vec![0; 9 << 20];
        unpacked.read_exact_at(&mut found, 0).unwrap();
        prop_assert!(found == std::fs::read(raw.path()).unwrap());
    }
}
