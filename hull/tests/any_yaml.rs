//! Whatever text comes in: no panic, and of each problem one line with its
//! file and line.

use hull::arch::Arch;
use hull::compose;
use hull::spec::{self, Problems, label};
use proptest::prelude::*;

/// Reads and composes; what comes out is one or the other.
fn feed(text: &[u8], moby: &str, ours: &str) {
    let source = spec::Source {
        name: "a.yml",
        text,
    };
    let result = spec::parse(&[source]).and_then(|spec| {
        let mut image = oci_spec::image::Config::default();
        image.set_labels(Some(
            [
                (label::MOBY.to_owned(), moby.to_owned()),
                (label::HULLKIT.to_owned(), ours.to_owned()),
            ]
            .into(),
        ));
        compose::all(&spec, Arch::X86_64, |_| Ok::<_, Problems>(image.clone()))
    });
    match result {
        Ok(all) => {
            for composed in all {
                let text = composed.config_json();
                serde_json::from_str::<serde_json::Value>(&text).unwrap();
            }
        }
        Err(Problems(problems)) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let line = problem.to_string();
                assert!(!line.chars().any(char::is_control), "{line:?}");
                let rest = line.strip_prefix("a.yml:").unwrap();
                let number = rest.split(':').next().unwrap();
                assert!(number.parse::<usize>().unwrap() > 0, "{line}");
            }
        }
    }
}

/// Pieces of YAML that mean something here, in any order.
fn scraps() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "services:\n",
        "onboot:\n",
        "files:\n",
        "volumes:\n",
        "kernel:\n",
        "security: ",
        "  - name: a\n",
        "    image: x\n",
        "    command: ",
        "    binds: ",
        "    after: [a]\n",
        "    uid: ",
        "    runtime:\n",
        "      bindNS: ",
        "    resources: ",
        "    backoff: ",
        "    rlimits: ",
        "    devices:\n",
        "      - path: all\n",
        "    mounts: ",
        "    net: ",
        "[",
        "]",
        "{",
        "}",
        ",",
        ": ",
        "- ",
        "\n",
        "  ",
        "\"",
        "'",
        "|\n",
        ">\n",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "!x ",
        "# c\n",
        "---\n",
        "...\n",
        "? ",
        "%YAML 1.2\n",
        "\t",
        "~",
        "0644",
        "-1",
        "1e999",
        "99999999999999999999999999999999999999999999",
        ".nan",
        "true",
        "all",
        "none",
        "new",
        "linuxkit",
        "/a:/b",
        "nofile,1,2",
        "10s",
        "\u{feff}",
        "\u{85}",
        "é",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn scraps_of_yaml(text in scraps(), moby in scraps(), ours in scraps()) {
        feed(text.as_bytes(), &moby, &ours);
        let entry = "services:\n  - {name: c, image: x}\n";
        feed(entry.as_bytes(), &moby, &ours);
    }

    #[test]
    fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..200)) {
        feed(&text, "", "");
    }

    #[test]
    fn a_good_file_with_a_byte_changed(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut text = include_bytes!("linuxkit-yaml/wireguard.yml").to_vec();
        let at = at.index(text.len());
        text[at] = to;
        feed(&text, "", "");
    }
}
