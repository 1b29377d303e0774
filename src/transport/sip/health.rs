//! Which of a trunk's addresses answer: OPTIONS to each of them in turn, and what calls find out by the way. Never takes an address away:
//! one that is down is only tried last.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use super::core::Core;
use super::dialog::{introduce, random_token};
use super::flow::{Flow, Transport};
use super::resolve::resolve;
use crate::rt;
use crate::trunk::{Health, Trunk};
use crate::wire::sip::Message;

/// One way to a trunk's carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The way.
    pub flow: Flow,
    /// The name that TLS must prove.
    pub name: String,
    /// The host of URIs.
    pub domain: String,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pulse {
    down: bool,
    /// Misses in a row while it is up, answers in a row while it is down.
    streak: u32,
}

impl Pulse {
    /// Takes one sign; true where the state turns.
    fn take(&mut self, answered: bool, health: &Health) -> bool {
        if answered != self.down {
            self.streak = 0;
            return false;
        }
        self.streak = self.streak.saturating_add(1);
        let turns = self.streak >= if self.down { health.up_after } else { health.down_after };
        if turns {
            *self = Self { down: !self.down, streak: 0 };
        }
        turns
    }
}

/// An address of a trunk that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The trunk's id.
    pub trunk: String,
    /// The address.
    pub address: SocketAddr,
    /// Does it answer?
    pub up: bool,
}

/// The addresses of all trunks that are watched; bounded by the trunks' own bound.
#[derive(Debug, Default)]
pub(super) struct Pulses(Mutex<HashMap<String, HashMap<Flow, Pulse>>>);

impl Pulses {
    fn rows(&self) -> std::sync::MutexGuard<'_, HashMap<String, HashMap<Flow, Pulse>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These and no others are the trunk's addresses now; a new one is up until it misses.
    fn follow(&self, trunk: &str, ways: &[Way]) {
        let mut rows = self.rows();
        let row = rows.entry(trunk.to_owned()).or_default();
        row.retain(|flow, _| ways.iter().any(|way| way.flow == *flow));
        for way in ways {
            row.entry(way.flow).or_default();
        }
    }

    /// The trunk is not watched any more.
    pub fn forget(&self, trunk: &str) {
        self.rows().remove(trunk);
    }

    /// An address answered, or did not; ignored where it is not watched.
    pub fn tell(&self, trunk: &Trunk, flow: Flow, answered: bool) {
        let turned = match self.rows().get_mut(&trunk.id).and_then(|row| row.get_mut(&flow)) {
            Some(pulse) => pulse.take(answered, &trunk.health),
            None => return,
        };
        match (turned, answered) {
            (true, true) => tracing::info!(trunk = %trunk.id, %flow, "an address of the trunk answers again"),
            (true, false) => {
                tracing::warn!(trunk = %trunk.id, %flow, "an address of the trunk does not answer; it is tried last");
            }
            (false, _) => {}
        }
    }

    /// Puts addresses that are down behind the others, else keeps the order.
    fn order(&self, trunk: &str, ways: &mut [Way]) {
        let rows = self.rows();
        if let Some(row) = rows.get(trunk) {
            ways.sort_by_key(|way| row.get(&way.flow).is_some_and(|pulse| pulse.down));
        }
    }

    /// Every address that is watched.
    pub fn all(&self) -> Vec<Watched> {
        let rows = self.rows();
        let row = |(trunk, pulses): (&String, &HashMap<Flow, Pulse>)| {
            let one =
                |(flow, pulse): (&Flow, &Pulse)| Watched { trunk: trunk.clone(), address: flow.peer, up: !pulse.down };
            pulses.iter().map(one).collect::<Vec<_>>()
        };
        rows.iter().flat_map(row).collect()
    }
}

impl Core {
    /// A trunk's ways in the order in which they are to be tried: as its targets stand, those that are down last.
    pub(super) async fn ways(&self, trunk: &Trunk) -> Vec<Way> {
        let mut ways = resolve(trunk, self.resolver, &self.known).await;
        self.pulses.order(&trunk.id, &mut ways);
        ways
    }

    /// Asks every address of a trunk, again and again, until the task is ended.
    pub(super) async fn watch(self: Arc<Self>, trunk: Arc<Trunk>) {
        let every = Duration::from_secs(u64::from(trunk.health.options_s));
        let patience = every.min(Duration::from_millis(self.config.t1_ms * 64));
        loop {
            let due = rt::now().plus_ms(jittered(every).as_millis().try_into().unwrap_or(u64::MAX));
            let ways = resolve(&trunk, self.resolver, &self.known).await;
            // A name that cannot be looked up now says nothing about the addresses that it had.
            if !ways.is_empty() {
                self.pulses.follow(&trunk.id, &ways);
                join_all(ways.iter().map(|way| self.ask(&trunk, way, patience))).await;
            }
            rt::sleep_until(due).await;
        }
    }

    /// One OPTIONS: whatever final answer comes, somebody is there.
    async fn ask(&self, trunk: &Trunk, way: &Way, patience: Duration) {
        let _known = self.flows.called(way.flow);
        let options = self.outside("OPTIONS", &way.domain, &way.domain, "", way.flow.transport);
        // What did not leave says nothing of whoever it was for.
        let asked = async {
            match self.send_to_target(&options, way.flow, &way.name).await {
                None => Some(false),
                Some(mut transaction) => match transaction.last().await {
                    None if transaction.is_unsent() => None,
                    answer => Some(answer.is_some()),
                },
            }
        };
        if let Some(answered) = rt::timeout(patience, asked).await.unwrap_or(Some(false)) {
            self.pulses.tell(trunk, way.flow, answered);
        }
    }

    /// A request outside any dialog, from ourselves or a `user` of the domain, that is the first of its Call-ID.
    pub(super) fn outside(&self, method: &str, uri: &str, domain: &str, user: &str, transport: Transport) -> Message {
        let mut request = Message::request(method, &format!("sip:{uri}"));
        let own = if user.is_empty() { self.place.host.as_str() } else { domain };
        let at = if user.is_empty() { "voicefleet@".to_owned() } else { format!("{user}@") };
        request.push("Via", &self.place.via(transport));
        request.push("Max-Forwards", "70");
        request.push("From", &format!("<sip:{at}{own}>;tag={}", random_token(8)));
        let to = if user.is_empty() { domain.to_owned() } else { format!("{at}{domain}") };
        request.push("To", &format!("<sip:{to}>"));
        request.push("Call-ID", &random_token(16));
        request.push("CSeq", &format!("1 {method}"));
        introduce(&mut request);
        request
    }
}

/// Up to a tenth less than `span`, so that trunks and workers do not all ask at once.
pub(super) fn jittered(span: Duration) -> Duration {
    let mut byte = [0_u8; 1];
    // Without randomness all ask at once, and nothing else happens.
    let _ = getrandom::fill(&mut byte);
    span - span / 10 * u32::from(byte[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(port: u16) -> Way {
        let flow = Flow { transport: Transport::Udp, peer: SocketAddr::from(([192, 0, 2, 1], port)) };
        Way { flow, name: "h".to_owned(), domain: "h".to_owned() }
    }

    fn trunk() -> Trunk {
        let health = Health { options_s: 30, down_after: 3, up_after: 2 };
        Trunk { id: "t".to_owned(), health, ..Trunk::default() }
    }

    #[test]
    fn only_signs_in_a_row_turn_an_address() {
        let health = trunk().health;
        let mut pulse = Pulse::default();
        let turns: Vec<bool> = [false, false, true, false, false, false, true, false, true, true]
            .map(|sign| pulse.take(sign, &health))
            .to_vec();
        assert_eq!(turns, [false, false, false, false, false, true, false, false, false, true]);
        assert!(!pulse.down);
    }

    #[test]
    fn what_is_down_is_tried_last_and_never_left_out() {
        let (pulses, trunk) = (Pulses::default(), trunk());
        let ways = [way(1), way(2), way(3)];
        let ordered = || {
            let mut ways = ways.to_vec();
            pulses.order("t", &mut ways);
            ways.iter().map(|way| way.flow.peer.port()).collect::<Vec<_>>()
        };
        // Nobody watches yet: nothing is kept.
        (0..9).for_each(|_| pulses.tell(&trunk, way(1).flow, false));
        pulses.follow("t", &ways);
        assert_eq!(ordered(), [1, 2, 3]);
        (0..3).for_each(|_| pulses.tell(&trunk, way(1).flow, false));
        assert_eq!(ordered(), [2, 3, 1]);
        for at in [2, 3] {
            (0..3).for_each(|_| pulses.tell(&trunk, way(at).flow, false));
        }
        assert_eq!(ordered(), [1, 2, 3], "all are down: all are tried");
        (0..2).for_each(|_| pulses.tell(&trunk, way(3).flow, true));
        assert_eq!(ordered(), [3, 1, 2]);
        pulses.follow("t", &ways[..2]);
        assert!(pulses.all().iter().all(|row| !row.up && row.address.port() < 3));
        pulses.forget("t");
        assert_eq!(pulses.all(), []);
    }

    #[test]
    fn jitter_takes_at_most_a_tenth() {
        let span = Duration::from_secs(100);
        for _ in 0..100 {
            assert!((span * 9 / 10..=span).contains(&jittered(span)));
        }
    }
}
