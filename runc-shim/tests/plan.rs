//! The plan of each `plans/NAME.json` is `plans/NAME.plan`, line by line.
//! HULLKIT_UPDATE=1 writes the plans anew, to be looked at with `git diff`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use runc_shim::plan::{Choices, Entry, Facts, Plan, Step};
use runc_shim::spec::{Arch, Container};

fn plan(config: &[u8], wait: bool) -> String {
    let container = match Container::parse(config) {
        Ok(container) => container,
        Err(error) => return format!("refused: {error}\n"),
    };
    let facts = Facts {
        bundle: c"/bundle".to_owned(),
        arch: Arch::X86_64,
        wait,
        choices: Choices::default(),
    };
    let plan = Plan::new(&container, &facts);
    let mut text = String::new();
    for step in &plan.steps {
        writeln!(text, "{step}").unwrap();
        // The line that people see leaves out what the kernel is asked for.
        if let Step::Mount { mount, .. } = step {
            writeln!(text, "    {:?}", mount.kind).unwrap();
            writeln!(
                text,
                "    set {:#x}, recursive {:?}, propagation {:?}",
                mount.attributes.0, mount.recursive, mount.propagation
            )
            .unwrap();
        }
    }
    writeln!(text, "candidates {:?}", plan.program.candidates).unwrap();
    writeln!(text, "filter of {} instructions", plan.filter.len()).unwrap();
    text
}

#[test]
fn plans_are_what_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        seen += 1;
        let found = plan(&fs::read(&path).unwrap(), true);
        let expected = path.with_extension("plan");
        if std::env::var_os("HULLKIT_UPDATE").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(found, expected, "{}", path.display());
    }
    assert!(seen >= 4, "only {seen} plans");
}

#[test]
fn run_differs_from_create_by_the_wait() {
    let config = include_bytes!("plans/default.json");
    let create = plan(config, true).replace("wait for start\n", "");
    assert_eq!(create, plan(config, false));
}

#[test]
fn what_needs_the_host_comes_before_a_container_is_entered() {
    let container = Container::parse(include_bytes!("plans/terminal.json")).unwrap();
    let entry = Entry {
        arch: Arch::X86_64,
        user_namespace: true,
        choices: Choices::default(),
    };
    let steps = Plan::of_entry(&container, &entry).steps;
    let join = steps.iter().position(|step| *step == Step::JoinContainer);
    let join = join.expect("it is joined");
    for (index, step) in steps.iter().enumerate() {
        let needs_host = matches!(
            step,
            Step::SetOomScore(_) | Step::SetLimit(_) | Step::SetAppArmor(_)
        );
        assert_eq!(needs_host, index < join, "{step}");
    }
    let terminal = Step::OpenTerminal {
        console: false,
        size: container.process.console_size,
        uid: 1000,
    };
    assert!(steps.contains(&terminal));
    assert_eq!(steps.last(), Some(&Step::Exec));
}
