use proptest::prelude::*;

use super::*;
use crate::message::Type;

fn ack(options: &[(u8, &[u8])]) -> Message {
    let mut message = Message::new(Type::Ack, 1, [1; 6]);
    message.yiaddr = Ipv4Addr::new(10, 0, 0, 9);
    message.options.insert(code::SERVER, vec![10, 0, 0, 1]);
    message.options.insert(code::LEASE_TIME, vec![0, 0, 0, 100]);
    for (code, value) in options {
        message.options.insert(*code, value.to_vec());
    }
    message
}

fn lease(options: &[(u8, &[u8])]) -> Option<Lease> {
    Lease::from_message(&ack(options), Duration::from_secs(5))
}

#[test]
fn times_are_the_servers_where_they_are_in_order() {
    let times = |options: &[(u8, &[u8])]| {
        let lease = lease(options).unwrap();
        (lease.t1, lease.t2, lease.seconds)
    };
    assert_eq!(times(&[]), (50, 84, Some(100)));
    assert_eq!(
        times(&[(code::T1, &[0, 0, 0, 3]), (code::T2, &[0, 0, 0, 4])]),
        (3, 4, Some(100))
    );
    assert_eq!(
        times(&[(code::T1, &[0, 0, 0, 4]), (code::T2, &[0, 0, 0, 3])]),
        (50, 84, Some(100))
    );
    assert_eq!(
        times(&[(code::LEASE_TIME, &[0, 0, 0, 0])]).2,
        Some(SHORTEST)
    );
    let forever = lease(&[(code::LEASE_TIME, &[255; 4])]).unwrap();
    assert_eq!((forever.expires(), forever.renew_at()), (None, None));
}

#[test]
fn an_address_that_is_none_is_no_lease() {
    for bad in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4]] {
        let mut message = ack(&[]);
        message.yiaddr = bad.into();
        assert_eq!(
            Lease::from_message(&message, Duration::ZERO),
            None,
            "{bad:?}"
        );
    }
}

#[test]
fn masks() {
    assert_eq!(
        lease(&[(code::SUBNET_MASK, &[255, 255, 240, 0])])
            .unwrap()
            .prefix,
        20
    );
    assert_eq!(
        lease(&[(code::SUBNET_MASK, &[255, 0, 255, 0])])
            .unwrap()
            .prefix,
        8,
        "no mask"
    );
    assert_eq!(lease(&[]).unwrap().prefix, 8);
}

#[test]
fn classless_routes_take_the_routers_place() {
    let routes: &[u8] = &[
        24, 192, 168, 7, 10, 0, 0, 2, 0, 10, 0, 0, 3, 12, 172, 31, 10, 0, 0, 4,
    ];
    let lease = lease(&[(code::ROUTER, &[10, 0, 0, 1]), (code::ROUTES, routes)]).unwrap();
    let shown: Vec<String> = lease
        .routes
        .iter()
        .map(|r| format!("{}/{} {}", r.network, r.prefix, r.gateway))
        .collect();
    assert_eq!(
        shown,
        [
            "192.168.7.0/24 10.0.0.2",
            "0.0.0.0/0 10.0.0.3",
            "172.16.0.0/12 10.0.0.4"
        ]
    );
}

#[test]
fn names_are_names() {
    let search = b"\x03eng\x07example\0\x05sales\xc0\x04";
    let lease = lease(&[
        (code::SEARCH, search),
        (code::DOMAIN, b"evil\nnameserver 6.6.6.6"),
    ])
    .unwrap();
    assert_eq!(lease.search, ["eng.example", "sales.example"]);
    assert_eq!(lease.domain, None);
    assert_eq!(
        names(b"\x01a\xc0\x00"),
        [""; 0],
        "a name that points at itself"
    );
}

proptest! {
    #[test]
    fn nothing_that_arrives_breaks_it(
        options in proptest::collection::btree_map(any::<u8>(), proptest::collection::vec(any::<u8>(), 0..80), 0..9),
    ) {
        let mut message = ack(&[]);
        message.options.extend(options);
        if let Some(lease) = Lease::from_message(&message, Duration::from_secs(9)) {
            prop_assert!(lease.prefix <= 32);
            if let Some(seconds) = lease.seconds {
                prop_assert!(lease.t1 < lease.t2 && lease.t2 < seconds);
            }
            let text = serde_json::to_string(&lease).unwrap();
            prop_assert_eq!(serde_json::from_str::<Lease>(&text).unwrap(), lease);
        }
    }
}
