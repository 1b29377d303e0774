//! How long the caller waits: from the frame with his last audible sample to the first audible sample of the bot, at the caller; and
//! where the time went, by the server. Offsets between both clocks' views are named stages of their own. Asserts that the parts
//! are the whole; never a time.

use std::path::Path;

use serde_json::Value;
use voicefleet::tools::caller::dialogues::Dialogues;
use voicefleet::tools::caller::{Report, Spread, TurnRow, run};
use voicefleet::units::dbfs;

use crate::kept::Kept;
use crate::tally::show;
use crate::worker::{CALLS_AT_ONCE, World};

/// Two callers whose sentences sound complete when they are: the bar is for complete utterances.
const VOICES: [&str; 2] = ["kumo", "joe"];
/// The parts may differ from the whole by so much.
const UNEXPLAINED_MS: f64 = 20.0;
/// The level of a sample that is audible, as the caller's ear has it.
const AUDIBLE: u16 = 260;
/// The level of a frame that is.
const AUDIBLE_DBFS: f32 = -45.0;
/// 20 ms at 8 kHz.
const FRAME: usize = 160;
const TICK_MS: f64 = 20.0;

/// One turn: the caller's figure and the parts that explain it.
struct Waterfall {
    wire_ms: f64,
    parts: Vec<(String, f64)>,
    waited: bool,
}

impl Waterfall {
    fn unexplained_ms(&self) -> f64 {
        self.wire_ms - self.parts.iter().map(|(_, ms)| ms).sum::<f64>()
    }
}

fn ms(samples: usize) -> f64 {
    samples as f64 / 8.0
}

/// The first sample that the caller's ear notices, as it does it: audible, in a frame that is. The first frame of `samples` is what
/// went before them.
fn first_heard(samples: &[i16], in_frame: usize) -> Option<usize> {
    let heard = |at: &usize| {
        let frame = &samples[at - in_frame..(at - in_frame + FRAME).min(samples.len())];
        samples[*at].unsigned_abs() >= AUDIBLE && dbfs(frame) > AUDIBLE_DBFS
    };
    (FRAME..samples.len()).find(heard).map(|at| at - FRAME)
}

/// The waterfalls of a call, with the server's stages between four that its clock alone does not show:
/// `tick`, the wait of the caller's frame for the worker's next tick: ticks and frames keep their phase over a call, so it is taken
/// from the frames that came back in another turn of it, and what this turn's own would say is not used;
/// `jitter`, that frame's wait in the queue; `detect`, from the frame with his last audible sample, in the recording, to the
/// silence that the voice detector saw; `return`, how late the reply's first frame was by the pace of those behind it, as the
/// caller saw it; `lead`, the silence at the head of the bot's audio.
///
/// A turn whose wait the caller measured and whose parts cannot be told is named, by what is missing.
fn waterfalls(report: &Report, kept: &Kept) -> Vec<Result<Waterfall, &'static str>> {
    let us = |fact: &Value, key: &str| fact[key].as_u64().unwrap();
    let ceased: Vec<(u64, f64)> = kept
        .told("/fact/line/voice_ceased")
        .map(|(_, fact)| (us(fact, "since_us"), fact["queue_ms"].as_f64().unwrap()))
        .collect();
    let opinions: Vec<(u64, f64)> =
        kept.told("/fact/heard/judged").map(|(at, fact)| (at, fact["complete"].as_f64().unwrap())).collect();
    let lines = kept.result["transcript"].as_array().unwrap();
    let told = |row: &TurnRow, wire_ms: f64| {
        let server = row.server.as_ref().ok_or("the server has no such turn")?;
        let of_turn = |line: &&Value| line["speaker"] == "customer" && line["turn"] == server.turn;
        let line = lines.iter().rfind(of_turn).ok_or("no line of the caller in the transcript")?;
        let silent_at = kept.zero_us() + us(line, "end_ms") * 1_000;
        let near = ceased.iter().find(|(since, _)| since.abs_diff(silent_at) < 2_000);
        let &(silent_us, queue_ms) = near.ok_or("the end of the line is no silence of the voice detector")?;
        let audible_us = silent_us + (server.total_ms * 1_000.0) as u64;
        let (silent, audible) = (kept.sample(silent_us), kept.sample(audible_us));
        let last = kept.caller[..audible].iter().rposition(|s| s.unsigned_abs() >= AUDIBLE);
        let frame = last.ok_or("the caller is not on the recording")? / FRAME * FRAME;
        // The caller's ear looks at frames of its own clock: where the sample lies in such a frame is known from its onset.
        let in_frame = ((row.end_ms + wire_ms) * 8.0).round() as usize % FRAME;
        let lead = first_heard(&kept.bot[audible - FRAME..], in_frame).ok_or("the bot is not on the recording")?;
        let phase_ms = (row.end_ms + wire_ms - row.late_ms - ms(lead)).rem_euclid(TICK_MS);
        let mut parts = vec![("jitter".to_owned(), queue_ms), ("detect".to_owned(), ms(silent) - ms(frame))];
        parts.extend(server.stages.iter().cloned());
        parts.push(("return".to_owned(), row.late_ms));
        parts.push(("lead".to_owned(), ms(lead)));
        let waited = opinions.iter().any(|&(at, complete)| (silent_us..=audible_us).contains(&at) && complete < 0.5);
        Ok((phase_ms, Waterfall { wire_ms, parts, waited }))
    };
    let turns: Vec<_> = report.turns.iter().filter_map(|row| Some(told(row, row.wire_ms?))).collect();
    let phases: Vec<f64> = turns.iter().flatten().map(|(phase_ms, _)| *phase_ms).collect();
    let mut others = phases.iter().cycle().skip(1);
    let mut with_tick = |(own_ms, mut turn): (f64, Waterfall)| {
        let other_ms =
            others.next().filter(|_| phases.len() > 1).ok_or("no other turn tells the phase of the ticks")?;
        // The phase goes round: 19.9 ms and 0.1 ms are neighbours.
        let rounds = ((own_ms - other_ms) / TICK_MS).round();
        turn.parts.insert(0, ("tick".to_owned(), other_ms + rounds * TICK_MS));
        Ok(turn)
    };
    turns.into_iter().map(|turn| turn.and_then(&mut with_tick)).collect()
}

/// Has these callers talk, one call at a time with nothing beside it, each in the next of the voices; shows every turn and the figures,
/// and holds each turn's parts against its whole. At least so many turns must have been measured.
pub fn parts_are_the_whole(world: &World, chosen: &[&str], least: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/callers/dialogues.toml");
    let mut dialogues = Dialogues::read(&path).unwrap().dialogue;
    dialogues.retain(|dialogue| chosen.contains(&dialogue.name.as_str()));
    assert_eq!(dialogues.len(), chosen.len());
    let (mut all, mut untold) = (Vec::new(), Vec::new());
    world.run(CALLS_AT_ONCE, async {
        for (mut script, voice) in dialogues.into_iter().zip(VOICES.iter().cycle()) {
            script.voice = Some((*voice).to_owned());
            let bot = script.bot.clone();
            let report = run(world.call(&bot, script)).await.unwrap();
            let Some(server) = &report.server else { panic!("{}: {:?}", report.name, report.failures) };
            for turn in waterfalls(&report, &Kept::of(world, &server.call_id)) {
                match turn {
                    Ok(turn) => all.push(turn),
                    Err(missing) => untold.push(format!("{}: {missing}", report.name)),
                }
            }
        }
    });
    figures(&all);
    assert!(all.len() >= least, "{} turns", all.len());
    assert!(untold.is_empty(), "turns that were measured and are not explained: {untold:?}");
    for turn in &all {
        assert!(
            turn.unexplained_ms().abs().round() <= UNEXPLAINED_MS,
            "{:.1} ms of {:.0} unexplained",
            turn.unexplained_ms(),
            turn.wire_ms
        );
    }
}

fn figures(all: &[Waterfall]) {
    for turn in all {
        let parts: Vec<String> = turn.parts.iter().map(|(name, ms)| format!("{name} {ms:.0}")).collect();
        let wait = if turn.waited { "  [asked to wait]" } else { "" };
        let unexplained = turn.unexplained_ms();
        show(&format!("{:>6.0} = {} + unexplained {unexplained:.0}{wait}", turn.wire_ms, parts.join(" + ")));
    }
    let wire = Spread::of(all.iter().map(|turn| turn.wire_ms));
    let waited = all.iter().filter(|turn| turn.waited).count();
    show(&format!(
        "caller stops -> bot audible: p50 {:.0} ms, p95 {:.0} ms (n={}); the end-of-turn model asked to wait in {waited} turns ({:.0} %)",
        wire.p50,
        wire.p95,
        wire.count,
        100.0 * waited as f64 / all.len().max(1) as f64
    ));
}
