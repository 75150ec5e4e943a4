//! What is refused, and the line that says so.

use super::scene::{file, service};

/// The one error of a service with `fields`; its lines begin at 4.
fn refused(fields: &str) -> String {
    let errors = service(fields).errors();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors
}

#[test]
fn unknown_keys_name_the_nearest_one() {
    let e = refused("capabilites: []");
    let begin = "a.yml:4: services[0]: unknown key \"capabilites\" (did you mean \"capabilities\"?), allowed: additionalGids, ";
    assert!(e.starts_with(begin), "{e}");
    let e = file("kernal: {}").errors();
    assert!(
        e.starts_with(
            "a.yml:1: unknown key \"kernal\" (did you mean \"kernel\"?), allowed: files, "
        ),
        "{e}"
    );
    assert!(refused("backoff: {inital: 1s}").contains(
        "a.yml:4: services[0].backoff: unknown key \"inital\" (did you mean \"initial\"?)"
    ));
    assert!(!refused("zzzzzz: 1").contains("did you mean"));
}

#[test]
fn wrong_types_say_what_is_allowed() {
    for (fields, expected) in [
        (
            "command: /bin/sh",
            "services[0].command: found the text \"/bin/sh\", allowed: a list",
        ),
        (
            "command: [1]",
            "services[0].command[0]: found the number 1, allowed: text; put it in quotes",
        ),
        (
            "readonly: yes",
            "services[0].readonly: found the text \"yes\", allowed: true or false; YAML 1.2",
        ),
        ("env: ~", "services[0].env: found nothing, allowed: a list"),
        (
            "sysctl: {a: 1}",
            "services[0].sysctl.a: found the number 1, allowed: text",
        ),
        (
            "uid: -1",
            "services[0].uid: found the number -1, allowed: a whole number from 0 to 4294967295",
        ),
        (
            "uid: 1.5",
            "services[0].uid: found the number 1.5, allowed: a number, root, or the name",
        ),
        (
            "resources: {pids: {limit: x}}",
            "services[0].resources.pids.limit: found the text \"x\", allowed: a whole number from",
        ),
        (
            "stopTimeout: 10",
            "services[0].stopTimeout: found the number 10 (did you mean \"10s\"?), allowed: a whole number and a unit",
        ),
        (
            "restart: allways",
            "services[0].restart: found the text \"allways\" (did you mean \"always\"?), allowed: always, on-failure, never",
        ),
        (
            "security: none",
            "services[0].security: found the text \"none\", allowed: default, linuxkit, strict",
        ),
    ] {
        let e = refused(fields);
        assert!(e.starts_with(&format!("a.yml:4: {expected}")), "{e}");
    }
}

#[test]
fn values_without_meaning() {
    for (fields, expected) in [
        ("capabilities: [CAP_NO]", "unknown capability \"CAP_NO\""),
        ("capabilities: [all, CAP_KILL]", "all and none stand alone"),
        ("binds: [/a]", "SOURCE:DESTINATION[:OPTION,…]"),
        ("binds: ['/a:/b:r0']", "unknown bind option \"r0\""),
        ("binds: ['v:/b']", "no volume has the name \"v\""),
        ("tmpfs: ['/a:b:c']", "DESTINATION[:OPTION,…]"),
        ("tmpfs: [rel]", "a path that begins with /"),
        (
            "mounts: [{type: tmpfs}]",
            "the key \"destination\" is missing",
        ),
        ("mounts: [{destination: /x}]", "the key \"type\" is missing"),
        (
            "rlimits: ['nofile,2,1']",
            "the soft limit is above the hard limit",
        ),
        ("rlimits: ['nofile,1']", "NAME,SOFT,HARD"),
        (
            "devices: [{path: /dev/x, type: c}]",
            "the key \"mode\" is missing",
        ),
        (
            "devices: [{path: /dev/x, type: c, mode: 0660}]",
            "octal digits in quotes",
        ),
        (
            "devices: [{path: /dev/x, type: d, mode: '0660'}]",
            "allowed: b, c, p, u",
        ),
        (
            "net: hots",
            "found \"hots\" (did you mean \"host\"?), allowed: host, root, new, none, or an absolute path",
        ),
        ("ipc: none", "allowed: host, root, new, or an absolute path"),
        ("oomScoreAdj: 1001", "allowed: -1000 to 1000"),
        ("rootfsPropagation: sharde", "(did you mean \"shared\"?)"),
        ("uid: '5'", "(write a number without quotes)"),
        ("gid: d", "no entry has the name \"d\""),
        ("cwd: x", "a path that begins with /"),
        (
            "sysctl: {net.ipv4.ip_forward: '1'}",
            "is the network namespace's, which the entry shares with the machine; say net: new",
        ),
        (
            "sysctl: {vm.swappiness: '1'}",
            "vm.swappiness is the whole machine's",
        ),
        ("env: [A]", "found \"A\", allowed: NAME=value"),
        ("userns: new", "needs uidMappings and gidMappings"),
        ("stopSignal: SIGFOO", "unknown signal \"SIGFOO\""),
        (
            "timeout: 5s",
            "does not apply to services, allowed in: onboot, onshutdown",
        ),
        (
            "onFailure: stop",
            "does not apply to services, allowed in: onboot",
        ),
        (
            "backoff: {initial: 2s, max: 1s}",
            "initial is longer than max",
        ),
        ("backoff: {factor: 0.5}", "a number from 1 to 100"),
        ("backoff: {initial: 0s}", "found 0"),
    ] {
        let e = refused(fields);
        assert!(
            e.starts_with("a.yml:") && e.contains(expected),
            "{fields}: {e}"
        );
    }
    let empty = service("").image(serde_json::json!({})).errors();
    assert!(empty.contains("neither Entrypoint nor Cmd"), "{empty}");
}

#[test]
fn entries_need_a_name_and_an_image() {
    let e = file("services:\n  - image: x\n").errors();
    assert_eq!(e, "a.yml:2: services[0]: the key \"name\" is missing");
    for name in ["../x", "", "a/b", ".x", "a b", "ä"] {
        let e = file(&format!("services:\n  - {{name: '{name}', image: x}}\n")).errors();
        assert!(e.starts_with("a.yml:2: services[0].name: found"), "{e}");
    }
    let e = file("onboot:\n  - {name: a, image: x, restart: always}\n").errors();
    assert_eq!(
        e,
        "a.yml:2: onboot[0].restart: does not apply to onboot, allowed in: services"
    );
}

#[test]
fn names_clash_or_are_missing() {
    let two = "services:\n  - {name: a, image: x}\n  - {name: a, image: x}\n";
    assert_eq!(
        file(two).errors(),
        "a.yml:3: name: a second service with the name \"a\"; the first is at a.yml:2"
    );
    let e = file("volumes:\n  - {name: v}\n  - {name: v}\n")
        .spec()
        .unwrap_err();
    assert!(
        e.to_string()
            .contains("a second volume with the name \"v\"")
    );
    let e = file("volumes:\n  - {name: V}\n").spec().unwrap_err();
    assert!(
        e.to_string()
            .contains("allowed: up to 200 of a-z, 0-9, _ and -")
    );
    let rw = "volumes:\n  - {name: v, readonly: true}\nservices:\n  - name: c\n    image: x\n    binds: ['v:/v:rw']\n";
    assert_eq!(
        file(rw).errors(),
        "a.yml:6: binds: the volume \"v\" is read-only (a.yml:2), allowed: the option ro"
    );
}

#[test]
fn services_wait_for_services_and_come_to_an_end() {
    let order = |a: &str, b: &str| {
        file(&format!(
            "services:\n  - name: a\n    image: x\n    {a}\n  - name: b\n    image: x\n    {b}\n"
        ))
    };
    order("after: [b]", "").compose().unwrap();
    let e = order("after: [c]", "").errors();
    assert_eq!(
        e,
        "a.yml:4: services.a.after: no service has the name \"c\" (did you mean \"a\"?), allowed: a, b"
    );
    let e = order("after: [b]", "requires: [a]").errors();
    assert_eq!(
        e,
        "a.yml:7: services.b.requires: services wait for each other: a → b → a"
    );
    let e = order("requires: [a]", "").errors();
    assert_eq!(
        e,
        "a.yml:4: services.a.requires: services wait for each other: a → a"
    );
    // Both services have the label: each waits for b, b for itself.
    let e = order("", "").our_label("requires: [b]").errors();
    assert!(e.contains("services wait for each other: b → b"), "{e}");
}

#[test]
fn many_problems_stay_readable() {
    let entries: String = (0..3000)
        .map(|n| format!("  - {{name: s{n}, image: x, after: [x{n}]}}\n"))
        .collect();
    let e = file(&format!("services:\n{entries}")).errors();
    assert_eq!(e.lines().count(), 100);
    assert!(
        e.lines()
            .all(|line| line.len() < 1000 && line.contains("and 2950 more"))
    );
}

#[test]
fn files_are_one_thing_each() {
    for (fields, expected) in [
        ("{path: x}", "found none, allowed: exactly one of"),
        (
            "{path: x, contents: a, symlink: b}",
            "found contents and symlink",
        ),
        ("{path: ../x, contents: a}", "without .."),
        ("{path: /, directory: true}", "without .."),
        (
            "{path: x, contents: a, mode: 0644}",
            "octal digits in quotes",
        ),
        ("{path: x, contents: a, mode: rw}", "octal digits"),
        (
            "{path: x, contents: a, uid: nobody}",
            "no entry has the name \"nobody\"",
        ),
        ("{path: x, metadata: toml}", "allowed: yaml, json"),
    ] {
        let e = file(&format!("files:\n  - {fields}\n"))
            .spec()
            .unwrap_err()
            .to_string();
        assert!(
            e.starts_with("a.yml:2: files") && e.contains(expected),
            "{fields}: {e}"
        );
    }
    let spec = file("files:\n  - {path: var/x, directory: true}\n")
        .spec()
        .unwrap();
    assert!(
        spec.warnings[0]
            .to_string()
            .contains("a tmpfs is mounted over /var")
    );
}

#[test]
fn labels_are_told_from_the_line_of_their_image() {
    let e = service("").label("{\"nosuch\": 1}").errors();
    assert!(e.starts_with("a.yml:3: services.c.image: label of x:v1: org.mobyproject.config:1: unknown key \"nosuch\""), "{e}");
    for (label, expected) in [
        ("[]", "found a list, allowed: a map"),
        ("{", "not YAML"),
        ("name: x", "unknown key \"name\""),
        ("binds: ['v:/x']", "no volume has the name \"v\""),
        ("net: hots", "allowed: host, root, new, none"),
    ] {
        let e = service("").label(label).errors();
        assert!(e.contains(expected), "{label}: {e}");
    }
    let e = service("").our_label("restart: x").errors();
    assert!(
        e.contains("org.hullkit.config:1: restart: found the text \"x\""),
        "{e}"
    );
}

#[test]
fn one_problem_is_one_line() {
    let e = file("\"a\\nb\\e[31m\": 1\n").errors();
    assert_eq!(e.lines().count(), 1, "{e}");
    assert!(!e.contains('\u{1b}'));
}
