//! Calls of baresip to a bot, each judged by what both sides heard and by the call's one result.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};

use clap::Parser as _;
use voicefleet::api::Control as _;
use voicefleet::journal::{Entry, Fact, LegFact, LineFact};
use voicefleet::provider::standin;
use voicefleet::results::{CallResult, Direction, DisconnectedBy};
use voicefleet::tools::dial::{self, DialArgs};

use crate::baresip::{Baresip, Codec, G722, HUM_HZ, OPUS, PCMA, PCMU, TONE_HZ, TONE_PEAK, peaks_of};
use crate::free_port::free_port;
use crate::world::{Folder, World, brisk, standin_bot, until};

/// Ports of one world: an even number of them, no other world's.
pub const PORTS: u16 = 200;

/// A worker with one trunk, whose calls go to a bot with these settings.
async fn world(name: &str, bot: &str, ports: u16) -> (World, SocketAddr) {
    world_with(Folder::new(name), bot, ports, "", |_| {}).await
}

/// The same in a folder of the caller's, with more for the trunk's `[media]` and for `[sip]`.
pub async fn world_with(
    folder: Folder,
    bot: &str,
    ports: u16,
    media: &str,
    tune: impl FnOnce(&mut voicefleet::config::Config),
) -> (World, SocketAddr) {
    static FIRST: AtomicU16 = AtomicU16::new(30_000);
    let first = FIRST.fetch_add(PORTS, Ordering::Relaxed);
    let greeting = "Hello, this is a test call that speaks for a while, so that it can be heard in full by a peer.";
    folder.bot("demo", &standin_bot(bot).replace("Hello.", greeting));
    let trunks = folder.path().join("trunks");
    std::fs::create_dir_all(&trunks).unwrap();
    let trunk = format!(
        "name = \"Peer\"\n[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"demo\"\n\
         [media]\ncodecs = [\"PCMA\", \"PCMU\", \"G722\", \"opus\"]\n{media}"
    );
    std::fs::write(trunks.join("peer.toml"), trunk).unwrap();
    let tune = move |c: &mut voicefleet::config::Config| {
        tune(c);
        c.sip.listen = "127.0.0.1:0".parse().unwrap();
        c.sip.trunks = trunks;
        (c.sip.rtp_first, c.sip.rtp_last) = (first, first + ports - 1);
    };
    let world = World::over(folder, tune, standin::Config { endless: true, ..brisk() }).await;
    let sip = world.running.sip_address().unwrap();
    (world, sip)
}

/// The one result, when nothing of the call is left.
pub async fn only_result(world: &World) -> CallResult {
    until(|| world.folder.results().len() == 1, || "no result".to_owned()).await;
    world.quiet().await;
    world.folder.results().remove(0)
}

pub fn tone_in_recording(world: &World, result: &CallResult) -> Vec<f64> {
    let wav = world.folder.data().join("calls").join(&result.session_id).join("recording.wav");
    peaks_of(&wav, 0, TONE_HZ)
}

pub fn messages(result: &CallResult) -> Vec<(bool, &str)> {
    result.sip.as_ref().unwrap().ladder.iter().map(|step| (step.sent, step.message.as_str())).collect()
}

/// A call in which both hear the other, and that baresip ends.
async fn both_are_heard(name: &str, codec: Codec) {
    let (world, sip) = world(name, "", PORTS).await;
    let mut baresip = Baresip::start(world.folder.path(), name, codec).await;
    baresip.call(sip, 1).await;
    talk(&world, baresip, name, codec).await;
    world.stop().await;
}

/// Lets a call that is up last until both heard the other, hangs up, and judges it.
pub async fn talk(world: &World, mut baresip: Baresip, name: &str, codec: Codec) -> CallResult {
    // Five seconds of what it hears are the greeting and two seconds of its own tone.
    let second = u64::from(codec.1) * u64::from(codec.2) * 2;
    until(|| baresip.heard_bytes() > 5 * second, || format!("{} bytes heard", baresip.heard_bytes())).await;
    baresip.hang_up();
    let result = only_result(world).await;

    let hum = baresip.heard_peak(HUM_HZ);
    assert!(hum > 300.0, "the bot's hum at {hum:.0} in what {name} heard");
    let tone = tone_in_recording(world, &result);
    let whole = tone.iter().filter(|&&peak| peak > TONE_PEAK * 0.7).count();
    assert!(whole >= 4, "{name}: the caller's tone in the recording: {tone:.0?}");

    assert_eq!(result.disconnected_by, DisconnectedBy::Customer, "{}", result.end_reason);
    let details = result.sip.as_ref().unwrap();
    assert_eq!(details.status, 200, "{details:?}");
    let ladder = messages(&result);
    let first = |sent, start: &str| ladder.iter().position(|(s, m)| *s == sent && m.starts_with(start));
    let order = [first(false, "INVITE"), first(true, "200"), first(false, "ACK"), first(false, "BYE")];
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{ladder:?}");
    let rtp = result.media.rtp.as_ref().unwrap();
    assert!(rtp.received > 200 && rtp.sent > 200 && rtp.foreign == 0, "{rtp:?}");
    assert_eq!(rtp.lost, 0, "{rtp:?}");
    assert!(rtp.mos > 4.0, "{rtp:?}");
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pcmu_is_heard_both_ways() {
    both_are_heard("pcmu", PCMU).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pcma_is_heard_both_ways() {
    both_are_heard("pcma", PCMA).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g722_is_heard_both_ways() {
    both_are_heard("g722", G722).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opus_is_heard_both_ways() {
    both_are_heard("opus", OPUS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bot_hangs_up_with_a_bye() {
    let (world, sip) = world("bye", "[turn]\nmax_duration_ms = 3000\nwarning_before_ms = 0\n", PORTS).await;
    let mut baresip = Baresip::start(world.folder.path(), "bye", PCMU).await;
    baresip.call(sip, 1).await;
    baresip.wrote("BYE sip:", 1).await;
    let result = only_result(&world).await;
    assert_eq!((result.disconnected_by, result.end_reason.as_str()), (DisconnectedBy::Timeout, "max_duration"));
    let ladder = messages(&result);
    assert!(ladder.iter().any(|(sent, message)| *sent && message.starts_with("BYE")), "{ladder:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_key_reaches_the_call_once() {
    let (world, sip) = world("keys", "", PORTS).await;
    let mut baresip = Baresip::start(world.folder.path(), "keys", PCMU).await;
    baresip.call(sip, 1).await;
    for (nth, key) in ["1", "2", "5", "5", "#"].into_iter().enumerate() {
        baresip.types(key);
        baresip.wrote("send DTMF digit end", nth + 1).await;
    }
    // What it heard after the last key has passed the time in which the key's packets were under way.
    let heard = baresip.heard_bytes();
    until(|| baresip.heard_bytes() > heard + 16_000, || "nothing more is heard".to_owned()).await;
    baresip.hang_up();
    let result = only_result(&world).await;
    assert_eq!(digits(&world, &result), "1255#");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_an_operator_presses_reach_the_peer() {
    for (way, heard) in [("rfc4733", "received event: '"), ("info", "received DTMF: '")] {
        let folder = Folder::new(&format!("press-{way}"));
        let (world, sip) = world_with(folder, "", PORTS, &format!("dtmf = \"{way}\"\n"), |_| {}).await;
        let mut baresip = Baresip::start(world.folder.path(), way, PCMU).await;
        baresip.call(sip, 1).await;
        let id = world.app().live_calls().first().unwrap().id.to_string();
        let path = format!("/api/v1/calls/{id}/keys");
        let told = crate::http::send(world.running.address, &path, r##"{"keys":"19*#"}"##).await;
        assert_eq!(told.status, 200, "{told:?}");
        for key in ["1", "9", "*", "#"] {
            baresip.wrote(&format!("{heard}{key}'"), 1).await;
        }
        baresip.hang_up();
        let result = only_result(&world).await;
        let told = messages(&result).iter().filter(|(sent, message)| *sent && message.starts_with("INFO")).count();
        assert_eq!(told, if way == "info" { 4 } else { 0 });
        world.stop().await;
    }
}

/// The keys that the call heard.
pub fn digits(world: &World, result: &CallResult) -> String {
    let journal = world.folder.data().join("calls").join(&result.session_id).join("journal");
    let journal = voicefleet::journal::read(&std::fs::read(journal).unwrap());
    let digit = |entry: &Entry| match entry {
        Entry::Fact(Fact::Leg(LegFact::Digit { digit }) | Fact::Line(LineFact::Digit { digit })) => Some(*digit),
        _ => None,
    };
    journal.lines.iter().filter_map(|line| digit(&line.entry)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_survives_a_hold() {
    let (world, sip) = world("hold", "", PORTS).await;
    let mut baresip = Baresip::start(world.folder.path(), "hold", PCMU).await;
    baresip.call(sip, 1).await;
    until(|| baresip.heard_bytes() > 2 * 16_000, || "nothing is heard before the hold".to_owned()).await;
    assert_eq!(baresip.count("SIP/2.0 200 OK"), 1);
    baresip.types("x");
    baresip.wrote("SIP/2.0 200 OK", 2).await;
    baresip.types("X");
    baresip.wrote("SIP/2.0 200 OK", 3).await;
    // Told four times a second, over the seconds before: its tone has begun by then.
    let rates = || baresip.rates_since_answer(64_000);
    until(|| rates() >= 20, || format!("audio at full rate was told {} times after the hold", rates())).await;
    baresip.hang_up();
    let result = only_result(&world).await;
    assert_eq!(result.disconnected_by, DisconnectedBy::Customer, "{}", result.end_reason);
    let ladder = messages(&result);
    let invites = ladder.iter().filter(|(sent, message)| !sent && message.starts_with("INVITE")).count();
    assert_eq!(invites, 3, "{ladder:?}");
    let tone = tone_in_recording(&world, &result);
    let last: Vec<f64> = tone.iter().rev().skip(1).take(5).copied().collect();
    assert!(last.iter().all(|&peak| peak > TONE_PEAK * 0.7), "the caller's tone after the hold: {tone:.0?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_calls_in_a_row_leave_nothing_and_share_no_port() {
    let (world, sip) = world("row", "", PORTS).await;
    let mut baresip = Baresip::start(world.folder.path(), "row", PCMU).await;
    for nth in 1..=20 {
        baresip.call(sip, nth).await;
        baresip.hang_up();
        until(|| world.folder.results().len() == nth, || format!("no result of call {nth}")).await;
    }
    world.quiet().await;
    let census = || world.running.sip_census().map(|c| (c.dialogs, c.pending));
    until(|| census() == Some((0, 0)), || format!("{:?}", world.running.sip_census())).await;
    let log = baresip.log();
    // Its own offer is one m-line of each call, the answer the other.
    let told = |line: &str| line.strip_prefix("m=audio ")?.split(' ').next()?.parse::<u16>().ok();
    let mut ports: Vec<u16> = log.lines().filter_map(told).filter(|port| *port >= 30_000).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 20, "{ports:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_was_used_rests() {
    let (world, sip) = world("rest", "", 2).await;
    let mut baresip = Baresip::start(world.folder.path(), "rest", PCMU).await;
    baresip.call(sip, 1).await;
    baresip.hang_up();
    drop(only_result(&world).await);
    baresip.dial(sip);
    baresip.wrote("SIP/2.0 503", 1).await;
    assert_eq!(baresip.count("Call established"), 1);
    world.quiet().await;
    world.stop().await;
}

/// The command line of `voicefleet dial`.
#[derive(clap::Parser)]
pub struct Dial {
    #[command(flatten)]
    pub args: DialArgs,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_placed_is_answered_heard_and_ended_by_either_side() {
    let (world, _) = world("placed", "[turn]\nmax_duration_ms = 20000\nwarning_before_ms = 0\n", PORTS).await;
    let port = free_port();
    let mut baresip = Baresip::start_at(world.folder.path(), "919876543210", PCMA, port).await;
    let trunk = format!(
        "name = \"Out\"\n[outbound]\ntargets = [\"127.0.0.1:{port}\"]\n[identity]\ncaller_id = \"+918000000001\"\n"
    );
    let book = voicefleet::trunk::Trunk::parse("out", "out.toml", trunk.as_bytes()).unwrap();
    world.running.set_trunks(voicefleet::trunk::Book::new(vec![book]));
    let dial = |to: &str| Dial::parse_from(["dial", "--bot", "demo", "--to", to, "--var", "mood=glad"]).args;
    let base = format!("http://{}", world.running.address);

    let args = dial("919876543210");
    let placed = dial::dial(&args, &base, None);
    let heard = async {
        until(|| baresip.heard_bytes() > 5 * 16_000, || format!("{} bytes heard", baresip.heard_bytes())).await;
        baresip.hang_up();
    };
    let (dialled, ()) = tokio::join!(placed, heard);
    let dialled = dialled.unwrap();
    assert!(dialled.succeeded(), "{}", dialled.text());
    let result = only_result(&world).await;
    assert_eq!((result.disconnected_by, result.direction), (DisconnectedBy::Customer, Direction::Outbound));
    assert_eq!(result.caller_id.reveal(), "919876543210");
    assert!(baresip.heard_peak(HUM_HZ) > 300.0, "the bot is heard");
    let tone = tone_in_recording(&world, &result);
    assert!(tone.iter().filter(|&&peak| peak > TONE_PEAK * 0.7).count() >= 4, "and the customer: {tone:.0?}");
    let ladder = messages(&result);
    let first = |sent, start: &str| ladder.iter().position(|(s, m)| *s == sent && m.starts_with(start));
    let order =
        [first(true, "INVITE"), first(false, "180"), first(false, "200"), first(true, "ACK"), first(false, "BYE")];
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{ladder:?}");
    assert!(baresip.log().contains("From: <sip:+918000000001@"), "the trunk's caller ID is shown");
    world.stop().await;
}
