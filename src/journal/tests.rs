//! A journal survives the way to the disk and back, whole or torn, old or new.

use proptest::prelude::*;

use super::*;
use crate::journal::{
    Answerer, Ask, Entry, Fact, Heard, LegFact, LegMeta, LegOrder, LineOrder, Note, Order, Said, Sign, Who, Writer,
};
use crate::units::{BotId, CallId, Moment, Pii, SampleRate, Stamp, TurnNo, UtteranceId};
use crate::{call, turn};

fn begin(out: &mut Vec<u8>) -> Writer {
    let (call, bot) = (CallId::new("c-1"), BotId::new("payment-reminder"));
    Writer::begin(&call, &bot, "v-abc", Stamp::from_unix_ms(1_777_627_800_250), Moment::from_millis(5_000), out)
}

fn leg_fact() -> impl Strategy<Value = call::LegFact> {
    let loss = prop_oneof![
        Just(call::LegLoss::Closed),
        Just(call::LegLoss::Silent),
        Just(call::LegLoss::Stuck),
        Just(call::LegLoss::Protocol),
        Just(call::LegLoss::Internal),
    ];
    prop_oneof![
        (1_u32..=384_000).prop_map(|hz| call::LegFact::Started { rate: SampleRate::new(hz).unwrap() }),
        Just(call::LegFact::Answered),
        any::<char>().prop_map(|digit| call::LegFact::Digit { digit }),
        (any::<(u32, u16)>(), any::<bool>()).prop_map(|((utterance, segment), played)| {
            let mark = call::Mark { utterance: UtteranceId(utterance), segment };
            call::LegFact::Mark { mark, played }
        }),
        any::<Option<String>>().prop_map(|by| call::LegFact::HungUp { by }),
        any::<Option<u16>>().prop_map(|status| call::LegFact::TransferFailed { status }),
        proptest::sample::select(call::EndReason::ALL.to_vec()).prop_map(call::LegFact::Unreached),
        loss.prop_map(call::LegFact::Lost),
    ]
}

fn leg_meta() -> impl Strategy<Value = call::LegMeta> {
    let custom = proptest::collection::btree_map(any::<String>(), any::<String>(), 0..5);
    (any::<String>(), any::<String>(), any::<(bool, bool, Option<u64>, bool)>(), custom).prop_map(
        |(caller_id, did, (outgoing, marks, ring_limit_ms, tells_transfers), custom)| call::LegMeta {
            caller_id: Pii::new(caller_id),
            did,
            outgoing,
            custom,
            marks,
            ring_limit_ms,
            tells_transfers,
        },
    )
}

fn heard() -> impl Strategy<Value = turn::Heard> {
    use turn::Heard as H;
    let tool = prop_oneof![
        any::<String>().prop_map(|reason| turn::ToolCall::EndCall { reason }),
        any::<String>().prop_map(|to| turn::ToolCall::Transfer { to }),
        Just(turn::ToolCall::OptOut),
        any::<String>().prop_map(|keys| turn::ToolCall::SendKeys { keys }),
        (any::<u16>(), any::<Option<char>>(), any::<u64>()).prop_map(|(most, end, gap_ms)| {
            turn::ToolCall::CollectKeys(turn::KeyEntry { most: most.into(), end, gap_ms })
        }),
    ];
    let (turn_no, utterance) = (any::<u32>().prop_map(TurnNo), any::<u32>().prop_map(UtteranceId));
    let text = any::<String>;
    prop_oneof![
        (turn_no.clone(), text(), 0.0f32..=1.0).prop_map(|(turn, text, sure)| H::Partial { turn, text, sure }),
        (turn_no.clone(), any::<u32>(), text(), 0.0f32..=1.0).prop_map(|(turn, take, text, sure)| H::Transcribed {
            turn,
            take,
            text,
            sure
        }),
        (turn_no.clone(), any::<u32>()).prop_map(|(turn, take)| H::Expected { turn, take }),
        (turn_no, any::<u32>(), 0.0_f32..=1.0).prop_map(|(turn, take, complete)| H::Judged { turn, take, complete }),
        (utterance.clone(), text(), any::<bool>()).prop_map(|(utterance, text, protected)| H::Drafted {
            utterance,
            text,
            protected
        }),
        (utterance.clone(), tool).prop_map(|(utterance, tool)| H::ToolCalled { utterance, tool }),
        utterance.clone().prop_map(|utterance| H::DraftEnded { utterance }),
        (utterance.clone(), text()).prop_map(|(utterance, error)| H::DraftFailed { utterance, error }),
        (utterance.clone(), any::<u16>(), 0_usize..900, any::<bool>()).prop_map(|(utterance, segment, n, last)| {
            H::Spoken { utterance, segment, samples: vec![0; n].into(), last }
        }),
        (utterance, any::<u16>(), text()).prop_map(|(utterance, segment, error)| H::SpeechFailed {
            utterance,
            segment,
            error
        }),
        text().prop_map(|error| H::ListenFailed { error }),
    ]
}

/// The bytes of a journal with one line per entry, and what a reader must find.
fn written(entries: &[Entry]) -> (Vec<u8>, Vec<Line>) {
    let mut bytes = Vec::new();
    let writer = begin(&mut bytes);
    let mut lines = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        writer.line(Moment::from_millis(5_000 + n as u64 * 20), entry.clone(), &mut bytes);
        lines.push(Line { at_us: n as u64 * 20_000, entry: entry.clone() });
    }
    (bytes, lines)
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let said = (any::<bool>(), any::<String>(), any::<u64>(), any::<u64>(), any::<bool>(), any::<u32>()).prop_map(
        |(bot, text, start_ms, end_ms, heard, turn)| {
            let speaker = if bot { Who::Bot } else { Who::Customer };
            Note::Said(Said { speaker, text, start_ms, end_ms, heard, turn })
        },
    );
    prop_oneof![
        leg_meta().prop_map(|meta| Entry::Fact(Fact::Opened((&meta).into()))),
        leg_fact().prop_map(|fact| Entry::Fact(Fact::Leg((&fact).into()))),
        heard().prop_map(|heard| Entry::Fact(Fact::Heard((&heard).into()))),
        said.prop_map(Entry::Note),
        (any::<(u32, u16)>(), any::<i64>()).prop_map(|((utterance, segment), lag_ms)| {
            let mark = call::Mark { utterance: UtteranceId(utterance), segment };
            Entry::Note(Note::FarPlayout { mark: mark.to_string(), lag_ms })
        }),
        any::<String>().prop_map(|to| Entry::Order(Order::Leg(LegOrder::Transfer { to }))),
        (any::<bool>(), any::<String>()).prop_map(|(sent, message)| Entry::Note(Note::Sip { sent, message })),
        any::<(u64, u64)>().prop_map(|(since_us, pos)| Entry::Fact(Fact::Line(LineFact::VoiceBegan { since_us, pos }))),
        any::<(u64, u16, u32)>().prop_map(|(ended_us, hz, lasted_ms)| {
            Entry::Fact(Fact::Line(LineFact::Beeped { ended_us, hz, lasted_ms }))
        }),
        any::<bool>().prop_map(|on| Entry::Order(Order::Line(LineOrder::SeekBeep { on }))),
        (any::<String>(), any::<u32>(), any::<u64>(), any::<bool>()).prop_map(
            |(detail, confidence, at_ms, message_left)| {
                let signals = vec![Sign { kind: "beep".to_owned(), at_ms, detail }];
                let verdict = "machine".to_owned();
                Entry::Note(Note::Voicemail(Answerer { verdict, confidence, signals, message_left }))
            }
        ),
    ]
}

proptest! {
    #[test]
    fn a_leg_fact_is_itself_after_the_journey(fact in leg_fact()) {
        let json = serde_json::to_string(&LegFact::from(&fact)).unwrap();
        let back: LegFact = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(call::LegFact::try_from(back).unwrap(), fact);
    }

    #[test]
    fn an_opening_is_itself_after_the_journey(meta in leg_meta()) {
        let json = serde_json::to_string(&LegMeta::from(&meta)).unwrap();
        let back: LegMeta = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(call::LegMeta::from(back), meta);
    }

    #[test]
    fn a_providers_word_is_itself_after_the_journey(heard in heard()) {
        let json = serde_json::to_string(&Heard::from(&heard)).unwrap();
        let back: Heard = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(turn::Heard::try_from(back).unwrap(), heard);
    }

    /// Wherever a crash cuts a journal, every line before the cut is read and no line is invented.
    #[test]
    fn a_torn_journal_reads_up_to_the_tear(
        entries in proptest::collection::vec(any_entry(), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let (bytes, lines) = written(&entries);
        let whole = read(&bytes);
        prop_assert_eq!(&whole.lines, &lines);
        prop_assert!(whole.header.is_some() && whole.unread.is_empty() && !whole.torn);
        let cut = cut.index(bytes.len() + 1);
        let part = read(&bytes[..cut]);
        let complete = bytes[..cut].iter().filter(|&&b| b == b'\n').count();
        prop_assert!(part.unread.is_empty(), "{:?}", part.unread);
        prop_assert_eq!(&part.lines, &lines[..part.lines.len()]);
        prop_assert!(part.lines.len() + 1 >= complete, "a complete line is missing");
        if cut > 0 {
            // A line that lacks nothing but its line feed is complete, too.
            prop_assert_eq!(part.torn, part.lines.len() + usize::from(part.header.is_some()) == complete
                && !bytes[..cut].ends_with(b"\n"));
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let journal = read(&bytes);
        prop_assert!(journal.lines.is_empty());
    }
}

#[test]
fn the_format_is_pinned() {
    let mut bytes = Vec::new();
    let writer = begin(&mut bytes);
    let at = Moment::from_micros(5_020_001);
    let leg = call::LegFact::Started { rate: SampleRate::NARROW };
    writer.line(at, Entry::Fact(Fact::Leg((&leg).into())), &mut bytes);
    let spoken =
        turn::Heard::Spoken { utterance: UtteranceId(3), segment: 1, samples: vec![0; 160].into(), last: true };
    writer.line(at, Entry::Fact(Fact::Heard((&spoken).into())), &mut bytes);
    let ask = turn::Ask {
        utterance: UtteranceId(4),
        after: Some(UtteranceId(3)),
        cause: turn::AskCause::Caller("yes".to_owned()),
        history: Vec::new().into(),
        interrupted: false,
    };
    writer.line(at, Entry::Order(Order::Ask(Ask::from(&ask))), &mut bytes);
    writer.line(at, Entry::Note(Note::Recording { rate_hz: 8_000 }), &mut bytes);
    writer.line(at, Entry::Note(Note::Answered), &mut bytes);
    let signals = vec![Sign { kind: "beep".to_owned(), at_ms: 9, detail: "1000 Hz".to_owned() }];
    let known = Answerer { verdict: "machine".to_owned(), confidence: 95, signals, message_left: true };
    writer.line(at, Entry::Note(Note::Voicemail(known)), &mut bytes);
    let expected = concat!(
        r#"{"version":1,"call_id":"c-1","bot":"payment-reminder","bot_version":"v-abc","started":1777627800250}"#,
        "\n",
        r#"{"at_us":20001,"fact":{"leg":{"started":{"rate_hz":8000}}}}"#,
        "\n",
        r#"{"at_us":20001,"fact":{"heard":{"spoken":{"utterance":3,"segment":1,"samples":160,"last":true}}}}"#,
        "\n",
        r#"{"at_us":20001,"order":{"ask":{"utterance":4,"after":3,"cause":{"caller":"yes"},"history":0,"#,
        r#""interrupted":false}}}"#,
        "\n",
        r#"{"at_us":20001,"note":{"recording":{"rate_hz":8000}}}"#,
        "\n",
        r#"{"at_us":20001,"note":"answered"}"#,
        "\n",
        r#"{"at_us":20001,"note":{"voicemail":{"verdict":"machine","confidence":95,"signals":[{"kind":"beep","at_ms":9,"#,
        r#""detail":"1000 Hz"}],"message_left":true}}}"#,
        "\n",
    );
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn lines_of_a_newer_version_are_named_and_passed_over() {
    let text = concat!(
        r#"{"version":9,"call_id":"c","bot":"b","bot_version":"v","started":0,"region":"in"}"#,
        "\n",
        r#"{"at_us":1,"fact":{"leg":{"teleported":{"where":"Asha Rao"}}}}"#,
        "\n",
        r#"{"at_us":2,"fact":{"leg":{"digit":{"digit":"5","pressure":2}}}}"#,
        "\n",
        r#"{"at_us":3,"dream":{}}"#,
        "\n",
        "nonsense\n",
        r#"{"at_us":4,"note":"answered"}"#,
        "\n",
    );
    let journal = read(text.as_bytes());
    assert!(journal.is_newer());
    assert_eq!(journal.lines.len(), 2, "{:?}", journal.lines);
    assert_eq!(journal.lines[0].entry, Entry::Fact(Fact::Leg(LegFact::Digit { digit: '5' })));
    let unread: Vec<_> = journal.unread.iter().map(|u| (u.line, u.why.as_str())).collect();
    assert_eq!(unread[0], (2, "a kind of line that version 1 does not know: fact.leg.teleported"));
    assert_eq!(unread[1], (4, "a kind of line that version 1 does not know: neither fact, order nor note"));
    assert_eq!(unread[2].0, 5);
    assert!(!journal.unread.iter().any(|u| u.why.contains("Asha")), "nobody's words get into the report");
}

#[test]
fn what_the_machines_cannot_take_is_an_error() {
    let fact = LegFact::Started { rate_hz: 0 };
    assert_eq!(call::LegFact::try_from(fact).unwrap_err().actual, "0");
    let heard = Heard::Spoken { utterance: 1, segment: 0, samples: u64::MAX, last: true };
    assert!(turn::Heard::try_from(heard).is_err());
    let silent = turn::Heard::Judged { turn: TurnNo(1), take: 1, complete: f32::NAN };
    assert_eq!(Heard::from(&silent), Heard::Judged { turn: 1, take: 1, complete: 0.0 });
}
