//! Keys that the bot presses: by which way they leave, for what was agreed and what the trunk says.

use voicefleet::call::{LegFact, LegOrder};
use voicefleet::transport::sip::{SipEnd, SipReport};

use super::world::{LIMIT, Note, World, config, sipp, trunk};
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
