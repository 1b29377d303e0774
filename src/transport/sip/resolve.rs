//! From a trunk's targets to addresses (RFC 3263): a host without a port is looked for by SRV first, then by its addresses. The transport is
//! the trunk's own, so that no NAPTR is asked. Every question has a deadline; one that is not answered leaves what was said last, or what the
//! addresses say.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::flow::{Flow, Transport};
use super::health::Way;
use crate::rt;
use crate::trunk::{Trunk, TrunkTransport};
use crate::units::Moment;
use crate::wire::dns::{Srv, SrvAnswer, in_order, srv_answer, srv_question};
use crate::wire::sip::Uri;

/// How long a name may take to be looked up.
const LOOKUP: Duration = Duration::from_secs(2);
/// How long a name server has for one try, and how many it has.
const QUESTION: Duration = Duration::from_millis(700);
const QUESTIONS: usize = 2;
/// Most addresses of one trunk: that are watched, and that are tried for one call.
const ADDRESSES: usize = 8;
/// The port of name servers.
const DNS: u16 = 53;
/// The longest that an answer is believed, in seconds, whatever it says itself.
const BELIEVED_S: u32 = 3_600;
/// What was said last serves while nobody says anything else, for a day; whom it is asked of has so long until the next question (RFC 8767).
const SERVES_S: u64 = 86_400;
const PAUSE_MS: u64 = 30_000;
/// Names that are remembered. Full: all are forgotten.
const NAMES: usize = 256;

/// What name servers said of services. One owner: the endpoint.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<String, Said>>);

#[derive(Debug)]
struct Said {
    records: Vec<Srv>,
    /// Not asked again before this.
    fresh_until: Moment,
    /// Not believed any more from here on.
    ends: Moment,
}

impl Known {
    fn said(&self) -> std::sync::MutexGuard<'_, HashMap<String, Said>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The services, where they need not be asked for.
    fn fresh(&self, name: &str, now: Moment) -> Option<Vec<Srv>> {
        self.said().get(name).filter(|said| now < said.fresh_until).map(|said| said.records.clone())
    }

    /// A name server has spoken.
    fn learn(&self, name: &str, answer: &SrvAnswer, now: Moment) {
        let mut all = self.said();
        if answer.records.is_empty() {
            all.remove(name);
            return;
        }
        if all.len() >= NAMES && !all.contains_key(name) {
            all.clear();
        }
        let fresh_until = now.plus_ms(u64::from(answer.ttl_s.min(BELIEVED_S)) * 1_000);
        let said = Said { records: answer.records.clone(), fresh_until, ends: now.plus_ms(SERVES_S * 1_000) };
        all.insert(name.to_owned(), said);
    }

    /// Nobody has: what was said last, for a while without another question.
    fn last(&self, name: &str, now: Moment) -> Vec<Srv> {
        let mut all = self.said();
        let Some(said) = all.get_mut(name).filter(|said| now < said.ends) else { return Vec::new() };
        said.fresh_until = said.fresh_until.max(now.plus_ms(PAUSE_MS));
        said.records.clone()
    }
}

/// The name server to be asked: the one that is configured, an address with or without a port, else the first of the system's; `None`
/// where there is none.
pub(super) fn server(configured: &str) -> Option<SocketAddr> {
    let configured = configured.trim();
    if !configured.is_empty() {
        return read_server(configured);
    }
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    text.lines().find_map(|line| read_server(line.trim().strip_prefix("nameserver")?.trim()))
}

fn read_server(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, DNS)))
}

/// A trunk's addresses in the order of its targets, each once.
pub(super) async fn resolve(trunk: &Trunk, server: Option<SocketAddr>, known: &Known) -> Vec<Way> {
    let transport = match trunk.outbound.transport {
        TrunkTransport::Udp => Transport::Udp,
        TrunkTransport::Tcp => Transport::Tcp,
        TrunkTransport::Tls => Transport::Tls,
    };
    let default_port = if transport == Transport::Tls { 5061 } else { 5060 };
    let mut found: Vec<Way> = Vec::new();
    for target in &trunk.outbound.targets {
        let uri = format!("sip:{target}");
        let Some(parsed) = Uri::parse(&uri) else { continue };
        let domain = if trunk.outbound.domain.is_empty() { target.clone() } else { trunk.outbound.domain.clone() };
        // A port, or an address, says where to go (RFC 3263 section 4.2).
        let named = parsed.port.is_some() || parsed.host.parse::<IpAddr>().is_ok();
        let services = match server.filter(|_| !named) {
            Some(server) => services(server, transport, parsed.host, known).await,
            None => Vec::new(),
        };
        let mut places: Vec<(String, u16)> = services.into_iter().map(|srv| (srv.target, srv.port)).collect();
        if places.is_empty() {
            places.push((parsed.host.to_owned(), parsed.port.unwrap_or(default_port)));
        }
        for (host, port) in places {
            let Some(Ok(peers)) = rt::timeout(LOOKUP, tokio::net::lookup_host((host.as_str(), port))).await else {
                tracing::warn!(trunk = %trunk.id, target, host, "a target of the trunk could not be looked up");
                continue;
            };
            for peer in peers {
                let flow = Flow { transport, peer };
                if found.iter().all(|way| way.flow != flow) {
                    // Whoever a record names proves that it is the target (RFC 5922 section 4).
                    found.push(Way { flow, name: parsed.host.to_owned(), domain: domain.clone() });
                }
            }
            if found.len() >= ADDRESSES {
                break;
            }
        }
    }
    found.truncate(ADDRESSES);
    found
}

/// The servers of a host for one transport, in the order in which they are to be tried.
async fn services(server: SocketAddr, transport: Transport, host: &str, known: &Known) -> Vec<Srv> {
    let name = match transport {
        Transport::Udp => format!("_sip._udp.{host}"),
        Transport::Tcp => format!("_sip._tcp.{host}"),
        Transport::Tls => format!("_sips._tcp.{host}"),
    };
    if let Some(records) = known.fresh(&name, rt::now()) {
        return in_order(records, up_to);
    }
    for _ in 0..QUESTIONS {
        match rt::timeout(QUESTION, asked(server, &name)).await {
            Some(Some(answer)) => {
                known.learn(&name, &answer, rt::now());
                return in_order(answer.records, up_to);
            }
            // It has failed, and said so.
            Some(None) => break,
            None => {}
        }
    }
    let last = known.last(&name, rt::now());
    let remembered = last.len();
    tracing::warn!(%server, name, remembered, "a name server has no answer; what it said last serves, else the host's addresses");
    in_order(last, up_to)
}

/// One question, until its answer; `None` where it cannot be asked or has an answer that says nothing.
async fn asked(server: SocketAddr, name: &str) -> Option<SrvAnswer> {
    let question = srv_question(u16::try_from(up_to(u32::from(u16::MAX))).unwrap_or(0), name)?;
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A port of the moment and a number that nobody can guess; datagrams of others do not come through.
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(&question).await.ok()?;
    let mut buffer = [0; 4_096];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        match srv_answer(&question, buffer.get(..length)?) {
            Ok(answer) => return Some(answer),
            Err(crate::wire::dns::DnsError::Foreign) => {}
            Err(error) => {
                tracing::warn!(%server, name, %error, "a name server's answer is of no use");
                return None;
            }
        }
    }
}

/// A random number from 0 up to this one. Without randomness it is 0: the order is the records' own then.
fn up_to(most: u32) -> u32 {
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    u32::try_from(u64::from_le_bytes(bytes) % (u64::from(most) + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_target_that_is_named_twice_is_asked_once() {
        let mut trunk = Trunk { id: "t".to_owned(), ..Trunk::default() };
        trunk.outbound.targets = ["127.0.0.1", "127.0.0.1:5060", "127.0.0.1:5070"].map(str::to_owned).to_vec();
        let ports: Vec<u16> =
            resolve(&trunk, None, &Known::default()).await.iter().map(|way| way.flow.peer.port()).collect();
        assert_eq!(ports, [5060, 5070]);
    }

    #[test]
    fn an_answer_is_believed_for_its_time_and_serves_longer_where_there_is_no_other() {
        let (known, at) = (Known::default(), |s: u64| Moment::from_millis(s * 1_000));
        let answer = |port: u16, ttl_s: u32| SrvAnswer {
            records: vec![Srv { priority: 1, weight: 1, port, target: "a".to_owned() }],
            ttl_s,
        };
        let port = |records: Vec<Srv>| records.first().map(|srv| srv.port);
        assert_eq!((known.fresh("x", at(0)), known.last("x", at(0))), (None, vec![]));
        known.learn("x", &answer(1, 60), at(0));
        assert_eq!(known.fresh("x", at(59)).map(port), Some(Some(1)));
        assert_eq!(known.fresh("x", at(60)), None);
        // Nobody answers: it serves, and is not asked for at every call.
        assert_eq!(port(known.last("x", at(60))), Some(1));
        assert_eq!(known.fresh("x", at(89)).map(port), Some(Some(1)));
        assert_eq!(known.fresh("x", at(90)), None);
        assert_eq!(port(known.last("x", at(SERVES_S - 1))), Some(1));
        assert_eq!(known.last("x", at(SERVES_S)), vec![], "a day is enough");
        known.learn("x", &answer(2, u32::MAX), at(0));
        assert_eq!(known.fresh("x", at(u64::from(BELIEVED_S))), None, "no longer than an hour");
        known.learn("x", &SrvAnswer::default(), at(1));
        assert_eq!((known.fresh("x", at(1)), known.last("x", at(1))), (None, vec![]), "there are none any more");
        for n in 0..=NAMES {
            known.learn(&n.to_string(), &answer(1, 60), at(0));
        }
        assert_eq!(known.said().len(), 1);
    }

    #[test]
    fn a_name_server_has_a_port_or_the_usual_one() {
        for (text, at) in [
            ("192.0.2.1", Some("192.0.2.1:53")),
            (" 192.0.2.1:5353 ", Some("192.0.2.1:5353")),
            ("2001:db8::1", Some("[2001:db8::1]:53")),
            ("[2001:db8::1]:5353", Some("[2001:db8::1]:5353")),
            ("ns.example", None),
        ] {
            assert_eq!(server(text), at.map(|at| at.parse().unwrap()), "{text}");
        }
    }
}
