//! The rehearsal for the end of a turn: three kinds of callers against the product's patience and against a fixed wait of
//! 700 ms. How often the bot cuts in on them, and how long they wait for it.

use voicefleet::turn::Policy;

use crate::sim::{Act, Group, Reply, Run, Script, When, run};

const TURNS: usize = 40;

/// xorshift: the same calls every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, from: u64, to: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        from + self.0 % (to - from + 1)
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(0, of.len() as u64 - 1) as usize]
    }
}

#[derive(Clone, Copy, Debug)]
enum Caller {
    Digits,
    Hesitant,
    Fast,
}

/// One turn. The model is right about an end nine times in ten, about a pause in a sentence seven times in ten, and knows
/// nothing about digits.
fn turn(caller: Caller, dice: &mut Dice) -> Vec<Group> {
    let digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let ends = if dice.roll(0, 9) < 9 { 0.9 } else { 0.4 };
    let mut groups: Vec<Group> = Vec::new();
    let mut add = |pause_ms: u64, words: String, ms_per_word: u64, judged: f32| {
        let ms = words.split_whitespace().count() as u64 * ms_per_word;
        groups.push(Group { pause_ms, ms, words, judged, sure: 1.0 });
    };
    match caller {
        Caller::Digits => {
            for (i, n) in [3, 3, 4].into_iter().enumerate() {
                let words: Vec<&str> = (0..n).map(|_| dice.pick(&digits)).collect();
                let pause = if i == 0 { 0 } else { dice.roll(600, 1_000) };
                add(pause, words.join(" "), 380, dice.roll(20, 95) as f32 / 100.0);
            }
        }
        Caller::Hesitant => {
            let starts = ["um", "well", "so I", "let me think", "I think"];
            let middles =
                ["I will pay the", "it was due on", "my brother said that", "I have to ask my", "maybe on the"];
            let last =
                ["money on Friday", "the fifth of May", "he paid it already", "wife about it", "end of this month"];
            let mid = |dice: &mut Dice| if dice.roll(0, 9) < 7 { 0.2 } else { 0.8 };
            let judged = mid(dice);
            add(0, dice.pick(&starts).to_owned(), 360, judged);
            let (pause, judged) = (dice.roll(300, 900), mid(dice));
            add(pause, dice.pick(&middles).to_owned(), 360, judged);
            let pause = dice.roll(300, 900);
            add(pause, dice.pick(&last).to_owned(), 360, ends);
        }
        Caller::Fast => {
            let short = ["yes", "no", "yes I can", "all of it", "tomorrow morning", "by card please", "that is fine"];
            if dice.roll(0, 9) == 0 {
                add(0, "yes".to_owned(), 260, 0.7);
                let pause = dice.roll(180, 260);
                add(pause, "on Monday".to_owned(), 260, ends);
            } else {
                add(0, dice.pick(&short).to_owned(), 260, ends);
            }
        }
    }
    groups
}

fn rehearse(caller: Caller, policy: Policy) -> Run {
    let mut script = Script::parse("limit 2000s");
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    script.policy = Policy { max_duration_ms: 1_500_000, ..policy };
    let say = |text: &str| Reply { text: text.to_owned(), ..Reply::default() };
    script.replies = (0..TURNS * 4).map(|_| say("Thank you. What is the next one?")).collect();
    script.acts =
        (0..TURNS).map(|_| (When::AfterBot(dice.roll(400, 900)), Act::Says(turn(caller, &mut dice)))).collect();
    run(&script)
}

struct Figures {
    turns: usize,
    cut_ins: u32,
    mean_ms: u64,
    p95_ms: u64,
}

fn figures(run: &Run) -> Figures {
    let mut waits = run.waits.clone();
    waits.sort_unstable();
    let mean_ms = waits.iter().sum::<u64>() / waits.len().max(1) as u64;
    let p95_ms = waits.get(waits.len() * 95 / 100).copied().unwrap_or(0);
    Figures { turns: waits.len(), cut_ins: run.cut_ins, mean_ms, p95_ms }
}

#[test]
// The table goes into the README: `cargo test --test suite patience -- --nocapture` shows it.
fn callers_are_cut_in_on_less_and_fast_ones_wait_less_than_with_700_ms() {
    eprintln!("caller    policy    turns  cut-ins  mean wait  p95 wait");
    for caller in [Caller::Digits, Caller::Hesitant, Caller::Fast] {
        let ours = figures(&rehearse(caller, Policy::default()));
        let fixed_policy = Policy { patience_min_ms: 700, patience_max_ms: 700, ..Policy::default() };
        let fixed = figures(&rehearse(caller, fixed_policy));
        for (name, f) in [("product", &ours), ("700 ms", &fixed)] {
            let row = (format!("{caller:?}"), f.turns, f.cut_ins, f.mean_ms, f.p95_ms);
            eprintln!("{:<9} {name:<9} {:>5}  {:>7}  {:>6} ms  {:>5} ms", row.0, row.1, row.2, row.3, row.4);
        }
        assert!(ours.turns >= 30, "{caller:?}: {} turns were answered", ours.turns);
        assert!(ours.cut_ins <= fixed.cut_ins, "{caller:?}: {} cut-ins, fixed {}", ours.cut_ins, fixed.cut_ins);
        if matches!(caller, Caller::Fast) {
            assert!(ours.mean_ms < fixed.mean_ms, "{} ms, fixed {} ms", ours.mean_ms, fixed.mean_ms);
        }
    }
}
