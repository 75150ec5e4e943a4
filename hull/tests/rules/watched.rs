//! What PID 1 watches of a service: readiness, health, limits.

use hullkit_bundle::supervision::{Measure, ReadyBy};
use serde_json::{Value, json};

use super::scene::{file, service};

/// The one error of a service with `fields`; its lines begin at 4.
fn refused(fields: &str) -> String {
    let errors = service(fields).errors();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors
}

#[test]
fn ready_is_one_way() {
    for (fields, words) in [
        ("ready: notify", json!(["notify"])),
        ("ready: {notify: true}", json!(["notify"])),
        ("ready: {delay: 2s}", json!(["delay", "2000"])),
        ("ready: {fd: 3}", json!(["fd", "3"])),
        (
            "ready: {exec: [/bin/x, -q]}",
            json!(["exec", "/bin/x", "-q"]),
        ),
        ("ready: {tcp: 80}", json!(["tcp", "127.0.0.1:80"])),
        ("ready: {tcp: '[::1]:80'}", json!(["tcp", "[::1]:80"])),
        ("ready: {unix: /run/s}", json!(["unix", "/run/s"])),
        (
            "ready: {http: 'http://localhost:8080/up'}",
            json!(["http", "127.0.0.1:8080", "/up"]),
        ),
    ] {
        assert_eq!(
            service(fields).runtime("/supervision/ready"),
            words,
            "{fields}"
        );
    }
    let timeout = service("ready: {tcp: 80, timeout: 5s}");
    assert_eq!(timeout.runtime("/supervision/readyTimeout"), json!(5000));
    // A delay beyond the default has its time.
    let long = service("ready: {delay: 5m}");
    assert_eq!(long.runtime("/supervision/readyTimeout"), json!(301_000));
}

#[test]
fn what_cannot_be_is_refused_with_its_line() {
    for (fields, expected) in [
        (
            "ready: yes",
            "services[0].ready: found the text \"yes\", allowed: notify",
        ),
        (
            "ready: {}",
            "services[0].ready: says not how, allowed: one of delay, fd, notify, exec, http, tcp, unix",
        ),
        ("ready: {timeout: 1s}", "says not how"),
        ("ready: {tcp: 1, unix: /s}", "tcp and unix at once"),
        (
            "ready: {notify: false}",
            "found the boolean false, allowed: true",
        ),
        (
            "ready: {delay: 5s, timeout: 1s}",
            "delay is longer than timeout",
        ),
        ("ready: {tcp: 0}", "allowed: a port from 1 to 65535"),
        ("ready: {tcp: 'db:80'}", "numeric address or localhost"),
        ("ready: {unix: run/s}", "allowed: a path that begins with /"),
        ("ready: {exec: []}", "found no program"),
        (
            "ready: {http: 'https://localhost/'}",
            "allowed: http://ADDRESS",
        ),
        ("health: {interval: 1s}", "services.c.health: says not how"),
        (
            "health: {tcp: 80, interval: 50ms}",
            "allowed: 100ms or longer",
        ),
        (
            "health: {tcp: 80, retries: 0}",
            "allowed: a whole number from 1 to 1000",
        ),
        (
            "health: {tcp: 80, action: stop}",
            "allowed: restart, none, reboot, poweroff",
        ),
        ("startLimit: {burst: 3}", "the key \"interval\" is missing"),
        (
            "startLimit: {burst: 0, interval: 1s}",
            "allowed: a whole number from 1",
        ),
        ("watchdog: 0s", "found 0"),
        ("oom: kill", "allowed: restart, stop, reboot"),
        ("critical: yes", "allowed: true or false"),
        ("ready: {fd: 2}", "allowed: a whole number from 3 to 255"),
        (
            "sockets: [{listenStream: 80}, {listenDatagram: 80}]\nfdStore: 2\nready: {fd: 6}",
            "services.c.ready.fd: found 6, allowed: 7 to 255",
        ),
        ("lazy: true", "services.c.lazy: true without sockets"),
        ("fdStore: 65", "allowed: a whole number from 0 to 64"),
        (
            "sockets: {listenStream: 80}",
            "services[0].sockets: found a map, allowed: a list",
        ),
        (
            "sockets: [{name: x}]",
            "sockets[0]: says not where, allowed: one of listenStream",
        ),
        (
            "sockets: [{listenStream: 80, backlock: 3}]",
            "did you mean \"backlog\"?",
        ),
        (
            "sockets: [{listenStream: 80, listenDatagram: 80}]",
            "at once, allowed: one of them",
        ),
        (
            "sockets: [{listenStream: 0}]",
            "listenStream: found the number 0, allowed: a port from 1 to 65535",
        ),
        (
            "sockets: [{listenStream: /etc/x}]",
            "or a path below /run, /tmp or /var",
        ),
        (
            "sockets: [{listenStream: 80, mode: '0600'}]",
            "sockets[0].mode: does not apply to a port",
        ),
        (
            "sockets: [{listenDatagram: /run/x, backlog: 3}]",
            "sockets[0].backlog: does not apply to listenDatagram",
        ),
        (
            "sockets: [{listenStream: /run/x, owner: www}]",
            "allowed: \"UID:GID\" in numbers",
        ),
        (
            "sockets: [{listenStream: 80, name: 'a:b'}]",
            "printable characters of ASCII",
        ),
        (
            "sockets: [{listenStream: 80}, {listenStream: 80}]",
            "stream [::]:80 is the service c's too, allowed: once",
        ),
    ] {
        let e = refused(&fields.replace("\n    ", "\n"));
        assert!(
            e.starts_with("a.yml:") && e.contains(expected),
            "{fields}: {e}"
        );
    }
    let onboot = file("onboot:\n  - {name: a, image: x, ready: notify}\n").errors();
    assert_eq!(
        onboot,
        "a.yml:2: onboot[0].ready: does not apply to onboot, allowed in: services"
    );
    let onshutdown = "onshutdown:\n  - {name: a, image: x, onFailure: poweroff}\n";
    let composed = file(onshutdown).compose().unwrap();
    assert_eq!(
        composed.runtime.supervision.on_failure,
        hullkit_bundle::supervision::OnFailure::Poweroff
    );
}

#[test]
fn who_has_something_to_say_can() {
    let scene = service("ready: notify\nwatchdog: 2s");
    let env = scene.config("/process/env");
    assert_eq!(
        env,
        json!([
            "PATH=/bin",
            "NOTIFY_SOCKET=/run/notify/notify.sock",
            "WATCHDOG_USEC=2000000"
        ])
    );
    assert_eq!(
        scene.mount("/run/notify"),
        json!({
            "destination": "/run/notify", "type": "bind",
            "source": "/run/hullkit/notify/services.c",
            "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
        })
    );
    // What the entry says itself counts.
    let own = service("ready: notify\nenv: [NOTIFY_SOCKET=@x]");
    assert_eq!(own.config("/process/env"), json!(["NOTIFY_SOCKET=@x"]));
    let other = service("ready: {tcp: 80}");
    assert_eq!(other.mount("/run/notify"), Value::Null);
    assert_eq!(other.config("/process/env"), json!(["PATH=/bin"]));
}

#[test]
fn sockets_are_opened_for_a_service() {
    let fields = "sockets:\n  - listenStream: 80\n  - listenDatagram: '10.0.0.1:53'\n    name: dns\n  - listenStream: /run/c/s\n    mode: '0660'\n    owner: '0:33'\n    backlog: 8\nlazy: true\nfdStore: 4";
    let scene = service(fields);
    assert_eq!(
        scene.runtime("/supervision/sockets"),
        json!([
            ["stream", "[::]:80", "c", "4096", "0", "0", "0"],
            ["datagram", "10.0.0.1:53", "dns", "0", "0", "0", "0"],
            ["stream", "/run/c/s", "c", "8", "660", "0", "33"],
        ])
    );
    assert_eq!(scene.runtime("/supervision/lazy"), json!(true));
    assert_eq!(scene.runtime("/supervision/fdStore"), json!(4));
    // What is stored is handed over by a notice.
    assert_eq!(scene.runtime("/supervision/notify"), json!(true));
    let two = "services:\n  - {name: a, image: x, sockets: [{listenStream: /run/s}]}\n  - {name: b, image: x, sockets: [{listenDatagram: /run/s}]}\n";
    assert_eq!(
        file(two).errors(),
        "a.yml:3: services.b.sockets: /run/s is the service a's too, allowed: once"
    );
}

#[test]
fn a_critical_service_has_a_limit() {
    let limit = |fields: &str| {
        service(fields)
            .compose()
            .unwrap()
            .runtime
            .supervision
            .start_limit
    };
    assert_eq!(
        (
            limit("critical: true").burst,
            limit("critical: true").interval
        ),
        (5, 60_000)
    );
    assert_eq!(limit("critical: true\nrestart: never").burst, 0);
    assert_eq!(limit("").burst, 0);
    let said = limit("critical: true\nstartLimit: {burst: 2, interval: 1h, action: poweroff}");
    assert_eq!((said.burst, said.action), (2, Measure::Poweroff));
}

#[test]
fn healths_fields_are_the_yamls_then_the_labels() {
    let label = "health: {http: 'http://localhost/', interval: 7s, retries: 9}\nready: notify\n";
    let scene = service("health: {tcp: 80, interval: 1s}\nready: {delay: 1s}").our_label(label);
    let s = scene.compose().unwrap().runtime.supervision;
    let health = s.health.unwrap();
    assert_eq!(health.probe.words(), ["tcp", "127.0.0.1:80"]);
    assert_eq!(
        (health.interval, health.retries, health.timeout),
        (1000, 9, 30_000)
    );
    assert_eq!(health.action, Measure::Restart);
    assert_eq!(s.ready, Some(ReadyBy::Delay(1000)));
    let off = service("health: none").our_label(label).compose().unwrap();
    assert_eq!(off.runtime.supervision.health, None);
    // A part of it alone is laid over the label's.
    let part = service("health: {action: none}")
        .our_label(label)
        .compose()
        .unwrap();
    let health = part.runtime.supervision.health.unwrap();
    assert_eq!((health.interval, health.action), (7000, Measure::None));
}

#[test]
fn the_images_healthcheck_counts_where_nobody_else_speaks() {
    let check = r#"{"config":{"Healthcheck":{"Test":["CMD","/bin/up"],"Interval":5000000000,"StartPeriod":1000000000}}}"#;
    let scene = service("health: {retries: 1}").healthcheck(check);
    let health = scene.compose().unwrap().runtime.supervision.health.unwrap();
    assert_eq!(health.probe.words(), ["exec", "/bin/up"]);
    assert_eq!(
        (health.interval, health.start_period, health.retries),
        (5000, 1000, 1)
    );
    let alone = service("").healthcheck(check).compose().unwrap();
    assert!(alone.runtime.supervision.health.is_some());
    let off = service("health: none")
        .healthcheck(check)
        .compose()
        .unwrap();
    assert_eq!(off.runtime.supervision.health, None);
    let broken = service("").healthcheck(r#"{"config":{"Healthcheck":{"Test":["CMD"]}}}"#);
    let e = broken.errors();
    assert!(
        e.contains("services.c.image: HEALTHCHECK of the image"),
        "{e}"
    );
}
