//! An operator ends a call or has one placed: who may, and what is answered.

use crate::double::{Double, ask, send};
use voicefleet::api::{Access, PageToken};

#[tokio::test]
async fn a_call_that_is_up_can_be_ended_and_no_other() {
    let mut process = Double::empty();
    process.begin("live-1", "+919876543210");
    process.end("ended-1", None, "{}");
    let router = process.local();
    let post = async |path: &str| ask(&router, "POST", path, &[("host", "127.0.0.1:8080")]).await;
    let told = post("/api/v1/calls/live-1/hangup").await;
    assert_eq!((told.status.as_u16(), told.text()), (200, r#"{"status":"ok","call_id":"live-1"}"#));
    assert_eq!(post("/api/v1/calls/ended-1/hangup").await.problem(), (409, "call_ended".into()));
    assert_eq!(post("/api/v1/calls/nobody/hangup").await.problem(), (404, "unknown_call".into()));
    assert_eq!(post("/api/v1/calls/..%2Fx/hangup").await.problem(), (404, "unknown_call".into()));
    let read = ask(&router, "GET", "/api/v1/calls/live-1/hangup", &[]).await;
    assert_eq!(read.problem(), (405, "wrong_method".into()));
}

#[tokio::test]
async fn keys_are_pressed_in_a_call_on_a_trunk_alone() {
    let mut process = Double::empty();
    process.begin("live-1", "+919876543210");
    process.begin("native-1", "+919876543210");
    process.live[0].dialect = "sip";
    process.end("ended-1", None, "{}");
    let router = process.local();
    let here = [("host", "127.0.0.1:8080")];
    let press = async |id: &str, body: &str| send(&router, &format!("/api/v1/calls/{id}/keys"), body, &here).await;
    let told = press("live-1", r##"{"keys":"12*#D"}"##).await;
    assert_eq!((told.status.as_u16(), told.text()), (200, r#"{"status":"ok","call_id":"live-1"}"#));
    for bad in ["", "{}", r#"{"keys":""}"#, r#"{"keys":"12x"}"#, r#"{"keys":1}"#, r#"{"keys":"1","to":"x"}"#] {
        assert_eq!(press("live-1", bad).await.problem(), (422, "bad_keys".into()), "{bad}");
    }
    assert_eq!(
        press("live-1", &format!(r#"{{"keys":"{}"}}"#, "1".repeat(33))).await.problem(),
        (422, "bad_keys".into())
    );
    assert_eq!(press("native-1", r#"{"keys":"1"}"#).await.problem(), (409, "no_keys".into()));
    assert_eq!(press("ended-1", r#"{"keys":"1"}"#).await.problem(), (409, "call_ended".into()));
    assert_eq!(press("nobody", r#"{"keys":"1"}"#).await.problem(), (404, "unknown_call".into()));
    let elsewhere = [here[0], ("origin", "https://evil.example")];
    let refused = send(&router, "/api/v1/calls/live-1/keys", r#"{"keys":"1"}"#, &elsewhere).await;
    assert_eq!(refused.problem(), (403, "cross_site".into()));
}

#[tokio::test]
async fn neither_a_stranger_nor_a_page_of_another_site_ends_a_call() {
    let path = "/api/v1/calls/live-1/hangup";
    let with = |access: Access| {
        let mut process = Double::empty();
        process.begin("live-1", "+919876543210");
        process.under(access)
    };
    let closed = with(Access::Token(PageToken::new("t")));
    assert_eq!(ask(&closed, "POST", path, &[]).await.problem(), (401, "unauthorized".into()));
    let bearer = ("authorization", "Bearer t");
    assert_eq!(ask(&closed, "POST", path, &[bearer]).await.status, 200);
    let local = with(Access::LocalOnly);
    for elsewhere in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for (router, who) in [(&closed, bearer), (&local, ("host", "127.0.0.1:8080"))] {
            let answer = ask(router, "POST", path, &[who, elsewhere]).await;
            assert_eq!(answer.problem(), (403, "cross_site".into()), "{elsewhere:?}");
        }
    }
    let own = [("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")];
    assert_eq!(ask(&local, "POST", path, &own).await.status, 200);
}

#[tokio::test]
async fn a_call_is_placed_for_whoever_may_and_for_nobody_else() {
    let path = "/api/v1/calls";
    let body = |bot: &str| format!(r#"{{"bot_id":"{bot}","to_number":"+919876543210"}}"#);
    let closed = Double::empty().under(Access::Token(PageToken::new("t")));
    assert_eq!(send(&closed, path, &body("payment-reminder"), &[]).await.problem(), (401, "unauthorized".into()));
    let router = Double::empty().local();
    let here = ("host", "127.0.0.1:8080");
    let elsewhere = [here, ("origin", "https://evil.example")];
    assert_eq!(send(&router, path, &body("payment-reminder"), &elsewhere).await.problem(), (403, "cross_site".into()));
    let placed = send(&router, path, &body("payment-reminder"), &[here]).await;
    assert_eq!((placed.status.as_u16(), placed.text()), (200, r#"{"status":"ok","call_id":"placed-1"}"#));
    assert_eq!(send(&router, path, &body("nobody"), &[here]).await.problem(), (404, "unknown_bot".into()));
    let full = send(&router, path, &body("full"), &[here]).await;
    assert_eq!(full.header("retry-after"), "5");
    assert_eq!(full.problem(), (503, "no_capacity".into()));
    for broken in ["", "[]", "{", r#"{"bot_id":1}"#, "\u{0}"] {
        assert_eq!(send(&router, path, broken, &[here]).await.problem(), (422, "bad_body".into()), "{broken:?}");
    }
}
