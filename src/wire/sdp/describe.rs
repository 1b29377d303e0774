//! A peer's session description, as far as a telephone leg cares. Tolerant of what carriers really send: missing `s=` and `t=`,
//! bytes that are not UTF-8, lines that are no lines, bare line feeds. Never decides what to answer.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::codec::Codec;
use super::crypto::CryptoLine;
use super::plan::Direction;

/// Longest description that is read.
const MAX_BYTES: usize = 64 * 1024;
/// Most media lines of a description.
const MAX_MEDIA: usize = 16;
/// Most formats of a media line that are looked at.
const MAX_FORMATS: usize = 64;

/// A description that cannot be used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Longer than any real one.
    #[error("expected at most {MAX_BYTES} bytes of SDP, found {0}")]
    TooLong(usize),
    /// Not a session description.
    #[error("expected a session description (RFC 8866), found: {0}")]
    Syntax(String),
    /// More media lines than any real one.
    #[error("expected at most {MAX_MEDIA} media lines, found {0}")]
    TooManyMedia(usize),
}

/// A peer's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `o=`: session id and version.
    pub origin: (String, u64),
    /// Media lines in their order.
    pub media: Vec<MediaLine>,
}

/// One media line with its attributes; what is said for the session is merged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLine {
    /// `audio`, `image`, …
    pub kind: String,
    /// 0: refused or gone.
    pub port: u16,
    /// `RTP/AVP`, `udptl`, …
    pub proto: String,
    /// The formats as they stand.
    pub formats: Vec<String>,
    /// The address for media; unspecified where none stands or it is no address.
    pub address: IpAddr,
    /// Codecs that we can speak with their payload types, in the peer's order.
    pub codecs: Vec<(u8, Codec)>,
    /// Payload types of telephone-event with their clocks, in the peer's order.
    pub events: Vec<(u8, u32)>,
    /// Which way, as the peer sees it.
    pub direction: Direction,
    /// Announced packet length.
    pub ptime_ms: Option<u8>,
    /// Longest packet that the peer takes.
    pub maxptime_ms: Option<u8>,
    /// `a=rtcp`: a port, perhaps with an address.
    pub rtcp: Option<(u16, Option<IpAddr>)>,
    /// The stream that the peer announces (`a=ssrc`, RFC 5576 section 4.1), where it is one alone: more are for somebody else to tell apart.
    pub ssrc: Option<u32>,
    /// `a=rtcp-mux` stands.
    pub rtcp_mux: bool,
    /// Usable crypto lines, in the peer's order.
    pub crypto: Vec<CryptoLine>,
    /// An `a=crypto` stands, usable or not.
    pub crypto_offered: bool,
}

impl MediaLine {
    /// Where audio goes.
    #[must_use]
    pub const fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Plain or encrypted RTP with SDES keys, with or without feedback; DTLS and everything else is not.
    #[must_use]
    pub fn rtp_profile(&self) -> Option<Profile> {
        match self.proto.to_ascii_uppercase().as_str() {
            "RTP/AVP" | "RTP/AVPF" => Some(Profile::Plain),
            "RTP/SAVP" | "RTP/SAVPF" => Some(Profile::Secure),
            _ => None,
        }
    }

    /// Held the old way: an address of zeros (RFC 2543).
    #[must_use]
    pub fn has_zero_address(&self) -> bool {
        self.address.is_unspecified()
    }
}

/// Which RTP profile a line names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// `RTP/AVP`.
    Plain,
    /// `RTP/SAVP`.
    Secure,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// [`ParseError`] where it is none, or out of all measure.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > MAX_BYTES {
            return Err(ParseError::TooLong(bytes.len()));
        }
        let text = tidy(bytes);
        let session = sdp_types::Session::parse(text.as_bytes()).map_err(|error| syntax(&error))?;
        if session.medias.len() > MAX_MEDIA {
            return Err(ParseError::TooManyMedia(session.medias.len()));
        }
        let common = session.connection.as_ref().and_then(address);
        let direction = direction(&session.attributes);
        let media = session.medias.iter().map(|media| line(media, common, direction, &session.attributes)).collect();
        Ok(Self { origin: (session.origin.sess_id, session.origin.sess_version), media })
    }
}

/// What is wrong, without a word of the description: it holds keys, and a fault is told and logged.
fn syntax(error: &sdp_types::ParserError) -> ParseError {
    ParseError::Syntax(match error {
        sdp_types::ParserError::InvalidVersion(line, _) => format!("no version in line {line}"),
        other => other.to_string(),
    })
}

/// Keeps the lines that are lines, as text; repairs what strict readers choke on and nobody needs.
fn tidy(bytes: &[u8]) -> String {
    let lossy = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(lossy.len() + 8);
    let mut in_media = false;
    let mut seen = String::new();
    for raw in lossy.split(['\n', '\r']) {
        let line = raw.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        let mut chars = line.chars();
        let (Some(key), Some('=')) = (chars.next(), chars.next()) else { continue };
        in_media |= key == 'm';
        if out.is_empty() && key != 'v' {
            out.push_str("v=0\r\n");
        }
        match key {
            'v' if !out.is_empty() => continue,
            // Numbers here may be anything in the wild (negative, longer than 64 bits); only equality would matter.
            'o' => {
                if seen.contains('o') {
                    continue;
                }
                seen.push('o');
                out.push_str("o=");
                out.push_str(&origin(&line[2..]));
                out.push_str("\r\n");
                continue;
            }
            // A second one of these would be an error, and a leg needs none of them.
            'c' if !in_media => {
                if seen.contains('c') {
                    continue;
                }
                seen.push('c');
            }
            'v' | 'c' | 'm' | 'a' => {}
            _ => continue,
        }
        if line.contains('\0') {
            continue;
        }
        out.push_str(line);
        out.push_str("\r\n");
    }
    out
}

/// `o=` with numbers that every reader takes.
fn origin(value: &str) -> String {
    let mut words = value.split_whitespace();
    let user = words.next().unwrap_or("-");
    let id = words.next().filter(|id| id.bytes().all(|b| b.is_ascii_digit())).unwrap_or("0");
    let version = words.next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    format!("{user} {id} {version} IN IP4 0.0.0.0")
}

fn address(connection: &sdp_types::Connection) -> Option<IpAddr> {
    connection.connection_address.split('/').next()?.trim().parse().ok()
}

fn direction(attributes: &[sdp_types::Attribute]) -> Option<Direction> {
    attributes.iter().rev().find_map(|attribute| Direction::of(&attribute.attribute.to_ascii_lowercase()))
}

/// The one stream that `a=ssrc` lines name, each of them as often as it has attributes.
fn only_stream<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<u32> {
    let stream = |value: &str| value.split_ascii_whitespace().next()?.parse::<u32>().ok();
    let first = stream(values.next()?)?;
    values.all(|value| stream(value) == Some(first)).then_some(first)
}

fn line(
    media: &sdp_types::Media,
    common: Option<IpAddr>,
    session_direction: Option<Direction>,
    session: &[sdp_types::Attribute],
) -> MediaLine {
    let formats: Vec<String> = media.fmt.split_whitespace().take(MAX_FORMATS).map(str::to_owned).collect();
    let address = media.connections.iter().find_map(address).or(common);
    let values = |name: &'static str| {
        let mine = media.attributes.iter().filter(move |a| a.attribute.eq_ignore_ascii_case(name));
        mine.filter_map(|a| a.value.as_deref())
    };
    let has = |name: &str| media.attributes.iter().chain(session).any(|a| a.attribute.eq_ignore_ascii_case(name));
    let small = |text: &str| text.trim().split('.').next()?.parse::<u8>().ok().filter(|ms| (1..=200).contains(ms));
    let mut found = MediaLine {
        kind: media.media.to_ascii_lowercase(),
        port: media.port,
        proto: media.proto.clone(),
        formats,
        address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        codecs: Vec::new(),
        events: Vec::new(),
        direction: direction(&media.attributes).or(session_direction).unwrap_or_default(),
        ptime_ms: values("ptime").find_map(small),
        maxptime_ms: values("maxptime").find_map(small),
        rtcp: values("rtcp").find_map(rtcp),
        ssrc: only_stream(values("ssrc")),
        rtcp_mux: has("rtcp-mux"),
        crypto: values("crypto").filter_map(CryptoLine::parse).take(8).collect(),
        crypto_offered: values("crypto").next().is_some(),
    };
    if found.kind == "audio" {
        let maps: Vec<Rtpmap<'_>> = values("rtpmap").filter_map(rtpmap).collect();
        for format in &found.formats {
            let Some(payload_type) = format.parse::<u8>().ok().filter(|pt| *pt < 128) else { continue };
            let map = maps.iter().find(|map| map.payload_type == payload_type);
            match map {
                Some(map) if map.name.eq_ignore_ascii_case("telephone-event") => {
                    found.events.push((payload_type, map.clock_hz));
                }
                Some(map) => found
                    .codecs
                    .extend(Codec::of(map.name, map.clock_hz, map.channels).map(|codec| (payload_type, codec))),
                None => {
                    let known = Codec::ALL.into_iter().find(|c| c.static_payload_type() == Some(payload_type));
                    found.codecs.extend(known.map(|codec| (payload_type, codec)));
                }
            }
        }
    }
    found
}

struct Rtpmap<'a> {
    payload_type: u8,
    name: &'a str,
    clock_hz: u32,
    channels: u8,
}

fn rtpmap(value: &str) -> Option<Rtpmap<'_>> {
    let (payload_type, encoding) = value.trim().split_once(|c: char| c.is_whitespace())?;
    let mut parts = encoding.trim().split('/');
    let name = parts.next()?.trim();
    let clock_hz = parts.next()?.trim().parse().ok()?;
    let channels = parts.next().map_or(Some(1), |text| text.trim().parse().ok())?;
    Some(Rtpmap { payload_type: payload_type.parse().ok()?, name, clock_hz, channels })
}

fn rtcp(value: &str) -> Option<(u16, Option<IpAddr>)> {
    let mut words = value.split_whitespace();
    let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
    Some((port, words.nth(2).and_then(|text| text.parse().ok())))
}
