//! Calls that an operator has the worker place: what the carrier says decides how they end, and what cannot be placed is refused with
//! nothing held. The carrier is a UDP socket of the test's own.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use voicefleet::config::Config;
use voicefleet::results::{CallResult, Direction};

use crate::http::{Answer, post, send};
use crate::world::{Folder, World, beside_others, brisk, standin_bot, until};

/// A carrier that answers each INVITE by its number.
struct Carrier {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<Vec<String>>>,
}

/// What the carrier says to one number: statuses one after the other, and a Reason with the last.
type Script = (&'static [u16], &'static str);
/// Number, script, end reason and who ended the call, final status and cause.
type Row = (&'static str, Script, &'static str, &'static str, (u16, Option<u8>));

impl Carrier {
    fn new(scripts: BTreeMap<&'static str, Script>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut invites) = (Vec::new(), BTreeMap::new());
            let mut buffer = [0; 8192];
            while !until.load(Ordering::Relaxed) {
                let Ok((n, from)) = socket.recv_from(&mut buffer) else { continue };
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                let call = field(&text, "Call-ID").to_owned();
                let say = |status: u16, to: &str, reason: &str| {
                    drop(socket.send_to(response(to, status, reason).as_bytes(), from));
                };
                if text.starts_with("INVITE ") && !invites.contains_key(&call) {
                    let number = text["INVITE sip:".len()..].split('@').next().unwrap().to_owned();
                    let (statuses, reason) = scripts[number.as_str()];
                    statuses.iter().for_each(|&status| say(status, &text, reason));
                    invites.insert(call, text.clone());
                } else if text.starts_with("CANCEL ") {
                    say(200, &text, "");
                    say(487, &invites[&call], "");
                }
                seen.push(text);
            }
            seen
        });
        Self { address, stop, thread: Some(thread) }
    }

    /// Every message that it got.
    fn stop(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default().trim()
}

fn response(request: &str, status: u16, reason: &str) -> String {
    let copied: String = request
        .lines()
        .filter(|line| ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)))
        .map(|line| format!("{}\r\n", line.trim()))
        .collect();
    let reason = if reason.is_empty() { String::new() } else { format!("Reason: {reason}\r\n") };
    let to = field(request, "To");
    format!("SIP/2.0 {status} As Told\r\n{copied}To: {to};tag=c1\r\n{reason}Content-Length: 0\r\n\r\n")
}

/// A worker with one trunk to that carrier.
async fn world(name: &str, carrier: SocketAddr, more: &str, tune: impl FnOnce(&mut Config)) -> World {
    let folder = Folder::new(name);
    folder.bot("demo", &standin_bot(""));
    let trunk = format!(
        "name = \"Carrier\"\n[outbound]\ntargets = [\"{carrier}\"]\nprefixes = [\"+91\"]\nring_ms = 5000\n{more}\n\
         [identity]\ncaller_id = \"+918000000001\"\n"
    );
    folder.trunk("carrier", &trunk);
    World::over(folder, tune, brisk()).await
}

async fn dial(world: &World, body: &serde_json::Value) -> Answer {
    send(world.running.address, "/api/v1/calls", &body.to_string()).await
}

/// Places a call and waits for its one result.
async fn placed(world: &World, to: &str) -> CallResult {
    let answer = dial(world, &json!({"bot_id": "demo", "to_number": to})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(told["status"], "ok");
    let id = told["call_id"].as_str().unwrap().to_owned();
    // Listed at once: whoever was given the id may ask for the call.
    assert_eq!(world.get(&format!("/api/v1/calls/{id}")).await.status, 200);
    let result = world.result_of(to).await;
    assert_eq!(result.session_id, id);
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_carrier_says_decides_how_a_call_ends() {
    let _beside = beside_others().await;
    let rows: [Row; 9] = [
        ("+911", (&[100, 486], ""), "busy", "RNR", (486, None)),
        ("+912", (&[180, 603], ""), "rejected", "RNR", (603, None)),
        ("+913", (&[180, 480], ""), "no_answer", "RNR", (480, None)),
        ("+914", (&[480], ""), "unreachable", "RNR", (480, None)),
        ("+915", (&[404], ""), "invalid_number", "error", (404, None)),
        ("+916", (&[403], ""), "trunk_refused", "error", (403, None)),
        ("+917", (&[503], ""), "trunk_failed", "error", (503, None)),
        ("+918", (&[488], ""), "media_refused", "error", (488, None)),
        ("+919", (&[183, 480], "Q.850;cause=17;text=\"User busy\""), "busy", "RNR", (480, Some(17))),
    ];
    let carrier = Carrier::new(rows.iter().map(|row| (row.0, row.1)).collect());
    let world = world("dial-outcomes", carrier.address, "", |_| {}).await;
    for (to, _, reason, by, (status, cause)) in rows {
        let result = placed(&world, to).await;
        assert_eq!((result.end_reason.as_str(), result.disconnected_by.code()), (reason, by), "{to}");
        assert_eq!((result.call_duration_seconds, result.direction), (0.0, Direction::Outbound), "{to}");
        let sip = result.sip.unwrap();
        assert_eq!((sip.status, sip.reason.as_str(), sip.cause), (status, "As Told", cause), "{to}");
        assert!(result.warnings.is_empty(), "{to}: {:?}", result.warnings);
    }
    world.quiet().await;
    let left = || world.running.sip_census().unwrap();
    until(|| (left().dialogs, left().pending) == (0, 0), || format!("{:?}", left())).await;
    world.stop().await;
    let seen = carrier.stop();
    // Nobody was rung twice.
    for (to, ..) in rows {
        let calls = seen.iter().filter(|text| text.starts_with(&format!("INVITE sip:{to}@")));
        let branches: std::collections::BTreeSet<&str> = calls.map(|text| field(text, "Via")).collect();
        assert_eq!(branches.len(), 1, "{to}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_rings_too_long_is_left_alone_and_an_operator_may_end_it_before() {
    let _beside = beside_others().await;
    let carrier = Carrier::new(BTreeMap::from([("+911", (&[180_u16][..], "")), ("+912", (&[180][..], ""))]));
    let world = world("dial-rings", carrier.address, "", |_| {}).await;
    let result = placed(&world, "+911").await;
    assert_eq!((result.end_reason.as_str(), result.disconnected_by.code()), ("no_answer", "RNR"));
    let ladder: Vec<String> = result.sip.unwrap().ladder.into_iter().map(|step| step.message).collect();
    assert_eq!(ladder, ["INVITE", "180", "CANCEL", "487"]);

    let answer = dial(&world, &json!({"bot_id": "demo", "to_number": "+912"})).await;
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let path = format!("/api/v1/calls/{}/hangup", told["call_id"].as_str().unwrap());
    assert_eq!(post(world.running.address, &path, "").await.status, 200);
    let result = world.result_of("+912").await;
    assert_eq!((result.end_reason.as_str(), result.call_duration_seconds), ("operator_hung_up", 0.0));
    world.quiet().await;
    world.stop().await;
    let seen = carrier.stop();
    assert_eq!(seen.iter().filter(|text| text.starts_with("CANCEL ")).count(), 2, "each is told once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_placed_is_refused_and_holds_nothing() {
    let _beside = beside_others().await;
    let carrier = Carrier::new(BTreeMap::from([("+911", (&[180_u16][..], ""))]));
    let world = world("dial-refused", carrier.address, "", |config| config.media.max_calls = 1).await;
    let body = |more: serde_json::Value| {
        let mut body = json!({"bot_id": "demo", "to_number": "+911"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (more, status, code) in [
        (json!({"bot_id": "nobody"}), 404, "unknown_bot"),
        (json!({"to_number": "+1555"}), 503, "no_trunk"),
        (json!({"to_number": "+1555", "trunk": "carrier"}), 422, "bad_trunk"),
        (json!({"trunk": "other"}), 422, "bad_trunk"),
        (json!({"from_number": "+15550001"}), 422, "bad_trunk"),
        (json!({"to_number": "+91 1"}), 422, "bad_number"),
        (json!({"headers": {"Via": "x"}}), 422, "bad_headers"),
        (json!({"extra": 1}), 422, "bad_body"),
    ] {
        let refused = dial(&world, &body(more.clone())).await;
        assert_eq!(refused.status, status, "{more}: {refused:?}");
        assert!(refused.body.contains(&format!(r#""code":"{code}""#)), "{more}: {refused:?}");
        assert_eq!(refused.header("retry-after").is_some(), status == 503, "{more}");
    }
    assert_eq!((world.app().capacity().held(), world.app().live()), (0, 0));
    // One place, and it is taken.
    assert_eq!(dial(&world, &body(json!({}))).await.status, 200);
    let refused = dial(&world, &body(json!({}))).await;
    assert!(refused.status == 503 && refused.body.contains(r#""code":"no_capacity""#), "{refused:?}");
    drop(world.result_of("+911").await);
    world.quiet().await;
    world.app().capacity().drain();
    let refused = dial(&world, &body(json!({}))).await;
    assert!(refused.status == 503 && refused.body.contains(r#""code":"draining""#), "{refused:?}");
    world.stop().await;
    drop(carrier.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_file_is_read_while_the_worker_runs_and_a_broken_one_changes_nothing() {
    let _beside = beside_others().await;
    let carrier = Carrier::new(BTreeMap::from([("+4411", (&[486_u16][..], "")), ("+4412", (&[603][..], ""))]));
    let world = world("dial-reload", carrier.address, "", |_| {}).await;
    let body = |to: &str| json!({"bot_id": "demo", "to_number": to});
    assert_eq!(dial(&world, &body("+4411")).await.status, 503, "no trunk may call that");
    let trunks = world.folder.trunks();
    let file = trunks.join("britain.toml");
    let new = format!("name = \"Britain\"\n[outbound]\ntargets = [\"{}\"]\nprefixes = [\"+44\"]\n", carrier.address);
    std::fs::write(trunks.join("britain.new"), new).unwrap();
    std::fs::rename(trunks.join("britain.new"), &file).unwrap();
    let taken = voicefleet::rt::timeout(Duration::from_secs(30), async {
        while dial(&world, &body("+4411")).await.status != 200 {
            voicefleet::rt::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(taken.await.is_some(), "the new file is read");
    assert_eq!(world.result_of("+4411").await.end_reason, "busy");
    std::fs::write(&file, "name = \"Britain\"\n[outbound]\ntargets = 5\n").unwrap();
    // Longer than two looks at the folder: the last good version goes on.
    voicefleet::rt::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(dial(&world, &body("+4412")).await.status, 200);
    assert_eq!(world.result_of("+4412").await.end_reason, "rejected");
    world.quiet().await;
    world.stop().await;
    drop(carrier.stop());
}
