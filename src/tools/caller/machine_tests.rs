//! The caller in virtual time: a made-up bot that is heard to the sample, and a made-up recogniser.

use super::super::script::Script;
use super::*;
use crate::wire::ws::native::ReverseMedia;

/// 20 ms of the bot.
fn media(chunk: u64, loud: bool) -> FromBot {
    let sample: i16 = if loud { 5000 } else { 0 };
    FromBot::Media(ReverseMedia {
        chunk,
        did: String::new(),
        payload: sample.to_le_bytes().repeat(FRAME),
        timestamp: String::new(),
        stream_id: String::new(),
        caller_id: String::new(),
        chunk_durn_ms: 20,
        call_direction: String::new(),
        encoding: "LINEAR".to_owned(),
    })
}

/// A caller whose every line lasts `line_ms`, and what it is fed.
struct World {
    caller: Caller,
    chunk: u64,
    /// The words of the bot's next turns.
    words: VecDeque<&'static str>,
    sent: Vec<Out>,
}

impl World {
    fn new(script: &str, line_ms: u64, words: &[&'static str]) -> Self {
        let plan = Script::parse(script, "test").unwrap().plan("test").unwrap();
        let clip = Clip {
            samples: vec![3000; RATE.samples_in(line_ms) as usize],
            audible: (0, RATE.samples_in(line_ms) as usize - 1),
        };
        let steps = plan.moves.iter().enumerate().filter(|(_, step)| step.source.is_some());
        let lines =
            Lines { steps: steps.map(|(index, _)| (index, clip.clone())).collect(), default: Some(clip.clone()) };
        let caller = Caller::new(plan, lines, Spoil::default());
        Self { caller, chunk: 0, words: words.iter().copied().collect(), sent: Vec::new() }
    }

    /// The bot's next frame arrives at sample `at`.
    fn bot(&mut self, at: usize, loud: bool) {
        self.chunk += 1;
        self.caller.received(at, media(self.chunk, loud), true);
    }

    /// One tick; the recogniser answers at once.
    fn tick(&mut self) {
        let out = self.caller.tick(true);
        self.sent.extend(out);
        for order in std::mem::take(&mut self.caller.hark) {
            match order {
                Hark::Take(turn, take) => {
                    let words = self.words.front().copied().unwrap_or("");
                    self.caller.transcribed(turn, take, words.to_owned());
                }
                Hark::End(_) => {
                    self.words.pop_front();
                }
                Hark::Audio(_) | Hark::Begin(..) => {}
            }
        }
    }

    fn ticks(&mut self, count: usize) {
        (0..count).for_each(|_| self.tick());
    }

    /// The bot speaks for so many frames, each arriving just in time.
    fn bot_speaks(&mut self, frames: usize) {
        for _ in 0..frames {
            self.bot(self.caller.now_ms() as usize * 8, true);
            self.tick();
        }
    }

    /// Ticks until the caller's line is over.
    fn line(&mut self) {
        for _ in 0..500 {
            if !self.caller.playing.is_empty() {
                break;
            }
            self.tick();
        }
        while !self.caller.playing.is_empty() {
            self.tick();
        }
    }
}

#[test]
fn latency_is_exact_to_the_sample() {
    let mut world = World::new("lines = [['hello', 'yes'], ['date', 'friday']]", 1000, &["hello there", "which date"]);
    world.bot_speaks(30);
    world.line();
    // The line's last frame left one tick ago; the reply starts 437.5 ms (3,500 samples) after that deadline.
    let last_frame = (world.caller.now_ms() as usize - 20) * 8;
    let onset = last_frame + 3500;
    world.ticks(21);
    for frame in 0..20 {
        world.bot(onset + frame * FRAME, true);
        world.tick();
    }
    world.ticks(80);
    let rows = world.caller.ledger.rows();
    assert_eq!(rows[0].wire_ms, Some(437.5));
    assert!(!rows[0].cut_in && rows[0].talk_over_ms == 0.0);
    assert_eq!(rows[1].said, "friday");
    assert!(world.caller.talk().open_steps().is_empty());
}

#[test]
fn a_gap_between_messages_is_no_end_of_turn_and_silence_in_messages_is() {
    let mut world = World::new("lines = [['turn', 'yes']]", 200, &["one two", "x"]);
    // One second of speech that arrives at once: the earpiece plays on while no message comes.
    for _ in 0..50 {
        world.bot(0, true);
    }
    world.ticks(80);
    assert!(!world.caller.ledger.caller_spoke(), "the bot was audible until one second, and is silent for 600 ms");
    // Silence that arrives as frames is silence all the same.
    for _ in 0..10 {
        world.bot(world.caller.now_ms() as usize * 8, false);
        world.tick();
    }
    assert!(world.caller.ledger.caller_spoke());
}

#[test]
fn what_the_bot_took_back_was_not_heard() {
    let mut world = World::new("[[step]]\nbarge_in_ms = 400\nsay = 'stop'", 300, &["a long speech"]);
    for _ in 0..150 {
        world.bot(0, true);
    }
    world.ticks(30);
    assert!(world.caller.ledger.caller_spoke(), "the caller speaks into the bot's speech");
    world.caller.received(30 * FRAME, FromBot::Stop, true);
    world.ticks(60);
    let rows = world.caller.ledger.rows();
    let row = &rows[0];
    assert_eq!(row.kind, LineKind::BargeIn);
    assert!(!row.cut_in);
    // It began at the tick after 400 ms and 40 ms of onset were noticed; the bot was silent from 600 ms on.
    assert_eq!(row.silenced_ms, Some(600.0 - (row.end_ms - 280.0)));
    assert_eq!(world.caller.ledger.bot_audible_ms(), 600);
}

#[test]
fn a_cough_is_neither_answered_nor_cut_in_on() {
    let mut world = World::new("[[step]]\nbarge_in_ms = 200\ncough = true\n[[step]]\nsay = 'yes'", 200, &["speech"]);
    world.bot_speaks(60);
    world.line();
    let rows = world.caller.ledger.rows();
    assert_eq!(rows.iter().map(|row| row.kind).collect::<Vec<_>>(), [LineKind::Cough, LineKind::Answer]);
    assert!(rows.iter().all(|row| !row.cut_in));
    assert_eq!(rows[0].wire_ms, None);
}

#[test]
fn keys_follow_the_line_and_then_the_caller_hangs_up() {
    let mut world = World::new("[[step]]\nsay = 'my code'\ndtmf = '12#'\nhangup = true", 100, &["your code"]);
    world.bot_speaks(10);
    world.line();
    assert!(!world.sent.iter().any(|out| matches!(out, Out::Key(_))), "not while speaking");
    world.ticks(60);
    let keys: String =
        world.sent.iter().filter_map(|out| if let Out::Key(key) = out { Some(*key) } else { None }).collect();
    assert_eq!(keys, "12#");
    assert_eq!(world.caller.ended, Some(Ended::CallerHungUp));
    assert!(world.sent.contains(&Out::HangUp));
}

#[test]
fn the_last_turn_is_heard_out_when_the_bot_hangs_up() {
    let mut world = World::new("lines = [['hello', 'yes']]", 200, &["hello", "goodbye"]);
    world.bot_speaks(20);
    world.line();
    world.ticks(10);
    world.bot_speaks(15);
    let until = world.caller.now_ms() as usize * 8;
    world.caller.received(until, FromBot::HangUp { message: String::new() }, true);
    assert!(world.caller.hear_out(until), "words are awaited");
    let Some(&Hark::Take(turn, take)) = world.caller.hark.iter().find(|order| matches!(order, Hark::Take(..))) else {
        panic!("no take was asked for")
    };
    world.caller.transcribed(turn, take, "goodbye".to_owned());
    assert!(!world.caller.conclude(false));
    assert_eq!(world.caller.ledger.bot_lines().collect::<Vec<_>>(), ["hello", "goodbye"]);
    assert_eq!(world.caller.ended, Some(Ended::BotHungUp));
}

#[test]
fn chunks_that_restart_are_counted() {
    let mut world = World::new("lines = [['turn', 'yes']]", 200, &[]);
    world.bot_speaks(3);
    world.chunk = 0;
    world.bot_speaks(2);
    assert_eq!((world.caller.seen.frames, world.caller.seen.chunk_faults), (5, 1));
}

#[test]
fn marks_are_answered_when_the_earpiece_has_played_or_lost_what_was_before_them() {
    let mut world = World::new("[[step]]\nafter = \"never\"\nsay = \"x\"", 100, &[]);
    let mark =
        |world: &mut World, at, name: &str| world.caller.received(at, FromBot::Mark { name: name.to_owned() }, true);
    // Three frames at once, as the worker leads: the mark is due when the third was played.
    (0..3).for_each(|_| world.bot(0, true));
    mark(&mut world, 0, "g1.u1");
    let marks =
        |world: &World| world.sent.iter().filter(|out| matches!(out, Out::Mark(..))).cloned().collect::<Vec<_>>();
    world.ticks(3);
    assert_eq!(marks(&world), []);
    world.ticks(1);
    assert_eq!(marks(&world), [Out::Mark("g1.u1".to_owned(), true)]);
    let now = world.caller.now_ms() as usize * 8;
    (0..3).for_each(|_| world.bot(now, true));
    mark(&mut world, now, "g2.u1");
    world.tick();
    world.caller.received(now + FRAME, FromBot::Stop, true);
    world.ticks(5);
    assert_eq!(marks(&world)[1..], [Out::Mark("g2.u1".to_owned(), false)]);
}
