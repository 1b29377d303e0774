//! Who speaks over the bot, in ordinary words and in back-channels: how often that cuts it, and how soon it is silent. By voices, on a
//! clean line and on one with 15 dB of noise and µ-law.

use futures_util::StreamExt as _;
use futures_util::stream;
use voicefleet::tools::caller::{CallOptions, LineKind, Report, Script, Spoil, Spread, Step, run};

use crate::kept::Kept;
use crate::tally::show;
use crate::worker::{CALLS_AT_ONCE, World};

/// A line of a quarter of a minute.
pub const STORY: &str = "We are calling about the garden that you asked us to look after, because the roses near the wall need water \
                         every morning, the apples behind the house should be picked before the end of the week, and the old gate \
                         at the far side of the field has to be mended soon.";
/// Words that nobody says to stop somebody.
pub const INTERRUPTIONS: [&str; 6] = [
    "I already paid that last week.",
    "My sister takes care of the roses now.",
    "Can I ask who is calling me?",
    "I do not have a garden at all.",
    "Please call me back in the evening.",
    "You have called the wrong house.",
];
/// One voice of each engine.
pub const INTERRUPTERS: [&str; 2] = ["rms", "joe"];
/// The line of the noisy form.
pub fn noisy() -> Spoil {
    Spoil { noise_db: Some(15.0), mulaw: true, ..Spoil::default() }
}

/// What came of one call.
pub struct Over {
    /// The bot was cut.
    pub cut: bool,
    /// From the caller's first sample until the bot was silent for the last time, where it was cut.
    pub silenced_ms: Option<f64>,
}

/// A call to the bot that tells its story.
pub fn call(world: &World, voice: &str, script: Script, spoil: Spoil) -> CallOptions {
    let mut call = world.call("reader", script);
    call.voice = voice.to_owned();
    call.fields = vec![("line".to_owned(), STORY.to_owned())];
    call.spoil = spoil;
    call
}

/// The script of a caller that says this four seconds into the story, and listens to the rest of it.
pub fn over_the_story(name: &str, step: Option<Step>) -> Script {
    let mut script = Script { name: name.to_owned(), limit_s: 90, turn_silence_ms: 2_000, ..Script::default() };
    script.step.extend(step.map(|step| Step { barge_in_ms: Some(4_000), ..step }));
    script.step.push(Step { hangup: true, ..Step::default() });
    script
}

fn came_of(world: &World, report: &Report) -> Over {
    let kept = Kept::of(world, &report.server.as_ref().unwrap().call_id);
    let cut = kept.told("/order/line/cut").count() > 0;
    let mut words = kept.journal.iter().filter_map(|line| line.pointer("/fact/heard/transcribed/text")?.as_str());
    let row = report.turns.iter().find(|turn| turn.kind == LineKind::BargeIn);
    let silenced_ms = row.and_then(|row| row.silenced_ms).filter(|_| cut);
    show(&format!("{}: cut {cut}, silent after {silenced_ms:?} ms, {:?} recognised", report.name, words.next_back()));
    Over { cut, silenced_ms }
}

/// Has each voice say each line over a story of its own, and tells what came of them.
pub fn spoken_over(world: &World, voices: &[&str], lines: &[&str], spoil: Spoil) -> Vec<Over> {
    let all: Vec<_> = voices.iter().flat_map(|voice| lines.iter().map(move |line| (*voice, *line))).collect();
    let reports: Vec<Report> = world.run(CALLS_AT_ONCE, async {
        let calls = all.into_iter().map(|(voice, line)| async move {
            let name = format!("{voice} over the bot: {line}");
            let step = Step { say: Some(line.to_owned()), ..Step::default() };
            run(call(world, voice, over_the_story(&name, Some(step)), spoil))
                .await
                .unwrap_or_else(|e| panic!("{name}: {e}"))
        });
        stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await
    });
    reports.iter().map(|report| came_of(world, report)).collect()
}

/// The share of these that was cut, shown with how soon.
pub fn share_cut(what: &str, over: &[Over]) -> f64 {
    let silenced = Spread::of(over.iter().filter_map(|one| one.silenced_ms));
    let cut = over.iter().filter(|one| one.cut).count();
    show(&format!(
        "{what}: {cut} of {} cut the bot; silent after p50 {:.0} ms, p95 {:.0} ms",
        over.len(),
        silenced.p50,
        silenced.p95
    ));
    cut as f64 / over.len().max(1) as f64
}
