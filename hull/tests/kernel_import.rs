//! `hull kernel import`, from the package's file to what the store holds.
//!
//! The tests on real packages want a folder with Debian's linux-image packages
//! in `HULLKIT_KERNEL_DEBS`, and depmod, whose word counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hull::arch::Arch;
use hull::store::Store;

/// A module that depends on `net_failover`, serves `virtio:d00000001v*`, and is
/// signed.
const MODULE: &[u8] = include_bytes!("../../kernel/fuzz/seeds/module/signed");
/// One that needs nothing.
const NEEDED: &[u8] = include_bytes!("../../kernel/fuzz/seeds/module/btf");

fn hull(store: &Path, args: &[&str]) -> Output {
    let mut hull = Command::new(env!("CARGO_BIN_EXE_hull"));
    hull.args(["kernel", "import", "--store"])
        .arg(store)
        .args(args);
    hull.output().unwrap()
}

/// The one line that a failed import says.
fn failure(store: &Path, args: &[&str]) -> String {
    let output = hull(store, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
    stderr.trim_end().to_owned()
}

fn success(store: &Path, args: &[&str]) -> String {
    let output = hull(store, args);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A file of an image in the store.
fn file(store: &Path, name: &str, arch: Arch, path: &str) -> Vec<u8> {
    let image = Store::new(store)
        .find(name, &name.parse().unwrap(), arch)
        .unwrap();
    let image = image.unwrap_or_else(|| panic!("no {name} for {arch}"));
    let tree = image.tree(&std::env::temp_dir()).unwrap();
    tree.get(path).unwrap().as_file().unwrap().read().unwrap()
}

/// The names and contents of a tar.
fn untar(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut contents = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut contents).unwrap();
        (entry.path().unwrap().display().to_string(), contents)
    });
    entries.collect()
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        tar.append_data(&mut header, path, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Writes a kernel package for `architecture` and gives its path.
fn package(dir: &Path, architecture: &str, modules: &[(&str, &[u8])]) -> PathBuf {
    let mut kernel = vec![0; 1024];
    match architecture {
        "arm64" => kernel[0x38..0x3c].copy_from_slice(b"ARM\x64"),
        _ => {
            kernel[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
            kernel[0x202..0x206].copy_from_slice(b"HdrS");
        }
    }
    let modules: Vec<(String, &[u8])> = modules
        .iter()
        .map(|(path, bytes)| (format!("lib/modules/6.12.0-x/{path}"), *bytes))
        .collect();
    let mut files: Vec<(&str, &[u8])> = vec![
        ("boot/vmlinuz-6.12.0-x", &kernel),
        ("boot/config-6.12.0-x", b"CONFIG_X=y\n"),
    ];
    files.extend(modules.iter().map(|(path, bytes)| (path.as_str(), *bytes)));
    deb(dir, "linux-image-x", architecture, &files)
}

/// Writes the package `name` with these files and gives its path.
fn deb(dir: &Path, name: &str, architecture: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let control = format!("Package: {name}\nVersion: 6.12-1\nArchitecture: {architecture}\n");
    let path = dir.join(format!("{name}_{architecture}.deb"));
    let mut deb = b"!<arch>\n".to_vec();
    for (name, bytes) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", tar_of(&[("control", control.as_bytes())])),
        ("data.tar", tar_of(files)),
    ] {
        let size = bytes.len();
        writeln!(
            deb,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`",
            0, 0, 0, 100_644
        )
        .unwrap();
        deb.extend(bytes);
    }
    std::fs::write(&path, deb).unwrap();
    path
}

/// The modules of a small package that has all that its modules need.
const WHOLE: &[(&str, &[u8])] = &[
    ("kernel/drivers/net/virtio_net.ko", MODULE),
    ("kernel/net/net_failover.ko", NEEDED),
];

#[test]
fn a_package_becomes_an_image_for_its_architecture() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let name = "hullkit/kernel:6.12";
    for (architecture, arch) in [("amd64", Arch::X86_64), ("arm64", Arch::Aarch64)] {
        let deb = package(dir.path(), architecture, WHOLE);
        let said = success(&store, &[deb.to_str().unwrap()]);
        let expected = format!("{name} ({architecture}): kernel 6.12.0-x, 2 of 2 modules, sha256:");
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(
            success(&store, &[deb.to_str().unwrap()]),
            said,
            "again the same"
        );
        assert_eq!(file(&store, name, arch, "kernel").len(), 1024);
        assert_eq!(file(&store, name, arch, "kernel-config"), b"CONFIG_X=y\n");
    }
    // Both are there, side by side.
    for arch in Arch::ALL {
        let tar = untar(&file(&store, name, arch, "kernel.tar"));
        let text = |path: &str| String::from_utf8_lossy(&tar[path]).into_owned();
        assert_eq!(
            text("lib/modules/6.12.0-x/modules.dep"),
            "kernel/drivers/net/virtio_net.ko.zst: kernel/net/net_failover.ko.zst\n\
             kernel/net/net_failover.ko.zst:\n"
        );
        let module = &tar["lib/modules/6.12.0-x/kernel/drivers/net/virtio_net.ko.zst"];
        let module = zstd::decode_all(&**module).unwrap();
        assert!(
            MODULE.starts_with(&module) && module.len() < MODULE.len(),
            "not unsigned"
        );
    }
}

#[test]
fn options_choose_modules_and_signatures() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let deb = package(dir.path(), "amd64", WHOLE);
    let deb = deb.to_str().unwrap();
    let list = dir.path().join("my.list");
    std::fs::write(&list, "net-failover # by its name\n").unwrap();

    let said = success(
        &store,
        &["--modules", list.to_str().unwrap(), "--name", "k:few", deb],
    );
    assert!(
        said.starts_with("k:few (amd64): kernel 6.12.0-x, 1 of 2 modules, "),
        "{said}"
    );
    success(
        &store,
        &[
            "--modules",
            "all",
            "--module-signatures",
            "keep",
            "--module-compression",
            "none",
            "--name",
            "k:signed",
            deb,
        ],
    );
    let tar = untar(&file(&store, "k:signed", Arch::X86_64, "kernel.tar"));
    assert_eq!(
        tar["lib/modules/6.12.0-x/kernel/drivers/net/virtio_net.ko"],
        MODULE
    );

    std::fs::write(&list, "net_failover\n\nnet-failovr\n").unwrap();
    let list = list.to_str().unwrap();
    let expected = format!("hull: {deb}: {list}:3: `net-failovr` matches no module of the package");
    assert_eq!(failure(&store, &["--modules", list, deb]), expected);
}

#[test]
fn what_cannot_be_imported_is_named_and_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let deb = package(dir.path(), "amd64", WHOLE);
    let deb = deb.to_str().unwrap();
    let said = failure(&store, &["--arch", "aarch64", deb]);
    assert_eq!(
        said,
        format!("hull: {deb}: a package for amd64, and --arch asks for arm64")
    );
    let said = failure(
        &store,
        &["--module-signatures", "keep", "--module-btf", "strip", deb],
    );
    assert!(
        said.contains("--module-btf strip would break the signatures"),
        "{said}"
    );

    let lacking = package(dir.path(), "amd64", &WHOLE[..1]);
    let said = failure(&store, &[lacking.to_str().unwrap()]);
    let expected =
        format!("hull: {deb}: module virtio_net depends on net_failover, which the package lacks");
    assert_eq!(said, expected);

    let broken = package(dir.path(), "amd64", &[("kernel/x.ko", b"text")]);
    let said = failure(&store, &[broken.to_str().unwrap()]);
    assert!(
        said.contains("module lib/modules/6.12.0-x/kernel/x.ko: not a kernel module: "),
        "{said}"
    );

    let other = package(dir.path(), "riscv64", WHOLE);
    let said = failure(&store, &[other.to_str().unwrap()]);
    assert!(said.ends_with("a package for riscv64; kernels are imported for amd64 and arm64"));

    let tool = self::deb(dir.path(), "tool", "amd64", &[("bin/tool", b"text")]);
    let said = failure(&store, &[deb, tool.to_str().unwrap()]);
    assert!(
        said.contains("tool_amd64.deb: there is neither a kernel nor a module in the package tool"),
        "{said}"
    );

    let script = dir.path().join("x.deb");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let said = failure(&store, &[script.to_str().unwrap()]);
    assert!(
        said.ends_with("x.deb: not a Debian package: it is no ar archive"),
        "{said}"
    );
    let images = Store::new(&store).list().unwrap();
    assert!(images.is_empty(), "{images:?}");
}

/// The packages to test with; says why there are none.
fn real_packages() -> Vec<PathBuf> {
    let Some(dir) = std::env::var_os("HULLKIT_KERNEL_DEBS") else {
        eprintln!("skipped: HULLKIT_KERNEL_DEBS names no folder with linux-image packages");
        return Vec::new();
    };
    let entries = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let debs: BTreeSet<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .map(|path| path.canonicalize().unwrap())
        .collect();
    assert!(!debs.is_empty(), "{}: no packages", dir.display());
    debs.into_iter().collect()
}

/// A `modules.dep`: by path, what is needed, as listed.
fn dep(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let lines = text.lines().map(|line| line.split_once(':').unwrap());
    lines
        .map(|(path, needed)| (path, needed.split_whitespace().collect()))
        .collect()
}

/// The lines of an index without its comments, in its order.
fn entries(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

/// That `ours` means what `depmod` wrote into `dir`.
fn assert_as_depmod(dir: &Path, ours: &dyn Fn(&str) -> String) {
    let theirs = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    for name in ["modules.alias", "modules.softdep", "modules.devname"] {
        assert_eq!(entries(&ours(name)), entries(&theirs(name)), "{name}");
    }
    let (ours, theirs) = (ours("modules.dep"), theirs("modules.dep"));
    let (ours, theirs) = (dep(&ours), dep(&theirs));
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
    for (path, needed) in &ours {
        let set: BTreeSet<_> = needed.iter().collect();
        assert_eq!(set, theirs[path].iter().collect(), "{path}");
        // Backwards is the order to load in: each after what it needs.
        for (at, module) in needed.iter().enumerate() {
            assert!(
                ours[module]
                    .iter()
                    .all(|deeper| needed[at + 1..].contains(deeper)),
                "{path}"
            );
        }
    }
}

#[test]
fn indexes_of_real_packages_are_those_of_depmod() {
    for deb in real_packages() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let said = success(
            &store,
            &[
                "--modules",
                "all",
                "--module-compression",
                "none",
                "--name",
                "k:all",
                deb.to_str().unwrap(),
            ],
        );
        let arch = if said.contains("(arm64)") {
            Arch::Aarch64
        } else {
            Arch::X86_64
        };
        let root = dir.path().join("root");
        let tar = file(&store, "k:all", arch, "kernel.tar");
        tar::Archive::new(&*tar).unpack(&root).unwrap();
        let modules = root.join("lib/modules");
        let tree = modules.read_dir().unwrap().next().unwrap().unwrap().path();
        let release = tree.file_name().unwrap().to_str().unwrap().to_owned();
        let names = [
            "modules.alias",
            "modules.softdep",
            "modules.devname",
            "modules.dep",
        ];
        let ours: BTreeMap<&str, String> = names
            .into_iter()
            .map(|name| (name, std::fs::read_to_string(tree.join(name)).unwrap()))
            .collect();

        let mut depmod = Command::new("depmod");
        depmod
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .arg("-b");
        match depmod.arg(&root).arg(&release).status() {
            Ok(status) => assert!(status.success()),
            Err(error) => {
                eprintln!("skipped: depmod: {error}");
                return;
            }
        }
        assert_as_depmod(&tree, &|name| ours[name].clone());
    }
}

#[test]
fn the_default_modules_of_real_packages_are_few_and_whole() {
    for deb in real_packages() {
        let dir = tempfile::tempdir().unwrap();
        let said = success(dir.path(), &["--name", "k:1", deb.to_str().unwrap()]);
        let arch = if said.contains("(arm64)") {
            Arch::Aarch64
        } else {
            Arch::X86_64
        };
        let tar = file(dir.path(), "k:1", arch, "kernel.tar");
        assert!(tar.len() < 4 << 20, "{said}: {} bytes", tar.len());
        let files = untar(&tar);
        let names: BTreeSet<&str> = files
            .keys()
            .filter_map(|path| path.strip_suffix(".ko.zst")?.rsplit('/').next())
            .collect();
        for wanted in [
            "virtio_blk",
            "virtio_net",
            "net_failover",
            "overlay",
            "squashfs",
            "nls_cp437",
        ] {
            assert!(names.contains(wanted), "{wanted}");
        }
        for (path, contents) in &files {
            if path.ends_with(".ko.zst") {
                let module = zstd::decode_all(&**contents).unwrap();
                assert!(
                    !module.ends_with(b"~Module signature appended~\n"),
                    "{path}"
                );
            }
            if path.ends_with("modules.dep") {
                let text = String::from_utf8(contents.clone()).unwrap();
                let tree = path.strip_suffix("modules.dep").unwrap();
                for (module, needed) in dep(&text) {
                    for path in needed.into_iter().chain([module]) {
                        assert!(files.contains_key(&format!("{tree}{path}")), "{path}");
                    }
                }
            }
        }
    }
}
