//! Results on a real disk: written once, found again, and owed to nobody after a crash.

use proptest::prelude::*;

use super::*;
use crate::journal::{Entry, Fact, Heard, LegFact, LegMeta, Note, Said, Who, Writer};
use crate::record::scratch::{Scratch, apart, files_of_at_most};
use crate::results::result::{
    DisconnectedBy, MediaQuality, RecordingReport, Resources, Speaker, Stage, TranscriptItem, TurnReport, Warning,
};
use crate::results::{CallSummary, Direction, Links, Tokens};
use crate::units::{BotId, Moment, Pii};

const STARTED: i64 = 1_777_627_800_250;

fn links() -> Links {
    Links::new(Tokens::new(&[7; 32]), "http://127.0.0.1:8080")
}

fn item(speaker: Speaker, text: &str, start_ms: u64, end_ms: u64, turn: u32) -> TranscriptItem {
    let timestamp = Stamp::from_unix_ms(STARTED).plus_ms(i64::try_from(start_ms).unwrap());
    TranscriptItem { speaker, text: Pii::new(text.to_owned()), timestamp, start_ms, end_ms, heard: true, turn }
}

fn unanswered() -> CallSummary {
    CallSummary {
        call_id: CallId::new("call-2"),
        caller_id: Pii::new("+919876543210".to_owned()),
        direction: Direction::Outbound,
        bot: BotId::new("payment-reminder"),
        bot_version: "3f2a".to_owned(),
        started: Stamp::from_unix_ms(STARTED),
        answered: None,
        ended: Stamp::from_unix_ms(STARTED + 30_000),
        duration_ms: 30_000,
        disconnected_by: DisconnectedBy::Rnr,
        end_reason: "no_answer".to_owned(),
        transcript: Vec::new(),
        recording: None,
        recording_url: None,
        outcome: None,
        turns: Vec::new(),
        media: MediaQuality::default(),
        sip: None,
        voicemail: None,
        resources: Resources::default(),
        warnings: Vec::new(),
    }
}

fn answered() -> CallSummary {
    let call_id = CallId::new("call-1");
    let stage = |stage: &str, ms| Stage { stage: stage.to_owned(), ms };
    CallSummary {
        recording_url: Some(links().recording_url(&call_id)),
        call_id,
        answered: Some(Stamp::from_unix_ms(STARTED + 1_000)),
        ended: Stamp::from_unix_ms(STARTED + 13_500),
        duration_ms: 12_500,
        disconnected_by: DisconnectedBy::Bot,
        end_reason: "completed".to_owned(),
        // Given in the order in which they were settled, which is not the order in which they began.
        transcript: vec![
            item(Speaker::Customer, "Yes.", 4_200, 4_700, 1),
            item(Speaker::Bot, "Am I speaking with Rahul Sharma?", 1_040, 3_900, 0),
        ],
        recording: Some(RecordingReport { duration_ms: 12_500, bytes: 400_044, lost_ms: 250, incomplete: None }),
        outcome: Some(serde_json::json!({"disposition": "promise_to_pay", "summary": "Pays on Friday.", "slots": {}})),
        turns: vec![TurnReport {
            turn: 1,
            total_ms: 540.0,
            stages: vec![stage("patience", 260.0), stage("llm_first_text", 12.5), stage("tts_first_audio", 267.5)],
            interrupted: false,
        }],
        media: MediaQuality { frames_in: 625, frames_out: 310, pacing_p99_us: 900, ..MediaQuality::default() },
        resources: Resources { llm_asks: 2, tts_characters: 61, ..Resources::default() },
        warnings: vec![Warning::new("template_unset", "crm.due_date")],
        ..unanswered()
    }
}

/// Compares with the fixture of this name; the fixture is what CRMs were promised.
fn same_as_fixture(name: &str, result: &CallResult) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/results").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(result).unwrap());
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; what the product writes:\n{text}", path.display());
    assert_eq!(serde_json::from_str::<CallResult>(&golden).unwrap(), *result, "and it reads back");
}

#[test]
fn the_results_shape_is_pinned() {
    same_as_fixture("answered.json", &answered().into());
    same_as_fixture("unanswered.json", &unanswered().into());
}

#[test]
fn the_guides_seven_fields_come_first() {
    let text = serde_json::to_string(&CallResult::from(unanswered())).unwrap();
    let names = [
        "session_id",
        "caller_id",
        "call_duration_seconds",
        "disconnected_by",
        "transcript",
        "recording_url",
        "post_call_analysis",
        "end_reason",
    ];
    let at: Vec<_> = names.iter().map(|name| text.find(&format!("\"{name}\"")).unwrap()).collect();
    assert!(at.is_sorted(), "{text}");
    assert!(text.contains("\"call_duration_seconds\":0.0"), "a float, and none where nobody answered");
}

#[test]
fn a_result_is_written_once() {
    let dir = Scratch::new("result-once");
    let folder = call_folder(dir.path(), &CallId::new("call-1")).unwrap();
    let first = CallResult::from(answered());
    let path = write_result(&folder, &first).unwrap();
    let mut second = first.clone();
    second.end_reason = "worker_crashed".to_owned();
    assert!(matches!(write_result(&folder, &second), Err(WriteError::AlreadyWritten { .. })));
    assert_eq!(read_result(&folder).unwrap(), first);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left beside {}", path.display());
}

#[test]
fn a_result_that_the_disk_refuses_leaves_nothing_and_is_written_when_there_is_room() {
    apart(
        concat!(module_path!(), "::a_result_that_the_disk_refuses_leaves_nothing_and_is_written_when_there_is_room"),
        || {
            let dir = Scratch::new("results-refused");
            let result = CallResult::from(answered());
            files_of_at_most(Some(100));
            let refused = write_result(dir.path(), &result);
            assert!(matches!(refused, Err(WriteError::Io { .. })), "{refused:?}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "neither half a result nor what it began as");
            files_of_at_most(None);
            write_result(dir.path(), &result).unwrap();
            assert_eq!(read_result(dir.path()).unwrap(), result);
            assert!(matches!(write_result(dir.path(), &result), Err(WriteError::AlreadyWritten { .. })));
        },
    );
}

#[test]
fn of_many_writers_at_once_exactly_one_wins() {
    let dir = Scratch::new("result-race");
    let result = CallResult::from(answered());
    let wins: usize = std::thread::scope(|scope| {
        let tries: Vec<_> =
            (0..8).map(|_| scope.spawn(|| usize::from(write_result(dir.path(), &result).is_ok()))).collect();
        tries.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(wins, 1);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn an_id_never_leads_out_of_the_folder_of_calls() {
    for bad in ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", ".hidden", "ü", &"x".repeat(129)] {
        assert!(call_folder(Path::new("data"), &CallId::new(bad)).is_err(), "{bad:?}");
    }
    let good = call_folder(Path::new("data"), &CallId::new("0197-c0de_a.b")).unwrap();
    assert_eq!(good, Path::new("data/calls/0197-c0de_a.b"));
}

#[test]
fn the_secret_is_made_once_and_kept_from_others() {
    let dir = Scratch::new("secret");
    let first = load_secret(dir.path()).unwrap();
    assert_ne!(first, [0; 32]);
    assert_eq!(load_secret(dir.path()).unwrap(), first);
    let path = dir.path().join("secret");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(load_secret(dir.path()).unwrap(), first);
    assert_eq!(mode(), 0o600);
    std::fs::write(&path, b"short").unwrap();
    assert!(matches!(load_secret(dir.path()), Err(SecretError::Length { found: 5, .. })));
}

#[test]
fn the_log_of_calls_is_read_from_the_disk() {
    let dir = Scratch::new("index-load");
    for n in 0..5_i64 {
        let mut summary = answered();
        summary.call_id = CallId::new(&format!("c{n}"));
        // The newest call is in the middle.
        summary.started = Stamp::from_unix_ms(STARTED + [1, 4, 9, 3, 2][usize::try_from(n).unwrap()] * 1000);
        write_result(&call_folder(dir.path(), &summary.call_id).unwrap(), &summary.into()).unwrap();
    }
    std::fs::create_dir_all(dir.path().join("calls/running")).unwrap();
    std::fs::create_dir_all(dir.path().join("calls/broken")).unwrap();
    std::fs::write(dir.path().join("calls/broken/result.json"), b"{").unwrap();
    let load = load_index(dir.path(), 10);
    let ids: Vec<_> = load.index.newest().map(|row| row.call_id.as_str().to_owned()).collect();
    assert_eq!(ids, ["c2", "c1", "c3", "c4", "c0"]);
    assert_eq!(load.index.newest().next().unwrap().disposition, "promise_to_pay");
    assert_eq!(load.unreadable.len(), 1);
    assert_eq!(load_index(dir.path(), 3).index.len() + load_index(dir.path(), 3).unreadable.len(), 3);
    assert!(load_index(&dir.path().join("nowhere"), 3).index.is_empty());
}

/// The journal of a call in its second turn, as the driver writes it.
fn journal_bytes(ended: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let (call, bot) = (CallId::new("crashed"), BotId::new("payment-reminder"));
    let writer = Writer::begin(&call, &bot, "3f2a", Stamp::from_unix_ms(STARTED), Moment::ZERO, &mut out);
    let mut put = |ms: u64, entry: Entry| writer.line(Moment::from_millis(ms), entry, &mut out);
    let meta = LegMeta {
        caller_id: "+919876543210".to_owned(),
        did: "1800".to_owned(),
        outgoing: true,
        custom: std::iter::once(("customer_name".to_owned(), "Rahul".to_owned())).collect(),
        marks: false,
        ring_limit_ms: None,
        tells_transfers: false,
    };
    let said = |speaker, text: &str, start_ms, end_ms, turn| {
        Entry::Note(Note::Said(Said { speaker, text: text.to_owned(), start_ms, end_ms, heard: true, turn }))
    };
    let heard = |heard| Entry::Fact(Fact::Heard(heard));
    put(0, Entry::Fact(Fact::Opened(meta)));
    put(40, Entry::Fact(Fact::Leg(LegFact::Started { rate_hz: 8_000 })));
    put(40, Entry::Note(Note::Recording { rate_hz: 8_000 }));
    put(1_040, Entry::Fact(Fact::Leg(LegFact::Answered)));
    put(1_050, heard(Heard::Drafted { utterance: 1, text: "Am I speaking with Rahul?".into(), protected: false }));
    put(1_140, heard(Heard::Spoken { utterance: 1, segment: 0, samples: 8_000, last: true }));
    put(2_200, said(Who::Bot, "Am I speaking with Rahul?", 1_100, 2_100, 0));
    put(2_540, heard(Heard::Partial { turn: 1, text: "Ye".into(), sure: 1.0 }));
    put(3_040, heard(Heard::Transcribed { turn: 1, take: 1, text: "Yes.".into(), sure: 1.0 }));
    if ended {
        put(3_100, said(Who::Customer, "Yes.", 2_400, 2_900, 1));
        let (end_reason, disconnected_by) = ("far_end_hung_up".to_owned(), "customer".to_owned());
        put(4_040, Entry::Note(Note::Ended { end_reason, disconnected_by, analysis: None }));
    } else {
        put(3_060, heard(Heard::Drafted { utterance: 2, text: "Your instalment ".into(), protected: false }));
        put(3_100, heard(Heard::Spoken { utterance: 2, segment: 0, samples: 4_000, last: false }));
        put(3_160, heard(Heard::Drafted { utterance: 3, text: "never voiced".into(), protected: false }));
    }
    out
}

/// A recording as the recorder leaves it when it is killed: the header of the last patch, then `frames` of audio.
fn wav_bytes(frames: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(io::Cursor::new(&mut out), spec).unwrap();
    (0..frames * 2).for_each(|n| writer.write_sample((n % 1_000) as i16).unwrap());
    writer.finalize().unwrap();
    // hound writes the plain 44-byte header for 16-bit stereo, with the lengths at 4 and 40.
    out[4..8].copy_from_slice(&36_u32.to_le_bytes());
    out[40..44].copy_from_slice(&0_u32.to_le_bytes());
    out
}

fn recovered(dir: &Path) -> Recovery {
    recover(&DataClaim::take(dir).unwrap(), &links())
}

fn crashed(dir: &Scratch, journal: Option<&[u8]>, wav: Option<&[u8]>) -> PathBuf {
    let folder = dir.path().join("calls/crashed");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in [("journal", journal), ("recording.wav", wav)] {
        if let Some(bytes) = bytes {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    folder
}

#[test]
fn a_crashed_call_gets_its_result_and_a_recording_that_plays() {
    let dir = Scratch::new("recover-one");
    let folder = crashed(&dir, Some(&journal_bytes(false)), Some(&wav_bytes(28_000)));
    std::fs::write(folder.join("result.json.99-0.tmp"), b"{\"half").unwrap();
    let done = recovered(dir.path());
    assert_eq!((done.recovered.len(), done.mended, done.failed.len()), (1, 1, 0), "{done:?}");
    assert_eq!(hound::WavReader::open(folder.join("recording.wav")).unwrap().duration(), 28_000);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3, "the half-written result is gone");
    same_as_fixture("crashed.json", &read_result(&folder).unwrap());
    let again = recovered(dir.path());
    assert_eq!((again.recovered.len(), again.mended, again.failed.len()), (0, 0, 0), "{again:?}");
}

#[test]
fn a_call_that_had_ended_keeps_its_reason() {
    let dir = Scratch::new("recover-ended");
    let folder = crashed(&dir, Some(&journal_bytes(true)), None);
    assert_eq!(recovered(dir.path()).recovered.len(), 1);
    let result = read_result(&folder).unwrap();
    assert_eq!((result.end_reason.as_str(), result.disconnected_by), ("far_end_hung_up", DisconnectedBy::Customer));
    assert_eq!(result.call_duration_seconds, 3.0);
    assert_eq!((result.recording, result.recording_url), (None, None));
    let texts: Vec<_> = result.transcript.iter().map(|line| line.text.reveal().as_str()).collect();
    assert_eq!(texts, ["Am I speaking with Rahul?", "Yes."], "settled lines only, none twice");
}

#[test]
fn a_finished_call_is_left_as_it_is() {
    let dir = Scratch::new("recover-finished");
    let folder = crashed(&dir, Some(&journal_bytes(true)), None);
    write_result(&folder, &answered().into()).unwrap();
    std::fs::create_dir_all(dir.path().join("calls/empty")).unwrap();
    std::fs::write(dir.path().join("calls/stray-file"), b"x").unwrap();
    let done = recovered(dir.path());
    assert!(done.recovered.is_empty() && done.failed.is_empty(), "{done:?}");
    assert_eq!(read_result(&folder).unwrap().end_reason, "completed");
    assert!(recovered(&dir.path().join("nowhere")).failed.is_empty());
}

#[test]
fn what_cannot_be_recovered_is_named() {
    let dir = Scratch::new("recover-foreign");
    let folder =
        crashed(&dir, Some(&journal_bytes(false)), Some(b"OggS: somebody put another file here, longer than a header"));
    let done = recovered(dir.path());
    assert_eq!(done.recovered.len(), 1, "the result is owed all the same");
    assert_eq!(done.failed.len(), 1);
    assert!(done.failed[0].contains("recording.wav: expected a stereo PCM16 recording"), "{}", done.failed[0]);
    assert_eq!(read_result(&folder).unwrap().recording_url, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Wherever a kill cut the journal and the recording: one result, a recording that plays every sample that reached the
    /// disk, and nothing more to do afterwards.
    #[test]
    fn wherever_the_process_died_there_is_one_result_and_a_recording_that_plays(
        journal_cut in any::<prop::sample::Index>(),
        wav_cut in any::<prop::sample::Index>(),
        ended in any::<bool>(),
        noise in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let dir = Scratch::new("recover-any");
        let mut journal = journal_bytes(ended);
        journal.truncate(journal_cut.index(journal.len() + 1));
        if let (Some((at, byte)), false) = (noise, journal.is_empty()) {
            let at = at.index(journal.len());
            journal[at] = byte;
        }
        let mut wav = wav_bytes(700);
        wav.truncate(wav_cut.index(wav.len() + 1));
        let folder = crashed(&dir, Some(&journal), Some(&wav));
        let done = recovered(dir.path());
        prop_assert_eq!(done.recovered.len(), 1);
        prop_assert!(done.failed.is_empty(), "{:?}", done.failed);
        let result = read_result(&folder).unwrap();
        prop_assert_eq!(result.session_id.as_str(), "crashed");
        prop_assert!(result.call_duration_seconds >= 0.0);
        let samples: Vec<i16> =
            hound::WavReader::open(folder.join("recording.wav")).unwrap().samples().map(Result::unwrap).collect();
        let kept = wav.get(44..).unwrap_or_default();
        prop_assert_eq!(samples.len(), kept.len().div_ceil(4) * 2);
        let whole = kept.len() / 2;
        prop_assert!(samples[..whole].iter().enumerate().all(|(n, &s)| s == (n % 1_000) as i16));
        let again = recovered(dir.path());
        prop_assert!(again.recovered.is_empty() && again.mended == 0 && again.failed.is_empty(), "{:?}", again);
        prop_assert_eq!(read_result(&folder).unwrap(), result);
    }
}
