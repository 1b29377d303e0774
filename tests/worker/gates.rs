//! Who gets in: capacity, drain, token, bots that change while calls are up.

use voicefleet::rt;
use voicefleet::transport::ws::ClientError;
use voicefleet::units::Pii;

use crate::caller::{Caller, Plan};
use crate::http::upgrade;
use crate::world::{World, beside_others, brisk, standin_bot, until};

fn fleet(state: &str, calls: u32, max: u32, available: u32) -> String {
    format!(
        r#"{{"status":"ok","fleet_calls":{calls},"fleet_max":{max},"fleet_available":{available},"workers":[{{"id":"w1","state":"{state}","calls":{calls},"max":{max},"limit":"configured"}}]}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_n_plus_one_is_refused_before_the_upgrade_and_a_drain_lets_calls_finish() {
    let _turn = beside_others().await;
    let world = World::with("full", |c| c.media.max_calls = 2, brisk()).await;
    let mut up = Vec::new();
    for n in 0..2 {
        let mut caller = Caller::open(&world.ws("demo"), Plan::new(&format!("+91-{n}"))).await.unwrap();
        assert!(caller.until(|m| m.first_audio_ms().is_some()).await);
        up.push(caller);
    }
    assert_eq!(world.get("/health/fleet").await.body, fleet("ready", 2, 2, 0));
    let refused = upgrade(world.running.address, "/ws/demo", "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{refused:?}");
    assert!(refused.body.contains(r#""code":"no_capacity""#), "{refused:?}");
    assert_eq!(world.get("/readyz").await.status, 503);
    assert!((world.metric("voicefleet_refusals_total{code=\"no_capacity\"}").await - 1.0).abs() < 0.1);
    let first = up.remove(0);
    drop(first);
    until(|| world.app().capacity().held() == 1, || "the place is given back".to_owned()).await;
    assert_eq!(world.get("/health/fleet").await.body, fleet("ready", 1, 2, 1));

    // The drain: the call that is up talks to its end, a new one is refused, nothing has to be ended.
    world.app().capacity().drain();
    let refused = upgrade(world.running.address, "/ws/demo", "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("30")), "{refused:?}");
    assert!(refused.body.contains(r#""code":"draining""#), "{refused:?}");
    assert_eq!(world.get("/health/fleet").await.body, fleet("draining", 1, 2, 0));
    let World { running, folder } = world;
    let drained = rt::spawn("drain", running.drain(std::future::pending()));
    let memory = up.remove(0).finish().await;
    assert!(memory.bot_hung_up() && memory.turns == 4, "the call finished in its own time");
    assert_eq!(drained.await.unwrap().unwrap(), 0, "no call had to be ended");
    let reasons: Vec<String> = folder.results().into_iter().map(|r| r.end_reason).collect();
    assert_eq!(reasons, ["leg_closed", "completed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_what_is_up_with_a_result() {
    let _turn = beside_others().await;
    let world = World::new("drain-now").await;
    let mut caller = Caller::open(&world.ws("demo"), Plan::new("+91-drained")).await.unwrap();
    assert!(caller.until(|m| m.first_audio_ms().is_some()).await);
    let World { running, folder } = world;
    let drained = rt::spawn("drain", running.drain(std::future::ready(())));
    let memory = caller.finish().await;
    assert!(memory.bot_hung_up(), "the far end is told");
    assert_eq!(drained.await.unwrap().unwrap(), 1);
    let results = folder.results();
    assert_eq!(results.len(), 1);
    assert_eq!((results[0].disconnected_by.code(), results[0].end_reason.as_str()), ("timeout", "drained"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_token_there_is_neither_a_call_nor_a_word_about_bots() {
    let _turn = beside_others().await;
    let token = Pii::new("opens-the-door".to_owned());
    let world = World::with("token", |c| c.auth.ws_token = Some(token), brisk()).await;
    let at = world.running.address;
    let wrong = "Authorization: Bearer closes-the-door\r\n";
    let basic = "Authorization: Basic opens-the-door\r\n";
    for (path, headers) in [
        ("/ws/demo", ""),
        ("/ws/demo", wrong),
        ("/ws/demo", basic),
        ("/ws/demo/opens-the-doo", ""),
        ("/ws/demo?token=opens-the-door2", ""),
        ("/ws/nobody", wrong),
        ("/ws/nobody", "Authorization: Bearer opens-the-door\r\n"),
    ] {
        let answer = upgrade(at, path, headers).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("bearer")), "{path} {headers}");
    }
    assert_eq!(world.app().capacity().held(), 0, "no place was taken");
    let refused = Caller::open(&world.ws("demo"), Plan::new("+91-no")).await.err();
    assert!(matches!(refused, Some(ClientError::Refused { status: 401, .. })), "{refused:?}");
    let plan = Plan { token: Some("opens-the-door".to_owned()), hang_up_ms: Some(600), ..Plan::new("+91-bearer") };
    Caller::converse(&world.ws("demo"), plan).await;
    for (n, url) in ["demo/opens-the-door", "demo?token=opens-the-door"].into_iter().enumerate() {
        let plan = Plan { hang_up_ms: Some(600), ..Plan::new(&format!("+91-url-{n}")) };
        Caller::converse(&world.ws(url), plan).await;
    }
    world.quiet().await;
    assert_eq!(world.folder.results().len(), 3, "only calls with the token were calls");
    assert!((world.metric("voicefleet_refusals_total{code=\"unauthorized\"}").await - 8.0).abs() < 0.1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_bot_serves_the_next_call_and_a_broken_one_serves_on_and_is_shown() {
    let _turn = beside_others().await;
    let world = World::new("reload").await;
    let call = async |id: &str| {
        Caller::converse(&world.ws("demo"), Plan { hang_up_ms: Some(500), ..Plan::new(id) }).await;
        world.result_of(id).await.bot_version
    };
    let first = call("+91-first").await;
    let listed = || voicefleet::api::Control::bots(world.app());
    world.folder.bot("demo", &standin_bot("language = \"en-GB\""));
    until(|| listed()[0].version != first, || "the change is seen".to_owned()).await;
    let second = call("+91-second").await;
    assert_ne!(first, second, "a new version for the next call");
    world.folder.bot("demo", &standin_bot("language = 7\ncolour = \"red\""));
    until(|| !listed()[0].faults.is_empty(), || "the fault is seen".to_owned()).await;
    assert_eq!(call("+91-third").await, second, "the last good version goes on");
    let page = world.get("/").await;
    assert_eq!(page.status, 200);
    for word in ["demo.toml", "language", "colour", &second] {
        assert!(page.body.contains(word), "the page shows {word}: {}", page.body);
    }
    world.quiet().await;
    world.stop().await;
}
