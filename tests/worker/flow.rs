//! A call's flow through the whole worker, as the diallers' own session scripts S1 and S2 have it.

use voicefleet::call::Mark;
use voicefleet::journal::{Entry, Line, Note};
use voicefleet::results::{DisconnectedBy, Speaker};

use crate::caller::{Caller, Came, Memory, Plan, SETTLE};
use crate::tape::{TONE_PEAK, channels, tone_hz, tone_peaks};
use crate::world::{Folder, World, beside_others, brisk, standin_bot};

/// Nothing came before the answer, chunks count from 1, every frame is 20 ms of 8 kHz PCM.
fn plain_audio(memory: &Memory) {
    assert!(memory.first_audio_ms().unwrap() >= memory.answered_ms, "the bot waits for the answer");
    assert!(memory.chunks().iter().zip(1..).all(|(&came, wanted)| came == wanted), "{:?}", memory.chunks());
    let whole = |c: &Came| !matches!(c, Came::Audio { bytes, .. } if *bytes != 320);
    assert!(memory.came.iter().all(|(_, c)| whole(c)), "a frame is 20 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_inbound_barge_in_and_the_bots_hang_up() {
    let _turn = beside_others().await;
    let folder = Folder::new("s1");
    folder.bot("demo", &standin_bot("").replace("Hello.", "Hello, this is about loan {{call.loan_number}}."));
    // Lines long enough to be interrupted, by words that are no back-channel.
    let interrupted = || voicefleet::provider::standin::Config {
        speech_ms_per_char: 40,
        caller_lines: vec!["I have another question about that.".to_owned()],
        ..brisk()
    };
    let world = World::over(folder, |_| {}, interrupted()).await;
    let plan = Plan {
        barge_in_ms: Some(400),
        // Longer than the bound for words: the recogniser of this bot has none before the caller is silent.
        speech_ms: 1_500,
        fields: vec![("loan_number".to_owned(), "LN77".to_owned())],
        ..Plan::new("+91-s1")
    };
    let mut caller = Caller::open(&world.ws("demo"), plan).await.unwrap();
    assert_eq!(caller.listen_for(SETTLE).await, 0, "nothing is sent before the answer");
    let memory = caller.finish().await;
    plain_audio(&memory);
    // The barge-in: a stop while the caller speaks, and silence until the caller is answered.
    let (began, ended) = memory.spoke[0];
    let stop = memory.came.iter().position(|(_, c)| matches!(c, Came::Stop)).expect("a reverse-media-stop");
    let (stop_ms, _) = memory.came[stop];
    assert!((began..ended + 600).contains(&stop_ms), "spoke {began}..{ended}, stopped at {stop_ms}");
    let (next_ms, next) = &memory.came[stop + 1];
    assert!(matches!(next, Came::Audio { .. }), "{next:?}");
    assert!(*next_ms >= ended, "nothing of the old answer leaves: audio at {next_ms}, the caller spoke until {ended}");
    // The goodbye, then stop, then hang-up, and nothing more.
    let unmarked: Vec<&Came> = memory.came.iter().map(|(_, c)| c).filter(|c| !matches!(c, Came::Mark(_))).collect();
    let [.., goodbye, last_stop, hang_up] = unmarked[..] else { panic!("three at least") };
    assert!(
        matches!((goodbye, last_stop, hang_up), (Came::Audio { .. }, Came::Stop, Came::HangUp)),
        "{goodbye:?} {last_stop:?} {hang_up:?}"
    );
    assert_eq!(memory.closed, Some(1000));
    let result = world.result_of("+91-s1").await;
    assert_eq!((result.disconnected_by, result.end_reason.as_str()), (DisconnectedBy::Bot, "completed"));
    let first = &result.transcript[0];
    assert!(first.speaker == Speaker::Bot && !first.heard, "the greeting was cut: {first:?}");
    assert!(first.text.reveal().len() < 40, "only what was heard is kept: {first:?}");
    assert_eq!(result.media.barge_ins, 1);
    assert!(!result.warnings.iter().any(|w| w.code == "template_unset"), "{:?}", result.warnings);
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_the_stream_id_may_come_with_start() {
    let _turn = beside_others().await;
    let world = World::new("s2a").await;
    let opening = [
        r#"{"event":"connected","callerId":"+91-s2a","did":"+9180","callDirection":"incoming"}"#,
        r#"{"event":"start","streamId":"late-id","mediaFormat":{"encoding":"LINEAR","sampleRate":8000,"channels":1}}"#,
    ];
    let plan = Plan { opening: Some(opening.map(str::to_owned).to_vec()), turns: 1, ..Plan::new("+91-s2a") };
    let mut caller = Caller::open(&world.ws("demo"), plan).await.unwrap();
    assert!(caller.until(|m| m.turns == 1 && m.spoke[0].1 < u64::MAX).await);
    plain_audio(&caller.memory);
    drop(caller);
    let result = world.result_of("+91-s2a").await;
    assert_eq!((result.disconnected_by, result.end_reason.as_str()), (DisconnectedBy::Customer, "leg_closed"));
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_hang_up_before_the_answer_costs_nothing() {
    let _turn = beside_others().await;
    let world = World::new("s2b").await;
    let plan = Plan { outgoing: true, ring_ms: 30_000, hang_up_ms: Some(400), ..Plan::new("+91-s2b") };
    let memory = Caller::converse(&world.ws("demo"), plan).await;
    assert!(memory.came.is_empty(), "the bot said nothing: {:?}", memory.came);
    let result = world.result_of("+91-s2b").await;
    assert_eq!((result.disconnected_by, result.end_reason.as_str()), (DisconnectedBy::Customer, "customer_hung_up"));
    assert!(result.call_duration_seconds.abs() < f64::EPSILON, "{}", result.call_duration_seconds);
    assert_eq!((result.resources.llm_asks, result.resources.tts_characters, result.transcript.len()), (0, 0, 0));
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_media_before_a_late_answer_is_recorded_and_never_answered() {
    let _turn = beside_others().await;
    let world = World::with("s2e", |c| c.websocket.answer_ms = 20_000, brisk()).await;
    let plan = Plan { outgoing: true, ring_ms: 3_000, talks_early: true, turns: 1, tone: 5, ..Plan::new("+91-s2e") };
    let mut caller = Caller::open(&world.ws("demo"), plan).await.unwrap();
    let heard = |m: &Memory| m.came.iter().filter(|(_, c)| matches!(c, Came::Audio { .. })).count() > 20;
    assert!(caller.until(heard).await, "after the late answer the bot speaks");
    plain_audio(&caller.memory);
    assert!(caller.memory.answered_ms >= 3_000);
    drop(caller.drop_line());
    let result = world.result_of("+91-s2e").await;
    assert!(result.transcript.iter().all(|l| l.speaker == Speaker::Bot), "{:?}", result.transcript);
    assert_eq!(result.resources.llm_asks, 1, "only the opening was asked for");
    assert!(result.call_duration_seconds < 3.0, "the talk begins at the answer: {}", result.call_duration_seconds);
    let (left, _) = channels(&world.folder.data().join("calls").join(&result.session_id).join("recording.wav"));
    let early = tone_peaks(&left[..left.len().min(8 * 2_000)], tone_hz(5));
    assert!(early.iter().any(|&peak| peak > TONE_PEAK * 0.7), "what was said before the answer is recorded");
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_answered_and_marks_that_nobody_sent_change_nothing() {
    let _turn = beside_others().await;
    let world = World::new("dtmf").await;
    let mut caller = Caller::open(&world.ws("demo"), Plan { turns: 0, ..Plan::new("+91-dtmf") }).await.unwrap();
    assert!(caller.until(|m| m.first_audio_ms().is_some()).await);
    // Marks that nobody sent, some twice, some cleared, within the limit of frames per second.
    for n in 0..50 {
        let name = format!("g{}.u{}", 900 + n % 3, n / 2);
        let text = caller.wire.mark_played(&name, n % 2 == 0);
        assert!(caller.say(text).await);
    }
    let spoken = caller.memory.chunks().len();
    assert!(caller.until(move |m| m.chunks().len() > spoken + 20).await, "the greeting goes on");
    for key in ['4', '2', '#'] {
        let text = caller.wire.digit(key);
        assert!(caller.say(text).await);
    }
    let quiet = |m: &Memory| {
        let last = m.came.last().map_or(0, |(at, _)| *at);
        (m.late_us.len() as u64 * 20).saturating_sub(last) > 1_500
    };
    assert!(caller.until(quiet).await, "the bot has answered and listens");
    drop(caller.drop_line());
    let result = world.result_of("+91-dtmf").await;
    assert_eq!(result.resources.llm_asks, 2, "the opening and the keys: {:?}", result.transcript);
    let bot: Vec<_> = result.transcript.iter().filter(|l| l.speaker == Speaker::Bot).collect();
    assert_eq!(bot.len(), 2, "{:?}", result.transcript);
    assert!(!bot[0].heard && bot[1].heard, "the keys cut the greeting short and were answered: {bot:?}");
    world.quiet().await;
    world.stop().await;
}

/// What a call's journal says of the far end's playout: the name and how late it was.
fn reported(world: &World, call: &str) -> Vec<(String, i64)> {
    let path = world.folder.data().join("calls").join(call).join("journal");
    let journal = voicefleet::journal::read(&std::fs::read(path).unwrap());
    let of = |line: &Line| match &line.entry {
        Entry::Note(Note::FarPlayout { mark, lag_ms }) => Some((mark.clone(), *lag_ms)),
        _ => None,
    };
    journal.lines.iter().filter_map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_goodbye_is_played_before_the_bot_hangs_up() {
    let _turn = beside_others().await;
    let world = World::new("marks").await;
    let buffer_ms = 600;
    let plan = Plan { played_ms: Some(buffer_ms), ..Plan::new("+91-marks") };
    let memory = Caller::converse(&world.ws("demo"), plan).await;
    plain_audio(&memory);
    let names = memory.marks();
    assert!(names.len() >= 2, "a greeting and a goodbye: {names:?}");
    let mut once: Vec<Mark> = names.iter().map(|name| Mark::parse(name).unwrap()).collect();
    once.dedup();
    assert!(once.len() == names.len() && once.is_sorted(), "each once and in order: {names:?}");
    // Each follows audio, and the bot hangs up when the last one was played.
    for pair in memory.came.windows(2) {
        assert!(!matches!(pair[1].1, Came::Mark(_)) || matches!(pair[0].1, Came::Audio { .. } | Came::Mark(_)));
    }
    let hung_up = memory.came.iter().find(|(_, c)| matches!(c, Came::HangUp)).map(|(at, _)| *at).unwrap();
    let (played_at, last, played) = memory.played.last().unwrap();
    assert!(*played && last == names.last().unwrap() && *played_at <= hung_up, "{:?} {hung_up}", memory.played);
    let result = world.result_of("+91-marks").await;
    assert_eq!(result.end_reason, "completed");
    assert!(result.transcript.iter().all(|l| l.heard), "{:?}", result.transcript);
    let lags = reported(&world, &result.session_id);
    assert_eq!(lags.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names, "all of it is in the journal");
    // The line's clock counts the last three frames as played later than the far end was sent them.
    assert!(lags.iter().all(|(_, lag)| *lag >= buffer_ms as i64 - 60), "{lags:?}");
    let measured = world.metric("voicefleet_far_playout_lag_seconds_count").await;
    assert!((measured - names.len() as f64).abs() < 0.5, "{measured} in the histogram");
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_dialler_sees_no_mark_and_a_mute_one_loses_nothing() {
    let _turn = beside_others().await;
    let world = World::new("no-marks").await;
    for (name, marks) in [("+91-plain", false), ("+91-mute", true)] {
        let plan = Plan { marks, played_ms: None, ..Plan::new(name) };
        let memory = Caller::converse(&world.ws("demo"), plan).await;
        assert_eq!(memory.marks().is_empty(), !marks, "{name}");
        let result = world.result_of(name).await;
        assert_eq!(result.end_reason, "completed", "{name}");
        assert!(result.transcript.iter().all(|l| l.heard), "{name}: {:?}", result.transcript);
        assert_eq!(reported(&world, &result.session_id), [], "{name}");
    }
    world.quiet().await;
    world.stop().await;
}
