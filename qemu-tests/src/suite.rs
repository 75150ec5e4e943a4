//! Runs cases as tests, each under its own name, with as few boots as they
//! allow.
//!
//! All shared cases of a target have one guest. It boots when the first of
//! them asks and ends when the last of them is done: each test's closure holds
//! a share of it, and a test that is filtered out drops its share. Tests start
//! in the order of the list, so at most as many guests live as tests run.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Error, Result, anyhow};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

use crate::case::{Boot, Case, EVERYWHERE, Machine, Target};
use crate::guest::Guest;
use crate::image::Image;
use crate::places;

/// How much of the console a failure shows.
const TAIL: usize = 40;

/// Runs `cases` with the command line of `cargo test`.
///
/// # Panics
/// Two cases have one name.
pub fn run(cases: &'static [&'static [Case]]) -> Conclusion {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let cases: Vec<&'static Case> = cases.iter().copied().flatten().collect();
    let mut names = HashSet::new();
    for case in &cases {
        assert!(names.insert(case.name), "two cases {}", case.name);
    }
    let trials = EVERYWHERE
        .iter()
        .flat_map(|target| trials(*target, &cases, &arguments))
        .collect();
    libtest_mimic::run(&arguments, trials)
}

/// Whether the command line asks for this case.
fn is_wanted(arguments: &Arguments, target: Target, case: &Case) -> bool {
    let name = trial_name(target, case);
    let fits = |text: &String| match arguments.exact {
        true => name == *text,
        false => name.contains(text.as_str()),
    };
    arguments.filter.as_ref().is_none_or(fits) && !arguments.skip.iter().any(fits)
}

fn trial_name(target: Target, case: &Case) -> String {
    format!("{}::{}", target.name(), case.name)
}

fn trials(target: Target, cases: &[&'static Case], arguments: &Arguments) -> Vec<Trial> {
    let (sharing, alone): (Vec<&Case>, Vec<&Case>) = cases
        .iter()
        .filter(|case| case.targets.contains(&target))
        .partition(|case| matches!(case.boot, Boot::Shared));
    let shared = Arc::new(Shared {
        target,
        // What is filtered out need not run beside the others.
        parts: sharing
            .iter()
            .filter(|case| is_wanted(arguments, target, case))
            .map(|case| (case.name, case.yaml))
            .collect(),
        guest: OnceLock::new(),
        failed: AtomicBool::new(false),
    });
    let mut trials = Vec::new();
    for case in sharing {
        let shared = Arc::clone(&shared);
        trials.push(trial(target, case, move || shared.run(case)));
    }
    for case in alone {
        if let Boot::Own(machine) = case.boot {
            trials.push(trial(target, case, move || {
                run_alone(target, case, &machine)
            }));
        }
    }
    trials
}

fn trial(
    target: Target,
    case: &'static Case,
    run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    Trial::test(trial_name(target, case), run)
}

/// The guest that the shared cases of a target have in common.
struct Shared {
    target: Target,
    parts: Vec<(&'static str, &'static str)>,
    guest: OnceLock<Result<Guest, String>>,
    failed: AtomicBool,
}

impl Shared {
    fn name(&self) -> String {
        format!("{}::shared", self.target.name())
    }

    fn run(&self, case: &Case) -> Result<(), Failed> {
        let guest = self
            .guest
            .get_or_init(|| self.boot().map_err(|e| format!("the shared guest: {e:#}")));
        let guest = guest.as_ref().map_err(|e| {
            self.failed.store(true, Ordering::Relaxed);
            Failed::from(e)
        })?;
        (case.check)(guest).map_err(|e| {
            self.failed.store(true, Ordering::Relaxed);
            report(&e, guest)
        })
    }

    fn boot(&self) -> Result<Guest> {
        let dir = fresh_dir(&self.name())?;
        let image = Image::build(self.target, &dir, &Machine::PLAIN, &self.parts)?;
        let guest = Guest::boot(&image, &Machine::PLAIN, &dir)?;
        match guest.wait_up() {
            Ok(()) => Ok(guest),
            Err(e) => Err(anyhow!(shown(&e, &guest))),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let booted = self.guest.take().is_some();
        if booted && !self.failed.load(Ordering::Relaxed) {
            // What stays of a success is in nobody's way.
            let _ = fs::remove_dir_all(places::case_dir(&self.name()));
        }
    }
}

fn run_alone(target: Target, case: &Case, machine: &Machine) -> Result<(), Failed> {
    let name = trial_name(target, case);
    let dir = fresh_dir(&name).map_err(|e| format!("{e:#}"))?;
    let boot = || {
        let image = Image::build(target, &dir, machine, &[(case.name, case.yaml)])?;
        Guest::boot(&image, machine, &dir)
    };
    let guest = boot().map_err(|e| format!("{e:#}; its files are in {}", dir.display()))?;
    (case.check)(&guest).map_err(|e| report(&e, &guest))?;
    drop(guest);
    // What stays of a success is in nobody's way.
    let _ = fs::remove_dir_all(dir);
    Ok(())
}

fn fresh_dir(name: &str) -> Result<std::path::PathBuf> {
    let dir = places::case_dir(name);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn report(error: &Error, guest: &Guest) -> Failed {
    shown(error, guest).into()
}

fn shown(error: &Error, guest: &Guest) -> String {
    format!(
        "{error:#}\nits console, command line and YAML are in {}; the console's end:\n{}",
        guest.dir().display(),
        guest.console.tail(TAIL)
    )
}
