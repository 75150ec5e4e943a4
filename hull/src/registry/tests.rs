use super::*;

#[test]
fn mirrors_are_read_as_linuxkit_writes_them() {
    let mirror = |text: &str| text.parse::<Mirror>();
    let expected = |of: Option<&str>, host: &str, plain| Mirror {
        of: of.map(ToOwned::to_owned),
        host: host.to_owned(),
        plain,
    };
    assert_eq!(mirror("m.x"), Ok(expected(None, "m.x", false)));
    assert_eq!(
        mirror("docker.io=http://m.x:5000/"),
        Ok(expected(Some("docker.io"), "m.x:5000", true))
    );
    assert_eq!(
        mirror("docker.io=https://m.x"),
        Ok(expected(Some("docker.io"), "m.x", false))
    );
    for bad in [
        "",
        "=m.x",
        "docker.io=",
        "http://",
        "m.x/path",
        "ftp://m.x",
        "u@m.x",
    ] {
        assert!(mirror(bad).is_err(), "{bad}");
    }
}

#[test]
fn this_machine_needs_no_tls_and_others_do() {
    for (host, expected) in [
        ("localhost", true),
        ("localhost:5000", true),
        ("127.0.0.1:5000", true),
        ("127.9.9.9", true),
        ("[::1]:5000", true),
        ("localhost.evil.com", false),
        ("127.0.0.1.evil.com:5000", false),
        ("10.0.0.1:5000", false),
        ("ghcr.io", false),
    ] {
        assert_eq!(endpoint::is_loopback(host), expected, "{host}");
    }
}
