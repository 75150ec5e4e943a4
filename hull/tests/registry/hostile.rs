//! Registries that lie, cut off, hang, send elsewhere and refuse.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hull::arch::Arch;
use hull::digest::Digest;
use hull::registry::{Client, Error, Limits, Options};
use hull::store::Store;

use super::scene::{Scene, files};
use super::server::{Reply, Request, Served, Server, content_range, manifest, part};

/// Pulls with little patience; what it says if that fails.
fn pull_with(scene: &Scene, server: &Server, limits: Limits) -> Result<(), Error> {
    let client = Client::new(Options {
        limits,
        ..Options::default()
    });
    let store = Store::new(scene.path("store"));
    let name = server.name("a/b:1").parse().unwrap();
    client.pull(&store, &name, &[Arch::X86_64], None).map(drop)
}

/// No long waits between repeats; the rest as for people.
fn brief() -> Limits {
    Limits {
        pause: Duration::from_millis(1),
        ..Limits::default()
    }
}

fn pull(scene: &Scene, server: &Server) -> Result<(), Error> {
    pull_with(scene, server, brief())
}

/// The refusal, as a line; nothing of the image is in the store.
#[track_caller]
fn refused(scene: &Scene, server: &Server) -> String {
    let error = pull(scene, server).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    assert!(error.contains(&server.host), "{error}");
    let store = Store::new(scene.path("store"));
    assert!(store.list().unwrap().is_empty());
    store.gc().unwrap();
    assert_eq!(
        files(&scene.path("store/blobs/sha256")),
        Vec::<std::path::PathBuf>::new()
    );
    error
}

/// A server of `image`, which `change` may answer for.
fn server(
    image: &Served,
    change: impl Fn(&Request, &Served) -> Option<Reply> + Send + Sync + 'static,
) -> Server {
    let image = image.clone();
    Server::start(move |request| change(request, &image).unwrap_or_else(|| image.answer(request)))
}

/// Is true so many times, and false ever after.
fn first(times: usize) -> impl Fn() -> bool {
    let count = AtomicUsize::new(0);
    move || count.fetch_add(1, Ordering::Relaxed) < times
}

fn is_layer(request: &Request, image: &Served) -> bool {
    request.path.ends_with(&image.layer_path())
}

#[test]
fn what_is_right_is_taken() {
    let scene = Scene::new();
    let image = Served::new(3_000_000);
    let server = server(&image, |_, _| None);
    pull(&scene, &server).unwrap();
    scene.is_whole();
    assert_eq!(server.requests(&image.layer_path()).len(), 1);
    pull(&scene, &server).unwrap();
    assert_eq!(server.requests(&image.layer_path()).len(), 1, "it is there");
}

#[test]
fn other_bytes_than_promised_are_refused() {
    let scene = Scene::new();
    let image = Served::new(100_000);
    let evil = server(&image, |request, image| {
        let mut layer = image.layer.clone();
        layer[700] ^= 1;
        is_layer(request, image).then(|| Reply::ok(&layer))
    });
    let error = refused(&scene, &evil);
    assert!(error.contains("has the digest"), "{error}");

    let evil = server(&image, |request, image| {
        let config = [&image.config[..image.config.len() - 1], b" "].concat();
        let is_config = request
            .path
            .ends_with(&Digest::of(&image.config).to_string());
        is_config.then(|| Reply::ok(&config))
    });
    let error = refused(&scene, &evil);
    assert!(error.contains("has the digest"), "{error}");

    let good = server(&image, |_, _| None);
    let client = Client::new(Options::default());
    let store = Store::new(scene.path("store"));
    let other = Digest::of(b"something else");
    let name = good.name(&format!("a/b@{other}")).parse().unwrap();
    let error = client.pull(&store, &name, &[], None).unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
}

#[test]
fn other_sizes_than_promised_are_refused() {
    let scene = Scene::new();
    let image = Served::new(100_000);
    for change in [-1i64, 1, 1_000_000] {
        let len = usize::try_from(i64::try_from(image.layer.len()).unwrap() + change).unwrap();
        let liar = server(&image, move |request, image| {
            let body = manifest(&image.config, &image.layer, len);
            request
                .path
                .contains("/manifests/")
                .then(|| Reply::ok(&body))
        });
        let error = refused(&scene, &liar);
        assert!(
            error.contains(&format!("where the manifest says {len}")),
            "{error}"
        );
    }
    let endless = server(&image, |request, image| {
        is_layer(request, image).then_some(Reply::Endless)
    });
    let error = refused(&scene, &endless);
    assert!(error.contains("more bytes where"), "{error}");
}

#[test]
fn what_has_to_be_small_is_bounded() {
    let scene = Scene::new();
    let image = Served::new(10);
    let endless = server(&image, |request, _| {
        request
            .path
            .contains("/manifests/")
            .then_some(Reply::Endless)
    });
    let error = refused(&scene, &endless);
    assert!(error.contains("longer than"), "{error}");
    for junk in ["", "{", "[]", "{\"schemaVersion\":1}", "\0\u{1b}[31m"] {
        let server = server(&image, move |request, _| {
            request
                .path
                .contains("/manifests/")
                .then(|| Reply::ok(junk.as_bytes()))
        });
        refused(&scene, &server);
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let scene = Scene::new();
    let image = Served::new(10);
    for (status, word) in [
        (401, "docker login"),
        (403, "do not allow"),
        (404, "no such image"),
        (418, "does not do this"),
        (500, "try again later"),
        (429, "asked too often"),
    ] {
        let server = server(&image, move |request, _| {
            let said = r#"{"errors":[{"code":"X","message":"so it\nis \u001b[31m"}]}"#;
            let reply = Reply::Whole(status, String::new(), said.into());
            request.path.contains("/manifests/").then_some(reply)
        });
        let error = refused(&scene, &server);
        assert!(error.contains(&status.to_string()), "{error}");
        assert!(
            error.contains("(so itis [31m)") && error.contains(word),
            "{error}"
        );
        let asked = server.requests("/manifests/1").len();
        assert_eq!(
            asked,
            if status == 500 || status == 429 { 5 } else { 1 },
            "{status}"
        );
    }
}

#[test]
fn what_may_pass_is_waited_for() {
    let scene = Scene::new();
    let image = Served::new(10);
    for refusal in [
        Reply::with(429, "Retry-After: 0"),
        Reply::status(500),
        Reply::status(503),
        Reply::Cut(200, String::new(), 1000, b"{".to_vec()),
    ] {
        let scene = Scene::new();
        let busy = first(3);
        let server = server(&image, move |request, _| {
            (request.path.contains("/manifests/") && busy()).then(|| refusal.clone())
        });
        pull(&scene, &server).unwrap();
        assert_eq!(server.requests("/manifests/1").len(), 4);
    }
    // Nobody waits for an hour.
    let server = server(&image, |request, _| {
        let reply = Reply::with(429, "Retry-After: 3600");
        request.path.contains("/manifests/").then_some(reply)
    });
    assert!(refused(&scene, &server).contains("429"));
    assert_eq!(server.requests("/manifests/1").len(), 1);
}

#[test]
fn who_hangs_is_left() {
    let image = Served::new(1_000_000);
    let limits = Limits {
        answer: Duration::from_millis(300),
        idle: Duration::from_millis(300),
        ..brief()
    };
    let silent = server(&image, |request, _| {
        request
            .path
            .contains("/manifests/")
            .then_some(Reply::Silence)
    });
    let error = pull_with(&Scene::new(), &silent, limits).unwrap_err();
    assert!(matches!(error, Error::Hangs { .. }), "{error}");
    assert_eq!(silent.requests("/manifests/1").len(), 2, "a second chance");

    // What came is kept, and not asked for again.
    let scene = Scene::new();
    let stuck = server(&image, |request, image| {
        let (from, all) = (request.from(), &image.layer);
        let len = (all.len() - from) as u64;
        let body = all.get(from..400_000).unwrap_or_default().to_vec();
        let (status, range) = match from {
            0 => (200, String::new()),
            _ => (206, content_range(from, all.len())),
        };
        is_layer(request, image).then_some(Reply::Held(status, range, len, body))
    });
    let error = pull_with(&scene, &stuck, limits).unwrap_err();
    assert!(matches!(error, Error::Hangs { .. }), "{error}");
    let kept = std::fs::metadata(&files(&scene.path("store/partial"))[0])
        .unwrap()
        .len();
    assert_eq!(kept, 400_000);
    let good = server(&image, |_, _| None);
    pull(&scene, &good).unwrap();
    let asked = good.requests(&image.layer_path());
    assert_eq!(asked[0].header("range"), Some("bytes=400000-"));
    scene.is_whole();
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let scene = Scene::new();
    let image = Served::new(2_000_000);
    let broken = server(&image, |request, image| {
        let (from, all) = (request.from(), &image.layer);
        let until = (from + 300_000).min(all.len());
        let len = (all.len() - from) as u64;
        let (status, range) = match from {
            0 => (200, String::new()),
            _ => (206, content_range(from, all.len())),
        };
        let reply = Reply::Cut(status, range, len, all[from..until].to_vec());
        is_layer(request, image).then_some(reply)
    });
    pull(&scene, &broken).unwrap();
    let asked = broken.requests(&image.layer_path());
    let starts: Vec<_> = asked.iter().map(Request::from).collect();
    assert_eq!(
        starts,
        [
            0, 300_000, 600_000, 900_000, 1_200_000, 1_500_000, 1_800_000
        ]
    );
    scene.is_whole();

    // One that never gets on is given up.
    let hopeless = server(&image, |request, image| {
        let reply = Reply::Cut(200, String::new(), image.layer.len() as u64, Vec::new());
        is_layer(request, image).then_some(reply)
    });
    let error = pull(&Scene::new(), &hopeless).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(hopeless.requests(&image.layer_path()).len(), 5);
}

#[test]
fn the_rest_is_taken_from_whom_it_is_given() {
    let image = Served::new(1_000_000);
    let half = &image.layer[..500_000];
    let mut evil = half.to_vec();
    evil[700] ^= 1;
    let path = format!("store/partial/{}", Digest::of(&image.layer).hex());
    let all: fn(&Request, &Served) -> Reply = |_, image| Reply::ok(&image.layer);
    let other_part: fn(&Request, &Served) -> Reply = |request, image| match request.from() {
        0 => Reply::ok(&image.layer),
        from => Reply::Whole(
            206,
            content_range(from - 1, image.layer.len()),
            image.layer[from - 1..].to_vec(),
        ),
    };
    let no_range: fn(&Request, &Served) -> Reply = |request, image| match request.from() {
        0 => Reply::ok(&image.layer),
        _ => Reply::status(416),
    };
    let good: fn(&Request, &Served) -> Reply = |request, image| part(&image.layer, request.from());
    let too_much = [image.layer.as_slice(), b"more"].concat();
    for (have, answer) in [
        (half, all),
        (half, other_part),
        (half, no_range),
        (half, good),
        // Not the beginning of this blob at all.
        (&evil, good),
        (&too_much, good),
        (&image.layer, good),
    ] {
        let scene = Scene::new();
        scene.write(&path, have);
        let server = server(&image, move |request, image| {
            is_layer(request, image).then(|| answer(request, image))
        });
        pull(&scene, &server).unwrap();
        scene.is_whole();
        assert!(files(&scene.path("store/partial")).is_empty());
    }
}

#[test]
fn a_killed_pull_leaves_a_whole_store_and_is_taken_up() {
    let scene = Scene::new();
    let image = Served::new(1_000_000);
    let stuck = server(&image, |request, image| {
        let reply = Reply::Held(
            200,
            String::new(),
            image.layer.len() as u64,
            image.layer[..400_000].to_vec(),
        );
        (is_layer(request, image) && request.from() == 0).then_some(reply)
    });
    let name = stuck.name("a/b:1");
    for signal in ["-KILL", "-INT"] {
        let mut child = scene
            .hull()
            .args(["image", "pull", "--arch", "amd64", &name])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Until something is there, the first time; the next goes on from it.
        while files(&scene.path("store/partial"))
            .first()
            .is_none_or(|f| f.metadata().unwrap().len() == 0)
        {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            std::thread::yield_now();
        }
        let killed = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        child.wait().unwrap();
        scene.is_whole();
    }
    scene.ok(&["image", "pull", "--arch", "amd64", &name]);
    scene.is_whole();
    assert!(files(&scene.path("store/partial")).is_empty());
}

#[test]
fn redirects_are_followed_without_the_credentials() {
    let image = Served::new(10_000);
    let served = image.clone();
    let elsewhere = Server::start(move |request| served.answer(request));
    let target = elsewhere.host.clone();
    let registry = server(&image, move |request, image| {
        let wants = request.header("authorization").is_none();
        if request.path != "/v2/" && wants {
            return Some(Reply::with(401, "WWW-Authenticate: Basic realm=\"x\""));
        }
        let to = format!("Location: http://{target}{}", request.path);
        is_layer(request, image).then(|| Reply::with(307, &to))
    });
    let scene = Scene::new();
    scene.log_in(&registry.host, "me", "s3cret");
    let name = registry.name("a/b:1");
    scene.ok(&["image", "pull", "--arch", "amd64", &name]);
    scene.is_whole();
    let asked = elsewhere.requests(&image.layer_path());
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
    let ours = registry.requests(&image.layer_path());
    assert_eq!(
        ours.last().unwrap().header("authorization"),
        Some("Basic bWU6czNjcmV0")
    );
}

#[test]
fn redirects_to_nowhere_are_refused() {
    let scene = Scene::new();
    let image = Served::new(10);
    for (location, word) in [
        ("", "no http(s) URL"),
        ("file:///etc/passwd", "no http(s) URL"),
        ("http://me:s3cret@127.0.0.1/", "no http(s) URL"),
        ("/v2/a/b/manifests/1", "too many"),
    ] {
        let server = server(&image, move |request, _| {
            let reply = Reply::with(302, &format!("Location: {location}"));
            request.path.contains("/manifests/").then_some(reply)
        });
        let error = refused(&scene, &server);
        assert!(error.contains(word) && !error.contains("s3cret"), "{error}");
        assert!(server.requests("/manifests/1").len() <= 6);
    }
}

#[test]
fn what_echoes_our_secrets_is_not_repeated() {
    let image = Served::new(10);
    let server = server(&image, |request, _| {
        if request.path == "/v2/" {
            return None;
        }
        let Some(secret) = request.header("authorization") else {
            return Some(Reply::with(401, "WWW-Authenticate: Basic realm=\"x\""));
        };
        let said = serde_json::json!({"errors": [{"message": format!("{secret} s3cret")}]});
        Some(Reply::Whole(403, String::new(), said.to_string().into()))
    });
    let scene = Scene::new();
    scene.log_in(&server.host, "me", "s3cret");
    let error = scene.fails(&["image", "pull", &server.name("a/b:1")]);
    assert!(
        error.contains("403") && error.contains("Basic … …"),
        "{error}"
    );
}

#[test]
fn a_token_is_got_from_the_realm() {
    let image = Served::new(10_000);
    let realm = Server::start(|request| {
        let good = request.header("authorization") == Some("Basic bWU6czNjcmV0")
            && request
                .path
                .contains("scope=repository%3Aa%2Fb%3Apull&service=test");
        match good {
            true => Reply::ok(br#"{"token":"t0ken"}"#),
            false => Reply::status(401),
        }
    });
    let host = realm.host.clone();
    let registry = server(&image, move |request, _| {
        let wants = request.header("authorization") != Some("Bearer t0ken");
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"test\",\
             scope=\"repository:a/b:pull\""
        );
        (request.path != "/v2/" && wants).then(|| Reply::with(401, &challenge))
    });
    let scene = Scene::new();
    let name = registry.name("a/b:1");
    let error = scene.fails(&["image", "pull", "--arch", "amd64", &name]);
    assert!(error.contains("401"), "{error}");
    scene.log_in(&registry.host, "me", "s3cret");
    scene.ok(&["image", "pull", "--arch", "amd64", &name]);
    scene.is_whole();
    assert_eq!(realm.requests("").len(), 2, "a token is kept");
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_if_it_fails() {
    let image = Served::new(10_000);
    let scene = Scene::new();
    let mirror = server(&image, |_, _| None);
    let registry = server(&image, |_, _| None);
    let name = registry.name("a/b:1");
    let at = format!("{}=http://{}", registry.host, mirror.host);
    let pull = |at: &str| scene.ok(&["image", "pull", "--arch", "amd64", "--mirror", at, &name]);
    pull(&at);
    assert_eq!(mirror.requests("/manifests/1").len(), 1);
    assert!(registry.requests("").is_empty(), "the mirror was enough");
    scene.ok(&["image", "rm", &name]);

    let bad = server(&image, |request, image| {
        is_layer(request, image).then(|| Reply::status(404))
    });
    pull(&format!("http://{}", bad.host));
    assert_eq!(registry.requests("/manifests/1").len(), 1);
    scene.is_whole();
    pull(&format!("other.registry=http://{}", mirror.host));
    assert_eq!(
        mirror.requests("/manifests/1").len(),
        1,
        "not for this registry"
    );
}

#[test]
fn an_upload_is_sent_to_another_host_without_the_credentials() {
    let elsewhere = Server::start(|_| Reply::status(201));
    let target = elsewhere.host.clone();
    let uploads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&uploads);
    let registry = Server::start(move |request| {
        if request.path == "/v2/" {
            return Reply::status(200);
        }
        if request.header("authorization").is_none() {
            return Reply::with(401, "WWW-Authenticate: Basic realm=\"x\"");
        }
        match request.method.as_str() {
            "HEAD" => Reply::status(404),
            "POST" => {
                count.fetch_add(1, Ordering::Relaxed);
                Reply::with(202, &format!("Location: http://{target}/up?x=1"))
            }
            _ => Reply::status(201),
        }
    });
    let scene = Scene::new();
    scene.log_in(&registry.host, "me", "s3cret");
    let name = registry.name("a/b:1");
    scene.image(&name, "amd64", "x");
    scene.ok(&["image", "push", &name]);
    let puts = elsewhere.requests("");
    assert_eq!(puts.len(), 2, "configuration and layer");
    for put in puts {
        assert_eq!(put.header("authorization"), None);
        assert!(
            put.path.starts_with("/up?x=1&digest=sha256:"),
            "{}",
            put.path
        );
    }
    assert_eq!(uploads.load(Ordering::Relaxed), 2);
}

#[test]
fn a_registry_of_another_machine_is_not_talked_to_without_tls() {
    // No such host answers; what matters is that TLS is what is spoken.
    let image = Served::new(10);
    let server = server(&image, |_, _| None);
    let port = server.host.rsplit(':').next().unwrap();
    let scene = Scene::new();
    let host = format!("0.0.0.0:{port}");
    let pull = |more: &[&str]| {
        let name = format!("{host}/a/b:1");
        scene.run(
            &[
                &["image", "pull", "--arch", "amd64"],
                more,
                &[name.as_str()],
            ]
            .concat(),
        )
    };
    let output = pull(&[]);
    assert!(!output.status.success());
    assert!(
        server.requests("").is_empty(),
        "nothing was said in the clear"
    );
    assert!(pull(&["--insecure-registry", &host]).status.success());
}
