//! The kernel command line, whatever it is.
#![no_main]

use hullkit_init::cmdline::Cmdline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let cmdline = Cmdline::parse(text);
    assert!(cmdline.runtime.is_none_or(|path| path.starts_with('/')));
    assert!(cmdline.modules.iter().all(|name| !name.contains('-')));
});
