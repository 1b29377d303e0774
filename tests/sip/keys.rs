//! Keys that the bot presses: by which way they leave, for what was agreed and what the trunk says.

use voicefleet::call::{LegFact, LegOrder};
use voicefleet::transport::sip::{SipEnd, SipReport};

use super::phone::Phone;
use super::world::{LIMIT, Note, World, config, facts, sipp, trunk};
use voicefleet::rt;

/// Presses keys as soon as the call is answered, then hangs up.
async fn press(mut end: SipEnd, keys: &str, hang_up: bool) -> SipReport {
    let read = async {
        while let Some(fact) = end.facts.recv().await {
            if fact == LegFact::Answered {
                end.orders.send(LegOrder::Keys { keys: keys.to_owned() }).await.unwrap();
                if hang_up {
                    end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
                }
            }
        }
    };
    rt::timeout(LIMIT, read).await.expect("the leg ends in time");
    end.report.await.unwrap()
}

async fn pressed(media: &str, scenario: &'static str, hang_up: bool) -> (String, SipReport) {
    let mut world = World::new(trunk(&format!("[media]\ndtmf = \"{media}\"\n")), config(500)).await;
    let target = world.endpoint.address().to_string();
    let call = async { press(world.call().await.1, "5#", hang_up).await };
    let ((), report) = tokio::join!(sipp(scenario, &["-m", "1", &target]), call);
    world.settle().await;
    let keys = |note: &Note| if let Note::Pressed(key) = note { Some(*key) } else { None };
    (world.notes().iter().filter_map(keys).collect(), report)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_go_through_the_audio_where_that_is_agreed() {
    for media in ["auto", "rfc4733", "inband"] {
        let (keys, report) = pressed(media, "uac_bot_hangs_up.xml", true).await;
        assert_eq!(keys, "5#", "{media}");
        assert!(!report.ladder.iter().any(|row| row.what == "INFO"), "{media}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_go_by_info_one_after_the_other_where_nothing_else_is_agreed() {
    for media in ["auto", "info"] {
        let (keys, report) = pressed(media, "uac_takes_info.xml", false).await;
        assert_eq!(keys, "", "{media}");
        assert_eq!(report.ladder.iter().filter(|row| row.sent && row.what == "INFO").count(), 2, "{media}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_come_by_info_are_answered_and_count_where_they_may_come_that_way() {
    for (media, counts) in [("auto", true), ("info", true), ("rfc4733", false), ("inband", false)] {
        let mut world = World::new(trunk(&format!("[media]\ndtmf = \"{media}\"\n")), config(500)).await;
        let mut phone = Phone::call(world.endpoint.address()).await;
        let end = world.call().await.1;
        for (kind, body) in [("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"), ("application/dtmf", "#")] {
            let mut info = phone.request("INFO", &[("Content-Type", kind)], "");
            info.body = body.as_bytes().to_vec();
            phone.send(&info).await;
            assert_eq!(phone.response("INFO").await.status(), Some(200), "{media} {kind}");
        }
        phone.hang_up().await;
        let told: String = facts(end)
            .await
            .0
            .iter()
            .filter_map(|f| if let LegFact::Digit { digit } = f { Some(*digit) } else { None })
            .collect();
        assert_eq!(told, if counts { "5#" } else { "" }, "{media}");
        world.settle().await;
    }
}
