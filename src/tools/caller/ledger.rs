//! What is measured in a call: from the frame that carried the caller's last audible sample to the first audible sample of the
//! reply, who spoke over whom, how evenly frames left and came. Positions are samples of the telephone's clock, which runs
//! by the deadlines of the frames that are sent; reads no clock itself.

use super::report::{Line, LineKind, Speaker, Spread, TurnRow};
use crate::units::{FRAME_MS, SampleRate};

/// A line of the caller that is being or was played.
#[derive(Clone, Debug)]
struct Said {
    text: String,
    kind: LineKind,
    /// First audible sample.
    start: usize,
    /// Last audible sample, known from the start: lines are rendered before they are played.
    end: usize,
    /// The frame with the last audible sample left at this sample of the clock.
    sent: usize,
    reply: Option<usize>,
    cut_in: bool,
    talk_over: usize,
    silenced: Option<usize>,
}

/// The measurements.
#[derive(Debug)]
pub(super) struct Ledger {
    rate: SampleRate,
    said: Vec<Said>,
    bot: Vec<Line>,
    spurt: Option<usize>,
    spurts: u32,
    bot_audible: usize,
    late_us: Vec<u64>,
    arrivals_us: Vec<u64>,
    last_arrival_us: Option<u64>,
    runs: Vec<Run>,
}

/// Frames that came without a pause.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Sample of the clock at which the first came.
    at: usize,
    first_us: u64,
    count: u64,
    /// When the first would have come had it been as punctual as the most punctual one behind it.
    punctual_us: u64,
}

impl Run {
    /// Frames that a server may send ahead at the start of an utterance.
    const LEAD: u64 = 3;

    fn late_us(&self) -> u64 {
        self.first_us - self.punctual_us.min(self.first_us)
    }
}

impl Ledger {
    pub(super) const fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            said: Vec::new(),
            bot: Vec::new(),
            spurt: None,
            spurts: 0,
            bot_audible: 0,
            late_us: Vec::new(),
            arrivals_us: Vec::new(),
            last_arrival_us: None,
            runs: Vec::new(),
        }
    }

    /// A line starts with the frame at sample `at`; `audible` are its first and its last audible sample.
    pub(super) fn line(&mut self, text: &str, kind: LineKind, at: usize, audible: (usize, usize)) {
        let frame = self.rate.frame_samples();
        let (start, end) = (at + audible.0, at + audible.1);
        let sent = end / frame * frame;
        let silenced = None;
        let said =
            Said { text: text.to_owned(), kind, start, end, sent, reply: None, cut_in: false, talk_over: 0, silenced };
        self.said.push(said);
    }

    /// The bot became audible.
    pub(super) fn spurt_began(&mut self, onset: usize) {
        self.spurt = Some(onset);
        self.spurts += 1;
        for line in self.said.iter_mut().rev().take(2) {
            let answerable = line.kind != LineKind::Cough;
            if onset >= line.sent && line.reply.is_none() && answerable && !line.cut_in {
                line.reply = Some(onset);
                return;
            }
            if onset > line.start && onset < line.end && line.kind.waits_its_turn() {
                line.cut_in = true;
            }
        }
    }

    /// The bot fell silent; `last` is its last audible sample.
    pub(super) fn spurt_ended(&mut self, last: usize) {
        let Some(onset) = self.spurt.take() else { return };
        self.bot_audible += last.saturating_sub(onset);
        for line in self.said.iter_mut().rev().take(3) {
            let over = last.min(line.end).saturating_sub(onset.max(line.start));
            line.talk_over += over;
            if over > 0 && onset < line.start && line.silenced.is_none() {
                line.silenced = Some(last - line.start);
            }
        }
    }

    /// A turn of the bot as it was recognised.
    pub(super) fn bot_said(&mut self, text: &str, onset: usize, last: usize) {
        let ms = |at: usize| self.rate.ms_of(at as u64);
        let line = Line { speaker: Speaker::Bot, text: text.to_owned(), start_ms: ms(onset), end_ms: ms(last) };
        self.bot.push(line);
    }

    /// A frame left `late_us` after its deadline.
    pub(super) fn sent(&mut self, late_us: u64) {
        self.late_us.push(late_us);
    }

    /// A frame of the bot came at this time, at sample `at` of the clock. A silence between utterances is no gap of the pacing.
    pub(super) fn arrived(&mut self, at_us: u64, at: usize) {
        const PAUSE_US: u64 = 200_000;
        let gap = self.last_arrival_us.replace(at_us).map(|last| at_us.saturating_sub(last));
        let Some((gap, run)) = gap.filter(|&gap| gap < PAUSE_US).zip(self.runs.last_mut()) else {
            self.runs.push(Run { at, first_us: at_us, count: 1, punctual_us: at_us });
            return;
        };
        self.arrivals_us.push(gap);
        let paced_us = (run.count + 1).saturating_sub(Run::LEAD) * u64::from(FRAME_MS) * 1_000;
        run.punctual_us = run.punctual_us.min(at_us.saturating_sub(paced_us));
        run.count += 1;
    }

    /// How late the frame that began the speech at `onset` came, by the pace of those behind it, in milliseconds.
    fn reply_late_ms(&self, onset: usize) -> f64 {
        let near = self.rate.samples_in(500) as usize;
        let run = self.runs.iter().rfind(|run| run.at <= onset && onset - run.at <= near);
        run.map_or(0.0, |run| run.late_us() as f64 / 1_000.0)
    }

    /// Was the bot ever audible.
    pub(super) const fn bot_spoke(&self) -> bool {
        self.spurts > 0
    }

    /// Did the caller ever say a line.
    pub(super) const fn caller_spoke(&self) -> bool {
        !self.said.is_empty()
    }

    /// Samples of audible speech of the bot, pauses above 200 ms left out.
    pub(super) fn bot_audible_ms(&self) -> u64 {
        self.rate.ms_of(self.bot_audible as u64)
    }

    /// What the bot said, turn by turn.
    pub(super) fn bot_lines(&self) -> impl Iterator<Item = &str> {
        self.bot.iter().map(|line| line.text.as_str())
    }

    /// The conversation in the order in which it was heard.
    pub(super) fn transcript(&self) -> Vec<Line> {
        let ms = |at: usize| self.rate.ms_of(at as u64);
        let mut lines = self.bot.clone();
        lines.extend(self.said.iter().map(|said| Line {
            speaker: Speaker::Caller,
            text: said.text.clone(),
            start_ms: ms(said.start),
            end_ms: ms(said.end),
        }));
        lines.sort_by_key(|line| line.start_ms);
        lines
    }

    /// One row for each line of the caller.
    pub(super) fn rows(&self) -> Vec<TurnRow> {
        let ms = |samples: usize| samples as f64 * 1000.0 / f64::from(self.rate.hz());
        let row = |(index, said): (usize, &Said)| TurnRow {
            turn: index + 1,
            said: said.text.clone(),
            kind: said.kind,
            end_ms: ms(said.sent),
            wire_ms: said.reply.map(|at| ms(at - said.sent)).filter(|_| !said.cut_in),
            late_ms: said.reply.map_or(0.0, |at| self.reply_late_ms(at)),
            cut_in: said.cut_in,
            talk_over_ms: ms(said.talk_over),
            silenced_ms: said.silenced.filter(|_| said.kind == LineKind::BargeIn).map(ms),
            server: None,
        };
        self.said.iter().enumerate().map(row).collect()
    }

    /// How late frames were sent, in milliseconds.
    pub(super) fn lateness(&self) -> Spread {
        Spread::of(self.late_us.iter().map(|&us| us as f64 / 1000.0))
    }

    /// Time between two frames of the bot, in milliseconds.
    pub(super) fn gaps(&self) -> Spread {
        Spread::of(self.arrivals_us.iter().map(|&us| us as f64 / 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(play: impl FnOnce(&mut Ledger)) -> Vec<TurnRow> {
        let mut ledger = Ledger::new(SampleRate::NARROW);
        play(&mut ledger);
        ledger.rows()
    }

    #[test]
    fn latency_counts_from_the_frame_that_carried_the_last_sample() {
        let rows = rows(|l| {
            l.line("yes", LineKind::Answer, 1600, (10, 1610));
            l.spurt_began(3200 + 4000);
            l.spurt_ended(9000);
        });
        assert_eq!(rows[0].wire_ms, Some(500.0));
        assert!(!rows[0].cut_in);
        assert_eq!(rows[0].talk_over_ms, 0.0);
    }

    #[test]
    fn a_bot_that_starts_while_the_caller_speaks_has_cut_in() {
        let rows = rows(|l| {
            l.line("yes, and", LineKind::Answer, 0, (0, 8000));
            l.spurt_began(4000);
            l.spurt_ended(6000);
            l.spurt_began(9000);
        });
        assert!(rows[0].cut_in);
        assert_eq!((rows[0].wire_ms, rows[0].talk_over_ms), (None, 250.0));
    }

    #[test]
    fn a_barge_in_is_not_cut_in_on_and_its_reply_is_the_next_spurt() {
        let rows = rows(|l| {
            l.spurt_began(0);
            l.line("stop", LineKind::BargeIn, 8000, (0, 4000));
            l.spurt_ended(8000 + 2400);
            l.spurt_began(16_000);
        });
        assert!(!rows[0].cut_in);
        assert_eq!(rows[0].silenced_ms, Some(300.0));
        assert_eq!(rows[0].wire_ms, Some(500.0));
    }

    #[test]
    fn only_gaps_within_speech_are_pacing() {
        let mut ledger = Ledger::new(SampleRate::NARROW);
        for at in [0, 20_000, 41_000, 2_000_000, 2_020_000] {
            ledger.arrived(at, 0);
        }
        let gaps = ledger.gaps();
        assert_eq!((gaps.count, gaps.max), (3, 21.0));
    }

    #[test]
    fn a_reply_whose_first_frames_came_late_says_by_how_much() {
        let mut ledger = Ledger::new(SampleRate::NARROW);
        // Three frames at once, then one each 20 ms; in the second run the first two are 30 ms late.
        for us in [0, 10, 20, 20_000, 40_100] {
            ledger.arrived(us, 0);
        }
        for us in [1_030_000, 1_030_000, 1_030_100, 1_030_200, 1_040_000, 1_060_000] {
            ledger.arrived(us, 8_240);
        }
        assert_eq!((ledger.reply_late_ms(900), ledger.reply_late_ms(9_000)), (0.0, 30.0));
        assert_eq!(ledger.reply_late_ms(90_000), 0.0, "nothing came near it");
    }
}
