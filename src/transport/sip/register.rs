//! Keeping a trunk registered (RFC 3261 section 10): at the first address that takes it, refreshed before it lapses, tried again with
//! growing patience, taken back at the end. Never decides who may call: `inbound.addresses` does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::core::Core;
use super::dialog::random_token;
use super::flow::Flow;
use super::health::{Way, jittered};
use super::leg::authorise;
use crate::rt;
use crate::trunk::Trunk;
use crate::wire::sip::{Address, Message, list, parameter};

/// The longest that is asked for or believed.
const LONGEST_S: u32 = 86_400;
/// Most requests of one try: a challenge, a time too short, and one more of each.
const REQUESTS: usize = 5;

/// One trunk's registration.
#[derive(Debug)]
pub(super) struct Registration {
    core: Arc<Core>,
    trunk: Arc<Trunk>,
    up: Arc<AtomicBool>,
    call_id: String,
    number: u32,
    /// How long is asked for: the trunk's wish, or the least that the registrar takes.
    asked_s: u32,
    /// Where there is, or may be, a binding of ours.
    at: Option<Way>,
    /// Rounds in a row in which nobody took it.
    failures: u32,
}

impl Registration {
    pub fn new(core: Arc<Core>, trunk: Arc<Trunk>, up: Arc<AtomicBool>) -> Self {
        let asked_s = trunk.account.expires_s;
        Self { core, trunk, up, call_id: random_token(16), number: 0, asked_s, at: None, failures: 0 }
    }

    /// Keeps it up until `over` is set or its sender gone.
    pub async fn run(mut self, mut over: watch::Receiver<bool>) {
        loop {
            let wait = tokio::select! {
                biased;
                _ = over.changed() => break,
                wait = self.round() => wait,
            };
            tokio::select! {
                biased;
                _ = over.changed() => break,
                () = rt::sleep(wait) => {}
            }
        }
        self.up.store(false, Ordering::Release);
        if let Some(way) = self.at.take() {
            let limit = Duration::from_millis(self.core.config.hang_up_ms);
            if !matches!(rt::timeout(limit, self.ask(&way, 0)).await, Some(Ok(_))) {
                tracing::warn!(trunk = %self.trunk.id, flow = %way.flow, "a registration could not be taken back; it lapses");
            }
        }
    }

    /// One try at each address, the one that has us first; how long to wait then.
    async fn round(&mut self) -> Duration {
        let mut ways = self.core.ways(&self.trunk).await;
        let held = self.at.as_ref().map(|way| way.flow);
        ways.sort_by_key(|way| Some(way.flow) != held);
        let mut last = (0, None::<Flow>);
        for way in ways {
            self.at = Some(way.clone());
            match self.ask(&way, self.asked_s).await {
                Ok(granted_s) => {
                    self.failures = 0;
                    if !self.up.swap(true, Ordering::AcqRel) {
                        tracing::info!(trunk = %self.trunk.id, flow = %way.flow, granted_s, "registered");
                    }
                    // Well before it lapses, so that a lost round does not matter.
                    return jittered(Duration::from_secs(u64::from(granted_s)) * 85 / 100).max(self.unit());
                }
                Err(status) => last = (status, Some(way.flow)),
            }
        }
        self.at = None;
        let was_up = self.up.swap(false, Ordering::AcqRel);
        if was_up || self.failures == 0 {
            let flow = last.1.map_or_else(|| "no address".to_owned(), |flow| flow.to_string());
            tracing::warn!(trunk = %self.trunk.id, status = last.0, flow, "not registered (status 0: no answer); trying on");
        }
        // 5 s, doubled up to 5 min, where T1 is the standard's.
        let wait = self.unit() * 2_u32.pow(self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        jittered(wait.min(self.unit() * 60))
    }

    /// The least wait: ten times T1, 5 s by the standard's.
    fn unit(&self) -> Duration {
        Duration::from_millis(self.core.config.t1_ms * 10)
    }

    /// Asks one address for so many seconds, 0 to take it back; what was granted, or the status, 0 for silence.
    async fn ask(&mut self, way: &Way, mut seconds: u32) -> Result<u32, u16> {
        let _known = self.core.flows.called(way.flow);
        let patience = Duration::from_millis(self.core.config.t1_ms * 64 + 500);
        let mut request = self.request(way, seconds);
        let mut proved = false;
        let mut status = 0;
        for _ in 0..REQUESTS {
            let mut unsent = false;
            let asked = async {
                let mut transaction = self.core.send_to_target(&request, way.flow, &way.name).await?;
                let last = transaction.last().await;
                unsent = transaction.is_unsent();
                last
            };
            let response = rt::timeout(patience, asked).await.flatten();
            if !unsent {
                self.core.pulses.tell(&self.trunk, way.flow, response.is_some());
            }
            let Some(response) = response else { return Err(0) };
            status = response.status().unwrap_or(0);
            match status {
                200..300 => return Ok(granted(&response, &self.contact(way), seconds)),
                401 | 407 if !proved || is_stale(&response) => {
                    proved = true;
                    let credentials = self.trunk.credentials().ok_or(status)?;
                    self.number += 1;
                    request = authorise(&request, &response, &credentials, self.number).ok_or(status)?;
                }
                423 => {
                    let least = response.get("Min-Expires").and_then(|text| text.trim().parse().ok());
                    seconds = least.filter(|least| (seconds + 1..=LONGEST_S).contains(least)).ok_or(status)?;
                    self.asked_s = seconds;
                    proved = false;
                    request = self.request(way, seconds);
                }
                _ => break,
            }
        }
        Err(status)
    }

    fn contact(&self, way: &Way) -> String {
        let (account, identity) = (&self.trunk.account, &self.trunk.identity);
        let user = if identity.contact_user.is_empty() { &account.user } else { &identity.contact_user };
        self.core.place.contact_by(&identity.contact, user, &way.domain, way.flow.transport)
    }

    fn request(&mut self, way: &Way, seconds: u32) -> Message {
        self.number += 1;
        let user = &self.trunk.account.user;
        let mut request = self.core.outside("REGISTER", &way.domain, &way.domain, user, way.flow.transport);
        request.set("Call-ID", &self.call_id);
        request.set("CSeq", &format!("{} REGISTER", self.number));
        request.push("Contact", &self.contact(way));
        request.push("Expires", &seconds.to_string());
        request
    }
}

/// The proof was right, its nonce too old.
fn is_stale(response: &Message) -> bool {
    let mut challenges = response.all("WWW-Authenticate").chain(response.all("Proxy-Authenticate"));
    challenges.any(|text| text.to_ascii_lowercase().replace([' ', '"'], "").contains("stale=true"))
}

/// How long our binding holds: what its Contact says, else the whole answer's Expires, else what was asked.
fn granted(response: &Message, contact: &str, asked_s: u32) -> u32 {
    let ours = Address::parse(contact).map(|address| address.uri.to_owned());
    let mine = response
        .all("Contact")
        .flat_map(list)
        .find(|one| Address::parse(one).map(|address| address.uri.to_owned()) == ours && ours.is_some())
        .and_then(|one| parameter(one, "expires"));
    let told = mine.or_else(|| response.get("Expires")).and_then(|text| text.trim().parse().ok());
    told.unwrap_or(asked_s).min(LONGEST_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_is_read_from_our_own_binding() {
        let ours = "<sip:us@192.0.2.10:5060>";
        for (contacts, expires, granted_s) in [
            (&["<sip:us@192.0.2.10:5060>;expires=120"][..], None, 120),
            (&["<sip:us@198.51.100.1>;expires=9, <sip:us@192.0.2.10:5060>;expires=60"], Some("3600"), 60),
            (&["<sip:us@198.51.100.1>;expires=9", "<sip:us@192.0.2.10:5060>"], Some("3600"), 3_600),
            (&[], None, 600),
            (&["<sip:us@192.0.2.10:5060>;expires=x"], None, 600),
            (&["<sip:us@192.0.2.10:5060>;expires=4294967295"], None, LONGEST_S),
        ] {
            let request = Message::request("REGISTER", "sip:h");
            let mut response = Message::response(&request, 200, "", "t");
            contacts.iter().for_each(|contact| response.push("Contact", contact));
            if let Some(expires) = expires {
                response.push("Expires", expires);
            }
            assert_eq!(granted(&response, ours, 600), granted_s, "{contacts:?} {expires:?}");
        }
    }

    #[test]
    fn only_a_stale_challenge_is_answered_twice() {
        for (text, stale) in [("Digest realm=\"r\", stale=TRUE", true), ("Digest realm=\"r\", stale=false", false)] {
            let mut response = Message::response(&Message::request("REGISTER", "sip:h"), 401, "", "t");
            response.push("WWW-Authenticate", text);
            assert_eq!(is_stale(&response), stale, "{text}");
        }
    }
}
