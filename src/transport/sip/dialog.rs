//! The state that two ends of a call share (RFC 3261 section 12): tags, sequence numbers, route set, remote target. Builds every
//! message of ours in a dialog; sends none.

use std::time::Duration;

use crate::rt;
use crate::wire::sip::{ALLOW, Address, CSeq, Message, SUPPORTED, Uri, is_private, list, parameter};

use super::flow::{Flow, Transport};

/// What we call ourselves.
pub(super) const AGENT: &str = concat!("Voicefleet/", env!("CARGO_PKG_VERSION"));

/// Random text for tags, branches and Call-IDs: `bytes` of the system's randomness in hexadecimal.
#[must_use]
pub(super) fn random_token(bytes: usize) -> String {
    let mut raw = [0_u8; 32];
    let raw = raw.get_mut(..bytes.min(32)).unwrap_or_default();
    if getrandom::fill(raw).is_err() {
        // Without randomness the process cannot do TLS either; tags only have to differ.
        raw.iter_mut().zip(rt::now().as_micros().to_le_bytes()).for_each(|(to, from)| *to = from);
    }
    use std::fmt::Write as _;
    raw.iter().fold(String::with_capacity(bytes * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A random number.
#[must_use]
pub(super) fn random() -> u64 {
    u64::from_str_radix(&random_token(8), 16).unwrap_or_default()
}

/// Where we are, as we tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Host, in brackets where it is IPv6.
    pub host: String,
    /// Port of datagrams and TCP.
    pub port: u16,
    /// Port of TLS.
    pub tls_port: u16,
}

impl Place {
    fn port_of(&self, transport: Transport) -> u16 {
        if transport == Transport::Tls { self.tls_port } else { self.port }
    }

    /// Our Contact for a flow: a peer must be able to come back by the same transport.
    pub fn contact(&self, user: &str, transport: Transport) -> String {
        let at = if user.is_empty() { String::new() } else { format!("{user}@") };
        let (host, port) = (&self.host, self.port_of(transport));
        match transport {
            Transport::Udp => format!("<sip:{at}{host}:{port}>"),
            _ => format!("<sip:{at}{host}:{port};transport={}>", transport.parameter()),
        }
    }

    /// Our Contact as a trunk's file writes it: `template` with the places {number}, {domain} and {host}.
    pub fn contact_by(&self, template: &str, number: &str, domain: &str, transport: Transport) -> String {
        if template.is_empty() {
            return self.contact(number, transport);
        }
        let host = format!("{}:{}", self.host, self.port_of(transport));
        let filled = template.replace("{number}", number).replace("{domain}", domain).replace("{host}", &host);
        let named = transport == Transport::Udp || filled.contains(";transport=");
        let way = if named { String::new() } else { format!(";transport={}", transport.parameter()) };
        format!("<{filled}{way}>")
    }

    /// Our Contact in the dialog that `invite` begins: whoever called by `sips:` may use nothing else in it (RFC 3261 section 12.1.1).
    fn contact_of(&self, invite: &Message, template: &str, transport: Transport) -> String {
        let uri = invite.uri().and_then(Uri::parse);
        let (user, domain) = uri.as_ref().map(|uri| (uri.user, uri.host)).unwrap_or_default();
        let first = invite.get("Record-Route").or_else(|| invite.get("Contact")).and_then(Address::parse);
        let routed = first.and_then(|first| Uri::parse(first.uri));
        let secure = [uri.as_ref(), routed.as_ref()].into_iter().flatten().any(|uri| uri.scheme == "sips");
        let contact = self.contact_by(template, user, domain, transport);
        if !secure || transport != Transport::Tls {
            return contact;
        }
        // What `sips:` says already (RFC 5630 section 3.1.4).
        contact.replacen("<sip:", "<sips:", 1).replace(";transport=tls", "")
    }

    /// A Via of ours with a fresh branch.
    pub fn via(&self, transport: Transport) -> String {
        let (host, port) = (&self.host, self.port_of(transport));
        format!("SIP/2.0/{} {host}:{port};branch=z9hG4bK{};rport", transport.name(), random_token(12))
    }
}

/// Adds what every message of ours says of us.
pub(super) fn introduce(message: &mut Message) {
    message.set("Allow", ALLOW);
    message.set("Supported", SUPPORTED);
    message.set(if message.status().is_some() { "Server" } else { "User-Agent" }, AGENT);
}

/// What names a dialog here.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct DialogKey {
    pub call_id: String,
    pub local_tag: String,
}

impl DialogKey {
    /// The dialog of ours that a request is for; `None` for one outside any.
    pub fn of_request(request: &Message) -> Option<Self> {
        let local_tag = parameter(request.get("To")?, "tag").filter(|tag| !tag.is_empty())?;
        Some(Self { call_id: request.get("Call-ID")?.to_owned(), local_tag: local_tag.to_owned() })
    }
}

/// The way of a request in a dialog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Way {
    /// How the peer was heard last, or where its address says that it is.
    pub flow: Flow,
    /// Where it says that it is by name or address, and the port where it names one: empty where that cannot be read.
    pub host: String,
    pub port: Option<u16>,
}

impl Way {
    /// The address that the peer names for itself, or that its name stands for; `None` where it cannot be found or lies behind a NAT.
    pub async fn named(&self) -> Option<Flow> {
        let usual = if self.flow.transport == Transport::Tls { 5061 } else { 5060 };
        let host = self.host.trim_matches(['[', ']']);
        let found = rt::timeout(LOOKUP, tokio::net::lookup_host((host, self.port.unwrap_or(usual)))).await?.ok()?;
        let peer = found.into_iter().find(|peer| is_reachable(peer.ip(), self.flow.peer.ip()))?;
        Some(Flow { peer, ..self.flow })
    }
}

/// How long a peer's name may take to be looked up.
const LOOKUP: Duration = Duration::from_secs(2);

/// One end of a dialog.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    pub key: DialogKey,
    pub remote_tag: String,
    /// Our From, with its tag.
    local: String,
    /// Our To, with the peer's tag.
    remote: String,
    /// We called: the Call-ID is ours.
    pub called: bool,
    /// The next request of ours has the number after this.
    pub local_number: u32,
    remote_number: Option<u32>,
    target: String,
    routes: Vec<String>,
    pub flow: Flow,
    contact: String,
    place: Place,
}

/// What a request of the peer's in a dialog is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// In order.
    Next,
    /// Older than one that came before: 500 (RFC 3261 section 12.2.2).
    Old,
    /// Of another dialog with our tag: 481.
    Foreign,
}

impl Dialog {
    /// The dialog that our answer to `invite` makes; `contact` is the trunk's template of ours.
    pub fn answering(invite: &Message, local_tag: &str, flow: Flow, place: &Place, contact: &str) -> Self {
        let get = |name| invite.get(name).unwrap_or_default();
        Self {
            key: DialogKey { call_id: get("Call-ID").to_owned(), local_tag: local_tag.to_owned() },
            remote_tag: parameter(get("From"), "tag").unwrap_or_default().to_owned(),
            local: format!("{};tag={local_tag}", get("To")),
            remote: get("From").to_owned(),
            called: false,
            local_number: 0,
            remote_number: CSeq::parse(get("CSeq")).map(|cseq| cseq.number),
            target: Address::parse(get("Contact")).map(|a| a.uri.to_owned()).unwrap_or_default(),
            routes: invite.all("Record-Route").flat_map(list).map(str::to_owned).collect(),
            flow,
            contact: place.contact_of(invite, contact, flow.transport),
            place: place.clone(),
        }
    }

    /// The dialog that a peer's answer to our `invite` makes.
    pub fn calling(invite: &Message, response: &Message, flow: Flow, place: &Place) -> Self {
        let get = |name| invite.get(name).unwrap_or_default();
        let theirs = |name| response.get(name).unwrap_or_default();
        let mut routes: Vec<String> = response.all("Record-Route").flat_map(list).map(str::to_owned).collect();
        routes.reverse();
        let target = Address::parse(theirs("Contact")).map(|address| address.uri.to_owned());
        Self {
            key: DialogKey {
                call_id: get("Call-ID").to_owned(),
                local_tag: parameter(get("From"), "tag").unwrap_or_default().to_owned(),
            },
            remote_tag: parameter(theirs("To"), "tag").unwrap_or_default().to_owned(),
            local: get("From").to_owned(),
            remote: theirs("To").to_owned(),
            called: true,
            local_number: CSeq::parse(get("CSeq")).map_or(1, |cseq| cseq.number),
            remote_number: None,
            target: target.unwrap_or_else(|| invite.uri().unwrap_or_default().to_owned()),
            routes,
            flow,
            contact: get("Contact").to_owned(),
            place: place.clone(),
        }
    }

    /// Our Contact.
    pub fn contact(&self) -> &str {
        &self.contact
    }

    /// Whether a request of the peer's comes in order; remembers its number.
    pub fn order_of(&mut self, request: &Message) -> Order {
        if parameter(request.get("From").unwrap_or_default(), "tag") != Some(self.remote_tag.as_str()) {
            return Order::Foreign;
        }
        let Some(cseq) = request.get("CSeq").and_then(CSeq::parse) else { return Order::Old };
        if self.remote_number.is_some_and(|last| cseq.number < last) {
            return Order::Old;
        }
        self.remote_number = Some(cseq.number);
        Order::Next
    }

    /// Takes the Contact and the way of a message that refreshes the target (INVITE, UPDATE and their 2xx).
    pub fn retarget(&mut self, message: &Message, flow: Option<Flow>) {
        if let Some(contact) = message.get("Contact").and_then(Address::parse) {
            contact.uri.clone_into(&mut self.target);
        }
        if let Some(flow) = flow {
            self.flow = flow;
        }
    }

    /// The next request of ours.
    pub fn request(&mut self, method: &str) -> Message {
        self.local_number += 1;
        let mut request = self.numbered(method, self.local_number);
        if matches!(method, "INVITE" | "UPDATE" | "REFER") {
            request.push("Contact", &self.contact);
        }
        introduce(&mut request);
        request
    }

    /// The acknowledgement of a 2xx to this INVITE of ours, with its number and credentials (RFC 3261 section 13.2.2.4).
    pub fn ack(&self, invite: &Message) -> Message {
        let number = invite.get("CSeq").and_then(CSeq::parse).map_or(self.local_number, |cseq| cseq.number);
        let mut ack = self.numbered("ACK", number);
        for name in ["Authorization", "Proxy-Authorization"] {
            invite.all(name).for_each(|answer| ack.push(name, answer));
        }
        ack
    }

    fn numbered(&self, method: &str, number: u32) -> Message {
        let strict = self.routes.first().is_some_and(|route| {
            Address::parse(route).and_then(|a| Uri::parse(a.uri)).is_some_and(|uri| uri.parameter("lr").is_none())
        });
        let first = self.routes.first().and_then(|route| Address::parse(route)).map(|address| address.uri.to_owned());
        // A strict router stands in the Request-URI itself, the target last in the route set (RFC 3261 section 12.2.1.1).
        let (uri, routes) = match (strict, first) {
            (true, Some(first)) => {
                let rest = self.routes.iter().skip(1).cloned().chain([format!("<{}>", self.target)]);
                (first, rest.collect())
            }
            _ => (self.target.clone(), self.routes.clone()),
        };
        let mut request = Message::request(method, &uri);
        request.push("Via", &self.place.via(self.flow.transport));
        request.push("Max-Forwards", "70");
        for route in &routes {
            request.push("Route", route);
        }
        request.push("From", &self.local);
        request.push("To", &self.remote);
        request.push("Call-ID", &self.key.call_id);
        request.push("CSeq", &format!("{number} {method}"));
        request
    }

    /// The way of the next request.
    pub fn towards(&self) -> Way {
        let (host, port) = self.next_hop().unwrap_or_default();
        Way { flow: self.way(), host, port }
    }

    /// Where the next request goes, by name: the first route or the target.
    fn next_hop(&self) -> Option<(String, Option<u16>)> {
        let uri = self.routes.first().and_then(|route| Address::parse(route)).map_or(self.target.as_str(), |a| a.uri);
        let parsed = Uri::parse(uri)?;
        Some((parsed.host.to_owned(), parsed.port))
    }

    /// The way of the next request: back where the last one came from, unless route set or target name another public address.
    pub fn way(&self) -> Flow {
        if self.flow.transport != Transport::Udp {
            return self.flow;
        }
        let named = self.next_hop().and_then(|(host, port)| {
            let ip: std::net::IpAddr = host.parse().ok()?;
            Some(std::net::SocketAddr::new(ip, port.unwrap_or(5060)))
        });
        match named {
            Some(named) if is_reachable(named.ip(), self.flow.peer.ip()) => {
                Flow { transport: Transport::Udp, peer: named }
            }
            _ => self.flow,
        }
    }
}

/// Can an address that a peer names be reached? A private one behind a public one is a NAT's; the way back is the way it came.
fn is_reachable(named: std::net::IpAddr, peer: std::net::IpAddr) -> bool {
    !is_private(named) || named == peer || is_private(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { host: "192.0.2.10".to_owned(), port: 5060, tls_port: 5061 }
    }

    fn flow(peer: &str) -> Flow {
        Flow { transport: Transport::Udp, peer: peer.parse().unwrap() }
    }

    fn invite(contact: &str, routes: &[&str]) -> Message {
        let mut invite = Message::request("INVITE", "sip:1800@voice.example");
        for (name, value) in [
            ("Via", "SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK1"),
            ("From", "<sip:a@h>;tag=theirs"),
            ("To", "<sip:1800@voice.example>"),
            ("Call-ID", "c1"),
            ("CSeq", "7 INVITE"),
            ("Contact", contact),
        ] {
            invite.push(name, value);
        }
        for route in routes {
            invite.push("Record-Route", route);
        }
        invite
    }

    #[test]
    fn a_request_follows_the_route_set() {
        let loose = ["<sip:p1@203.0.113.1;lr>, <sip:203.0.113.2;lr>"];
        let mut dialog =
            Dialog::answering(&invite("<sip:a@10.0.0.9:5062>", &loose), "ours", flow("203.0.113.1:5060"), &place(), "");
        let bye = dialog.request("BYE");
        assert_eq!(bye.uri(), Some("sip:a@10.0.0.9:5062"));
        let routes: Vec<&str> = bye.all("Route").collect();
        assert_eq!(routes, ["<sip:p1@203.0.113.1;lr>", "<sip:203.0.113.2;lr>"]);
        assert_eq!(
            (bye.get("From"), bye.get("To")),
            (Some("<sip:1800@voice.example>;tag=ours"), Some("<sip:a@h>;tag=theirs"))
        );
        assert_eq!((bye.get("CSeq"), dialog.request("INFO").get("CSeq")), (Some("1 BYE"), Some("2 INFO")));
        assert_eq!(dialog.way(), flow("203.0.113.1:5060"));
        let strict = Dialog::answering(
            &invite("<sip:a@h>", &["<sip:203.0.113.1>"]),
            "o",
            flow("203.0.113.1:5060"),
            &place(),
            "",
        );
        let mut asked = invite("<sip:a@h>", &[]);
        asked.push("Proxy-Authorization", "Digest x");
        let ack = strict.ack(&asked);
        assert_eq!((ack.uri(), ack.get("Route")), (Some("sip:203.0.113.1"), Some("<sip:a@h>")));
        assert_eq!((ack.get("CSeq"), ack.get("Proxy-Authorization")), (Some("7 ACK"), Some("Digest x")));
    }

    #[test]
    fn the_way_back_passes_a_nat() {
        for (contact, peer, way) in [
            ("<sip:a@198.51.100.7:5080>", "198.51.100.1:5060", "198.51.100.7:5080"),
            ("<sip:a@10.1.1.1:5080>", "198.51.100.1:40000", "198.51.100.1:40000"),
            ("<sip:a@10.1.1.1:5080>", "10.1.1.1:5060", "10.1.1.1:5080"),
            ("<sip:a@pbx.example>", "198.51.100.1:5060", "198.51.100.1:5060"),
        ] {
            let dialog = Dialog::answering(&invite(contact, &[]), "o", flow(peer), &place(), "");
            assert_eq!(dialog.way(), flow(way), "{contact} from {peer}");
        }
    }

    #[test]
    fn who_called_by_sips_is_told_a_contact_by_sips() {
        let over = |transport, uri: &str, contact: &str| {
            let mut invite = invite(contact, &[]);
            invite.start = Message::request("INVITE", uri).start;
            let flow = Flow { transport, peer: "198.51.100.1:5061".parse().unwrap() };
            Dialog::answering(&invite, "o", flow, &place(), "").contact().to_owned()
        };
        for (transport, uri, contact, ours) in [
            (Transport::Tls, "sips:1800@voice.example", "<sip:a@h>", "<sips:1800@192.0.2.10:5061>"),
            (Transport::Tls, "sip:1800@voice.example", "<sips:a@h>", "<sips:1800@192.0.2.10:5061>"),
            (Transport::Tls, "sip:1800@voice.example", "<sip:a@h>", "<sip:1800@192.0.2.10:5061;transport=tls>"),
            // A proxy took the TLS off: nobody could keep what sips promises.
            (Transport::Udp, "sips:1800@voice.example", "<sip:a@h>", "<sip:1800@192.0.2.10:5060>"),
        ] {
            assert_eq!(over(transport, uri, contact), ours, "{transport:?} {uri} {contact}");
        }
    }

    #[test]
    fn requests_of_the_peer_come_in_order() {
        let mut dialog = Dialog::answering(&invite("<sip:a@h>", &[]), "ours", flow("198.51.100.1:5060"), &place(), "");
        let mut info = invite("<sip:a@h>", &[]);
        for (cseq, from, order) in [
            ("8 INFO", "<sip:a@h>;tag=theirs", Order::Next),
            ("6 INFO", "<sip:a@h>;tag=theirs", Order::Old),
            ("9 INFO", "<sip:a@h>;tag=other", Order::Foreign),
        ] {
            info.set("CSeq", cseq);
            info.set("From", from);
            assert_eq!(dialog.order_of(&info), order, "{cseq}");
        }
        assert_eq!(place().contact("1800", Transport::Tls), "<sip:1800@192.0.2.10:5061;transport=tls>");
        assert_eq!(place().contact("", Transport::Udp), "<sip:192.0.2.10:5060>");
        assert_ne!(random_token(8), random_token(8));
    }
}
