//! We hand the far end over by REFER: what its words about that lead to.

use voicefleet::call::{LegFact, LegOrder};
use voicefleet::transport::sip::{SipConfig, SipEnd};
use voicefleet::wire::sip::Message;

use super::phone::{OFFER, Phone};
use super::world::{LIMIT, World, config, facts, trunk};

/// A call whose bot wants it handed over, and the REFER that came of it.
async fn referred(config: SipConfig) -> (World, Phone, SipEnd, Message) {
    let mut world = World::new(trunk(""), config).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let end = world.call().await.1;
    end.orders.send(LegOrder::Transfer { to: "+911140001000".to_owned() }).await.unwrap();
    let refer = phone.asked("REFER").await;
    (world, phone, end, refer)
}

/// The far end says how it goes.
async fn tells(phone: &mut Phone, line: &str) {
    let fields = [("Event", "refer"), ("Subscription-State", "active"), ("Content-Type", "message/sipfrag")];
    let mut notify = phone.request("NOTIFY", &fields, "");
    notify.body = format!("SIP/2.0 {line}\r\n").into_bytes();
    phone.send(&notify).await;
    assert_eq!(phone.response("NOTIFY").await.status(), Some(200));
}

/// The facts up to the failed transfer, and that the call goes on.
async fn goes_on(world: World, mut phone: Phone, mut end: SipEnd, status: Option<u16>) {
    let failed = async {
        while let Some(fact) = end.facts.recv().await {
            if let LegFact::TransferFailed { .. } = fact {
                return Some(fact);
            }
        }
        None
    };
    let failed = voicefleet::rt::timeout(LIMIT, failed).await.expect("a word in time");
    assert_eq!(failed, Some(LegFact::TransferFailed { status }));
    assert_eq!(phone.ask("INVITE", &[], OFFER).await.status(), Some(200), "the dialog is as it was");
    phone.ack("").await;
    phone.hang_up().await;
    let (facts, report) = facts(end).await;
    assert_eq!(facts, [LegFact::HungUp { by: None }]);
    assert_eq!(report.transfers_failed, 1);
    assert!(!report.ladder.iter().any(|row| row.sent && row.what == "BYE"), "{:?}", report.ladder);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_is_taken_ends_in_our_bye() {
    let (world, mut phone, end, refer) = referred(config(500)).await;
    assert!(refer.get("Refer-To").unwrap().starts_with("<sip:+911140001000@"), "{:?}", refer.get("Refer-To"));
    phone.answer(&refer, 202, "").await;
    tells(&mut phone, "100 Trying").await;
    tells(&mut phone, "200 OK").await;
    let bye = phone.asked("BYE").await;
    phone.answer(&bye, 200, "").await;
    let (facts, report) = facts(end).await;
    assert_eq!(facts.last(), Some(&LegFact::HungUp { by: Some("transfer".to_owned()) }));
    assert_eq!(report.transfers_failed, 0);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_a_transfer_may_hang_up_at_once() {
    let (world, mut phone, end, refer) = referred(config(500)).await;
    phone.answer(&refer, 202, "").await;
    tells(&mut phone, "100 Trying").await;
    phone.hang_up().await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: Some("transfer".to_owned()) }));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_before_the_transfer_is_taken_was_not_handed_over() {
    let (world, mut phone, end, _) = referred(config(500)).await;
    phone.hang_up().await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: None }));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_when_its_transfer_is_refused() {
    let (world, phone, end, refer) = referred(config(500)).await;
    phone.answer(&refer, 603, "").await;
    goes_on(world, phone, end, Some(603)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_when_whom_it_was_to_go_to_is_busy() {
    let (world, mut phone, end, refer) = referred(config(500)).await;
    phone.answer(&refer, 202, "").await;
    tells(&mut phone, "180 Ringing").await;
    tells(&mut phone, "486 Busy Here").await;
    goes_on(world, phone, end, Some(486)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_when_no_word_comes_about_its_transfer() {
    let (world, phone, end, refer) = referred(config(25)).await;
    phone.answer(&refer, 202, "").await;
    goes_on(world, phone, end, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_rings_has_the_time_of_the_setting() {
    // The first word must come within 20 T1, which is over long before the outcome.
    let (world, mut phone, mut end, refer) = referred(SipConfig { transfer_ms: 20_000, ..config(25) }).await;
    phone.answer(&refer, 202, "").await;
    tells(&mut phone, "180 Ringing").await;
    let quiet = std::time::Duration::from_millis(1_000);
    while let Some(fact) = voicefleet::rt::timeout(quiet, end.facts.recv()).await {
        assert!(!matches!(fact, Some(LegFact::TransferFailed { .. }) | None), "{fact:?}");
    }
    tells(&mut phone, "200 OK").await;
    let bye = phone.asked("BYE").await;
    phone.answer(&bye, 200, "").await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: Some("transfer".to_owned()) }));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_rings_for_ever_has_failed_when_its_time_is_over() {
    let (world, mut phone, end, refer) = referred(SipConfig { transfer_ms: 1_500, ..config(25) }).await;
    phone.answer(&refer, 202, "").await;
    tells(&mut phone, "180 Ringing").await;
    goes_on(world, phone, end, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bye_of_a_transfer_waits_for_an_ack() {
    let (world, mut phone, end, refer) = referred(config(500)).await;
    phone.answer(&refer, 202, "").await;
    // The far end holds the caller and has not acknowledged our answer yet.
    assert_eq!(phone.ask("INVITE", &[], &format!("{OFFER}a=sendonly\r\n")).await.status(), Some(200));
    let invited = phone.number;
    tells(&mut phone, "200 OK").await;
    let told = std::mem::replace(&mut phone.number, invited);
    phone.ack("").await;
    phone.number = told;
    let bye = phone.asked("BYE").await;
    phone.answer(&bye, 200, "").await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: Some("transfer".to_owned()) }));
    world.settle().await;
}
