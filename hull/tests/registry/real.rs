//! Against Debian's `docker-registry`, with `skopeo` as the other client.

use std::process::Command;

use super::scene::{Registry, Scene, digest_in};

/// What skopeo says; it has to succeed.
#[track_caller]
fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(args)
        .output()
        .expect("skopeo is not here: build/deps.sh test installs it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The digest that a registry has a name for, by skopeo's word.
fn digest_by_skopeo(name: &str) -> String {
    let place = format!("docker://{name}");
    let text = skopeo(&[
        "inspect",
        "--tls-verify=false",
        "--format",
        "{{.Digest}}",
        &place,
    ]);
    text.trim().to_owned()
}

#[test]
fn an_image_of_two_architectures_goes_there_and_back() {
    let registry = Registry::start();
    let name = registry.name("a/b:1");
    let here = Scene::new();
    here.image(&name, "amd64", "x");
    here.image(&name, "arm64", "arm");
    let pushed = digest_in(&here.ok(&["image", "push", &name]));
    assert_eq!(digest_by_skopeo(&name), pushed.to_string());

    let there = Scene::new();
    there.ok(&["image", "pull", "--all", &name]);
    assert_eq!(there.text(&name, "amd64"), "x");
    assert_eq!(there.text(&name, "arm64"), "arm");
    let list = |scene: &Scene| scene.ok(&["image", "ls", "--json"]);
    assert_eq!(list(&there), list(&here));
    there.is_whole();

    // The index's digest is a name, too.
    let pinned = registry.name(&format!("a/b@{pushed}"));
    let other = Scene::new();
    other.ok(&["image", "pull", "--arch", "arm64", &pinned]);
    assert_eq!(other.text(&pinned, "arm64"), "arm");
    let error = other.fails(&["image", "export", "--arch", "amd64", &pinned, "oci:x"]);
    assert!(error.contains("there is no image"), "{error}");
}

#[test]
fn one_architecture_keeps_its_digest_and_another_is_refused() {
    let registry = Registry::start();
    let name = registry.name("one:1");
    let scene = Scene::new();
    scene.image(&name, "arm64", "arm");
    let pushed = digest_in(&scene.ok(&["image", "push", &name]));
    let listed = scene.ok(&["image", "ls", "--json"]);
    assert!(listed.contains(&pushed.to_string()), "{listed}");
    let error = scene.fails(&["image", "pull", "--arch", "amd64", &name]);
    assert!(
        error.contains("no image for amd64, only for arm64"),
        "{error}"
    );
    let error = scene.fails(&["image", "push", "--arch", "amd64", &name]);
    assert!(error.contains("there is no image"), "{error}");
    // Again: nothing is sent twice, and nothing changes.
    assert_eq!(digest_in(&scene.ok(&["image", "push", &name])), pushed);
    let copy = registry.name("copy/of:it");
    assert_eq!(
        digest_in(&scene.ok(&["image", "push", &name, &copy])),
        pushed
    );
}

#[test]
fn what_skopeo_brought_there_is_pulled() {
    let registry = Registry::start();
    let scene = Scene::new();
    scene.image("web:1", "amd64", "by skopeo");
    let layout = format!("oci:{}:1", scene.path("layout").display());
    scene.ok(&["image", "export", "web:1", &layout]);
    for format in ["oci", "v2s2"] {
        let name = registry.name(&format!("web:{format}"));
        let to = format!("docker://{name}");
        skopeo(&[
            "copy",
            "--dest-tls-verify=false",
            "--dest-compress",
            "--format",
            format,
            &layout,
            &to,
        ]);
        let digest = digest_in(&scene.ok(&["image", "pull", "--arch", "amd64", &name]));
        assert_eq!(digest.to_string(), digest_by_skopeo(&name));
        assert_eq!(scene.text(&name, "amd64"), "by skopeo");
    }
    scene.is_whole();
}

#[test]
fn skopeo_reads_what_is_exported() {
    let scene = Scene::new();
    scene.image("web:1", "amd64", "x");
    scene.image("web:1", "arm64", "arm");
    let layout = format!("oci:{}", scene.path("layout").display());
    let digest = digest_in(&scene.ok(&["image", "export", "web:1", &layout]));
    let inspect = |arch: &str, from: &str| {
        let from = from.to_owned();
        skopeo(&[
            "inspect",
            "--override-arch",
            arch,
            "--override-os",
            "linux",
            &from,
        ])
    };
    let seen = inspect("arm64", &format!("{layout}:1"));
    assert!(
        seen.contains(&digest.to_string()) && seen.contains("\"arm64\""),
        "{seen}"
    );
    // A second image beside it, and the first in another version.
    scene.image("web:2", "amd64", "x2");
    scene.ok(&["image", "export", "web:2", &layout]);
    scene.ok(&["image", "export", "--arch", "amd64", "web:1", &layout]);
    assert!(inspect("amd64", &format!("{layout}:1")).contains("\"amd64\""));
    assert!(inspect("amd64", &format!("{layout}:2")).contains("\"amd64\""));

    let archive = format!("docker-archive:{}", scene.path("a.tar").display());
    scene.ok(&["image", "export", "--arch", "amd64", "web:1", &archive]);
    let seen = inspect("amd64", &archive);
    assert!(seen.contains("\"Layers\""), "{seen}");
    let first = std::fs::read(scene.path("a.tar")).unwrap();
    scene.ok(&["image", "export", "--arch", "amd64", "web:1", &archive]);
    assert_eq!(
        first,
        std::fs::read(scene.path("a.tar")).unwrap(),
        "the same bytes"
    );
    let error = scene.fails(&["image", "export", "web:1", "dir:x"]);
    assert!(error.contains("oci:DIR"), "{error}");
}

#[test]
fn a_password_is_taken_from_dockers_configuration() {
    let registry = Registry::with_password();
    let name = registry.name("secret:1");
    let scene = Scene::new();
    scene.image(&name, "amd64", "x");
    let error = scene.fails(&["image", "push", &name]);
    assert!(
        error.contains("401") && error.contains("docker login"),
        "{error}"
    );
    scene.log_in(&registry.host, "me", "wr0ng-pass");
    let error = scene.fails(&["image", "pull", "--arch", "amd64", &name]);
    assert!(
        error.contains("401") && !error.contains("wr0ng-pass"),
        "{error}"
    );
    scene.log_in(&registry.host, "me", "s3cret");
    scene.ok(&["image", "push", &name]);
    let there = Scene::new();
    there.log_in(&registry.host, "me", "s3cret");
    there.ok(&["image", "pull", "--arch", "amd64", &name]);
    assert_eq!(there.text(&name, "amd64"), "x");
}

#[test]
fn a_password_is_taken_from_a_credential_helper() {
    use std::os::unix::fs::PermissionsExt;
    let registry = Registry::with_password();
    let name = registry.name("secret:1");
    let scene = Scene::new();
    scene.image(&name, "amd64", "x");
    scene.write(".docker/config.json", r#"{"credsStore": "test"}"#);
    let helper = |script: &str| {
        scene.write("bin/docker-credential-test", script);
        let all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(scene.path("bin/docker-credential-test"), all).unwrap();
        let path = format!(
            "{}:{}",
            scene.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let output = scene
            .hull()
            .env("PATH", path)
            .args(["image", "push", &name])
            .output();
        let output = output.unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let good = format!(
        "#!/bin/sh\nread host; [ \"$1 $host\" = 'get {}' ] || exit 1\n\
         echo '{{\"Username\":\"me\",\"Secret\":\"s3cret\"}}'\n",
        registry.host
    );
    assert_eq!(helper(&good), (true, String::new()));
    let (done, error) = helper("#!/bin/sh\nread host\necho s3cret is what it is; exit 1\n");
    assert!(
        !done && error.contains("docker-credential-test failed"),
        "{error}"
    );
    assert!(!error.contains("s3cret"), "{error}");
    let (done, error) =
        helper("#!/bin/sh\nread host\necho credentials not found in native keychain; exit 1\n");
    assert!(!done && error.contains("401"), "{error}");
}

#[test]
fn a_build_pulls_what_it_lacks_and_asks_again_only_when_told() {
    let registry = Registry::start();
    let name = registry.name("web:1");
    let from = Scene::new();
    from.image(&name, "amd64", "first");
    from.ok(&["image", "push", &name]);

    let scene = Scene::new();
    scene.write("guest/x86_64/init", "the init");
    scene.write("guest/x86_64/runc-shim", "the runtime");
    let yaml =
        format!("services: [{{name: web, image: '{name}', command: [/x], readonly: true}}]\n");
    scene.write("web.yml", yaml);
    let text = |scene: &Scene| {
        let tar = std::fs::read(scene.path("web.tar")).unwrap();
        let tar = String::from_utf8_lossy(&tar).into_owned();
        ["first", "second"].map(|word| tar.contains(word))
    };
    let build = |more: &[&'static str]| {
        [
            &["build", "--arch", "x86_64", "--format", "tar"],
            more,
            &["web.yml"],
        ]
        .concat()
    };
    let error = scene.fails(&build(&["--offline"]));
    assert!(error.contains("not in the store"), "{error}");
    scene.ok(&build(&[]));
    assert_eq!(text(&scene), [true, false]);

    from.image(&name, "amd64", "second");
    from.ok(&["image", "push", &name]);
    scene.ok(&build(&[]));
    assert_eq!(text(&scene), [true, false], "the store's is good enough");
    scene.ok(&build(&["--pull"]));
    assert_eq!(text(&scene), [false, true]);

    // An image that was made here is known to no registry.
    scene.image(&registry.name("own:1"), "amd64", "first");
    scene.write(
        "web.yml",
        format!(
            "services: [{{name: web, image: '{}', command: [/x], readonly: true}}]\n",
            registry.name("own:1")
        ),
    );
    scene.ok(&build(&["--pull"]));
    assert_eq!(text(&scene), [true, false]);

    drop(registry);
    scene.ok(&build(&[]));
    let error = scene.fails(&build(&["--pull"]));
    assert!(error.contains("cannot be reached"), "{error}");
}

#[test]
fn programs_that_pull_and_collect_at_once_do_no_harm() {
    let registry = Registry::start();
    let names: Vec<_> = (0..3).map(|i| registry.name(&format!("i{i}:1"))).collect();
    let from = Scene::new();
    for name in &names {
        from.image(name, "amd64", "shared");
        from.ok(&["image", "push", name]);
    }
    let scene = Scene::new();
    std::thread::scope(|scope| {
        for name in &names {
            for _ in 0..2 {
                scope.spawn(|| scene.ok(&["image", "pull", "--arch", "amd64", name]));
            }
            scope.spawn(|| scene.ok(&["image", "gc"]));
        }
    });
    scene.is_whole();
    for name in &names {
        assert_eq!(scene.text(name, "amd64"), "shared");
    }
    scene.ok(&["image", "rm", &names[0], &names[1]]);
    assert_eq!(scene.text(&names[2], "amd64"), "shared");
}
