//! Kamailio of a test's own as the carrier's proxy: it demands a digest of the worker's calls and none of the peer's, stays in the way
//! of every dialog by Record-Route, and refuses what comes without its Route. Ends with the test, by its process id.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::Parser as _;
use rustix::process::{Pid, Signal, kill_process};
use voicefleet::api::Control as _;
use voicefleet::results::{CallResult, Direction, DisconnectedBy};
use voicefleet::tools::dial;

use crate::baresip::{Baresip, HUM_HZ, PCMA, TONE_PEAK};
use crate::calls::{Dial, PORTS, messages, only_result, talk, tone_in_recording, world_with};
use crate::free_port::free_port;
use crate::programs::program;
use crate::world::{Folder, World, until};

/// The peer's number, which a call through the proxy needs a password for.
const PEER: &str = "919876543210";
const PASSWORD: &str = "kamailio-knows";
/// The peer's account answers whoever calls.
const AT_ONCE: &str = ";answermode=auto";

/// A running Kamailio.
struct Kamailio {
    child: Child,
    folder: PathBuf,
}

/// How it speaks with the worker: the transport, and the digest's algorithm in its own words.
#[derive(Clone, Copy, Debug)]
struct Way {
    transport: &'static str,
    algorithm: &'static str,
}

const UDP_MD5: Way = Way { transport: "udp", algorithm: "MD5" };
const TCP_SHA_256: Way = Way { transport: "tcp", algorithm: "SHA-256" };

impl Kamailio {
    /// Starts it at `port` between the worker and a peer, and waits until it is ready.
    async fn start(parent: &Path, port: u16, way: Way, worker: SocketAddr, peer: SocketAddr) -> Self {
        let folder = parent.join("kamailio");
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("kamailio.cfg");
        std::fs::write(&config, script(port, way, worker, peer)).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new(program("kamailio"));
        // In the foreground, to standard error, with little memory.
        command.args(["-DD", "-E", "-m", "16", "-M", "4", "-Y"]).arg(&folder).arg("-f").arg(&config);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let kamailio = Self { child, folder };
        until(|| kamailio.log().contains("proxy is ready"), || format!("not ready: {}", kamailio.log())).await;
        kamailio
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join("log")).unwrap()).into_owned()
    }

    /// What it told of requests of this method, in order.
    fn told(&self, method: &str) -> Vec<String> {
        let start = format!("came {method} ");
        let log = self.log();
        log.lines().filter_map(|line| Some(line.split_once(&start)?.1.to_owned())).collect()
    }

    /// Every request of these methods within a dialog brought its Route, as often as it had recorded itself.
    fn assert_routed(&self, way: Way, methods: &[&str]) {
        // One for each transport that it stands between.
        let routes = if way.transport == "udp" { 1 } else { 2 };
        for method in methods {
            let told = self.told(method);
            let right = format!("routes={routes} ");
            assert!(!told.is_empty() && told.iter().all(|line| line.contains(&right)), "{method}: {told:?}");
        }
        assert!(!self.log().contains("astray"), "a request without a Route: {}", self.log());
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its other processes end with the first one, where that may end them.
        let pid = Pid::from_child(&self.child);
        if kill_process(pid, Signal::TERM).is_err() || self.child.wait().is_err() {
            drop(self.child.kill());
        }
    }
}

/// What it does, in its own language.
fn script(port: u16, Way { transport, algorithm }: Way, worker: SocketAddr, peer: SocketAddr) -> String {
    let mut script = format!(
        "debug=0\nlog_stderror=yes\nchildren=1\ntcp_children=1\nauto_aliases=no\n\
         listen=udp:127.0.0.1:{port}\nlisten=tcp:127.0.0.1:{port}\n"
    );
    for module in ["tm", "sl", "rr", "pv", "textops", "siputils", "auth", "xlog"] {
        writeln!(script, "loadmodule \"{module}.so\"").unwrap();
    }
    writeln!(script, "modparam(\"auth\", \"algorithm\", \"{algorithm}\")").unwrap();
    script.push_str("event_route[core:worker-one-init] { xlog(\"L_ALERT\", \"proxy is ready\\n\"); }\n");
    write!(
        script,
        r#"request_route {{
  xlog("L_ALERT", "came $rm by $proto from $sp routes=$(hdrc(Route)) credentials=$(hdrc(Proxy-Authorization)) $hdr(Proxy-Authorization)\n");
  if (has_totag()) {{
    # What proves the password is for the proxy alone, in an ACK as in its INVITE.
    if (loose_route()) {{ remove_hf("Proxy-Authorization"); t_relay(); exit; }}
    # The ACK of a refusal is the proxy's own.
    if (is_method("ACK") && t_check_trans()) {{ exit; }}
    xlog("L_ALERT", "astray $rm\n");
    if (!is_method("ACK")) {{ sl_send_reply("404", "Not Routed"); }}
    exit;
  }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
  if ($rU == "2000") {{
    $du = "sip:{worker};transport={transport}";
  }} else {{
    if (!pv_proxy_authenticate("proxy.example", "{PASSWORD}", "0")) {{ proxy_challenge("proxy.example", "1"); exit; }}
    consume_credentials();
    $du = "sip:{peer}";
  }}
  record_route();
  t_relay();
}}
"#
    )
    .unwrap();
    script
}

/// A worker with a trunk to a proxy, the proxy, and a peer behind it.
async fn world(name: &str, bot: &str, way: Way, account: &str) -> (World, Kamailio, u16, Baresip) {
    let (port, peer) = (free_port(), free_port());
    let folder = Folder::new(name);
    let trunks = folder.path().join("trunks");
    std::fs::create_dir_all(&trunks).unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, PASSWORD).unwrap();
    let out = format!(
        "name = \"Proxy\"\n[outbound]\ntargets = [\"127.0.0.1:{port}\"]\ntransport = \"{}\"\nring_ms = 3000\n\
         [account]\nuser = \"voice\"\npassword_file = {secret:?}\n[identity]\ncaller_id = \"+918000000001\"\n",
        way.transport
    );
    std::fs::write(trunks.join("out.toml"), out).unwrap();
    let (world, sip) = world_with(folder, bot, PORTS, "dtmf = \"info\"\n", |_| {}).await;
    let baresip =
        Baresip::with(world.folder.path(), PEER, PCMA, account, &format!("sip_listen 127.0.0.1:{peer}\n")).await;
    let peer = SocketAddr::from(([127, 0, 0, 1], peer));
    let kamailio = Kamailio::start(world.folder.path(), port, way, sip, peer).await;
    (world, kamailio, port, baresip)
}

/// The peer calls the bot through the proxy; `by_bot`: who hangs up.
async fn called_through(name: &str, way: Way, by_bot: bool) {
    let bot = if by_bot { "[turn]\nmax_duration_ms = 6000\nwarning_before_ms = 0\n" } else { "" };
    let (world, kamailio, port, mut baresip) = world(name, bot, way, AT_ONCE).await;
    baresip.call(SocketAddr::from(([127, 0, 0, 1], port)), 1).await;
    // A request of ours in the middle of the call.
    let id = world.app().live_calls().first().unwrap().id.to_string();
    let told = crate::http::send(world.running.address, &format!("/api/v1/calls/{id}/keys"), r#"{"keys":"7"}"#).await;
    assert_eq!(told.status, 200, "{told:?}");
    baresip.wrote("received DTMF: '7'", 1).await;
    let result = if by_bot {
        let result = only_result(&world).await;
        assert_eq!((result.disconnected_by, result.end_reason.as_str()), (DisconnectedBy::Timeout, "max_duration"));
        baresip.wrote("BYE sip:", 1).await;
        assert_heard(&world, &result, &baresip, 2);
        result
    } else {
        talk(&world, baresip, name, PCMA).await
    };
    assert_eq!(result.direction, Direction::Inbound);
    assert_ended(&result, by_bot);
    kamailio.assert_routed(way, &["ACK", "INFO", "BYE"]);
    assert_eq!(kamailio.told("BYE").len(), 1, "{}", kamailio.log());
    world.stop().await;
}

/// A call of ours through the proxy, which wants a password.
async fn placed_through(name: &str, way: Way, by_bot: bool) {
    let limit_ms = if by_bot { 6_000 } else { 60_000 };
    let bot = format!("[turn]\nmax_duration_ms = {limit_ms}\nwarning_before_ms = 0\n");
    let (world, kamailio, _, mut baresip) = world(name, &bot, way, AT_ONCE).await;
    let args = Dial::parse_from(["dial", "--bot", "demo", "--to", PEER]).args;
    let base = format!("http://{}", world.running.address);
    let heard = async {
        if !by_bot {
            until(|| baresip.heard_bytes() > 5 * 16_000, || format!("{} bytes heard", baresip.heard_bytes())).await;
            baresip.hang_up();
        }
    };
    let (dialled, ()) = tokio::join!(dial::dial(&args, &base, None), heard);
    assert!(dialled.unwrap().succeeded());
    let result = only_result(&world).await;
    let ended = if by_bot { DisconnectedBy::Timeout } else { DisconnectedBy::Customer };
    assert_eq!((result.disconnected_by, result.direction), (ended, Direction::Outbound), "{}", result.end_reason);
    assert_eq!(result.caller_id.reveal(), PEER);
    assert_heard(&world, &result, &baresip, 2);
    assert_ended(&result, by_bot);

    let ladder = messages(&result);
    let statuses: Vec<&str> = ladder.iter().filter(|(sent, _)| !sent).map(|(_, message)| *message).collect();
    assert!(statuses.iter().any(|message| message.starts_with("407")), "{ladder:?}");
    let invites = kamailio.told("INVITE");
    let [bare, signed] = &invites[..] else { panic!("two INVITEs: {invites:?}") };
    assert!(bare.contains("credentials=0") && signed.contains("credentials=1"), "{invites:?}");
    let algorithm = |name: &str| signed.contains(&format!("algorithm={name}"));
    assert!(algorithm(way.algorithm) || algorithm(&format!("\"{}\"", way.algorithm)), "{signed}");
    assert!(signed.starts_with(&format!("by {} ", way.transport)), "{signed}");
    assert!(kamailio.told("ACK").iter().any(|ack| ack.contains("credentials=1")), "{}", kamailio.log());
    assert!(!baresip.log().contains("Proxy-Authorization"), "the password's trace stays with the proxy");
    kamailio.assert_routed(way, &["ACK", "BYE"]);
    world.stop().await;
}

/// Both heard the other, for so many fifths of a second at least.
fn assert_heard(world: &World, result: &CallResult, baresip: &Baresip, fifths: usize) {
    let hum = baresip.heard_peak(HUM_HZ);
    assert!(hum > 300.0, "the bot's hum at {hum:.0} in what the peer heard");
    let tone = tone_in_recording(world, result);
    let whole = tone.iter().filter(|&&peak| peak > TONE_PEAK * 0.7).count();
    assert!(whole >= fifths, "the peer's tone in the recording: {tone:.0?}");
    let rtp = result.media.rtp.as_ref().unwrap();
    assert!(rtp.received > 150 && rtp.sent > 150 && rtp.lost == 0 && rtp.foreign == 0, "{rtp:?}");
}

/// The BYE came from one side alone, and was answered.
fn assert_ended(result: &CallResult, by_bot: bool) {
    let ladder = messages(result);
    let byes: Vec<bool> = ladder.iter().filter(|(_, m)| m.starts_with("BYE")).map(|(sent, _)| *sent).collect();
    assert_eq!(byes, [by_bot], "{ladder:?}");
    let (sent, last) = ladder.last().unwrap();
    assert!(*sent != by_bot && last.starts_with("200"), "{ladder:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_comes_through_a_proxy_and_the_caller_hangs_up() {
    called_through("proxied", UDP_MD5, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_comes_through_a_proxy_from_udp_to_tcp_and_the_bot_hangs_up() {
    called_through("proxied-tcp", TCP_SHA_256, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_wants_an_md5_digest_gets_it_and_the_bot_hangs_up() {
    placed_through("placed-md5", UDP_MD5, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_wants_a_sha_256_digest_gets_it_by_tcp_and_the_peer_hangs_up() {
    placed_through("placed-sha256", TCP_SHA_256, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_answers_is_taken_back_through_the_proxy() {
    for way in [UDP_MD5, TCP_SHA_256] {
        let (world, kamailio, _, baresip) = world("unanswered", "", way, "").await;
        let args = Dial::parse_from(["dial", "--bot", "demo", "--to", PEER]).args;
        let dialled = dial::dial(&args, &format!("http://{}", world.running.address), None).await.unwrap();
        assert!(!dialled.succeeded());
        let result = only_result(&world).await;
        assert_eq!((result.disconnected_by, result.end_reason.as_str()), (DisconnectedBy::Rnr, "no_answer"));
        let ladder = messages(&result);
        let came: Vec<&str> = ladder.iter().filter(|(sent, _)| !sent).map(|(_, message)| *message).collect();
        assert!(came.last().unwrap().starts_with("487"), "{ladder:?}");
        baresip.wrote("CANCEL sip:", 1).await;
        // The proxy's own, which needs no password, and the peer's.
        assert_eq!(kamailio.told("CANCEL").len(), 1, "{}", kamailio.log());
        assert_eq!(baresip.count("SIP/2.0 487"), 1, "{}", baresip.log());
        assert_eq!(baresip.count("Call established"), 0);
        world.stop().await;
    }
}
