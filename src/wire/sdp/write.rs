//! The text of our own descriptions. Decides nothing.

use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};

use super::codec::Codec;
use super::crypto::CryptoLine;
use super::describe::MediaLine;
use super::plan::Direction;

/// A media line's place in our description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The one that is spoken over.
    Audio,
    /// One of the peer's that is refused with port 0.
    Refused {
        /// `image`, `video`, a second `audio`.
        kind: String,
        /// Its protocol, as it stood.
        proto: String,
        /// Its formats, as they stood.
        formats: String,
    },
}

/// Our audio line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audio {
    pub proto: String,
    pub codecs: Vec<(u8, Codec)>,
    pub events: Vec<(u8, u32)>,
    pub direction: Direction,
    pub crypto: Vec<CryptoLine>,
    pub rtcp_mux: bool,
}

/// Every line of an offer in its place, `audio` being spoken over.
pub(super) fn mirror(lines: &[MediaLine], audio: usize) -> Vec<Slot> {
    let slot = |(at, line): (usize, &MediaLine)| {
        if at == audio {
            return Slot::Audio;
        }
        Slot::Refused { kind: line.kind.clone(), proto: line.proto.clone(), formats: line.formats.join(" ") }
    };
    lines.iter().enumerate().map(slot).collect()
}

const fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IP4" } else { "IP6" }
}

/// Everything after `o=`.
pub(super) fn body(local: SocketAddr, slots: &[Slot], audio: &Audio) -> String {
    let mut out = format!("s=-\r\nc=IN {} {}\r\nt=0 0\r\n", family(local.ip()), local.ip());
    for slot in slots {
        match slot {
            Slot::Refused { kind, proto, formats } => {
                let formats = if formats.is_empty() { "0" } else { formats };
                let _ = write!(out, "m={kind} 0 {proto} {formats}\r\n");
            }
            Slot::Audio => audio_lines(&mut out, local.port(), audio),
        }
    }
    out
}

fn audio_lines(out: &mut String, port: u16, audio: &Audio) {
    let _ = write!(out, "m=audio {port} {}", audio.proto);
    for payload_type in audio.codecs.iter().map(|(pt, _)| pt).chain(audio.events.iter().map(|(pt, _)| pt)) {
        let _ = write!(out, " {payload_type}");
    }
    out.push_str("\r\n");
    for (payload_type, codec) in &audio.codecs {
        let _ = write!(out, "a=rtpmap:{payload_type} {}\r\n", codec.rtpmap());
        if let Some(parameters) = codec.fmtp() {
            let _ = write!(out, "a=fmtp:{payload_type} {parameters}\r\n");
        }
    }
    for (payload_type, clock_hz) in &audio.events {
        let _ = write!(out, "a=rtpmap:{payload_type} telephone-event/{clock_hz}\r\na=fmtp:{payload_type} 0-15\r\n");
    }
    for line in &audio.crypto {
        let _ = write!(out, "a=crypto:{}\r\n", line.text());
    }
    if audio.rtcp_mux {
        out.push_str("a=rtcp-mux\r\n");
    }
    let _ = write!(out, "a=ptime:20\r\na={}\r\n", audio.direction.name());
}

/// The whole description.
pub(super) fn whole(session_id: u64, version: u64, ip: IpAddr, body: &str) -> String {
    format!("v=0\r\no=- {session_id} {version} IN {} {ip}\r\n{body}", family(ip))
}
