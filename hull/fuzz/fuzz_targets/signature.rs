//! Any bytes as a signature policy, as a public key, and as what speaks for an
//! image: nothing panics, and nothing is taken that no key signed.
#![no_main]

use hull::digest::Digest;
use hull::signature::{Evidence, Key, Policy};
use libfuzzer_sys::fuzz_target;

/// Takes images that this key signed, and no others.
const POLICY: &str = r#"{"default": [{"type": "sigstoreSigned", "keyPath": "key.pub",
    "signedIdentity": {"type": "matchRepository"}}]}"#;
/// A key whose private half is thrown away.
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESIDIYJQHvzbYOYJFkMbLwzLSkvOG
9wrS9/nUs+3LNjsHRNXbr9wxRmIPTeMi60hqeVBRjR4az8vyq5lIFqVg0g==
-----END PUBLIC KEY-----
";

fuzz_target!(|bytes: &[u8]| {
    let _ = Key::from_pem(bytes);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    write("key.pub", KEY.as_bytes());
    let name = "r.x/a:1".parse().expect("a name");
    let image = Digest::of(b"image");
    if let Ok(policy) = Policy::read(&write("any.json", bytes)) {
        let _ = policy.check(&name, image, &Evidence::default());
    }
    let policy = Policy::read(&write("policy.json", POLICY.as_bytes())).expect("a policy");
    if let Ok(evidence) = serde_json::from_slice::<Evidence>(bytes) {
        assert!(policy.check(&name, image, &evidence).is_err());
    }
});
