//! What a LinuxKit user types, with `hull` in the place of `linuxkit`
//! (`docs/linuxkit.md`): the real program, real files.

#![allow(missing_docs, reason = "a test")]

#[path = "linuxkit_way/scene.rs"]
mod scene;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use scene::Scene;
use serde_json::Value;

const WEB: &str = "\
kernel: {image: 'dir:kernel', cmdline: console=ttyS0}
services:
  - {name: web, image: 'dir:web', command: [/bin/httpd]}
";

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("kernel/kernel", "the kernel");
    scene.write("kernel/kernel.tar", [0; 1024]);
    scene.write("web/bin/httpd", "a web server");
    scene.write("web.yml", WEB);
    scene
}

/// The members of a tar, as GNU tar lists them.
fn members(scene: &Scene, tar: &str) -> String {
    scene.tool("tar", &["-tf", tar])
}

#[test]
fn files_come_from_everywhere_and_are_one() {
    let scene = scene();
    scene.write(
        "more.yml",
        "kernel: {cmdline: quiet}\nservices: [{name: b, image: x}]",
    );
    let merged = scene.ok(&["build", "--dry-run", "web.yml", "more.yml"]);
    assert!(merged.contains("\"cmdline\": \"quiet\""), "{merged}");
    assert!(merged.contains("\"image\": \"dir:kernel\""), "{merged}");
    assert!(merged.find("\"web\"") < merged.find("\"b\""), "{merged}");
    // What is printed is a build file again.
    scene.write("merged.yml", &merged);
    assert_eq!(scene.ok(&["build", "--dry-run", "merged.yml"]), merged);
    let standard_input = scene.ok_with(&["build", "--dry-run", "-", "more.yml"], WEB);
    assert_eq!(standard_input, merged);
    assert!(!scene.path("moby-kernel").exists());
    scene.ok_with(&["build", "-"], WEB);
    assert!(scene.path("moby-kernel").exists());
    // The last file gives the name.
    scene.ok(&[
        "build",
        "more.yml",
        "web.yml",
        "--set",
        "services.b.image=dir:web",
        "--set",
        "services.b.command=[x]",
    ]);
    assert!(scene.path("web-initrd.img").exists());
}

/// Serves each answer once, in order, to whoever asks.
fn server(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                request.push(byte[0]);
            }
            // Who has read enough closes.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

fn answer(status: &str, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")
}

#[test]
fn files_of_the_web_are_fetched() {
    let scene = scene();
    let online = |args: &[&str]| {
        scene
            .hull()
            .env_remove("HULL_OFFLINE")
            .args(args)
            .output()
            .unwrap()
    };
    let url = server(vec![answer("200 OK", WEB)]) + "/a/web.yml";
    let output = online(&["build", "--dry-run", &url]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("dir:kernel"));
    let far = server(vec![
        "HTTP/1.1 302 Found\r\nLocation: /b.yml\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            .to_owned(),
        answer("200 OK", "services: [{name: a}]"),
    ]);
    let long = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
        "#".repeat(5 << 20)
    );
    let template = answer("200 OK", "init: ['@pkg:x']");
    for (url, word) in [
        (far, ":1: services[0]: the key \"image\" is missing"),
        (
            server(vec![answer("404 Not Found", "")]),
            "the answer is HTTP status 404",
        ),
        (server(vec![long]), "longer than 4194304 bytes"),
        (
            server(vec![template]),
            "init[0]: a file of the web names no package folder",
        ),
        ("http://127.0.0.1:9/x.yml".to_owned(), "refused"),
        (
            "http://user:secret@localhost/x.yml".to_owned(),
            "without a user's name",
        ),
    ] {
        let output = online(&["validate", &url]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{url}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(word), "{errors}");
        assert!(!errors.contains("secret"), "{errors}");
    }
    let offline = scene.fails(&["validate", "http://localhost/x.yml"]);
    assert!(
        offline.contains("nothing is fetched with --offline"),
        "{offline}"
    );
}

#[test]
fn values_are_set_and_wrong_ones_named() {
    let scene = scene();
    let set = |set: &str| scene.ok(&["build", "--dry-run", "--set", set, "web.yml"]);
    assert!(set("kernel.cmdline=a=b c").contains("\"cmdline\": \"a=b c\""));
    assert!(set("services.web.readonly=true").contains("\"readonly\": true"));
    let composed = scene.ok(&[
        "compose",
        "--set",
        "services[0].env=[A=1]",
        "web.yml",
        "web",
    ]);
    let composed: Value = serde_json::from_str(&composed).unwrap();
    assert_eq!(
        composed["config"]["process"]["env"],
        serde_json::json!(["A=1"])
    );
    for (set, word) in [
        (
            "services.wbe.uid=1",
            "--set:1: services.wbe.uid: services has no \"wbe\", only: web",
        ),
        (
            "services.web.commnd=[x]",
            "unknown key \"commnd\" (did you mean \"command\"?)",
        ),
        (
            "kernel.cmdline=[x]",
            "--set:1: kernel.cmdline: found a list, allowed: text",
        ),
    ] {
        let error = scene.fails(&["validate", "--set", set, "web.yml"]);
        assert!(error.contains(word), "{error}");
    }
    let wrong = scene.run(&["validate", "--set", "x", "web.yml"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn package_folders_stand_for_their_images() {
    let scene = scene();
    scene.write(
        "pkgs/a/build.yml",
        "image: a\norg: me\nfiles: [{path: x, contents: y}]\nentrypoint: [/x]\n",
    );
    // LinuxKit's own have keys that hull does not build by.
    scene.write(
        "pkgs/b/build.yml",
        "image: b\nnetwork: true\nbuildArgs: [A=1]\n",
    );
    scene.write(
        "sub/sys.yml",
        "init: ['@pkg:../pkgs/b']\nservices: [{name: a, image: '@pkg:../pkgs/a'}]\n",
    );
    let merged = scene.ok(&["build", "--dry-run", "sub/sys.yml"]);
    assert!(merged.contains("\"hullkit/b:latest\""), "{merged}");
    assert!(merged.contains("\"image\": \"me/a:latest\""), "{merged}");
    scene.ok(&["pkg", "build", "pkgs/a"]);
    let composed = scene.ok(&["compose", "sub/sys.yml", "a"]);
    assert!(composed.contains("\"/x\""), "{composed}");
    for (image, word) in [
        (
            "@pkg:nowhere",
            "init[0]: @pkg:nowhere: sub/nowhere/build.yml: No such file",
        ),
        ("@img:x", "found \"@img:x\", allowed: an image, or @pkg:DIR"),
    ] {
        scene.write("sub/bad.yml", format!("init: ['{image}']\n"));
        let error = scene.fails(&["validate", "sub/bad.yml"]);
        assert!(
            error.contains("sub/bad.yml:1: ") && error.contains(word),
            "{error}"
        );
    }
    assert_eq!(
        scene.ok(&["pkg", "show-tag", "pkgs/a", "pkgs/b"]),
        "me/a:latest\nhullkit/b:latest\n"
    );
    let canonical = scene.ok(&["pkg", "show-tag", "--canonical", "--org", "you", "pkgs/a"]);
    assert_eq!(canonical, "docker.io/you/a:latest\n");
}

#[test]
fn one_result_goes_to_one_file_or_to_standard_output() {
    let scene = scene();
    assert_eq!(scene.ok(&["build", "--o", "root.tar", "web.yml"]), "");
    let listed = members(&scene, "root.tar");
    assert!(listed.contains("boot/kernel\n"), "{listed}");
    let output = scene.run(&["build", "-f", "tar", "-o", "-", "web.yml"]);
    assert!(output.status.success());
    assert_eq!(
        output.stdout,
        std::fs::read(scene.path("root.tar")).unwrap()
    );
    scene.ok(&[
        "build",
        "--format",
        "tar-kernel-initrd",
        "-o",
        "sub.tar",
        "web.yml",
    ]);
    assert_eq!(members(&scene, "sub.tar"), "cmdline\ninitrd.img\nkernel\n");
    let several = scene.fails(&["build", "-f", "kernel+initrd", "-o", "x", "web.yml"]);
    assert!(
        several.contains("kernel+initrd is several files"),
        "{several}"
    );
    let formats = scene.fails(&["build", "-f", "tar,docker", "-o", "x", "web.yml"]);
    assert!(
        formats.contains("one file cannot be several formats"),
        "{formats}"
    );
    for other in ["--name", "--dir"] {
        let output = scene.run(&["build", "-o", "x", other, "y", "web.yml"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    let left: Vec<_> = std::fs::read_dir(scene.path(".")).unwrap().collect();
    assert!(left.iter().all(|e| {
        !e.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(".tmp")
    }));
}

#[test]
fn linuxkits_further_flags_are_taken() {
    let scene = scene();
    let output = scene.run(&[
        "build",
        "--docker",
        "--input-tar",
        "x.tar",
        "--name",
        "n",
        "web.yml",
    ]);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{notes}");
    assert!(
        notes.contains("hull: note: --input-tar: not read"),
        "{notes}"
    );
    assert!(notes.contains("hull: note: --docker"), "{notes}");
    let mut kernel = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    kernel.write_all(b"unpacked").unwrap();
    scene.write("kernel/kernel", kernel.finish().unwrap());
    scene.ok(&["build", "--decompress-kernel", "web.yml"]);
    assert_eq!(
        std::fs::read(scene.path("web-kernel")).unwrap(),
        b"unpacked"
    );
    let error = scene.fails(&["build", "--decompress-kernel", "-f", "iso-bios", "web.yml"]);
    assert!(
        error.contains("does not start an unpacked kernel"),
        "{error}"
    );
    let size = scene.run(&["build", "--size", "1X", "web.yml"]);
    assert_eq!(size.status.code(), Some(2));
}

#[test]
fn the_cache_is_the_store() {
    let scene = scene();
    scene.write(
        "pkg/build.yml",
        "image: a\nentrypoint: [/x]\nfiles: [{path: x, contents: y, mode: '0755'}]\n",
    );
    scene.ok(&["pkg", "build", "--platforms", "linux/amd64", "pkg"]);
    let before = scene.ok(&["cache", "ls"]);
    assert!(before.contains("hullkit/a:latest"), "{before}");
    let export = |format: &str, file: &str, name: &str| {
        scene.ok(&[
            "cache",
            "export",
            "--arch",
            "amd64",
            "--format",
            format,
            "--outfile",
            file,
            "--name",
            name,
            "hullkit/a",
        ])
    };
    export("oci", "oci.tar", "me/b:2");
    export("docker", "docker.tar", "me/c");
    export("filesystem", "files.tar", "x");
    assert!(members(&scene, "oci.tar").contains("index.json"));
    assert!(members(&scene, "docker.tar").contains("manifest.json"));
    assert_eq!(members(&scene, "files.tar"), "x\n");
    scene.ok(&["cache", "rm", "hullkit/a"]);
    scene.ok(&["cache", "import", "oci.tar"]);
    let tar = std::fs::read(scene.path("docker.tar")).unwrap();
    scene.ok_with(&["cache", "import", "-"], &tar);
    let listed = scene.ok(&["cache", "ls", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["me/b:2", "me/c:latest"]);
    let inspected = scene.ok(&["image", "inspect", "--arch", "amd64", "me/b:2"]);
    assert!(inspected.contains("\"/x\""), "{inspected}");
    for (file, word) in [
        ("files.tar", "neither an OCI layout (index.json) nor"),
        ("web.yml", "web.yml"),
        ("none.tar", "none.tar: No such file"),
    ] {
        let error = scene.fails(&["cache", "import", file]);
        assert!(error.contains(word), "{error}");
    }
    scene.ok(&["cache", "clean"]);
    assert_eq!(scene.ok(&["cache", "ls", "--json"]), "[]\n");
}

#[test]
fn metadata_is_a_cd_with_one_file() {
    let scene = scene();
    scene.ok(&["metadata", "create", "data.iso", "the metadata"]);
    let listed = scene.tool(
        "xorriso",
        &["-indev", "data.iso", "-find", "/", "-type", "f"],
    );
    assert!(listed.to_lowercase().contains("/config"), "{listed}");
    scene.tool(
        "xorriso",
        &[
            "-osirrox", "on", "-indev", "data.iso", "-extract", "/", "cd",
        ],
    );
    let mut files = std::fs::read_dir(scene.path("cd")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert_eq!(std::fs::read(file).unwrap(), b"the metadata");
    assert!(files.next().is_none());
}

#[test]
fn run_takes_linuxkits_words() {
    let scene = scene();
    scene.ok(&["build", "web.yml"]);
    let dry = |more: &[&str]| {
        let mut args = vec!["run", "qemu", "--dry-run", "--arch", "x86_64"];
        args.extend(more);
        args.push("web");
        scene.ok(&args)
    };
    let usual = dry(&["--kvm=false", "--publish", "8080:80/tcp"]);
    assert!(
        usual.contains("-accel tcg") && usual.contains(":8080-:80"),
        "{usual}"
    );
    let disks = dry(&[
        "--disk",
        "size=1G,format=raw",
        "--disk",
        "file=a.img,size=1M",
    ]);
    assert!(
        disks.contains("web-state/disk0.img") && disks.contains("a.img"),
        "{disks}"
    );
    let bridge = dry(&["--networking", "bridge,br0", "--kvm"]);
    assert!(
        bridge.contains("-netdev bridge,br=br0,id=outside"),
        "{bridge}"
    );
    assert!(bridge.contains("-accel kvm"), "{bridge}");
    assert!(!dry(&["--networking", "none"]).contains("netdev"));
    assert!(dry(&["--data", "x"]).contains("web-state/data.iso"));
    assert!(!scene.path("web-state").exists());
    let other = scene.fails(&["run", "vmware", "web"]);
    assert!(other.contains("hull runs images in QEMU only"), "{other}");
    let publish = scene.fails(&["run", "--networking", "none", "--publish", "1:2", "web"]);
    assert!(publish.contains("needs --networking user"), "{publish}");
}

#[test]
fn a_file_of_proc_is_read_to_its_end() {
    let scene = scene();
    let files = "files: [{path: version, source: /proc/version}]\n";
    scene.write("proc.yml", files);
    scene.ok(&["build", "-o", "proc.tar", "proc.yml"]);
    let found = scene.tool("tar", &["-xOf", "proc.tar", "version"]);
    assert_eq!(found, std::fs::read_to_string("/proc/version").unwrap());
}

#[test]
fn errors_name_the_image_and_the_line() {
    let scene = scene();
    let folder = scene.fails(&["build", "."]);
    assert!(
        folder.contains(".: is a folder; a YAML file is wanted"),
        "{folder}"
    );
    let folder = scene.fails(&["validate", "web"]);
    assert!(folder.contains("web: is a folder"), "{folder}");
    std::fs::create_dir(scene.path("empty")).unwrap();
    scene.write("layout/index.json", "{");
    for (image, word) in [
        ("dir:none", "image \"dir:none\": none: No such file"),
        ("oci:layout", "image \"oci:layout\": layout/index.json: EOF"),
        ("oci:empty", "oci:empty: there is no OCI image layout"),
        (
            "docker-archive:none.tar",
            "image \"docker-archive:none.tar\": none.tar: No such file",
        ),
    ] {
        let yaml = format!("init: []\nservices:\n  - {{name: a, image: '{image}'}}\n");
        scene.write("bad.yml", yaml);
        for command in [
            &["build", "bad.yml"][..],
            &["validate", "--images", "bad.yml"],
            &["compose", "bad.yml"],
        ] {
            let error = scene.fails(command);
            assert!(
                error.contains("bad.yml:3: ") && error.contains(word),
                "{error}"
            );
        }
    }
}

/// What LinuxKit's own images say of themselves.
const LABELS: [(&str, &str); 3] = [
    (
        "linuxkit/getty",
        "{pid: host, net: host, binds: ['/run:/run'], capabilities: [all]}",
    ),
    (
        "linuxkit/sshd",
        "{pid: host, net: host, capabilities: [all]}",
    ),
    (
        "linuxkit/dhcpcd",
        "{net: host, capabilities: [CAP_NET_ADMIN, CAP_NET_RAW]}",
    ),
];

/// The images that a file names, of what `--dry-run` prints.
fn images(merged: &str) -> Vec<&str> {
    let mut images = Vec::new();
    let mut is_init = false;
    for line in merged.lines() {
        if !line.starts_with(' ') {
            is_init = line == "\"init\":";
        }
        let line = line.trim();
        let image = line.strip_prefix("\"image\": ");
        let image = image.or_else(|| line.strip_prefix("- ").filter(|_| is_init));
        images.extend(image.map(|name| name.trim_matches('"')));
    }
    images
}

#[test]
fn linuxkits_examples_compose_with_what_the_store_has() {
    let scene = scene();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/linuxkit-yaml");
    let mut composed = 0;
    let mut there = HashSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let Some(file) = path.to_str().filter(|p| p.ends_with(".yml")) else {
            continue;
        };
        let merged = scene.ok(&["build", "--dry-run", file]);
        for name in images(&merged) {
            if !there.insert(name.to_owned()) {
                continue;
            }
            let label = LABELS.iter().find(|(image, _)| name.starts_with(image));
            let label = label.map_or("{}", |(_, label)| label);
            scene.write(
                "stand-in/build.yml",
                format!("image: x\nentrypoint: [/bin/x]\nconfig: {label}\n"),
            );
            scene.ok(&["pkg", "build", "--name", name, "stand-in"]);
        }
        scene.ok(&["validate", "--images", file]);
        for security in ["default", "linuxkit", "strict"] {
            let list = scene.ok(&["compose", "--security", security, file]);
            let list: Value = serde_json::from_str(&list).unwrap();
            composed += list.as_array().unwrap().len();
        }
    }
    assert!(composed > 100, "{composed}");
}
