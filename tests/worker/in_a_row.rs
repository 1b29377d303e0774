//! Calls in a row over SIP, many at once, in and out by turns, each second one ended by the worker: every one leaves its one result and
//! nothing else, no memory either. The suite makes sixty, `make soak` ten thousand (`VOICEFLEET_TEST_ROW`). The far ends are telephones of
//! the test's own; the audio is real RTP at its own pace.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::net::UdpSocket;
use voicefleet::media::ulaw_encode;
use voicefleet::provider::standin;
use voicefleet::results::{Direction, DisconnectedBy};
use voicefleet::rt;
use voicefleet::telemetry::{ProcessSample, ZERO_AFTER_DRAIN};
use voicefleet::wire::sdp::Description;
use voicefleet::wire::sip::{Message, parameter};

use crate::density::settled_memory;
use crate::http::send;
use crate::phone::{OFFER, Phone};
use crate::world::{CARRIER, Folder, World, alone, brisk, standin_bot, until};

/// Calls of the suite's form.
const FEW: usize = 60;
/// From here on more calls are up at once.
const MANY: usize = 1_000;
/// What a batch of calls may leave on the disk before it is looked at and cleared away.
const BATCH: usize = 250;
/// What all calls after the first quarter may cost in memory.
const GROWTH: f64 = 0.05;
/// SIP's T1. What absorbs repeats lives 64 times as long, and is waited for twice.
const T1_MS: u64 = 40;
const FRAME: usize = 160;
/// A telephone is silent, then speaks, then is silent again, and so on.
const SILENT_FRAMES: usize = 20;
const SPEECH_FRAMES: usize = 35;
const ROUND_FRAMES: usize = 200;

/// What becomes of the `nth` call.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    inbound: bool,
    /// The worker hangs up, else the far end.
    by_worker: bool,
}

const fn kind_of(nth: usize) -> Kind {
    Kind { inbound: nth & 1 == 0, by_worker: nth & 2 == 0 }
}

fn number_of(nth: usize) -> String {
    format!("+9190{nth:08}")
}

/// A second of somebody speaking and the silence around it, frame by frame.
fn voice() -> Vec<[u8; FRAME]> {
    let path = format!("{}/fixtures/audio/caller_rms.wav", env!("CARGO_MANIFEST_DIR"));
    let mut reader = hound::WavReader::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let clip: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let loud = clip.chunks_exact(FRAME).filter(|frame| frame.iter().any(|s| s.unsigned_abs() > 1_200));
    let coded = |frame: &[i16]| {
        let mut out = [0; FRAME];
        ulaw_encode(frame, &mut out);
        out
    };
    let mut frames = vec![coded(&[0; FRAME]); SILENT_FRAMES];
    frames.extend(loud.take(SPEECH_FRAMES).map(coded));
    assert_eq!(frames.len(), SILENT_FRAMES + SPEECH_FRAMES, "{path} is long enough");
    frames.resize(ROUND_FRAMES, coded(&[0; FRAME]));
    frames
}

/// A port for audio and the one above it, to which reports come: not another telephone's.
async fn pair() -> (UdpSocket, UdpSocket) {
    loop {
        let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut beside = rtp.local_addr().unwrap();
        beside.set_port(beside.port().saturating_add(1));
        if let Ok(rtcp) = UdpSocket::bind(beside).await {
            return (rtp, rtcp);
        }
    }
}

/// Where a description wants its audio.
fn audio_of(message: &Message) -> SocketAddr {
    Description::parse(&message.body).unwrap().media[0].remote()
}

/// One telephone line: a call after the other.
struct Line {
    phone: Phone,
    trunk: String,
    http: SocketAddr,
    voice: Arc<Vec<[u8; FRAME]>>,
    heard: Arc<AtomicU32>,
}

impl Line {
    async fn call(&mut self, nth: usize) {
        let (rtp, _rtcp) = pair().await;
        let at = rtp.local_addr().unwrap().port().to_string();
        let sdp = OFFER.replace("4000", &at).replace(" 8 101", " 0 101");
        let Kind { inbound, by_worker } = kind_of(nth);
        let Phone { call_id, tag, their_tag, number, seen, .. } = &mut self.phone;
        (*call_id, *tag, *number) = (format!("row{nth}@test"), format!("row{nth}"), 0);
        their_tag.clear();
        seen.clear();
        let to = if inbound { self.calls(nth, &sdp).await } else { self.is_called(nth, &sdp).await };
        self.heard.store(0, Ordering::Relaxed);
        if by_worker {
            let bye = tokio::select! {
                bye = asked(&mut self.phone, "BYE") => bye,
                () = talk(&rtp, to, &self.voice, &self.heard, usize::MAX) => unreachable!(),
            };
            self.phone.answer(&bye, 200, "").await;
        } else {
            talk(&rtp, to, &self.voice, &self.heard, 30 + nth % 50).await;
            self.phone.hang_up().await;
        }
        assert!(self.heard.load(Ordering::Relaxed) > 0, "call {nth}: the bot's packets come");
    }

    /// The telephone calls the worker; where its audio goes.
    async fn calls(&mut self, nth: usize, sdp: &str) -> SocketAddr {
        let mut invite = self.phone.request("INVITE", &[], sdp);
        let from = format!("<sip:{}@{}>;tag={}", number_of(nth), self.phone.address(), self.phone.tag);
        invite.set("From", &from);
        self.phone.send(&invite).await;
        let answer = loop {
            let answer = self.phone.response("INVITE").await;
            if answer.get("Call-ID") == Some(self.phone.call_id.as_str()) {
                break answer;
            }
            self.phone.their_tag.clear();
        };
        assert_eq!(answer.status(), Some(200), "call {nth}: {answer:?}");
        self.phone.ack("").await;
        audio_of(&answer)
    }

    /// The worker calls the telephone, which answers.
    async fn is_called(&mut self, nth: usize, sdp: &str) -> SocketAddr {
        let ask = json!({"bot_id": "demo", "to_number": number_of(nth), "trunk": self.trunk}).to_string();
        let told = send(self.http, "/api/v1/calls", &ask).await;
        assert_eq!(told.status, 200, "call {nth}: {told:?}");
        let uri = format!("sip:{}@", number_of(nth));
        let invite = loop {
            let invite = self.phone.asked("INVITE").await;
            if invite.uri().is_some_and(|to| to.starts_with(&uri)) {
                break invite;
            }
        };
        let from = invite.get("From").unwrap();
        self.phone.call_id = invite.get("Call-ID").unwrap().to_owned();
        self.phone.their_tag = parameter(from, "tag").unwrap().to_owned();
        self.phone.answer(&invite, 200, sdp).await;
        asked(&mut self.phone, "ACK").await;
        audio_of(&invite)
    }
}

/// The next request of this method in this call. What is repeated of the call before is answered as it was.
async fn asked(phone: &mut Phone, method: &str) -> Message {
    loop {
        let request = phone.asked(method).await;
        if request.get("Call-ID") == Some(phone.call_id.as_str()) {
            return request;
        }
        phone.answer(&request, 200, "").await;
    }
}

/// Speaks so many frames at their pace, and counts what comes.
async fn talk(rtp: &UdpSocket, to: SocketAddr, voice: &[[u8; FRAME]], heard: &AtomicU32, frames: usize) {
    let mut due = rt::now();
    let mut buffer = [0; 2_048];
    for i in 0..frames {
        let mut packet = vec![0x80, 0];
        packet.extend((i as u16).to_be_bytes());
        packet.extend(((i * FRAME) as u32).to_be_bytes());
        packet.extend(77_u32.to_be_bytes());
        packet.extend(voice[i % voice.len()]);
        // A packet that the system does not take is a packet lost.
        let _ = rtp.send_to(&packet, to).await;
        while rtp.try_recv(&mut buffer).is_ok_and(|length| length == 12 + FRAME) {
            heard.fetch_add(1, Ordering::Relaxed);
        }
        due = due.plus_ms(20);
        rt::sleep_until(due).await;
    }
}

/// A worker with a trunk to each line's address and one for whoever calls.
async fn worker(lines: usize) -> (World, Vec<Phone>) {
    let folder = Folder::new("row");
    folder.bot("demo", &standin_bot(""));
    folder.trunk("in", CARRIER);
    let mut phones = Vec::new();
    for line in 0..lines {
        // Where the worker is, is known once it runs.
        let phone = Phone::new(SocketAddr::from(([127, 0, 0, 1], 9))).await;
        let text = format!("name = \"Line\"\n[outbound]\ntargets = [\"{}\"]\n", phone.address());
        folder.trunk(&format!("line-{line:02}"), &text);
        phones.push(phone);
    }
    let speech = standin::Config { bot_lines: vec!["Hello, who is calling?".to_owned()], ..brisk() };
    let tune = |config: &mut voicefleet::config::Config| {
        config.sip.t1_ms = T1_MS;
        // A place is held until the result is written, and the telephones do not wait for that.
        config.media.max_calls = 10 * lines as u32;
        // Ports rest for ten seconds: enough for that, and each is used many times in the long form, so that a leak would empty them.
        config.sip.rtp_first = 26_000;
        config.sip.rtp_last = 27_999;
    };
    (World::over(folder, tune, speech).await, phones)
}

/// All lines make calls until those below `to` are made.
async fn calls(lines: Vec<Line>, next: &Arc<AtomicUsize>, to: usize) -> Vec<Line> {
    let at_work: Vec<_> = lines
        .into_iter()
        .map(|mut line| {
            let next = Arc::clone(next);
            rt::spawn("line", async move {
                loop {
                    let nth = next.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < to).then_some(n + 1));
                    let Ok(nth) = nth else { return line };
                    line.call(nth).await;
                }
            })
        })
        .collect();
    let mut lines = Vec::new();
    for line in at_work {
        lines.push(line.await.unwrap().unwrap_or_else(|stopped| panic!("{stopped:?}")));
    }
    lines
}

/// Every call from `from` to `to` has the one result that it should have; then its folder goes.
fn check_results(world: &World, from: usize, to: usize) {
    let folders = world.folder.calls();
    let mut results: BTreeMap<String, _> = BTreeMap::new();
    for result in world.folder.results() {
        let other = results.insert(result.caller_id.reveal().clone(), result);
        assert!(other.is_none(), "two results of one call: {other:?}");
    }
    assert_eq!((results.len(), folders.len()), (to - from, to - from), "a result and a folder a call");
    for nth in from..to {
        let Kind { inbound, by_worker } = kind_of(nth);
        let result = results.get(&number_of(nth)).unwrap_or_else(|| panic!("no result of call {nth}"));
        let (by, reason) =
            if by_worker { (DisconnectedBy::Bot, "completed") } else { (DisconnectedBy::Customer, "customer_hung_up") };
        let told = format!("call {nth}: {:?}", result.warnings);
        assert_eq!((result.disconnected_by, result.end_reason.as_str()), (by, reason), "{told}");
        assert_eq!(result.direction, if inbound { Direction::Inbound } else { Direction::Outbound }, "{told}");
        assert_eq!(result.sip.as_ref().unwrap().status, 200, "{told}");
        assert!(result.media.rtp.as_ref().is_some_and(|rtp| rtp.received > 0 && rtp.sent > 0), "{told}");
        let byes = |sent| {
            let ladder = &result.sip.as_ref().unwrap().ladder;
            ladder.iter().filter(|step| step.sent == sent && step.message.starts_with("BYE")).count()
        };
        assert_eq!((byes(true), byes(false)), if by_worker { (1, 0) } else { (0, 1) }, "{told}");
    }
    for folder in folders {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// Waits until SIP holds nothing at all, not even what absorbs repeats, and every socket is closed; the memory then.
async fn settled(world: &World, files: u32) -> u64 {
    let held = || {
        let c = world.running.sip_census().unwrap();
        (c.dialogs, c.pending, c.transactions, c.absorbing, c.streams)
    };
    until(|| held() == (0, 0, 0, 0, 0), || format!("SIP holds {:?}", world.running.sip_census())).await;
    let open = || ProcessSample::read().open_files;
    until(|| open() <= files, || format!("{} files open, {files} before the first call", open())).await;
    settled_memory()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_a_row_leave_a_result_each_and_nothing_else() {
    let _alone = alone().await;
    let all = std::env::var("VOICEFLEET_TEST_ROW").map_or(FEW, |text| text.parse().unwrap());
    assert!(all > 0 && all.is_multiple_of(4), "each kind of call as often as the others: {all}");
    let (world, phones) = worker(if all < MANY { 20 } else { 40 }).await;
    let (sip, http) = (world.running.sip_address().unwrap(), world.running.address);
    let voice = Arc::new(voice());
    let line = |(nth, mut phone): (usize, Phone)| {
        phone.to = sip;
        Line { phone, trunk: format!("line-{nth:02}"), http, voice: Arc::clone(&voice), heard: Arc::default() }
    };
    let mut lines: Vec<Line> = phones.into_iter().enumerate().map(line).collect();
    // The first look at the metrics page opens what stays open.
    world.get("/metrics").await;
    let files = ProcessSample::read().open_files;
    let (begun, next, mut made, mut first) = (rt::now(), Arc::new(AtomicUsize::new(0)), 0, 0);
    while made < all {
        let quarter = (made * 4 / all + 1) * all / 4;
        let to = quarter.min(made + BATCH).min(all);
        lines = calls(lines, &next, to).await;
        world.quiet().await;
        let gone = || world.running.sip_census().is_some_and(|c| (c.dialogs, c.pending) == (0, 0));
        until(gone, || format!("{:?}", world.running.sip_census())).await;
        check_results(&world, made, to);
        made = to;
        if made == quarter && (first == 0 || made == all || all >= MANY) {
            let memory = settled(&world, files).await;
            println!("{made} calls, {} s, {} KiB", rt::now().since(begun).as_secs(), memory / 1024);
            if first == 0 {
                first = memory;
            } else {
                let growth = memory as f64 / first as f64 - 1.0;
                assert!(growth <= GROWTH, "{made} calls cost memory: {:.2} %", growth * 100.0);
            }
        }
    }
    let page = world.get("/metrics").await.body;
    for gauge in ZERO_AFTER_DRAIN {
        assert!(page.lines().any(|line| line == format!("{gauge} 0")), "{gauge} is zero on the metrics page");
    }
    for (sample, wanted) in [
        ("voicefleet_calls_started_total{direction=\"incoming\"}", all / 2),
        ("voicefleet_calls_started_total{direction=\"outgoing\"}", all / 2),
        ("voicefleet_calls_ended_total{end_reason=\"completed\"}", all / 2),
        ("voicefleet_calls_ended_total{end_reason=\"customer_hung_up\"}", all / 2),
        ("voicefleet_sip_live{kind=\"dialogs\"}", 0),
        ("voicefleet_sip_live{kind=\"transactions\"}", 0),
        ("voicefleet_sip_live{kind=\"streams\"}", 0),
    ] {
        let counted = world.metric(sample).await;
        assert!((counted - wanted as f64).abs() < 0.5, "{sample}: {counted}, not {wanted}");
    }
    drop(lines);
    rt::timeout(Duration::from_secs(30), world.stop()).await.expect("a worker without calls leaves at once");
}
