//! `hull build` as people run it: the real program, real files.

#![allow(missing_docs, reason = "a test")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with all that a build needs, and nothing of this machine's.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self::of(TempDir::new().unwrap(), inputs())
    }

    /// The same, each file made before the one that it is made behind else;
    /// in `dir`, if it is there.
    fn backwards(dir: &Path) -> Self {
        let mut inputs = inputs();
        inputs.reverse();
        let there = TempDir::new_in(dir).or_else(|_| TempDir::new());
        Self::of(there.unwrap(), inputs)
    }

    fn of(dir: TempDir, inputs: Vec<(String, Vec<u8>)>) -> Self {
        let bench = Self(dir);
        for (path, bytes) in inputs {
            bench.write(&path, bytes);
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn hull(&self) -> Command {
        self.hull_by(env!("CARGO_BIN_EXE_hull"))
    }

    /// A program that runs hull, or hull.
    fn hull_by(&self, program: &str) -> Command {
        let mut hull = Command::new(program);
        hull.current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HULL_STORE", self.path("store"))
            .env("HULL_GUEST", self.path("guest"))
            .env("HULL_OFFLINE", "1");
        hull
    }

    fn run(&self, args: &[&str]) -> Output {
        self.hull().args(args).output().unwrap()
    }

    /// Runs it and expects success; returns its standard output.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it and expects exit code 1 and one line, which is returned.
    fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        errors
    }
}

/// All files of a bench.
fn inputs() -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<(String, Vec<u8>)> = [
        ("guest/x86_64/init", "the init"),
        ("guest/x86_64/runc-shim", "the runtime"),
        ("guest/aarch64/init", "the other init"),
        ("guest/aarch64/runc-shim", "the other runtime"),
        ("web/bin/httpd", "a web server"),
        ("web/etc/httpd.conf", "its settings"),
        ("kernel/kernel", "the kernel"),
        ("kernel/early.cpio", "microcode"),
        ("web.yml", WEB),
    ]
    .map(|(path, text)| (path.to_owned(), text.into()))
    .into();
    inputs.push(("guest/x86_64/bios-loader.o".to_owned(), loader_object()));
    let efi = "stub/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
    inputs.push((efi.to_owned(), stub()));
    // Enough to be compressed as a part of its own, in an order to be lost.
    for n in 0..12_u8 {
        let name = format!("web/usr/share/page{}", n * 5 % 12);
        inputs.push((name, vec![n; 90_000]));
    }
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    tar.append_data(&mut header, "lib/modules/6/virtio.ko", &b"elf"[..])
        .unwrap();
    inputs.push(("kernel/kernel.tar".to_owned(), tar.into_inner().unwrap()));
    inputs
}

const WEB: &str = "\
kernel: {image: 'dir:kernel', cmdline: 'console=ttyS0'}
services:
  - {name: web, image: 'dir:web', command: [/bin/httpd], readonly: true}
  - {name: web2, image: 'dir:web', command: [/bin/httpd]}
files:
  - {path: etc/motd, contents: hello}
";

/// An object file with nothing but the loader's section, as long as that is.
fn loader_object() -> Vec<u8> {
    let mut loader = b"HULLBIOS".to_vec();
    loader.resize(2048, 0);
    let names = b"\0.hullkit\0.shstrtab\0";
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let (data_at, names_at) = (64_u64, 64 + 2048_u64);
    let sections_at = (names_at + names.len() as u64).next_multiple_of(8);
    file.extend([1, 0, 62, 0, 1, 0, 0, 0]);
    file.extend([0; 16]);
    file.extend(sections_at.to_le_bytes());
    file.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
    file.extend(loader);
    file.extend(names);
    file.resize(usize::try_from(sections_at).unwrap() + 64, 0);
    for (name, kind, at, len) in [
        (1_u32, 1_u32, data_at, 2048_u64),
        (10, 3, names_at, names.len() as u64),
    ] {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend([0; 16]);
        file.extend(at.to_le_bytes());
        file.extend(len.to_le_bytes());
        file.extend([0; 8]);
        file.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        file.extend([0; 8]);
    }
    file
}

/// A program for 64-bit EFI without any section, with room for some.
fn stub() -> Vec<u8> {
    let mut file = vec![0; 1024];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &[0x40]);
    put(0x40, b"PE\0\0\x64\x86");
    put(0x54, &[240, 0]);
    put(0x58, &[0x0b, 0x02]);
    put(0x58 + 32, &4096_u32.to_le_bytes());
    put(0x58 + 60, &1024_u32.to_le_bytes());
    file
}

const BUILD: [&str; 5] = ["build", "--arch", "x86_64", "--format", "kernel+initrd,tar"];

/// All formats, but for those that have a file of the same name as another.
const ALL: &str = "kernel+initrd,tar-kernel-initrd,kernel+squashfs,kernel+erofs,tar,docker,uki,\
                   iso-bios,iso-efi,iso-efi-initrd,raw-bios,raw-efi,raw-hybrid,qcow2-bios,\
                   qcow2-efi,vmdk,dynamic-vhd,gcp,aws";

fn build_all(dir: &str) -> Vec<&str> {
    let args = [
        "build",
        "--arch",
        "x86_64",
        "--format",
        ALL,
        "--efi-stub",
        "dir:stub",
    ];
    [&args[..], &["--dir", dir, "web.yml"]].concat()
}

fn build<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&BUILD[..], more].concat()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// All files of a folder, by name.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let bytes = std::fs::read(dir.join(&name)).unwrap();
        (name, bytes)
    };
    names(dir).into_iter().map(read).collect()
}

/// Names the files of `dir` that are not as expected, if there are any.
fn differ(dir: &Path, expected: &[(String, Vec<u8>)], when: &str) {
    let found = contents(dir);
    let names =
        |all: &[(String, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(expected), "{when}");
    let other: Vec<_> = found
        .iter()
        .zip(expected)
        .filter(|(found, expected)| found != expected)
        .map(|(found, _)| &found.0)
        .collect();
    assert!(other.is_empty(), "{when}: {other:?}");
}

/// What `tar -t` says of a tar: name, and what it is linked to.
fn listed(tar: &Path) -> Vec<(String, Option<String>)> {
    let mut archive = tar::Archive::new(std::fs::File::open(tar).unwrap());
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let link = entry.link_name_bytes();
            (
                String::from_utf8(entry.path_bytes().into_owned()).unwrap(),
                link.map(|link| String::from_utf8(link.into_owned()).unwrap()),
            )
        })
        .collect()
}

#[test]
fn the_results_have_linuxkits_names_and_layout() {
    let bench = Bench::new();
    let said = bench.ok(&build(&["--dir", "out", "web.yml"]));
    assert_eq!(
        said,
        "out/web-kernel\nout/web-cmdline\nout/web-initrd.img\nout/web.tar\n"
    );
    assert_eq!(
        names(&bench.path("out")),
        ["web-cmdline", "web-initrd.img", "web-kernel", "web.tar"]
    );
    let cmdline = std::fs::read(bench.path("out/web-cmdline")).unwrap();
    assert_eq!(cmdline, b"console=ttyS0");
    let listed = listed(&bench.path("out/web.tar"));
    let link_of = |name: &str| {
        let found = listed.iter().find(|(path, _)| path == name);
        found
            .unwrap_or_else(|| panic!("{name} is not in {listed:?}"))
            .1
            .clone()
    };
    for name in [
        "boot/kernel",
        "boot/cmdline",
        "containers/services/web/config.json",
        "containers/services/web/runtime.json",
        "containers/services/web/rootfs/etc/httpd.conf",
        "containers/services/web/rootfs/proc/",
        "containers/services/web2/lower/",
        "containers/services/web2/tmp/",
        "containers/services/web2/rootfs/",
        "etc/motd",
        "init",
        "lib/modules/6/virtio.ko",
        "usr/bin/runc-shim",
    ] {
        assert_eq!(link_of(name), None, "{name}");
    }
    assert_eq!(link_of("usr/bin/hullctl").unwrap(), "/init");
    let resolv = link_of("etc/resolv.conf").unwrap();
    assert_eq!(resolv, "/run/resolvconf/resolv.conf");
    // The second container's files are the first one's.
    let shared = link_of("containers/services/web2/lower/bin/httpd").unwrap();
    assert_eq!(shared, "containers/services/web/rootfs/bin/httpd");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let first = Bench::new();
    first.ok(&build_all("out"));
    let expected = contents(&first.path("out"));

    // With what was kept by then; alone, and by many.
    for threads in ["1", "8"] {
        let mut hull = first.hull();
        let output = hull.args(build_all("again")).env("HULL_THREADS", threads);
        succeeds(&output.output().unwrap());
        differ(&first.path("again"), &expected, threads);
        std::fs::remove_dir_all(first.path("again")).unwrap();
        // And made anew.
        first.ok(&["image", "gc"]);
        let mut hull = first.hull();
        let output = hull.args(build_all("again")).env("HULL_THREADS", threads);
        succeeds(&output.output().unwrap());
        differ(&first.path("again"), &expected, threads);
        std::fs::remove_dir_all(first.path("again")).unwrap();
    }

    // Elsewhere (a tmpfs lists a folder from its newest entry to its oldest),
    // later, under another umask, with other owners and dates.
    let second = Bench::backwards(Path::new("/dev/shm"));
    let script = "umask 077 && exec \"$@\"";
    let mut hull = Command::new("sh");
    // A copy: the other user may not be able to reach where it was built.
    let programs = TempDir::new().unwrap();
    let program = programs.path().join("hull");
    std::fs::copy(env!("CARGO_BIN_EXE_hull"), &program).unwrap();
    hull.args(["-c", script, "sh"]).arg(&program);
    hull.args(build_all("out"))
        .current_dir(second.0.path())
        .env("HULL_STORE", second.path("store"))
        .env("HULL_GUEST", second.path("guest"))
        .env("TZ", "Asia/Tokyo")
        .env("LC_ALL", "C");
    if nix::unistd::Uid::effective().is_root() {
        use std::os::unix::process::CommandExt;
        let chown = Command::new("chown")
            .args(["-R", "65534:65534"])
            .args([second.0.path(), programs.path()])
            .status();
        assert!(chown.unwrap().success());
        hull.uid(65534).gid(65534);
    }
    succeeds(&hull.output().unwrap());
    differ(&second.path("out"), &expected, "as another user");
}

#[test]
fn the_time_that_is_asked_for_is_in_the_root_filesystem() {
    let bench = Bench::new();
    let args = ["build", "--arch", "x86_64", "--format", "kernel+squashfs"];
    for (dir, time) in [("a", 1_700_000_000_u32), ("b", 1_700_000_000), ("c", 0)] {
        let mut hull = bench.hull();
        let hull = hull.args(args).args(["--dir", dir, "web.yml"]);
        let output = hull.env("SOURCE_DATE_EPOCH", time.to_string()).output();
        succeeds(&output.unwrap());
        let root = std::fs::read(bench.path(&format!("{dir}/web-squashfs.img"))).unwrap();
        // `mkfs_time` of its superblock.
        assert_eq!(root[8..12], time.to_le_bytes());
    }
    differ(
        &bench.path("a"),
        &contents(&bench.path("b")),
        "the same time",
    );
}

#[track_caller]
fn succeeds(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn disks_are_at_least_as_large_as_asked() {
    let bench = Bench::new();
    let args = [
        "build", "--format", "raw-bios", "--arch", "amd64", "web.yml",
    ];
    let len = || bench.path("web-bios.img").metadata().unwrap().len();
    bench.ok(&args);
    let needed = len();
    assert!(needed < 64 << 20, "{needed}");
    bench.ok(&[&args[..], &["--size", "64M"]].concat());
    assert_eq!(len(), 64 << 20);
    let said = tool("sgdisk", &["-v"], &bench.path("web-bios.img"));
    assert!(said.contains("No problems found"), "{said}");
    // A plain number is megabytes; what is needed is there in any case.
    bench.ok(&[&args[..], &["--size", "1"]].concat());
    assert_eq!(len(), needed);
}

/// The standard output of one of the formats' own tools.
fn tool(program: &str, args: &[&str], file: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(args)
        .arg(file)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .output()
        .unwrap_or_else(|e| panic!("{program} (build/deps.sh test installs it): {e}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {args:?}: {said}{errors}"
    );
    said + &errors
}

#[test]
fn the_formats_own_tools_find_no_fault() {
    let bench = Bench::new();
    bench.ok(&build_all("out"));
    let out = |ending: &str| bench.path(&format!("out/web{ending}"));
    for disk in ["-bios.img", "-efi.img", "-hybrid.img", ".raw"] {
        let said = tool("sgdisk", &["-v"], &out(disk));
        assert!(said.contains("No problems found"), "{disk}: {said}");
    }
    for (format, disk) in [
        ("qcow2", ".qcow2"),
        ("qcow2", "-efi.qcow2"),
        ("vmdk", ".vmdk"),
    ] {
        tool("qemu-img", &["check", "-f", format], &out(disk));
    }
    tool("qemu-img", &["info", "-f", "vpc"], &out(".vhd"));
    tool("unsquashfs", &["-lln"], &out("-squashfs.img"));
    tool("fsck.erofs", &[], &out("-erofs.img"));
    // The root is mounted from the ISO itself.
    for (iso, platform) in [
        (".iso", "BIOS"),
        ("-efi.iso", "UEFI"),
        ("-efi-initrd.iso", "UEFI"),
    ] {
        let path = out(iso).display().to_string();
        let args = ["-indev", &path, "-report_el_torito"];
        let said = tool("xorriso", &args, Path::new("plain"));
        assert!(
            said.contains(&format!("1  {platform}  y   none")),
            "{iso}: {said}"
        );
        if iso != "-efi-initrd.iso" {
            let listed = tool("unsquashfs", &["-lln"], &out(iso));
            assert!(listed.contains("web/rootfs/bin/httpd"), "{iso}: {listed}");
        }
    }
    // `docker load` reads what hull itself reads.
    let image = format!("docker-archive:{}", out("-docker.tar").display());
    bench.ok(&["image", "import", "--arch", "x86_64", "again", &image]);
    let listed = listed(&out("-initrd.tar"));
    let names: Vec<_> = listed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["cmdline", "initrd.img", "kernel"]);
}

#[test]
fn formats_that_do_not_fit_are_refused() {
    let bench = Bench::new();
    for (arch, stub, format, words) in [
        (
            "x86_64",
            "dir:stub",
            "vhd,dynamic-vhd",
            "out/web.vhd: two of the formats",
        ),
        ("aarch64", "dir:stub", "raw-bios", "raw-bios is for x86_64"),
        (
            "x86_64",
            "dir:web",
            "uki",
            "there is no EFI stub (usr/lib/systemd/",
        ),
        (
            "x86_64",
            "hullkit/efi-stub",
            "uki",
            "image \"hullkit/efi-stub\"",
        ),
    ] {
        let said = bench.fails(&[
            "build",
            "--arch",
            arch,
            "--format",
            format,
            "--efi-stub",
            stub,
            "--dir",
            "out",
            "web.yml",
        ]);
        assert!(said.contains(words), "{said}");
        assert!(!bench.path("out").exists() || names(&bench.path("out")).is_empty());
    }
    let mut hull = bench.hull();
    let output = hull
        .args(["build", "web.yml"])
        .env("SOURCE_DATE_EPOCH", "tomorrow")
        .output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}

#[test]
fn the_least_memory_is_said() {
    let bench = Bench::new();
    let output = bench.run(&["build", "--arch", "x86_64", "web.yml"]);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(
        notes.contains("hull: note: web: the initrd needs a machine with at least "),
        "{notes}"
    );
}

#[test]
fn every_compression_holds_the_same_archive() {
    let bench = Bench::new();
    let archive = |how: &str, unpack: &[&str]| {
        bench.ok(&[
            "build",
            "--arch",
            "x86_64",
            "--name",
            how,
            "--compress",
            how,
            "web.yml",
        ]);
        let path = bench.path(&format!("{how}-initrd.img"));
        let [program, args @ ..] = unpack else {
            return std::fs::read(path).unwrap();
        };
        let output = Command::new(program).args(args).arg(path).output().unwrap();
        assert!(output.status.success(), "{how}");
        output.stdout
    };
    let whole = archive("none", &[]);
    assert!(whole.starts_with(b"070701"));
    let parts = archive("gzip", &["gzip", "-dc", "-S", ".img"]);
    assert!(archive("zstd", &["zstd", "-dcq"]) == parts);
    assert!(archive("lz4", &["lz4", "-dcq"]) == parts);
    // The same files, whether they are in one archive or in several.
    let named = |archive: &[u8]| {
        let text = String::from_utf8_lossy(archive).into_owned();
        let mut names: Vec<_> = text
            .split("070701")
            .filter_map(|entry| entry.get(104..)?.split('\0').next().map(str::to_owned))
            .filter(|name| name != "TRAILER!!!")
            .collect();
        names.sort();
        names
    };
    assert!(named(&whole).contains(&"containers/services/web/rootfs/bin/httpd".to_owned()));
    assert_eq!(named(&whole), named(&parts));
}

#[test]
fn cpio_reads_our_archive() {
    let bench = Bench::new();
    bench.ok(&["build", "--arch", "x86_64", "--compress", "none", "web.yml"]);
    let archive = std::fs::File::open(bench.path("web-initrd.img")).unwrap();
    let output = Command::new("cpio")
        .args(["-itv", "--quiet"])
        .stdin(archive)
        .output()
        .unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    let shared = listing
        .lines()
        .find(|line| line.ends_with("web2/lower/bin/httpd"));
    assert_eq!(
        shared.unwrap().split_whitespace().nth(1),
        Some("2"),
        "{listing}"
    );
    assert!(listing.contains("usr/bin/hullctl -> /init"), "{listing}");
}

#[test]
fn microcode_stands_in_front_and_is_not_compressed() {
    let bench = Bench::new();
    bench.write(
        "u.yml",
        "kernel: {image: 'dir:kernel', ucode: early.cpio}\n",
    );
    bench.ok(&["build", "--arch", "x86_64", "u.yml"]);
    let initrd = std::fs::read(bench.path("u-initrd.img")).unwrap();
    assert!(initrd.starts_with(b"microcode"));
}

#[test]
fn each_architecture_gets_its_own_programs() {
    let bench = Bench::new();
    bench.ok(&[
        "build",
        "--arch",
        "aarch64",
        "--compress",
        "none",
        "web.yml",
    ]);
    let initrd = std::fs::read(bench.path("web-initrd.img")).unwrap();
    let has = |text: &[u8]| initrd.windows(text.len()).any(|part| part == text);
    assert!(has(b"the other init") && !has(b"the init"));
}

#[test]
fn linuxkits_own_init_is_left_out_with_a_note() {
    let bench = Bench::new();
    bench.write("lk/usr/bin/containerd", "theirs");
    bench.write("ca/etc/ssl/ca.pem", "kept");
    bench.write("l.yml", "init: ['dir:lk', 'dir:ca']\n");
    let output = bench.run(&["build", "--arch", "x86_64", "--format", "tar", "l.yml"]);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(
        notes.starts_with("hull: note: l.yml:1: init: dir:lk is left out"),
        "{notes}"
    );
    let listed = listed(&bench.path("l.tar"));
    let has = |name: &str| listed.iter().any(|(path, _)| path == name);
    assert!(has("init") && has("etc/ssl/ca.pem") && !has("usr/bin/containerd"));
}

#[test]
fn bad_input_is_one_line_and_writes_nothing() {
    let bench = Bench::new();
    bench.write("missing.yml", "init: ['nobody/has-this:1']\n");
    bench.write("name.yml", "init: ['Not A Name']\n");
    bench.write("nodir.yml", "init: ['dir:not/there']\n");
    bench.write("nokernel.yml", "services: []\n");
    bench.write(
        "binary.yml",
        "kernel: {image: 'dir:kernel', binary: vmlinuz}\n",
    );
    bench.write("source.yml", "files: [{path: a, source: /not/there}]\n");
    bench.write(
        "clash.yml",
        "files: [{path: a, contents: x}, {path: a/b, contents: y}]\n",
    );
    bench.write("unknown.yml", "kernal: {}\n");
    for (yaml, said) in [
        (
            "missing.yml",
            "missing.yml:1: image \"nobody/has-this:1\" for x86_64 is not in the store",
        ),
        ("name.yml", "name.yml:1:"),
        ("nodir.yml", "not/there"),
        ("nokernel.yml", "what boots needs a kernel"),
        (
            "binary.yml",
            "binary.yml:1: image \"dir:kernel\" has no file \"vmlinuz\"",
        ),
        ("source.yml", "source.yml:1: files: /not/there: "),
        (
            "clash.yml",
            "clash.yml:1: files: \"a/b\": \"a\" is not a folder",
        ),
        ("unknown.yml", "unknown.yml:1:"),
        ("gone.yml", "gone.yml"),
    ] {
        let error = bench.fails(&["build", "--arch", "x86_64", "--dir", "out", yaml]);
        assert!(error.contains(said), "{yaml}: {error}");
    }
    let made = bench
        .path("out")
        .exists()
        .then(|| names(&bench.path("out")));
    assert_eq!(made.unwrap_or_default(), Vec::<String>::new());
}

#[test]
fn a_missing_image_says_what_to_do() {
    let bench = Bench::new();
    bench.write("m.yml", "init: [redis]\n");
    let error = bench.fails(&["build", "--arch", "x86_64", "m.yml"]);
    for part in [
        "hull image import redis FROM",
        "hull image pull redis",
        "store",
    ] {
        assert!(error.contains(part), "{error}");
    }
    bench.ok(&["image", "import", "--arch", "arm64", "redis", "dir:web"]);
    let error = bench.fails(&["build", "--arch", "x86_64", "m.yml"]);
    assert!(error.contains("(only for arm64)"), "{error}");
}

#[test]
fn the_guests_programs_missing_is_named() {
    let bench = Bench::new();
    let error = bench.fails(&["build", "--arch", "x86_64", "--guest", "web", "web.yml"]);
    assert!(
        error.contains("--guest DIR") && error.contains("web/x86_64"),
        "{error}"
    );
}

#[test]
fn usage_errors_are_exit_code_2() {
    let bench = Bench::new();
    for args in [
        &["build"][..],
        &["build", "--format", "floppy", "web.yml"],
        &["build", "--arch", "vax", "web.yml"],
        &["build", "--compress", "rar", "web.yml"],
        &["run", "--publish", "x", "web"],
        &["run", "--mem", "0", "web"],
        &["run", "--cpus", "0", "web"],
        &["fly"],
    ] {
        assert_eq!(bench.run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_result_that_cannot_be_written_leaves_nothing() {
    let bench = Bench::new();
    // A folder has the name that the last result wants.
    std::fs::create_dir_all(bench.path("out/web.tar/full")).unwrap();
    let error = bench.fails(&build(&["--dir", "out", "--name", "web", "web.yml"]));
    assert!(error.contains("writing out/web.tar"), "{error}");
    assert_eq!(names(&bench.path("out")), ["web.tar"]);
}

#[test]
fn a_killed_build_leaves_nothing() {
    let bench = Bench::new();
    let big = std::fs::File::create(bench.path("web/big")).unwrap();
    big.set_len(2 << 30).unwrap();
    let mut child = bench
        .hull()
        .args([
            "build",
            "--arch",
            "x86_64",
            "--dir",
            "out",
            "--compress",
            "gzip",
            "web.yml",
        ])
        .spawn()
        .unwrap();
    // It is at work once it has made its folder; 2 GiB take it much longer.
    while !bench.path("out").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended too soon");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(names(&bench.path("out")), Vec::<String>::new());
}

#[test]
fn results_are_readable_by_others() {
    let bench = Bench::new();
    bench.ok(&build(&["web.yml"]));
    let mode = |name: &str| bench.path(name).metadata().unwrap().permissions().mode();
    assert_eq!(mode("web.tar") & 0o077, mode("web.yml") & 0o077);
}

#[test]
fn run_boots_the_machine_that_the_kernel_is_for() {
    let bench = Bench::new();
    let mut arm64 = vec![0; 64];
    arm64[0x38..0x3c].copy_from_slice(b"ARM\x64");
    bench.write("arm-kernel", arm64);
    bench.write("arm-initrd.img", "");
    bench.write("arm-cmdline", "");
    let line = bench.ok(&["run", "--accel", "tcg", "--dry-run", "arm"]);
    assert!(line.starts_with("qemu-system-aarch64 "), "{line}");
    let output = bench.run(&["run", "--arch", "x86_64", "--dry-run", "arm"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "hull: arm-kernel is a kernel for aarch64, and --arch asks for x86_64\n"
    );
}

#[test]
fn files_that_a_tmpfs_will_hide_are_noted() {
    let bench = Bench::new();
    bench.write("v.yml", "files: [{path: var/x, contents: y}]\n");
    let output = bench.run(&["build", "--arch", "x86_64", "--format", "tar", "v.yml"]);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success());
    // Once, with the place.
    assert_eq!(
        notes,
        "hull: note: v.yml:1: files[0]: /var/x will not be seen: \
         a tmpfs is mounted over /var at run time\n"
    );
}

#[test]
fn volumes_have_their_folders() {
    let bench = Bench::new();
    bench.write(
        "v.yml",
        "volumes:\n  - {name: blank}\n  - {name: site, image: 'dir:web', readonly: true}\n  - \
         {name: layout, image: 'dir:web', format: oci}\n",
    );
    bench.ok(&["build", "--arch", "x86_64", "--format", "tar", "v.yml"]);
    let listed = listed(&bench.path("v.tar"));
    let has = |name: &str| {
        let name = format!("containers/volumes/{name}");
        listed.iter().any(|(path, _)| *path == name)
    };
    assert!(has("blank/lower/") && has("blank/tmp/") && has("blank/merged/"));
    assert!(has("site/lower/bin/httpd") && has("site/merged/") && !has("site/tmp/"));
    assert!(has("layout/lower/index.json") && !has("layout/lower/gc.lock"));
}

#[test]
fn a_read_only_root_gets_the_mount_points_that_it_lacks() {
    let bench = Bench::new();
    bench.write(
        "m.yml",
        "services:\n  - name: web\n    image: dir:web\n    command: [/bin/httpd]\n    readonly: \
         true\n    binds: ['/etc/hosts:/etc/hosts', '/run/web:/data/run', \
         '/etc:/hostetc']\n",
    );
    bench.ok(&["build", "--arch", "x86_64", "--format", "tar", "m.yml"]);
    let listed = listed(&bench.path("m.tar"));
    let has = |name: &str| {
        let name = format!("containers/services/web/rootfs/{name}");
        listed.iter().any(|(path, _)| *path == name)
    };
    assert!(has("etc/hosts") && has("data/run/") && has("hostetc/") && has("sys/"));
    assert!(!has("dev/pts/"), "made in the tmpfs on /dev");
}
