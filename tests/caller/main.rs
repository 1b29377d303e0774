//! The simulated caller against a scripted WebSocket server whose clock is the frames it receives: what the caller heard, what it
//! measured, when it says that a call failed. No model and no speech program, but for the one test that names them.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test")]

mod double;

use double::{Bot, TONE_DATE, TONE_GOODBYE, TONE_HELLO, Words, call, options, serve, wav_tone};
use voicefleet::tools::caller::{
    CallArgs, CallError, ConnectError, Ended, LineKind, Opening, ResultFrom, Speaker, run,
};

const TWO_TURNS: &str =
    "expect = ['goodbye']\n[[step]]\nafter = 'hello'\nwav = 'yes.wav'\n[[step]]\nafter = 'date'\nwav = 'friday.wav'\n";

/// Hello; a question 15 frames after the caller's line; goodbye and hang-up 20 frames after the next.
fn two_turn_bot() -> Bot {
    Bot::new().say(TONE_HELLO, 30).after_line(15).say(TONE_DATE, 30).after_line(20).say(TONE_GOODBYE, 30).hang_up()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_heard_measured_and_passed() {
    let server = serve(two_turn_bot()).await;
    let folder = double::folder("passed");
    let mut options = options(&server, &folder, TWO_TURNS);
    options.out = Some(folder.join("heard.wav"));
    options.fields = vec![("loan_number".to_owned(), "LN\"77".to_owned())];
    let report = run(options).await.unwrap();
    assert!(report.passed(), "{:?}", report.failures);
    assert_eq!(report.ended, Ended::BotHungUp);

    let said: Vec<(Speaker, &str)> = report.transcript.iter().map(|line| (line.speaker, line.text.as_str())).collect();
    let (bot, caller) = (Speaker::Bot, Speaker::Caller);
    let yes = format!("[{}]", "yes.wav");
    let friday = format!("[{}]", "friday.wav");
    assert_eq!(said, [(bot, "hello"), (caller, &*yes), (bot, "which date"), (caller, &*friday), (bot, "goodbye")]);

    // The server replies by counting frames, so the figure cannot be smaller; how much larger depends on the machine.
    let wire: Vec<f64> = report.turns.iter().map(|row| row.wire_ms.unwrap()).collect();
    assert!(wire[0] >= 300.0 && wire[1] >= 400.0, "{wire:?}");
    assert_eq!((report.cut_ins, report.chunk_faults, report.unknown_messages), (0, 0, 0));
    assert_eq!(report.frames_received, 90);
    assert_eq!(report.send_late_ms.count, report.send_late_ms.count.max(100), "every frame is accounted for");

    let seen = server.finish().await;
    assert_eq!(seen.texts[0]["event"], "connected");
    assert_eq!(seen.texts[0]["loan_number"], "LN\"77");
    assert_eq!(seen.texts[0]["callDirection"], "incoming");
    assert_eq!(seen.texts[0]["streamId"], report.stream_id);
    assert_eq!((&seen.texts[1]["event"], &seen.texts[1]["mediaFormat"]["sampleRate"]), (&"start".into(), &8000.into()));
    assert_eq!(seen.texts[2]["event"], "answer");
    assert_eq!(seen.texts.last().unwrap()["disconnectedBy"], "bot");

    let mut wav = hound::WavReader::open(folder.join("heard.wav")).unwrap();
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 8000));
    let samples: Vec<i16> = wav.samples().map(Result::unwrap).collect();
    let loud = |side: usize| samples.iter().skip(side).step_by(2).filter(|s| s.unsigned_abs() > 1000).count();
    // Two lines of 400 ms on the left; three utterances of 600 ms on the right (a sine is above the mark 9 tenths of the time).
    assert!((4_000..6_500).contains(&loud(0)), "{}", loud(0));
    assert!((10_000..14_500).contains(&loud(1)), "{}", loud(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_bot_fails_the_call() {
    let report = call("silent", Bot::new(), "limit_s = 1\nlines = []\n[[step]]\nwav = 'yes.wav'\n").await.0;
    assert_eq!(report.ended, Ended::Limit);
    let told = report.failures.join("\n");
    for part in ["never audible", "never said", "not completed: step 1", "limit"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_expected_and_not_heard_fails_the_call() {
    let script = "expect = ['apples', 'hello']\n[[step]]\nafter = 'hello'\nwav = 'yes.wav'\nhangup = true\n[[step]]\nafter = 'never'\nwav = 'yes.wav'\n";
    let (report, seen) = call("expected", two_turn_bot(), script).await;
    assert_eq!(report.ended, Ended::CallerHungUp);
    assert_eq!(report.failures.len(), 2, "{:?}", report.failures);
    assert!(report.failures[0].contains("step 2 (after \"never\")") && report.failures[1].contains("/apples/"));
    assert_eq!(seen.texts.last().unwrap()["disconnectedBy"], "customer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barge_in_is_spoken_into_the_bot_and_its_unplayed_speech_is_never_heard() {
    // Four seconds of speech sent at once; the server takes back what was not played after 10 loud frames.
    let bot = Bot::new().say_at_once(TONE_HELLO, 200).stop_after_loud(10).after_line(15).say(TONE_DATE, 30);
    let script =
        "[[step]]\nbarge_in_ms = 600\nwav = 'yes.wav'\n[[step]]\nafter = 'date'\nwav = 'yes.wav'\nhangup = true\n";
    let report = call("barge", bot, script).await.0;
    assert!(report.passed(), "{:?}", report.failures);
    let row = &report.turns[0];
    assert_eq!((row.kind, row.cut_in), (LineKind::BargeIn, false));
    assert!(row.silenced_ms.unwrap() >= 180.0, "the tenth frame leaves 180 ms after the first: {row:?}");
    assert!(row.wire_ms.is_some(), "the reply to a barge-in is measured");
    let heard = report.bot_audible_ms;
    // Less the quiet first and last samples of each of the three tones.
    assert!(
        (1_390..4_000).contains(&heard),
        "600 ms + ten frames + 600 ms of reply were heard, of 4.6 s sent: {heard}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_speaks_into_the_callers_line_is_counted() {
    let bot = Bot::new().say(TONE_HELLO, 30).after_loud(5).say(TONE_DATE, 10).hang_up_after(40);
    let report = call("cutin", bot, "[[step]]\nwav = 'yes.wav'\n").await.0;
    assert_eq!((report.cut_ins, report.cut_in_share), (1, 1.0));
    assert!(report.talk_over_ms > 0.0);
    assert_eq!(report.turns[0].wire_ms, None, "what was cut in on has no latency");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outgoing_call_is_answered_late_and_a_bot_that_does_not_wait_fails() {
    let server = serve(Bot::new().say(TONE_HELLO, 30)).await;
    let folder = double::folder("outgoing");
    let mut late = options(&server, &folder, "[[step]]\nwav = 'yes.wav'\nhangup = true\n");
    late.answer_after_ms = Some(500);
    let report = run(late).await.unwrap();
    assert!(report.passed(), "{:?}", report.failures);
    let seen = server.finish().await;
    assert_eq!(seen.texts[0]["callDirection"], "outgoing");
    assert_eq!(seen.frames_before_answer, 25, "500 ms of ringing are 25 frames");

    let server = serve(Bot::new().impatient().say(TONE_HELLO, 30)).await;
    let mut early = options(&server, &folder, "[[step]]\nwav = 'yes.wav'\nhangup = true\n");
    early.answer_after_ms = Some(1500);
    let report = run(early).await.unwrap();
    assert!(report.failures.iter().any(|why| why.contains("before the call was answered")), "{:?}", report.failures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_opening_can_be_the_seeds_lone_connected() {
    let server = serve(Bot::new().say(TONE_HELLO, 30)).await;
    let folder = double::folder("lone");
    let mut lone = options(&server, &folder, "[[step]]\nwav = 'yes.wav'\ndtmf = '1#'\nhangup = true\n");
    lone.opening = vec![Opening::Connected];
    let report = run(lone).await.unwrap();
    assert!(report.passed(), "{:?}", report.failures);
    let seen = server.finish().await;
    let events: Vec<&str> = seen.texts.iter().map(|text| text["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["connected", "dtmf", "dtmf", "hangup-call"]);
    assert_eq!(seen.texts[0]["caps"][0], "dtmf");
    assert_eq!((&seen.texts[1]["digit"], &seen.texts[2]["digit"]), (&"1".into(), &"#".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_fails_the_call() {
    let (report, _) =
        call("gone", Bot::new().say(TONE_HELLO, 20).vanish(), "[[step]]\nafter = 'never'\nwav = 'yes.wav'\n").await;
    assert_eq!(report.ended, Ended::ConnectionLost);
    assert!(!report.passed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_frames_are_not_sent_and_are_counted() {
    let server = serve(two_turn_bot()).await;
    let folder = double::folder("lossy");
    let mut lossy = options(&server, &folder, TWO_TURNS);
    (lossy.spoil.loss_pct, lossy.spoil.mulaw, lossy.spoil.noise_db) = (10.0, true, Some(20.0));
    let report = run(lossy).await.unwrap();
    let seen = server.finish().await;
    assert!(report.frames_lost > 0);
    assert_eq!(seen.frames, report.send_late_ms.count as u64 - 1, "the last tick hangs up");
}

#[tokio::test]
async fn a_refusal_is_told_with_its_status() {
    let address = double::refuse("HTTP/1.1 404 Not Found\r\ncontent-length: 11\r\n\r\nunknown bot").await;
    let folder = double::folder("refused");
    let mut asked =
        double::options_for(&format!("ws://{address}/ws/nobody?token=x"), &folder, "[[step]]\nwav = 'yes.wav'\n");
    asked.stt = Some(Words::stt());
    match run(asked).await {
        Err(CallError::Connect(ConnectError::Refused { status, .. })) => assert_eq!(status, 404),
        other => panic!("{:?}", other.map(|report| report.failures)),
    }
}

#[tokio::test]
async fn a_script_that_needs_words_needs_a_recogniser() {
    let folder = double::folder("deaf");
    let mut deaf =
        double::options_for("ws://127.0.0.1:9/ws/x", &folder, "[[step]]\nafter = 'hello'\nwav = 'yes.wav'\n");
    deaf.stt = None;
    assert!(matches!(run(deaf).await, Err(CallError::Usage(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_account_lies_beside_the_wires() {
    let server = serve(two_turn_bot().ready("c-77")).await;
    let base = double::results("c-77").await;
    let folder = double::folder("account");
    let mut asked = options(&server, &folder, TWO_TURNS);
    asked.script.disposition = Some("promise_to_pay".to_owned());
    asked.result =
        Some(ResultFrom { base: base.clone(), token: None, trust: voicefleet::tools::caller::Trust::Public });
    let report = run(asked).await.unwrap();
    assert_eq!(report.call_id.as_deref(), Some("c-77"));
    let account = report.server.as_ref().unwrap();
    assert_eq!(account.link, format!("{base}/r/tok"));
    assert_eq!(report.failures, ["expected the disposition promise_to_pay, the server's result says \"refused\""]);
    assert_eq!(server.finish().await.texts[0]["caps"][0], "ready");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_over_tls_to_a_server_that_is_trusted_and_to_no_other() {
    let (address, ca) = double::serve_tls(Bot::new().say(TONE_HELLO, 20)).await;
    let folder = double::folder("tls");
    let pem = folder.join("ca.pem");
    std::fs::write(&pem, ca).unwrap();
    let script = "[[step]]\nwav = 'yes.wav'\nhangup = true\n";
    let url = format!("wss://localhost:{}/ws/x", address.port());
    let mut trusting = double::options_for(&url, &folder, script);
    trusting.trust = voicefleet::tools::caller::Trust::Public;
    assert!(matches!(run(trusting.clone()).await, Err(CallError::Connect(ConnectError::Unreachable { .. }))));
    trusting.trust = voicefleet::tools::caller::Trust::File(pem);
    let report = run(trusting).await.unwrap();
    assert!(report.passed(), "{:?}", report.failures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_spoken_by_the_systems_own_programs() {
    for voice in ["slt", "en-us+f3"] {
        let server = serve(Bot::new().say(TONE_HELLO, 20)).await;
        let folder = double::folder("spoken");
        let mut spoken = options(&server, &folder, "[[step]]\nsay = '-- Yes, this is Rahul.'\nhangup = true\n");
        spoken.script.voice = Some(voice.to_owned());
        let report = run(spoken).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(report.passed(), "{voice}: {:?}", report.failures);
        let line = report.transcript.iter().find(|line| line.speaker == Speaker::Caller).unwrap();
        assert!((800..4_000).contains(&(line.end_ms - line.start_ms)), "{voice}: {line:?}");
        assert_eq!(std::fs::read_dir(folder.join("callers")).unwrap().count(), 1, "kept once, nothing left over");
    }
}

#[tokio::test]
async fn a_wav_that_is_none_is_named() {
    let folder = double::folder("badwav");
    std::fs::write(folder.join("yes.wav"), b"RIFFnonsense").unwrap();
    wav_tone(&folder.join("friday.wav"), 300.0, 100);
    let asked = double::options_for("ws://127.0.0.1:9/ws/x", &folder, "[[step]]\nwav = 'yes.wav'\n");
    let error = run(asked).await.err().map(|error| error.to_string()).unwrap();
    assert!(error.contains("yes.wav") && error.contains("expected a WAV"), "{error}");
}

#[test]
fn the_shipped_scripts_have_no_fault() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/callers");
    let dialogues = voicefleet::tools::caller::dialogues::Dialogues::read(&root.join("dialogues.toml")).unwrap();
    assert!(dialogues.dialogue.len() >= 40, "{}", dialogues.dialogue.len());
    let distinct = |of: fn(&voicefleet::tools::caller::Script) -> String| {
        dialogues.dialogue.iter().map(of).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(distinct(|script| script.voice.clone().unwrap()).len() >= 3);
    assert_eq!(distinct(|script| script.bot.clone()).len(), 2);
    for name in ["payment-reminder", "appointment-desk", "barge-in"] {
        let text = std::fs::read_to_string(root.join(format!("{name}.toml"))).unwrap();
        voicefleet::tools::caller::Script::parse(&text, name).unwrap().check(name).unwrap();
    }
}

#[test]
fn the_command_line_becomes_a_call() {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        call: CallArgs,
    }
    let parse =
        |line: &str| <Command as clap::Parser>::try_parse_from(format!("call {line}").split(' ')).map(|made| made.call);
    let line = "--ws ws://h/ws/b --say yes no --voice rms --token s3cret --field a=b=c --noise-db 15 --loss-pct 2 --seed 9 --codec-degrade mulaw --outgoing --answer-after-ms 700 --opening start,connected,answer --limit-s 30";
    let made = parse(line).unwrap();
    assert!(!format!("{made:?}").contains("s3cret"), "a token is never printed");
    let asked = made.options(std::path::Path::new("/cache"), None, None).unwrap();
    assert_eq!(asked.fields, [("a".to_owned(), "b=c".to_owned())]);
    assert_eq!(
        (asked.answer_after_ms, asked.script.limit_s, asked.script.voice.as_deref()),
        (Some(700), 30, Some("rms"))
    );
    assert_eq!(
        (asked.spoil.noise_db, asked.spoil.loss_pct, asked.spoil.mulaw, asked.spoil.seed),
        (Some(15.0), 2.0, true, 9)
    );
    assert_eq!(asked.opening, [Opening::Start, Opening::Connected, Opening::Answer]);
    assert_eq!(asked.script.step.len(), 3, "two lines and the hang-up");
    for bad in ["--ws ws://h", "--ws ws://h --script a --say b", "--ws ws://h --say a --field x", "--say a"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    let much = parse("--ws ws://h --say a --loss-pct 101").unwrap();
    assert!(matches!(much.options(std::path::Path::new("/c"), None, None), Err(CallError::Usage(_))));
}
