//! Random histories, and all short ones.

use hullkit_bundle::Supervision;
use hullkit_bundle::supervision::{Backoff, OnFailure, Restart};
use proptest::prelude::*;

use super::super::*;
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

/// Services wait only for those before them, or (one in a while) for any, so
/// that there are cycles.
fn services() -> impl Strategy<Value = Vec<Spec>> {
    let one = (
        restart(),
        0u64..3000,
        any::<[u8; 3]>(),
        0u64..500,
        prop::bool::weighted(0.05),
    );
    prop::collection::vec(one, 1..5).prop_map(|services| {
        let count = services.len();
        let name = |index: usize| format!("s{index}");
        let services = services.into_iter().enumerate();
        services
            .map(|(index, (restart, stop_timeout, deps, initial, broken))| {
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
                    ..Supervision::default()
                };
                let error = broken.then(|| "config.json: broken".to_owned());
                Spec {
                    error,
                    ..spec(Kind::Service, &name(index), supervision)
                }
            })
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

fn step() -> impl Strategy<Value = Move> {
    let ask = prop_oneof![Just(Ask::Start), Just(Ask::Stop), Just(Ask::Restart)];
    prop_oneof![
        60 => (any::<usize>(), variant()).prop_map(|(choice, variant)| Move::Machine(choice, variant)),
        20 => (0u64..100_000).prop_map(Move::Wait),
        20 => (ask, any::<usize>()).prop_map(|(ask, entry)| Move::Ask(ask, entry)),
        10 => Just(Move::Rebirth),
        1 => Just(Move::Shutdown(End::Reboot)),
    ]
}

fn live(specs: Vec<Spec>, moves: &[Move], dead: bool) -> Result<(), Broken> {
    let mut world = World::new(specs);
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

/// Every history of `depth` moves of these services.
fn exhaust(specs: &[Spec], depth: usize) -> usize {
    let moves: Vec<Move> = (0..specs.len())
        .flat_map(|entry| {
            [
                Move::Machine(entry, Variant::Well),
                Move::Machine(entry, Variant::Badly),
                Move::Ask(Ask::Start, entry),
                Move::Ask(Ask::Stop, entry),
                Move::Ask(Ask::Restart, entry),
            ]
        })
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
    assert_eq!(exhaust(&specs, 5), 12usize.pow(5));
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
    assert_eq!(exhaust(&specs, 4), 17usize.pow(4));
}
