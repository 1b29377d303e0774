//! What a worker must never log, at no level: tokens of media sockets, of pages and of recordings, numbers, words, keys, fields.
//! The real program is given all of them in every place where they may stand, and everything that it logs is read.

use std::net::{SocketAddr, UdpSocket};

use base64_simd::STANDARD;

use crate::caller::{Caller, Plan};
use crate::crash::Program;
use crate::http::{Answer, get, post, request, upgrade};
use crate::world::{Folder, PATIENCE, beside_others, standin_bot, until};

const WS_TOKEN: &str = "media-token-5c81f0";
const WRONG_TOKEN: &str = "wrong-token-77aa01";
const PAGE_TOKEN: &str = "page-token-93be44";
const NUMBER: &str = "+919812345678";
const OTHER_NUMBER: &str = "+918044556677";
const FIELD: &str = "Asha-Field-Value-91";
/// A key of SRTP as it stands in SDP.
const SRTP_KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

/// A call by SIP with keys in its offer, after some offers that are broken at the key; the key of ours in the answer.
fn trunk_call(to: SocketAddr) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let here = socket.local_addr().unwrap();
    let whole = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/SAVP 0\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SRTP_KEY}\r\n"
    );
    let send = |method: &str, call: usize, number: u32, tag: &str, body: &str| {
        let text = format!(
            "{method} sip:1000@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{call}{number}{method}\r\nMax-Forwards: 70\r\n\
             From: <sip:{OTHER_NUMBER}@{here}>;tag=a\r\nTo: <sip:1000@{to}>{tag}\r\nCall-ID: keys-{call}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:a@{here}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.send_to(text.as_bytes(), to).unwrap();
    };
    let final_answer = |method: &str| loop {
        let mut buffer = [0; 4_096];
        let length = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.contains(&format!(" {method}\r\n")) && !text.starts_with("SIP/2.0 1") {
            return text;
        }
    };
    let broken = [
        whole.replace("AES_CM_128", "F8_128"),
        whole.replace("a=crypto:1", "m=crypto"),
        whole.replace("v=0\r\n", &format!("v={SRTP_KEY}\r\n")).replace("m=audio 9", &format!("m=audio {SRTP_KEY}")),
    ];
    for (call, offer) in broken.iter().enumerate() {
        send("INVITE", call, 1, "", offer);
        let answer = final_answer("INVITE");
        assert!(answer.starts_with("SIP/2.0 4"), "{answer}");
        assert!(!answer.contains(SRTP_KEY), "{answer}");
        send("ACK", call, 1, "", "");
    }
    send("INVITE", 9, 1, "", &whole);
    let answer = final_answer("INVITE");
    let ours = answer.split("inline:").nth(1).unwrap_or_else(|| panic!("{answer}")).split(['\r', '|']).next().unwrap();
    let to_line = answer.lines().find(|line| line.starts_with("To:")).unwrap();
    let tag = format!(";tag={}", to_line.split(";tag=").nth(1).unwrap().trim());
    send("ACK", 9, 1, &tag, "");
    send("BYE", 9, 2, &tag, "");
    assert!(final_answer("BYE").starts_with("SIP/2.0 200"));
    ours.to_owned()
}

/// A `GET` of a page by an operator.
async fn page(program: &Program, path: &str) -> Answer {
    let pair = STANDARD.encode_to_string(format!("ops:{PAGE_TOKEN}"));
    request(program.address, "GET", path, &format!("Authorization: Basic {pair}\r\n")).await
}

/// Calls with the token in each of its places; refusals with a wrong one in each.
async fn media(program: &Program) {
    let at = program.address;
    for path in [format!("/ws/demo/{WRONG_TOKEN}"), format!("/ws/demo?token={WRONG_TOKEN}"), "/ws/demo".to_owned()] {
        let refused = upgrade(at, &path, &format!("Authorization: Bearer {WRONG_TOKEN}\r\n")).await;
        assert_eq!(refused.status, 401);
    }
    let fields = vec![("first_name".to_owned(), FIELD.to_owned()), ("from_number".to_owned(), OTHER_NUMBER.to_owned())];
    for (n, place) in [String::new(), format!("?token={WS_TOKEN}"), format!("/{WS_TOKEN}")].into_iter().enumerate() {
        let token = place.is_empty().then(|| WS_TOKEN.to_owned());
        let plan = Plan { token, outgoing: n == 1, fields: fields.clone(), ..Plan::new(NUMBER) };
        let mut caller = Caller::open(&format!("ws://{at}/ws/demo{place}"), plan).await.unwrap();
        assert!(caller.until(|m| m.turns >= 1 && m.spoke.iter().all(|(_, end)| *end < u64::MAX)).await);
        let digit = caller.wire.digit('5');
        caller.say(digit).await;
        // What is broken is counted and may be logged, but not what stands in it.
        for text in [
            format!(r#"{{"event":"media","payload":"{NUMBER}"}}"#),
            format!(r#"{{"event":"{FIELD}","callerId":"{NUMBER}""#),
            format!(r#"{{"event":"hangup-call","disconnectedBy":"{FIELD}"}}"#),
        ] {
            caller.say(text).await;
        }
        caller.finish().await;
    }
}

/// The link of one call's recording, from the call log.
async fn link(program: &Program) -> String {
    let list = page(program, "/api/v1/calls").await;
    assert_eq!(list.status, 200, "{list:?}");
    let list: serde_json::Value = serde_json::from_str(&list.body).unwrap();
    list["ended"][0]["link"].as_str().unwrap().to_owned()
}

async fn pages(program: &Program) -> String {
    let at = program.address;
    assert_eq!(page(program, "/").await.status, 200);
    let wrong = request(at, "GET", "/", &format!("Authorization: Bearer {WRONG_TOKEN}\r\n")).await;
    assert_eq!(wrong.status, 401);
    let link = link(program).await;
    let token = link.trim_start_matches("/r/").to_owned();
    for path in ["", "/recording.wav", "/result", "/transcript"] {
        assert_eq!(get(at, &format!("{link}{path}")).await.status, 200, "{path}");
    }
    assert_eq!(get(at, &format!("{link}x")).await.status, 404);
    assert_eq!(get(at, &format!("/nowhere/{token}?token={PAGE_TOKEN}")).await.status, 404);
    assert_eq!(post(at, &format!("/api/v1/calls/{token}/hangup"), "").await.status, 401);
    token
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_number_is_ever_logged() {
    let _turn = beside_others().await;
    tokio::join!(nothing_leaks("info", "false"), nothing_leaks("debug", "true"), nothing_leaks("trace", "false"));
}

async fn nothing_leaks(level: &str, json: &str) {
    let folder = Folder::new("secrets");
    // A field that is not there makes a warning, which goes through the log.
    folder.bot("demo", &standin_bot("disclosure = \"Hello {{call.first_name}}, {{call.not_there}}.\""));
    let sip = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let trunk = "[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"demo\"\n[media]\nsrtp = \"optional\"\n";
    folder.trunk("peer", trunk);
    let program = Program::with(
        &folder,
        &[
            ("VOICEFLEET__SIP__LISTEN", &sip.to_string()),
            ("VOICEFLEET__SIP__TRUNKS", folder.trunks().to_str().unwrap()),
            ("VOICEFLEET__LOG__LEVEL", level),
            ("VOICEFLEET__LOG__JSON", json),
            ("VOICEFLEET__AUTH__WS_TOKEN", WS_TOKEN),
            ("VOICEFLEET__AUTH__PAGE_TOKEN", PAGE_TOKEN),
        ],
    );
    let srtp_key = tokio::task::spawn_blocking(move || trunk_call(sip)).await.unwrap();
    media(&program).await;
    until(|| folder.results().len() == 4, || "four results".to_owned()).await;
    let token = pages(&program).await;
    let log = program.drained().await;
    assert!(log.matches("call accepted").count() == 4 && log.contains("template_unset"), "at {level}:\n{log}");
    let digest = token.split_once('.').map_or(token.as_str(), |(_, digest)| digest);
    let basic = STANDARD.encode_to_string(format!("ops:{PAGE_TOKEN}"));
    let tokens = [WS_TOKEN, WRONG_TOKEN, PAGE_TOKEN, &basic, digest, SRTP_KEY, &srtp_key];
    for secret in tokens.into_iter().chain([NUMBER, &NUMBER[1..], OTHER_NUMBER, &OTHER_NUMBER[3..], FIELD]) {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} stands in the log at {level}");
    }
}
