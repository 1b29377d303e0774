//! Offer and answer of one leg (RFC 3264): the local end's state over the life of a dialog. A refused or broken offer changes
//! nothing, so a call outlives it. The version of `o=` rises exactly when the rest of the description changed.

use core::net::SocketAddr;

use super::codec::Codec;
use super::crypto::{CryptoKeys, CryptoLine, CryptoPlan, CryptoSuite};
use super::describe::{Description, MediaLine, ParseError, Profile};
use super::plan::{Direction, MediaPlan, Rtcp, TelephoneEvent};
use super::write::{self, Audio, Slot};

/// Whether a trunk's audio is encrypted (RFC 4568).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Srtp {
    /// Never; an offer of nothing but SRTP is refused.
    #[default]
    Off,
    /// Where the peer can: offered as `RTP/AVP` with keys, which plain peers answer too.
    Optional,
    /// Always: offered as `RTP/SAVP`, a plain offer is refused.
    Required,
}

/// What a leg is ready to agree to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Codecs in the order of preference, at least one.
    pub codecs: Vec<Codec>,
    /// Keys as RTP events.
    pub telephone_event: bool,
    /// Keys as tones in the audio, where they are not RTP events.
    pub inband_keys: bool,
    /// Encryption.
    pub srtp: Srtp,
    /// Also offer control packets on the audio's port; an offer of it is always taken.
    pub rtcp_mux: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            codecs: vec![Codec::Pcma, Codec::Pcmu, Codec::G722],
            telephone_event: true,
            inband_keys: false,
            srtp: Srtp::Off,
            rtcp_mux: false,
        }
    }
}

/// A description that leads to no agreement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// It cannot be read: 400.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// No live audio line of a profile that we speak: 488.
    #[error("expected an audio line over RTP with a port, found none")]
    NoAudio,
    /// None of its codecs is allowed: 488.
    #[error("expected one of the trunk's codecs, found none")]
    NoCodec,
    /// Encryption is required and there is none, or is off and there is nothing else: 488.
    #[error("expected audio {expected}, found only the other kind")]
    Encryption {
        /// `with usable SRTP keys` or `without SRTP`.
        expected: &'static str,
    },
    /// The peer refused the audio of our offer.
    #[error("expected an answer with audio, found that line refused")]
    Refused,
    /// An answer came and no offer was made.
    #[error("expected no answer, because nothing was offered")]
    NothingOffered,
    /// An answer that does not fit the offer.
    #[error("expected an answer that fits the offer, found {0}")]
    Mismatch(&'static str),
}

/// What an offer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// For the media side.
    pub plan: MediaPlan,
    /// The answer for the wire.
    pub sdp: String,
}

/// The local end of a leg's offers and answers.
#[derive(Clone, Debug)]
pub struct Negotiator {
    local: SocketAddr,
    policy: Policy,
    session_id: u64,
    key: CryptoKeys,
    version: u64,
    /// The last description without its `o=` version.
    body: String,
    /// Its audio.
    said: Option<Audio>,
    slots: Vec<Slot>,
    plan: Option<MediaPlan>,
    /// The profile of the line that was agreed, which offers of ours repeat while it is encrypted: a peer that insists on its own would
    /// refuse another.
    proto: String,
    offered: Option<Audio>,
    wish: Direction,
}

impl Negotiator {
    /// `local` is where audio is to come, as it is told to the peer; `session_id` and `key` are random numbers of this call.
    #[must_use]
    pub fn new(local: SocketAddr, policy: Policy, session_id: u64, key: CryptoKeys) -> Self {
        Self {
            local,
            policy,
            // `o=` numbers are at most 63 bits in the readers met in the wild.
            session_id: session_id & 0x7fff_ffff_ffff,
            key,
            version: 0,
            body: String::new(),
            said: None,
            slots: vec![Slot::Audio],
            plan: None,
            proto: PLAIN.to_owned(),
            offered: None,
            wish: Direction::SendRecv,
        }
    }

    /// Another key of ours from the next description on: for another peer than the one that knows the last.
    pub const fn rekey(&mut self, key: CryptoKeys) {
        self.key = key;
    }

    /// What was agreed last.
    #[must_use]
    pub const fn plan(&self) -> Option<&MediaPlan> {
        self.plan.as_ref()
    }

    /// Answers the peer's offer.
    ///
    /// # Errors
    /// [`SdpError`]; what was agreed before stands.
    pub fn answer(&mut self, offer: &[u8]) -> Result<Agreed, SdpError> {
        let offer = Description::parse(offer)?;
        let (at, line, crypto) = self.choose(&offer)?;
        let current = self.plan.as_ref().map(|plan| plan.codec);
        let (payload_type, codec) = self.preferred(line, current).ok_or(SdpError::NoCodec)?;
        let event = self.event_for(line, codec);
        let mut direction = self.wish.and(line.direction.reversed());
        if line.has_zero_address() {
            direction = direction.and(Direction::RecvOnly);
        }
        let audio = Audio {
            proto: line.proto.clone(),
            codecs: vec![(payload_type, codec)],
            events: event.into_iter().collect(),
            direction,
            crypto: crypto.iter().map(|theirs| CryptoLine { key: self.key, ..*theirs }).collect(),
            rtcp_mux: line.rtcp_mux,
        };
        let plan = MediaPlan {
            remote: line.remote(),
            rtcp: rtcp_of(line, line.rtcp_mux),
            codec,
            payload_type,
            receive_payload_type: payload_type,
            others: Vec::new(),
            telephone_event: event.map(|(payload_type, clock_hz)| TelephoneEvent {
                payload_type,
                receive_payload_type: payload_type,
                clock_hz,
            }),
            inband_keys: self.policy.inband_keys && event.is_none(),
            direction,
            ptime_ms: ptime_of(line),
            peer_ptime_ms: line.ptime_ms,
            peer_ssrc: line.ssrc,
            crypto: crypto.map(|theirs| self.crypto_plan(&theirs)),
        };
        self.slots = write::mirror(&offer.media, at);
        self.proto.clone_from(&line.proto);
        self.offered = None;
        self.plan = Some(plan.clone());
        Ok(Agreed { plan, sdp: self.text(&audio) })
    }

    /// Our own offer: the first one with every codec, a later one with the agreed codec alone. Also the answer to a peer that
    /// sent its INVITE without an offer.
    pub fn offer(&mut self, direction: Direction) -> String {
        self.wish = direction;
        let (codecs, events, crypto, proto) = match &self.plan {
            Some(plan) => {
                let event = plan.telephone_event.map(|event| (event.receive_payload_type, event.clock_hz));
                let crypto: Vec<CryptoLine> =
                    plan.crypto.iter().map(|c| CryptoLine { tag: 1, suite: c.suite, key: self.key }).collect();
                let proto = if crypto.is_empty() { PLAIN } else { self.proto.as_str() };
                (vec![(plan.receive_payload_type, plan.codec)], event.into_iter().collect(), crypto, proto)
            }
            None => self.first_offer(),
        };
        let proto = proto.to_owned();
        let audio = Audio {
            proto,
            codecs,
            events,
            direction,
            crypto,
            rtcp_mux: self.plan.as_ref().map_or(self.policy.rtcp_mux, |plan| plan.rtcp == Rtcp::Muxed),
        };
        let text = self.text(&audio);
        self.offered = Some(audio);
        text
    }

    /// Offers the last description once more, word for word, whoever is on hold: what a refresh of the session carries (RFC 4028
    /// section 7.4). What we want of the peer stays as it is. `None` before the first.
    pub fn again(&mut self) -> Option<String> {
        self.offered = Some(self.said.clone()?);
        Some(write::whole(self.session_id, self.version, self.local.ip(), &self.body))
    }

    /// Takes the peer's answer to our offer.
    ///
    /// # Errors
    /// [`SdpError`]; what was agreed before stands, and the offer is over.
    pub fn accept(&mut self, answer: &[u8]) -> Result<MediaPlan, SdpError> {
        let ours = self.offered.take().ok_or(SdpError::NothingOffered)?;
        let answer = Description::parse(answer)?;
        let at = self.slots.iter().position(|slot| matches!(slot, Slot::Audio)).unwrap_or(0);
        let line =
            answer.media.get(at).filter(|line| line.kind == "audio").ok_or(SdpError::Mismatch("no audio line"))?;
        if line.port == 0 {
            return Err(SdpError::Refused);
        }
        let mine = |codec: Codec| ours.codecs.iter().find(|(_, offered)| *offered == codec).map(|(pt, _)| *pt);
        let (payload_type, codec, receive_payload_type) = line
            .codecs
            .iter()
            .find_map(|(pt, codec)| Some((*pt, *codec, mine(*codec)?)))
            // A dynamic number that the answer does not explain means what the offer said.
            .or_else(|| {
                let named = line.formats.iter().filter_map(|format| format.parse::<u8>().ok());
                let known =
                    |pt: u8| ours.codecs.iter().find(|(offered, _)| *offered == pt).map(|(_, codec)| (pt, *codec, pt));
                named.into_iter().find_map(known)
            })
            .ok_or(SdpError::NoCodec)?;
        let mut others: Vec<(u8, Codec)> = Vec::new();
        for (_, other) in line.codecs.iter().filter(|(_, other)| *other != codec) {
            others.extend(mine(*other).map(|pt| (pt, *other)).filter(|one| !others.contains(one)));
        }
        let crypto = self.accepted_crypto(&ours, line)?;
        let event = line.events.iter().find(|(_, clock)| *clock == codec.clock_hz()).or_else(|| line.events.first());
        let telephone_event = event.and_then(|(payload_type, clock_hz)| {
            let (receive, _) = ours.events.iter().find(|(_, clock)| clock == clock_hz)?;
            Some(TelephoneEvent { payload_type: *payload_type, receive_payload_type: *receive, clock_hz: *clock_hz })
        });
        let mut direction = ours.direction.and(line.direction.reversed());
        if line.has_zero_address() {
            direction = direction.and(Direction::RecvOnly);
        }
        let plan = MediaPlan {
            remote: line.remote(),
            rtcp: rtcp_of(line, ours.rtcp_mux && line.rtcp_mux),
            codec,
            payload_type,
            receive_payload_type,
            others,
            telephone_event,
            inband_keys: self.policy.inband_keys && telephone_event.is_none(),
            direction,
            ptime_ms: ptime_of(line),
            peer_ptime_ms: line.ptime_ms,
            peer_ssrc: line.ssrc,
            crypto,
        };
        self.proto = ours.proto;
        self.plan = Some(plan.clone());
        Ok(plan)
    }

    /// Forgets an offer that was refused (491, 488, a failed INVITE): what was agreed before stands.
    pub fn withdraw(&mut self) {
        self.offered = None;
    }

    /// An offer of ours waits for its answer.
    #[must_use]
    pub const fn is_offering(&self) -> bool {
        self.offered.is_some()
    }

    /// The first audio line that fits, one with keys before one without where both would do.
    fn choose<'a>(&self, offer: &'a Description) -> Result<(usize, &'a MediaLine, Option<CryptoLine>), SdpError> {
        let live = |line: &MediaLine| line.kind == "audio" && line.port != 0 && line.rtp_profile().is_some();
        let lines: Vec<_> = offer.media.iter().enumerate().filter(|(_, line)| live(line)).collect();
        if lines.is_empty() {
            return Err(SdpError::NoAudio);
        }
        let secure = lines.iter().find_map(|(at, line)| {
            let wanted = self.policy.srtp != Srtp::Off && self.preferred(line, None).is_some();
            let usable = line.crypto.iter().find(|crypto| crypto.key != self.key);
            usable.filter(|_| wanted).map(|crypto| (*at, *line, Some(*crypto)))
        });
        let plain =
            lines.iter().find(|(_, line)| line.rtp_profile() == Some(Profile::Plain)).map(|(at, l)| (*at, *l, None));
        match self.policy.srtp {
            Srtp::Off => plain.ok_or(SdpError::Encryption { expected: "without SRTP" }),
            Srtp::Optional => secure.or(plain).ok_or(SdpError::Encryption { expected: "with usable SRTP keys" }),
            Srtp::Required => secure.ok_or(SdpError::Encryption { expected: "with usable SRTP keys" }),
        }
    }

    /// The codec of the call while the peer still has it, else by the trunk's order.
    fn preferred(&self, line: &MediaLine, current: Option<Codec>) -> Option<(u8, Codec)> {
        let find = |wanted: Codec| line.codecs.iter().find(|(_, codec)| *codec == wanted).copied();
        current.and_then(find).or_else(|| self.policy.codecs.iter().find_map(|codec| find(*codec)))
    }

    fn event_for(&self, line: &MediaLine, codec: Codec) -> Option<(u8, u32)> {
        let events = line.events.iter().filter(|_| self.policy.telephone_event);
        events.clone().find(|(_, clock)| *clock == codec.clock_hz()).or_else(|| events.clone().next()).copied()
    }

    const fn crypto_plan(&self, theirs: &CryptoLine) -> CryptoPlan {
        CryptoPlan { suite: theirs.suite, local: self.key, remote: theirs.key }
    }

    fn accepted_crypto(&self, ours: &Audio, line: &MediaLine) -> Result<Option<CryptoPlan>, SdpError> {
        if let Some(theirs) = line.crypto.first() {
            let fits = ours.crypto.iter().any(|mine| mine.tag == theirs.tag && mine.suite == theirs.suite);
            return if !fits {
                Err(SdpError::Mismatch("keys that were not offered"))
            } else if theirs.key == self.key {
                // Both directions would be encrypted with one keystream, and our own packets sent back would be believed.
                Err(SdpError::Mismatch("our own key"))
            } else {
                Ok(Some(self.crypto_plan(theirs)))
            };
        }
        if line.crypto_offered {
            // The peer means to encrypt, and we could not read it.
            return Err(SdpError::Mismatch("keys that cannot be used"));
        }
        if self.policy.srtp == Srtp::Required || line.rtp_profile() == Some(Profile::Secure) {
            return Err(SdpError::Encryption { expected: "with usable SRTP keys" });
        }
        Ok(None)
    }

    #[expect(clippy::type_complexity, reason = "the four parts of an audio line, named where they are taken apart")]
    fn first_offer(&self) -> (Vec<(u8, Codec)>, Vec<(u8, u32)>, Vec<CryptoLine>, &'static str) {
        let codecs: Vec<(u8, Codec)> =
            self.policy.codecs.iter().map(|codec| (codec.offered_payload_type(), *codec)).collect();
        let mut events = Vec::new();
        if self.policy.telephone_event {
            for (clock_hz, payload_type) in [(8_000, 101), (48_000, 110)] {
                if self.policy.codecs.iter().any(|codec| codec.clock_hz() == clock_hz) {
                    events.push((payload_type, clock_hz));
                }
            }
        }
        let (proto, suites) = match self.policy.srtp {
            Srtp::Off => (PLAIN, &[][..]),
            Srtp::Optional => (PLAIN, &CryptoSuite::ALL[..]),
            Srtp::Required => (SECURE, &CryptoSuite::ALL[..]),
        };
        let crypto =
            suites.iter().zip(1..).map(|(suite, tag)| CryptoLine { tag, suite: *suite, key: self.key }).collect();
        (codecs, events, crypto, proto)
    }

    /// The text of a description, its version raised where it says something new.
    fn text(&mut self, audio: &Audio) -> String {
        let body = write::body(self.local, &self.slots, audio);
        if body != self.body {
            self.version += 1;
            self.body = body;
        }
        self.said = Some(audio.clone());
        write::whole(self.session_id, self.version, self.local.ip(), &self.body)
    }
}

const PLAIN: &str = "RTP/AVP";
const SECURE: &str = "RTP/SAVP";

fn rtcp_of(line: &MediaLine, muxed: bool) -> Rtcp {
    if muxed {
        return Rtcp::Muxed;
    }
    let (port, address) = line.rtcp.unwrap_or((line.port.saturating_add(1), None));
    Rtcp::At(SocketAddr::new(address.unwrap_or(line.address), port))
}

fn ptime_of(line: &MediaLine) -> u8 {
    if line.maxptime_ms.is_some_and(|most| most < 20) { 10 } else { 20 }
}
