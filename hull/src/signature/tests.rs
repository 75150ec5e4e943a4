use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::*;

/// A key that signs.
struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(kind, pair.as_ref(), &random).unwrap())
    }

    fn key(&self) -> Key {
        Key(self.0.public_key().as_ref().to_vec())
    }

    fn sign(&self, payload: &serde_json::Value) -> Signature {
        let payload = payload.to_string();
        let signature = self
            .0
            .sign(&SystemRandom::new(), payload.as_bytes())
            .unwrap();
        Signature {
            payload: STANDARD.encode(payload),
            signature: STANDARD.encode(signature),
        }
    }
}

fn payload(name: &str, digest: Digest) -> serde_json::Value {
    json!({"critical": {
        "type": TYPE,
        "image": {"docker-manifest-digest": digest.to_string()},
        "identity": {"docker-reference": name},
    }, "optional": null})
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

#[test]
fn only_the_right_key_name_and_image_speak_for_an_image() {
    let (good, evil) = (Signer::new(), Signer::new());
    let image = Digest::of(b"image");
    let check = |signature: Signature| {
        let evidence = Evidence {
            index: None,
            signatures: vec![signature],
        };
        let keys = [good.key()];
        evidence.speaks_for(&name("r.x/a:1"), image, &keys, &Identity::MatchRepository)
    };
    assert_eq!(check(good.sign(&payload("r.x/a", image))), Ok(()));
    let fails = |signature: Signature, word: &str| {
        let why = check(signature).unwrap_err();
        assert!(why.contains(word), "{why}");
    };
    fails(evil.sign(&payload("r.x/a", image)), "none of the keys");
    fails(
        good.sign(&payload("r.x/b", image)),
        "for the name \"r.x/b\"",
    );
    fails(
        good.sign(&payload("r.x/a", Digest::of(b"other"))),
        "another image",
    );
    fails(good.sign(&json!({})), "no simple signing payload");
    let mut kind = payload("r.x/a", image);
    kind["critical"]["type"] = "atomic container signature".into();
    fails(good.sign(&kind), "atomic");
    let mut changed = good.sign(&payload("r.x/a", Digest::of(b"other")));
    changed.payload = STANDARD.encode(payload("r.x/a", image).to_string());
    fails(changed, "none of the keys");
    let nothing = Evidence::default();
    let keys = [good.key()];
    let why = nothing.speaks_for(&name("r.x/a"), image, &keys, &Identity::MatchRepository);
    assert_eq!(why, Err("it is not signed".to_owned()));
}

#[test]
fn a_signed_index_speaks_for_the_images_in_it_alone() {
    let good = Signer::new();
    let (image, other) = (Digest::of(b"image"), Digest::of(b"other"));
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": image.to_string(), "size": 5,
    }]});
    let index = index.to_string();
    let evidence = Evidence {
        signatures: vec![good.sign(&payload("r.x/a", Digest::of(index.as_bytes())))],
        index: Some(STANDARD.encode(&index)),
    };
    let check = |digest| {
        let keys = [good.key()];
        evidence.speaks_for(&name("r.x/a:1"), digest, &keys, &Identity::MatchRepository)
    };
    assert_eq!(check(image), Ok(()));
    assert!(check(other).is_err());
}

#[test]
fn identities_are_those_of_the_manual() {
    use Identity as I;
    let takes =
        |identity: &I, asked: &str, signed: &str| identity.takes(&name(asked), signed).is_ok();
    let pinned = format!("r.x/a@{}", Digest::of(b""));
    for (identity, asked, signed, expected) in [
        (&I::MatchRepository, "r.x/a:1", "r.x/a", true),
        (&I::MatchRepository, "r.x/a:1", "r.x/a:2", true),
        (&I::MatchRepository, "r.x/a:1", "r.x/b", false),
        (&I::MatchExact, "r.x/a:1", "r.x/a:1", true),
        (&I::MatchExact, "r.x/a:latest", "r.x/a", false),
        (&I::MatchExact, pinned.as_str(), "r.x/a:1", false),
        (&I::MatchRepoDigestOrExact, "r.x/a:1", "r.x/a:1", true),
        (&I::MatchRepoDigestOrExact, "r.x/a:1", "r.x/a", false),
        (&I::MatchRepoDigestOrExact, pinned.as_str(), "r.x/a:1", true),
        (
            &I::MatchRepoDigestOrExact,
            pinned.as_str(),
            "r.x/b:1",
            false,
        ),
        (
            &I::MatchRepository,
            "redis:7",
            "index.docker.io/library/redis",
            true,
        ),
        (&I::MatchRepository, "r.x/a:1", "not a name", false),
    ] {
        assert_eq!(
            takes(identity, asked, signed),
            expected,
            "{identity:?} {asked} {signed}"
        );
    }
    let exact = I::ExactReference {
        docker_reference: "r.x/up:1".to_owned(),
    };
    assert!(takes(&exact, "mirror.x/a:1", "r.x/up:1"));
    assert!(!takes(&exact, "mirror.x/a:1", "r.x/up:2"));
    let repository = I::ExactRepository {
        docker_repository: "r.x/up".to_owned(),
    };
    assert!(takes(&repository, "mirror.x/a:1", "r.x/up"));
    assert!(!takes(&repository, "mirror.x/a:1", "mirror.x/a"));
}

fn policy(text: &serde_json::Value) -> Result<Policy, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.json");
    std::fs::write(&path, text.to_string()).unwrap();
    Policy::read(&path).map_err(|e| e.to_string())
}

#[test]
fn the_narrowest_scope_counts() {
    let yes = json!([{"type": "insecureAcceptAnything"}]);
    let no = json!([{"type": "reject"}]);
    let policy = policy(&json!({"default": no, "transports": {
        "docker": {
            "docker.io/library": yes, "docker.io/library/redis": no,
            "docker.io/library/redis:7": yes, "*.good.x": yes, "r.x:5000": yes,
        },
        "dir": {"/srv": yes, "/srv/evil": no},
        "oci": {"": yes},
    }}))
    .unwrap();
    for (asked, expected) in [
        ("busybox", true),
        ("redis", false),
        ("redis:7", true),
        ("docker.io/other/x", false),
        ("a.good.x/y/z", true),
        ("good.x/y", false),
        ("r.x:5000/a", true),
        ("r.x/a", false),
    ] {
        let taken = policy.check(&name(asked), Digest::of(b""), &Evidence::default());
        assert_eq!(taken.is_ok(), expected, "{asked}: {taken:?}");
    }
    for (transport, place, expected) in [
        ("dir", "/srv/a/b", true),
        ("dir", "/srv/evil/b", false),
        ("dir", "/home", false),
        ("oci", "/anywhere", true),
        ("docker-archive", "/srv/x.tar", false),
    ] {
        let taken = policy.check_place(transport, Path::new(place));
        assert_eq!(taken.is_ok(), expected, "{transport}:{place}: {taken:?}");
    }
}

#[test]
fn what_a_policy_asks_and_we_do_not_know_is_an_error() {
    let with = |requirement: serde_json::Value| json!({"default": [requirement]});
    for (text, word) in [
        (json!({}), "default"),
        (json!({"default": []}), "empty"),
        (
            with(json!({"type": "signedBy", "keyPath": "x"})),
            "signedBy",
        ),
        (with(json!({"type": "sigstoreSigned"})), "keyPath"),
        (
            with(json!({"type": "sigstoreSigned", "fulcio": {}})),
            "fulcio",
        ),
        (
            with(json!({"type": "sigstoreSigned", "keyPath": "none.pub"})),
            "none.pub",
        ),
        (
            with(json!({"type": "sigstoreSigned", "keyData": "eA=="})),
            "not a public key",
        ),
    ] {
        let error = policy(&text).unwrap_err();
        assert!(error.contains(word) && !error.contains('\n'), "{error}");
    }
}
