//! What people ask about, one by one.

use hullkit_bundle::Supervision;
use hullkit_bundle::supervision::{OnFailure, Restart};

use super::super::*;
use super::world::{Real, Variant, World};

fn entry(kind: Kind, name: &str, supervision: Supervision) -> Spec {
    Spec {
        kind,
        name: name.to_owned(),
        supervision,
        error: None,
    }
}

fn service(name: &str, requires: &[&str]) -> Spec {
    let requires = requires.iter().map(|name| (*name).to_owned()).collect();
    entry(
        Kind::Service,
        name,
        Supervision {
            requires,
            ..Supervision::default()
        },
    )
}

fn world(specs: Vec<Spec>) -> World {
    let mut world = World::new(specs);
    world.feed(Event::Begin).unwrap();
    world
}

fn state(world: &World, index: usize) -> &'static str {
    world.core.entries()[index].state().as_str()
}

fn well(world: &mut World, index: usize) {
    world.happens(index, Variant::Well).unwrap();
}

fn badly(world: &mut World, index: usize) {
    world.happens(index, Variant::Badly).unwrap();
}

fn pass(world: &mut World, ms: u64) {
    world.now = world.now.after(ms);
    world.feed(Event::Tick).unwrap();
}

#[test]
fn onboot_goes_on_after_a_failure() {
    let onboot = |name| entry(Kind::Onboot, name, Supervision::default());
    let mut world = world(vec![onboot("000-a"), onboot("001-b"), service("web", &[])]);
    well(&mut world, 0);
    assert_eq!((state(&world, 0), state(&world, 1)), ("running", "waiting"));
    badly(&mut world, 0);
    assert_eq!((state(&world, 0), state(&world, 1)), ("failed", "starting"));
    well(&mut world, 1);
    well(&mut world, 1);
    assert_eq!((state(&world, 1), state(&world, 2)), ("exited", "starting"));
    assert!(world.core.onboot_done().is_some() && world.core.services_up().is_none());
    well(&mut world, 2);
    assert!(world.core.services_up().is_some());
}

#[test]
fn onboot_that_says_so_stops_the_boot() {
    let supervision = Supervision {
        on_failure: OnFailure::Stop,
        ..Supervision::default()
    };
    let specs = vec![
        entry(Kind::Onboot, "000-a", supervision),
        service("web", &[]),
    ];
    let mut world = world(specs);
    badly(&mut world, 0);
    assert_eq!(world.core.system(), SystemState::Stopped);
    assert_eq!((state(&world, 0), state(&world, 1)), ("failed", "skipped"));
    // Somebody who looks at the machine may still start what they need.
    world
        .feed(Event::Request {
            id: RequestId(1),
            ask: Ask::Start,
            entry: EntryId(1),
        })
        .unwrap();
    well(&mut world, 1);
    assert_eq!(world.replies.get(&1), Some(&Ok(())));
}

#[test]
fn onboot_that_takes_too_long_is_killed() {
    let supervision = Supervision {
        timeout: 500,
        on_failure: OnFailure::Poweroff,
        ..Supervision::default()
    };
    let mut world = world(vec![entry(Kind::Onboot, "000-a", supervision)]);
    well(&mut world, 0);
    pass(&mut world, 499);
    assert_eq!(world.real[0], Real::Alive { killed: false });
    pass(&mut world, 1);
    assert_eq!(world.real[0], Real::Alive { killed: true });
    well(&mut world, 0);
    assert_eq!(
        world.core.entries()[0].error(),
        Some("timed out after 500 ms")
    );
    assert_eq!(world.finished, Some(End::Poweroff));
}

#[test]
fn a_broken_bundle_is_named_and_the_boot_goes_on() {
    let broken = Spec {
        error: Some("config.json: EOF".to_owned()),
        ..service("bad", &[])
    };
    let mut world = world(vec![broken, service("web", &["bad"]), service("db", &[])]);
    assert_eq!(state(&world, 0), "failed");
    assert_eq!(state(&world, 1), "skipped");
    assert_eq!(state(&world, 2), "starting");
    well(&mut world, 2);
    assert!(world.core.services_up().is_some());
}

#[test]
fn a_dead_service_comes_back_with_growing_delays() {
    let mut world = world(vec![service("web", &[])]);
    let mut delays = Vec::new();
    for _ in 0..9 {
        well(&mut world, 0);
        badly(&mut world, 0);
        assert_eq!(state(&world, 0), "backoff");
        let State::Backoff { until } = world.core.entries()[0].state() else {
            panic!()
        };
        delays.push(until.since(world.now));
        well(&mut world, 0);
        let ms = until.since(world.now);
        pass(&mut world, ms);
        assert_eq!(state(&world, 0), "starting");
    }
    assert_eq!(
        delays,
        [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000]
    );
    assert_eq!(world.core.entries()[0].restarts(), 9);
    // How it ended last stays to be seen while it runs again.
    let code = Ending {
        how: How::Exited(1),
        oom: false,
    };
    assert_eq!(world.core.entries()[0].last_ending(), Some(code));
    well(&mut world, 0);
    assert!(world.core.entries()[0].crash_loop(world.now));
    pass(&mut world, 10_000);
    assert!(!world.core.entries()[0].crash_loop(world.now));
}

#[test]
fn a_restart_waits_for_what_is_left() {
    let mut world = world(vec![service("web", &[])]);
    well(&mut world, 0);
    badly(&mut world, 0);
    pass(&mut world, 5_000);
    assert_eq!(state(&world, 0), "backoff");
    well(&mut world, 0);
    assert_eq!(state(&world, 0), "starting");
}

#[test]
fn never_means_never() {
    let supervision = Supervision {
        restart: Restart::Never,
        ..Supervision::default()
    };
    let mut world = world(vec![entry(Kind::Service, "job", supervision)]);
    well(&mut world, 0);
    badly(&mut world, 0);
    pass(&mut world, 100_000);
    assert_eq!(state(&world, 0), "failed");
}

#[test]
fn stop_escalates_and_is_answered_when_it_is_down() {
    let mut world = world(vec![service("web", &[])]);
    well(&mut world, 0);
    world
        .feed(Event::Request {
            id: RequestId(1),
            ask: Ask::Stop,
            entry: EntryId(0),
        })
        .unwrap();
    assert_eq!(state(&world, 0), "stopping");
    pass(&mut world, 10_000);
    assert_eq!(world.real[0], Real::Alive { killed: true });
    well(&mut world, 0);
    assert!(world.replies.is_empty());
    well(&mut world, 0);
    assert_eq!(world.replies.get(&1), Some(&Ok(())));
    pass(&mut world, 1_000_000);
    assert_eq!(state(&world, 0), "exited");
}

#[test]
fn a_start_that_fails_is_answered_with_its_error() {
    let mut world = world(vec![service("web", &[])]);
    world
        .feed(Event::Request {
            id: RequestId(1),
            ask: Ask::Start,
            entry: EntryId(0),
        })
        .unwrap();
    badly(&mut world, 0);
    assert_eq!(
        world.replies.get(&1),
        Some(&Err(Refusal::Failed("web: no such file".to_owned())))
    );
}

#[test]
fn what_was_skipped_starts_when_it_can() {
    let never = Supervision {
        restart: Restart::Never,
        ..Supervision::default()
    };
    let mut world = world(vec![
        entry(Kind::Service, "db", never),
        service("web", &["db"]),
    ]);
    badly(&mut world, 0);
    assert_eq!((state(&world, 0), state(&world, 1)), ("failed", "skipped"));
    well(&mut world, 0);
    world
        .feed(Event::Request {
            id: RequestId(1),
            ask: Ask::Start,
            entry: EntryId(0),
        })
        .unwrap();
    well(&mut world, 0);
    assert_eq!(state(&world, 1), "starting");
}

#[test]
fn the_way_down_is_the_way_up_reversed() {
    let specs = vec![
        service("db", &[]),
        service("app", &["db"]),
        service("web", &["app"]),
    ];
    let mut world = world(specs);
    for index in 0..3 {
        well(&mut world, index);
    }
    world.go_down(false).unwrap();
    assert_eq!(world.stopped, [2, 1, 0]);
}

#[test]
fn a_second_request_kills_and_a_third_ends() {
    let onshutdown = entry(Kind::Onshutdown, "000-save", Supervision::default());
    let mut world = world(vec![service("web", &[]), onshutdown]);
    well(&mut world, 0);
    world.feed(Event::Shutdown(End::Poweroff)).unwrap();
    assert_eq!(world.real[0], Real::Alive { killed: false });
    world.feed(Event::Shutdown(End::Poweroff)).unwrap();
    assert_eq!(world.real[0], Real::Alive { killed: true });
    world.feed(Event::Shutdown(End::Reboot)).unwrap();
    assert_eq!(world.finished, Some(End::Reboot));
}

#[test]
fn the_log_process_comes_back_at_once() {
    let mut world = world(vec![Spec::helper(Kind::Log, "log"), service("web", &[])]);
    well(&mut world, 0);
    badly(&mut world, 0);
    pass(&mut world, 20);
    assert_eq!(state(&world, 0), "starting");
}
