//! Any bytes as `linux.seccomp`: what is read compiles for each machine, and
//! no jump leads out of the filter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runc_shim::seccomp::compile;
use runc_shim::spec::{Arch, Container};

fuzz_target!(|text: &[u8]| {
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
});
