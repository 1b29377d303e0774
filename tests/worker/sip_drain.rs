//! A worker that is to stop while carriers call: who is up talks to the end, who comes is sent elsewhere, and a second signal ends the rest.

use voicefleet::results::DisconnectedBy;
use voicefleet::rt;

use crate::sip::{Caller, place, talk};
use crate::tape::is_audible;
use crate::world::{World, beside_others};

const UP: &str = "+919876543210";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_sends_new_calls_elsewhere_and_lets_the_one_that_is_up_finish() {
    let _turn = beside_others().await;
    let world = World::with_carrier("sip-drain", |_| {}).await;
    let to = world.running.sip_address().unwrap();
    let begun = tokio::task::spawn_blocking(move || {
        let mut caller = Caller::called(to, UP);
        let (tag, audio) = place(&mut caller);
        talk(&caller, 0, audio, 50);
        (caller, tag, audio)
    });
    let (mut caller, tag, audio) = begun.await.unwrap();
    world.app().capacity().drain();
    let World { running, folder } = world;
    let drained = rt::spawn("drain", running.drain(std::future::pending()));
    let ended = tokio::task::spawn_blocking(move || {
        let mut late = Caller::called(to, "+919876543211");
        let offer = late.offer();
        late.send("INVITE", 1, "", &offer);
        let refused = late.next("SIP/2.0 503");
        assert!(refused.contains("Retry-After: 30"), "{refused}");
        let heard = talk(&caller, 0, audio, 100);
        caller.send("BYE", 2, &tag, "");
        caller.next("SIP/2.0 200");
        heard
    });
    let heard = ended.await.unwrap();
    assert!(heard.len() >= 80 * 160, "audio goes on: {}", heard.len());
    assert_eq!(drained.await.unwrap().unwrap(), 0, "no call had to be ended");
    let results = folder.results();
    let ends: Vec<_> = results.iter().map(|r| (r.caller_id.reveal().as_str(), r.end_reason.as_str())).collect();
    assert_eq!(ends, [(UP, "customer_hung_up")], "who was sent elsewhere is no call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_hangs_up_on_the_carrier() {
    let _turn = beside_others().await;
    let world = World::with_carrier("sip-drain-now", |_| {}).await;
    let to = world.running.sip_address().unwrap();
    let (told, up) = tokio::sync::oneshot::channel();
    let call = tokio::task::spawn_blocking(move || {
        let mut caller = Caller::called(to, UP);
        let (_, audio) = place(&mut caller);
        assert!(is_audible(&talk(&caller, 0, audio, 100)), "the call is up");
        told.send(()).unwrap();
        let bye = caller.next("BYE ");
        caller.answer(&bye, "200 OK");
    });
    up.await.unwrap();
    let World { running, folder } = world;
    assert_eq!(running.drain(std::future::ready(())).await, 1);
    call.await.unwrap();
    let results = folder.results();
    let ends: Vec<_> = results.iter().map(|r| (r.disconnected_by, r.end_reason.as_str())).collect();
    assert_eq!(ends, [(DisconnectedBy::Timeout, "drained")]);
    let ladder = &results[0].sip.as_ref().unwrap().ladder;
    assert!(ladder.iter().any(|step| step.sent && step.message.starts_with("BYE")), "{ladder:?}");
}
