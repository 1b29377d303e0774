//! What every WebSocket dialect reduces to: [`Ingress`] from the dialler, [`Egress`] to it, and [`Dialect`], the state machine
//! between them and frames. One dialect is one folder beside this file. Never reads a clock, never touches a socket.

mod fields;
pub mod native;
mod payload;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::units::{FRAME_MS, Pii, SampleRate, Stamp};

pub use fields::{BadJson, escape_into, fields};
pub use payload::{BadBase64, Intake, decode_base64};

/// How samples are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Signed 16-bit PCM, little-endian.
    Linear,
    /// G.711 µ-law.
    Mulaw,
    /// G.711 A-law.
    Alaw,
}

impl Encoding {
    /// Bytes of one sample.
    #[must_use]
    pub const fn sample_bytes(self) -> usize {
        match self {
            Self::Linear => 2,
            Self::Mulaw | Self::Alaw => 1,
        }
    }
}

/// The one audio format of a leg, used in both directions; always mono.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AudioFormat {
    /// How samples are written.
    pub encoding: Encoding,
    /// Samples per second.
    pub rate: SampleRate,
    /// Audio travels as bare binary frames; otherwise as base64 inside text.
    pub binary: bool,
}

impl AudioFormat {
    /// What a dialler that says nothing speaks: PCM16 at 8 kHz in text.
    pub const PLAIN: Self = Self { encoding: Encoding::Linear, rate: SampleRate::NARROW, binary: false };

    /// Bytes of one second.
    #[must_use]
    pub const fn second_bytes(self) -> usize {
        self.rate.hz() as usize * self.encoding.sample_bytes()
    }

    /// Bytes of one 20 ms frame.
    #[must_use]
    pub const fn frame_bytes(self) -> usize {
        self.rate.frame_samples() * self.encoding.sample_bytes()
    }

    /// Milliseconds that `bytes` last.
    #[must_use]
    pub const fn ms_of(self, bytes: usize) -> u32 {
        (bytes * 1000 / self.second_bytes()) as u32
    }
}

const _: () = assert!(FRAME_MS == 20, "dialects promise 20 ms frames to the far end");

/// What the far end said when it opened the call.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// The customer's number.
    pub caller_id: Pii<String>,
    /// The number that was dialled.
    pub did: String,
    /// The dialler rang the customer; otherwise the customer rang us.
    pub outgoing: bool,
    /// Custom fields, stringified: strings as they are, nested JSON as compact JSON. At most 64, 8 KiB in all. Hostile text.
    pub custom: BTreeMap<String, String>,
}

/// What the far end told, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Ingress {
    /// The call exists.
    Connected(Box<Opening>),
    /// Audio may flow, in this format both ways.
    Started {
        /// The leg's format.
        format: AudioFormat,
    },
    /// The customer is on the line.
    Answered,
    /// Audio of the customer: whole samples, at this place of [`Inbox::audio`].
    Audio(Range<usize>),
    /// A key was pressed: 0-9, *, #, A-D.
    Digit(char),
    /// The far end is past this mark.
    Mark {
        /// The mark's name as we sent it.
        name: String,
        /// It was played; otherwise it was cleared.
        played: bool,
    },
    /// The far end says that the call is over.
    HungUp {
        /// Its own word for who ended it.
        by: Option<String>,
    },
    /// Answer with [`Egress::Pong`].
    Ping,
    /// The dialect cannot go on: close with this.
    Refused(Dismissal),
}

/// Why a socket is closed by us: a WebSocket close code and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dismissal {
    /// WebSocket close code.
    pub code: u16,
    /// What was expected and what came, at most 100 bytes.
    pub reason: String,
}

/// Where a dialect puts what it understood; made once per session and emptied before each frame.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// What the frame meant, in order.
    pub events: Vec<Ingress>,
    /// Bytes that [`Ingress::Audio`] points into.
    pub audio: Vec<u8>,
}

impl Inbox {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.events.clear();
        self.audio.clear();
    }
}

/// What to tell the far end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Egress<'a> {
    /// The call is known by this id and its configuration is loaded.
    Ready {
        /// The call's id.
        call_id: &'a str,
    },
    /// Play this, in the leg's format.
    Audio {
        /// Encoded samples.
        payload: &'a [u8],
        /// Wall time of sending.
        at: Stamp,
    },
    /// Tell when everything before this was played.
    Mark {
        /// Echoed back.
        name: &'a str,
    },
    /// Throw away what was not played.
    Clear,
    /// End the call.
    HangUp {
        /// Free text for the far end's log.
        message: &'a str,
    },
    /// Hand the customer over.
    Transfer {
        /// Number, extension or URI.
        to: &'a str,
    },
    /// Something went wrong; a close follows.
    Error {
        /// A stable word.
        code: &'a str,
        /// For people.
        message: &'a str,
        /// When to try again, in milliseconds, where that helps.
        retry_after_ms: Option<u32>,
    },
    /// Are you there?
    Ping,
    /// The answer to [`Ingress::Ping`].
    Pong,
}

/// How an [`Egress`] became a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// One text frame: what was appended to the caller's text.
    Text,
    /// One binary frame: the audio payload as it was given.
    Binary,
    /// Nothing: this dialler cannot be told that, or did not ask for it.
    Nothing,
}

/// What a dialler asked for beyond the plain protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Caps {
    /// Marks are answered.
    pub mark: bool,
    /// Keys are reported.
    pub dtmf: bool,
    /// Audio may travel in binary frames.
    pub binary: bool,
    /// Wants `ready`.
    pub ready: bool,
    /// Wants `error` before a close.
    pub error: bool,
    /// Keeps alive by text messages beside control frames.
    pub ping: bool,
}

/// What was ignored or repaired, each a count since the session began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Text that was not a JSON object, or was nested too deeply.
    pub bad_json: u64,
    /// Payloads that were not base64.
    pub bad_base64: u64,
    /// Events of an unknown name, or of none.
    pub unknown_event: u64,
    /// Known events with a value nobody can use.
    pub bad_value: u64,
    /// Messages that named another call's stream.
    pub foreign: u64,
    /// Audio of more than one second in one message.
    pub oversize: u64,
    /// Audio as text where binary was agreed, or the reverse.
    pub wrong_kind: u64,
    /// A second `connected`, `start` or `answer`.
    pub duplicate: u64,
    /// Messages before the call was opened.
    pub early: u64,
    /// Messages after the far end hung up.
    pub late: u64,
    /// WAV headers that were cut off.
    pub wav_header: u64,
    /// Custom fields beyond 64, or beyond 8 KiB in all.
    pub custom_dropped: u64,
}

/// One dialect's state machine for one socket: frames in, events out; orders in, frames out.
pub trait Dialect: Send {
    /// The dialect's name, as it stands in paths and metrics.
    fn name(&self) -> &'static str;

    /// Takes one text frame and appends what it meant. Bad input changes nothing but [`Dialect::tally`].
    fn text(&mut self, text: &str, inbox: &mut Inbox);

    /// Takes one binary frame and appends what it meant.
    fn binary(&mut self, bytes: &[u8], inbox: &mut Inbox);

    /// Writes one order: appends a text frame to `text`, or says that the payload itself is the frame.
    fn write(&mut self, order: &Egress<'_>, text: &mut String) -> Written;

    /// What the far end asked for; empty before [`Ingress::Connected`].
    fn caps(&self) -> Caps;

    /// What was ignored so far.
    fn tally(&self) -> &Tally;
}
