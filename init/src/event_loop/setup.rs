//! The loop's beginning: the core made from the plan, and the sockets opened.

use hullkit_bundle::control::System;
use nix::sys::epoll::EpollFlags;

use super::container::Container;
use super::helper::Helper;
use super::log_link::LogLink;
use super::poller::{Poller, Token};
use super::watchdog::Watchdog;
use super::{Shell, problem, runtime};
use crate::boot::Booted;
use crate::cmdline::Cmdline;
use crate::control::{Door, Server};
use crate::life::snapshot::Snapshot;
use crate::plan::{self, Plan};
use crate::supervise::{Core, EntryId, Kind, Spec, Time};
use crate::{Error, log};

impl Shell {
    /// The loop's state before the first event.
    pub(super) fn new(started: Time, booted: Booted, plan: Plan, poller: Poller) -> Self {
        let mut problems = booted.problems;
        problems.extend(plan.problems.iter().map(ToString::to_string));
        let members = Members::of(plan, &booted.cmdline);
        let control = note(open_control(&poller), &mut problems);
        let log = LogLink::new(booted.cmdline.runtime_console, &mut problems);
        for text in &problems {
            problem(text);
        }
        Self {
            core: Core::new(members.specs),
            containers: members.containers,
            poller,
            control,
            log,
            log_id: members.log,
            helpers: members.helpers,
            watchdog: Watchdog::new(booted.cmdline.watchdog),
            runtime: runtime::Options::from(&booted.cmdline),
            system: System {
                kernel: release_name(),
                init_ms: started.0,
                problems,
                ..System::default()
            },
            probes: Vec::new(),
            actions: Vec::new(),
            end: None,
            snapshot: Snapshot::new()
                .inspect_err(|error| problem(&format!("save state: {error}")))
                .ok(),
            unsaved: false,
            failed: None,
            crash_test: booted.cmdline.crash_test,
            upgrade: None,
            to_tell: booted.cmdline.ready,
            execs: Vec::new(),
            waits: Vec::new(),
        }
    }
}

/// Who is supervised.
pub(super) struct Members {
    /// What the core is told, in the order of its entries.
    pub(super) specs: Vec<Spec>,
    /// What the loop holds, in the same order.
    pub(super) containers: Vec<Option<Container>>,
    /// The log process.
    pub(super) log: EntryId,
    /// Our other processes.
    pub(super) helpers: Vec<Helper>,
}

impl Members {
    /// The plan's entries, and our own processes.
    pub(super) fn of(plan: Plan, cmdline: &Cmdline) -> Self {
        let emergency = is_emergency(&plan, cmdline);
        let (mut specs, mut containers): (Vec<_>, Vec<_>) =
            plan.entries.into_iter().map(member).unzip();
        let mut helper = |kind, name| {
            specs.push(Spec::helper(kind, name));
            containers.push(None);
            EntryId(specs.len() - 1)
        };
        let log = helper(Kind::Log, log::SUBJECT);
        let mut helpers = Vec::new();
        if cmdline.uevent {
            let entry = helper(Kind::Uevent, "uevent");
            helpers.push(Helper::new(entry, crate::uevent::NAME));
        }
        if emergency {
            let entry = helper(Kind::Console, "console");
            helpers.push(Helper::new(entry, crate::console::NAME));
        }
        Self {
            specs,
            containers,
            log,
            helpers,
        }
    }
}

/// Whether nothing is to be started but the emergency console: because it was
/// said so, or because what the image wants to run cannot be read.
pub(super) fn is_emergency(plan: &Plan, cmdline: &Cmdline) -> bool {
    cmdline.emergency || !plan.problems.is_empty()
}

/// What the core and the loop know of an entry.
fn member(entry: plan::Entry) -> (Spec, Option<Container>) {
    let spec = Spec {
        kind: Kind::from(entry.section),
        name: entry.name,
        supervision: entry.supervision,
        error: entry.bundle.as_ref().err().map(ToString::to_string),
    };
    (spec, entry.bundle.ok().map(Container::new))
}

fn open_control(poller: &Poller) -> Result<Server, Error> {
    let server = Server::open()?;
    // Each client once: one that cannot be taken must not end every wait.
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    for door in [Door::Control, Door::View] {
        poller
            .watch(server.listener(door), Token::Door(door), flags)
            .map_err(Error::os("watch", "control socket"))?;
    }
    Ok(server)
}

/// The machine runs without it, and says so.
fn note<T>(result: Result<T, Error>, problems: &mut Vec<String>) -> Option<T> {
    result
        .inspect_err(|error| problems.push(error.to_string()))
        .ok()
}

pub(super) fn release_name() -> String {
    nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default()
}
