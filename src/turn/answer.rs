//! One answer of the bot: what was drafted, what was made audible, and what of it the caller heard. Never decides to speak or
//! to stop.

use super::fact::{AskCause, ToolCall};
use super::sentence::SentenceCutter;
use crate::units::{Moment, UtteranceId};

/// Tools that one answer may call; more are refused.
const MOST_TOOLS: usize = 8;
/// Segments of one answer; more text is not spoken.
const MOST_SEGMENTS: usize = 200;

/// One spoken piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Its text.
    pub text: String,
    /// It cannot be interrupted.
    pub protected: bool,
    /// Audio made for it so far, in milliseconds.
    pub made_ms: u32,
    /// Nothing more of it is to come: heard to its end, or failed.
    pub done: bool,
    /// Synthesis failed: its text was never heard.
    pub failed: bool,
    /// All of its audio was made: its length is known.
    pub complete: bool,
}

/// How long a character takes at most, in milliseconds: for pieces whose length is not known.
const SLOWEST_CHAR_MS: u32 = 90;

/// Words that were played this long before a voice began may be in what recognition hears of it: an echo of 400 ms, the jitter
/// queue, the recogniser's own look back, and the estimate's error.
const ECHO_REACH_MS: u64 = 2_500;
/// The estimate of where the bot stands may be late by this much.
const ECHO_SLACK_MS: u64 = 700;

impl Segment {
    /// The length of the whole piece, in milliseconds; an upper bound while synthesis has not made all of it.
    fn whole_ms(&self) -> u32 {
        let guess = u32::try_from(self.text.chars().count()).unwrap_or(u32::MAX).saturating_mul(SLOWEST_CHAR_MS);
        if self.complete { self.made_ms } else { self.made_ms.max(guess) }
    }

    /// The text for which there was sound.
    fn made_text(&self) -> &str {
        if self.complete { &self.text } else { words_within(&self.text, self.made_ms, self.whole_ms()) }
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its id.
    pub id: UtteranceId,
    /// Why it was asked.
    pub cause: AskCause,
    /// When it was asked.
    pub asked_at: Moment,
    /// Spoken pieces in order.
    pub segments: Vec<Segment>,
    /// Tools to run once it was heard.
    pub tools: Vec<ToolCall>,
    /// The answer before it was cut short by the caller.
    pub interrupted: bool,
    /// Synthesis or playout stood still: what was heard counts as the whole of it.
    pub stalled: bool,
    /// Said in the place of an answer that failed: the engine knows nothing of it.
    pub apology: bool,
    /// The far end threw a piece of it away.
    pub torn: bool,
    /// The id by which the engine knows it; another one than its own where it is said again.
    pub asked_as: UtteranceId,
    /// It is said for the second time, after nothing of it could be heard.
    pub again: bool,
    /// The draft is complete.
    pub draft_ended: bool,
    /// When its first frame left.
    pub audible_at: Option<Moment>,
    /// The last sign of life from engine, synthesis or playout.
    pub progress_at: Moment,
    /// Since when the piece that is being heard is heard, later by every pause in it.
    pub piece_since: Moment,
    /// Since when it is paused.
    pub paused_at: Option<Moment>,
    cutter: SentenceCutter,
    drafting_protected: bool,
}

impl Answer {
    /// An answer that has just been asked.
    #[must_use]
    pub fn new(id: UtteranceId, cause: AskCause, now: Moment) -> Self {
        Self {
            id,
            cause,
            asked_at: now,
            segments: Vec::new(),
            tools: Vec::new(),
            interrupted: false,
            stalled: false,
            apology: false,
            torn: false,
            asked_as: id,
            again: false,
            draft_ended: false,
            audible_at: None,
            progress_at: now,
            piece_since: now,
            paused_at: None,
            cutter: SentenceCutter::default(),
            drafting_protected: false,
        }
    }

    /// The same answer under another id, of which nothing was made yet.
    #[must_use]
    pub fn said_again(self, id: UtteranceId, now: Moment) -> Self {
        let anew = |piece: Segment| Segment { made_ms: 0, done: false, failed: false, complete: false, ..piece };
        Self {
            id,
            segments: self.segments.into_iter().map(anew).collect(),
            again: true,
            audible_at: None,
            progress_at: now,
            piece_since: now,
            paused_at: None,
            ..self
        }
    }

    /// Is the call to end by it?
    #[must_use]
    pub fn ends_the_call(&self) -> bool {
        let ends = |tool: &ToolCall| matches!(tool, ToolCall::EndCall { .. } | ToolCall::Transfer { .. });
        self.cause == AskCause::IdleGoodbye || self.tools.iter().any(ends)
    }

    /// Adds drafted text; returns the index of the first new segment.
    pub fn draft(&mut self, text: &str, protected: bool) -> usize {
        let first = self.segments.len();
        let mut ready = Vec::new();
        if protected != self.drafting_protected {
            self.cutter.finish(&mut ready);
            self.add(ready.drain(..), self.drafting_protected);
            self.drafting_protected = protected;
        }
        self.cutter.push(text, &mut ready);
        self.add(ready.drain(..), protected);
        first
    }

    /// The draft is complete; returns the index of the first new segment.
    pub fn end_draft(&mut self) -> usize {
        let first = self.segments.len();
        let mut ready = Vec::new();
        self.cutter.finish(&mut ready);
        self.add(ready.drain(..), self.drafting_protected);
        self.draft_ended = true;
        first
    }

    /// The draft broke off: what was not yet cut into a segment is dropped.
    pub fn break_draft(&mut self) {
        self.cutter.clear();
        self.draft_ended = true;
    }

    fn add(&mut self, pieces: impl Iterator<Item = String>, protected: bool) {
        for text in pieces {
            if self.segments.len() < MOST_SEGMENTS {
                self.segments.push(Segment {
                    text,
                    protected,
                    made_ms: 0,
                    done: false,
                    failed: false,
                    complete: false,
                });
            }
        }
    }

    /// Remembers a tool call; `false` where there are too many.
    pub fn add_tool(&mut self, tool: ToolCall) -> bool {
        let room = self.tools.len() < MOST_TOOLS;
        if room {
            self.tools.push(tool);
        }
        room
    }

    /// The line goes on from where it paused.
    pub fn resume(&mut self, now: Moment) {
        if let Some(at) = self.paused_at.take() {
            self.piece_since = self.piece_since.plus_ms(now.ms_since(at));
        }
    }

    /// The words that may have been heard since `from`, by the time that has passed: rather more than fewer, as nothing is known
    /// of when each began, and an echo comes late.
    #[must_use]
    pub fn words_since(&self, from: Moment, now: Moment) -> String {
        let going_on_ms = self.paused_at.unwrap_or(now).ms_since(self.piece_since);
        let before_ms: u64 = self.segments.iter().filter(|s| s.done).map(|s| u64::from(s.made_ms)).sum();
        let until_ms = before_ms + going_on_ms;
        let from_ms = until_ms.saturating_sub(now.ms_since(from) + ECHO_REACH_MS);
        let until_ms = until_ms + ECHO_SLACK_MS;
        let mut began_ms = 0;
        let mut parts: Vec<&str> = Vec::new();
        for seg in self.segments.iter().filter(|s| !s.failed) {
            let whole_ms = if seg.done { seg.made_ms } else { seg.whole_ms() };
            let within = |ms: u64| {
                let ms = u32::try_from(ms.saturating_sub(began_ms)).unwrap_or(u32::MAX);
                words_within(&seg.text, ms, whole_ms)
            };
            parts.push(within(until_ms).strip_prefix(within(from_ms)).unwrap_or_default().trim());
            began_ms += u64::from(whole_ms);
        }
        parts.retain(|p| !p.is_empty());
        parts.join(" ")
    }

    /// A segment was heard to its end.
    pub fn heard(&mut self, segment: u16) {
        for seg in self.segments.iter_mut().take(usize::from(segment) + 1) {
            seg.done = true;
        }
    }

    /// The far end threw this segment away.
    pub fn lose(&mut self, segment: u16) {
        if let Some(seg) = self.segments.get_mut(usize::from(segment)).filter(|s| !s.done) {
            (seg.done, seg.failed, self.torn) = (true, true, true);
        }
    }

    /// A segment will never be heard, or not to its end.
    pub fn fail(&mut self, segment: u16) {
        if let Some(seg) = self.segments.get_mut(usize::from(segment)) {
            if seg.made_ms > 0 && !seg.done {
                // What was made is still heard, and playout tells when.
                return;
            }
            seg.done = true;
            seg.failed = true;
        }
    }

    /// Nothing of it will be heard any more.
    pub fn fail_all(&mut self) {
        for seg in self.segments.iter_mut().filter(|s| !s.done) {
            (seg.done, seg.failed) = (true, true);
        }
    }

    /// Was everything drafted and heard?
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.draft_ended && self.segments.iter().all(|s| s.done)
    }

    /// Did every segment fail (and there was at least one)?
    #[must_use]
    pub fn is_mute(&self) -> bool {
        !self.segments.is_empty() && self.segments.iter().all(|s| s.failed)
    }

    /// Must what is being heard now be heard to its end?
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.segments.iter().find(|s| !s.done).is_some_and(|s| s.protected)
    }

    /// The text that was heard to its end.
    #[must_use]
    pub fn heard_text(&self) -> String {
        let parts: Vec<&str> = self.segments.iter().filter(|s| s.done && !s.failed).map(Segment::made_text).collect();
        parts.join(" ")
    }

    /// Where playout stands that is `behind_ms` behind this place, but not before what counts as heard already.
    #[must_use]
    pub fn place_before(&self, segment: u16, heard_ms: u32, behind_ms: u64) -> (u16, u32) {
        let done = self.segments.iter().take_while(|s| s.done).count();
        let (mut segment, mut heard_ms) = (segment, heard_ms);
        let mut behind_ms = u32::try_from(behind_ms).unwrap_or(u32::MAX);
        while behind_ms > heard_ms && usize::from(segment) > done {
            behind_ms -= heard_ms;
            segment -= 1;
            heard_ms = self.segments.get(usize::from(segment)).map_or(0, |s| s.made_ms);
        }
        if usize::from(segment) < done { (segment, heard_ms) } else { (segment, heard_ms.saturating_sub(behind_ms)) }
    }

    /// The text heard when playout stopped `heard_ms` into `segment`: whole segments before it, whole words of it.
    #[must_use]
    pub fn text_until(&self, segment: u16, heard_ms: u32) -> String {
        let mut parts: Vec<&str> = Vec::new();
        for (i, seg) in self.segments.iter().enumerate() {
            if i < usize::from(segment) {
                if !seg.failed {
                    parts.push(seg.made_text());
                }
            } else if i == usize::from(segment) {
                parts.push(words_within(&seg.text, heard_ms, seg.whole_ms()));
            }
        }
        parts.retain(|p| !p.is_empty());
        parts.join(" ")
    }
}

/// The words of `text` that fit into the first `heard_ms` of its `total_ms`, by their share of the letters: a word counts once
/// it was heard to its end.
fn words_within(text: &str, heard_ms: u32, total_ms: u32) -> &str {
    if total_ms == 0 || heard_ms == 0 {
        return "";
    }
    if heard_ms >= total_ms {
        return text;
    }
    let weight = |c: char| match c {
        c if c.is_alphanumeric() => 10,
        ',' | ';' | ':' => 20,
        '.' | '!' | '?' => 30,
        _ => 3,
    };
    let total: u64 = text.chars().map(weight).sum();
    let budget = total * u64::from(heard_ms) / u64::from(total_ms);
    let mut spent = 0;
    let mut end = 0;
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && in_word {
            end = at;
            in_word = false;
        }
        spent += weight(c);
        if spent > budget {
            return &text[..end];
        }
        in_word |= !c.is_whitespace();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(texts: &[&str]) -> Answer {
        let mut answer = Answer::new(UtteranceId(1), AskCause::Opening, Moment::ZERO);
        for text in texts {
            answer.draft(&format!("{text} "), false);
        }
        answer.end_draft();
        for seg in &mut answer.segments {
            (seg.made_ms, seg.complete) = (1000, true);
        }
        answer
    }

    #[test]
    fn heard_text_ends_at_a_word_the_caller_heard() {
        let answer = answer(&["Your loan is due.", "Will you pay today?"]);
        assert_eq!(answer.segments.len(), 2);
        assert_eq!(answer.text_until(0, 0), "");
        assert_eq!(answer.text_until(0, 500), "Your loan");
        assert_eq!(answer.text_until(1, 0), "Your loan is due.");
        assert_eq!(answer.text_until(1, 999), "Your loan is due. Will you pay");
        assert_eq!(answer.text_until(1, 1000), "Your loan is due. Will you pay today?");
    }

    #[test]
    fn the_words_around_a_moment_are_those_that_an_echo_may_bring() {
        let at = Moment::from_millis;
        let long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen";
        let mut answer = answer(&["Hello there.", long]);
        answer.segments[1].made_ms = 8_000;
        answer.heard(0);
        answer.piece_since = at(1_000);
        assert_eq!(answer.words_since(at(1_200), at(1_500)), "Hello there. one two three");
        let late = answer.words_since(at(6_000), at(6_500));
        assert!(late.starts_with("seven eight") && late.ends_with("thirteen"), "{late}");
        answer.paused_at = Some(at(6_500));
        assert_eq!(answer.words_since(at(6_000), at(6_500)), late);
        answer.resume(at(7_300));
        assert_eq!(answer.words_since(at(6_800), at(7_300)), late, "a pause does not count");
    }

    #[test]
    fn a_piece_that_broke_off_counts_as_far_as_it_was_made() {
        let mut answer = answer(&["Your loan is due on the first of May."]);
        answer.segments[0].complete = false;
        answer.fail(0);
        assert!(!answer.is_over(), "what was made is still heard");
        answer.heard(0);
        assert!(answer.is_over());
        assert_eq!(answer.heard_text(), "Your loan");
    }

    #[test]
    fn a_protected_piece_stays_apart_from_what_follows() {
        let mut answer = Answer::new(UtteranceId(1), AskCause::Opening, Moment::ZERO);
        answer.draft("This call is recorded.", true);
        answer.draft("Hello", false);
        answer.end_draft();
        assert_eq!(answer.segments.iter().map(|s| s.protected).collect::<Vec<_>>(), [true, false]);
        assert!(answer.is_protected());
        (answer.segments[0].made_ms, answer.segments[0].complete) = (900, true);
        answer.heard(0);
        assert!(!answer.is_protected());
        assert!(!answer.is_over());
        answer.fail(1);
        assert!(answer.is_over());
        assert_eq!(answer.heard_text(), "This call is recorded.");
    }
}
