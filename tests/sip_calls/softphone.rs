//! Calls of a newer soft phone (baresip-python, led by `softphone.py`): tones and keys both ways, hold, and attended transfers in which
//! the worker is either of those that are brought together.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use voicefleet::api::Control as _;
use voicefleet::results::{CallResult, DisconnectedBy};
use voicefleet::trunk::{Book, Trunk};

use crate::baresip::{HUM_HZ, TONE_HZ, TONE_PEAK, peaks_of};
use crate::calls::{PORTS, digits, messages, only_result, tone_in_recording, world_with};
use crate::free_port::free_port;
use crate::programs::program;
use crate::secure::{Certificate, by_tls};
use crate::world::{Folder, World, standin_bot, until};

/// Where `make test-deps` puts the package.
const PACKAGE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/baresip-python");
/// The people who use it.
const HERE: &str = "919800000001";
const THERE: &str = "919800000002";

/// A running soft phone with two agents.
struct SoftPhone {
    child: Child,
    orders: ChildStdin,
    folder: PathBuf,
    port: u16,
}

impl SoftPhone {
    /// Starts it with two agents and what else its script knows.
    async fn start(parent: &Path, words: &[String]) -> Self {
        assert!(Path::new(PACKAGE).is_dir(), "the Python package baresip-python is missing: run `make test-deps`");
        let folder = parent.join("softphone");
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name| std::fs::File::create(folder.join(name)).unwrap();
        let (log, trace) = (file("log"), file("trace"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip_calls/softphone.py");
        let port = free_port();
        let mut command = Command::new(program("python3"));
        command.arg(script).arg(port.to_string()).args([HERE, THERE]).args(words).env("PYTHONPATH", PACKAGE);
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped());
        let mut child = command.stdout(log).stderr(trace).spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let phone = Self { child, orders, folder, port };
        phone.told("ready", 1).await;
        phone
    }

    fn read(&self, file: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join(file)).unwrap()).into_owned()
    }

    /// Everything that it told, and every SIP message.
    fn log(&self) -> String {
        self.read("log") + &self.read("trace")
    }

    /// A message of this method with such a line passed.
    fn trace_has(&self, method: &str, line: &str) -> bool {
        let trace = self.read("trace");
        let mut messages = trace.split("baresip.native.sip:").filter_map(|text| Some(text.split_once('\n')?.1));
        messages.any(|message| message.starts_with(method) && message.lines().any(|text| text.starts_with(line)))
    }

    fn lines(&self, start: &str) -> Vec<String> {
        self.read("log").lines().filter_map(|line| Some(line.strip_prefix(start)?.trim().to_owned())).collect()
    }

    /// Waits until it has told so many lines that start like this.
    async fn told(&self, start: &str, times: usize) {
        let failed = || !self.lines("failed ").is_empty();
        let holds = || self.lines(start).len() >= times || failed();
        until(holds, || format!("no {times} × {start:?} in {}", self.log())).await;
        assert!(!failed(), "{}", self.log());
    }

    fn orders(&mut self, text: &str) {
        writeln!(self.orders, "{text}").unwrap();
    }

    /// Orders something and waits until it is done.
    async fn does(&mut self, order: &str) {
        let words: Vec<&str> = order.split(' ').collect();
        let done = format!("done {} {}", words[0], words[1]);
        let before = self.lines(&done).len();
        self.orders(order);
        self.told(&done, before + 1).await;
    }

    /// The strongest 200 ms of the bot's hum in what a call heard since it was last looked at, and how many milliseconds that is.
    async fn heard(&mut self, call: &str) -> (f64, u64) {
        let times = self.lines("heard ").len() + 1;
        let file = self.folder.join(format!("heard-{times}.wav"));
        self.orders(&format!("heard {call} {}", file.display()));
        self.told("heard ", times).await;
        let told = self.lines("heard ");
        let ms = told.last().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        (peaks_of(&file, 0, HUM_HZ).into_iter().fold(0.0, f64::max), ms)
    }

    /// Listens until a call has heard the hum.
    async fn hears_the_hum(&mut self, call: &str) {
        for _ in 0..40 {
            let (hum, _) = self.heard(call).await;
            if hum > 300.0 {
                return;
            }
            voicefleet::rt::sleep(std::time::Duration::from_millis(400)).await;
        }
        panic!("{call} does not hear the bot: {}", self.log());
    }
}

impl Drop for SoftPhone {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A worker whose bot speaks for a while, on a trunk to the soft phone that allows transfers.
async fn world(name: &str) -> (World, SocketAddr, SoftPhone) {
    let folder = Folder::new(name);
    let greeting =
        "This is a greeting that goes on and on so that whoever comes later hears some of it too. ".repeat(9);
    folder.bot("long", &standin_bot("").replace("Hello.", greeting.trim()));
    let (world, sip) = world_with(folder, "", PORTS, "", |_| {}).await;
    let phone = SoftPhone::start(world.folder.path(), &[]).await;
    // It rings a little: this phone waits for ever for an answer that comes before it has made its own end of the call.
    let trunk = format!(
        "[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"long\"\nring_ms = 300\ntransfers = true\n[media]\ncodecs = [\"PCMA\"]\n\
         [outbound]\ntargets = [\"127.0.0.1:{}\"]\n[identity]\ncaller_id = \"+918000000001\"\n",
        phone.port
    );
    world.running.set_trunks(Book::new(vec![Trunk::parse("soft", "soft.toml", trunk.as_bytes()).unwrap()]));
    (world, sip, phone)
}

/// The caller's tone is at the end of the recording.
fn assert_tone_at_the_end(world: &World, result: &CallResult) {
    let tone = tone_in_recording(world, result);
    let last: Vec<f64> = tone.iter().rev().skip(1).take(4).copied().collect();
    assert!(last.iter().all(|&peak| peak > TONE_PEAK * 0.7), "{TONE_HZ} Hz in the recording: {tone:.0?}");
}

/// Waits for so much more sound in a call, hold or not.
async fn hears_for(phone: &mut SoftPhone, call: &str, ms: u64) {
    let mut heard = 0;
    for _ in 0..100 {
        heard += phone.heard(call).await.1;
        if heard >= ms {
            return;
        }
        voicefleet::rt::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{call} heard {heard} ms of {ms}: {}", phone.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_phone_talks_presses_keys_holds_and_hangs_up() {
    let (world, sip, mut phone) = world("soft").await;
    phone.does(&format!("dial bot {HERE} sip:2000@{sip}")).await;
    phone.hears_the_hum("bot").await;
    phone.does("keys bot 5#5").await;
    let id = world.app().live_calls().first().unwrap().id.to_string();
    let keys = crate::http::send(world.running.address, &format!("/api/v1/calls/{id}/keys"), r#"{"keys":"1*"}"#).await;
    assert_eq!(keys.status, 200, "{keys:?}");
    phone.told("key bot", 2).await;
    assert_eq!(phone.lines("key bot"), ["1", "*"]);

    phone.does("hold bot").await;
    phone.does("resume bot").await;
    phone.heard("bot").await;
    phone.does("tone bot on").await;
    hears_for(&mut phone, "bot", 1_500).await;
    phone.does("hang_up bot").await;
    let result = only_result(&world).await;
    assert_eq!(result.disconnected_by, DisconnectedBy::Customer, "{}", result.end_reason);
    assert_eq!(digits(&world, &result), "5#5");
    let ladder = messages(&result);
    let invites = ladder.iter().filter(|(sent, message)| !sent && message.starts_with("INVITE")).count();
    assert_eq!(invites, 3, "call, hold, resume: {ladder:?}");
    assert_tone_at_the_end(&world, &result);
    world.stop().await;
}

/// After a transfer: the other one hears the bot and is heard, in the same call, and hangs up.
async fn goes_on_with(world: World, mut phone: SoftPhone, call: &str, id: &str) {
    phone.hears_the_hum(call).await;
    phone.does(&format!("tone {call} on")).await;
    hears_for(&mut phone, call, 1_500).await;
    let live: Vec<String> = world.app().live_calls().iter().map(|call| call.id.to_string()).collect();
    assert_eq!(live, [id], "the same call, and no other");
    phone.does(&format!("hang_up {call}")).await;
    let result = only_result(&world).await;
    assert_eq!((result.session_id.as_str(), result.disconnected_by), (id, DisconnectedBy::Customer));
    assert_tone_at_the_end(&world, &result);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_whom_the_caller_asked_first_takes_the_callers_place() {
    // The caller's REFER names a dialog of hers (Replaces): we call whom she asked, and she goes.
    let (world, sip, mut phone) = world("referred").await;
    phone.does(&format!("dial bot {HERE} sip:2000@{sip}")).await;
    phone.hears_the_hum("bot").await;
    let id = world.app().live_calls().first().unwrap().id.to_string();
    let there = format!("sip:{THERE}@127.0.0.1:{}", phone.port);
    phone.does(&format!("dial asked {HERE} {there}")).await;
    phone.told("came", 1).await;
    phone.does("transfer bot asked").await;
    phone.told("came", 2).await;
    // Her call to us, and hers with whom she asked.
    phone.told("closed bot", 1).await;
    phone.told("closed asked", 1).await;
    assert!(phone.trace_has("INVITE", "Replaces: "), "{}", phone.log());
    goes_on_with(world, phone, &format!("{THERE}-again"), &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_whom_the_caller_brings_takes_the_callers_place() {
    // The caller refers somebody else to us, who comes with Replaces.
    let (world, sip, mut phone) = world("replaced").await;
    phone.does(&format!("dial friend {HERE} sip:{THERE}@127.0.0.1:{}", phone.port)).await;
    phone.told("came", 1).await;
    phone.does(&format!("dial bot {HERE} sip:2000@{sip}")).await;
    phone.hears_the_hum("bot").await;
    let id = world.app().live_calls().first().unwrap().id.to_string();
    phone.does("transfer friend bot").await;
    phone.told("closed bot", 1).await;
    phone.told("closed friend", 1).await;
    assert!(phone.trace_has("INVITE", "Replaces: "), "{}", phone.log());
    goes_on_with(world, phone, &format!("{THERE}-moved"), &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_phone_is_heard_in_g722_and_opus_by_tls_with_srtp() {
    for (codec, spec) in [("G722", "g722/16000/1"), ("opus", "opus/48000/2")] {
        let folder = Folder::new(codec);
        let certificate = Certificate::new(folder.path());
        let (chain, key) = (certificate.chain.clone(), certificate.key.clone());
        let tune = |c: &mut voicefleet::config::Config| {
            c.sip.tls_listen = "127.0.0.1:0".parse().unwrap();
            (c.sip.tls_cert, c.sip.tls_key) = (chain, key);
        };
        let (world, _) = world_with(folder, "", PORTS, "", tune).await;
        // No other codec, and nothing in clear, brings a call about.
        let trunk = format!(
            "[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"demo\"\nring_ms = 300\n\
             [media]\ncodecs = [\"{codec}\"]\nsrtp = \"required\"\n"
        );
        world.running.set_trunks(Book::new(vec![Trunk::parse("soft", "soft.toml", trunk.as_bytes()).unwrap()]));
        let authorities = format!("authorities={}", certificate.chain.display());
        let words = [format!("codec={spec}"), "encryption=srtp-mand".to_owned(), authorities];
        let mut phone = SoftPhone::start(world.folder.path(), &words).await;
        phone.does(&format!("dial bot {HERE} {}", by_tls(world.running.sip_tls_address().unwrap()))).await;
        phone.hears_the_hum("bot").await;
        phone.does("tone bot on").await;
        hears_for(&mut phone, "bot", 1_500).await;
        phone.does("hang_up bot").await;
        let result = only_result(&world).await;
        assert_eq!(result.disconnected_by, DisconnectedBy::Customer, "{}", result.end_reason);
        assert!(result.media.rtp.as_ref().unwrap().encrypted);
        assert_tone_at_the_end(&world, &result);
        world.stop().await;
    }
}
