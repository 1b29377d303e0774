//! Recording links: who gets what, in which part, and what a wrong one gets.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use voicefleet::rt;

use super::BROWSER;
use super::double::{Double, HOSTILE, ask, get};

/// Bytes that differ from place to place, larger than one block.
fn audio(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn a_program_gets_the_wav_and_a_browser_the_page() {
    let mut process = Double::empty();
    let wav = audio(150_000);
    let result = serde_json::json!({
        "session_id": "c1",
        "caller_id": "+919876543210",
        "call_duration_seconds": 61.5,
        "disconnected_by": "bot",
        "transcript": [
            {"speaker": "bot", "text": HOSTILE, "timestamp": "2026-05-01T09:30:00.250Z", "start_ms": 1250},
            {"speaker": "customer", "text": "I will pay on Friday", "start_ms": 4000},
        ],
        "post_call_analysis": {"disposition": "promise_to_pay", "summary": HOSTILE},
    });
    let token = process.end("c1", Some(&wav), &result.to_string());
    let router = process.local();
    let path = format!("/r/{token}");

    let audio = ask(&router, "GET", &path, &[("accept", "*/*")]).await;
    assert_eq!((audio.status.as_u16(), audio.header("content-type"), &audio.bytes), (200, "audio/wav", &wav));
    assert_eq!((audio.header("accept-ranges"), audio.header("vary")), ("bytes", "Accept"));
    assert_eq!(audio.header("cross-origin-resource-policy"), "cross-origin");

    let page = ask(&router, "GET", &path, &[BROWSER]).await;
    assert_eq!((page.status.as_u16(), page.header("vary")), (200, "Accept"));
    let text = page.text();
    for part in [
        format!("src=\"/r/{token}/recording.wav\""),
        format!("href=\"/r/{token}/result\""),
        "I will pay on Friday".to_owned(),
        "data-start-ms=\"1250\"".to_owned(),
        "promise_to_pay".to_owned(),
    ] {
        assert!(text.contains(&part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("<script>") && !text.contains("<img"), "{text}");

    let always = ask(&router, "GET", &format!("{path}/recording.wav"), &[BROWSER]).await;
    assert_eq!(always.bytes, wav);
    assert_eq!(get(&router, &format!("{path}/result")).await.json(), result);
    let transcript = get(&router, &format!("{path}/transcript")).await;
    assert!(transcript.text().ends_with("0:04.000 customer: I will pay on Friday\n"), "{}", transcript.text());
    assert_eq!(transcript.header("content-type"), "text/plain; charset=utf-8");
}

#[tokio::test]
async fn ranges_versions_and_heads() {
    let mut process = Double::empty();
    let wav = audio(150_000);
    let path = format!("/r/{}", process.end("c1", Some(&wav), "{}"));
    let router = process.local();
    let ranged = |range: &'static str| {
        let (router, path) = (router.clone(), path.clone());
        async move { ask(&router, "GET", &path, &[("range", range)]).await }
    };
    for (range, first, last) in [
        ("bytes=0-99", 0, 99),
        ("bytes=65000-140000", 65_000, 140_000),
        ("bytes=149999-", 149_999, 149_999),
        ("bytes=-10", 149_990, 149_999),
    ] {
        let part = ranged(range).await;
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {first}-{last}/150000"));
        assert_eq!(part.header("content-length"), (last - first + 1).to_string());
        assert_eq!(part.bytes, wav[first..=last], "{range}");
    }
    let beyond = ranged("bytes=150000-").await;
    assert_eq!((beyond.problem().0, beyond.header("content-range")), (416, "bytes */150000"));
    assert_eq!(ranged("bytes=1-2,5-6").await.status, 200);

    let head = ask(&router, "HEAD", &path, &[]).await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.bytes.len()), (200, "150000", 0));
    let etag = head.header("etag");
    assert_eq!(ask(&router, "GET", &path, &[("if-none-match", etag)]).await.status, 304);
    assert_eq!(ask(&router, "GET", &path, &[("range", "bytes=0-1"), ("if-range", etag)]).await.status, 206);
    assert_eq!(ask(&router, "GET", &path, &[("range", "bytes=0-1"), ("if-range", "\"old\"")]).await.status, 200);
}

#[tokio::test]
async fn every_wrong_token_gets_the_same_answer() {
    let mut process = Double::empty();
    let good = process.end("c1", Some(b"RIFF"), "{}");
    let gone = process.tokens.issue(&voicefleet::units::CallId::new("deleted"));
    let router = process.local();
    let (id, mac) = good.split_once('.').unwrap();
    let flipped = if mac.starts_with('A') { "B" } else { "A" };
    let wrong = [
        gone,
        format!("{id}.{flipped}{}", &mac[1..]),
        format!("{id}."),
        id.to_owned(),
        "x".repeat(5000),
        "%ff%fe".to_owned(),
        "..%2f..%2fetc%2fpasswd".to_owned(),
    ];
    for token in wrong {
        for below in ["", "/recording.wav", "/result", "/transcript"] {
            let answer = get(&router, &format!("/r/{token}{below}")).await;
            assert_eq!(answer.problem(), (404, "unknown_link".into()), "{token}{below}");
        }
    }
}

#[tokio::test]
async fn a_running_call_an_unrecorded_call_and_a_lost_file_say_so() {
    let mut process = Double::empty();
    let running = process.begin("live-1", "+15550100");
    let unrecorded = process.end("c1", None, "{}");
    let lost = process.end("c2", Some(b"RIFF"), "{}");
    let damaged = process.end("c3", None, "not json");
    std::fs::remove_file(process.wav("c2")).unwrap();
    let folder = process.folder.to_string_lossy().into_owned();
    let router = process.local();
    let answer = get(&router, &format!("/r/{running}")).await;
    assert_eq!((answer.problem(), answer.header("retry-after")), ((404, "call_running".into()), "5"));
    assert_eq!(get(&router, &format!("/r/{unrecorded}")).await.problem(), (404, "not_recorded".into()));
    assert!(ask(&router, "GET", &format!("/r/{unrecorded}"), &[BROWSER]).await.text().contains("has no recording"));
    assert_eq!(get(&router, &format!("/r/{lost}")).await.problem(), (404, "file_gone".into()));
    let page = ask(&router, "GET", &format!("/r/{damaged}"), &[BROWSER]).await;
    assert_eq!(page.status, 500);
    assert!(!page.text().contains(&folder), "{}", page.text());
}

/// Reads one HTTP/1.1 answer with a `Content-Length`.
async fn read_answer(socket: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0, "the connection ended within the head");
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap().to_ascii_lowercase();
    let len: usize = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = bytes.split_off(head_end);
    while body.len() < len {
        assert_ne!(socket.read_buf(&mut body).await.unwrap(), 0, "the connection ended within the body");
    }
    (head, body)
}

#[tokio::test]
async fn a_player_seeks_over_one_real_connection() {
    let mut process = Double::empty();
    let wav = audio(2_000_000);
    let token = process.end("c1", Some(&wav), "{}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = process.local();
    let server = rt::spawn("test server", async move { axum::serve(listener, router).await });
    let mut socket = TcpStream::connect(address).await.unwrap();
    for (range, status, place) in [
        ("bytes=0-", "206", Some((0, 1_999_999))),
        ("bytes=1234567-1300000", "206", Some((1_234_567, 1_300_000))),
        ("bytes=2000000-", "416", None),
        ("bytes=-4", "206", Some((1_999_996, 1_999_999))),
    ] {
        let request = format!("GET /r/{token} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\nRange: {range}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let (head, body) = read_answer(&mut socket).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{range}: {head}");
        if let Some((first, last)) = place {
            assert!(head.contains(&format!("content-range: bytes {first}-{last}/2000000")), "{head}");
            assert!(body == wav[first..=last], "{range}: other bytes");
        }
    }
    server.abort();
}
