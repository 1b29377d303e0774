//! One turn of the caller: from the first sound to the moment an answer to it is heard. Only data and small questions about
//! it; the turn loop decides.

use super::patience::{Ending, ending};
use crate::units::{Moment, TurnNo, UtteranceId};

/// A turn of the caller that is not settled yet.
#[derive(Clone, Debug)]
pub struct CallerTurn {
    /// Its number.
    pub turn: TurnNo,
    /// Its first sound.
    pub began: Moment,
    /// Since when the caller is silent; `None` while the voice is on.
    pub silent_at: Option<Moment>,
    /// Speech so far, in milliseconds.
    pub spoken_ms: u64,
    /// When the present stretch of speech began.
    pub voice_since: Moment,
    /// Since when the floor is the caller's: the monologue guard counts from here.
    pub floor_at: Moment,
    /// It began while the bot was audible and has not become the caller's turn yet.
    pub over_bot: bool,
    /// The last take that was asked.
    pub take: u32,
    /// When it was asked, if for the present silence.
    pub asked_at: Option<Moment>,
    /// When the end-of-turn model was asked about the present silence.
    pub judge_asked_at: Option<Moment>,
    /// Its words.
    pub text: Option<String>,
    /// When they came.
    pub transcribed_at: Option<Moment>,
    /// They are wholly what the dialogue waits for.
    pub expected: bool,
    /// Its judgement.
    pub judged: Option<f32>,
    /// When that came.
    pub judged_at: Option<Moment>,
    /// The latest partial.
    pub partial: String,
    /// What the bot said meanwhile, where it began over the bot: an echo brings nothing else.
    pub bot_words: String,
    /// When the turn will be over unless the caller goes on.
    pub ends_at: Option<Moment>,
    /// The answer that was asked for it, not audible yet.
    pub answered_by: Option<UtteranceId>,
    /// Answers withdrawn because the caller went on.
    pub withdrawn: u32,
    /// It must end even though the caller still speaks (monologue guard).
    pub forced: bool,
    /// It cut the bot short, so something must be said to it, words or not.
    pub cut_bot: bool,
    /// Recognition did not answer in time.
    pub unheard: bool,
}

impl CallerTurn {
    /// A turn that begins with a sound at `began`.
    #[must_use]
    pub const fn new(turn: TurnNo, began: Moment, over_bot: bool) -> Self {
        Self {
            turn,
            began,
            silent_at: None,
            spoken_ms: 0,
            voice_since: began,
            floor_at: began,
            over_bot,
            take: 0,
            asked_at: None,
            judge_asked_at: None,
            text: None,
            transcribed_at: None,
            expected: false,
            judged: None,
            judged_at: None,
            partial: String::new(),
            bot_words: String::new(),
            ends_at: None,
            answered_by: None,
            withdrawn: 0,
            forced: false,
            cut_bot: false,
            unheard: false,
        }
    }

    /// What was said over the bot becomes the caller's turn.
    pub const fn take_floor(&mut self, now: Moment) {
        self.over_bot = false;
        self.floor_at = now;
    }

    /// The voice is on again: what was asked about the silence before is stale.
    pub fn go_on(&mut self, since: Moment) {
        self.silent_at = None;
        self.voice_since = since;
        self.forget_take();
    }

    /// The voice ceased.
    pub fn fall_silent(&mut self, since: Moment) {
        self.spoken_ms += since.ms_since(self.voice_since);
        self.silent_at = Some(since);
        self.forget_take();
    }

    fn forget_take(&mut self) {
        self.asked_at = None;
        self.judge_asked_at = None;
        self.text = None;
        self.transcribed_at = None;
        self.expected = false;
        self.judged = None;
        self.judged_at = None;
        self.ends_at = None;
    }

    /// Asks anew; returns the number of the take.
    pub fn next_take(&mut self, now: Moment) -> u32 {
        self.take += 1;
        self.asked_at = Some(now);
        self.take
    }

    /// The best words known: the take's, else the partial.
    #[must_use]
    pub fn words(&self) -> &str {
        self.text.as_deref().unwrap_or(&self.partial)
    }

    /// What the end of it looks like.
    #[must_use]
    pub fn ending(&self) -> Ending {
        ending(self.words(), self.judged, self.expected)
    }
}
