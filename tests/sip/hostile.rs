//! Messages that are broken, odd or meant to harm, each with the status that it must get (0: none), and after each a sound OPTIONS from a
//! fresh socket that must be answered.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::world::{World, config, trunk};

/// A request as bytes, its fields changed line by line: `Name: value` replaces, `-Name` removes, `+Name: value` adds.
pub fn message(first: &str, changes: &[&str], body: &str) -> Vec<u8> {
    let method = first.split(' ').next().unwrap();
    let mut lines: Vec<String> = [
        "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKtest;rport",
        "From: <sip:a@h.example>;tag=77",
        "To: <sip:2000@h.example>",
        "Call-ID: hostile@test",
        "Contact: <sip:a@127.0.0.1:9>",
        "Max-Forwards: 70",
    ]
    .map(str::to_owned)
    .to_vec();
    lines.push(format!("CSeq: 1 {method}"));
    lines.push(format!("Content-Length: {}", body.len()));
    for change in changes {
        if let Some(name) = change.strip_prefix('-') {
            lines.retain(|line| !line.starts_with(&format!("{name}:")));
        } else if let Some(line) = change.strip_prefix('+') {
            lines.push(line.to_owned());
        } else {
            let name = change.split(':').next().unwrap();
            lines.retain(|line| !line.starts_with(&format!("{name}:")));
            lines.push((*change).to_owned());
        }
    }
    format!("{first}\r\n{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}

pub fn ask(to: SocketAddr, bytes: &[u8], wait: Duration) -> Option<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(wait)).unwrap();
    socket.send_to(bytes, to).unwrap();
    let mut buffer = [0; 65_535];
    let length = socket.recv(&mut buffer).ok()?;
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    text.split(' ').nth(1)?.parse().ok()
}

pub fn probe(to: SocketAddr, number: usize) -> Option<u16> {
    let id = format!("Call-ID: probe{number}");
    let via = format!("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKprobe{number};rport");
    ask(to, &message("OPTIONS sip:probe@h.example SIP/2.0", &[&id, &via], ""), Duration::from_secs(10))
}

/// First line, changes, body, expected status.
type Case = (&'static str, &'static [&'static str], &'static str, u16);

pub const OPTIONS: &str = "OPTIONS sip:2000@h.example SIP/2.0";
pub const INVITE: &str = "INVITE sip:2000@h.example SIP/2.0";

const CASES: &[Case] = &[
    (OPTIONS, &[], "", 200),
    // RFC 4475 3.1.1, sound but odd.
    (OPTIONS, &["-Via", "+v: SIP / 2.0 / UDP 127.0.0.1;rport;branch=z9hG4bKx"], "", 200),
    (
        OPTIONS,
        &["-Via", "+v:  SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKcompact", "-From", "+f: <sip:a@h>;tag=1"],
        "",
        200,
    ),
    (OPTIONS, &["From: \"quoted \\\" <name>\" <sip:a@h.example>;tag=8"], "", 200),
    (OPTIONS, &["From: \"\u{e9}\" <sip:a@h.example>;tag=8"], "", 200),
    (OPTIONS, &["Subject: folded\r\n over\r\n\tlines"], "", 200),
    (OPTIONS, &["Max-Forwards: 0"], "", 200),
    ("OPTIONS sip:%65ve%6Et@h.example SIP/2.0", &[], "", 200),
    ("OPTIONS sip:user;par=u%40h@h.example;transport=udp SIP/2.0", &[], "", 200),
    ("OPTIONS tel:+919800000001 SIP/2.0", &[], "", 200),
    (OPTIONS, &["To: <sip:null-%00-null@h.example>"], "", 200),
    // 3.1.2, broken.
    (OPTIONS, &["Via: SIP/2.0/UDP 127.0.0.1;rport;;,;,,"], "", 400),
    (OPTIONS, &["Via: SIP/9.9/UDP 127.0.0.1;branch=z9hG4bKx"], "", 400),
    (OPTIONS, &["Content-Length: 9999"], "", 400),
    (OPTIONS, &["Content-Length: -999"], "", 400),
    (OPTIONS, &["Content-Length: 18446744073709551615"], "", 400),
    (OPTIONS, &["Content-Length: 18446744073709551616"], "", 400),
    (OPTIONS, &["+Content-Length: 5"], "", 400),
    (OPTIONS, &["CSeq: 36893488147419103232 OPTIONS"], "", 400),
    (OPTIONS, &["CSeq: 8 INVITE"], "", 400),
    (OPTIONS, &["CSeq: OPTIONS"], "", 400),
    (OPTIONS, &["-CSeq"], "", 400),
    (OPTIONS, &["-Call-ID"], "", 400),
    (OPTIONS, &["-From"], "", 400),
    (OPTIONS, &["-To"], "", 400),
    (OPTIONS, &["Max-Forwards: 300"], "", 400),
    (OPTIONS, &["To: \"Mr. J. User <sip:j@h.example>"], "", 400),
    // RFC 2543 knew no tag; see `torture::further`.
    (OPTIONS, &["From: <sip:a@h.example>"], "", 400),
    (OPTIONS, &["+From: <sip:b@h.example>;tag=2"], "", 400),
    ("OPTIONS <sip:2000@h.example> SIP/2.0", &[], "", 400),
    ("OPTIONS sip:2000@h.example; lr SIP/2.0", &[], "", 400),
    ("OPTIONS sip:2000@h.example SIP/7.0", &[], "", 505),
    ("OPTIONS  sip:2000@h.example  SIP/2.0", &[], "", 400),
    ("OPTIONS nobodyKnowsThisScheme:totallyopaque SIP/2.0", &[], "", 416),
    ("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", &[], "", 416),
    ("!interesting-Method0123456789_*+`.%indeed'~ sip:a@h.example SIP/2.0", &[], "", 501),
    ("NEWMETHOD sip:a@h.example SIP/2.0", &[], "", 501),
    ("RE{GISTER sip:a@h.example SIP/2.0", &[], "", 400),
    ("REGISTER sip:h.example SIP/2.0", &[], "", 405),
    ("SUBSCRIBE sip:a@h.example SIP/2.0", &["Event: presence"], "", 405),
    ("MESSAGE sip:a@h.example SIP/2.0", &[], "", 405),
    ("PUBLISH sip:a@h.example SIP/2.0", &[], "", 405),
    (OPTIONS, &["Require: nothingSupportsThis, nothingSupportsThisEither"], "", 420),
    (INVITE, &["Require: 100rel, precondition"], "", 420),
    (INVITE, &["-Contact"], "", 400),
    (INVITE, &["Content-Type: text/plain"], "hello", 415),
    (INVITE, &["Content-Type: application/sdp", "Content-Encoding: gzip"], "v=0", 415),
    (INVITE, &["Content-Type: application/unknownformat"], "<audio/>", 415),
    (INVITE, &["Content-Type: application/sdp"], "v=0\r\nm=audio 4000 RTP/AVP 18\r\n", 488),
    (INVITE, &["Content-Type: application/sdp"], "v=1\r\n", 400),
    (INVITE, &["Content-Type: application/sdp"], "v=0\r\nm=image 4000 udptl t38\r\n", 488),
    // Outside any dialog.
    ("BYE sip:2000@h.example SIP/2.0", &["To: <sip:2000@h.example>;tag=nobody"], "", 481),
    ("BYE sip:2000@h.example SIP/2.0", &[], "", 481),
    ("INFO sip:2000@h.example SIP/2.0", &["To: <sip:2000@h.example>;tag=nobody"], "", 481),
    (INVITE, &["To: <sip:2000@h.example>;tag=nobody"], "", 481),
    ("UPDATE sip:2000@h.example SIP/2.0", &["To: <sip:2000@h.example>;tag=nobody"], "", 481),
    ("NOTIFY sip:2000@h.example SIP/2.0", &["Event: refer"], "", 481),
    ("CANCEL sip:2000@h.example SIP/2.0", &[], "", 481),
    // Never answered.
    ("ACK sip:2000@h.example SIP/2.0", &[], "", 0),
    ("ACK sip:2000@h.example SIP/7.0", &["-Call-ID"], "", 0),
    (OPTIONS, &["-Via"], "", 0),
    ("SIP/2.0 200 OK", &[], "", 0),
    ("SIP/2.0 4294967301 better not break the receiver", &[], "", 0),
    ("SIP/2.0 999 over the top", &[], "", 0),
    ("hello world", &[], "", 0),
    ("GET / HTTP/1.1", &[], "", 0),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_odd_message_gets_its_status_and_the_endpoint_hears_on() {
    let world = World::new(trunk(""), config(500)).await;
    let to = world.endpoint.address();
    let faults = tokio::task::spawn_blocking(move || {
        let mut faults = Vec::new();
        for (number, (first, changes, body, expected)) in CASES.iter().enumerate() {
            let mut bytes = message(first, changes, body);
            // A branch and Call-ID of its own, where the case leaves them alone.
            let text = String::from_utf8_lossy(&bytes).replace("z9hG4bKtest", &format!("z9hG4bK{number}"));
            bytes = text.replace("hostile@test", &format!("hostile{number}@test")).into_bytes();
            let wait = if *expected == 0 { Duration::from_millis(60) } else { Duration::from_secs(5) };
            let got = ask(to, &bytes, wait).unwrap_or(0);
            if got != *expected {
                faults.push(format!("{first} {changes:?}: expected {expected}, got {got}"));
            }
            if probe(to, number) != Some(200) {
                faults.push(format!("{first} {changes:?}: deaf afterwards"));
            }
        }
        faults
    });
    let faults = faults.await.unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_latin_name_does_not_lose_the_call() {
    let mut world = World::new(trunk(""), config(500)).await;
    let to = world.endpoint.address();
    let mut bytes =
        message(INVITE, &["Content-Type: application/sdp"], "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 8\r\n");
    let at = bytes.windows(5).position(|five| five == b"From:").unwrap() + 6;
    bytes.splice(at..at, b"\"Jos\xe9\" ".iter().copied());
    let status = tokio::task::spawn_blocking(move || ask(to, &bytes, Duration::from_secs(5))).await.unwrap();
    assert_eq!(status, Some(200));
    let (opened, _end) = world.call().await;
    assert_eq!(opened.meta.did, "2000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_refused_and_a_flood_of_unacknowledged_calls_is_capped() {
    let elsewhere = "[inbound]\naddresses = [\"192.0.2.0/24\"]\nbot = \"desk\"\n";
    let world = World::new(trunk(elsewhere), config(500)).await;
    let to = world.endpoint.address();
    let refused = tokio::task::spawn_blocking(move || ask(to, &message(INVITE, &[], ""), Duration::from_secs(5)));
    assert_eq!(refused.await.unwrap(), Some(403));

    let mut capped = config(500);
    capped.max_pending = 20;
    let world = World::new(trunk(""), capped).await;
    let to = world.endpoint.address();
    let tally = tokio::task::spawn_blocking(move || {
        let mut tally = (0, 0);
        for number in 0..60 {
            let (id, via) = (
                format!("Call-ID: flood{number}"),
                format!("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKflood{number};rport"),
            );
            match ask(to, &message(INVITE, &[&id, &via], ""), Duration::from_secs(5)) {
                Some(200) => tally.0 += 1,
                Some(503) => tally.1 += 1,
                other => panic!("{other:?}"),
            }
        }
        (tally, probe(to, 1))
    });
    assert_eq!(tally.await.unwrap(), ((20, 40), Some(200)));
    assert_eq!(world.endpoint.census().pending, 20);
}

/// `make soak` asks for ten times as many.
fn flood_times() -> usize {
    std::env::var("VOICEFLEET_TEST_FLOOD").map_or(1, |times| times.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_mutated_messages_leaves_nothing_and_a_sound_call_goes_through() {
    super::floods::mutants(2_000 * flood_times(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_calls_that_nobody_acknowledges_leaves_nothing() {
    super::floods::invites(1_000 * flood_times()).await;
}
