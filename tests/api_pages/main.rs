//! The HTTP routes against a process made of plain data: literal shapes, access, hostile values, refusals.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test")]

mod double;
mod operator;
mod recordings;
mod stuck;

use double::{Double, HOSTILE, ask, get};
use voicefleet::api::{Access, BotRow, NotReady, PageToken};
use voicefleet::telemetry::{DECLARED, Kind};
use voicefleet::units::BotId;

const FLEET: &str = r#"{"status":"ok","fleet_calls":0,"fleet_max":40,"fleet_available":40,"workers":[{"id":"w1","state":"ready","calls":0,"max":40,"limit":"cpu"}]}"#;
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[tokio::test]
async fn the_fleet_s_text_is_exact_and_rows_need_access() {
    let open = Double::empty().local();
    let answer = get(&open, "/health/fleet").await;
    assert_eq!((answer.text(), answer.header("content-type")), (FLEET, "application/json"));

    let closed = Double::empty().under(Access::Token(PageToken::new("t")));
    assert!(get(&closed, "/health/fleet").await.text().ends_with(r#""fleet_available":40,"workers":[]}"#));
    let with_token = ask(&closed, "GET", "/health/fleet", &[("authorization", "Bearer t")]).await;
    assert_eq!(with_token.text(), FLEET);
}

#[tokio::test]
async fn readiness_names_what_keeps_a_call_away() {
    assert_eq!(get(&Double::empty().local(), "/readyz").await.text(), "ready\n");
    for (why, code, retry, status) in [
        (NotReady::Starting, "starting", "2", "starting"),
        (NotReady::Draining, "draining", "", "draining"),
        (NotReady::Full, "no_capacity", "2", "ok"),
    ] {
        let mut process = Double::empty();
        process.ready = Err(why);
        let router = process.local();
        let answer = get(&router, "/readyz").await;
        assert_eq!(answer.problem(), (503, code.to_owned()));
        assert_eq!(answer.header("retry-after"), retry, "{code}");
        let health = get(&router, "/health").await;
        assert_eq!((health.status.as_u16(), &health.json()["status"]), (200, &status.into()));
        assert_eq!(get(&router, "/livez").await.text(), "ok\n");
    }
}

#[tokio::test]
async fn health_tells_of_worker_media_and_process() {
    let body = get(&Double::empty().local(), "/health").await.json();
    assert_eq!(body["worker"]["id"], "w1");
    assert_eq!(body["media"], serde_json::json!({"shards": 1, "fifo": false}));
    assert_eq!(body["uptime_seconds"], 3725);
    assert_eq!(body["process"]["resident_bytes"], 64 << 20);
}

#[tokio::test]
async fn metrics_are_text_that_a_scraper_reads_to_its_end() {
    let answer = get(&Double::empty().local(), "/metrics").await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    assert!(answer.text().ends_with("# EOF\n"));
    for gauge in DECLARED.iter().filter(|d| d.kind == Kind::Gauge) {
        assert!(answer.text().contains(&format!("# HELP {} {}", gauge.name, gauge.help)), "{}", gauge.name);
    }
}

#[tokio::test]
async fn no_hostile_value_becomes_mark_up_on_the_page() {
    let mut process = Double::empty();
    process.bots.push(BotRow {
        id: BotId::new(HOSTILE),
        name: HOSTILE.to_owned(),
        version: "ü".repeat(20),
        language: HOSTILE.to_owned(),
        faults: vec![HOSTILE.to_owned()],
    });
    process.begin("live-1", "9876543210");
    process.begin("live-2", HOSTILE);
    process.end("c1", None, "{}");
    process.ended[0].disposition = Some(HOSTILE.to_owned());
    process.ended[0].end_reason = HOSTILE.to_owned();
    let router = process.local();
    let answer = get(&router, "/").await;
    let page = answer.text();
    assert_eq!(answer.status, 200);
    assert!(!page.contains("<script>") && !page.contains("<img") && !page.contains('\u{202e}'), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("9876543210") && page.contains("…3210"));

    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.contains(" style=") && !page.contains(" onclick"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn the_page_shows_bots_calls_and_links_to_each_recording_and_result() {
    let mut process = Double::empty();
    let token = process.end("c1", Some(b"RIFF"), "{}");
    process.begin("live-1", "+15550100");
    process.bots.push(BotRow {
        id: BotId::new("payment-reminder"),
        name: "Asha".to_owned(),
        version: "9f2c51d7aa10".to_owned(),
        language: "en-IN".to_owned(),
        faults: vec!["config/bots/payment-reminder.toml: voice.speed: found 9, expected 0.5 to 2.0".to_owned()],
    });
    let router = process.local();
    let page = get(&router, "/").await;
    for part in [
        format!("href=\"/r/{token}\""),
        format!("href=\"/r/{token}/result\""),
        "href=\"/api/v1/calls/live-1\"".to_owned(),
        "9f2c51d7aa10".to_owned(),
        "broken, the version before serves".to_owned(),
        "found 9, expected 0.5 to 2.0".to_owned(),
        "<b class=\"big\">1</b> of 40 calls".to_owned(),
    ] {
        assert!(page.text().contains(&part), "{part} is not in\n{}", page.text());
    }
    for asset in ["/ui/page.css", "/ui/page.js", "/ui/recording.js"] {
        let answer = get(&router, asset).await;
        assert_eq!(answer.status, 200, "{asset}");
        let again = ask(&router, "GET", asset, &[("if-none-match", answer.header("etag"))]).await;
        assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0), "{asset}");
    }
    assert_eq!(get(&router, "/ui/page.html").await.problem().0, 404);
}

#[tokio::test]
async fn the_call_log_pages_backwards_and_masks_numbers() {
    let mut process = Double::empty();
    for n in 1..=5 {
        process.end(&format!("c{n}"), None, "{}");
    }
    process.begin("live-1", "+919876543210");
    let router = process.local();
    let mut seen = Vec::new();
    let mut path = "/api/v1/calls?limit=2".to_owned();
    loop {
        let answer = get(&router, &path).await;
        assert!(!answer.text().contains("9876543210"));
        let body = answer.json();
        seen.extend(body["ended"].as_array().unwrap().iter().map(|c| c["call_id"].as_str().unwrap().to_owned()));
        assert_eq!(body["live"][0]["caller"], "…3210");
        let Some(next) = body["next_before"].as_str() else { break };
        path = format!("/api/v1/calls?limit=2&before={next}");
    }
    assert_eq!(seen, ["c5", "c4", "c3", "c2", "c1"]);
    for bad in ["limit=0", "limit=201", "limit=-1", "limit=x", "before=../x", "before=", "limit=1&limit=2"] {
        assert_eq!(get(&router, &format!("/api/v1/calls?{bad}")).await.problem(), (422, "bad_query".into()), "{bad}");
    }
}

#[tokio::test]
async fn one_call_is_its_row_and_once_ended_its_result() {
    let mut process = Double::empty();
    process.begin("live-1", "+15550100");
    process.end("c1", None, r#"{"session_id":"c1","caller_id":"+919876543210"}"#);
    process.end("c2", None, "{half a res");
    let router = process.local();
    let live = get(&router, "/api/v1/calls/live-1").await.json();
    assert_eq!((&live["status"], &live["state"]), (&"live".into(), &"listening".into()));
    let ended = get(&router, "/api/v1/calls/c1").await.json();
    assert_eq!((&ended["status"], &ended["result"]["caller_id"]), (&"ended".into(), &"+919876543210".into()));
    assert_eq!(ended["call_duration_seconds"], 61.5);
    assert_eq!(get(&router, "/api/v1/calls/c2").await.problem(), (500, "internal".into()));
    for unknown in ["c9", "..%2f..%2fetc%2fpasswd", "%ff", "a%00b"] {
        let problem = get(&router, &format!("/api/v1/calls/{unknown}")).await.problem();
        assert_eq!(problem, (404, "unknown_call".into()), "{unknown}");
    }
}

#[tokio::test]
async fn pages_and_the_call_log_obey_the_access_rule_and_the_rest_stays_open() {
    let mut process = Double::empty();
    let link = format!("/r/{}", process.end("c1", Some(b"RIFF"), "{}"));
    let token = process.under(Access::Token(PageToken::new("s3cret")));
    let closed = Double::empty().under(Access::Closed);
    let local = Double::empty().local();
    for path in ["/", "/api/v1/calls", "/api/v1/calls/c1"] {
        let refused = get(&token, path).await;
        assert_eq!(refused.problem(), (401, "unauthorized".into()), "{path}");
        assert!(refused.header("www-authenticate").starts_with("Basic "));
        assert_eq!(ask(&token, "GET", path, &[("authorization", "Bearer wrong")]).await.status, 401);
        assert_eq!(ask(&token, "GET", path, &[("authorization", "Bearer s3cret")]).await.status, 200, "{path}");
        assert_eq!(get(&closed, path).await.problem(), (403, "pages_closed".into()), "{path}");
        let rebound = ask(&local, "GET", path, &[("host", "evil.example:8080")]).await;
        assert_eq!(rebound.problem(), (403, "pages_closed".into()), "{path}");
    }
    for path in ["/health", "/health/fleet", "/livez", "/readyz", "/metrics", link.as_str()] {
        assert_eq!(get(&token, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn refusals_are_problem_documents() {
    let router = Double::empty().local();
    assert_eq!(get(&router, "/nothing/here").await.problem(), (404, "unknown_route".into()));
    let wrong = ask(&router, "DELETE", "/livez", &[]).await;
    assert_eq!(wrong.problem(), (405, "wrong_method".into()));
    assert!(wrong.header("allow").contains("GET"), "{:?}", wrong.headers);
    for length in ["65537", "99999999999999999999999", "-1"] {
        let large = ask(&router, "GET", "/livez", &[("content-length", length)]).await;
        assert_eq!(large.problem(), (413, "payload_too_large".into()), "{length}");
    }
    let page = ask(&router, "GET", "/r/forged", &[BROWSER]).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (404, "text/html; charset=utf-8"));
}
