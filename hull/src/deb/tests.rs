use std::io::{Cursor, Write};

use super::ar::AR_MAGIC;
use super::*;

const CONTROL: &str = "Package: tool\nVersion: 1:2.0-3~deb12u1\nArchitecture: amd64\n\
    Depends: libc6 (>= 2.36), other | another\nDescription: short\n long text\n .\n more\n";

/// An `ar` archive of these members.
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = AR_MAGIC.to_vec();
    for (name, bytes) in members {
        let header = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            0,
            0,
            0,
            100_644,
            bytes.len()
        );
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

fn file(builder: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o100_755);
    header.set_mtime(7);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, path, bytes).unwrap();
}

/// A header whose name is not checked, as a hostile package has it.
fn raw_name(builder: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &[u8], link: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
    header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    builder.append(&header, &[][..]).unwrap();
}

fn control_tar(control: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    raw_name(&mut builder, tar::EntryType::Directory, b"./", b"");
    file(&mut builder, "md5sums", b"");
    file(&mut builder, "control", control.as_bytes());
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A package of this `data.tar`, neither part compressed.
fn deb(data: &[u8]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control_tar(CONTROL)),
        ("data.tar", data),
    ])
}

fn open(bytes: Vec<u8>) -> Result<Package, Error> {
    Package::from_reader(Path::new("x.deb"), Cursor::new(bytes))
}

/// The entries up to the end or the first error.
fn list(bytes: Vec<u8>) -> Result<Vec<(PathBuf, Kind, Vec<u8>)>, Error> {
    let mut package = open(bytes)?;
    let entries = package.entries()?;
    entries
        .map(|entry| {
            let mut entry = entry?;
            let bytes = entry.contents(1 << 20)?;
            Ok((entry.path.clone(), entry.kind.clone(), bytes))
        })
        .collect()
}

fn sample_data() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    raw_name(&mut builder, tar::EntryType::Directory, b"./", b"");
    raw_name(&mut builder, tar::EntryType::Directory, b"./usr/", b"");
    file(&mut builder, "usr/tool", b"contents");
    raw_name(
        &mut builder,
        tar::EntryType::Symlink,
        b"./usr/link",
        b"../etc/tool",
    );
    raw_name(
        &mut builder,
        tar::EntryType::Link,
        b"./usr/hard",
        b"./usr/tool",
    );
    file(
        &mut builder,
        &format!("usr/{}", "long/".repeat(60)),
        b"deep",
    );
    builder.into_inner().unwrap()
}

fn assert_sample(entries: &[(PathBuf, Kind, Vec<u8>)]) {
    let deep = format!("usr/{}", "long/".repeat(60));
    let expected = [
        ("usr", Kind::Dir, ""),
        ("usr/tool", Kind::File, "contents"),
        ("usr/link", Kind::Symlink("../etc/tool".into()), ""),
        ("usr/hard", Kind::HardLink("usr/tool".into()), ""),
        (deep.trim_end_matches('/'), Kind::File, "deep"),
    ];
    assert_eq!(entries.len(), expected.len());
    for (entry, (path, kind, bytes)) in entries.iter().zip(expected) {
        assert_eq!(entry, &(path.into(), kind, bytes.as_bytes().to_vec()));
    }
}

#[test]
fn reads_control_and_data() {
    let bytes = deb(&sample_data());
    let package = open(bytes.clone()).unwrap();
    let control = package.control();
    assert_eq!(control.package, "tool");
    assert_eq!(control.version, "1:2.0-3~deb12u1");
    assert_eq!(control.architecture, "amd64");
    assert_eq!(
        control.get("depends"),
        Some("libc6 (>= 2.36), other | another")
    );
    assert_eq!(
        control.get("Description"),
        Some("short\nlong text\n.\nmore")
    );
    assert_eq!(control.get("Provides"), None);
    assert_sample(&list(bytes).unwrap());
}

#[test]
fn each_compression() {
    let (control, data) = (control_tar(CONTROL), sample_data());
    let xz = |bytes: &[u8]| {
        let mut encoder =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::default()).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zst = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    for (suffix, pack) in [
        (".gz", &gzip as &dyn Fn(&[u8]) -> Vec<u8>),
        (".xz", &xz),
        (".zst", &zst),
    ] {
        let bytes = ar(&[
            ("debian-binary", b"2.0\n"),
            ("_skipped", b"x"),
            (&format!("control.tar{suffix}"), &pack(&control)),
            (&format!("data.tar{suffix}/"), &pack(&data)),
        ]);
        assert_sample(&list(bytes).unwrap());
    }
}

/// The message of the error that reading all of `bytes` ends in.
fn message(bytes: Vec<u8>) -> String {
    list(bytes).unwrap_err().to_string()
}

#[test]
fn not_a_package() {
    let control = control_tar(CONTROL);
    let cases: &[(Vec<u8>, &str)] = &[
        (Vec::new(), "it is no ar archive"),
        (b"#!/bin/sh\n".to_vec(), "it is no ar archive"),
        (ar(&[]), "control.tar or data.tar is missing"),
        (
            ar(&[("control.tar", &control)]),
            "`control.tar` stands where debian-binary should",
        ),
        (ar(&[("debian-binary", b"3.0\n")]), "format 3.0"),
        (
            ar(&[("debian-binary", b"2.0\n"), ("data.tar", b"")]),
            "`data.tar` stands where control.tar",
        ),
        (
            ar(&[
                ("debian-binary", b"2.0\n"),
                ("control.tar", &control),
                ("data.tar.bz2", b""),
            ]),
            "data.tar.bz2: compression other than gz, xz and zst",
        ),
        (
            ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control)]),
            "is missing",
        ),
    ];
    for (bytes, expected) in cases {
        let message = message(bytes.clone());
        assert!(
            message.starts_with("x.deb: not a Debian package: "),
            "{message}"
        );
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn cut_short_anywhere_is_an_error() {
    let whole = deb(&sample_data());
    // The last two blocks of a tar archive are zeros whose lack is no loss.
    for length in 0..whole.len() - 1024 {
        assert!(
            list(whole[..length].to_vec()).is_err(),
            "{length} of {}",
            whole.len()
        );
    }
}

#[test]
fn control_errors_name_the_line() {
    let cases = [
        ("Package: a\nVersion: 1\n", "`Architecture` is missing"),
        (
            "Package: a b\nVersion: 1\nArchitecture: all\n",
            "`Package` is missing, empty or not one",
        ),
        (" x\n", "line 1 continues no field"),
        ("Package: a\nVersion\n", "line 2 is not `Field: value`"),
        ("Package: a\npackage: b\n", "line 2 has `package` again"),
    ];
    for (control, expected) in cases {
        let bytes = ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control_tar(control)),
            ("data.tar", b""),
        ]);
        let message = message(bytes);
        assert!(message.starts_with("x.deb: control: "), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn hostile_entries() {
    use tar::EntryType as T;
    let cases: &[(T, &[u8], &[u8], &str)] = &[
        (T::Regular, b"../outside", b"", "a path with `..`"),
        (T::Regular, b"/etc/passwd", b"", "an absolute path"),
        (T::Link, b"./hard", b"/etc/shadow", "an absolute path"),
        (T::Link, b"./hard", b"a/../../b", "a path with `..`"),
        (T::Symlink, b"./link", b"", "a link without a valid target"),
        (T::Symlink, b"./", b"x", "the root is not a folder"),
        (
            T::GNUSparse,
            b"./sparse",
            b"",
            "type 'S' is not one that dpkg knows",
        ),
        (
            T::XHeader,
            b"./pax",
            b"",
            "type 'x' is not one that dpkg knows",
        ),
    ];
    for (kind, name, link, expected) in cases {
        let mut builder = tar::Builder::new(Vec::new());
        raw_name(&mut builder, *kind, name, link);
        let message = message(deb(&builder.into_inner().unwrap()));
        assert!(message.starts_with("x.deb: entry `"), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn long_names_have_a_bound() {
    let mut builder = tar::Builder::new(Vec::new());
    file(&mut builder, &"long/".repeat(2000), b"");
    let message = message(deb(&builder.into_inner().unwrap()));
    assert!(message.contains("longer than 4096 bytes"), "{message}");
}

#[test]
fn contents_have_a_bound() {
    let mut package = open(deb(&sample_data())).unwrap();
    let mut entry = package.entries().unwrap().nth(1).unwrap().unwrap();
    let message = entry.contents(7).unwrap_err().to_string();
    assert_eq!(
        message,
        "x.deb: entry `usr/tool`: 8 bytes, at most 7 are accepted"
    );
}

#[test]
fn a_claimed_xz_dictionary_is_not_allocated() {
    // Dictionary size byte 40 stands for 4 GiB - 1.
    let mut options = lzma_rust2::XzOptions::default();
    options.lzma_options.dict_size = 256 << 20;
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(&sample_data()).unwrap();
    let data = encoder.finish().unwrap();
    let bytes = ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control_tar(CONTROL)),
        ("data.tar.xz", &data),
    ]);
    let message = message(bytes);
    assert!(message.contains("mem_limit"), "{message}");
}

#[test]
fn an_unpacked_size_has_a_bound() {
    let mut bounded = Bounded::new(&b"12345678"[..], 7);
    let error = std::io::copy(&mut bounded, &mut std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(
        io::copy(&mut Bounded::new(&b"1234567"[..], 7), &mut io::sink()).unwrap(),
        7
    );
}

proptest::proptest! {
    /// Whatever bytes come, reading ends without a panic.
    #[test]
    fn any_change_of_a_byte_is_survived(at in 0usize..4096, byte: u8) {
        let mut bytes = deb(&sample_data());
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = list(bytes);
    }
}
