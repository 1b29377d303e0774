//! A carrier calls: a few lines of SIP and RTP of the test's own, against the whole worker. What was heard both ways is asserted by
//! its sound.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use voicefleet::media::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
use voicefleet::results::DisconnectedBy;

use crate::tape::{channels, is_audible, tone_hz, tone_peaks};
use crate::world::{CARRIER, Folder, World, beside_others, brisk, standin_bot};

/// A caller with one UDP port for SIP and one for audio.
pub struct Caller {
    sip: UdpSocket,
    rtp: UdpSocket,
    to: SocketAddr,
    number: String,
    /// The host of the Request-URI; the far end's address where there is none.
    domain: Option<String>,
    branch: u32,
    /// It speaks A-law, and hears nothing else; otherwise µ-law.
    pub alaw: bool,
}

impl Caller {
    pub fn new(to: SocketAddr) -> Self {
        Self::called(to, "+919876543210")
    }

    pub fn called(to: SocketAddr, number: &str) -> Self {
        let socket = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket
        };
        Self { sip: socket(), rtp: socket(), to, number: number.to_owned(), domain: None, branch: 0, alaw: false }
    }

    pub fn send(&mut self, method: &str, sequence: u32, to_tag: &str, body: &str) {
        self.branch += 1;
        let (here, there, number) = (self.sip.local_addr().unwrap(), self.to, &self.number);
        let host = self.domain.clone().unwrap_or_else(|| there.to_string());
        let content = match method {
            _ if body.is_empty() => "",
            "INFO" => "Content-Type: application/dtmf\r\n",
            _ => "Content-Type: application/sdp\r\n",
        };
        let text = format!(
            "{method} sip:1000@{host} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK-{};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{number}@{here}>;tag=a1\r\nTo: <sip:1000@{there}>{to_tag}\r\nCall-ID: carrier-{here}\r\n\
             CSeq: {sequence} {method}\r\nContact: <sip:caller@{here}>\r\nX-Campaign-Id: spring\r\n{content}\
             Content-Length: {}\r\n\r\n{body}",
            self.branch,
            body.len()
        );
        self.sip.send_to(text.as_bytes(), self.to).unwrap();
    }

    /// The next message that begins like this; others are passed over.
    pub fn next(&self, wanted: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let (n, _) = self.sip.recv_from(&mut buffer).unwrap_or_else(|error| panic!("no {wanted}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if text.starts_with(wanted) {
                return text;
            }
        }
    }

    /// Answers a request of the far end's.
    pub fn answer(&self, request: &str, status: &str) {
        let copied =
            |line: &&str| ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name));
        let copied: Vec<&str> = request.lines().filter(copied).collect();
        let text = format!("SIP/2.0 {status}\r\n{}\r\nContent-Length: 0\r\n\r\n", copied.join("\r\n"));
        self.sip.send_to(text.as_bytes(), self.to).unwrap();
    }

    pub fn offer(&self) -> String {
        let port = self.rtp.local_addr().unwrap().port();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
        )
    }
}

/// The tag of the far end.
fn tag(answer: &str) -> String {
    let to = answer.lines().find(|line| line.starts_with("To:") || line.starts_with("t:")).unwrap();
    format!(";tag={}", to.split(";tag=").nth(1).unwrap().trim())
}

/// Calls until it is answered: the far end's tag and the port of its audio.
pub fn place(caller: &mut Caller) -> (String, SocketAddr) {
    let offer = caller.offer();
    caller.send("INVITE", 1, "", &offer);
    let answer = caller.next("SIP/2.0 200");
    let tag = tag(&answer);
    caller.send("ACK", 1, &tag, "");
    assert!(answer.contains("RTP/AVP 0 101"), "one codec and the keys: {answer}");
    (tag, audio_of(&answer))
}

/// Packets of 20 ms at their pace: the tone of caller `tone`, with the key `5` pressed in its middle. Returns what came back.
pub fn talk(caller: &Caller, tone: usize, to: SocketAddr, packets: usize) -> Vec<i16> {
    talk_from(caller, tone, to, 0..packets, true)
}

/// The packets with these numbers; whether the key is pressed in their middle.
pub fn talk_from(
    caller: &Caller,
    tone: usize,
    to: SocketAddr,
    packets: std::ops::Range<usize>,
    press: bool,
) -> Vec<i16> {
    let mut heard = Vec::new();
    caller.rtp.set_nonblocking(true).unwrap();
    let mut timer = Duration::ZERO;
    let start = voicefleet::rt::now();
    let half = packets.len() / 2;
    let key_at = half as u32 * 160;
    let payload_type = if caller.alaw { 8 } else { 0 };
    for i in packets {
        let samples: Vec<i16> = (0..160)
            .map(|n| ((i * 160 + n) as f64 * tone_hz(tone) * std::f64::consts::TAU / 8_000.0).sin() * 8_000.0)
            .map(|sample| sample as i16)
            .collect();
        let mut packet = vec![0x80, payload_type, (i >> 8) as u8, i as u8];
        let timestamp = (i * 160) as u32;
        if press && (half..half + 6).contains(&i) {
            packet[1] = 101 | if i == half { 0x80 } else { 0 };
            packet.extend(key_at.to_be_bytes());
            packet.extend(77u32.to_be_bytes());
            let end = if i >= half + 3 { 0x80 } else { 0 };
            packet.extend([5, end | 10]);
            packet.extend((160 * (i - half + 1).min(4) as u16).to_be_bytes());
        } else {
            packet.extend(timestamp.to_be_bytes());
            packet.extend(77u32.to_be_bytes());
            let mut coded = [0; 160];
            if caller.alaw {
                alaw_encode(&samples, &mut coded)
            } else {
                ulaw_encode(&samples, &mut coded)
            };
            packet.extend(coded);
        }
        caller.rtp.send_to(&packet, to).unwrap();
        timer += Duration::from_millis(20);
        let due = start + timer;
        let mut buffer = [0; 2048];
        while voicefleet::rt::now() < due {
            if let Ok((n, _)) = caller.rtp.recv_from(&mut buffer)
                && n == 172
                && buffer[1] & 0x7f == payload_type
            {
                let mut frame = [0; 160];
                let coded = &buffer[12..n];
                if caller.alaw {
                    alaw_decode(coded, &mut frame)
                } else {
                    ulaw_decode(coded, &mut frame)
                };
                heard.extend(frame);
            } else {
                std::thread::yield_now();
            }
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_calls_is_heard_and_hears_and_hangs_up() {
    let _beside = beside_others().await;
    let world = World::with_carrier("sip", |_| {}).await;
    let to = world.running.sip_address().unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let mut caller = Caller::new(to);
        let (tag, audio) = place(&mut caller);
        let heard = talk(&caller, 0, audio, 200);
        caller.send("BYE", 2, &tag, "");
        caller.next("SIP/2.0 200");
        heard
    })
    .await
    .unwrap();
    let result = world.result_of("+919876543210").await;
    assert_eq!(result.end_reason, "customer_hung_up");
    let sip = result.sip.as_ref().unwrap();
    assert_eq!(sip.status, 200);
    assert!(sip.ladder.iter().any(|step| step.message.starts_with("BYE") && !step.sent), "{:?}", sip.ladder);
    let rtp = result.media.rtp.as_ref().unwrap();
    assert!((195..=200).contains(&rtp.received) && rtp.lost <= 5, "{rtp:?}");
    assert!(rtp.sent >= 190 && rtp.mos > 4.0, "{rtp:?}");
    assert!(heard.len() >= 180 * 160, "a packet for every tick: {}", heard.len());
    assert!(is_audible(&heard), "the bot was heard");
    let folder = world.folder.calls().remove(0);
    let (left, right) = channels(&folder.join("recording.wav"));
    let whole = tone_peaks(&left, tone_hz(0)).iter().filter(|&&peak| peak > 5_600.0).count();
    assert!(whole >= 15, "the caller's tone is on the left: {whole} stretches of 200 ms");
    assert!(is_audible(&right), "and the bot on the right");
    let journal = std::fs::read_to_string(folder.join("journal")).unwrap();
    assert_eq!(journal.matches("\"digit\":{\"digit\":\"5\"}").count(), 1, "one key, told once");
    world.quiet().await;
    let (calls, dialogs) = ("voicefleet_sip_events_total{kind=\"calls\"}", "voicefleet_sip_live{kind=\"dialogs\"}");
    assert_eq!((world.metric(calls).await, world.metric(dialogs).await), (1.0, 0.0), "on the metrics page");
    let network = [
        "voicefleet_rtp_packets_total{kind=\"received\"}",
        "voicefleet_rtp_jitter_seconds_count",
        "voicefleet_rtp_mos_sum",
    ];
    let [received, jitter, mos] =
        [world.metric(network[0]).await, world.metric(network[1]).await, world.metric(network[2]).await];
    assert!((195.0..=200.0).contains(&received) && jitter == 1.0 && mos > 4.0, "{received}, {jitter}, {mos}");
    let left = world.running.sip_census().unwrap();
    assert_eq!((left.dialogs, left.pending), (0, 0), "{left:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_locks_another_codec_is_heard_and_hears_in_it() {
    let _beside = beside_others().await;
    let world = World::with_carrier("sip-codec", |_| {}).await;
    let to = world.running.sip_address().unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let mut caller = Caller::new(to);
        let (tag, audio) = place(&mut caller);
        let before = talk_from(&caller, 0, audio, 0..100, false);
        let offer =
            caller.offer().replace("o=- 1 1 ", "o=- 1 2 ").replace("0 101", "8 101").replace(":0 PCMU", ":8 PCMA");
        caller.send("INVITE", 2, &tag, &offer);
        let answer = caller.next("SIP/2.0 200");
        caller.send("ACK", 2, &tag, "");
        assert!(answer.contains("RTP/AVP 8 101") && audio_of(&answer) == audio, "at the same port: {answer}");
        caller.alaw = true;
        let after = talk_from(&caller, 0, audio, 100..250, false);
        caller.send("BYE", 3, &tag, "");
        caller.next("SIP/2.0 200");
        [before, after]
    })
    .await
    .unwrap();
    assert!(is_audible(&heard[0]) && heard[1].len() >= 130 * 160, "{}", heard[1].len());
    let result = world.result_of("+919876543210").await;
    let rtp = result.media.rtp.as_ref().unwrap();
    assert!((245..=250).contains(&rtp.received) && rtp.lost <= 5, "{rtp:?}");
    let (left, _) = channels(&world.folder.calls().remove(0).join("recording.wav"));
    let whole = tone_peaks(&left, tone_hz(0)).iter().filter(|&&peak| peak > 5_600.0).count();
    assert!(whole >= 20, "the caller's tone goes on: {whole} of 25 stretches of 200 ms");
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_behind_a_nat_is_heard_and_hears_where_its_audio_comes_from() {
    let _beside = beside_others().await;
    let world = World::with_carrier("sip-nat", |_| {}).await;
    let to = world.running.sip_address().unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let mut caller = Caller::new(to);
        // What it says of itself is an address that nobody outside of its network has, or it.
        let offer = caller.offer().replace("c=IN IP4 127.0.0.1", "c=IN IP4 127.9.9.9");
        caller.send("INVITE", 1, "", &offer);
        let answer = caller.next("SIP/2.0 200");
        let tag = tag(&answer);
        caller.send("ACK", 1, &tag, "");
        let heard = talk(&caller, 0, audio_of(&answer), 200);
        caller.send("BYE", 2, &tag, "");
        caller.next("SIP/2.0 200");
        heard
    })
    .await
    .unwrap();
    assert!(heard.len() >= 170 * 160 && is_audible(&heard), "{}", heard.len());
    let result = world.result_of("+919876543210").await;
    let rtp = result.media.rtp.as_ref().unwrap();
    assert!((190..=200).contains(&rtp.received), "but for the first, which made it certain: {rtp:?}");
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_one_port_of_their_media_thread_are_kept_apart() {
    let _beside = beside_others().await;
    let shared = |config: &mut voicefleet::config::Config| {
        config.sip.rtp_per_shard = true;
        config.media.shards = 1;
        (config.sip.rtp_first, config.sip.rtp_last) = (19_700, 19_701);
    };
    let world = World::with_carrier("sip-shared", shared).await;
    let to = world.running.sip_address().unwrap();
    let numbers = ["+919876543210", "+919876543211", "+919876543212"];
    // The first two at once, the third when they are over.
    let call = |tone: usize| {
        tokio::task::spawn_blocking(move || {
            let mut caller = Caller::called(to, numbers[tone]);
            let (tag, audio) = place(&mut caller);
            assert_eq!(audio.port(), 19_700);
            // Somebody else at the same port, whom nobody waits for.
            let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
            let heard = std::thread::scope(|threads| {
                let talk = threads.spawn(|| talk(&caller, tone, audio, 200));
                voicefleet::rt::park_until(voicefleet::rt::now().plus_ms(1_000));
                let packet: Vec<u8> = [&[0x80, 0, 0, 1, 0, 0, 0, 0, 9, 9, 9, 9][..], &[0x10; 160]].concat();
                for _ in 0..50 {
                    stranger.send_to(&packet, audio).unwrap();
                }
                talk.join().unwrap()
            });
            caller.send("BYE", 2, &tag, "");
            caller.next("SIP/2.0 200");
            heard
        })
    };
    let (first, second) = tokio::join!(call(0), call(1));
    let heard = [first.unwrap(), second.unwrap(), call(2).await.unwrap()];
    let mut held = [false; 3];
    for number in numbers {
        world.result_of(number).await;
    }
    for folder in world.folder.calls() {
        let result: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("result.json")).unwrap()).unwrap();
        let tone = numbers.iter().position(|number| result["caller_id"] == *number).unwrap();
        let (left, _) = channels(&folder.join("recording.wav"));
        let whole = |tone| tone_peaks(&left, tone_hz(tone)).iter().filter(|&&peak| peak > 5_600.0).count();
        let others = (0..3).filter(|other| *other != tone).map(whole).sum::<usize>();
        assert!(whole(tone) >= 15 && others == 0, "{} of its own, {others} of the others", whole(tone));
        held[tone] = true;
        let rtp = &result["media"]["rtp"];
        assert!(rtp["received"].as_u64() >= Some(195) && rtp["lost"].as_u64() <= Some(5), "{rtp}");
        let journal = std::fs::read_to_string(folder.join("journal")).unwrap();
        assert_eq!(journal.matches("\"digit\":{\"digit\":\"5\"}").count(), 1, "one key, told once");
    }
    assert_eq!(held, [true; 3]);
    assert!(heard.iter().all(|heard| heard.len() >= 180 * 160 && is_audible(heard)), "each heard the bot");
    world.quiet().await;
    let nobodys = world.metric("voicefleet_sip_events_total{kind=\"nobodys\"}").await;
    assert!((100.0..=160.0).contains(&nobodys), "three times fifty of a stranger: {nobodys}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_hangs_up_at_once_is_believed() {
    let _beside = beside_others().await;
    let world = World::with_carrier("sip-brief", |_| {}).await;
    let to = world.running.sip_address().unwrap();
    // The BYE leaves with the ACK: it may be there before the call has opened its line.
    tokio::task::spawn_blocking(move || {
        let mut caller = Caller::new(to);
        let offer = caller.offer();
        caller.send("INVITE", 1, "", &offer);
        let tag = tag(&caller.next("SIP/2.0 200"));
        caller.send("ACK", 1, &tag, "");
        caller.send("BYE", 2, &tag, "");
        caller.next("SIP/2.0 200");
    })
    .await
    .unwrap();
    let result = world.result_of("+919876543210").await;
    assert_eq!((result.end_reason.as_str(), result.warnings.len()), ("customer_hung_up", 0), "{:?}", result.warnings);
    world.quiet().await;
    world.stop().await;
}

/// The port of an answer's audio.
fn audio_of(answer: &str) -> SocketAddr {
    let port = answer.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
    SocketAddr::from(([127, 0, 0, 1], port.split(' ').next().unwrap().parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_is_heard_before_the_answer_and_goes_on_behind_it_in_one_stream() {
    let _beside = beside_others().await;
    let folder = Folder::new("sip-early");
    folder.bot("demo", &standin_bot(""));
    let carrier = |ring_ms: u32, bot: &str| {
        format!(
            "name = \"{bot}\"\n[inbound]\naddresses = [\"127.0.0.1/32\"]\ndomain = \"{bot}.example\"\nbot = \"demo\"\n\
             ring_ms = {ring_ms}\nearly_media = true\n"
        )
    };
    // One that nobody here waits for to be answered, and one that is answered soon.
    folder.trunk("late", &carrier(30_000, "late"));
    folder.trunk("soon", &carrier(400, "soon"));
    let world = World::over(folder, |_| {}, brisk()).await;
    let to = world.running.sip_address().unwrap();
    let (heard, stream) = tokio::task::spawn_blocking(move || {
        let mut caller = Caller::new(to);
        caller.domain = Some("late.example".to_owned());
        let offer = caller.offer();
        caller.send("INVITE", 1, "", &offer);
        let progress = caller.next("SIP/2.0 183");
        assert!(!progress.contains("RSeq"), "{progress}");
        let heard = talk(&caller, 0, audio_of(&progress), 150);
        // The branch of what it cancels.
        caller.branch -= 1;
        caller.send("CANCEL", 1, "", "");
        caller.next("SIP/2.0 487");

        let mut caller = Caller::called(to, "+919876543211");
        caller.domain = Some("soon.example".to_owned());
        let offer = caller.offer();
        caller.send("INVITE", 1, "", &offer);
        let progress = caller.next("SIP/2.0 183");
        let answer = caller.next("SIP/2.0 200");
        let description = |text: &str| text.split_once("\r\n\r\n").unwrap().1.to_owned();
        assert_eq!(description(&progress), description(&answer));
        let tag = tag(&answer);
        caller.send("ACK", 1, &tag, "");
        let mut stream = Vec::new();
        let mut buffer = [0; 2048];
        // From the first packet behind the 183 to a second behind the 200.
        while stream.len() < 70 {
            let n = caller.rtp.recv(&mut buffer).expect("a stream without a gap");
            if n > 12 && buffer[1] & 0x7f == 0 {
                let sequence = u16::from_be_bytes([buffer[2], buffer[3]]);
                stream.push((sequence, [buffer[8], buffer[9], buffer[10], buffer[11]]));
            }
        }
        caller.send("BYE", 2, &tag, "");
        caller.next("SIP/2.0 200");
        (heard, stream)
    })
    .await
    .unwrap();
    assert!(is_audible(&heard), "the bot was heard and never answered");
    assert!(stream.windows(2).all(|two| two[1] == (two[0].0.wrapping_add(1), two[0].1)), "{stream:?}");
    let result = world.result_of("+919876543210").await;
    let sip = result.sip.as_ref().unwrap();
    assert_eq!((result.end_reason.as_str(), sip.status), ("customer_hung_up", 487));
    let rtp = result.media.rtp.as_ref().unwrap();
    assert!(rtp.sent >= 140 && rtp.received >= 140, "{rtp:?}");
    assert!(sip.rang_ms.is_some() && sip.early_media_ms.is_some() && sip.answered_ms.is_none(), "{sip:?}");
    let result = world.result_of("+919876543211").await;
    let sip = result.sip.as_ref().unwrap();
    assert_eq!((result.end_reason.as_str(), sip.status), ("customer_hung_up", 200));
    let times = [sip.rang_ms, sip.early_media_ms, sip.answered_ms].map(Option::unwrap);
    assert!(times.is_sorted() && times[1] < times[2], "{times:?}");
    world.quiet().await;
    // What would be left of this call had the worker been killed at its end.
    let folder = world.folder.calls().into_iter().find(|folder| folder.ends_with(&result.session_id)).unwrap();
    let bytes = std::fs::read(folder.join("journal")).unwrap();
    let rebuilt = voicefleet::results::rebuild(voicefleet::results::Remains {
        call_id: voicefleet::units::CallId::new(&result.session_id),
        journal: &voicefleet::journal::read(&bytes),
        journal_bytes: 0,
        recording: None,
        recording_url: None,
        last_seen: voicefleet::rt::stamp(),
    });
    let messages = |sip: &voicefleet::results::SipDetails| {
        sip.ladder.iter().map(|step| (step.sent, step.message.clone())).collect::<Vec<_>>()
    };
    let kept = rebuilt.sip.unwrap();
    assert!(kept.status == 200 && kept.answered_ms.is_some(), "{kept:?}");
    assert!(messages(sip).starts_with(&messages(&kept)) && kept.ladder.len() >= 4, "{kept:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_told_by_both_ways_is_typed_once() {
    let _beside = beside_others().await;
    let folder = Folder::new("sip-twice");
    folder.bot("demo", &standin_bot(""));
    let carrier = "name = \"Carrier\"\n[inbound]\naddresses = [\"127.0.0.1/32\"]\nbot = \"demo\"\n";
    folder.trunk("carrier", carrier);
    let world = World::over(folder, |_| {}, brisk()).await;
    let to = world.running.sip_address().unwrap();
    tokio::task::spawn_blocking(move || {
        let mut caller = Caller::new(to);
        let (tag, audio) = place(&mut caller);
        talk(&caller, 0, audio, 100);
        caller.send("INFO", 2, &tag, "5");
        caller.next("SIP/2.0 200");
        // Until two seconds without a key have ended what was typed.
        talk_from(&caller, 0, audio, 100..260, false);
        caller.send("BYE", 3, &tag, "");
        caller.next("SIP/2.0 200");
    })
    .await
    .unwrap();
    let result = world.result_of("+919876543210").await;
    let said = result.transcript.iter().map(|line| line.text.reveal().as_str());
    let typed: Vec<&str> = said.filter(|text| text.bytes().all(|b| b.is_ascii_digit())).collect();
    assert_eq!(typed, ["5"]);
    let journal = std::fs::read_to_string(world.folder.calls().remove(0).join("journal")).unwrap();
    assert_eq!(journal.matches("\"digit\":{\"digit\":\"5\"}").count(), 2, "both ways told it");
    world.quiet().await;
    world.stop().await;
}

/// A bot that has nothing to say but that it hands the caller over.
const HANDS_OVER: &str = r#"
[turn]
idle_ms = 500

[[script.step]]
id = "hello"
say = ["Hello."]
next = "desk"

[[script.end]]
id = "desk"
say = ["One moment."]
disposition = "handed_over"
action = { transfer = { to = "+911140001000" } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_transfers_fail_goes_on_and_then_ends_by_that_reason() {
    let _beside = beside_others().await;
    let folder = Folder::new("sip-untaken");
    folder.trunk("carrier", CARRIER);
    let bot = standin_bot("").replace("opening_message = \"Hello.\"\n", "");
    folder.bot("demo", &(bot.replace("llm = \"standin\"", "llm = \"script\"") + HANDS_OVER));
    let world = World::over(folder, |_| {}, brisk()).await;
    let to = world.running.sip_address().unwrap();
    tokio::task::spawn_blocking(move || {
        let mut caller = Caller::new(to);
        let offer = caller.offer();
        caller.send("INVITE", 1, "", &offer);
        let tag = tag(&caller.next("SIP/2.0 200"));
        caller.send("ACK", 1, &tag, "");
        let mut last = String::new();
        for status in ["603 Decline", "486 Busy Here"] {
            let mut refer = caller.next("REFER ");
            // What comes again word for word is a repetition.
            while refer == last {
                refer = caller.next("REFER ");
            }
            last.clone_from(&refer);
            assert!(refer.contains("Refer-To: <sip:+911140001000@"), "{refer}");
            caller.answer(&refer, status);
        }
        let bye = caller.next("BYE ");
        caller.answer(&bye, "200 OK");
    })
    .await
    .unwrap();
    let result = world.result_of("+919876543210").await;
    assert_eq!((result.end_reason.as_str(), result.disconnected_by), ("transfer_failed", DisconnectedBy::Error));
    let analysis = result.post_call_analysis.reveal();
    assert_eq!(analysis["disposition"], "transfer_failed", "nobody was handed over: {analysis}");
    assert_eq!(analysis["summary"], "The caller was to be handed over, and nobody took the call.");
    world.quiet().await;
    world.stop().await;
}
