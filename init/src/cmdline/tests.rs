use proptest::prelude::*;

use super::*;

fn all(text: &str) -> Vec<(&str, Option<&str>)> {
    params(text).collect()
}

#[test]
fn splits_at_blanks() {
    assert_eq!(
        all("  quiet console=ttyS0,115200\tx=\n"),
        [
            ("quiet", None),
            ("console", Some("ttyS0,115200")),
            ("x", Some(""))
        ]
    );
}

#[test]
fn quotes_around_the_value_and_around_the_whole() {
    assert_eq!(all(r#"a="b c" d"#), [("a", Some("b c")), ("d", None)]);
    assert_eq!(all(r#""a=b c" d"#), [("a", Some("b c")), ("d", None)]);
    assert_eq!(all(r#""a b" d"#), [("a b", None), ("d", None)]);
    // In the middle they only keep the blanks.
    assert_eq!(all(r#"a=b" "c"#), [("a", Some(r#"b" "c"#))]);
    // Never closed: to the end.
    assert_eq!(all(r#"a="b c"#), [("a", Some("b c"))]);
}

#[test]
fn ends_at_two_dashes() {
    assert_eq!(all("a -- b"), [("a", None)]);
    assert_eq!(all("a --b c"), [("a", None), ("--b", None), ("c", None)]);
}

#[test]
fn an_equals_sign_in_the_value_stays() {
    assert_eq!(all("root=UUID=1"), [("root", Some("UUID=1"))]);
}

#[test]
fn our_options() {
    let cmdline = Cmdline::parse(
        "hullkit.runtime=/usr/bin/runc hullkit.hostname=a hullkit.modules=x-y,z hullkit.modules=w \
         hullkit.coldplug=0 hullkit.uevent=off linuxkit.runc_debug=1 linuxkit.runc-console \
         linuxkit.unified_cgroup_hierarchy=1 hostname=b",
    );
    assert_eq!(cmdline.runtime.as_deref(), Some("/usr/bin/runc"));
    assert_eq!(cmdline.hostname.as_deref(), Some("a"));
    assert_eq!(cmdline.modules, ["x_y", "z", "w"]);
    assert!(!cmdline.coldplug && !cmdline.uevent);
    assert!(cmdline.runtime_debug && cmdline.runtime_console);
    assert_eq!(cmdline.problems, [""; 0]);
}

#[test]
fn the_kernels_own_hostname_counts_where_ours_is_not_given() {
    assert_eq!(Cmdline::parse("hostname=b").hostname.as_deref(), Some("b"));
}

#[test]
fn module_options_and_blacklists() {
    let cmdline = Cmdline::parse(
        "virtio-net.napi_tx=0 loop.max_loop=8 dyndbg snd.\"x\" usbcore.quirks=\"a b\" \
         module_blacklist=a,b-c modprobe.blacklist=d console=tty0",
    );
    let options: Vec<_> = cmdline
        .module_options
        .iter()
        .map(|(m, o)| (m.as_str(), o.as_str()))
        .collect();
    assert_eq!(
        options,
        [
            ("virtio_net", "napi_tx=0"),
            ("loop", "max_loop=8"),
            ("snd", "\"x\""),
            ("usbcore", "quirks=\"a b\""),
        ]
    );
    assert_eq!(cmdline.blacklist, ["a", "b_c", "d"]);
}

#[test]
fn what_cannot_be_obeyed_is_named() {
    let problems = |text| Cmdline::parse(text).problems;
    assert_eq!(
        problems("hullkit.hostnam=a"),
        ["hullkit.hostnam: no such option; the nearest is hullkit.hostname"]
    );
    assert_eq!(
        problems("hullkit.frobnicate"),
        ["hullkit.frobnicate: no such option"]
    );
    assert_eq!(
        problems("hullkit.runtime=runc"),
        ["hullkit.runtime=runc: not an absolute path; ignored"]
    );
    assert_eq!(
        problems("hullkit.coldplug=maybe"),
        ["hullkit.coldplug=maybe: not 0 or 1; ignored"]
    );
    assert_eq!(
        problems("linuxkit.unified_cgroup_hierarchy=0"),
        [
            "linuxkit.unified_cgroup_hierarchy=0: cgroup v1 is not supported, \
             this is cgroup v2"
        ]
    );
    assert!(Cmdline::parse("hullkit.coldplug=maybe").coldplug);
}

/// The kernel's `next_arg`, told once more with indexes, as a reference.
fn reference(text: &str) -> Vec<(String, Option<String>)> {
    let blank = |b: u8| matches!(b, b' ' | 9..=13);
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut found = Vec::new();
    loop {
        while at < bytes.len() && blank(bytes[at]) {
            at += 1;
        }
        if at == bytes.len() {
            return found;
        }
        let mut inside = false;
        let quoted = bytes[at] == b'"';
        if quoted {
            at += 1;
            inside = true;
        }
        let start = at;
        let mut equals = None;
        while at < bytes.len() && (inside || !blank(bytes[at])) {
            if bytes[at] == b'=' && equals.is_none() {
                equals = Some(at);
            }
            inside ^= bytes[at] == b'"';
            at += 1;
        }
        let mut end = at;
        let mut value_start = equals.map(|e| e + 1);
        let mut cut = quoted && end > start && bytes[end - 1] == b'"';
        if let Some(v) = value_start.filter(|v| *v < end && bytes[*v] == b'"') {
            value_start = Some(v + 1);
            cut |= end > v + 1 && bytes[end - 1] == b'"';
        }
        if cut {
            end -= 1;
        }
        let name = &text[start..equals.unwrap_or(end)];
        let value = value_start.map(|v| text[v.min(end)..end].to_owned());
        if name == "--" && value.is_none() {
            return found;
        }
        found.push((name.to_owned(), value));
    }
}

proptest! {
    #[test]
    fn splits_as_the_kernel(text in "[ab=\" .\t-]{0,24}") {
        let ours: Vec<_> = params(&text)
            .map(|(n, v)| (n.to_owned(), v.map(str::to_owned)))
            .collect();
        prop_assert_eq!(ours, reference(&text));
    }

    #[test]
    fn any_text_is_survived(text in "\\PC*") {
        let _ = Cmdline::parse(&text);
    }

    #[test]
    fn distance_is_a_metric(a in "[abc.]{0,8}", b in "[abc.]{0,8}", c in "[abc.]{0,8}") {
        prop_assert_eq!(distance(&a, &b) == 0, a == b);
        prop_assert_eq!(distance(&a, &b), distance(&b, &a));
        prop_assert!(distance(&a, &c) <= distance(&a, &b) + distance(&b, &c));
    }
}
