//! `hull` killed, interrupted, and on a full disk: nothing half done is under
//! a final name, the store is whole, and the next try succeeds.

#![allow(missing_docs, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

struct Scene(TempDir);

/// A layer's file of so many bytes, which compress a little.
const LARGE: usize = 24 << 20;

impl Scene {
    fn new() -> Self {
        let scene = Self(TempDir::new().unwrap());
        for (path, text) in [
            ("guest/x86_64/init", "the init"),
            ("guest/x86_64/runc-shim", "the runtime"),
            ("kernel/kernel", "the kernel"),
            ("rootfs/small", "text"),
            (
                "web.yml",
                "kernel: {image: 'dir:kernel', tar: none}\n\
                 services: [{name: web, image: web, command: [/small]}]\n",
            ),
        ] {
            scene.write(path, text.as_bytes());
        }
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from(state >> 26).unwrap()
        };
        let noise: Vec<u8> = (0..LARGE).map(|_| next()).collect();
        scene.write("rootfs/large", &noise);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn hull(&self, store: &str) -> Command {
        let mut hull = Command::new(env!("CARGO_BIN_EXE_hull"));
        hull.current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HULL_STORE", self.path(store))
            .env("HULL_GUEST", self.path("guest"))
            .env("HULL_OFFLINE", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        hull
    }

    #[track_caller]
    fn ok(&self, store: &str, args: &[&str]) {
        let output = self.hull(store).args(args).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
    }

    /// Every image and all that is kept is whole, and nothing has a name that
    /// is no blob's.
    #[track_caller]
    fn is_whole(&self, store: &str) {
        self.ok(store, &["image", "gc", "--check"]);
        for folder in ["blobs/sha256", "cache/layers", "cache/segments"] {
            for name in names(&self.path(store).join(folder)) {
                assert_eq!(name.len(), 64, "{folder}/{name}");
            }
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const IMPORT: [&str; 6] = ["image", "import", "--arch", "x86_64", "web", "oci:layout"];
const BUILD: [&str; 8] = [
    "build",
    "--arch",
    "x86_64",
    "--format",
    "kernel+initrd,kernel+squashfs,tar",
    "--dir",
    "out",
    "web.yml",
];
const RESULTS: usize = 6;

/// Runs it, sends it `signal` after `time`; how it ended.
fn broken_off(mut hull: Command, signal: Signal, time: Duration) -> ExitStatus {
    let mut child = hull.spawn().unwrap();
    let end = Instant::now() + time;
    while Instant::now() < end && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // Unless it has ended and was reaped, this is it.
    if child.try_wait().unwrap().is_none() {
        kill(pid, signal).unwrap();
    }
    child.wait().unwrap()
}

#[test]
fn a_program_that_is_killed_at_any_time_leaves_all_whole() {
    let scene = Scene::new();
    scene.ok(
        "first",
        &["image", "import", "--arch", "x86_64", "web", "dir:rootfs"],
    );
    scene.ok("first", &["image", "export", "web", "oci:layout"]);
    let begin = Instant::now();
    scene.ok("whole", &IMPORT);
    let import = begin.elapsed();
    let begin = Instant::now();
    scene.ok("whole", &BUILD);
    let build = begin.elapsed();
    let expected: Vec<_> = names(&scene.path("out"));
    assert_eq!(expected.len(), RESULTS);

    let steps = 8;
    for n in 1..=steps {
        let signal = if n % 2 == 0 {
            Signal::SIGINT
        } else {
            Signal::SIGKILL
        };
        let mut hull = scene.hull("store");
        hull.args(IMPORT);
        broken_off(hull, signal, import * n / steps);
        scene.is_whole("store");
    }
    scene.ok("store", &IMPORT);
    for n in 1..=steps {
        let signal = if n % 2 == 0 {
            Signal::SIGINT
        } else {
            Signal::SIGKILL
        };
        // It may have been killed before there was one.
        let _ = std::fs::remove_dir_all(scene.path("out"));
        scene.ok("store", &["image", "gc"]);
        let mut hull = scene.hull("store");
        hull.args(BUILD);
        let status = broken_off(hull, signal, build * n / (steps + 1));
        let left = names(&scene.path("out"));
        // Names are given one behind the other, at the very end.
        assert!(left.iter().all(|name| expected.contains(name)), "{left:?}");
        assert!(!status.success() || left.len() == RESULTS, "{left:?}");
        for name in left {
            let whole = std::fs::metadata(scene.path("out").join(&name)).unwrap();
            assert!(whole.len() > 0 || name.ends_with("-cmdline"), "{name}");
        }
        scene.is_whole("store");
    }
    scene.ok("store", &BUILD);
    assert_eq!(names(&scene.path("out")), expected);
    scene.is_whole("store");
}

/// Runs `args` with `dir` on a filesystem of `mebibytes` that is this
/// command's alone, and the store in `store`; its standard output ends with the
/// files that are there then. None where this user may not mount.
fn on_a_small_disk(
    scene: &Scene,
    dir: &str,
    mebibytes: usize,
    store: &str,
    args: &[&str],
) -> Option<Output> {
    let alone: &[&str] = match nix::unistd::Uid::effective().is_root() {
        true => &["--mount"],
        false => &["--mount", "--user", "--map-root-user"],
    };
    let may = Command::new("unshare").args(alone).arg("true").output();
    if !may.unwrap().status.success() {
        println!("skipped: no mount namespaces for this user");
        return None;
    }
    std::fs::create_dir_all(scene.path(dir)).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={mebibytes}m none {dir} && \"$0\" \"$@\"; code=$?; \
         find {dir} -type f -size +0; exit $code"
    );
    let hull = scene.hull(store);
    let mut small = Command::new("unshare");
    small
        .current_dir(scene.0.path())
        .args(alone)
        .args(["sh", "-c", &script])
        .arg(hull.get_program())
        .args(args);
    for (key, value) in hull.get_envs() {
        small.env(key, value.unwrap_or_default());
    }
    Some(small.output().unwrap())
}

#[test]
fn a_full_disk_is_one_line_and_leaves_nothing() {
    let scene = Scene::new();
    scene.ok(
        "store",
        &["image", "import", "--arch", "x86_64", "web", "dir:rootfs"],
    );
    scene.ok("store", &["image", "export", "web", "oci:layout"]);

    // Where the results go.
    let Some(output) = on_a_small_disk(&scene, "out", 4, "store", &BUILD) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    scene.is_whole("store");

    // Where the store is: no part of the image has a name.
    let output = on_a_small_disk(&scene, "small", 4, "small", &IMPORT).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    let left = String::from_utf8_lossy(&output.stdout);
    assert!(!left.contains("blobs/"), "{left}");
}

#[test]
fn a_bomb_is_refused_by_its_layers_name() {
    let scene = Scene::new();
    // A tar of one file of zeros, compressed as hard as can be: 100 GB become
    // 10 MB. It is made small here by being the same block again and again.
    let mut tar = tar::Header::new_gnu();
    tar.set_path("zeros").unwrap();
    tar.set_mode(0o644);
    tar.set_size(100_000_000_000);
    tar.set_cksum();
    let mut bomb = zstd::encode_all(&tar.as_bytes()[..], 1).unwrap();
    // Frames stand behind each other.
    let frame = zstd::encode_all(&vec![0; 64 << 20][..], 1).unwrap();
    for _ in 0..100_000_000_000_u64.div_ceil(64 << 20) {
        bomb.extend(&frame);
    }
    let digest = hull::digest::Digest::of(&bomb);
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}"#;
    let blob = |bytes: &[u8]| {
        let digest = hull::digest::Digest::of(bytes);
        scene.write(&format!("bomb/blobs/sha256/{}", digest.hex()), bytes);
        format!("\"digest\":\"{digest}\",\"size\":{}", bytes.len())
    };
    let manifest = format!(
        "{{\"schemaVersion\":2,\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",{}}},\
         \"layers\":[{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+zstd\",{}}}]}}",
        blob(config),
        blob(&bomb)
    );
    let index = format!(
        "{{\"schemaVersion\":2,\"manifests\":[{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",{}}}]}}",
        blob(manifest.as_bytes())
    );
    scene.write("bomb/index.json", index.as_bytes());
    scene.write("bomb/oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let mut hull = scene.hull("store");
    let output = hull
        .args(["image", "import", "--arch", "x86_64", "bomb", "oci:bomb"])
        .output();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&digest.to_string()), "{said}");
    assert!(said.contains("which is refused"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    scene.is_whole("store");
}
