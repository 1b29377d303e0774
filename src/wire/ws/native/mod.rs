//! The native dialler protocol of `/ws/{bot_id}`: JSON text, PCM16 at 8 kHz in base64, and a superset for diallers that ask for
//! it by `connected.caps`. The order of a handshake is tolerated in every form that leaves no doubt; see [`Native`].
//!
//! Tolerated: `media.payload` nested, `hangup` and `stop` for `hangup-call`, `stream_id` and `caller_id` spellings, numbers as
//! strings and the reverse, null for absent, URL-safe or unpadded base64, split samples, a WAV header, repeated handshake
//! messages (ignored). Refused: a format that nobody asked leave for (1003), `start` or `answer` before `connected` (4400) unless
//! lenient. Dropped and counted: everything that names another call's `streamId`.

mod dialler;
mod opening;
mod output;

use std::borrow::Cow;

use crate::units::SampleRate;

use super::{AudioFormat, Caps, Dialect, Dismissal, Egress, Encoding, Inbox, Ingress, Intake, Tally, Written, fields};

pub use dialler::{Dialler, FromBot, NotOurs, ReverseMedia};

use output::Output;

/// What may differ between native sessions.
#[derive(Clone, Debug, Default)]
pub struct NativeOptions {
    /// Also take `start` and `answer` before `connected`.
    pub lenient: bool,
    /// The stream id where the dialler names none.
    pub stream_id: String,
}

/// One socket that speaks the native protocol.
///
/// `connected` opens the call. Then `start`, or the first `media` in its place, starts audio. Then `answer` opens the turn loop; on
/// a call that the customer made, the first `media` stands for a missing `answer` too. `answer` before `start` is kept.
pub struct Native {
    options: NativeOptions,
    stage: Stage,
    outgoing: bool,
    answered: bool,
    answer_kept: bool,
    start_kept: Option<Wish>,
    caps: Caps,
    format: AudioFormat,
    stream: Stream,
    intake: Intake,
    output: Output,
    tally: Tally,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Waiting,
    Connected,
    Started,
    Over,
}

/// The call's stream id, and whether the dialler gave it.
#[derive(Clone, Debug)]
struct Stream {
    id: String,
    given: bool,
}

impl Stream {
    /// Takes a name that the dialler gives in the handshake; the last non-empty one counts.
    fn name(&mut self, id: Option<&str>) {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            id.clone_into(&mut self.id);
            self.given = true;
        }
    }
}

/// `start.mediaFormat` as it came.
#[derive(Clone, Debug, Default)]
struct Wish {
    encoding: Option<String>,
    rate: Option<String>,
    channels: Option<String>,
    binary: Option<String>,
}

/// The fields of every frame after the handshake; one pass, no tree.
const FRAME: [&str; 6] = ["event", "payload", "streamId", "stream_id", "media.payload", "media.streamId"];
const DIGIT: [&str; 2] = ["digit", "dtmf.digit"];
const MARK: [&str; 2] = ["name", "status"];
const HANG_UP: [&str; 4] = ["disconnectedBy", "disconnected_by", "reason", "stop.reason"];
const FORMAT: [&str; 9] = [
    "mediaFormat.encoding",
    "mediaFormat.sampleRate",
    "mediaFormat.sample_rate",
    "mediaFormat.channels",
    "mediaFormat.binary",
    "start.streamId",
    // Never native: what Twilio's and Exotel's kin name a stream by, with other audio in their frames.
    "start.streamSid",
    "stream_sid",
    "streamSid",
];

impl Native {
    /// A session that nothing was said on yet.
    #[must_use]
    pub fn new(options: NativeOptions) -> Self {
        let stream = Stream { id: options.stream_id.clone(), given: false };
        Self {
            options,
            stage: Stage::Waiting,
            outgoing: false,
            answered: false,
            answer_kept: false,
            start_kept: None,
            caps: Caps::default(),
            format: AudioFormat::PLAIN,
            stream,
            intake: Intake::default(),
            output: Output::default(),
            tally: Tally::default(),
        }
    }

    fn connected(&mut self, text: &str, inbox: &mut Inbox) {
        if self.stage != Stage::Waiting {
            self.tally.duplicate += 1;
            return;
        }
        let Ok(opening) = opening::read(text) else {
            self.tally.bad_json += 1;
            return;
        };
        self.tally.custom_dropped += opening.dropped;
        self.stage = Stage::Connected;
        self.outgoing = opening.opening.outgoing;
        self.caps = opening.caps;
        self.stream.name(opening.stream_id.as_deref());
        self.output.far_end(&opening.opening, opening.direction.as_deref());
        inbox.events.push(Ingress::Connected(Box::new(opening.opening)));
        if let Some(wish) = self.start_kept.take() {
            self.begin(&wish, inbox);
        }
    }

    fn start(&mut self, text: &str, stream_id: Option<&str>, inbox: &mut Inbox) {
        let Ok([encoding, rate, rate_too, channels, binary, inner_id, foreign @ ..]) = fields(text, &FORMAT) else {
            self.tally.bad_json += 1;
            return;
        };
        if foreign.iter().any(Option::is_some) && matches!(self.stage, Stage::Waiting | Stage::Connected) {
            let reason = "expected the native dialect, whose start names its stream by streamId";
            self.refuse(1008, reason.to_owned(), inbox);
            return;
        }
        let owned = |value: Option<Cow<'_, str>>| value.map(Cow::into_owned);
        let wish = Wish {
            encoding: owned(encoding),
            rate: owned(rate.or(rate_too)),
            channels: owned(channels),
            binary: owned(binary),
        };
        match self.stage {
            Stage::Started | Stage::Over => self.tally.duplicate += 1,
            Stage::Connected => {
                self.stream.name(inner_id.as_deref());
                self.stream.name(stream_id);
                self.begin(&wish, inbox);
            }
            Stage::Waiting if self.options.lenient => {
                self.stream.name(stream_id);
                self.start_kept = Some(wish);
            }
            Stage::Waiting => self.refuse(4400, "expected connected first, got start".to_owned(), inbox),
        }
    }

    /// Audio may flow, in the format of `wish` where the dialler may have it.
    fn begin(&mut self, wish: &Wish, inbox: &mut Inbox) {
        match self.grant(wish) {
            Ok(format) => {
                self.format = format;
                self.stage = Stage::Started;
                self.output.stream(&self.stream.id, wish.encoding.as_deref());
                inbox.events.push(Ingress::Started { format });
                if self.answer_kept {
                    self.answer(inbox);
                }
            }
            Err(reason) => self.refuse(1003, reason, inbox),
        }
    }

    fn grant(&self, wish: &Wish) -> Result<AudioFormat, String> {
        let mut format = AudioFormat::PLAIN;
        if let Some(name) = wish.encoding.as_deref() {
            format.encoding = match name {
                _ if name.eq_ignore_ascii_case("LINEAR") || name.eq_ignore_ascii_case("LINEAR16") => Encoding::Linear,
                _ if name.eq_ignore_ascii_case("MULAW") => Encoding::Mulaw,
                _ if name.eq_ignore_ascii_case("ALAW") => Encoding::Alaw,
                _ => return Err(expected("encoding LINEAR, LINEAR16, MULAW or ALAW", name)),
            };
        }
        if let Some(hz) = wish.rate.as_deref() {
            format.rate = match hz {
                "8000" => SampleRate::NARROW,
                "16000" => SampleRate::WIDE,
                "24000" => SampleRate::STUDIO,
                _ => return Err(expected("sampleRate 8000, 16000 or 24000", hz)),
            };
        }
        match wish.channels.as_deref() {
            None | Some("1") => {}
            Some(other) => return Err(expected("channels 1", other)),
        }
        format.binary = match wish.binary.as_deref() {
            None | Some("false") => false,
            Some("true") if self.caps.binary => true,
            Some("true") => return Err("expected caps with binary for binary audio".to_owned()),
            Some(other) => return Err(expected("binary true or false", other)),
        };
        if format != AudioFormat::PLAIN && self.caps == Caps::default() {
            return Err("expected LINEAR 8000 from a dialler without caps".to_owned());
        }
        Ok(format)
    }

    fn answer(&mut self, inbox: &mut Inbox) {
        match self.stage {
            Stage::Started if self.answered => self.tally.duplicate += 1,
            Stage::Started => {
                self.answered = true;
                inbox.events.push(Ingress::Answered);
            }
            Stage::Waiting if !self.options.lenient => {
                self.refuse(4400, "expected connected first, got answer".to_owned(), inbox);
            }
            Stage::Waiting | Stage::Connected => self.answer_kept = true,
            Stage::Over => self.tally.late += 1,
        }
    }

    /// Customer's audio came: it opens what a terse dialler left out.
    fn audio_came(&mut self, inbox: &mut Inbox) -> bool {
        match self.stage {
            Stage::Waiting => {
                self.tally.early += 1;
                return false;
            }
            Stage::Over => {
                self.tally.late += 1;
                return false;
            }
            Stage::Connected => self.begin(&Wish::default(), inbox),
            Stage::Started => {}
        }
        if !self.answered && !self.outgoing {
            self.answer(inbox);
        }
        true
    }

    fn media(&mut self, payload: Option<&str>, inbox: &mut Inbox) {
        let Some(payload) = payload else {
            self.tally.bad_value += 1;
            return;
        };
        if !self.audio_came(inbox) {
            return;
        }
        if self.format.binary {
            self.tally.wrong_kind += 1;
            return;
        }
        let from = inbox.audio.len();
        let limit = self.format.second_bytes();
        if self.intake.text(self.format.encoding, payload, limit, &mut inbox.audio, &mut self.tally) {
            inbox.events.push(Ingress::Audio(from..inbox.audio.len()));
        }
    }

    fn digit(&mut self, text: &str, inbox: &mut Inbox) {
        let pressed = fields(text, &DIGIT).ok().and_then(|[flat, nested]| flat.or(nested));
        let mut keys = pressed.as_deref().unwrap_or_default().chars();
        match (keys.next().map(|key| key.to_ascii_uppercase()), keys.next()) {
            (Some(key @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) if self.stage == Stage::Started => {
                inbox.events.push(Ingress::Digit(key));
            }
            _ => self.tally.bad_value += 1,
        }
    }

    fn mark(&mut self, text: &str, inbox: &mut Inbox) {
        match fields(text, &MARK) {
            Ok([Some(name), status]) if self.stage == Stage::Started && name.len() <= 128 => {
                // The event's own name says what a missing status means.
                let played = match status.as_deref() {
                    None | Some("played") => true,
                    Some("cleared") => false,
                    Some(_) => {
                        self.tally.bad_value += 1;
                        return;
                    }
                };
                inbox.events.push(Ingress::Mark { name: name.into_owned(), played });
            }
            _ => self.tally.bad_value += 1,
        }
    }

    fn hang_up(&mut self, text: &str, inbox: &mut Inbox) {
        if self.stage == Stage::Over {
            self.tally.late += 1;
            return;
        }
        self.stage = Stage::Over;
        let words = fields(text, &HANG_UP).unwrap_or_default();
        let by = words.into_iter().flatten().find(|word| !word.is_empty());
        inbox.events.push(Ingress::HungUp { by: by.map(|word| word.chars().take(64).collect()) });
    }

    fn refuse(&mut self, code: u16, reason: String, inbox: &mut Inbox) {
        self.stage = Stage::Over;
        inbox.events.push(Ingress::Refused(Dismissal { code, reason }));
    }

    /// Whether a message with this stream id is of another call. A dialler that named no stream may still name it later.
    fn is_foreign(&mut self, id: Option<&str>) -> bool {
        match id.filter(|id| !id.is_empty()) {
            None => false,
            Some(id) if self.stream.given => id != self.stream.id,
            Some(id) => {
                self.stream.name(Some(id));
                self.output.stream(&self.stream.id, None);
                false
            }
        }
    }
}

fn expected(what: &str, got: &str) -> String {
    let got: String = got.chars().filter(|c| !c.is_control()).take(24).collect();
    format!("expected {what}, got {got}")
}

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn text(&mut self, text: &str, inbox: &mut Inbox) {
        let Ok([event, payload, id, id_too, nested_payload, nested_id]) = fields(text, &FRAME) else {
            self.tally.bad_json += 1;
            return;
        };
        let id = id.or(id_too).or(nested_id);
        match event.as_deref() {
            Some("connected") => return self.connected(text, inbox),
            Some("start") => return self.start(text, id.as_deref(), inbox),
            _ if self.stage != Stage::Waiting && self.is_foreign(id.as_deref()) => {
                self.tally.foreign += 1;
                return;
            }
            _ => {}
        }
        match event.as_deref() {
            Some("media") => self.media(payload.or(nested_payload).as_deref(), inbox),
            Some("answer") => self.answer(inbox),
            Some("hangup-call" | "hangup" | "stop") => self.hang_up(text, inbox),
            Some("dtmf") => self.digit(text, inbox),
            Some("mark-played") => self.mark(text, inbox),
            Some("ping") if self.caps.ping => inbox.events.push(Ingress::Ping),
            Some("pong") if self.caps.ping => {}
            _ => self.tally.unknown_event += 1,
        }
    }

    fn binary(&mut self, bytes: &[u8], inbox: &mut Inbox) {
        if !self.format.binary || self.stage != Stage::Started {
            self.tally.wrong_kind += 1;
            return;
        }
        self.audio_came(inbox);
        let from = inbox.audio.len();
        let limit = self.format.second_bytes();
        if self.intake.bytes(self.format.encoding, bytes, limit, &mut inbox.audio, &mut self.tally) {
            inbox.events.push(Ingress::Audio(from..inbox.audio.len()));
        }
    }

    fn write(&mut self, order: &Egress<'_>, text: &mut String) -> Written {
        self.output.write(order, self.caps, self.format, text)
    }

    fn caps(&self) -> Caps {
        self.caps
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests;
