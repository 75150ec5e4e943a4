//! Lock files and signatures, against Debian's `docker-registry`. Keys and
//! signatures are made by openssl(1), as cosign's manual says.

use std::process::Command;

use hull::digest::Digest;
use serde_json::{Value, json};

use super::scene::{Registry, Scene, digest_in};

/// A scene that can build, and a YAML that names `image`.
fn builder(image: &str) -> Scene {
    let scene = Scene::new();
    scene.write("guest/x86_64/init", "the init");
    scene.write("guest/x86_64/runc-shim", "the runtime");
    let yaml =
        format!("services: [{{name: web, image: '{image}', command: [/x], readonly: true}}]\n");
    scene.write("web.yml", yaml);
    scene
}

fn build<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [
        &["build", "--arch", "x86_64", "--format", "tar"],
        more,
        &["web.yml"],
    ]
    .concat()
}

/// Whether the result holds this text.
fn holds(scene: &Scene, text: &str) -> bool {
    let tar = std::fs::read(scene.path("web.tar")).unwrap();
    String::from_utf8_lossy(&tar).contains(text)
}

#[test]
fn a_locked_build_takes_what_was_locked() {
    let registry = Registry::start();
    let name = registry.name("web:1");
    let from = Scene::new();
    let push = |text: &str| {
        from.image(&name, "amd64", text);
        from.image(&name, "arm64", text);
        from.ok(&["image", "push", &name]);
    };
    push("first");
    let scene = builder(&name);
    let error = scene.fails(&build(&["--locked"]));
    assert!(
        error.contains("web.lock") && error.contains("hull lock"),
        "{error}"
    );
    assert_eq!(scene.ok(&["lock", "web.yml"]), "web.lock\n");
    let lock = std::fs::read_to_string(scene.path("web.lock")).unwrap();
    let parsed: Value = serde_json::from_str(&lock).unwrap();
    let digests = parsed["images"][&name].as_object().unwrap();
    let platforms: Vec<_> = digests.keys().collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(
        scene.ok(&["image", "ls", "--json"]),
        "[]\n",
        "nothing was loaded"
    );

    push("second");
    for more in [
        &["--locked"][..],
        &["--locked", "--pull"],
        &["--locked", "--offline"],
    ] {
        scene.ok(&build(more));
        assert!(holds(&scene, "first") && !holds(&scene, "second"));
    }
    scene.ok(&build(&[]));
    assert!(holds(&scene, "second"), "without a lock the tag counts");
    scene.ok(&["lock", "--pull", "web.yml"]);
    assert_ne!(
        std::fs::read_to_string(scene.path("web.lock")).unwrap(),
        lock
    );
    scene.ok(&build(&["--locked"]));
    assert!(holds(&scene, "second"));

    // What is made here is locked as well, and only for what it is made for.
    scene.image("own:1", "amd64", "third");
    scene.write(
        "web.yml",
        "services: [{name: web, image: 'own:1', command: [/x], readonly: true}]\n",
    );
    scene.ok(&["lock", "--offline", "--lock-file", "own.lock", "web.yml"]);
    let error = scene.fails(&build(&["--locked"]));
    assert!(
        error.contains("does not have own:1 for linux/amd64"),
        "{error}"
    );
    scene.ok(&build(&[
        "--locked",
        "--offline",
        "--lock-file",
        "own.lock",
    ]));
    scene.image("own:1", "amd64", "fourth");
    scene.ok(&["image", "gc"]);
    let error = scene.fails(&build(&[
        "--locked",
        "--offline",
        "--lock-file",
        "own.lock",
    ]));
    assert!(
        error.contains("own@sha256:") || error.contains("not in the store"),
        "{error}"
    );
}

/// What openssl says; it has to succeed.
#[track_caller]
fn openssl(scene: &Scene, args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl")
        .current_dir(scene.0.path())
        .args(args)
        .output();
    let output = output.expect("openssl is not here: build/deps.sh test installs it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    output.stdout
}

/// A key pair, as files `NAME.key` and `NAME.pub`.
fn key(scene: &Scene, name: &str) {
    let (private, public) = (format!("{name}.key"), format!("{name}.pub"));
    openssl(
        scene,
        &[
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            &private,
        ],
    );
    openssl(scene, &["ec", "-in", &private, "-pubout", "-out", &public]);
}

/// Signs a digest in a repository and puts the signature there, as
/// `cosign sign --key` does.
fn sign(scene: &Scene, registry: &Registry, key: &str, repository: &str, digest: Digest) {
    let name = registry.name(repository);
    let payload = json!({"critical": {
        "identity": {"docker-reference": name},
        "image": {"docker-manifest-digest": digest.to_string()},
        "type": "cosign container image signature",
    }, "optional": null});
    let payload = payload.to_string().into_bytes();
    scene.write("payload", &payload);
    let private = format!("{key}.key");
    openssl(
        scene,
        &[
            "dgst",
            "-sha256",
            "-sign",
            &private,
            "-out",
            "signature",
            "payload",
        ],
    );
    let signature = openssl(scene, &["base64", "-A", "-in", "signature"]);
    let config = json!({
        "architecture": "", "os": "", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&payload).to_string()]},
    });
    let config = config.to_string().into_bytes();
    registry.put_blob(repository, &payload);
    registry.put_blob(repository, &config);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": Digest::of(&config).to_string(), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": Digest::of(&payload).to_string(), "size": payload.len(),
            "annotations": {"dev.cosignproject.cosign/signature":
                String::from_utf8(signature).unwrap().trim()}}],
    });
    let path = format!("/v2/{repository}/manifests/sha256-{}.sig", digest.hex());
    registry.ask("PUT", &path, kind, manifest.to_string().as_bytes());
}

#[test]
fn a_policy_takes_signed_images_only() {
    let registry = Registry::start();
    let name = registry.name("web:1");
    let from = Scene::new();
    from.image(&name, "amd64", "first");
    from.image(&name, "arm64", "first");
    let index = digest_in(&from.ok(&["image", "push", &name]));
    let scene = builder(&name);
    key(&scene, "good");
    key(&scene, "evil");
    let policy = json!({
        "default": [{"type": "reject"}],
        "transports": {"docker": {&registry.host: [{
            "type": "sigstoreSigned", "keyPath": "good.pub",
            "signedIdentity": {"type": "matchRepository"},
        }]}},
    });
    scene.write("policy.json", policy.to_string());
    let pull = [
        "image",
        "pull",
        "--arch",
        "amd64",
        "--policy",
        "policy.json",
        name.as_str(),
    ];
    let refused = |args: &[&str], word: &str| {
        let error = scene.fails(args);
        assert!(
            error.contains(word) && error.contains("policy.json"),
            "{error}"
        );
        assert_eq!(
            scene.ok(&["image", "ls", "--json"]),
            "[]\n",
            "nothing is named"
        );
    };
    refused(&pull, "it is not signed");
    sign(&scene, &registry, "evil", "web", index);
    refused(&pull, "none of the keys");
    sign(&scene, &registry, "good", "web", index);
    scene.ok(&pull);

    // A build checks again, with what the store keeps, and nobody to ask.
    let with = build(&["--policy", "policy.json", "--offline"]);
    scene.ok(&with);
    scene.ok(&["image", "gc"]);
    scene.ok(&with);
    for file in super::scene::files(&scene.path("store/signatures")) {
        std::fs::remove_file(file).unwrap();
    }
    let error = scene.fails(&with);
    assert!(error.contains("it is not signed"), "{error}");
    scene.ok(&build(&["--policy", "policy.json"]));
    scene.ok(&with);

    // A tag that moved to something else is not taken, nor kept.
    from.image(&name, "amd64", "evil");
    from.ok(&["image", "push", "--arch", "amd64", &name]);
    let error = scene.fails(&build(&["--policy", "policy.json", "--pull"]));
    assert!(error.contains("it is not signed"), "{error}");
    scene.ok(&with);
    assert!(holds(&scene, "first"));

    // Other places than registries fall under the policy, too.
    let policy = |default: &str| {
        let policy = json!({"default": [{"type": default}]});
        scene.write(".config/hull/policy.json", policy.to_string());
    };
    scene.write(
        "web.yml",
        "services: [{name: web, image: 'dir:rootfs', command: [/x], readonly: true}]\n",
    );
    scene.write("rootfs/text", "x");
    policy("reject");
    let error = scene.fails(&build(&["--offline"]));
    assert!(error.contains("it is not wanted"), "{error}");
    policy("insecureAcceptAnything");
    scene.ok(&build(&["--offline"]));
    policy("signedBy");
    let error = scene.fails(&build(&["--offline"]));
    assert!(error.contains("signedBy"), "{error}");
}
