//! What the caller does next: takes the bot's turns and the time, chooses the step of the script. A state machine; never
//! hears or speaks itself.

use super::script::{Move, Plan, Trigger};

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A step of the script, by its index.
    Step(usize),
    /// The default answer.
    Default,
    /// Nothing more will help: hang up.
    GiveUp,
}

/// Chosen, not yet done.
#[derive(Clone, Debug)]
struct Pending {
    act: Act,
    due_ms: u64,
}

/// The caller's mind.
#[derive(Debug)]
pub(super) struct Conversation {
    plan: Plan,
    used: Vec<bool>,
    pending: Option<Pending>,
    /// What the bot said in turns that were not answered, because it went on.
    carried: String,
    barge_at: Option<(usize, u64)>,
    defaults: u32,
}

impl Conversation {
    pub(super) fn new(plan: Plan) -> Self {
        let used = vec![false; plan.moves.len()];
        let mut talk = Self { plan, used, pending: None, carried: String::new(), barge_at: None, defaults: 0 };
        if let Some(first) = talk.first_open().filter(|&at| matches!(talk.plan.moves[at].trigger, Trigger::Start)) {
            talk.choose(Some(first), 0);
        }
        talk
    }

    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn step(&self, index: usize) -> Option<&Move> {
        self.plan.moves.get(index)
    }

    /// Default answers given.
    pub(super) const fn defaults(&self) -> u32 {
        self.defaults
    }

    /// Steps that must happen and have not.
    pub(super) fn open_steps(&self) -> Vec<String> {
        let open = |(step, used): &(&Move, &bool)| !**used && !step.optional && !step.repeat;
        self.plan.moves.iter().zip(&self.used).filter(open).map(|(step, _)| step.label.clone()).collect()
    }

    /// The bot became audible.
    pub(super) fn bot_began(&mut self, at_ms: u64) {
        // A person who was about to answer holds back when the other goes on.
        if let Some(Pending { act: Act::Step(index), .. }) = self.pending.take() {
            self.used[index] = false;
        }
        if let Some(index) = self.first_open()
            && let Trigger::BargeIn(ms) = self.plan.moves[index].trigger
        {
            self.barge_at = Some((index, at_ms + u64::from(ms)));
        }
    }

    /// The bot fell silent, having said `text`.
    pub(super) fn bot_ended(&mut self, at_ms: u64, text: &str) {
        self.barge_at = None;
        if !self.carried.is_empty() && !text.is_empty() {
            self.carried.push(' ');
        }
        self.carried.push_str(text);
        let matches = |step: &Move| match &step.trigger {
            Trigger::Turn => true,
            Trigger::Matches(regex) => regex.is_match(&self.carried),
            Trigger::Start | Trigger::BargeIn(_) => false,
        };
        let mut steps = self.plan.moves.iter().zip(&self.used);
        let open = steps.position(|(step, used)| (!used || step.repeat) && matches(step));
        let matching = open.or_else(|| self.plan.moves.iter().position(|step| step.again && matches(step)));
        self.choose(matching, at_ms);
    }

    /// What is due; `busy` while the caller still speaks.
    pub(super) fn due(&mut self, now_ms: u64, busy: bool) -> Option<Act> {
        if busy {
            return None;
        }
        if let Some((index, at)) = self.barge_at
            && now_ms >= at
        {
            self.barge_at = None;
            self.used[index] = true;
            self.carried.clear();
            return Some(Act::Step(index));
        }
        if now_ms < self.pending.as_ref()?.due_ms {
            return None;
        }
        let act = self.pending.take()?.act;
        self.carried.clear();
        if act == Act::Default {
            self.defaults += 1;
        }
        Some(act)
    }

    fn choose(&mut self, step: Option<usize>, now_ms: u64) {
        self.pending = match step {
            Some(index) => {
                self.used[index] = true;
                let due_ms = now_ms + u64::from(self.plan.moves[index].wait_ms);
                Some(Pending { act: Act::Step(index), due_ms })
            }
            None if self.plan.default.is_none() => None,
            None if self.defaults >= self.plan.max_defaults => Some(Pending { act: Act::GiveUp, due_ms: now_ms }),
            None => Some(Pending { act: Act::Default, due_ms: now_ms }),
        };
    }

    fn first_open(&self) -> Option<usize> {
        let own_time = |step: &Move| matches!(step.trigger, Trigger::Start | Trigger::BargeIn(_));
        let blocks = |step: &Move| !step.repeat && (!step.optional || own_time(step));
        (0..self.used.len()).find(|&index| !self.used[index] && blocks(&self.plan.moves[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    fn talk(text: &str) -> Conversation {
        Conversation::new(Script::parse(text, "test").unwrap().plan("test").unwrap())
    }

    #[test]
    fn the_first_open_step_that_matches_is_taken_once() {
        let mut talk = talk("default = 'what?'\nlines = [['date', 'friday'], ['name', 'yes'], ['name', 'again yes']]");
        talk.bot_ended(0, "What is your NAME?");
        assert_eq!(talk.due(0, true), None, "not while speaking");
        assert_eq!(talk.due(0, false), Some(Act::Step(1)));
        talk.bot_ended(10, "Your name again?");
        assert_eq!(talk.due(10, false), Some(Act::Step(2)));
        talk.bot_ended(20, "Your name?");
        assert_eq!(talk.due(20, false), Some(Act::Step(1)), "a question that is asked once more is answered once more");
        talk.bot_ended(25, "Well?");
        assert_eq!(talk.due(25, false), Some(Act::Default));
        assert_eq!(talk.open_steps(), ["step 1 (after \"date\")"]);
        talk.bot_ended(30, "Which date?");
        assert_eq!(talk.due(30, false), Some(Act::Step(0)));
        assert!(talk.open_steps().is_empty());
    }

    #[test]
    fn a_bot_that_goes_on_is_heard_out() {
        let mut talk = talk("[[step]]\nafter = 'hello.*name'\nsay = 'yes'\nwait_ms = 300");
        talk.bot_ended(0, "Hello.");
        assert_eq!(talk.due(500, false), None);
        talk.bot_began(600);
        talk.bot_ended(1000, "Your name?");
        assert_eq!(talk.due(1299, false), None);
        talk.bot_began(1299);
        talk.bot_ended(2000, "");
        assert_eq!(talk.due(2300, false), Some(Act::Step(0)), "the withdrawn step is free again");
    }

    #[test]
    fn a_barge_in_step_waits_for_its_turn_and_then_for_the_bot() {
        let mut talk = talk("[[step]]\nsay = 'a'\n[[step]]\nbarge_in_ms = 800\nsay = 'stop'");
        talk.bot_began(0);
        assert_eq!(talk.due(900, false), None);
        talk.bot_ended(1000, "x");
        assert_eq!(talk.due(1000, false), Some(Act::Step(0)));
        talk.bot_began(2000);
        assert_eq!(talk.due(2799, false), None);
        assert_eq!(talk.due(2800, false), Some(Act::Step(1)));
    }

    #[test]
    fn the_caller_gives_up_after_enough_default_answers() {
        let mut talk = talk("default = 'what?'\nmax_defaults = 1\nlines = [['never', 'x']]");
        talk.bot_ended(0, "a");
        assert_eq!(talk.due(0, false), Some(Act::Default));
        talk.bot_ended(1, "b");
        assert_eq!(talk.due(1, false), Some(Act::GiveUp));
    }

    #[test]
    fn a_start_step_waits_for_nobody() {
        let mut talk = talk("[[step]]\nafter = 'start'\nsay = 'hello?'\nwait_ms = 100");
        assert_eq!(talk.due(99, false), None);
        assert_eq!(talk.due(100, false), Some(Act::Step(0)));
    }
}
