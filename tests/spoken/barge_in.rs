//! Interruptions, as the caller hears them: words stop the bot at once and its line ends where it was heard to end; a cough, a word
//! of assent and the bot's own echo do not stop it, and nothing of the line is lost or said twice.

use futures_util::StreamExt as _;
use futures_util::stream;
use voicefleet::provider::score::{canonical_words, word_errors};
use voicefleet::tools::caller::{Echo, LineKind, Report, Script, Speaker, Spoil, Step, run};

use crate::interrupted::{INTERRUPTERS, INTERRUPTIONS, STORY, call, noisy, over_the_story, share_cut, spoken_over};
use crate::kept::{Kept, sounds, stereo};
use crate::tally::show;
use crate::worker::{CALLS_AT_ONCE, World, world};

/// What listeners say to show that they listen.
const BACK_CHANNELS: [&str; 4] = ["Okay.", "Uh huh.", "Yeah.", "Right."];
/// Whose voices they are said in: men's, as the bot's is a woman's.
const LISTENERS: [&str; 2] = ["rms", "awb"];
/// A word for the worker's estimate of where words stand in the audio, a word for a recogniser that completes what was cut short.
const MOST_WORDS_APART: usize = 1;
/// 20 ms at 8 kHz.
const FRAME: usize = 160;

async fn told(world: &World, name: &str, step: Option<Step>, spoil: Spoil) -> Report {
    told_by(world, "slt", over_the_story(name, step), spoil).await
}

async fn told_by(world: &World, voice: &str, script: Script, spoil: Spoil) -> Report {
    let name = script.name.clone();
    run(call(world, voice, script, spoil)).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn saying(say: &str) -> Step {
    Step { say: Some(say.to_owned()), ..Step::default() }
}

/// What the caller's earpiece played, without the pauses.
fn played(report: &Report) -> Vec<i16> {
    sounds(&stereo(report.recording.as_ref().unwrap().as_ref()).1)
}

#[test]
fn words_stop_the_bot_and_its_line_ends_where_it_was_heard_to_end() {
    let world = world();
    let step = saying("Please stop, I have a question about that.");
    let report = world.run(1, told(world, "interrupts", Some(step), Spoil::default()));
    let server = report.server.as_ref().unwrap();
    let kept = Kept::of(world, &server.call_id);
    let (cut_us, _) =
        kept.told("/order/line/cut").next().unwrap_or_else(|| panic!("never cut: {:?}", report.transcript));
    let next = kept.told("/fact/line/speech_began").map(|(_, began)| began["at_us"].as_u64().unwrap());
    let next = next.filter(|&at| at > cut_us).min().map_or(kept.bot.len(), |at| kept.sample(at));
    let cut = kept.sample(cut_us);
    // A frame leaves when its tick begins. The one after the decision may: its tick can begin while the order is on its way.
    let last = ((cut / FRAME + 2) * FRAME).min(kept.bot.len());
    let after = &kept.bot[last..next.max(last).min(kept.bot.len())];
    assert!(after.iter().all(|&sample| sample == 0), "more than a frame of the old line left after the decision");
    let (sent, heard) = (sounds(&kept.bot[..cut + FRAME]).len(), sounds(&heard_until(&report)).len());
    show(&format!("old line: {sent} samples to the decision and a frame beyond, {heard} heard by the caller"));
    assert!(
        heard <= sent + FRAME,
        "{heard} samples of the old line were heard, {sent} had been played at the decision"
    );

    let line = &kept.result["transcript"][0];
    assert_eq!((line["speaker"].as_str(), line["heard"].as_bool()), (Some("bot"), Some(false)));
    let first = report.transcript.iter().find(|line| line.speaker == Speaker::Bot).unwrap();
    let written = canonical_words(line["text"].as_str().unwrap()).len();
    let heard = words_heard(&first.text);
    show(&format!("transcript: {written} words, heard: {heard} words ({})", first.text));
    assert!(
        written.abs_diff(heard) <= MOST_WORDS_APART,
        "{written} words in the transcript, {heard} heard: {line} and {:?}",
        first.text
    );
    let barge_in = report.turns.iter().find(|turn| turn.kind == LineKind::BargeIn).unwrap();
    show(&format!("bot silent {:?} ms after the caller's first sample", barge_in.silenced_ms));
}

/// The earpiece up to the end of the interruption, before which there is no reply.
fn heard_until(report: &Report) -> Vec<i16> {
    let (_, heard) = stereo(report.recording.as_ref().unwrap().as_ref());
    let spoken = report.transcript.iter().find(|line| line.speaker == Speaker::Caller).unwrap();
    let end = usize::try_from(spoken.end_ms * 8).unwrap().min(heard.len());
    heard[..end].to_vec()
}

/// How many words of the story these recognised words cover.
fn words_heard(recognised: &str) -> usize {
    let story = canonical_words(STORY);
    (0..=story.len()).min_by_key(|&count| word_errors(&story[..count].join(" "), recognised).total()).unwrap()
}

#[test]
fn coughs_and_echo_stop_nothing_and_nothing_is_lost_or_said_twice() {
    let world = world();
    let cough = Step { cough: true, ..Step::default() };
    let echo = Spoil { echo: Some(Echo { below_db: 20.0, delay_ms: 150 }), ..Spoil::default() };
    let cases =
        [("undisturbed", None, Spoil::default()), ("coughs", Some(cough), Spoil::default()), ("echoes", None, echo)];
    let reports: Vec<Report> = world.run(CALLS_AT_ONCE, async {
        let calls = cases.map(|(name, step, spoil)| told(world, name, step, spoil));
        stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await
    });
    assert_undisturbed(world, &reports);
}

/// Were all of these calls told the same line, whole, as the first one was?
fn assert_undisturbed(world: &World, reports: &[Report]) {
    let whole = played(&reports[0]);
    assert!(whole.len() > 8 * 8_000, "eight seconds of the line at least");
    for report in reports {
        let server = report.server.as_ref().unwrap();
        let kept = Kept::of(world, &server.call_id);
        let pauses = kept.told("/order/line").filter(|(_, order)| order.as_str() == Some("pause")).count();
        let words = || kept.journal.iter().filter_map(|line| line.pointer("/fact/heard/transcribed/text")?.as_str());
        show(&format!("{}: paused {pauses} times, {:?} recognised", report.name, words().collect::<Vec<_>>()));
        assert_eq!(kept.told("/order/line/cut").count(), 0, "{}: cut by {:?}", report.name, words().next_back());
        assert_eq!(server.bot_lines.first().map(String::as_str), Some(STORY), "{}", report.name);
        let heard = played(report);
        let same = heard.iter().zip(&whole).take_while(|(one, other)| one == other).count();
        assert_eq!(same, whole.len(), "{}: of {} samples {same} came once and in order", report.name, whole.len());
        assert!(sounds(&kept.bot).starts_with(&whole), "{}: the recording has what was heard", report.name);
    }
}

#[test]
fn back_channels_stop_nothing_and_nothing_is_lost_or_said_twice() {
    let world = world();
    let call = |voice: &'static str, say: Option<&str>| {
        let name = format!("{voice} says {}", say.unwrap_or("nothing"));
        told_by(world, voice, over_the_story(&name, say.map(saying)), Spoil::default())
    };
    let said = LISTENERS.into_iter().flat_map(|voice| BACK_CHANNELS.map(|say| (voice, Some(say))));
    let cases: Vec<_> = std::iter::once((LISTENERS[0], None)).chain(said).collect();
    let reports: Vec<Report> = world.run(CALLS_AT_ONCE, async {
        let calls = cases.into_iter().map(|(voice, say)| call(voice, say));
        stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await
    });
    assert_undisturbed(world, &reports);
}

/// Words that nobody says to stop somebody, by two voices; the long form has more of them, and their figures.
#[test]
fn ordinary_words_cut_the_bot() {
    let world = world();
    let lines = &INTERRUPTIONS[..2];
    let clean = spoken_over(world, &INTERRUPTERS, lines, Spoil::default());
    assert!(share_cut("on a clean line", &clean) > 0.99);
    let over_noise = spoken_over(world, &INTERRUPTERS, &lines[..1], noisy());
    assert!(share_cut("with 15 dB of noise", &over_noise) > 0.99);
}

/// White noise 15 dB below a voice, from the first frame on, and nobody there.
#[test]
fn noise_alone_does_not_pause_the_bot() {
    let world = world();
    let noisy = |seed| Spoil { noise_db: Some(15.0), seed, ..Spoil::default() };
    let reports: Vec<Report> = world.run(CALLS_AT_ONCE, async {
        let calls = [Spoil::default(), noisy(3)].map(|spoil| told(world, "noise alone", None, spoil));
        stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await
    });
    for report in &reports {
        let kept = Kept::of(world, &report.server.as_ref().unwrap().call_id);
        let pauses = kept.told("/order/line").filter(|(_, order)| order.as_str() == Some("pause")).count();
        assert_eq!((kept.told("/fact/line/voice_began").count(), pauses), (0, 0));
    }
    assert_undisturbed(world, &reports);
}
