//! The worker is killed in the middle of calls: the next start leaves every recording playable and every call one result.
//! `VOICEFLEET_WORKER_KILLS` asks for more kills than the suite's own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use voicefleet::results::{DisconnectedBy, Speaker};

use crate::caller::{Caller, Plan};
use crate::tape::{assert_own_voice, channels};
use crate::world::{Folder, PATIENCE, beside_others, standin_bot};

const LIVE: usize = 3;
const KILLS: &str = "VOICEFLEET_WORKER_KILLS";

/// The real program, serving a folder.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    log: std::thread::JoinHandle<String>,
}

impl Program {
    pub fn start(folder: &Folder) -> Self {
        Self::with(folder, &[])
    }

    /// The program with these variables too. What it logs is kept.
    pub fn with(folder: &Folder, variables: &[(&str, &str)]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_voicefleet")), folder, variables)
    }

    /// The program, ready for [`Program::files_of_at_most`]: the kernel does not end it where a file is to grow too long.
    pub fn on_a_disk_that_fills_up(folder: &Folder) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_voicefleet")]);
        Self::run(shell, folder, &[])
    }

    fn run(mut command: Command, folder: &Folder, variables: &[(&str, &str)]) -> Self {
        let mut child = command
            .arg("serve")
            .current_dir(folder.path())
            .env("VOICEFLEET__SERVER__LISTEN", "127.0.0.1:0")
            .env("VOICEFLEET__SIP__LISTEN", "127.0.0.1:0")
            .env("VOICEFLEET__DATA__DIR", folder.data())
            .env("VOICEFLEET__BOTS__DIR", folder.path().join("bots"))
            .env("VOICEFLEET__MODELS__DIR", folder.path().join("no-models"))
            .env("VOICEFLEET__MEDIA__SHARDS", "1")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (told, address) = std::sync::mpsc::sync_channel(1);
        // What else it writes is read away, so that it never waits for us.
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(address) = line.split_once("serves on http://").and_then(|(_, a)| a.trim().parse().ok()) {
                    let _ = told.send(address);
                }
            }
        });
        match address.recv_timeout(PATIENCE) {
            Ok(address) => Self { child, address, log },
            Err(why) => {
                drop(child.kill());
                drop(child.wait());
                panic!("the program does not say where it serves ({why}): {}", log.join().unwrap_or_default());
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// From here on no file of the program grows beyond `bytes`, as on a disk that is full; `None` for no bound.
    pub fn files_of_at_most(&self, bytes: Option<u64>) {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
        let maximum = getrlimit(Resource::Fsize).maximum;
        let bound = Rlimit { current: bytes.or(maximum), maximum };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, bound).unwrap();
    }

    /// SIGKILL: nothing of the program runs any more.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and what it logged from its start to its end.
    pub async fn drained(mut self) -> String {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let waited = voicefleet::rt::timeout(PATIENCE, async {
            while self.child.try_wait().unwrap().is_none() {
                voicefleet::rt::sleep(std::time::Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_some(), "a program without calls ends at SIGTERM");
        let log = std::mem::replace(&mut self.log, std::thread::spawn(String::new));
        log.join().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_owes_nobody_anything_after_the_next_start() {
    let _turn = beside_others().await;
    let kills: usize = std::env::var(KILLS).ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let folder = Folder::new("crash");
    folder.bot("demo", &standin_bot(""));
    for kill in 0..kills {
        let program = Program::start(&folder);
        let url = format!("ws://{}/ws/demo", program.address);
        let mut callers = Vec::new();
        for n in 0..LIVE {
            let plan = Plan { tone: n, turns: 1, ..Plan::new(&format!("kill-{kill:03}-caller-{n}")) };
            let mut caller = Caller::open(&url, plan).await.unwrap();
            callers.push(voicefleet::rt::spawn("caller", async move {
                // To the middle of the call: its one turn was said, and the bot answers it. Later kills come later.
                let extra = 40 + kill % 50;
                let said = |m: &crate::caller::Memory| m.spoke.first().is_some_and(|(_, end)| *end < u64::MAX);
                let answered = |m: &crate::caller::Memory| {
                    let end = m.spoke.first().map_or(u64::MAX, |(_, end)| *end);
                    m.came.iter().filter(|(at, _)| *at > end).count() > extra
                };
                assert!(caller.until(|m| said(m) && answered(m)).await, "the call is up: {:?}", caller.memory);
                caller
            }));
        }
        let mut up = Vec::new();
        for caller in callers {
            up.push(caller.await.unwrap().unwrap());
        }
        program.kill();
        drop(up);
        let again = Program::start(&folder);
        check(&folder, kill);
        again.kill();
        let third = Program::start(&folder);
        check(&folder, kill);
        third.kill();
    }
}

fn check(folder: &Folder, kill: usize) {
    let of_kill = format!("kill-{kill:03}-");
    let results: Vec<_> = folder.results().into_iter().filter(|r| r.caller_id.reveal().starts_with(&of_kill)).collect();
    assert_eq!(results.len(), LIVE, "one result a call");
    for (n, result) in results.iter().enumerate() {
        let what = format!("caller {n} after kill {kill}");
        assert_eq!((result.disconnected_by, result.end_reason.as_str()), (DisconnectedBy::Error, "worker_crashed"));
        let said = |who| result.transcript.iter().filter(|l| l.speaker == who).count();
        assert!(said(Speaker::Bot) >= 1 && said(Speaker::Customer) >= 1, "{what}: {:?}", result.transcript);
        assert!(result.call_duration_seconds > 1.0, "{what}: {}", result.call_duration_seconds);
        assert!(result.recording_url.is_some(), "{what}: the recording has its link");
        let call = folder.data().join("calls").join(&result.session_id);
        let (left, _) = channels(&call.join("recording.wav"));
        assert_own_voice(&left, n, LIVE, &what);
        let results = std::fs::read_dir(&call).unwrap().flatten();
        let names: Vec<String> = results.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        assert_eq!(names.iter().filter(|name| name.starts_with("result")).count(), 1, "{what}: {names:?}");
    }
}
