//! From a trunk's targets to addresses (RFC 3263): a host without a port is looked for by SRV first, then by its addresses. The transport is
//! the trunk's own, so that no NAPTR is asked. Every question has a deadline; one that is not answered leaves what the addresses say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::flow::{Flow, Transport};
use super::health::Way;
use crate::rt;
use crate::trunk::{Trunk, TrunkTransport};
use crate::wire::dns::{Srv, in_order, srv_answer, srv_question};
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
pub(super) async fn resolve(trunk: &Trunk, server: Option<SocketAddr>) -> Vec<Way> {
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
            Some(server) => services(server, transport, parsed.host).await,
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
async fn services(server: SocketAddr, transport: Transport, host: &str) -> Vec<Srv> {
    let name = match transport {
        Transport::Udp => format!("_sip._udp.{host}"),
        Transport::Tcp => format!("_sip._tcp.{host}"),
        Transport::Tls => format!("_sips._tcp.{host}"),
    };
    for _ in 0..QUESTIONS {
        match rt::timeout(QUESTION, asked(server, &name)).await {
            Some(Some(records)) => return in_order(records, up_to),
            Some(None) => return Vec::new(),
            None => {}
        }
    }
    tracing::warn!(%server, name, "a name server did not answer; its addresses are asked of the system");
    Vec::new()
}

/// One question, until its answer; `None` where it cannot be asked or has an answer that says nothing.
async fn asked(server: SocketAddr, name: &str) -> Option<Vec<Srv>> {
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
            Ok(records) => return Some(records),
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
        let ports: Vec<u16> = resolve(&trunk, None).await.iter().map(|way| way.flow.peer.port()).collect();
        assert_eq!(ports, [5060, 5070]);
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
