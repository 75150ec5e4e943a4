//! The guest: what is in its initrd, and how it is booted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::case::Case;
use crate::cpio::Archive;
use crate::setting;

/// No boot takes longer; a hang is a failure with its console, not a hang.
const TIME_LIMIT: &str = "2400";

const APPLETS: [&str; 55] = [
    "cmp",
    "sh",
    "cat",
    "ls",
    "echo",
    "mount",
    "umount",
    "mkdir",
    "id",
    "true",
    "false",
    "sleep",
    "grep",
    "stat",
    "touch",
    "ps",
    "readlink",
    "hostname",
    "mknod",
    "dd",
    "rm",
    "cp",
    "env",
    "pwd",
    "test",
    "head",
    "wc",
    "tr",
    "kill",
    "poweroff",
    "insmod",
    "sort",
    "chmod",
    "ln",
    "unshare",
    "sysctl",
    "sed",
    "usleep",
    "rmdir",
    "find",
    "date",
    "dnsdomainname",
    "tail",
    "nsenter",
    "seq",
    "timeout",
    "awk",
    "chown",
    "ionice",
    "mkfifo",
    "su",
    "uname",
    "stty",
    "mv",
    "start-stop-daemon",
];

/// The initrd with the program under test and the cases.
pub(crate) fn initrd(program: &Path, modules: Option<&Path>, cases: &[Case]) -> Vec<u8> {
    let mut archive = Archive::default();
    let busybox = setting("HULLKIT_BUSYBOX").unwrap_or_else(|| "/bin/busybox".to_owned());
    let busybox = fs::read(busybox).expect("busybox-static is installed");
    for folder in [
        "bin",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "mnt",
        "cases",
        "root",
        "rootfs",
        "rootfs/bin",
        "rootfs/proc",
        "rootfs/sys",
        "rootfs/dev",
        "rootfs/tmp",
        "rootfs/etc",
        "rootfs/data",
        "rootfs/run",
        "modules",
    ] {
        archive.folder(folder);
    }
    archive.folder("etc");
    archive.file(
        "etc/passwd",
        0o644,
        b"root:x:0:0::/:/bin/sh\nu:x:1000:1000::/:/bin/sh\n",
    );
    for file in ["etc/subuid", "etc/subgid"] {
        archive.file(file, 0o644, b"u:100000:65536\n");
    }
    // Those of this machine are for its own architecture.
    if Machine::of(program).console == Machine::native().console {
        map_programs(&mut archive);
    }
    archive.file("etc/hosts", 0o644, b"127.0.0.1 localhost\n");
    archive.device("dev/console", 5, 1);
    archive.file("bin/busybox", 0o755, &busybox);
    archive.file("rootfs/bin/busybox", 0o755, &busybox);
    for applet in APPLETS {
        archive.link(&format!("bin/{applet}"), "busybox");
        archive.link(&format!("rootfs/bin/{applet}"), "busybox");
    }
    archive.file(
        "rootfs/etc/passwd",
        0o644,
        b"root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n",
    );
    archive.file("rootfs/etc/file", 0o644, b"of the image\n");
    archive.link("rootfs/escape", "/../../../../run");
    archive.link("rootfs/dangling", "/nowhere/at/all");
    archive.file(
        "bin/runc-shim",
        0o755,
        &fs::read(program).expect("HULLKIT_RUNC_SHIM"),
    );
    archive.file(
        "bin/qemu-agent",
        0o755,
        &fs::read(program.with_file_name("qemu-agent")).expect("qemu-agent beside it"),
    );
    archive.file("init", 0o755, include_bytes!("init.sh"));
    for entry in modules
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).expect("HULLKIT_MODULES names folders"))
    {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        archive.file(&format!("modules/{name}"), 0o644, &fs::read(&path).unwrap());
    }
    for case in cases {
        archive.folder(&format!("cases/{}", case.name));
        archive.file(
            &format!("cases/{}/config.json", case.name),
            0o644,
            case.config.to_string().as_bytes(),
        );
        archive.file(
            &format!("cases/{}/run.sh", case.name),
            0o755,
            case.script.as_bytes(),
        );
    }
    archive.finish()
}

/// newuidmap(1) and newgidmap(1) of this machine, with the libraries that they
/// need.
fn map_programs(archive: &mut Archive) {
    let mut libraries = BTreeSet::new();
    for name in ["newuidmap", "newgidmap"] {
        let program = format!("/usr/bin/{name}");
        let bytes = fs::read(&program).expect("uidmap is installed");
        archive.file(&format!("bin/{name}"), 0o4755, &bytes);
        let told = Command::new("ldd").arg(&program).output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let paths = told.split_whitespace().filter(|word| word.starts_with('/'));
        libraries.extend(paths.map(str::to_owned));
    }
    let mut folders = BTreeSet::new();
    for library in libraries {
        let path = Path::new(&library).strip_prefix("/").unwrap();
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        for folder in above.into_iter().rev() {
            let folder = folder.to_str().unwrap();
            if !folder.is_empty() && folders.insert(folder.to_owned()) {
                archive.folder(folder);
            }
        }
        archive.file(path.to_str().unwrap(), 0o755, &fs::read(&library).unwrap());
    }
}

/// What a machine of an architecture is started with.
struct Machine {
    qemu: &'static str,
    options: [&'static str; 4],
    console: &'static str,
}

impl Machine {
    fn native() -> Self {
        Self::of(Path::new("/proc/self/exe"))
    }

    /// The one that runs this program, by `e_machine` of its ELF header (elf(5)).
    fn of(program: &Path) -> Self {
        let program = fs::read(program).expect("HULLKIT_RUNC_SHIM");
        match program[18..20] {
            [62, 0] => Self {
                qemu: "qemu-system-x86_64",
                options: ["-M", "q35", "-cpu", "max"],
                // On a busy host the kernel would take the timer for broken.
                console: "ttyS0 no_timer_check",
            },
            [183, 0] => Self {
                qemu: "qemu-system-aarch64",
                options: ["-M", "virt", "-cpu", "max,pauth-impdef=on"],
                console: "ttyAMA0",
            },
            ref other => panic!("HULLKIT_RUNC_SHIM is for no machine that is known: {other:?}"),
        }
    }
}

/// Two processors, so that a race is one.
const RACING: [&str; 4] = ["-accel", "tcg,thread=multi", "-smp", "2"];

/// One processor and a clock that counts instructions, one a nanosecond, so
/// that it does not matter how busy this machine is.
#[allow(dead_code, reason = "of the benchmark")]
pub(crate) const COUNTING: [&str; 6] = [
    "-accel",
    "tcg,thread=single",
    "-icount",
    "shift=0,sleep=off",
    "-smp",
    "1",
];

/// [`boot_as`] a machine on which races are races.
#[allow(dead_code, reason = "the benchmark has another")]
pub(crate) fn boot(program: &Path, kernel: &Path, initrd: &[u8], options: &[&str]) -> String {
    boot_as(&[&RACING, options].concat(), program, kernel, initrd)
}

/// Boots the machine that `program` is for, with these options more, and
/// returns what the console said.
pub(crate) fn boot_as(options: &[&str], program: &Path, kernel: &Path, initrd: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("initrd");
    fs::write(&path, initrd).unwrap();
    let machine = Machine::of(program);
    let output = Command::new("timeout")
        .args([TIME_LIMIT, machine.qemu])
        .args(machine.options)
        .args(options)
        .args(["-nographic", "-no-reboot", "-net", "none"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(&path)
        .arg("-append")
        .arg(format!("console={} quiet panic=-1", machine.console))
        .stdin(Stdio::null())
        .output()
        .expect("QEMU is installed");
    let console = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    if let Some(path) = std::env::var_os("HULLKIT_CONSOLE") {
        fs::write(path, &console).unwrap();
    }
    assert!(
        console.contains("=== end\n"),
        "the guest did not get to its end:\n{console}"
    );
    console
}
