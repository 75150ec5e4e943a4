//! The client's states (RFC 2131 section 4.4), pure: what happens and the time
//! go in, what is to be done comes out.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::lease::Lease;
use crate::message::{Direction, Mac, Message, Type, code};

/// What happens to an interface.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The link came up or went down.
    Carrier(bool),
    /// A message arrived.
    Message(&'a Message),
    /// [`Client::deadline`] is reached, or any other time.
    Timer,
}

/// What is to be done to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send to everybody, from no address.
    Broadcast(Message),
    /// Send from the interface's own address to this one.
    Unicast(Ipv4Addr, Message),
    /// Give the interface what the lease says.
    Configure(Lease),
    /// Take it away.
    Deconfigure(Lease),
}

/// Where replies come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// None is awaited.
    Nowhere,
    /// The interface has no address of its own yet.
    Raw,
    /// At its own address.
    Udp,
}

#[derive(Clone, Debug)]
enum State {
    /// No link.
    Idle,
    /// An earlier lease is to be confirmed.
    Rebooting(Lease),
    Selecting,
    /// An offer was taken.
    Requesting(Lease),
    Bound(Lease),
    Renewing(Lease),
    Rebinding(Lease),
    /// After a refusal.
    Pausing,
}

/// The client of one interface.
#[derive(Clone, Debug)]
pub struct Client {
    mac: Mac,
    hostname: Option<String>,
    random: Random,
    state: State,
    /// What the interface has.
    lease: Option<Lease>,
    xid: u32,
    /// When this exchange began.
    started: Duration,
    /// Sent in this state.
    tries: u32,
    timer: Option<Duration>,
}

/// The wait for the first answer; each further one is twice as long. RFC 2131
/// proposes 4 s; a server on the same link answers within milliseconds.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(64);
/// The shortest wait while renewing (RFC 2131 section 4.4.5).
const RENEW_WAIT: Duration = Duration::from_secs(60);
/// The wait after a refusal, so that a server that always refuses does not
/// make the client spin (RFC 2131 section 3.1 has 10 s after a DECLINE).
const PAUSE: Duration = Duration::from_secs(10);
/// After so many requests for an offer it is taken for gone.
const REQUESTS: u32 = 4;
/// After so many requests for an earlier lease that still holds, it is used.
const REBOOTS: u32 = 2;

impl Client {
    /// A client without a link. `earlier`: the lease that the interface has
    /// from another run. `seed` makes transactions differ.
    #[must_use]
    pub fn new(mac: Mac, hostname: Option<String>, earlier: Option<Lease>, seed: u64) -> Self {
        Self {
            mac,
            hostname,
            random: Random(seed),
            state: State::Idle,
            timer: earlier.as_ref().and_then(Lease::expires),
            lease: earlier,
            xid: 0,
            started: Duration::ZERO,
            tries: 0,
        }
    }

    /// When it wants [`Event::Timer`].
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.timer
    }

    /// Where replies are awaited.
    #[must_use]
    pub fn listen(&self) -> Listen {
        match self.state {
            State::Idle | State::Bound(_) | State::Pausing => Listen::Nowhere,
            State::Rebooting(_) | State::Selecting | State::Requesting(_) => Listen::Raw,
            State::Renewing(_) | State::Rebinding(_) => Listen::Udp,
        }
    }

    /// The lease that holds and was confirmed on this link.
    #[must_use]
    pub fn bound(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound(lease) | State::Renewing(lease) | State::Rebinding(lease) => Some(lease),
            _ => None,
        }
    }

    /// Takes what happened at `now`, and says what to do.
    pub fn handle(&mut self, event: &Event<'_>, now: Duration) -> Vec<Action> {
        match event {
            Event::Carrier(up) => self.carrier(*up, now),
            Event::Message(message) => self.message(message, now),
            Event::Timer if self.timer.is_some_and(|timer| timer <= now) => self.timer(now),
            Event::Timer => Vec::new(),
        }
    }

    fn carrier(&mut self, up: bool, now: Duration) -> Vec<Action> {
        match (up, &self.state) {
            (true, State::Idle) => {}
            (true, _) | (false, State::Idle) => return Vec::new(),
            (false, _) => {
                // The address stays until its end: cables are pulled and put
                // back. Back on the link, the lease is confirmed.
                self.state = State::Idle;
                self.timer = self.lease.as_ref().and_then(Lease::expires);
                return Vec::new();
            }
        }
        match self.lease.clone().filter(|lease| lease.holds(now)) {
            Some(lease) => self.begin(State::Rebooting(lease), now),
            None => {
                let mut actions = self.drop_lease();
                actions.extend(self.begin(State::Selecting, now));
                actions
            }
        }
    }

    fn message(&mut self, message: &Message, now: Duration) -> Vec<Action> {
        let ours = message.direction == Direction::Reply
            && message.xid == self.xid
            && message.mac == self.mac;
        let Some(kind) = message.kind().filter(|_| ours) else {
            return Vec::new();
        };
        match (kind, &self.state) {
            (Type::Offer, State::Selecting) => match Lease::from_message(message, now) {
                Some(offer) => self.enter(State::Requesting(offer), now),
                None => Vec::new(),
            },
            (Type::Ack | Type::Nak, State::Requesting(offer))
                if message.address(code::SERVER) != Some(offer.server) =>
            {
                Vec::new()
            }
            (
                Type::Ack,
                State::Requesting(asked)
                | State::Rebooting(asked)
                | State::Renewing(asked)
                | State::Rebinding(asked),
            ) => match Lease::from_message(message, now) {
                Some(lease) if lease.address == asked.address => self.bind(lease, now),
                _ => Vec::new(),
            },
            (
                Type::Nak,
                State::Requesting(_)
                | State::Rebooting(_)
                | State::Renewing(_)
                | State::Rebinding(_),
            ) => {
                let mut actions = self.drop_lease();
                // The first refusal is a network that changed: ask at once.
                // After that, slowly.
                if matches!(self.state, State::Requesting(_)) {
                    self.state = State::Pausing;
                    self.timer = Some(now + PAUSE);
                } else {
                    actions.extend(self.begin(State::Selecting, now));
                }
                actions
            }
            _ => Vec::new(),
        }
    }

    fn timer(&mut self, now: Duration) -> Vec<Action> {
        let expired = self.lease.as_ref().is_some_and(|lease| !lease.holds(now));
        if expired {
            let mut actions = self.drop_lease();
            self.timer = None;
            if !matches!(self.state, State::Idle) {
                actions.extend(self.begin(State::Selecting, now));
            }
            return actions;
        }
        match self.state.clone() {
            State::Idle => {
                self.timer = None;
                Vec::new()
            }
            State::Pausing => self.begin(State::Selecting, now),
            State::Selecting => self.send(now),
            State::Requesting(_) if self.tries >= REQUESTS => self.begin(State::Selecting, now),
            // RFC 2131 section 3.2: without an answer it may be used on.
            State::Rebooting(lease) if self.tries >= REBOOTS => self.bind(lease, now),
            State::Bound(lease) | State::Renewing(lease)
                if lease.rebind_at().is_some_and(|at| at <= now) =>
            {
                self.begin(State::Rebinding(lease), now)
            }
            State::Bound(lease) => self.begin(State::Renewing(lease), now),
            State::Requesting(_) | State::Rebooting(_) => self.send(now),
            State::Renewing(_) | State::Rebinding(_) => self.send(now),
        }
    }

    /// A new exchange.
    fn begin(&mut self, state: State, now: Duration) -> Vec<Action> {
        self.xid = self.random.next();
        self.started = now;
        self.enter(state, now)
    }

    fn enter(&mut self, state: State, now: Duration) -> Vec<Action> {
        self.state = state;
        self.tries = 0;
        self.send(now)
    }

    /// Sends what the state sends, and sets the time for the next one.
    fn send(&mut self, now: Duration) -> Vec<Action> {
        let next = self.wait(now);
        self.timer = Some(next);
        self.tries = self.tries.saturating_add(1);
        let secs = now.saturating_sub(self.started).as_secs();
        let mut message = Message::new(Type::Request, self.xid, self.mac);
        message.secs = u16::try_from(secs).unwrap_or(u16::MAX);
        if let Some(name) = &self.hostname {
            let name = name.as_bytes().to_vec();
            message.options.insert(code::HOST_NAME, name);
        }
        let address = |address: Ipv4Addr| address.octets().to_vec();
        let options = &mut message.options;
        match &self.state {
            State::Idle | State::Bound(_) | State::Pausing => return Vec::new(),
            State::Selecting => {
                let discover = Message::new(Type::Discover, self.xid, self.mac);
                options.extend(discover.options);
            }
            State::Requesting(offer) => {
                options.insert(code::REQUESTED_ADDRESS, address(offer.address));
                options.insert(code::SERVER, address(offer.server));
            }
            State::Rebooting(lease) => {
                options.insert(code::REQUESTED_ADDRESS, address(lease.address));
            }
            State::Renewing(lease) => {
                message.ciaddr = lease.address;
                return vec![Action::Unicast(lease.server, message)];
            }
            State::Rebinding(lease) => {
                message.ciaddr = lease.address;
                return vec![Action::Unicast(Ipv4Addr::BROADCAST, message)];
            }
        }
        vec![Action::Broadcast(message)]
    }

    /// When to send again, after the send at `now`.
    fn wait(&mut self, now: Duration) -> Duration {
        let left = |end: Option<Duration>| {
            let end = end.unwrap_or(Duration::MAX);
            let half = end.saturating_sub(now) / 2;
            now.saturating_add(half.max(RENEW_WAIT)).min(end)
        };
        match &self.state {
            State::Renewing(lease) => left(lease.rebind_at()),
            State::Rebinding(lease) => left(lease.expires()),
            _ => {
                let doubled = FIRST_WAIT.saturating_mul(1 << self.tries.min(6));
                let wait = doubled.min(LONGEST_WAIT);
                // A fifth to either side: machines that boot together do not
                // ask together.
                let fifth = wait / 5;
                let jitter = fifth * 2 * (self.random.next() >> 16) / (1 << 16);
                now.saturating_add(wait - fifth + jitter)
            }
        }
    }

    fn bind(&mut self, lease: Lease, now: Duration) -> Vec<Action> {
        // A lease that was used on without an answer may be past its T1.
        let soonest = now.saturating_add(FIRST_WAIT);
        self.timer = lease.renew_at().map(|at| at.max(soonest));
        self.state = State::Bound(lease.clone());
        let mut actions = Vec::new();
        if self
            .lease
            .as_ref()
            .is_some_and(|old| old.address != lease.address)
        {
            actions.extend(self.drop_lease());
        }
        self.lease = Some(lease.clone());
        actions.push(Action::Configure(lease));
        actions
    }

    fn drop_lease(&mut self) -> Vec<Action> {
        let lease = self.lease.take();
        lease.into_iter().map(Action::Deconfigure).collect()
    }
}

/// Numbers that need not be secret, only different: splitmix64.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
