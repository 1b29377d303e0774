//! What a media thread asks of the kernel while calls are up: to sleep, and one byte to wake the tasks. Never a lock, never
//! memory. Watched from outside with strace, on the real program.

use std::process::{Command, Stdio};
use std::time::Duration;

use voicefleet::rt;

use crate::caller::{Caller, Plan};
use crate::crash::Program;
use crate::world::{Folder, beside_others, standin_bot, until};

const CALLS: usize = 5;
const WATCH: Duration = Duration::from_secs(5);

/// The thread ids of the media threads.
fn media_threads(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks
        .filter(|t| std::fs::read_to_string(t.path().join("comm")).is_ok_and(|name| name.starts_with("shard-")))
        .filter_map(|t| t.file_name().to_string_lossy().parse().ok())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_media_thread_makes_no_futex_call_and_asks_for_no_memory_while_calls_are_up() {
    let _turn = beside_others().await;
    let found = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(found.is_ok(), "this test needs strace, which was not found on PATH: run `apt-get install strace`");
    let folder = Folder::new("futex");
    folder.bot("demo", &standin_bot(""));
    let program = Program::start(&folder);
    let url = format!("ws://{}/ws/demo", program.address);
    let mut callers = Vec::new();
    for n in 0..CALLS {
        let mut caller = Caller::open(&url, Plan { tone: n, ..Plan::new(&format!("caller-{n}")) }).await.unwrap();
        assert!(caller.until(|m| m.first_audio_ms().is_some()).await, "the call is up");
        callers.push(rt::spawn("caller", async move { caller.finish().await }));
    }
    let threads = media_threads(program.id());
    assert_eq!(threads.len(), 1, "one media thread was configured");
    let log = folder.path().join("strace.log");
    // Every call but the sleeps is written, so that an empty log cannot pass for a quiet thread.
    let strace = Command::new("strace")
        .args(["-p", &threads[0].to_string(), "-e", "trace=all", "-o"])
        .arg(&log)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    rt::sleep(WATCH).await;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(strace.id()).unwrap()).unwrap(),
        rustix::process::Signal::INT,
    )
    .unwrap();
    let strace = std::sync::Mutex::new(strace);
    until(|| strace.lock().unwrap().try_wait().unwrap().is_some(), || "strace does not end".to_owned()).await;
    let seen = std::fs::read_to_string(&log).unwrap();
    let calls = |name: &str| seen.lines().filter(|l| l.starts_with(name)).count();
    println!(
        "{CALLS} calls, {} s: {} sleeps, {} writes of one byte, {} futex calls, {} calls in all",
        WATCH.as_secs(),
        calls("clock_nanosleep") + calls("nanosleep"),
        calls("write("),
        calls("futex"),
        seen.lines().count()
    );
    assert!(calls("clock_nanosleep") + calls("nanosleep") > 100, "the thread was watched at work:\n{seen}");
    for name in ["futex", "brk", "mmap", "munmap", "mremap", "madvise", "sched_yield"] {
        assert_eq!(calls(name), 0, "{name} on the media thread:\n{seen}");
    }
    for caller in callers {
        let memory = caller.await.unwrap().unwrap();
        assert!(memory.bot_hung_up(), "the watched calls ended as they should");
    }
    program.kill();
}
