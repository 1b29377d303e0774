//! Whether a request can be taken at all, and with which status it is refused (RFC 3261 sections 8.2 and 16.3). Everything here is
//! decided from the message alone; whether a dialog or bot exists is the edge's.

use super::fields::{Address, CSeq, Uri, Via, is_open, is_token, list, parameter};
use super::message::{Message, Start};

/// The methods that we take, as every answer says.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY";

/// The extensions that we know, as every answer says.
pub const SUPPORTED: &str = "timer, 100rel, replaces";

/// Methods that are SIP's and not ours.
const KNOWN: [&str; 4] = ["REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE"];

/// Fields of which a message has one.
const SINGLE: [&str; 7] = ["Call-ID", "CSeq", "From", "To", "Max-Forwards", "Content-Length", "Content-Type"];

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The status of the answer.
    pub status: u16,
    /// The phrase, which says what is wrong.
    pub reason: &'static str,
    /// A field that the answer must carry.
    pub field: Option<(&'static str, String)>,
}

const fn fault(status: u16, reason: &'static str) -> Fault {
    Fault { status, reason, field: None }
}

fn with(status: u16, reason: &'static str, name: &'static str, value: &str) -> Fault {
    Fault { status, reason, field: Some((name, value.to_owned())) }
}

/// What is wrong with a request; `None` where it can be taken. A response is never at fault.
#[must_use]
pub fn fault_of(message: &Message) -> Option<Fault> {
    let Start::Request { method, uri, version } = &message.start else { return None };
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        let looks_like_sip = version.len() > 4 && version.get(..4).is_some_and(|v| v.eq_ignore_ascii_case("SIP/"));
        return Some(if looks_like_sip { fault(505, "") } else { fault(400, "Bad Request-Line") });
    }
    shape(message, method).or_else(|| target(uri)).or_else(|| understood(message, method))
}

/// The fields that every request needs, each once.
fn shape(message: &Message, method: &str) -> Option<Fault> {
    if !is_token(method) {
        return Some(fault(400, "Bad Method"));
    }
    for name in SINGLE {
        let mut values = message.all(name);
        if let Some(first) = values.next()
            && values.any(|other| other != first || name != "Content-Length")
        {
            return Some(fault(400, "Repeated Header Field"));
        }
    }
    let get = |name| message.get(name);
    if message.all("Via").any(Via::has_gaps) || get("Via").and_then(Via::parse).is_none() {
        return Some(fault(400, "Bad Via"));
    }
    if get("Call-ID").is_none_or(|id| id.is_empty() || id.len() > 512 || id.contains(' ')) {
        return Some(fault(400, "Bad Call-ID"));
    }
    let Some(cseq) = get("CSeq").and_then(CSeq::parse) else { return Some(fault(400, "Bad CSeq")) };
    if cseq.method != method {
        return Some(fault(400, "CSeq Names Another Method"));
    }
    for (name, reason) in [("From", "Bad From"), ("To", "Bad To")] {
        let address = get(name).and_then(Address::parse);
        if address.is_none_or(|address| Uri::parse(address.uri).is_none()) || is_open(get(name).unwrap_or_default()) {
            return Some(fault(400, reason));
        }
    }
    if parameter(get("From").unwrap_or_default(), "tag").is_none_or(str::is_empty) {
        return Some(fault(400, "No From Tag"));
    }
    if get("Max-Forwards").is_some_and(|hops| hops.parse::<u8>().is_err()) {
        return Some(fault(400, "Bad Max-Forwards"));
    }
    if message.body_is_short {
        return Some(fault(400, "Bad Content-Length"));
    }
    if method == "INVITE" && get("Contact").and_then(Address::parse).is_none() {
        return Some(fault(400, "No Contact"));
    }
    None
}

fn target(uri: &str) -> Option<Fault> {
    match Uri::parse(uri) {
        None => Some(fault(400, "Bad Request-URI")),
        Some(parsed) if !matches!(parsed.scheme.as_str(), "sip" | "sips" | "tel") => Some(fault(416, "")),
        Some(_) => None,
    }
}

/// Method, extensions and body.
fn understood(message: &Message, method: &str) -> Option<Fault> {
    if matches!(method, "ACK" | "CANCEL") {
        return None;
    }
    if KNOWN.contains(&method) {
        return Some(with(405, "", "Allow", ALLOW));
    }
    if !ALLOW.split(", ").any(|known| known == method) {
        return Some(with(501, "", "Allow", ALLOW));
    }
    let unknown: Vec<&str> = message
        .all("Require")
        .flat_map(list)
        .filter(|option| !SUPPORTED.split(", ").any(|known| known.eq_ignore_ascii_case(option)))
        .collect();
    if !unknown.is_empty() {
        return Some(with(420, "", "Unsupported", &unknown.join(", ")));
    }
    if method == "INVITE" && message.get("Accept").is_some() && !takes_sdp(message) {
        return Some(fault(406, ""));
    }
    if message.body.is_empty() {
        return None;
    }
    if message.get("Content-Encoding").is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Some(with(415, "", "Accept-Encoding", "identity"));
    }
    let carries_sdp = matches!(method, "INVITE" | "UPDATE" | "PRACK");
    if carries_sdp && message.get("Content-Type").is_some() && session_description(message).is_none() {
        return Some(with(415, "", "Accept", "application/sdp"));
    }
    None
}

/// May the answer carry a session description (RFC 3261 section 20.1)?
fn takes_sdp(message: &Message) -> bool {
    let taken = |range: &str| {
        let range = range.split(';').next().unwrap_or_default().trim();
        ["application/sdp", "application/*", "*/*"].iter().any(|known| range.eq_ignore_ascii_case(known))
    };
    message.all("Accept").flat_map(list).any(taken)
}

/// The session description in a body: the body itself, or that part of a multipart one.
#[must_use]
pub fn session_description(message: &Message) -> Option<&[u8]> {
    if message.body.is_empty() {
        return None;
    }
    let kind = message.get("Content-Type")?;
    let name = kind.split(';').next().unwrap_or_default().trim();
    if name.eq_ignore_ascii_case("application/sdp") {
        return Some(&message.body);
    }
    if !name.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) {
        return None;
    }
    let boundary = parameter(kind, "boundary").filter(|boundary| !boundary.is_empty())?;
    let marker = format!("--{boundary}").into_bytes();
    let mut rest = message.body.as_slice();
    while let Some(at) = find(rest, &marker) {
        rest = rest.get(at + marker.len()..)?;
        let end = find(rest, &marker).unwrap_or(rest.len());
        let part = rest.get(..end)?;
        let (head, body) = match find(part, b"\r\n\r\n") {
            Some(gap) => (part.get(..gap)?, part.get(gap + 4..)?),
            None => continue,
        };
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let is_sdp = head.lines().any(|line| line.starts_with("content-type") && line.contains("application/sdp"));
        if is_sdp {
            return Some(body);
        }
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len().max(1)).position(|window| window == wanted)
}
