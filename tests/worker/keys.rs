//! Keys on the wire: each `dtmf` event is one key press.

use voicefleet::results::Speaker;

use crate::caller::{Caller, Plan};
use crate::world::{World, beside_others};

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
