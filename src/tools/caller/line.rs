//! A call while it lasts: keeps the 20 ms clock by absolute deadlines, and hands what comes and goes between socket, recogniser
//! and the caller's machine. Decides nothing about the conversation.

use std::io::Write as _;
use std::time::Duration;

use futures_util::SinkExt as _;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::machine::{Caller, Hark, Out, RATE, Shown};
use super::report::Ended;
use super::run::{CallOptions, Opening};
use super::sip_phone::SipPhone;
use super::socket::{Came, Sender};
use crate::media::Resampler;
use crate::provider::{ProviderError, Stt, SttSession};
use crate::rt;
use crate::turn::Heard;
use crate::units::{FRAME_MS, Moment, SampleRate};
use crate::wire::ws::native::{Dialler, FromBot};

/// Longest time that a message may wait to be taken by the connection.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for the server's close after the hang-up.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// Longest wait for the words of the last turn after the call.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(20);

/// The recogniser, and what it needs on the way.
pub(super) struct Ears {
    session: Box<dyn SttSession>,
    up: Option<Resampler>,
}

impl Ears {
    pub(super) fn open(stt: &dyn Stt, facts: mpsc::Sender<Heard>) -> Result<Self, ProviderError> {
        Ok(Self { session: stt.open(facts)?, up: Resampler::new(RATE, SampleRate::WIDE).ok() })
    }

    fn hark(&mut self, order: Hark) {
        match order {
            Hark::Audio(frame) => {
                let mut wide = [0; SampleRate::WIDE.frame_samples()];
                let count = self.up.as_mut().map_or(0, |up| up.process(&frame, &mut wide));
                self.session.audio(&wide[..count]);
            }
            Hark::Begin(turn, ago_ms) => self.session.begin(turn, ago_ms),
            Hark::Take(turn, take) => self.session.take(turn, take),
            Hark::End(turn) => self.session.end(turn),
        }
    }
}

/// What carries the call.
pub(super) enum Wire {
    /// A dialler's socket.
    Socket(Box<Sender>),
    /// A telephone on a trunk.
    Trunk(Box<SipPhone>),
}

/// The call while it lasts.
pub(super) struct Line {
    pub caller: Caller,
    wire: Wire,
    incoming: mpsc::Receiver<Came>,
    heard: mpsc::Receiver<Heard>,
    ears: Option<Ears>,
    dialler: Dialler,
    /// Deadline of the first frame: sample 0 of the clock.
    start: Moment,
    answered: bool,
    closed: bool,
    show: bool,
}

impl Line {
    pub(super) fn new(
        caller: Caller,
        wire: Wire,
        incoming: mpsc::Receiver<Came>,
        heard: mpsc::Receiver<Heard>,
        ears: Option<Ears>,
        stream_id: &str,
        show: bool,
    ) -> Self {
        let dialler = Dialler::new(stream_id);
        let (start, answered, closed) = (Moment::ZERO, false, false);
        Self { caller, wire, incoming, heard, ears, dialler, start, answered, closed, show }
    }

    pub(super) async fn open(&mut self, options: &CallOptions, caller_id: &str) {
        if matches!(self.wire, Wire::Trunk(_)) {
            // A trunk's call is answered before there is a line.
            self.answered = true;
            self.start = rt::now() + Duration::from_millis(u64::from(FRAME_MS));
            return;
        }
        let outgoing = options.answer_after_ms.is_some();
        let mut named = vec![
            ("callerId", caller_id),
            ("did", options.did.as_str()),
            ("callDirection", if outgoing { "outgoing" } else { "incoming" }),
        ];
        named.extend(options.script.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        for (name, value) in &options.fields {
            named.retain(|(known, _)| known != name);
            named.push((name, value));
        }
        let keys = self.caller.talk().plan().moves.iter().any(|step| !step.dtmf.is_empty());
        let mut caps = Vec::new();
        if options.result.is_some() {
            caps.push("ready");
        }
        if keys {
            caps.push("dtmf");
        }
        caps.push("mark");
        for event in &options.opening {
            let text = match event {
                Opening::Connected => self.dialler.connected(&named, &caps),
                Opening::Start => self.dialler.start("LINEAR", RATE.hz(), false),
                Opening::Answer if outgoing => continue,
                Opening::Answer => self.dialler.answer(),
            };
            self.send(text).await;
        }
        self.answered = !outgoing;
        self.start = rt::now() + Duration::from_millis(u64::from(FRAME_MS));
    }

    pub(super) async fn talk(&mut self, answer_after_ms: Option<u64>) {
        while self.caller.ended.is_none() {
            let deadline = self.start.plus_ms(self.caller.now_ms());
            rt::sleep_until(deadline).await;
            self.take_in();
            if !self.answered && answer_after_ms.is_some_and(|after| self.caller.now_ms() >= after) {
                self.answered = true;
                let answer = self.dialler.answer();
                self.send(answer).await;
            }
            let late = rt::now().since(deadline);
            let out = self.caller.tick(self.answered);
            self.caller.ledger.sent(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
            for message in out {
                self.give(message).await;
            }
            self.give_out();
        }
    }

    async fn give(&mut self, out: Out) {
        if let Wire::Trunk(phone) = &mut self.wire {
            match out {
                Out::Media(samples) => phone.media(&samples).await,
                Out::Key(key) => phone.key(key),
                Out::HangUp => phone.hang_up().await,
                // A trunk has no marks.
                Out::Mark(..) => {}
            }
            return;
        }
        let text = self.text_of(out);
        self.send(text).await;
    }

    fn text_of(&self, out: Out) -> String {
        match out {
            Out::Media(samples) => {
                let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                self.dialler.media(&bytes)
            }
            Out::Mark(name, played) => self.dialler.mark_played(&name, played),
            Out::Key(key) => self.dialler.digit(key),
            Out::HangUp => self.dialler.hang_up(match self.caller.ended {
                Some(Ended::BotHungUp) => "bot",
                Some(Ended::Transferred) => "transfer",
                _ => "customer",
            }),
        }
    }

    /// Everything that came since the last tick.
    fn take_in(&mut self) {
        while let Ok(came) = self.incoming.try_recv() {
            match came {
                Came::Message(at, message) => {
                    let arrived_us = at.as_micros();
                    let at = self.samples(at);
                    if matches!(message, FromBot::Media(_)) {
                        self.caller.ledger.arrived(arrived_us, at);
                    }
                    self.caller.received(at, message, self.answered);
                }
                Came::Unknown => self.caller.seen.unknown += 1,
                Came::Closed { in_order } => {
                    self.closed = true;
                    self.caller.end(if in_order { Ended::ServerClosed } else { Ended::ConnectionLost });
                }
            }
        }
        while let Ok(fact) = self.heard.try_recv() {
            self.understand(fact);
        }
    }

    fn understand(&mut self, fact: Heard) {
        match fact {
            Heard::Transcribed { turn, take, text, .. } => self.caller.transcribed(turn, take, text),
            Heard::ListenFailed { error } => tracing::warn!(%error, "the caller's recognition failed"),
            _ => {}
        }
    }

    /// What the machine wants of the recogniser and of the screen.
    fn give_out(&mut self) {
        for order in self.caller.hark.drain(..) {
            if let Some(ears) = &mut self.ears {
                ears.hark(order);
            } else if let Hark::Take(turn, take) = order {
                self.caller.unheard.push((turn, take));
            }
        }
        self.caller.without_words();
        for line in self.caller.shown.drain(..).filter(|_| self.show) {
            match line {
                Shown::Caller(text) => show(&format!("caller> {text}")),
                Shown::Bot(text) => show(&format!("bot>    {text}")),
            }
        }
    }

    /// The sample of the clock at this moment.
    pub(super) fn samples(&self, at: Moment) -> usize {
        let us = at.as_micros().saturating_sub(self.start.as_micros());
        usize::try_from(us * u64::from(RATE.hz()) / 1_000_000).unwrap_or(usize::MAX)
    }

    async fn send(&mut self, text: String) {
        let Wire::Socket(sink) = &mut self.wire else { return };
        if self.closed {
            return;
        }
        if !matches!(rt::timeout(SEND_LIMIT, sink.send(Message::text(text))).await, Some(Ok(()))) {
            self.closed = true;
            self.caller.end(Ended::ConnectionLost);
        }
    }

    /// Waits for the server to close, and closes.
    pub(super) async fn close(&mut self) {
        if !self.closed && matches!(self.wire, Wire::Socket(_)) {
            // A server that does not close is closed on below.
            let _ = rt::timeout(CLOSE_LIMIT, self.await_close()).await;
        }
        match &mut self.wire {
            Wire::Socket(sink) => drop(rt::timeout(CLOSE_LIMIT, sink.close()).await),
            Wire::Trunk(phone) if !self.closed => phone.close(&mut self.incoming).await,
            Wire::Trunk(_) => {}
        }
    }

    async fn await_close(&mut self) {
        loop {
            match self.incoming.recv().await {
                None | Some(Came::Closed { .. }) => return,
                Some(Came::Message(_, FromBot::Ready { call_id })) => self.caller.seen.call_id = Some(call_id),
                // The receiver is down: nothing that comes now is heard.
                Some(_) => {}
            }
        }
    }

    /// Hears out the tape and waits for the words of the last turn.
    pub(super) async fn last_words(&mut self, until: usize) {
        self.caller.hear_out(until);
        self.give_out();
        // Words that come too late are words that were not understood.
        let _ = rt::timeout(LAST_WORDS_LIMIT, self.await_words()).await;
        self.caller.conclude(true);
        self.give_out();
    }

    async fn await_words(&mut self) {
        while self.caller.conclude(false) {
            match self.heard.recv().await {
                Some(fact) => self.understand(fact),
                None => return,
            }
        }
    }
}

/// One line of the conversation, at once.
fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever reads along may have left; the call goes on.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
