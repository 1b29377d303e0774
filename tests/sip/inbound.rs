//! Calls that come, by sipp: what the driver hears, what the audio is told, what is left afterwards.

use voicefleet::call::{LegFact, LegLoss};
use voicefleet::units::SampleRate;
use voicefleet::wire::sdp::{Codec, Direction};

use super::world::{Note, World, config, facts, facts_of_a_short_call, sipp, trunk};

const STARTED: LegFact = LegFact::Started { rate: SampleRate::NARROW };

fn bye() -> LegFact {
    LegFact::HungUp { by: None }
}

fn by(who: &str) -> LegFact {
    LegFact::HungUp { by: Some(who.to_owned()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_call_comes_and_goes() {
    for transport in ["u1", "t1"] {
        let mut world = World::new(trunk(""), config(500)).await;
        let target = world.endpoint.address().to_string();
        let call = async {
            let (opened, end) = world.call().await;
            assert_eq!(opened.bot.as_str(), "desk");
            assert_eq!(opened.meta.caller_id.reveal(), "+919800000001");
            assert_eq!((opened.meta.did.as_str(), opened.meta.outgoing), ("2000", false));
            assert_eq!(opened.meta.custom["x_campaign_id"], "spring");
            facts(end).await
        };
        let (_, (facts, report)) =
            tokio::join!(sipp("uac_plain.xml", &["-m", "1", "-s", "2000", "-t", transport, &target]), call);
        assert_eq!(facts, [STARTED, LegFact::Answered, bye()]);
        let ladder: Vec<&str> = report.ladder.iter().map(|row| row.what.as_str()).collect();
        assert_eq!(ladder, ["INVITE", "200", "ACK", "BYE", "200"], "{transport}");
        let notes = world.notes();
        let [Note::Started(plan), Note::Stopped] = &notes[..] else { panic!("{notes:?}") };
        assert_eq!((plan.codec, plan.telephone_event.map(|event| event.payload_type)), (Codec::Pcma, Some(101)));
        world.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bot_hangs_up() {
    let mut world = World::new(trunk(""), config(500)).await;
    let target = world.endpoint.address().to_string();
    let call = async { facts_of_a_short_call(world.call().await.1).await };
    let (_, (facts, _)) = tokio::join!(sipp("uac_bot_hangs_up.xml", &["-m", "1", &target]), call);
    assert_eq!(facts, [STARTED, LegFact::Answered, by("bot")]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_cancelled_while_it_rings() {
    let ringing = "[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"desk\"\nring_ms = 20000\n";
    let mut world = World::new(trunk(ringing), config(500)).await;
    let target = world.endpoint.address().to_string();
    let call = async { facts(world.call().await.1).await };
    let (_, (facts, report)) = tokio::join!(sipp("uac_cancel.xml", &["-m", "1", &target]), call);
    assert_eq!(facts, [by("cancel")]);
    assert_eq!((report.status, report.rang), (487, true));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_and_a_refused_fax_leave_the_call_up() {
    let mut world = World::new(trunk(""), config(500)).await;
    let target = world.endpoint.address().to_string();
    let call = async { facts(world.call().await.1).await };
    let (_, (facts, _)) = tokio::join!(sipp("uac_hold.xml", &["-m", "1", &target]), call);
    assert_eq!(facts, [STARTED, LegFact::Answered, bye()], "the driver hears nothing of holds");
    let directions: Vec<_> = world
        .notes()
        .iter()
        .map(|note| match note {
            Note::Started(plan) | Note::Changed(plan) => Some(plan.direction),
            Note::Pressed(_) | Note::Stopped => None,
        })
        .collect();
    assert_eq!(directions, [Some(Direction::SendRecv), Some(Direction::RecvOnly), Some(Direction::SendRecv), None]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_info_and_options_are_answered_in_a_call() {
    let mut world = World::new(trunk(""), config(500)).await;
    let target = world.endpoint.address().to_string();
    let call = async { facts(world.call().await.1).await };
    let (_, (facts, _)) = tokio::join!(sipp("uac_in_call.xml", &["-m", "1", &target]), call);
    assert_eq!(facts, [STARTED, LegFact::Answered, LegFact::Digit { digit: '5' }, bye()]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offer_may_come_from_us() {
    let mut world = World::new(trunk(""), config(500)).await;
    let target = world.endpoint.address().to_string();
    let call = async { facts(world.call().await.1).await };
    let (_, (facts, _)) = tokio::join!(sipp("uac_delayed_offer.xml", &["-m", "1", &target]), call);
    assert_eq!(facts, [STARTED, LegFact::Answered, bye()]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_is_demanded_where_the_trunk_says_so() {
    let mut demanding = trunk(
        "[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"desk\"\ndigest = true\n[account]\nuser = \"carrier\"\npassword_file = \"x\"\n",
    );
    demanding.password = Some(voicefleet::units::Pii::new("secret".to_owned()));
    let mut world = World::new(demanding, config(500)).await;
    let target = world.endpoint.address().to_string();
    let call = async { facts(world.call().await.1).await };
    let (_, (facts, _)) = tokio::join!(sipp("uac_digest.xml", &["-m", "1", &target]), call);
    assert_eq!(facts, [STARTED, LegFact::Answered, bye()]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_acknowledges_ends_the_call() {
    // T1 of 20 ms: what takes 32 s in the field takes 1.3 s here.
    let mut world = World::new(trunk(""), config(20)).await;
    let target = world.endpoint.address().to_string();
    let call = async { facts(world.call().await.1).await };
    let (_, (facts, _)) = tokio::join!(sipp("uac_never_acks.xml", &["-m", "1", &target]), call);
    assert_eq!(facts, [STARTED, LegFact::Answered, LegFact::Lost(LegLoss::Unanswered)]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_too_short_is_refused_with_the_least_one() {
    let mut world = World::new(trunk(""), config(500)).await;
    let target = world.endpoint.address().to_string();
    let call = async { facts(world.call().await.1).await };
    let (_, (facts, _)) = tokio::join!(sipp("uac_timer_too_short.xml", &["-m", "1", &target]), call);
    assert_eq!(facts, [STARTED, LegFact::Answered, bye()]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_calls_with_lost_packets_leave_nothing_behind() {
    let mut world = World::new(trunk(""), config(200)).await;
    let target = world.endpoint.address().to_string();
    let calls = async {
        let mut ended_by_bye = 0;
        for _ in 0..100 {
            let (facts, _) = facts(world.call().await.1).await;
            assert_eq!(facts[..2], [STARTED, LegFact::Answered]);
            ended_by_bye += usize::from(facts.last() == Some(&bye()));
            // sipp takes a repeated answer to its INVITE for one to a lost BYE and goes; that call ends for want of an ACK.
            let ends = [bye(), LegFact::Lost(LegLoss::Unanswered)];
            assert!(facts.last().is_some_and(|last| ends.contains(last)), "{facts:?}");
        }
        // Measured: 99 or all of them.
        assert!(ended_by_bye >= 90, "{ended_by_bye} of 100 ended by BYE");
    };
    let load = sipp("uac_plain.xml", &["-m", "100", "-r", "50", "-lost", "10", &target]);
    tokio::join!(load, calls);
    world.settle().await;
}
