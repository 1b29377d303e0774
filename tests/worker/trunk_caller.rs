//! The test caller's telephone on a trunk, against the whole worker: speech and keys one way, the bot the other, both recordings alike.

use std::path::{Path, PathBuf};

use voicefleet::tools::caller::{CallOptions, Ended, Opening, Script, Spoil, Trust, run};

use crate::tape::{channels, is_audible};
use crate::world::{CARRIER, Folder, World, beside_others, brisk, standin_bot};

const SCRIPT: &str = "[[step]]\nafter = 'turn'\nwav = 'caller_rms.wav'\n[[step]]\nafter = 'turn'\ndtmf = '42'\n\
                      [[step]]\nafter = 'turn'\nwav = 'caller_awb.wav'\nhangup = true\n";

fn options(url: &str, cache: &Path) -> CallOptions {
    CallOptions {
        url: url.to_owned(),
        token: None,
        trust: Trust::Public,
        script: Script { limit_s: 40, ..Script::parse(SCRIPT, "trunk").unwrap() },
        folder: PathBuf::from("fixtures/audio"),
        voice: "auto".to_owned(),
        caller_id: "+919000000042".to_owned(),
        did: "+918000000002".to_owned(),
        fields: vec![("campaign_id".to_owned(), "spring".to_owned())],
        opening: Opening::FULL.to_vec(),
        ring_s: 10,
        answer_after_ms: None,
        spoil: Spoil::default(),
        out: Some(cache.join("heard.wav")),
        show: false,
        cache: cache.to_owned(),
        stt: None,
        tts: None,
        result: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_call_over_a_trunk_is_held_to_its_end() {
    let _beside = beside_others().await;
    let world = World::with_carrier("trunk-caller", |_| {}).await;
    let url = format!("sip:1000@{}", world.running.sip_address().unwrap());
    let report = run(options(&url, world.folder.path())).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.ended, report.completed), (Ended::CallerHungUp, true), "{:?}", report.failures);
    assert!(report.passed() && report.bot_audible_ms > 500, "{report:?}");
    let result = world.result_of("+919000000042").await;
    assert_eq!(result.end_reason, "customer_hung_up");
    // The second line ends with the hang-up, so nobody answers it.
    assert!(!result.turns.is_empty(), "the first line was answered");
    let folder = world.folder.calls().remove(0);
    let journal = std::fs::read_to_string(folder.join("journal")).unwrap();
    for key in ["4", "2"] {
        assert_eq!(journal.matches(&format!("\"digit\":{{\"digit\":\"{key}\"}}")).count(), 1, "{key}, told once");
    }
    let (left, right) = channels(&folder.join("recording.wav"));
    let (said, heard) = channels(&world.folder.path().join("heard.wav"));
    assert!([left, right, said, heard].iter().all(|channel| is_audible(channel)));
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_has_waited_long_enough_takes_the_call_back() {
    let _beside = beside_others().await;
    let folder = Folder::new("trunk-rings");
    folder.bot("demo", &standin_bot(""));
    let carrier = "name = \"Carrier\"\n[inbound]\naddresses = [\"127.0.0.1/32\"]\nbot = \"demo\"\nring_ms = 30000\n";
    folder.trunk("carrier", carrier);
    let world = World::over(folder, |_| {}, brisk()).await;
    let url = format!("sip:1000@{}", world.running.sip_address().unwrap());
    let given_up = run(CallOptions { ring_s: 1, ..options(&url, world.folder.path()) }).await.unwrap_err().to_string();
    assert!(given_up.contains("nobody answered within 1 s"), "{given_up}");
    let result = world.result_of("+919000000042").await;
    let sip = result.sip.unwrap();
    assert_eq!((result.end_reason.as_str(), sip.status), ("customer_hung_up", 487));
    let ladder: Vec<&str> = sip.ladder.iter().map(|step| step.message.as_str()).collect();
    assert_eq!(ladder, ["INVITE", "180", "CANCEL", "487"]);
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_refuses_or_does_not_answer_is_no_call() {
    let folder = Folder::new("trunk-refuses");
    // No bot for any number.
    folder.trunk("carrier", &CARRIER.replace("bot = \"demo\"\n", ""));
    let world = World::over(folder, |_| {}, brisk()).await;
    let url = format!("sip:1000@{}", world.running.sip_address().unwrap());
    let refused = run(options(&url, world.folder.path())).await.unwrap_err().to_string();
    assert!(refused.contains("404"), "{refused}");
    let bad = run(options("sip:nobody", world.folder.path())).await.unwrap_err().to_string();
    assert!(bad.contains("sip:NUMBER@ADDRESS:PORT"), "{bad}");
    world.stop().await;
}
