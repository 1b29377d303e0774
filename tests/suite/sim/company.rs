//! The company of a call: obeys its orders as driver, providers and far end would, after their delays.

use std::sync::Arc;

use voicefleet::call::line::{Line, LineOrder, Rings};
use voicefleet::call::{Fact, LegFact, LegOrder, Order};
use voicefleet::media::VoiceTables;
use voicefleet::turn::{Ask, AskCause, Heard, ToolCall};
use voicefleet::units::{TurnNo, UtteranceId};

use super::MS_PER_CHAR;
use super::script::{BotVoice, Reply, Sound};
use super::voice;
use super::world::{Event, START_MS, Waiting, World};

impl World {
    pub fn obey(&mut self) {
        while let Some(order) = self.call.poll() {
            self.orders_after_finish += u32::from(self.finishes > 0);
            match order {
                Order::OpenLine { rate } => {
                    let (rings, leg, ends) = Rings::new(rate);
                    self.line = Some((Line::new(rate, rings, &VoiceTables::new()).expect("a leg's rate"), leg, ends));
                    self.note("open line");
                    self.later(0, Event::Tick);
                }
                Order::Leg(order) => self.obey_leg(order),
                Order::Line(order) => self.obey_line(order),
                Order::BeginTurn { turn, pos } => {
                    self.note(&format!("turn {turn} begins"));
                    let began = match (pos, self.call.milestones().line_at) {
                        (Some(pos), Some(line_at)) => line_at.plus_ms(pos / 16),
                        _ => self.now,
                    };
                    self.turns.insert(turn, began);
                    self.partial_at = Some((turn, self.now));
                }
                Order::Take { turn, take } => {
                    let (text, sure) = (self.words_of(turn), self.sure_of(turn));
                    self.note(&format!("take {turn}.{take}"));
                    if self.script.expects.make_up(&text) {
                        self.later(self.script.stt_ms, Event::Heard(Heard::Expected { turn, take }));
                    }
                    self.later(self.script.stt_ms, Event::Heard(Heard::Transcribed { turn, take, text, sure }));
                }
                Order::Judge { turn, take } => {
                    let complete = self.caller.iter().rfind(|u| u.to <= self.now).map_or(0.9, |u| u.judged);
                    self.later(self.script.judge_ms, Event::Heard(Heard::Judged { turn, take, complete }));
                }
                Order::EndTurn { turn } => {
                    self.partial_at = None;
                    self.note(&format!("turn {turn} ends"));
                }
                Order::Ask(ask) => self.asked(&ask),
                Order::CancelAnswer { utterance } => {
                    self.note(&format!("cancel {utterance}"));
                    self.moods.insert(utterance, Reply { dumb: true, ..Reply::default() });
                }
                Order::Say { utterance, segment, text } => {
                    self.note(&format!("say {utterance}.{segment} \"{text}\""));
                    self.synthesise(utterance, segment, &text);
                    self.said.insert((utterance.0, segment), text);
                }
                Order::Play { utterance, segment, samples, last } => {
                    self.speech.push_back(Waiting { utterance, segment, samples, at: 0, last });
                }
                Order::OptOut => self.note("opt out"),
                Order::Finish => self.finished(),
            }
        }
    }

    fn finished(&mut self) {
        self.finishes += 1;
        let ending = self.call.ending().expect("a call that is over has a reason");
        self.note(&format!("end {} by {}", ending.reason.code(), ending.reason.disconnected_by().code()));
        if let Some(known) = self.call.voicemail() {
            let left = if known.message_left { ", message left" } else { "" };
            self.log.push(format!("       {} {:.2}{left}", known.verdict.code(), known.confidence));
            for signal in known.signals {
                let ms = signal.at.as_millis() - START_MS;
                self.log.push(format!("       at {ms} {}: {}", signal.kind.code(), signal.detail));
            }
        }
        let lines: Vec<_> = self.call.turn().history().lines().to_vec();
        for line in lines {
            let mark = if line.whole { "" } else { " -" };
            self.log.push(format!("       {:?}: {}{mark}", line.speaker, line.text));
        }
    }

    fn obey_line(&mut self, order: LineOrder) {
        self.note(&match order {
            LineOrder::Pause => "pause".to_owned(),
            LineOrder::Resume => "resume".to_owned(),
            LineOrder::Cut { utterance } => format!("cut {utterance}"),
            LineOrder::SeekBeep { on } => if on { "seek beep" } else { "seek no beep" }.to_owned(),
            LineOrder::Echo => "echo".to_owned(),
            LineOrder::Close => "close line".to_owned(),
        });
        if !matches!(order, LineOrder::SeekBeep { .. }) {
            self.paused = order == LineOrder::Pause;
        }
        if let LineOrder::Cut { utterance } = order {
            self.speech.retain(|s| s.utterance > utterance);
        }
        self.line_orders.push_back(order);
    }

    fn obey_leg(&mut self, order: LegOrder) {
        match order {
            LegOrder::HangUp { message } => {
                self.note(&format!("hang up \"{message}\""));
                if self.media {
                    self.later(60, Event::PeerHangsUp);
                }
            }
            LegOrder::Transfer { to } => {
                self.note(&format!("transfer to {to}"));
                if self.script.transfers.is_empty() {
                    self.later(800, Event::PeerLost);
                    return;
                }
                let fact = match self.script.transfers.remove(0).as_str() {
                    "never" => return,
                    "done" => LegFact::HungUp { by: Some("transfer".to_owned()) },
                    status => LegFact::TransferFailed { status: status.parse().ok() },
                };
                self.later(2_000, Event::PeerSays(fact));
            }
            LegOrder::Keys { keys } => self.note(&format!("keys {keys}")),
            LegOrder::Close { code, reason } => self.note(&format!("close {code} {reason}")),
            LegOrder::Ready { .. } => {}
        }
    }

    fn asked(&mut self, ask: &Ask) {
        let cause = match &ask.cause {
            AskCause::Caller(text) => format!("caller \"{text}\""),
            AskCause::Digits(digits) => format!("digits {digits}"),
            AskCause::Idle(n) => format!("idle {n}"),
            AskCause::Opening => "opening".to_owned(),
            AskCause::IdleGoodbye => "idle goodbye".to_owned(),
            AskCause::TimeWarning => "time warning".to_owned(),
            AskCause::Unclear => "unclear".to_owned(),
        };
        let after = ask.after.map_or(String::new(), |a| format!(" after {a}"));
        let cut = if ask.interrupted { " interrupted" } else { "" };
        self.note(&format!("ask {} {cause}{after}{cut}", ask.utterance));
        self.answer(ask.utterance);
    }

    /// How sure recognition is of the words that were said since the turn began: as of the least certain stretch.
    fn sure_of(&self, turn: TurnNo) -> f32 {
        let began = self.turns.get(&turn).copied().unwrap_or(self.now);
        let voices = self.caller.iter().filter(|u| u.sound == Sound::Voice);
        voices.filter(|u| u.to.plus_ms(60) > began && u.from < self.now).map(|u| u.sure).fold(1.0, f32::min)
    }

    /// What the caller said since the turn began: the words that were said to their end by now.
    fn words_of(&self, turn: TurnNo) -> String {
        let began = self.turns.get(&turn).copied().unwrap_or(self.now);
        let mut words: Vec<&str> = Vec::new();
        let voices = self.caller.iter().filter(|u| u.sound == Sound::Voice);
        for u in voices.filter(|u| u.to.plus_ms(60) > began && u.from < self.now) {
            let all: Vec<&str> = u.words.split_whitespace().collect();
            let total = u.to.ms_since(u.from).max(1);
            let heard = self.now.ms_since(u.from).min(total);
            let skipped = all.len() as u64 * began.plus_ms(100).ms_since(u.from).saturating_sub(250) / total;
            let n = (all.len() as u64 * heard / total) as usize;
            words.extend(all.iter().take(n).skip(skipped as usize));
        }
        words.join(" ")
    }

    pub fn tell_partial(&mut self) {
        let Some((turn, at)) = self.partial_at else { return };
        if self.now.ms_since(at) < self.script.partials_ms {
            return;
        }
        self.partial_at = Some((turn, self.now));
        let (text, sure) = (self.words_of(turn), self.sure_of(turn));
        if !text.is_empty() {
            // Finals may never come; partials come all the same.
            self.later(self.script.stt_ms.min(300), Event::Heard(Heard::Partial { turn, text, sure }));
        }
    }

    fn answer(&mut self, utterance: UtteranceId) {
        let index = self.replies;
        self.replies += 1;
        let fallback = || Reply { text: "Okay.".to_owned(), ..Reply::default() };
        let reply = self.script.replies.get(index).cloned().unwrap_or_else(fallback);
        let ms = reply.llm_ms.unwrap_or(self.script.llm_ms);
        self.moods.insert(utterance, reply.clone());
        self.mute_left = reply.mute.saturating_sub(1);
        if reply.hang {
            return;
        }
        let failed = Heard::DraftFailed { utterance, error: "asked to".to_owned() };
        if reply.fail {
            self.later(ms, Event::Heard(failed));
            return;
        }
        // In two pieces, as a stream would come.
        let cut = reply.text.char_indices().nth(reply.text.chars().count() / 2).map_or(0, |(i, _)| i);
        let (a, b) = reply.text.split_at(cut);
        for (text, protected) in [(a, reply.protected), (b, reply.protected), (&reply.then, false)] {
            if !text.is_empty() {
                let text = text.to_owned();
                self.later(ms, Event::Heard(Heard::Drafted { utterance, text, protected }));
            }
        }
        let mut tool = |tool| self.later(ms, Event::Heard(Heard::ToolCalled { utterance, tool }));
        if let Some(reason) = reply.end {
            tool(ToolCall::EndCall { reason });
        }
        if let Some(to) = reply.transfer {
            tool(ToolCall::Transfer { to });
        }
        if reply.opt_out {
            tool(ToolCall::OptOut);
        }
        if reply.stalls {
            return;
        }
        self.later(ms, Event::Heard(if reply.breaks { failed } else { Heard::DraftEnded { utterance } }));
    }

    fn synthesise(&mut self, utterance: UtteranceId, segment: u16, text: &str) {
        let ms = text.chars().count() as u64 * MS_PER_CHAR;
        if self.mute_left > 0 && !self.moods.contains_key(&utterance) {
            // Said again, or said instead: the engine was not asked for it, and synthesis is still broken.
            self.mute_left -= 1;
            self.moods.insert(utterance, Reply { mute: 1, ..Reply::default() });
        }
        let mood = self.moods.get(&utterance).cloned().unwrap_or_default();
        let failed = || Heard::SpeechFailed { utterance, segment, error: "asked to".to_owned() };
        let delay = self.script.tts_ms;
        if mood.dumb {
            return;
        }
        if mood.mute > 0 {
            self.later(delay, Event::Heard(failed()));
            return;
        }
        let ms = if mood.half { ms / 2 } else { ms };
        let samples = match self.script.bot_voice {
            BotVoice::Speech => voice::bot(ms, utterance),
            BotVoice::Tagged => voice::tagged(ms, utterance),
            BotVoice::Counting => {
                let first = self.counted;
                self.counted += ms as usize * 8;
                voice::counting(ms, first)
            }
        };
        // In chunks of 400 ms, each as late as the one before, as a stream would come.
        let chunks: Vec<Arc<[i16]>> = samples.chunks(3_200).map(Arc::from).collect();
        let count = chunks.len();
        for (i, samples) in chunks.into_iter().enumerate() {
            let last = i + 1 == count && !mood.half;
            self.later(delay, Event::Heard(Heard::Spoken { utterance, segment, samples, last }));
        }
        if mood.half {
            self.later(delay, Event::Heard(failed()));
        }
    }

    /// Facts about everything that is over, and about what never was.
    pub fn stale(&mut self) {
        let text = "ghost words that nobody said".to_owned();
        let old: Vec<UtteranceId> = (0..4).map(UtteranceId).filter(|u| !self.call.turn().wants(*u)).collect();
        for utterance in old.into_iter().chain([UtteranceId(999)]) {
            let samples: Arc<[i16]> = vec![9; 1_600].into();
            for fact in [
                Heard::Drafted { utterance, text: text.clone(), protected: true },
                Heard::ToolCalled { utterance, tool: ToolCall::EndCall { reason: "completed".to_owned() } },
                Heard::DraftEnded { utterance },
                Heard::DraftFailed { utterance, error: "stale".to_owned() },
                Heard::Spoken { utterance, segment: 0, samples, last: true },
                Heard::SpeechFailed { utterance, segment: 0, error: "stale".to_owned() },
            ] {
                self.tell(Fact::Heard(fact));
            }
        }
        let newest = self.turns.keys().max().copied().unwrap_or_default();
        for turn in [TurnNo(0), TurnNo(newest.0 + 5)] {
            self.tell(Fact::Heard(Heard::Partial { turn, text: text.clone(), sure: 1.0 }));
            self.tell(Fact::Heard(Heard::Transcribed { turn, take: 1, text: text.clone(), sure: 1.0 }));
            self.tell(Fact::Heard(Heard::Expected { turn, take: 1 }));
            self.tell(Fact::Heard(Heard::Judged { turn, take: 1, complete: 1.0 }));
        }
        // A take that was superseded.
        self.tell(Fact::Heard(Heard::Transcribed { turn: newest, take: 0, text, sure: 1.0 }));
    }
}
