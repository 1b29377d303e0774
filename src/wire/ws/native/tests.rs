//! The native dialect, message by message: what each order of a handshake means, what is refused, and the literal bytes we send.

use proptest::prelude::*;

use super::*;
use crate::units::{Pii, Stamp};
use crate::wire::ws::Opening;

const CONNECTED: &str = r#"{"event":"connected","callerId":"+919800000001","did":"+918000000002","callDirection":"incoming","streamId":"st-1"}"#;
const START: &str =
    r#"{"event":"start","streamId":"st-1","mediaFormat":{"encoding":"LINEAR","sampleRate":8000,"channels":1}}"#;
const ANSWER: &str = r#"{"event":"answer"}"#;
const MEDIA: &str = r#"{"event":"media","payload":"AACoCV4S"}"#;
const HANG_UP: &str = r#"{"event":"hangup-call","disconnectedBy":"customer"}"#;
/// 2026-03-02 10:15:30.999 UTC.
const WHEN: Stamp = Stamp::from_unix_ms(1_772_446_530_999);

fn native() -> Native {
    Native::new(NativeOptions { lenient: false, stream_id: "made-1".to_owned() })
}

/// What one frame meant, in short words.
fn hear(native: &mut Native, text: &str) -> Vec<String> {
    let mut inbox = Inbox::default();
    native.text(text, &mut inbox);
    words(&inbox)
}

fn words(inbox: &Inbox) -> Vec<String> {
    let word = |event: &Ingress| match event {
        Ingress::Connected(opening) => format!("connected {}", if opening.outgoing { "out" } else { "in" }),
        Ingress::Started { format } => format!("started {:?} {}", format.encoding, format.rate.hz()),
        Ingress::Answered => "answered".to_owned(),
        Ingress::Audio(range) => format!("audio {}", range.len()),
        Ingress::Digit(key) => format!("digit {key}"),
        Ingress::Mark { name, played } => format!("mark {name} {played}"),
        Ingress::HungUp { by } => format!("hungup {}", by.as_deref().unwrap_or("-")),
        Ingress::Ping => "ping".to_owned(),
        Ingress::Refused(dismissal) => format!("refused {} {}", dismissal.code, dismissal.reason),
    };
    inbox.events.iter().map(word).collect()
}

fn hear_all(native: &mut Native, texts: &[&str]) -> Vec<String> {
    texts.iter().flat_map(|text| hear(native, text)).collect()
}

fn opening(text: &str) -> Opening {
    let mut inbox = Inbox::default();
    native().text(text, &mut inbox);
    match inbox.events.into_iter().next() {
        Some(Ingress::Connected(opening)) => *opening,
        other => panic!("expected connected, got {other:?}"),
    }
}

fn say(native: &mut Native, order: &Egress<'_>) -> Option<String> {
    let mut text = String::new();
    (native.write(order, &mut text) == Written::Text).then_some(text)
}

#[test]
fn each_order_of_the_handshake_opens_the_call_once() {
    let open = ["connected in", "started Linear 8000", "answered", "audio 6"];
    for order in [
        [CONNECTED, START, ANSWER, MEDIA].as_slice(),
        &[CONNECTED, ANSWER, START, MEDIA],
        &[CONNECTED, ANSWER, MEDIA],
        &[CONNECTED, START, MEDIA],
        &[CONNECTED, MEDIA],
        &[
            r#"{"event":"connected","callerId":"+919876543210","streamId":"st-1","customer_name":"Rahul Sharma"}"#,
            MEDIA,
        ],
        &[r#"{"event":"connected"}"#, MEDIA],
        &[CONNECTED, START, CONNECTED, START, ANSWER, ANSWER, START, MEDIA],
        &[CONNECTED, START, r#"{"event":"later-than-us","x":[1]}"#, ANSWER, MEDIA],
        &[
            r#"{"event":"connected","callDirection":null,"caps":null,"x":null}"#,
            r#"{"event":"start","mediaFormat":null}"#,
            MEDIA,
        ],
        &[
            CONNECTED,
            r#"{"event":"start","mediaFormat":{"encoding":"linear","sampleRate":"8000","channels":"1"}}"#,
            MEDIA,
        ],
    ] {
        assert_eq!(hear_all(&mut native(), order), open, "{order:?}");
    }
    assert_eq!(hear_all(&mut native(), &[CONNECTED, ANSWER]), ["connected in"], "an answer alone starts no audio");
}

#[test]
fn on_an_outgoing_call_only_answer_opens_the_turn_loop() {
    let connected = CONNECTED.replace("incoming", "outgoing");
    let mut ringing = native();
    assert_eq!(
        hear_all(&mut ringing, &[&connected, MEDIA, MEDIA]),
        ["connected out", "started Linear 8000", "audio 6", "audio 6"]
    );
    assert_eq!(hear_all(&mut ringing, &[ANSWER, MEDIA]), ["answered", "audio 6"]);
}

#[test]
fn nothing_opens_before_connected() {
    assert_eq!(hear(&mut native(), START), ["refused 4400 expected connected first, got start"]);
    assert_eq!(hear(&mut native(), ANSWER), ["refused 4400 expected connected first, got answer"]);
    let mut early = native();
    assert_eq!(hear_all(&mut early, &[MEDIA, MEDIA, CONNECTED, MEDIA]).len(), 4);
    assert_eq!(early.tally().early, 2);
    assert_eq!(hear(&mut native(), HANG_UP), ["hungup customer"]);

    let mut lenient = Native::new(NativeOptions { lenient: true, ..NativeOptions::default() });
    let order = [START, ANSWER, CONNECTED, MEDIA];
    assert_eq!(hear_all(&mut lenient, &order), ["connected in", "started Linear 8000", "answered", "audio 6"]);
}

#[test]
fn after_the_far_end_hung_up_nothing_means_anything() {
    for (text, by) in [
        (HANG_UP, "customer"),
        (r#"{"event":"hangup","reason":"network"}"#, "network"),
        (r#"{"event":"stop","stop":{"reason":"callended"}}"#, "callended"),
        (r#"{"event":"hangup-call","disconnectedBy":7}"#, "7"),
        (r#"{"event":"hangup-call","disconnectedBy":null}"#, "-"),
    ] {
        let mut over = native();
        let heard = hear_all(&mut over, &[CONNECTED, START, text, text, MEDIA, ANSWER, START, CONNECTED]);
        assert_eq!(heard, ["connected in", "started Linear 8000", &format!("hungup {by}")], "{text}");
        assert_eq!((over.tally().late, over.tally().duplicate), (3, 2));
    }
}

#[test]
fn custom_fields_are_stringified_and_reserved_words_are_not_among_them() {
    let got = opening(
        r#"{"event":"connected","callerId":919800000001,"did":"d","callDirection":"incoming","streamId":"s","caps":["mark"],
            "loan_number":"LN77","amount":15000,"rate":1.5,"vip":true,"none":null,"empty":"","plan":{"b":[1, 2],"a":"x y"}}"#,
    );
    assert_eq!(got.caller_id, Pii::new("919800000001".to_owned()));
    let pairs: Vec<(&str, &str)> = got.custom.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("amount", "15000"),
            ("empty", ""),
            ("loan_number", "LN77"),
            ("plan", r#"{"a":"x y","b":[1,2]}"#),
            ("rate", "1.5"),
            ("vip", "true")
        ]
    );
    let got = opening(r#"{"event":"connected","caller_id":"+1","stream_id":"s"}"#);
    assert_eq!((got.caller_id.reveal().as_str(), got.custom.len()), ("+1", 0));
}

#[test]
fn custom_fields_are_bounded_and_a_long_one_is_left_out_whole() {
    let many: String = (0..100).map(|n| format!(r#","f{n:03}":"v""#)).collect();
    let got = opening(&format!(r#"{{"event":"connected"{many}}}"#));
    assert_eq!((got.custom.len(), got.custom.contains_key("f063"), got.custom.contains_key("f064")), (64, true, false));
    let long = "x".repeat(100_000);
    let mut session = native();
    let mut inbox = Inbox::default();
    session.text(&format!(r#"{{"event":"connected","a":"{long}","b":"{{{{call.a}}}}\n"}}"#), &mut inbox);
    let Some(Ingress::Connected(got)) = inbox.events.first() else { panic!("expected connected") };
    assert_eq!(got.custom.iter().collect::<Vec<_>>(), [(&"b".to_owned(), &"{{call.a}}\n".to_owned())]);
    assert_eq!(session.tally().custom_dropped, 1);
}

#[test]
fn formats_beyond_the_plain_one_need_caps() {
    let start = |format: &str| format!(r#"{{"event":"start","mediaFormat":{format}}}"#);
    let with = |caps: &str| format!(r#"{{"event":"connected","caps":{caps}}}"#);
    for (caps, format, expected) in [
        (r#"["mark"]"#, r#"{"encoding":"MULAW"}"#, "started Mulaw 8000"),
        (r#"["mark"]"#, r#"{"encoding":"alaw","sampleRate":8000}"#, "started Alaw 8000"),
        (r#"["mark"]"#, r#"{"encoding":"LINEAR16","sampleRate":"16000"}"#, "started Linear 16000"),
        (r#"["binary"]"#, r#"{"sampleRate":24000,"binary":true}"#, "started Linear 24000"),
        ("[]", r#"{"encoding":"LINEAR16"}"#, "started Linear 8000"),
        ("[]", r#"{"encoding":"MULAW"}"#, "refused 1003 expected LINEAR 8000 from a dialler without caps"),
        ("[]", r#"{"sampleRate":16000}"#, "refused 1003 expected LINEAR 8000 from a dialler without caps"),
        (r#"["mark"]"#, r#"{"binary":true}"#, "refused 1003 expected caps with binary for binary audio"),
        (
            r#"["mark"]"#,
            r#"{"encoding":"OPUS"}"#,
            "refused 1003 expected encoding LINEAR, LINEAR16, MULAW or ALAW, got OPUS",
        ),
        (r#"["mark"]"#, r#"{"sampleRate":44100}"#, "refused 1003 expected sampleRate 8000, 16000 or 24000, got 44100"),
        (r#"["mark"]"#, r#"{"channels":2}"#, "refused 1003 expected channels 1, got 2"),
    ] {
        let heard = hear_all(&mut native(), &[&with(caps), &start(format)]);
        assert_eq!(heard.get(1).map(String::as_str), Some(expected), "{caps} {format}");
    }
}

#[test]
fn another_dialects_start_is_refused_before_its_audio_is_taken_for_ours() {
    for start in [
        r#"{"event":"start","start":{"streamSid":"MZ1","mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000}}}"#,
        r#"{"event":"start","stream_sid":"1","start":{"media_format":{"encoding":"base64"}}}"#,
        r#"{"event":"start","streamSid":"MZ1"}"#,
    ] {
        let heard = hear_all(&mut native(), &[CONNECTED, start, MEDIA]);
        let refused = heard.get(1).is_some_and(|said| said.starts_with("refused 1008 expected the native dialect"));
        assert!(refused && heard.len() == 2, "{start}: {heard:?}");
    }
}

#[test]
fn binary_audio_is_the_bare_payload_and_text_audio_is_then_dropped() {
    let mut session = native();
    let start = r#"{"event":"start","mediaFormat":{"encoding":"MULAW","binary":true}}"#;
    hear_all(&mut session, &[r#"{"event":"connected","caps":["binary"]}"#, start]);
    let mut inbox = Inbox::default();
    session.binary(&[0xff; 160], &mut inbox);
    assert_eq!(words(&inbox), ["answered", "audio 160"]);
    assert_eq!(inbox.audio, [0xff; 160]);
    assert_eq!(hear(&mut session, MEDIA), Vec::<String>::new());
    assert_eq!(session.tally().wrong_kind, 1);
    assert_eq!(session.write(&Egress::Audio { payload: &[0; 160], at: WHEN }, &mut String::new()), Written::Binary);

    let mut plain = native();
    hear_all(&mut plain, &[CONNECTED, START]);
    inbox.clear();
    plain.binary(&[0; 320], &mut inbox);
    assert_eq!((words(&inbox), plain.tally().wrong_kind), (vec![], 1));
}

#[test]
fn another_calls_messages_are_dropped_and_counted() {
    let foreign = r#"{"event":"media","streamId":"st-9","payload":"AACoCV4S"}"#;
    let mut session = native();
    hear_all(&mut session, &[CONNECTED, START]);
    let others = [foreign, r#"{"event":"hangup-call","streamId":"st-9"}"#, r#"{"event":"answer","stream_id":"st-9"}"#];
    assert_eq!(hear_all(&mut session, &others), Vec::<String>::new());
    assert_eq!(session.tally().foreign, 3);
    assert_eq!(
        hear(&mut session, r#"{"event":"media","streamId":"st-1","payload":"AACoCV4S"}"#),
        ["answered", "audio 6"]
    );

    let mut unnamed = native();
    hear_all(&mut unnamed, &[r#"{"event":"connected"}"#, r#"{"event":"media","streamId":"st-7","payload":""}"#]);
    assert_eq!(hear(&mut unnamed, foreign), Vec::<String>::new(), "the first name given is the name");
    assert!(say(&mut unnamed, &Egress::Clear).unwrap().contains(r#""streamId":"st-7""#));
}

#[test]
fn the_last_stream_id_of_the_handshake_counts_and_a_second_start_changes_nothing() {
    let mut session = native();
    let second = START.replace("st-1", "st-2");
    hear_all(&mut session, &[CONNECTED, &second, START]);
    assert!(say(&mut session, &Egress::Clear).unwrap().contains(r#""streamId":"st-2""#));
    let mut silent = native();
    hear_all(&mut silent, &[r#"{"event":"connected","streamId":""}"#, MEDIA]);
    assert!(say(&mut silent, &Egress::Clear).unwrap().contains(r#""streamId":"made-1""#));
}

#[test]
fn keys_marks_and_pings_are_heard_in_every_spelling() {
    let mut session = native();
    hear_all(&mut session, &[r#"{"event":"connected","caps":["dtmf","mark","ping"]}"#, START]);
    let got = hear_all(
        &mut session,
        &[
            r#"{"event":"dtmf","digit":"5","durationMs":120}"#,
            r#"{"event":"dtmf","digit":5}"#,
            r##"{"event":"dtmf","dtmf":{"digit":"#"}}"##,
            r#"{"event":"dtmf","digit":"a"}"#,
            r#"{"event":"dtmf","digit":"E"}"#,
            r#"{"event":"dtmf","digit":"12"}"#,
            r#"{"event":"dtmf"}"#,
            r#"{"event":"mark-played","name":"g3.u1","status":"played"}"#,
            r#"{"event":"mark-played","name":"g3.u2","status":"cleared"}"#,
            r#"{"event":"mark-played","name":"g3.u3"}"#,
            r#"{"event":"mark-played","name":"g3.u4","status":"paused"}"#,
            r#"{"event":"mark-played","name":"g3.u4","status":7}"#,
            r#"{"event":"mark-played"}"#,
            r#"{"event":"ping"}"#,
            r#"{"event":"pong"}"#,
        ],
    );
    let marks = ["mark g3.u1 true", "mark g3.u2 false", "mark g3.u3 true"];
    assert_eq!(got, [&["digit 5", "digit 5", "digit #", "digit A"][..], &marks[..], &["ping"][..]].concat());
    assert_eq!(session.tally().bad_value, 6);
}

#[test]
fn bad_audio_is_counted_and_the_call_goes_on() {
    let mut session = native();
    hear_all(&mut session, &[CONNECTED, START]);
    let long = format!(r#"{{"event":"media","payload":"{}"}}"#, "AAAA".repeat(6_000));
    let bad = [
        r#"{"event":"media","payload":"****"}"#,
        r#"{"event":"media","payload":null}"#,
        r#"{"event":"media"}"#,
        r#"{"event":"media","payload":""}"#,
        &long,
        "{\"event\":\"media\"",
        "not json",
    ];
    assert_eq!(hear_all(&mut session, &bad), ["answered"]);
    let tally = *session.tally();
    assert_eq!((tally.bad_base64, tally.bad_value, tally.oversize, tally.bad_json), (1, 2, 1, 2));
    assert_eq!(hear(&mut session, r#"{"event":"media","media":{"payload":"AACoCV4S"}}"#), ["audio 6"]);
}

#[test]
fn what_we_send_is_literally_the_reference() {
    let mut session = native();
    hear_all(&mut session, &[CONNECTED, START, ANSWER]);
    let payload: Vec<u8> = [0i16, 2472, 4702].iter().flat_map(|s| s.to_le_bytes()).collect();
    let mut frame = payload.clone();
    frame.resize(320, 0);
    let b64 = base64_simd::STANDARD.encode_to_string(&frame);
    for chunk in 1..=3 {
        let expected = [
            r#"{"event":"reverse-media","chunk":"#,
            &chunk.to_string(),
            r#","did":"+918000000002","payload":""#,
            &b64,
            r#"","timestamp":"2026-03-02 10:15:30","streamId":"st-1","callerId":"+919800000001","chunk_durn_ms":20,"#,
            r#""callDirection":"incoming","encoding":"LINEAR","RevMediaQ":0,"source":"ai"}"#,
        ]
        .concat();
        assert_eq!(say(&mut session, &Egress::Audio { payload: &frame, at: WHEN }), Some(expected));
    }
    for (order, expected) in [
        (Egress::Clear, r#"{"event":"reverse-media-stop","callerId":"+919800000001","streamId":"st-1"}"#),
        (
            Egress::HangUp { message: "bot \"finished\"" },
            r#"{"event":"reverse-hangup-call","streamId":"st-1","callerId":"+919800000001","source":"ai","message":"bot \"finished\""}"#,
        ),
        (
            Egress::Transfer { to: "+918000000099" },
            r#"{"event":"reverse-call-transfer","streamId":"st-1","callerId":"+919800000001","transferTo":"+918000000099","source":"ai","message":"transfer"}"#,
        ),
    ] {
        assert_eq!(say(&mut session, &order).as_deref(), Some(expected));
    }
    let next = say(&mut session, &Egress::Audio { payload: &frame, at: WHEN.plus_ms(1) }).unwrap();
    assert!(next.contains(r#""chunk":4,"#) && next.contains("10:15:31"), "the chunk never restarts, the clock goes on");
}

#[test]
fn a_plain_dialler_never_sees_an_event_it_did_not_ask_for() {
    let asked = [
        (
            Egress::Ready { call_id: "c-1" },
            "ready",
            r#"{"event":"ready","streamId":"st-1","callId":"c-1","protocol":"1"}"#,
        ),
        (Egress::Mark { name: "g3.u1" }, "mark", r#"{"event":"reverse-mark","streamId":"st-1","name":"g3.u1"}"#),
        (
            Egress::Error { code: "no_capacity", message: "full", retry_after_ms: Some(1000) },
            "error",
            r#"{"event":"error","code":"no_capacity","message":"full","retryAfterMs":1000}"#,
        ),
        (Egress::Ping, "ping", r#"{"event":"ping"}"#),
        (Egress::Pong, "ping", r#"{"event":"pong"}"#),
    ];
    for (order, cap, expected) in asked {
        let mut plain = native();
        hear_all(&mut plain, &[CONNECTED, START]);
        assert_eq!(say(&mut plain, &order), None);
        let mut capable = native();
        let connected = CONNECTED.replace("}", &format!(r#","caps":["{cap}","later"]}}"#));
        hear_all(&mut capable, &[&connected, START]);
        assert_eq!(say(&mut capable, &order).as_deref(), Some(expected));
    }
}

proptest! {
    #[test]
    fn what_the_bot_writes_the_dialler_reads(
        caller in "[^\\s]{0,20}", did in any::<String>(), id in "[a-zA-Z0-9\"\\\\-]{1,20}", message in any::<String>(),
        payload in prop::collection::vec(any::<u8>(), 0..700), outgoing in any::<bool>(),
    ) {
        let dialler = Dialler::new(&id);
        let direction = if outgoing { "outgoing" } else { "incoming" };
        let named = [("callerId", caller.as_str()), ("did", did.as_str()), ("callDirection", direction)];
        let mut session = native();
        let mut inbox = Inbox::default();
        session.text(&dialler.connected(&named, &["mark", "ready"]), &mut inbox);
        session.text(&dialler.start("MULAW", 16_000, false), &mut inbox);
        let Some(Ingress::Connected(opening)) = inbox.events.first().cloned() else { panic!("expected connected") };
        prop_assert_eq!(opening.outgoing, outgoing);
        let read = |text: Option<String>| Dialler::read(&text.unwrap());
        let heard = read(say(&mut session, &Egress::Audio { payload: &payload, at: WHEN })).unwrap();
        prop_assert_eq!(heard, FromBot::Media(ReverseMedia {
            chunk: 1, did: opening.did.clone(), payload: payload.clone(), timestamp: "2026-03-02 10:15:30".to_owned(),
            stream_id: id.clone(), caller_id: opening.caller_id.reveal().clone(),
            chunk_durn_ms: u32::try_from(payload.len() / 16).unwrap(),
            call_direction: direction.to_owned(), encoding: "MULAW".to_owned(),
        }));
        prop_assert_eq!(read(say(&mut session, &Egress::Clear)), Ok(FromBot::Stop));
        prop_assert_eq!(read(say(&mut session, &Egress::HangUp { message: &message })), Ok(FromBot::HangUp { message: message.clone() }));
        prop_assert_eq!(read(say(&mut session, &Egress::Transfer { to: &message })), Ok(FromBot::Transfer { to: message.clone() }));
        prop_assert_eq!(read(say(&mut session, &Egress::Mark { name: &message })), Ok(FromBot::Mark { name: message.clone() }));
        prop_assert_eq!(read(say(&mut session, &Egress::Ready { call_id: &message })), Ok(FromBot::Ready { call_id: message }));
    }

    #[test]
    fn what_the_dialler_writes_the_bot_reads(payload in prop::collection::vec(any::<u8>(), 1..8000), key in "[0-9*#A-D]", by in "[a-z]{1,9}") {
        let dialler = Dialler::new("st-5");
        let mut session = native();
        hear_all(&mut session, &[&dialler.connected(&[("loan", "LN\"1")], &["dtmf"]), &dialler.start("MULAW", 8000, false), &dialler.answer()]);
        let mut inbox = Inbox::default();
        session.text(&dialler.media(&payload), &mut inbox);
        session.text(&dialler.digit(key.chars().next().unwrap()), &mut inbox);
        session.text(&dialler.mark_played("g1.u1", false), &mut inbox);
        session.text(&dialler.hang_up(&by), &mut inbox);
        prop_assert_eq!(words(&inbox), [format!("audio {}", payload.len()), format!("digit {key}"), "mark g1.u1 false".to_owned(), format!("hungup {by}")]);
        prop_assert_eq!(inbox.audio, payload);
    }
}
