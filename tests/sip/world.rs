//! An endpoint with a fake application around it, and sipp beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use voicefleet::call::{LegFact, LegOrder};
use voicefleet::rt;
use voicefleet::transport::sip::{
    CallRequest, Endpoint, Host, MediaPort, MediaPorts, Refusal, SipConfig, SipEnd, SipLink, SipOpened, SipReport,
    TlsSide,
};
use voicefleet::trunk::{Book, Trunk};
use voicefleet::wire::sdp::MediaPlan;

use crate::free_port::free_port;

/// How long anything may take before a test fails.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The bots that are there.
const BOTS: [&str; 3] = ["desk", "sales", "night"];

/// Takes every call for a known bot.
pub struct FakeHost {
    calls: mpsc::Sender<(SipOpened, SipEnd)>,
    pub free: AtomicU64,
}

/// A slot.
pub struct Slot;

impl Host for FakeHost {
    type Slot = Slot;

    fn admit(&self, request: &CallRequest<'_>) -> Result<Slot, Refusal> {
        if !BOTS.contains(&request.bot.as_str()) {
            return Err(Refusal::UnknownBot);
        }
        let one_less = |free: u64| free.checked_sub(1);
        let taken = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
        taken.map(|_| Slot).map_err(|_| Refusal::Full { retry_after_s: 7 })
    }

    fn open(&self, _slot: Slot, opened: SipOpened) -> SipLink {
        let (link, end) = SipLink::pair();
        // A test that does not look at its calls drops them, which hangs them up.
        let _ = self.calls.try_send((opened, end));
        link
    }
}

/// What happened to audio ports, in order.
pub type Notes = Arc<Mutex<Vec<(u64, Note)>>>;

/// One thing that happened to a port.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    Started(MediaPlan),
    Changed(MediaPlan),
    Pressed(char),
    Stopped,
}

/// Hands out ports that exist on paper.
#[derive(Default)]
pub struct FakePorts {
    next: AtomicU64,
    pub notes: Notes,
}

/// One of them.
pub struct FakePort {
    id: u64,
    notes: Notes,
}

impl MediaPorts for FakePorts {
    type Port = FakePort;

    fn reserve(&self) -> Option<FakePort> {
        Some(FakePort { id: self.next.fetch_add(1, Ordering::Relaxed), notes: Arc::clone(&self.notes) })
    }
}

impl FakePort {
    fn note(&self, note: Note) {
        self.notes.lock().unwrap().push((self.id, note));
    }
}

impl MediaPort for FakePort {
    fn id(&self) -> u64 {
        self.id
    }

    fn local(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 20_000 + u16::try_from(self.id % 9_000).unwrap()))
    }

    fn start(&mut self, plan: MediaPlan) {
        self.note(Note::Started(plan));
    }

    fn change(&mut self, plan: MediaPlan) {
        self.note(Note::Changed(plan));
    }

    fn press(&mut self, key: char) -> bool {
        self.note(Note::Pressed(key));
        true
    }

    fn stop(&mut self) {
        self.note(Note::Stopped);
    }
}

/// The endpoint and what it told.
pub struct World {
    pub endpoint: Endpoint<FakeHost, FakePorts>,
    pub ports: Arc<FakePorts>,
    calls: mpsc::Receiver<(SipOpened, SipEnd)>,
}

/// A trunk that takes calls of this machine for the bot `desk`, changed by `text`.
pub fn trunk(text: &str) -> Trunk {
    let inbound =
        if text.contains("[inbound]") { "" } else { "[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"desk\"\n" };
    let whole = format!("{inbound}{text}");
    Trunk::parse("main", "test", whole.as_bytes()).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// The settings of a test: any free port, all of SIP's timers shortened where `t1_ms` says so.
pub fn config(t1_ms: u64) -> SipConfig {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    SipConfig { listen: any, tls_listen: any, t1_ms, stranger_per_second: 1_000, ..SipConfig::default() }
}

impl World {
    pub async fn new(trunk: Trunk, config: SipConfig) -> Self {
        Self::with(trunk, config, TlsSide::default()).await
    }

    pub async fn with(trunk: Trunk, config: SipConfig, tls: TlsSide) -> Self {
        let (calls, queue) = mpsc::channel(10_000);
        let host = Arc::new(FakeHost { calls, free: AtomicU64::new(1_000_000) });
        let ports = Arc::new(FakePorts::default());
        let book = Book::new(vec![trunk]);
        let endpoint = Endpoint::start(config, book, tls, host, Arc::clone(&ports)).await.unwrap();
        Self { endpoint, ports, calls: queue }
    }

    /// Drops the calls that were opened so far.
    pub fn forget_calls(&mut self) {
        while self.calls.try_recv().is_ok() {}
    }

    /// Were all calls looked at that were opened?
    pub fn no_call(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }

    /// The next call that was opened.
    pub async fn call(&mut self) -> (SipOpened, SipEnd) {
        rt::timeout(LIMIT, self.calls.recv()).await.expect("a call in time").unwrap()
    }

    pub fn notes(&self) -> Vec<Note> {
        self.ports.notes.lock().unwrap().iter().map(|(_, note)| note.clone()).collect()
    }

    /// Waits until nothing is left of any call.
    pub async fn settle(&self) {
        let gone = async {
            loop {
                let census = self.endpoint.census();
                if census.dialogs == 0 && census.pending == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        rt::timeout(LIMIT, gone).await.unwrap_or_else(|| panic!("left over: {:?}", self.endpoint.census()));
    }
}

/// All facts of a call and its report.
pub async fn facts(mut end: SipEnd) -> (Vec<LegFact>, SipReport) {
    let mut all = Vec::new();
    let read = async {
        while let Some(fact) = end.facts.recv().await {
            all.push(fact);
        }
    };
    rt::timeout(LIMIT, read).await.expect("the leg ends in time");
    (all, end.report.await.unwrap())
}

/// All facts of a call that is hung up as soon as it is answered.
pub async fn facts_of_a_short_call(mut end: SipEnd) -> (Vec<LegFact>, SipReport) {
    let mut all = Vec::new();
    let read = async {
        while let Some(fact) = end.facts.recv().await {
            if fact == LegFact::Answered {
                end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
            }
            all.push(fact);
        }
    };
    rt::timeout(LIMIT, read).await.expect("the leg ends in time");
    (all, end.report.await.unwrap())
}

/// Starts sipp with a scenario of `fixtures/sip` and waits for its verdict.
pub fn sipp(scenario: &'static str, arguments: &[&str]) -> impl Future<Output = ()> + use<> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    run_sipp(scenario, arguments)
}

/// A folder that goes with its test, also where sipp is ended before its verdict.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn run_sipp(scenario: &'static str, arguments: Vec<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sip");
    let scratch = std::env::temp_dir().join(format!("voicefleet-sipp-{}-{}", std::process::id(), free_port()));
    std::fs::create_dir_all(&scratch).unwrap();
    let scratch = Scratch(scratch);
    let errors = scratch.0.join("errors.log");
    // sipp fills keys in everywhere but in a response's status.
    let mut text = std::fs::read_to_string(folder.join(scenario)).unwrap();
    for key in arguments.windows(3).filter(|words| words[0] == "-key") {
        text = text.replace(&format!("[{}]", key[1]), &key[2]);
    }
    let filled = scratch.0.join(scenario);
    std::fs::write(&filled, text).unwrap();
    let mut command = tokio::process::Command::new("sipp");
    command.arg("-sf").arg(filled).args(["-i", "127.0.0.1", "-nostdin", "-trace_err", "-timeout", "20s"]);
    command.args(["-timeout_error", "-error_file"]).arg(&errors).args(arguments).current_dir(&scratch.0);
    let output = command.kill_on_drop(true).output();
    let output =
        rt::timeout(LIMIT, output).await.expect("sipp ends in time").expect("sipp runs: `make test-deps` installs it");
    let told = std::fs::read_to_string(&errors).unwrap_or_default();
    assert!(output.status.success(), "{scenario}: {}\n{told}", output.status);
}
