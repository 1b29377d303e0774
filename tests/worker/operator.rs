//! What an operator or a balancer sees and does from outside: a call that is ended by hand, and a worker that is still loading.

use voicefleet::app;
use voicefleet::config::Config;
use voicefleet::results::DisconnectedBy;

use crate::caller::{Caller, Plan};
use crate::http::{get, post, upgrade};
use crate::world::{Folder, World, beside_others, brisk, standin_bot};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_ends_one_call_and_the_other_goes_on() {
    let _turn = beside_others().await;
    let world =
        World::with("operator", |_| {}, voicefleet::provider::standin::Config { endless: true, ..brisk() }).await;
    let mut ended = Caller::open(&world.ws("demo"), Plan::new("+91-ended")).await.unwrap();
    let mut other = Caller::open(&world.ws("demo"), Plan { tone: 1, ..Plan::new("+91-other") }).await.unwrap();
    let (one, two) = tokio::join!(
        ended.until(|m| m.first_audio_ms().is_some() && m.call_id.is_some()),
        other.until(|m| m.first_audio_ms().is_some())
    );
    assert!(one && two);
    let id = ended.memory.call_id.clone().unwrap();
    let path = format!("/api/v1/calls/{id}/hangup");
    let told = post(world.running.address, &path, "").await;
    assert_eq!((told.status, told.body.as_str()), (200, format!(r#"{{"status":"ok","call_id":"{id}"}}"#).as_str()));
    let memory = ended.finish().await;
    assert!(memory.bot_hung_up(), "the far end is told");
    let result = world.result_of("+91-ended").await;
    assert_eq!((result.end_reason.as_str(), result.disconnected_by), ("operator_hung_up", DisconnectedBy::Bot));
    let again = post(world.running.address, &path, "").await;
    assert!(again.status == 409 && again.body.contains(r#""code":"call_ended""#), "{again:?}");

    let turns = other.memory.turns;
    assert!(other.until(|m| m.turns > turns + 1).await, "the other call talks on");
    drop(other);
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_loads_its_models_says_so_and_takes_no_call_yet() {
    let _turn = beside_others().await;
    let folder = Folder::new("starting");
    folder.bot("demo", &standin_bot(""));
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.sip.listen = config.server.listen;
    config.data.dir = folder.data();
    config.bots.dir = folder.path().join("bots");
    let starting = app::listen(&config, brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let address = starting.address();
    let ready = get(address, "/readyz").await;
    assert_eq!((ready.status, ready.header("retry-after")), (503, Some("2")));
    assert!(ready.body.contains(r#""code":"starting""#), "{ready:?}");
    assert_eq!(get(address, "/livez").await.status, 200);
    let refused = upgrade(address, "/ws/demo", "").await;
    assert!(refused.status == 503 && refused.body.contains(r#""code":"starting""#), "{refused:?}");
    assert!(get(address, "/health/fleet").await.body.contains(r#""fleet_available":0"#));
    let running = starting.ready().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(get(address, "/readyz").await.status, 200);
    let url = format!("ws://{address}/ws/demo");
    let memory = Caller::converse(&url, Plan { hang_up_ms: Some(800), ..Plan::new("+91-first") }).await;
    assert!(memory.first_audio_ms().is_some(), "calls are served");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_the_models_that_a_bot_wants_stops_and_names_the_repair() {
    let _turn = beside_others().await;
    let folder = Folder::new("no-models");
    folder.bot("demo", &standin_bot("").replace("stt = \"standin\"", "stt = \"local\""));
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.sip.listen = config.server.listen;
    config.data.dir = folder.data();
    config.bots.dir = folder.path().join("bots");
    config.models.dir = folder.path().join("nothing");
    let starting = app::listen(&config, brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let address = starting.address();
    let why = starting.ready().await.expect_err("no models, no start").to_string();
    assert!(why.contains("voicefleet models fetch"), "{why}");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_does_not_start_over_broken_bots_and_names_all_their_faults() {
    let _turn = beside_others().await;
    let folder = Folder::new("broken");
    let broken = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/broken/bots");
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.sip.listen = config.server.listen;
    config.data.dir = folder.data();
    config.bots.dir = broken.clone();
    let told = match app::start(&config, brisk()).await {
        Ok(_) => panic!("a worker over broken bots"),
        Err(error) => error.to_string(),
    };
    let faults = voicefleet::bot::io::BotFolder::open(&broken, voicefleet::rt::stamp()).faults();
    assert!(faults.len() > 20, "{faults:?}");
    for fault in faults {
        assert!(told.contains(&fault.to_string()), "`{fault}` is missing in:\n{told}");
    }
}
