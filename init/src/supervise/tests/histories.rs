//! Random histories, and all short ones.

use hullkit_bundle::Supervision;
use hullkit_bundle::socket::Socket;
use hullkit_bundle::supervision::{
    Backoff, Health, Measure, OnFailure, Probe, ReadyBy, Restart, StartLimit,
};
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::*;
use super::sabotage::Sabotage;
use super::world::{Broken, Move, Variant, World};

fn spec(kind: Kind, name: &str, supervision: Supervision) -> Spec {
    Spec {
        kind,
        name: name.to_owned(),
        supervision,
        error: None,
    }
}

fn restart() -> impl Strategy<Value = Restart> {
    prop_oneof![
        Just(Restart::Always),
        Just(Restart::OnFailure),
        Just(Restart::Never)
    ]
}

fn on_failure() -> impl Strategy<Value = OnFailure> {
    prop_oneof![
        6 => Just(OnFailure::Continue),
        1 => Just(OnFailure::Stop),
        1 => Just(OnFailure::Reboot),
    ]
}

fn probe() -> Probe {
    let words = ["tcp", "127.0.0.1:80"].map(str::to_owned);
    Probe::try_from(words.to_vec()).unwrap()
}

fn ready() -> impl Strategy<Value = Option<ReadyBy>> {
    prop_oneof![
        3 => Just(None),
        2 => Just(Some(ReadyBy::Notify)),
        1 => Just(Some(ReadyBy::Fd(3))),
        1 => (1u64..400).prop_map(|ms| Some(ReadyBy::Delay(ms))),
        2 => Just(Some(ReadyBy::Probe(probe()))),
    ]
}

fn socket() -> Socket {
    let words = ["stream", "[::]:80", "web", "8", "0", "0", "0"].map(str::to_owned);
    Socket::try_from(words.to_vec()).unwrap()
}

/// Sockets, whether it is started by who comes, and what it may leave.
fn kept() -> impl Strategy<Value = (Vec<Socket>, bool, u32)> {
    prop_oneof![
        4 => Just((vec![], false, 0)),
        1 => Just((vec![], false, 2)),
        1 => Just((vec![socket()], false, 0)),
        3 => Just((vec![socket()], true, 1)),
    ]
}

fn health() -> impl Strategy<Value = Option<Health>> {
    let action = prop_oneof![
        4 => Just(Measure::Restart),
        1 => Just(Measure::None),
        1 => Just(Measure::Reboot),
    ];
    let some = (0u64..3000, 1u64..2000, 1u32..3, 0u64..5000, action);
    let some = some.prop_map(
        |(interval, timeout, retries, start_period, action)| Health {
            probe: probe(),
            interval,
            timeout,
            retries,
            start_period,
            action,
        },
    );
    prop::option::weighted(0.4, some)
}

/// What is watched of a service, and what its failure means.
fn watched() -> impl Strategy<Value = Supervision> {
    let limit = prop_oneof![
        3 => Just(StartLimit::default()),
        1 => (1u32..4, 0u64..20_000).prop_map(|(burst, interval)| StartLimit {
            burst,
            interval,
            action: Measure::Stop,
        }),
    ];
    let oom = prop_oneof![
        3 => Just(Measure::Restart),
        1 => Just(Measure::Stop),
        1 => Just(Measure::Reboot),
    ];
    let watchdog = prop_oneof![3 => Just(0u64), 1 => 1u64..5000];
    let all = (
        ready(),
        500u64..5000,
        health(),
        limit,
        oom,
        watchdog,
        any::<u8>(),
        kept(),
    );
    all.prop_map(
        |(ready, ready_timeout, health, start_limit, oom, watchdog, critical, kept)| Supervision {
            sockets: kept.0,
            lazy: kept.1,
            fd_store: kept.2,
            ready,
            ready_timeout,
            health,
            start_limit,
            oom,
            watchdog,
            critical: critical < 16,
            ..Supervision::default()
        },
    )
}

/// Services wait only for those before them, or (one in a while) for any, so
/// that there are cycles.
fn services() -> impl Strategy<Value = Vec<Spec>> {
    let one = (
        restart(),
        0u64..3000,
        any::<[u8; 3]>(),
        0u64..500,
        prop::bool::weighted(0.05),
        watched(),
    );
    prop::collection::vec(one, 1..5).prop_map(|services| {
        let count = services.len();
        let name = |index: usize| format!("s{index}");
        let services = services.into_iter().enumerate();
        services
            .map(
                |(index, (restart, stop_timeout, deps, initial, broken, watched))| {
                    let among = if deps[2] % 16 == 0 { count } else { index };
                    let pick = |byte: u8| {
                        (usize::from(byte) < among * 64 && among > 0)
                            .then(|| name(usize::from(byte) % among))
                    };
                    let supervision = Supervision {
                        restart,
                        stop_timeout,
                        backoff: Backoff {
                            initial,
                            max: 2000,
                            ..Backoff::default()
                        },
                        after: pick(deps[0]).into_iter().collect(),
                        requires: pick(deps[1]).into_iter().collect(),
                        ..watched
                    };
                    let error = broken.then(|| "config.json: broken".to_owned());
                    Spec {
                        error,
                        ..spec(Kind::Service, &name(index), supervision)
                    }
                },
            )
            .collect()
    })
}

fn sequence(kind: Kind) -> impl Strategy<Value = Vec<Spec>> {
    let one = (prop_oneof![Just(0u64), 1u64..5000], on_failure());
    prop::collection::vec(one, 0..3).prop_map(move |entries| {
        let entries = entries.into_iter().enumerate();
        entries
            .map(|(index, (timeout, on_failure))| {
                let supervision = Supervision {
                    timeout,
                    on_failure,
                    ..Supervision::default()
                };
                spec(kind, &format!("{index:03}-x"), supervision)
            })
            .collect()
    })
}

fn machine() -> impl Strategy<Value = Vec<Spec>> {
    (
        sequence(Kind::Onboot),
        services(),
        sequence(Kind::Onshutdown),
    )
        .prop_map(|(mut specs, services, onshutdown)| {
            specs.extend(services);
            specs.extend(onshutdown);
            specs.push(Spec::helper(Kind::Log, "log"));
            specs.push(Spec::helper(Kind::Uevent, "uevent"));
            specs
        })
}

fn variant() -> impl Strategy<Value = Variant> {
    prop_oneof![3 => Just(Variant::Well), 1 => Just(Variant::Badly)]
}

fn notice() -> impl Strategy<Value = Notice> {
    prop_oneof![
        8 => Just(Notice::Ready),
        4 => Just(Notice::Written),
        8 => Just(Notice::Alive),
        1 => Just(Notice::Trigger),
        1 => Just(Notice::Stopping),
        1 => Just(Notice::Reloading),
        1 => Just(Notice::Status("as ever".to_owned())),
        1 => (0u64..10_000).prop_map(Notice::WatchdogInterval),
        1 => (0u64..1_000_000).prop_map(Notice::ExtendTimeout),
    ]
}

fn step() -> impl Strategy<Value = Move> {
    let ask = prop_oneof![Just(Ask::Start), Just(Ask::Stop), Just(Ask::Restart)];
    prop_oneof![
        60 => (any::<usize>(), variant()).prop_map(|(choice, variant)| Move::Machine(choice, variant)),
        20 => prop_oneof![0u64..500, 0u64..100_000].prop_map(Move::Wait),
        20 => (ask, any::<usize>()).prop_map(|(ask, entry)| Move::Ask(ask, entry)),
        20 => (any::<usize>(), notice()).prop_map(|(entry, notice)| Move::Say(entry, notice)),
        20 => (any::<usize>(), prop::bool::weighted(0.6)).prop_map(|(entry, well)| Move::Probed(entry, well)),
        2 => any::<usize>().prop_map(Move::Oom),
        20 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(entry, well)| Move::Call(entry, well)),
        10 => Just(Move::Rebirth),
        1 => Just(Move::Shutdown(End::Reboot)),
    ]
}

fn live(specs: Vec<Spec>, moves: &[Move], dead: bool) -> Result<(), Broken> {
    live_in(World::new(specs), moves, dead)
}

fn live_in(mut world: World, moves: &[Move], dead: bool) -> Result<(), Broken> {
    world.feed(Event::Begin)?;
    for step in moves {
        world.play(step)?;
    }
    if world.finished.is_none() {
        world.go_down(dead)?;
    }
    // A stuck service's stop was answered; whoever waits at the end was told.
    world.check_answers()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn random(specs in machine(), moves in prop::collection::vec(step(), 0..120), dead: bool) {
        if let Err(rule) = live(specs, &moves, dead) {
            prop_assert!(false, "{}", rule);
        }
    }
}

/// A core that breaks a rule is found out, whichever rule it is.
#[test]
fn each_broken_rule_is_found() {
    let mut runner = TestRunner::deterministic();
    let strategy = (
        machine(),
        prop::collection::vec(step(), 0..120),
        any::<bool>(),
    );
    let histories: Vec<_> = (0..4000)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect();
    for sabotage in Sabotage::ALL {
        let mut others = BTreeSet::new();
        let found = histories.iter().any(|(specs, moves, dead)| {
            let world = World::sabotaged(specs.clone(), Some(sabotage));
            match live_in(world, moves, *dead) {
                Ok(()) => false,
                Err(rule) => {
                    let found = sabotage.found_by().iter().any(|words| rule.contains(words));
                    others.insert(rule);
                    found
                }
            }
        });
        assert!(found, "{sabotage:?} is not found; what is: {others:#?}");
    }
}

/// What may happen to an entry.
fn plain(entry: usize) -> Vec<Move> {
    vec![
        Move::Machine(entry, Variant::Well),
        Move::Machine(entry, Variant::Badly),
        Move::Ask(Ask::Start, entry),
        Move::Ask(Ask::Stop, entry),
        Move::Ask(Ask::Restart, entry),
    ]
}

/// What more may happen to one that is watched.
fn watched_too(entry: usize) -> Vec<Move> {
    let mut moves = plain(entry);
    moves.extend([
        Move::Say(entry, Notice::Ready),
        Move::Say(entry, Notice::Stopping),
        Move::Probed(entry, true),
        Move::Probed(entry, false),
        Move::Oom(entry),
    ]);
    moves
}

/// What more may happen to one with sockets.
fn called_too(entry: usize) -> Vec<Move> {
    let mut moves = plain(entry);
    moves.extend([
        Move::Call(entry, true),
        Move::Call(entry, false),
        Move::Say(entry, Notice::Written),
        Move::Rebirth,
    ]);
    moves
}

/// Every history of `depth` moves of these services.
fn exhaust(specs: &[Spec], depth: usize, of: fn(usize) -> Vec<Move>) -> usize {
    let moves: Vec<Move> = (0..specs.len())
        .flat_map(of)
        .chain([Move::Wait(100_000), Move::Shutdown(End::Halt)])
        .collect();
    let total = moves.len().pow(u32::try_from(depth).unwrap());
    for number in 0..total {
        let mut rest = number;
        let history: Vec<Move> = (0..depth)
            .map(|_| {
                let step = moves[rest % moves.len()].clone();
                rest /= moves.len();
                step
            })
            .collect();
        if let Err(rule) = live(specs.to_vec(), &history, number % 2 == 0) {
            panic!("{rule}\n{history:#?}");
        }
    }
    total
}

#[test]
fn all_short_ones_of_a_service_and_the_one_that_requires_it() {
    let web = Supervision {
        requires: vec!["db".to_owned()],
        ..Supervision::default()
    };
    let specs = [
        spec(Kind::Service, "db", Supervision::default()),
        spec(Kind::Service, "web", web),
    ];
    assert_eq!(exhaust(&specs, 5, plain), 12usize.pow(5));
}

#[test]
fn all_short_ones_of_three_services() {
    let after = |name: &str, restart| Supervision {
        after: vec![name.to_owned()],
        restart,
        ..Supervision::default()
    };
    let specs = [
        spec(Kind::Service, "a", Supervision::default()),
        spec(Kind::Service, "b", after("a", Restart::OnFailure)),
        spec(
            Kind::Service,
            "c",
            Supervision {
                requires: vec!["b".to_owned()],
                ..after("a", Restart::Never)
            },
        ),
    ];
    assert_eq!(exhaust(&specs, 4, plain), 17usize.pow(4));
}

#[test]
fn all_short_ones_of_a_watched_service_and_the_one_that_requires_it() {
    let db = Supervision {
        ready: Some(ReadyBy::Notify),
        ready_timeout: 1000,
        health: Some(Health {
            probe: probe(),
            interval: 500,
            timeout: 200,
            retries: 1,
            start_period: 0,
            action: Measure::Restart,
        }),
        watchdog: 700,
        start_limit: StartLimit {
            burst: 2,
            interval: 5000,
            action: Measure::Stop,
        },
        oom: Measure::Stop,
        ..Supervision::default()
    };
    let web = Supervision {
        requires: vec!["db".to_owned()],
        ready: Some(ReadyBy::Probe(probe())),
        restart: Restart::OnFailure,
        critical: true,
        ..Supervision::default()
    };
    let specs = [
        spec(Kind::Service, "db", db),
        spec(Kind::Service, "web", web),
    ];
    assert_eq!(exhaust(&specs, 4, watched_too), 22usize.pow(4));
}

#[test]
fn all_short_ones_of_a_service_that_listens_and_the_one_that_requires_it() {
    let db = Supervision {
        sockets: vec![socket()],
        lazy: true,
        fd_store: 1,
        ready: Some(ReadyBy::Fd(5)),
        restart: Restart::OnFailure,
        ..Supervision::default()
    };
    let web = Supervision {
        requires: vec!["db".to_owned()],
        sockets: vec![socket()],
        restart: Restart::Never,
        ..Supervision::default()
    };
    let specs = [
        spec(Kind::Service, "db", db),
        spec(Kind::Service, "web", web),
    ];
    assert_eq!(exhaust(&specs, 4, called_too), 20usize.pow(4));
}
