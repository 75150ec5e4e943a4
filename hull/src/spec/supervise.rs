//! Our own keys of an entry: what PID 1 does with it.

use hullkit_bundle::layout::Section;
use hullkit_bundle::supervision::{Measure, OnFailure, Restart};

use super::log;
use super::node::{Kind, Node};
use super::place::Located;
use super::read::{Fields, Reader};
use super::sockets;
use super::text;
use super::types::{BackoffFields, Security, Supervise};
use super::watch;

/// Our keys, with the sections that they apply to.
const KEYS: &[(&str, &[Section])] = &[
    ("after", &[Section::Services]),
    ("backoff", &[Section::Services]),
    ("critical", &[Section::Services]),
    ("fdStore", &[Section::Services]),
    ("health", &[Section::Services]),
    ("lazy", &[Section::Services]),
    ("log", &Section::ALL),
    ("onFailure", &[Section::Onboot, Section::Onshutdown]),
    ("oom", &[Section::Services]),
    ("ready", &[Section::Services]),
    ("requires", &[Section::Services]),
    ("restart", &[Section::Services]),
    ("security", &Section::ALL),
    ("sockets", &[Section::Services]),
    ("startLimit", &[Section::Services]),
    ("stopSignal", &Section::ALL),
    ("stopTimeout", &Section::ALL),
    ("timeout", &[Section::Onboot, Section::Onshutdown]),
    ("watchdog", &[Section::Services]),
];

/// All of our keys.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(key, _)| *key)
}

/// Whether one of our keys applies to entries of `section`.
pub(super) fn applies(key: &str, section: Section) -> bool {
    let known = KEYS.iter().find(|(name, _)| *name == key);
    known.is_some_and(|(_, sections)| sections.contains(&section))
}

/// The values of `security`.
const SECURITY: [(&str, Security); 3] = [
    ("default", Security::Default),
    ("linuxkit", Security::LinuxKit),
    ("strict", Security::Strict),
];

impl std::str::FromStr for Security {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = SECURITY.iter().find(|(word, _)| *word == text);
        known
            .map(|(_, security)| *security)
            .ok_or_else(|| format!("allowed: {}", SECURITY.map(|(word, _)| word).join(", ")))
    }
}

/// Reads `security`.
pub(super) fn security(r: &mut Reader, node: &Node, field: &str) -> Option<Security> {
    r.word(node, field, &SECURITY)
}

/// Reads our keys. `section`: which of them apply; none: an image's label,
/// where all may stand, and those that do not apply are passed over.
pub(super) fn read(r: &mut Reader, fields: &Fields<'_>, section: Option<Section>) -> Supervise {
    if let Some(section) = section {
        refuse_others(r, fields, section);
    }
    let restart = [
        ("always", Restart::Always),
        ("on-failure", Restart::OnFailure),
        ("never", Restart::Never),
    ];
    let on_failure = [
        ("continue", OnFailure::Continue),
        ("stop", OnFailure::Stop),
        ("reboot", OnFailure::Reboot),
        ("poweroff", OnFailure::Poweroff),
    ];
    let oom = [
        ("restart", Measure::Restart),
        ("stop", Measure::Stop),
        ("reboot", Measure::Reboot),
    ];
    Supervise {
        restart: fields.read(r, "restart", |r, n, f| r.word(n, f, &restart)),
        backoff: fields
            .read(r, "backoff", |r, n, f| Some(backoff(r, n, f)))
            .unwrap_or_default(),
        after: fields.read(r, "after", names),
        requires: fields.read(r, "requires", names),
        stop_signal: fields.read(r, "stopSignal", stop_signal),
        stop_timeout: fields.read(r, "stopTimeout", duration),
        timeout: fields.read(r, "timeout", positive),
        on_failure: fields.read(r, "onFailure", |r, n, f| r.word(n, f, &on_failure)),
        security: fields.read(r, "security", security),
        start_limit: fields.read(r, "startLimit", watch::start_limit),
        ready: fields.read(r, "ready", watch::ready),
        health: fields.read(r, "health", watch::health),
        watchdog: fields.read(r, "watchdog", positive),
        oom: fields.read(r, "oom", |r, n, f| r.word(n, f, &oom)),
        critical: fields.read(r, "critical", Reader::boolean),
        sockets: fields.read(r, "sockets", sockets::read),
        lazy: fields.read(r, "lazy", Reader::boolean),
        fd_store: fields.read(r, "fdStore", sockets::store),
        log: fields.read(r, "log", log::of_entry),
    }
}

fn refuse_others(r: &mut Reader, fields: &Fields<'_>, section: Section) {
    for (key, sections) in KEYS {
        if let Some(line) = fields.key_line(key)
            && !sections.contains(&section)
        {
            let allowed: Vec<&str> = sections.iter().map(|s| s.as_str()).collect();
            let message = format!(
                "does not apply to {}, allowed in: {}",
                section.as_str(),
                allowed.join(", ")
            );
            r.problem(line, &fields.name(key), message);
        }
    }
}

fn names(r: &mut Reader, node: &Node, field: &str) -> Option<Vec<Located<String>>> {
    r.list(node, field, |r, node, field| {
        let name = r.text(node, field)?;
        Some(r.located(name, node.line))
    })
}

fn stop_signal(r: &mut Reader, node: &Node, field: &str) -> Option<i32> {
    match node.kind {
        Kind::Int(n) => match text::signal(&n.to_string()) {
            Ok(number) => Some(number),
            Err(message) => {
                r.problem(node.line, field, message);
                None
            }
        },
        _ => r.parsed(node, field, text::signal).map(|s| s.value),
    }
}

/// A time in milliseconds.
pub(super) fn duration(r: &mut Reader, node: &Node, field: &str) -> Option<u64> {
    match node.kind {
        Kind::Int(n) => {
            let message = format!(
                "found {} (did you mean \"{n}s\"?), allowed: {}",
                node.describe(),
                text::DURATION
            );
            r.problem(node.line, field, message);
            None
        }
        _ => r.parsed(node, field, text::duration).map(|d| d.value),
    }
}

/// A time that is not 0.
pub(super) fn positive(r: &mut Reader, node: &Node, field: &str) -> Option<u64> {
    let ms = duration(r, node, field)?;
    if ms == 0 {
        r.problem(
            node.line,
            field,
            "found 0, allowed: a longer time; leave the key out for the default",
        );
        return None;
    }
    Some(ms)
}

fn backoff(r: &mut Reader, node: &Node, field: &str) -> BackoffFields {
    let Some(fields) = r.fields(node, field, &["factor", "initial", "max", "reset"]) else {
        return BackoffFields::default();
    };
    let initial = fields.read(r, "initial", positive);
    let max = fields.read(r, "max", positive);
    if let (Some(initial), Some(max)) = (initial, max)
        && initial > max
    {
        r.problem(node.line, field, "initial is longer than max");
    }
    BackoffFields {
        initial,
        max,
        factor_percent: fields.read(r, "factor", factor),
        reset: fields.read(r, "reset", duration),
    }
}

/// A factor from 1 to 100, in percent.
fn factor(r: &mut Reader, node: &Node, field: &str) -> Option<u32> {
    let factor = r.number(node, field)?;
    if !(1.0..=100.0).contains(&factor) {
        let message = format!("found {}, allowed: a number from 1 to 100", node.describe());
        r.problem(node.line, field, message);
        return None;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "1 to 100, checked above"
    )]
    Some((factor * 100.0).round() as u32)
}
