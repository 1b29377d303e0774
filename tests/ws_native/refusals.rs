//! Every refusal is plain HTTP before the upgrade, with a status, a code, and no slot left held.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use voicefleet::rt;
use voicefleet::transport::ws::{ClientError, ClientTls, HttpLimits, WsConfig, connect};

use crate::fake_dialler::{FakeDialler, PATIENCE};
use crate::world::{CONNECTED, World};

async fn refusal(world: &World, path: &str, token: Option<&str>) -> (u16, String, Option<String>) {
    match connect(&world.url(path), token, &ClientTls::Public, PATIENCE).await {
        Err(ClientError::Refused { status, body, retry_after }) => {
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            assert_eq!(problem.get("status").and_then(serde_json::Value::as_u64), Some(status.into()), "{body}");
            (status, problem["code"].as_str().unwrap_or_default().to_owned(), retry_after)
        }
        other => panic!("expected a refusal of {path}, got {:?}", other.map(|_| "an upgrade")),
    }
}

fn guarded() -> WsConfig {
    WsConfig { tokens: vec!["s3cret".into(), "next".into()], ..WsConfig::default() }
}

#[tokio::test]
async fn without_a_token_an_unknown_bot_is_404_and_a_closed_door_503() {
    let world = World::with(WsConfig::default(), 1, None, HttpLimits::default()).await;
    assert_eq!(refusal(&world, "/ws/nobody", None).await, (404, "unknown_bot".into(), None));
    assert_eq!(refusal(&world, &format!("/ws/{}", "b".repeat(65)), None).await.0, 404);
    assert_eq!(refusal(&world, "/ws/asleep", None).await, (503, "outside_active_hours".into(), Some("60".into())));
    let first = world.dial().await;
    assert_eq!(refusal(&world, "/ws/demo", None).await, (503, "no_capacity".into(), Some("1".into())));
    assert_eq!(world.free_slots(), 0, "the slot is held from the upgrade");
    first.close(1000).await;
    world.quiet(1).await;
    world.drain();
    assert_eq!(refusal(&world, "/ws/demo", None).await, (503, "draining".into(), Some("30".into())));
    assert_eq!(world.metrics.refused_unavailable.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn with_a_token_every_failure_is_the_same_401() {
    let world = World::new(guarded()).await;
    let expected = (401, "unauthorized".to_owned(), None);
    for (path, token) in [
        ("/ws/demo", None),
        ("/ws/demo", Some("wrong")),
        ("/ws/demo/wrong", None),
        ("/ws/demo?token=wrong", None),
        ("/ws/demo?token=", None),
        ("/ws/nobody", None),
        ("/ws/nobody/wrong", None),
        ("/ws/nobody", Some("s3cret")),
        ("/ws/nobody?token=s3cret", None),
        ("/ws/demo/s3cret", Some("wrong")),
    ] {
        assert_eq!(refusal(&world, path, token).await, expected, "{path} {token:?}");
    }
    assert_eq!(world.free_slots(), 4, "nobody without a token takes a slot");
    assert_eq!(world.metrics.refused_unauthorised.load(Ordering::Relaxed), 10);
}

#[tokio::test]
async fn a_token_opens_from_each_of_its_three_places() {
    let mut world = World::new(guarded()).await;
    for (path, token) in [("/ws/demo", Some("s3cret")), ("/ws/demo/next", None), ("/ws/demo?a=b&token=s3cret", None)] {
        let mut dialler = FakeDialler::connect_with(&world.url(path), token, &ClientTls::Public)
            .await
            .unwrap_or_else(|e| panic!("{path}: {e}"));
        dialler.say(CONNECTED).await;
        assert_eq!(world.call().await.opened.bot.as_str(), "demo");
    }
}

/// Sends raw bytes and reads what comes until the server closes.
async fn raw(world: &World, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    rt::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer and a close").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_is_no_websocket_upgrade_is_told_so() {
    let world = World::new(WsConfig::default()).await;
    let good = "GET /ws/demo HTTP/1.1\r\nhost: x\r\nconnection: close\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for (from, to) in [
        ("upgrade: websocket\r\n", ""),
        ("version: 13", "version: 8"),
        ("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
        ("connection: Upgrade\r\n", ""),
    ] {
        let answer = raw(&world, good.replace(from, to).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 426"), "{from} -> {to}: {answer}");
        assert!(answer.contains("\"not_websocket\"") && answer.contains("sec-websocket-version: 13"), "{answer}");
    }
    assert_eq!(world.free_slots(), 4);
}

#[tokio::test]
async fn a_client_that_dribbles_its_request_is_cut_off() {
    let limits = HttpLimits { request_head: Duration::from_millis(100), ..HttpLimits::default() };
    let world = World::with(WsConfig::default(), 4, None, limits).await;
    let answer = raw(&world, b"GET /ws/demo HTTP/1.1\r\nhost: x\r\nupgrade: webs").await;
    assert!(!answer.contains("101"), "{answer}");
    let mut dialler = world.dial().await;
    assert_eq!(dialler.settle().await, 0, "others are served");
}

/// A connection that said so much and nothing more.
async fn holding(world: &World, text: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(text).await.unwrap();
    stream
}

#[tokio::test]
async fn more_connections_than_the_bound_are_told_to_come_again() {
    let limits = HttpLimits { connections: 1, ..HttpLimits::default() };
    let world = World::with(WsConfig::default(), 4, None, limits).await;
    // It has asked for something, so it keeps its place until its time is up.
    let mut first = holding(&world, b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(rt::timeout(PATIENCE, first.read(&mut [0; 12])).await.expect("an answer").is_ok());
    let mut second = TcpStream::connect(world.address).await.unwrap();
    let mut answer = Vec::new();
    let _ = rt::timeout(PATIENCE, second.read_to_end(&mut answer)).await.expect("an answer and a close");
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn a_connection_that_asked_for_nothing_gives_way_to_a_caller() {
    let limits = HttpLimits { connections: 2, request_head: PATIENCE, ..HttpLimits::default() };
    let world = World::with(WsConfig::default(), 4, None, limits).await;
    let mut oldest = holding(&world, b"GET /ws/demo HTTP/1.1\r\n").await;
    let mut newer = holding(&world, b"").await;
    let mut dialler = world.dial().await;
    assert_eq!(dialler.settle().await, 0, "the caller is served");
    let over = rt::timeout(PATIENCE, oldest.read(&mut [0; 12])).await.expect("the oldest is closed");
    assert!(matches!(over, Ok(0) | Err(_)), "{over:?}");
    // The upgrade gave its place back, so nobody else had to go.
    newer.write_all(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(rt::timeout(PATIENCE, newer.read(&mut [0; 12])).await.expect("an answer").is_ok_and(|read| read > 0));
}

#[tokio::test]
async fn a_stop_closes_the_door_and_leaves_calls_alone() {
    let mut world = World::new(WsConfig::default()).await;
    let (mut dialler, mut call) = world.answered().await;
    world.stop.send(true).unwrap();
    rt::timeout(PATIENCE, &mut world.served).await.expect("a listener that stops").unwrap().unwrap();
    assert!(TcpStream::connect(world.address).await.is_err());
    call.speak(20, 5);
    assert!(dialler.hear().await.is_ok());
}
