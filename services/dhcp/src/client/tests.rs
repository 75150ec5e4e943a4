use proptest::prelude::*;

use super::*;

const MAC: Mac = [2, 0, 0, 0, 0, 1];

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn client(earlier: Option<Lease>) -> Client {
    Client::new(MAC, None, earlier, 1)
}

/// The message of the one action that sends.
fn sent(actions: &[Action]) -> &Message {
    let messages: Vec<&Message> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Broadcast(message) | Action::Unicast(_, message) => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(messages.len(), 1, "{actions:?}");
    messages[0]
}

fn reply(to: &Message, kind: Type, last: u8) -> Message {
    let mut reply = Message::new(kind, to.xid, MAC);
    reply.direction = Direction::Reply;
    reply.yiaddr = Ipv4Addr::new(10, 0, 0, last);
    reply.options.insert(code::SERVER, vec![10, 0, 0, 1]);
    reply.options.insert(code::LEASE_TIME, vec![0, 0, 3, 232]);
    reply
}

/// A client with a lease of 1000 s from 10 s on.
fn bound() -> Client {
    let mut client = client(None);
    let actions = client.handle(&Event::Carrier(true), at(10));
    let offer = reply(sent(&actions), Type::Offer, 9);
    let actions = client.handle(&Event::Message(&offer), at(10));
    let ack = reply(sent(&actions), Type::Ack, 9);
    let actions = client.handle(&Event::Message(&ack), at(10));
    assert!(matches!(actions[..], [Action::Configure(_)]));
    client
}

#[test]
fn four_messages_make_a_lease() {
    let mut client = client(None);
    assert_eq!(client.listen(), Listen::Nowhere);
    let actions = client.handle(&Event::Carrier(true), at(10));
    let discover = sent(&actions);
    assert_eq!(discover.kind(), Some(Type::Discover));
    assert_eq!(client.listen(), Listen::Raw);
    let offer = reply(discover, Type::Offer, 9);
    let actions = client.handle(&Event::Message(&offer), at(10));
    let request = sent(&actions);
    assert_eq!(request.kind(), Some(Type::Request));
    assert_eq!(request.xid, discover.xid);
    assert_eq!(request.address(code::REQUESTED_ADDRESS), Some(offer.yiaddr));
    assert_eq!(request.address(code::SERVER), offer.address(code::SERVER));
    let ack = reply(request, Type::Ack, 9);
    client.handle(&Event::Message(&ack), at(11));
    assert_eq!(client.bound().unwrap().address, ack.yiaddr);
    assert_eq!(client.deadline(), Some(at(11 + 500)));
}

#[test]
fn what_is_not_for_us_is_not_heard() {
    let mut client = client(None);
    let actions = client.handle(&Event::Carrier(true), at(0));
    let offer = reply(sent(&actions), Type::Offer, 9);
    let mut other = offer.clone();
    other.xid ^= 1;
    let mut foreign = offer.clone();
    foreign.mac[5] = 9;
    let mut question = offer.clone();
    question.direction = Direction::Request;
    for message in [other, foreign, question] {
        assert_eq!(client.handle(&Event::Message(&message), at(0)), []);
    }
    assert_eq!(client.handle(&Event::Message(&offer), at(0)).len(), 1);
}

#[test]
fn silence_is_asked_again_ever_more_slowly() {
    let mut client = client(None);
    client.handle(&Event::Carrier(true), at(0));
    let mut waits = Vec::new();
    let mut now = at(0);
    for _ in 0..9 {
        let next = client.deadline().unwrap();
        waits.push((next - now).as_secs_f64());
        now = next;
        assert_eq!(
            sent(&client.handle(&Event::Timer, now)).kind(),
            Some(Type::Discover)
        );
    }
    for (wait, nominal) in waits.iter().zip([1., 2., 4., 8., 16., 32., 64., 64., 64.]) {
        assert!((0.79..=1.21).contains(&(wait / nominal)), "{waits:?}");
    }
}

#[test]
fn renewed_at_t1_rebound_at_t2_lost_at_the_end() {
    let mut client = bound();
    let actions = client.handle(&Event::Timer, at(510));
    assert!(matches!(actions[..], [Action::Unicast(to, _)] if to == Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(client.listen(), Listen::Udp);
    let mut renewed = client.clone();
    let ack = reply(sent(&actions), Type::Ack, 9);
    renewed.handle(&Event::Message(&ack), at(511));
    assert_eq!(renewed.deadline(), Some(at(511 + 500)));

    let mut seen = Vec::new();
    while client.bound().is_some() {
        let now = client.deadline().unwrap();
        seen.extend(
            client
                .handle(&Event::Timer, now)
                .into_iter()
                .map(|action| (now, action)),
        );
    }
    let rebinding = |(now, action): &(Duration, Action)| {
        matches!(action, Action::Unicast(to, _) if *to == Ipv4Addr::BROADCAST) && *now >= at(885)
    };
    assert!(seen.iter().any(rebinding), "{seen:?}");
    let last = &seen[seen.len() - 2..];
    assert!(matches!(&last[0], (now, Action::Deconfigure(_)) if *now == at(1010)));
    assert!(matches!(&last[1], (_, Action::Broadcast(m)) if m.kind() == Some(Type::Discover)));
}

#[test]
fn a_refusal_takes_the_address_away() {
    let mut client = bound();
    let actions = client.handle(&Event::Timer, at(510));
    let nak = reply(sent(&actions), Type::Nak, 0);
    let actions = client.handle(&Event::Message(&nak), at(510));
    assert!(matches!(actions[0], Action::Deconfigure(_)));
    let offer = reply(sent(&actions), Type::Offer, 9);
    let actions = client.handle(&Event::Message(&offer), at(510));
    let nak = reply(sent(&actions), Type::Nak, 0);
    assert_eq!(
        client.handle(&Event::Message(&nak), at(510)),
        [],
        "not at once again"
    );
    assert_eq!(client.deadline(), Some(at(520)));
    assert_eq!(
        sent(&client.handle(&Event::Timer, at(520))).kind(),
        Some(Type::Discover)
    );
}

#[test]
fn an_earlier_lease_is_confirmed_or_used_on() {
    let earlier = bound().bound().unwrap().clone();
    let mut client = client(Some(earlier.clone()));
    let actions = client.handle(&Event::Carrier(true), at(20));
    let request = sent(&actions);
    assert_eq!(request.kind(), Some(Type::Request));
    assert_eq!(
        request.address(code::REQUESTED_ADDRESS),
        Some(earlier.address)
    );
    assert_eq!(request.address(code::SERVER), None);
    let mut alone = client.clone();
    let ack = reply(request, Type::Ack, 9);
    client.handle(&Event::Message(&ack), at(20));
    assert_eq!(client.bound().unwrap().obtained, 20);

    while alone.bound().is_none() {
        let now = alone.deadline().unwrap();
        alone.handle(&Event::Timer, now);
    }
    assert_eq!(alone.bound(), Some(&earlier));
}

#[test]
fn a_pulled_cable_keeps_the_address_until_its_end() {
    let mut client = bound();
    assert_eq!(client.handle(&Event::Carrier(false), at(20)), []);
    assert_eq!(client.deadline(), Some(at(1010)));
    let mut back = client.clone();
    let actions = back.handle(&Event::Carrier(true), at(30));
    assert_eq!(sent(&actions).kind(), Some(Type::Request));
    let actions = client.handle(&Event::Timer, at(1010));
    assert!(matches!(actions[..], [Action::Deconfigure(_)]));
    assert_eq!(client.deadline(), None);
}

proptest! {
    /// Whatever comes, the client neither spins nor stops: with a link there
    /// is a deadline, and after it a later one.
    #[test]
    fn it_neither_spins_nor_stops(steps in proptest::collection::vec((0_u8..8, 0_u64..400), 1..200), seed: u64) {
        let mut client = Client::new(MAC, None, None, seed);
        let mut now = at(1);
        let mut link = false;
        let mut last = None;
        let mut configured: Option<Ipv4Addr> = None;
        for (what, wait) in steps {
            let fake = last.clone().unwrap_or_else(|| Message::new(Type::Ack, 0, MAC));
            let answer = |kind| reply(&fake, kind, u8::try_from(wait % 3).unwrap() + 9);
            let actions = match what {
                0 => { link = true; client.handle(&Event::Carrier(true), now) }
                1 => { link = false; client.handle(&Event::Carrier(false), now) }
                2 => client.handle(&Event::Message(&answer(Type::Offer)), now),
                3 | 4 => client.handle(&Event::Message(&answer(Type::Ack)), now),
                5 => client.handle(&Event::Message(&answer(Type::Nak)), now),
                6 => { now += at(wait); client.handle(&Event::Timer, now) }
                _ => {
                    now = now.max(client.deadline().unwrap_or(now));
                    client.handle(&Event::Timer, now)
                }
            };
            if what >= 6 {
                prop_assert!(client.deadline().is_none_or(|next| next > now));
            }
            if link {
                prop_assert!(client.deadline().is_some());
            }
            for action in actions {
                match action {
                    Action::Broadcast(m) | Action::Unicast(_, m) => last = Some(m),
                    Action::Configure(lease) => {
                        prop_assert!(configured.is_none_or(|old| old == lease.address));
                        configured = Some(lease.address);
                    }
                    Action::Deconfigure(lease) => {
                        prop_assert_eq!(configured.take(), Some(lease.address));
                    }
                }
            }
        }
    }
}
