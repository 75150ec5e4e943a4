//! A bundle's `config.json` and `runtime.json`, whatever is in them: the first
//! NUL stands between the two. There is always an entry, and its cgroup is
//! never the root of all.
#![no_main]

use std::fs;
use std::path::Path;

use hullkit_init::plan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let mut parts = text.splitn(2, |byte| *byte == 0);
    let root = std::env::temp_dir().join(format!("hullkit-fuzz-plan-{}", std::process::id()));
    let bundle = root.join("containers/services/web");
    fs::create_dir_all(&bundle).expect("a folder for the bundle");
    for name in ["config.json", "runtime.json"] {
        let content = parts.next().unwrap_or_default();
        fs::write(bundle.join(name), content).expect("a file of the bundle");
    }
    let plan = plan::load(&root);
    assert_eq!((plan.entries.len(), plan.problems.len()), (1, 0));
    if let Ok(bundle) = &plan.entries[0].bundle {
        let above = Path::new("/sys/fs/cgroup");
        assert!(bundle.cgroup.starts_with(above) && bundle.cgroup != above);
    }
});
