//! The files of `/lib/modules`, whatever is in them: the first line is a name,
//! the rest is each of the files.
#![no_main]

use hullkit_init::modules::alias::{self, Wanted};
use hullkit_init::modules::dep::Dep;
use hullkit_init::modules::softdep;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (name, file) = text.split_once('\n').unwrap_or((text, ""));
    let _ = softdep::of(file, name);
    let _ = alias::modules(file, &Wanted::new([name]));
    let dep = Dep::new(file.to_owned());
    if let Some(module) = dep.find(name) {
        let order = dep.order(module, &mut |_| false);
        assert!(order.last().is_some_and(|last| last.path == module.path));
    }
});
