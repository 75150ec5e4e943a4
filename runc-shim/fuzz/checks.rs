//! What holds for any bytes, by parser. The fuzz targets make bytes up,
//! `tests/corpus.rs` feeds the ones that were kept.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use runc_shim::cli::Invocation;
use runc_shim::plan::{Choices, Facts, Plan};
use runc_shim::seccomp::compile;
use runc_shim::spec::{Arch, Container};
use runc_shim::state::State;

/// `config.json`: no crash, no hang, and a plan for what is read.
pub(crate) fn spec(text: &[u8]) {
    if let Ok(container) = Container::parse(text) {
        let facts = Facts {
            bundle: c"/bundle".to_owned(),
            arch: Arch::X86_64,
            wait: true,
            choices: Choices::default(),
        };
        assert!(!Plan::new(&container, &facts).to_string().is_empty());
    }
}

/// `linux.seccomp`: what is read compiles for each machine, and no jump leads
/// out of the filter.
pub(crate) fn seccomp(text: &[u8]) {
    let Ok(profile) = std::str::from_utf8(text) else {
        return;
    };
    let config = format!(
        r#"{{"ociVersion":"1.2.1","process":{{"args":["x"],"cwd":"/"}},"root":{{"path":"r"}},
        "linux":{{"namespaces":[{{"type":"mount"}}],"seccomp":{profile}}}}}"#
    );
    let Ok(container) = Container::parse(config.as_bytes()) else {
        return;
    };
    let Some(filter) = container.seccomp else {
        return;
    };
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let program = compile(&filter, arch);
        for (at, i) in program.iter().enumerate() {
            let furthest = match i.code & 7 {
                5 if i.code == 5 => usize::try_from(i.k).unwrap(),
                5 => usize::from(i.jt.max(i.jf)),
                _ => 0,
            };
            let last = i.code & 7 == 6;
            assert!(last || at + 1 + furthest < program.len());
        }
    }
}

/// `state.json`: what is read is read again as it was written.
pub(crate) fn state(text: &[u8]) {
    if let Ok(state) = State::parse(text) {
        let again = State::parse(state.to_json().as_bytes()).expect("ours");
        assert_eq!(again, state);
    }
}

/// A command line, a line for each word: what is refused is told in words.
pub(crate) fn arguments(text: &[u8]) {
    let words = text.split(|b| *b == b'\n').map(<[u8]>::to_vec);
    if let Err(error) = Invocation::parse(words.map(OsString::from_vec).collect()) {
        assert!(!error.to_string().is_empty());
    }
}
