//! Properties of every call, whatever happens: by random scripts through the whole world, and by random facts into a bare
//! call. Bounded cases, so that the suite stays fast.

use std::collections::BTreeSet;

use proptest::prelude::*;
use voicefleet::call::line::{LineFact, LineOrder};
use voicefleet::call::{Call, EndReason, Fact, LegFact, LegLoss, LegMeta, Mark, Order, Source, VoicemailSettings};
use voicefleet::turn::{Heard, Policy, Speaker, ToolCall};
use voicefleet::units::{Moment, SampleRate, TurnNo, UtteranceId};

use crate::sim::{Act, BotVoice, Group, MS_PER_CHAR, Reply, Run, Script, Sound, When, run, tag_of};

/// The longest call of these scripts.
/// Answers to marks that come too late for everything.
const MAX_LATE_MS: u64 = 100_000_000;
const MAX_MS: u32 = 40_000;

fn reply(index: usize) -> impl Strategy<Value = Reply> {
    let words = prop::collection::vec(
        prop::sample::select(vec!["alpha", "beta.", "gamma", "delta?", "epsilon", "zeta"]),
        0..14,
    );
    let kinds = (0..12u8, any::<bool>(), 10..2_500u64);
    (words, kinds).prop_map(move |(words, (kind, protected, llm_ms))| {
        let text = if words.is_empty() { String::new() } else { format!("R{index} {}", words.join(" ")) };
        let mut reply = Reply { text, protected: protected && kind == 7, llm_ms: Some(llm_ms), ..Reply::default() };
        match kind {
            0 => reply.fail = true,
            1 => reply.mute = 1,
            2 => reply.half = true,
            3 => reply.breaks = true,
            4 => reply.opt_out = true,
            5 => reply.end = Some("completed".to_owned()),
            6 => reply.transfer = Some("agents".to_owned()),
            8 => reply.dumb = true,
            9 => reply.stalls = true,
            _ => {}
        }
        reply
    })
}

fn act() -> impl Strategy<Value = Act> {
    let group = (
        0..1_200u64,
        60..2_000u64,
        prop::sample::select(vec!["", "stop", "yes", "I will pay on the", "one two three", "no it is all fine"]),
        0.0..1.0f32,
    )
        .prop_map(|(pause_ms, ms, words, judged)| Group {
            pause_ms,
            ms,
            words: words.to_owned(),
            judged,
            sure: 1.0,
        });
    prop_oneof![
        8 => prop::collection::vec(group, 1..4).prop_map(Act::Says),
        2 => (40..3_000u64).prop_map(|ms| Act::Makes { ms, sound: Sound::Murmur }),
        1 => (40..900u64).prop_map(|ms| Act::Makes { ms, sound: Sound::Cough }),
        2 => prop::sample::select(vec!["1", "12#", "#", "7"]).prop_map(|k| Act::Presses(k.to_owned())),
        1 => Just(Act::Stale),
        1 => Just(Act::ListenFails),
        1 => prop::sample::select(vec![Act::HangsUp, Act::Closes, Act::Sticks, Act::Operator, Act::DrainOver, Act::Stalls, Act::Deaf]),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    let far_end = prop::sample::select(vec![(None, 0), (Some(40), 0), (Some(40), 200), (Some(MAX_LATE_MS), 0)]);
    let delays = (10..3_500u64, 10..600u64, 10..600u64, 150..900u64);
    let acts = prop::collection::vec((0..30_000u64, act()), 0..10);
    let replies = (0..14).map(reply).collect::<Vec<_>>();
    (delays, acts, replies, any::<bool>(), 800..12_000u32, far_end).prop_map(
        |((stt, judge, tts, partials), acts, replies, outgoing, idle, far_end)| {
            let mut script = Script::parse("limit 150s");
            (script.stt_ms, script.judge_ms, script.tts_ms, script.partials_ms) = (stt, judge, tts, partials);
            script.policy = Policy {
                idle_ms: idle,
                max_duration_ms: MAX_MS,
                warning_before_ms: 9_000,
                monologue_ms: 6_000,
                ..Policy::default()
            };
            script.outgoing = outgoing;
            (script.marks_ms, script.buffer_ms) = far_end;
            script.bot_voice = BotVoice::Tagged;
            script.acts = acts.into_iter().map(|(at, act)| (When::At(at), act)).collect();
            if outgoing {
                script.acts.push((When::At(1_500), Act::Answers));
            }
            script.replies = replies;
            script
        },
    )
}

/// The transcript claims no word for which the far end did not hear enough, and nothing that was not drafted so.
fn check_history(run: &Run) {
    for line in run.call.turn().history().lines().iter().filter(|l| l.speaker == Speaker::Bot) {
        let Some(name) = line.text.split_whitespace().next().filter(|w| w.starts_with('R')) else { continue };
        let said = run
            .said
            .iter()
            .filter(|((_, segment), text)| *segment == 0 && text.split_whitespace().next() == Some(name));
        let answers: Vec<u32> = said.map(|((utterance, _), _)| *utterance).collect();
        // An answer of which nothing could be heard is said again, under the next id; the last one may have been heard.
        let (Some(&utterance), true) = (answers.last(), answers.len() <= 3) else {
            panic!("`{name}` was said by {answers:?}")
        };
        let unheard = |u: &&u32| run.heard.iter().all(|&s| tag_of(s) != Some(**u));
        assert!(answers.iter().filter(unheard).count() + 1 >= answers.len(), "`{name}` was heard twice");
        let whole: Vec<&str> =
            run.said.range((utterance, 0)..=(utterance, u16::MAX)).map(|(_, t)| t.as_str()).collect();
        let whole = whole.join(" ");
        let mut rest = whole.split_whitespace();
        assert!(
            line.text.split_whitespace().all(|w| rest.any(|r| r == w)),
            "`{}` is not how `{whole}` goes",
            line.text
        );
        let heard_ms = run.heard.iter().filter(|&&s| tag_of(s) == Some(utterance)).count() as u64 / 8;
        let needs_ms = line.text.chars().count() as u64 * MS_PER_CHAR * 3 / 4;
        assert!(needs_ms <= heard_ms + 300, "`{}` claimed, {heard_ms} ms heard:\n{}", line.text, run.log.join("\n"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_script_ends_once_and_sends_nothing_it_should_not(script in script()) {
        let run = run(&script);
        prop_assert_eq!(run.finishes, 1);
        prop_assert_eq!(run.orders_after_finish, 0);
        prop_assert_eq!(run.late_frames, 0, "frames of an answer that was cut:\n{}", run.log.join("\n"));
        prop_assert!(run.deepest <= 3, "{} frames ahead", run.deepest);
        prop_assert!(run.ended_ms <= 1_500 + 60_000 + u64::from(MAX_MS) + 12_000, "ended at {} ms", run.ended_ms);
        // One frame a tick and three ahead: never more than n + 3 in n ticks.
        let mut window = std::collections::VecDeque::new();
        for frame in &run.sent {
            window.push_back(frame.due.as_millis() / 20);
            while let (Some(first), Some(last)) = (window.front(), window.back()) {
                if last - first < 50 { break; }
                window.pop_front();
            }
            prop_assert!(window.len() <= 50 + 3);
        }
        // The recording's right channel is what the far end heard, but for the clears that cut short what it held.
        prop_assert_eq!(run.recorded.0.len(), run.recorded.1.len());
        prop_assert_eq!(run.recorded.1.len(), run.heard.len());
        // Every piece that was heard was named to the far end, once and in order, and none that was never said.
        prop_assert!(run.marks.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", run.marks);
        prop_assert!(run.marks.iter().all(|m| run.said.contains_key(&(m.utterance.0, m.segment))), "{:?}", run.marks);
        for heard in run.log.iter().filter_map(|l| l.get(7..)?.strip_prefix("heard ")) {
            let (utterance, segment) = heard.split_once('.').expect("an answer and a piece");
            let is = |m: &&Mark| m.utterance.to_string() == utterance && m.segment.to_string() == segment;
            prop_assert_eq!(run.marks.iter().filter(is).count(), 1, "{} in {:?}", heard, run.marks);
        }
        check_history(&run);
    }
}

fn utterance() -> impl Strategy<Value = UtteranceId> {
    (0..12u32).prop_map(UtteranceId)
}

fn turn() -> impl Strategy<Value = TurnNo> {
    (0..8u32).prop_map(TurnNo)
}

fn heard() -> impl Strategy<Value = Heard> {
    let text = || {
        prop::sample::select(vec!["", "stop", "yes I will", "One. Two. Three.", "the", "after the tone", "who is this"])
            .prop_map(str::to_owned)
    };
    let tool = prop_oneof![
        prop::sample::select(vec!["completed", "opted_out", "idle"])
            .prop_map(|r| ToolCall::EndCall { reason: r.to_owned() }),
        Just(ToolCall::Transfer { to: "agents".to_owned() }),
        Just(ToolCall::OptOut),
    ];
    prop_oneof![
        1 => (turn(), text(), 0.0f32..=1.0).prop_map(|(turn, text, sure)| Heard::Partial { turn, text, sure }),
        3 => (turn(), 0..5u32, text(), 0.0f32..=1.0).prop_map(|(turn, take, text, sure)| Heard::Transcribed { turn, take, text, sure }),
        1 => (turn(), 0..5u32).prop_map(|(turn, take)| Heard::Expected { turn, take }),
        1 => (turn(), 0..5u32, 0.0..1.0f32).prop_map(|(turn, take, complete)| Heard::Judged { turn, take, complete }),
        3 => (utterance(), text(), any::<bool>()).prop_map(|(utterance, text, protected)| Heard::Drafted { utterance, text, protected }),
        1 => (utterance(), tool).prop_map(|(utterance, tool)| Heard::ToolCalled { utterance, tool }),
        3 => utterance().prop_map(|utterance| Heard::DraftEnded { utterance }),
        1 => utterance().prop_map(|utterance| Heard::DraftFailed { utterance, error: "x".to_owned() }),
        3 => (utterance(), 0..4u16, 0..4_000usize, any::<bool>()).prop_map(|(utterance, segment, n, last)| Heard::Spoken {
            utterance, segment, samples: vec![1; n].into(), last
        }),
        1 => (utterance(), 0..4u16).prop_map(|(utterance, segment)| Heard::SpeechFailed { utterance, segment, error: "x".to_owned() }),
        1 => Just(Heard::ListenFailed { error: "x".to_owned() }),
    ]
}

/// A fact, and whether its moment lies a little in the past.
fn fact() -> impl Strategy<Value = (Fact, u64)> {
    let digit = prop::sample::select(vec!['1', '#', '*']).prop_map(|digit| LegFact::Digit { digit });
    let loss = prop::sample::select(vec![LegLoss::Closed, LegLoss::Silent, LegLoss::Stuck]).prop_map(LegFact::Lost);
    let leg = prop_oneof![
        4 => Just(LegFact::Started { rate: SampleRate::NARROW }),
        4 => Just(LegFact::Answered),
        4 => digit,
        1 => loss,
        1 => Just(LegFact::HungUp { by: None }),
        3 => (utterance(), 0..4u16, any::<bool>()).prop_map(|(utterance, segment, played)| LegFact::Mark { mark: Mark { utterance, segment }, played }),
    ];
    let line = prop_oneof![
        4 => Just(LineFact::VoiceBegan { since: Moment::ZERO, pos: 0 }),
        4 => Just(LineFact::VoiceCeased { since: Moment::ZERO, queue_ms: 0 }),
        3 => utterance().prop_map(|utterance| LineFact::SpeechBegan { utterance, at: Moment::ZERO }),
        3 => (utterance(), 0..4u16).prop_map(|(utterance, segment)| LineFact::SegmentHeard { utterance, segment }),
        1 => (0..3_000u32).prop_map(|lasted_ms| LineFact::Beeped { ended: Moment::ZERO, hz: 1_000, lasted_ms }),
        2 => (utterance(), 0..4u16, 0..3_000u32).prop_map(|(utterance, segment, heard_ms)| LineFact::SpeechCut { utterance, segment, heard_ms }),
    ];
    let fact = prop_oneof![
        3 => leg.prop_map(Fact::Leg),
        6 => line.prop_map(Fact::Line),
        9 => heard().prop_map(Fact::Heard),
    ];
    (fact, 0..300u64)
}

/// Facts carry moments of their own, at most a little older than now.
fn dated(fact: Fact, at: Moment) -> Fact {
    match fact {
        Fact::Line(LineFact::VoiceBegan { pos, .. }) => Fact::Line(LineFact::VoiceBegan { since: at, pos }),
        Fact::Line(LineFact::VoiceCeased { queue_ms, .. }) => Fact::Line(LineFact::VoiceCeased { since: at, queue_ms }),
        Fact::Line(LineFact::Beeped { hz, lasted_ms, .. }) => Fact::Line(LineFact::Beeped { ended: at, hz, lasted_ms }),
        Fact::Line(LineFact::SpeechBegan { utterance, .. }) => Fact::Line(LineFact::SpeechBegan { utterance, at }),
        other => other,
    }
}

/// Drains the orders and checks them against those before.
fn obey(call: &mut Call, finished: &mut bool, gone: &mut BTreeSet<UtteranceId>) {
    while let Some(order) = call.poll() {
        assert!(!*finished, "{order:?} after the last order");
        match order {
            Order::Finish => *finished = true,
            Order::CancelAnswer { utterance } | Order::Line(LineOrder::Cut { utterance }) => {
                gone.insert(utterance);
            }
            Order::Play { utterance, .. } | Order::Say { utterance, .. } => {
                assert!(!gone.contains(&utterance), "{utterance} was withdrawn");
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_facts_into_a_call(facts in prop::collection::vec((fact(), 0..1_500u64), 0..120), outgoing: bool, marks: bool, watched: bool, leaves: bool) {
        let mut now = Moment::from_millis(1_000_000);
        let meta = LegMeta { outgoing, marks, ..LegMeta::default() };
        let policy = Policy { max_duration_ms: 60_000, warning_before_ms: 20_000, idle_ms: 4_000, ..Policy::default() };
        let mut call = Call::new(now, &meta, policy);
        if watched {
            let message = leaves.then(|| "Please call back.".to_owned());
            call = call.with_voicemail(VoicemailSettings { message, beep_wait_ms: 10_000 });
        }
        let (mut finished, mut gone) = (false, BTreeSet::new());
        for ((fact, ago), after) in facts {
            now = now.plus_ms(after);
            call.handle(now, dated(fact, now.back_ms(ago)));
            obey(&mut call, &mut finished, &mut gone);
            if call.deadline().is_some_and(|at| at <= now) {
                call.handle_timeout(now);
                obey(&mut call, &mut finished, &mut gone);
                prop_assert!(call.deadline().is_none_or(|at| at > now), "the deadline did not move");
            }
        }
        // Left alone, it ends by its own bounds.
        let limit = now.plus_ms(60_000 + 60_000 + 15_000);
        while let Some(at) = call.deadline() {
            prop_assert!(at > now && at <= limit, "alive too long");
            now = at;
            call.handle_timeout(now);
            obey(&mut call, &mut finished, &mut gone);
        }
        prop_assert!(call.is_over() && finished, "over without the last order");
        prop_assert_eq!(call.voicemail().is_some(), outgoing && watched);
        let sources = call.voicemail().map_or_else(Vec::new, |known| {
            [Source::Tone, Source::Cadence, Source::Words]
                .into_iter()
                .filter(|source| known.signals.iter().any(|s| s.kind.source() == *source && s.kind.points() > 0))
                .collect()
        });
        let voicemail = call.ending().is_some_and(|ending| ending.reason == EndReason::Voicemail);
        prop_assert!(!voicemail || sources.len() >= 2, "a voicemail by {:?} alone", sources);
    }
}
