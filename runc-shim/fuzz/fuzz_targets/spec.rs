//! Any bytes as `config.json`: no crash, no hang, and a plan for what is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runc_shim::plan::{Choices, Facts, Plan};
use runc_shim::spec::{Arch, Container};

fuzz_target!(|text: &[u8]| {
    if let Ok(container) = Container::parse(text) {
        let facts = Facts {
            bundle: c"/bundle".to_owned(),
            arch: Arch::X86_64,
            wait: true,
            choices: Choices::default(),
        };
        assert!(!Plan::new(&container, &facts).to_string().is_empty());
    }
});
