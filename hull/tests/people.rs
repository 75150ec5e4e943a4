//! What people look at system images with: `hull diff`, `hull inspect`, and
//! what shells and man(1) are told.

#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "other tests want more of it")]
#[path = "linuxkit_way/scene.rs"]
mod scene;

use std::process::Command;

use scene::Scene;
use serde_json::Value;

const WEB: &str = "\
kernel: {image: 'dir:kernel', cmdline: console=ttyS0}
services:
  - {name: web, image: 'dir:web', command: [/bin/httpd], readonly: true}
files:
  - {path: etc/motd, contents: hello, mode: '0644'}
";

const PAGE: &str = "containers/services/web/rootfs/usr/page";

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("kernel/kernel", "the kernel");
    scene.write("kernel/kernel.tar", [0; 1024]);
    scene.write("web/bin/httpd", "a web server");
    scene.write("web/usr/page", "x".repeat(70_000));
    scene.write("web.yml", WEB);
    scene
}

/// Another system: another text, a file more, a file less, another mode.
fn change(scene: &Scene) {
    scene.write("web/bin/httpd", "a better server");
    scene.write("web/usr/new", "new");
    std::fs::remove_file(scene.path("web/usr/page")).unwrap();
    let yaml = WEB.replace("0644", "0600").replace("ttyS0", "ttyS1");
    scene.write("web.yml", yaml);
}

/// Runs `hull diff`; its exit code and standard output.
fn diff(scene: &Scene, args: &[&str]) -> (Option<i32>, String) {
    let output = scene.run(&[&["diff"][..], args].concat());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "", "{args:?}");
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

const ALL: &str = "kernel+initrd,tar,tar-kernel-initrd,docker";

#[test]
fn two_systems_differ_by_what_changed() {
    let scene = scene();
    scene.ok(&["build", "--format", ALL, "--name", "a", "web.yml"]);
    scene.ok(&["build", "--format", ALL, "--name", "same", "web.yml"]);
    change(&scene);
    scene.ok(&["build", "--format", ALL, "--name", "b", "web.yml"]);
    let httpd = "  containers/services/web/rootfs/bin/httpd  content, 12 → 15 bytes";
    for (ending, prefix) in [
        ("", ""),
        ("-initrd.img", ""),
        (".tar", ""),
        ("-initrd.tar", ""),
        ("-docker.tar", "docker-archive:"),
    ] {
        let [a, same, b] = ["a", "same", "b"].map(|name| format!("{prefix}{name}{ending}"));
        assert_eq!(diff(&scene, &[&a, &same]), (Some(0), String::new()), "{a}");
        let (code, told) = diff(&scene, &[&a, &b]);
        assert_eq!(code, Some(1), "{told}");
        let lines: Vec<_> = told.lines().collect();
        for line in [
            "added: 1",
            "  containers/services/web/rootfs/usr/new  file, 3 bytes",
            "removed: 1",
            &format!("  {PAGE}  file, 70000 bytes"),
            httpd,
            "  etc/motd  mode 0644 → 0600",
        ] {
            assert!(lines.contains(&line), "{a}: {line} in {told}");
        }
        let has_kernel = !["-initrd.img", "-docker.tar"].contains(&ending);
        let cmdline = told.contains("  boot/cmdline  content\n");
        assert_eq!(cmdline, has_kernel, "{a}: {told}");
        assert_eq!(diff(&scene, &["--quiet", &a, &b]), (Some(1), String::new()));
    }
    // The forms are compared with each other: an initrd has two files more.
    let (code, told) = diff(&scene, &["a.tar", "a"]);
    assert_eq!(
        (code, told.lines().next()),
        (Some(1), Some("added: 2")),
        "{told}"
    );
    assert_eq!(told.lines().count(), 3, "{told}");
    assert_eq!(
        diff(&scene, &["a-initrd.tar", "a"]),
        (Some(0), String::new())
    );
    // Compressed by others.
    scene.tool("gzip", &["-k", "a.tar"]);
    assert_eq!(
        diff(&scene, &["a.tar", "a.tar.gz"]),
        (Some(0), String::new())
    );
}

#[test]
fn differences_are_read_by_programs() {
    let scene = scene();
    scene.ok(&["build", "--name", "a", "--format", "tar", "web.yml"]);
    change(&scene);
    scene.ok(&["build", "--name", "b", "--format", "tar", "web.yml"]);
    let (code, json) = diff(&scene, &["--json", "a.tar", "b.tar"]);
    assert_eq!(code, Some(1));
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["first"]["form"], "tar");
    assert_eq!(found["removed"][0]["path"], PAGE);
    assert_eq!(found["removed"][0]["size"], 70_000);
    assert_eq!(found["added"][0]["kind"], "file");
    let changed = found["changed"].as_array().unwrap();
    let of = |path: &str| changed.iter().find(|one| one["path"] == path).unwrap();
    let motd = of("etc/motd");
    assert_eq!(
        (&motd["before"]["mode"], &motd["after"]["mode"]),
        (&"0644".into(), &"0600".into())
    );
    assert_eq!(motd["before"]["digest"], motd["after"]["digest"]);
    let httpd = of("containers/services/web/rootfs/bin/httpd");
    let sum = scene.tool("sha256sum", &["web/bin/httpd"]);
    let digest = format!("sha256:{}", sum.split(' ').next().unwrap());
    assert_eq!(httpd["after"]["digest"], digest.as_str());
    let quiet = diff(&scene, &["--json", "--quiet", "a.tar", "b.tar"]);
    assert_eq!(quiet, (Some(1), String::new()));
    let (code, json) = diff(&scene, &["--json", "a.tar", "a.tar"]);
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (code, &found["changed"]),
        (Some(0), &Value::Array(Vec::new()))
    );
}

#[test]
fn what_cannot_be_compared_is_exit_code_2() {
    let scene = scene();
    let formats = "kernel+squashfs,kernel+erofs,tar";
    scene.ok(&["build", "--name", "a", "--format", formats, "web.yml"]);
    scene.write("text", "neither nor");
    scene.write("broken", "070701no header");
    std::fs::write(
        scene.path("short.tar"),
        &std::fs::read(scene.path("a.tar")).unwrap()[..900],
    )
    .unwrap();
    for (name, word) in [
        (
            "a-squashfs.img",
            "a squashfs (or an ISO) cannot be read; what can be read is",
        ),
        ("a-erofs.img", "an erofs cannot be read"),
        ("a-kernel", "neither initrd nor tar cannot be read"),
        ("text", "neither initrd nor tar"),
        (
            "broken",
            "initrd broken: entry \"at byte 0\": the archive ends",
        ),
        ("short.tar", "short.tar"),
        ("web", "a folder without dir: or oci:"),
        ("dir:nothing", "nothing"),
        (
            "gone",
            "there is no file \"gone\" and no \"gone-initrd.img\"; image \"gone\"",
        ),
        ("./gone.img", "there is no file \"./gone.img\""),
    ] {
        let output = scene.run(&["diff", "a.tar", name]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(word), "{name}: {errors}");
        assert!(output.stdout.is_empty());
        // Every other command has 1 for errors.
        assert_eq!(scene.fails(&["inspect", name]), errors);
    }
    assert_eq!(scene.run(&["diff", "a.tar"]).status.code(), Some(2));
}

#[test]
fn an_image_is_shown_by_size_as_a_tree() {
    let scene = scene();
    scene.ok(&["build", "--name", "a", "web.yml"]);
    let told = scene.ok(&["inspect", "--depth", "5", "a"]);
    let mut lines = told.lines();
    let title = lines.next().unwrap();
    assert!(title.starts_with("a (kernel+initrd): "), "{title}");
    let total: u64 = title.rsplit(' ').nth(1).unwrap().parse().unwrap();
    assert!(total > 70_000, "{title}");
    // The largest is first, all the way down.
    for name in ["/", "containers/", "services/", "web/", "rootfs/", "usr/"] {
        let line = lines.next().unwrap();
        assert!(line.ends_with(name), "{name}: {told}");
    }
    assert!(
        told.contains("      70 000  │        │  ├─ usr/\n"),
        "{told}"
    );
    assert!(!told.contains("page"), "{told}");
    assert_eq!(
        scene.ok(&["inspect", "--depth", "0", "a"]).lines().count(),
        2
    );

    let json: Value = serde_json::from_str(&scene.ok(&["inspect", "--json", "a"])).unwrap();
    assert_eq!(
        (&json["form"], &json["tree"]["bytes"]),
        (&"kernel+initrd".into(), &total.into())
    );
    let containers = &json["tree"]["entries"][0];
    assert_eq!(containers["name"], "containers");
    assert!(
        containers["entries"][0].get("entries").is_none(),
        "{containers}"
    );
    // What of du(1) is left when blocks do not count.
    let sizes = json["tree"]["entries"].as_array().unwrap();
    assert_eq!(
        sizes
            .iter()
            .map(|one| one["bytes"].as_u64().unwrap())
            .sum::<u64>(),
        total
    );
}

#[test]
fn images_are_shown_wherever_they_come_from() {
    let scene = scene();
    scene.ok(&["image", "import", "web:1", "dir:web"]);
    scene.ok(&["image", "export", "web:1", "oci:layout:1"]);
    scene.ok(&["image", "export", "web:1", "docker-archive:web.tar"]);
    let names = ["web:1", "oci:layout:1", "docker-archive:web.tar", "dir:web"];
    for name in names {
        let told = scene.ok(&["inspect", name]);
        let (title, tree) = told.split_once('\n').unwrap();
        assert_eq!(title, format!("{name} (image): 2 files, 70012 bytes"));
        let wanted = "      70 012  /
      70 000  ├─ usr/
      70 000  │  └─ page
          12  └─ bin/
          12     └─ httpd
";
        assert_eq!(tree, wanted);
        assert_eq!(diff(&scene, &["dir:web", name]), (Some(0), String::new()));
    }
}

/// All commands, as their help lists them: `image pull`.
fn commands(scene: &Scene) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut todo = vec![Vec::new()];
    while let Some(command) = todo.pop() {
        let mut args: Vec<&str> = command.iter().map(String::as_str).collect();
        args.push("--help");
        let help = scene.ok(&args);
        let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        for line in list.take_while(|line| !line.is_empty()) {
            let name = line.split_whitespace().next().unwrap();
            // Further lines of a description stand further to the right.
            if line.starts_with("  ") && !line.starts_with("   ") && name != "help" {
                todo.push([&command[..], &[name.to_owned()]].concat());
            }
        }
        found.push(command);
    }
    found
}

#[test]
fn every_command_has_a_page_and_is_completed() {
    let scene = Scene::new();
    let commands = commands(&scene);
    let known = [
        &["diff"][..],
        &["image", "pull"],
        &["man"],
        &["pkg", "build"],
    ];
    for command in known {
        assert!(commands.iter().any(|one| one == command), "{command:?}");
    }
    scene.ok(&["man", "--dir", "man/man1"]);
    let shells = ["bash", "zsh", "fish"].map(|shell| scene.ok(&["completion", shell]));
    for command in &commands {
        let name = [&["hull".to_owned()], &command[..]].concat().join("-");
        let page = std::fs::read_to_string(scene.path(&format!("man/man1/{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME"), "{name}");
        for script in &shells {
            let last = command.last().map_or("hull", String::as_str);
            assert!(script.contains(last), "{name}");
        }
    }
    let pages = std::fs::read_dir(scene.path("man/man1")).unwrap().count();
    assert_eq!(pages, commands.len(), "pages without a command");
    assert_eq!(
        scene.ok(&["man"]),
        std::fs::read_to_string(scene.path("man/man1/hull.1")).unwrap()
    );
}

#[test]
fn shells_read_the_scripts() {
    let scene = Scene::new();
    let mut read = 0;
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = scene.ok(&["completion", shell]);
        scene.write(shell, script);
        if Command::new(shell).arg("--version").output().is_err() {
            println!("{shell} is not there");
            continue;
        }
        scene.tool(shell, &[check, shell]);
        read += 1;
    }
    assert!(read > 0, "no shell is there");
    // What the script of bash answers to a half-typed word.
    let ask = "source ./bash; COMP_WORDS=(hull insp); COMP_CWORD=1; _hull hull insp hull; \
               echo \"${COMPREPLY[*]}\"";
    assert_eq!(scene.tool("bash", &["-c", ask]), "inspect\n");
}

#[test]
fn no_colour_leaves_none() {
    let scene = Scene::new();
    let help = |name: &str, value: &str| {
        let output = scene
            .hull()
            .arg("nonsense")
            .env(name, value)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        output.stderr.contains(&0x1b)
    };
    assert!(
        help("CLICOLOR_FORCE", "1"),
        "colours where they are asked for"
    );
    assert!(!help("NO_COLOR", "1"));
    let both = scene
        .hull()
        .arg("nonsense")
        .envs([("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])
        .output()
        .unwrap();
    assert!(!both.stderr.contains(&0x1b));
}
