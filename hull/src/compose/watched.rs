//! What PID 1 watches of a service, and what the service is given for it: the
//! YAML's word, the label's, the image's.

use std::collections::BTreeMap;

use hullkit_bundle::Supervision;
use hullkit_bundle::layout;
use hullkit_bundle::socket::{Address, Socket};
use hullkit_bundle::supervision::{
    Health, Measure, Probe, READY_TIMEOUT, ReadyBy, Restart, StartLimit,
};

use super::healthcheck::Healthcheck;
use super::oci::Mount;
use crate::spec::{Entry, HealthFields, Problem, SocketFields, Supervise};

/// Docker's own defaults.
const INTERVAL: u64 = 30_000;
const TIMEOUT: u64 = 30_000;
const RETRIES: u32 = 3;

/// How often a critical service may be started, where nothing is said: without
/// a limit its failure would never be final.
const CRITICAL: StartLimit = StartLimit {
    burst: 5,
    interval: 60_000,
    action: Measure::Stop,
};

/// Lays what a service says over the defaults; or the field, and what is wrong.
pub(super) fn lay_over(
    supervision: &mut Supervision,
    yaml: &Supervise,
    label: &Supervise,
    image: Option<&Healthcheck>,
    name: &str,
) -> Result<(), (&'static str, String)> {
    let (y, l) = (yaml, label);
    let ready = y.ready.as_ref().or(l.ready.as_ref());
    supervision.ready = ready.map(|ready| ready.by.clone());
    if let Some(ready) = ready {
        let least = match ready.by {
            ReadyBy::Delay(ms) => ms.saturating_add(1000),
            _ => 0,
        };
        supervision.ready_timeout = ready.timeout.unwrap_or(READY_TIMEOUT.max(least));
    }
    supervision.health = health(y.health.as_ref(), l.health.as_ref(), image)?;
    supervision.watchdog = y.watchdog.or(l.watchdog).unwrap_or(0);
    supervision.oom = y.oom.or(l.oom).unwrap_or(Measure::Restart);
    supervision.critical = y.critical.or(l.critical).unwrap_or(false);
    let limit = y.start_limit.or(l.start_limit);
    let without = match (supervision.critical, supervision.restart) {
        (true, Restart::Always | Restart::OnFailure) => CRITICAL,
        _ => StartLimit::default(),
    };
    supervision.start_limit = limit.unwrap_or(without);
    let (sockets, store) = (y.sockets.as_ref(), y.fd_store.or(l.fd_store));
    let sockets = sockets.or(l.sockets.as_ref()).into_iter().flatten();
    supervision.sockets = sockets.map(|fields| socket(fields, name)).collect();
    supervision.lazy = y.lazy.or(l.lazy).unwrap_or(false);
    supervision.fd_store = store.unwrap_or(0);
    supervision.notify = supervision.ready == Some(ReadyBy::Notify)
        || supervision.watchdog > 0
        || supervision.fd_store > 0;
    check_descriptors(supervision)
}

/// How many connections may wait: as systemd has it.
const BACKLOG: u32 = 4096;
/// The same of a path's permissions.
const MODE: u32 = 0o666;

fn socket(fields: &SocketFields, service: &str) -> Socket {
    let path = matches!(fields.address, Address::Path(_));
    let fields = fields.clone();
    Socket {
        stream: fields.stream,
        name: fields.name.unwrap_or_else(|| service.to_owned()),
        backlog: match fields.stream {
            true => fields.backlog.unwrap_or(BACKLOG),
            false => 0,
        },
        mode: match path {
            true => fields.mode.unwrap_or(MODE),
            false => 0,
        },
        owner: fields.owner.unwrap_or((0, 0)),
        address: fields.address,
    }
}

/// Whether what is said of descriptors fits together.
fn check_descriptors(supervision: &Supervision) -> Result<(), (&'static str, String)> {
    let sockets = &supervision.sockets;
    if supervision.lazy && sockets.is_empty() {
        let message = "true without sockets, allowed: with sockets, one of which wakes it";
        return Err(("lazy", message.to_owned()));
    }
    let kept = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
    let first = kept.saturating_add(supervision.fd_store).saturating_add(3);
    if let Some(ReadyBy::Fd(fd)) = supervision.ready
        && fd < first
    {
        let message = format!(
            "found {fd}, allowed: {first} to 255, as those of sockets and fdStore begin at 3"
        );
        return Err(("ready.fd", message));
    }
    Ok(())
}

/// Whether two services want the same place; a line for each that does.
pub(super) fn doubled<'a>(
    services: impl Iterator<Item = (&'a Entry, &'a Supervision)>,
) -> Vec<Problem> {
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (entry, supervision) in services {
        for socket in &supervision.sockets {
            let kind = if socket.stream { "stream" } else { "datagram" };
            let place = match &socket.address {
                Address::Ip(_) => format!("{kind} {}", socket.address),
                Address::Path(path) => path.clone(),
            };
            if let Some(other) = taken.get(&place) {
                problems.push(Problem {
                    place: entry.place.clone(),
                    field: format!("services.{}.sockets", entry.name),
                    message: format!("{place} is the service {other}'s too, allowed: once"),
                });
            }
            taken.insert(place, &entry.name);
        }
    }
    problems
}

fn health(
    yaml: Option<&HealthFields>,
    label: Option<&HealthFields>,
    image: Option<&Healthcheck>,
) -> Result<Option<Health>, (&'static str, String)> {
    let none = HealthFields::default();
    let (y, l) = (yaml.unwrap_or(&none), label.unwrap_or(&none));
    if y.off || (yaml.is_none() && l.off) {
        return Ok(None);
    }
    let image = image.map_or(Ok(None), Healthcheck::said);
    let image =
        image.map_err(|message| ("image", format!("HEALTHCHECK of the image: {message}")))?;
    let words = image.as_ref().map(|i| i.words.clone());
    let of_image = words.and_then(|words| Probe::try_from(words).ok());
    let Some(probe) = y.probe.clone().or_else(|| l.probe.clone()).or(of_image) else {
        return match yaml.or(label) {
            None => Ok(None),
            Some(_) => {
                let message = "says not how, allowed: one of exec, http, tcp, unix; the image has no HEALTHCHECK";
                Err(("health", message.to_owned()))
            }
        };
    };
    let image = image.as_ref();
    let of = |y: Option<u64>, l: Option<u64>, i: Option<u64>| y.or(l).or(i);
    let retries = y.retries.or(l.retries).or(image.and_then(|i| i.retries));
    Ok(Some(Health {
        probe,
        interval: of(y.interval, l.interval, image.and_then(|i| i.interval)).unwrap_or(INTERVAL),
        timeout: of(y.timeout, l.timeout, image.and_then(|i| i.timeout)).unwrap_or(TIMEOUT),
        retries: retries.unwrap_or(RETRIES),
        start_period: of(
            y.start_period,
            l.start_period,
            image.and_then(|i| i.start_period),
        )
        .unwrap_or(0),
        action: y.action.or(l.action).unwrap_or(Measure::Restart),
    }))
}

/// Puts the variables by which a service finds all that to `env`, but for those
/// that it sets itself.
pub(super) fn add_variables(supervision: &Supervision, env: &mut Vec<String>) {
    let mut add = |name: &str, value: &str| {
        let has = |line: &String| line.split_once('=').is_some_and(|(known, _)| known == name);
        if !env.iter().any(has) {
            env.push(format!("{name}={value}"));
        }
    };
    if supervision.notify {
        let (folder, socket) = (layout::NOTIFY_INSIDE, layout::NOTIFY_SOCKET);
        add("NOTIFY_SOCKET", &format!("{folder}/{socket}"));
    }
    if supervision.watchdog > 0 {
        let microseconds = supervision.watchdog.saturating_mul(1000);
        add("WATCHDOG_USEC", &microseconds.to_string());
    }
}

/// The mount by which a service sees its notify socket.
pub(super) fn notify_mount(id: &str) -> Mount {
    let options = ["bind", "ro", "nosuid", "nodev", "noexec"];
    Mount {
        destination: layout::NOTIFY_INSIDE.to_owned(),
        kind: "bind".to_owned(),
        source: format!("{}/{id}", layout::NOTIFY),
        options: options.map(str::to_owned).to_vec(),
    }
}
