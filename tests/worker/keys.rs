//! Keys on the wire: each `dtmf` event is one key press.

use voicefleet::results::Speaker;

use crate::caller::{Caller, Plan};
use crate::world::{Folder, World, beside_others, brisk, standin_bot};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_twice_is_two_presses_whatever_their_length() {
    let _turn = beside_others().await;
    let world = World::new("keys").await;
    let plan = Plan { turns: 0, ..Plan::new("+91-keys") };
    let mut caller = Caller::open(&world.ws("demo"), plan).await.unwrap();
    assert!(caller.until(|m| m.first_audio_ms().is_some()).await);
    // Word for word the same event, events that differ in their length alone, one without a length, one in another spelling.
    for event in [
        r#"{"event":"dtmf","digit":"5","durationMs":120}"#,
        r#"{"event":"dtmf","digit":"5","durationMs":120}"#,
        r#"{"event":"dtmf","digit":"5","durationMs":900}"#,
        r#"{"event":"dtmf","digit":"5"}"#,
        r#"{"event":"dtmf","dtmf":{"digit":"1","durationMs":"120"}}"#,
        r##"{"event":"dtmf","digit":"#","durationMs":0}"##,
    ] {
        assert!(caller.say(event.to_owned()).await);
    }
    let chunks = caller.memory.chunks().len();
    assert!(caller.until(|m| m.chunks().len() > chunks + 60).await, "the bot answers");
    caller.say(r#"{"event":"hangup-call"}"#.to_owned()).await;
    caller.finish().await;
    let result = world.result_of("+91-keys").await;
    let said: Vec<&str> =
        result.transcript.iter().filter(|l| l.speaker == Speaker::Customer).map(|l| l.text.reveal().as_str()).collect();
    assert_eq!(said, ["55551"], "{:?}", result.transcript);
    world.quiet().await;
    world.stop().await;
}

/// Four figures that begin with 7, complete by their number, by a star, or by a pause; three tries.
const COLLECTS: &str = r#"
[[script.step]]
id = "pin"
say = ["Please type your pin.", "That is four figures.", "Once more, please."]
slot = { name = "pin", type = "id", confirm = false, keys = { min = 4, max = 4, end = "*", gap_ms = 700, begins = ["7"] } }
expect = { pin = "typed" }
retries = 2
on_fail = "untyped"

[[script.end]]
id = "typed"
say = ["Thank you."]
disposition = "typed"

[[script.end]]
id = "untyped"
say = ["Goodbye."]
disposition = "untyped"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_typed_is_collected_by_the_steps_rule_and_asked_for_again_where_it_does_not_fit() {
    let _turn = beside_others().await;
    let folder = Folder::new("collected");
    let bot = standin_bot("").replace("opening_message = \"Hello.\"\n", "");
    folder.bot("demo", &(bot.replace("llm = \"standin\"", "llm = \"script\"") + COLLECTS));
    let world = World::over(folder, |_| {}, brisk()).await;
    // Keys of one entry each, a blank being a pause that ends it.
    for (caller_id, entries, disposition, said) in [
        // Too short by its star; then complete with the fourth figure, without a star or a pause.
        ("+91-typed", &["12*", "7123"][..], "typed", &["12", "7123"][..]),
        // Begins wrong; is cut off by a pause, and again.
        ("+91-untyped", &["8123", "71 ", "7 "], "untyped", &["8123", "71", "7"]),
    ] {
        let mut caller = Caller::open(&world.ws("demo"), Plan { turns: 0, ..Plan::new(caller_id) }).await.unwrap();
        assert!(caller.until(|m| m.first_audio_ms().is_some()).await);
        for entry in entries {
            for key in entry.trim().chars() {
                assert!(caller.say(format!(r#"{{"event":"dtmf","digit":"{key}","durationMs":100}}"#)).await);
            }
            // The bot asks again, or says goodbye.
            let chunks = caller.memory.chunks().len();
            assert!(caller.until(|m| m.chunks().len() > chunks + 10 || m.bot_hung_up()).await, "{:?}", caller.memory);
        }
        assert!(caller.until(|m| m.bot_hung_up()).await, "{:?}", caller.memory);
        caller.finish().await;
        let result = world.result_of(caller_id).await;
        let analysis = result.post_call_analysis.reveal();
        assert_eq!(analysis["disposition"], disposition, "{analysis}");
        let kept = &analysis["slots"]["pin"];
        assert_eq!(kept.as_str(), (disposition == "typed").then_some("7123"), "{analysis}");
        let typed = result.transcript.iter().filter(|line| line.speaker == Speaker::Customer);
        assert_eq!(typed.map(|line| line.text.reveal().as_str()).collect::<Vec<_>>(), said);
    }
    world.quiet().await;
    world.stop().await;
}
