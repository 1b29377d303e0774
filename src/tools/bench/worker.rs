//! The worker under load: a process of its own, pinned to a core of its own, over a folder that goes with it; and what it costs, read
//! from the system. Never speaks to its calls.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crossbeam::channel::bounded;

use crate::app;
use crate::config::Config;
use crate::provider::standin;
use crate::rt;

/// How long a worker may take to start, and to leave.
const PATIENCE_MS: u64 = 20_000;

/// A worker could not be started or asked.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The system.
    #[error("the worker of the bench: {0}")]
    System(#[from] std::io::Error),
    /// It did not start.
    #[error("the worker of the bench did not start; what it said stands above")]
    Start,
}

/// What a worker of the bench is started with.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct WorkerArgs {
    /// Its folder
    #[arg(long)]
    pub dir: PathBuf,
    /// Most calls at once
    #[arg(long, default_value_t = 4_000)]
    pub max_calls: u32,
    /// A task per call with a timer of its own in place of the media threads: what they are compared with
    #[arg(long)]
    pub task_per_call: bool,
    /// Length of the bot's lines, as milliseconds per character
    #[arg(long, default_value_t = 60)]
    pub speech_ms_per_char: u32,
    /// The bot echoes
    #[arg(long)]
    pub echo: bool,
    /// Where its calls go
    #[arg(long, value_name = "ADDRESS")]
    pub calls_out: Option<SocketAddr>,
}

/// Which core runs what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Core {
    Worker,
    Generator,
}

/// Pins the calling thread, and whatever it starts from now on; `false` where there is one core only or the system refuses.
pub(super) fn pin(core: Core) -> bool {
    let at = usize::from(core == Core::Generator);
    let mut set = rustix::thread::CpuSet::new();
    set.set(at);
    rustix::thread::sched_setaffinity(None, &set).is_ok()
}

/// Frees the calling thread again.
pub(super) fn unpin() {
    let mut set = rustix::thread::CpuSet::new();
    (0..rustix::thread::CpuSet::MAX_CPU.min(1_024)).for_each(|core| set.set(core));
    // It stays pinned where the system refuses, which harms nobody.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

/// A running worker, ended when it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    child: Option<(Child, ChildStdin)>,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// Where it answers SIP.
    pub sip: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// Its folder.
    pub dir: PathBuf,
    /// It has a core of its own.
    pub pinned: bool,
}

impl Worker {
    /// Starts one.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start(program: &Path, args: &WorkerArgs) -> Result<Self, WorkerError> {
        let mut command = Command::new(program);
        command.args(["bench", "worker", "--dir"]).arg(&args.dir);
        command.args(["--max-calls", &args.max_calls.to_string()]);
        command.args(["--speech-ms-per-char", &args.speech_ms_per_char.to_string()]);
        if args.task_per_call {
            command.arg("--task-per-call");
        }
        if args.echo {
            command.arg("--echo");
        }
        if let Some(to) = args.calls_out {
            command.args(["--calls-out", &to.to_string()]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let pinned = pin(Core::Worker);
        let started = command.spawn();
        if pinned {
            unpin();
        }
        let mut child = started?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(WorkerError::Start);
        };
        let Some(line) = first_line(stdout) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(WorkerError::Start);
        };
        let mut found = line.split_whitespace().map(str::parse::<SocketAddr>);
        let (Some(Ok(http)), Some(Ok(sip))) = (found.next(), found.next()) else {
            let _ = child.wait();
            return Err(WorkerError::Start);
        };
        let pid = child.id();
        Ok(Self { child: Some((child, stdin)), http, sip, pid, dir: args.dir.clone(), pinned })
    }

    /// Lets it drain and leave.
    pub fn stop(&mut self) {
        let Some((mut child, stdin)) = self.child.take() else { return };
        drop(stdin);
        let until = rt::now().plus_ms(PATIENCE_MS);
        while rt::now() < until {
            match child.try_wait() {
                Ok(None) => rt::park_until(rt::now().plus_ms(20)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The line in which a worker says where it listens; `None` where it does not come in time.
fn first_line(from: ChildStdout) -> Option<String> {
    let (to, said) = bounded(1);
    // Ends with the worker, at the latest.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(from).read_line(&mut line);
        drop(to.send(read.map(|_| line)));
    });
    said.recv_timeout(Duration::from_millis(PATIENCE_MS)).ok()?.ok()
}

/// Writes what a worker of the bench serves: one bot of stand-ins, one trunk for this machine.
fn furnish(args: &WorkerArgs) -> std::io::Result<()> {
    let WorkerArgs { dir, echo, calls_out, .. } = args;
    let bot = format!(
        "name = \"Load\"\nsystem_prompt = \"Be brief.\"\nopening_message = \"Hello.\"\n[turn]\n\
         max_duration_ms = 14400000\nidle_ms = 600000\necho = {echo}\n[voicemail]\ndetect = false\n\
         [providers]\nstt = \"standin\"\nllm = \"standin\"\ntts = \"standin\"\njudge = \"standin\"\n"
    );
    let outbound = calls_out.map_or(String::new(), |to| format!("[outbound]\ntargets = [\"{to}\"]\n"));
    let trunk = format!(
        "name = \"Load\"\n[inbound]\naddresses = [\"127.0.0.1/32\"]\nbot = \"load\"\n{outbound}[limits]\nchannels = 100000\n"
    );
    for (folder, file, text) in [("bots", "load.toml", bot.as_str()), ("trunks", "load.toml", &trunk)] {
        std::fs::create_dir_all(dir.join(folder))?;
        std::fs::write(dir.join(folder).join(file), text)?;
    }
    Ok(())
}

/// The worker's own process: serves until its standard input is closed, that is until the bench lets it go or dies.
///
/// # Errors
/// What kept it from serving.
pub async fn serve(args: &WorkerArgs) -> Result<(), String> {
    furnish(args).map_err(|error| format!("{}: {error}", args.dir.display()))?;
    let mut config = Config::default();
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.sip.listen = config.server.listen;
    config.sip.trunks = args.dir.join("trunks");
    config.bots.dir = args.dir.join("bots");
    config.data.dir = args.dir.join("data");
    config.models.dir = args.dir.join("no-models");
    config.media.max_calls = args.max_calls;
    config.media.task_per_call = args.task_per_call;
    let speech =
        standin::Config { endless: true, speech_ms_per_char: args.speech_ms_per_char, ..standin::Config::default() };
    let running = app::start(&config, speech).await.map_err(|error| error.to_string())?;
    let sip = running.sip_address().ok_or("no SIP endpoint came up")?;
    announce(&format!("{} {sip}", running.address)).map_err(|error| error.to_string())?;
    let mut end = [0; 16];
    let mut stdin = tokio::io::stdin();
    while !matches!(tokio::io::AsyncReadExt::read(&mut stdin, &mut end).await, Ok(0) | Err(_)) {}
    running.drain(rt::sleep(Duration::from_secs(5))).await;
    Ok(())
}

fn announce(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A page of the worker's own, as text; empty where it does not answer.
pub(super) fn page(http: SocketAddr, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&http, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
    };
    ask().unwrap_or_default()
}

/// A histogram of the worker's metrics page: the upper bounds in seconds and how many lie at or below each.
pub(super) fn buckets(metrics: &str, family: &str) -> Vec<(f64, u64)> {
    let opening = format!("{family}_bucket{{le=\"");
    let bound = |text: &str| if text == "+Inf" { Some(f64::INFINITY) } else { text.parse().ok() };
    metrics
        .lines()
        .filter_map(|line| {
            let (le, count) = line.strip_prefix(&opening)?.split_once("\"} ")?;
            Some((bound(le)?, count.trim().parse().ok()?))
        })
        .collect()
}

/// The bound, in milliseconds, that `share` of what was counted between two readings does not exceed; `None` where nothing was
/// counted, infinite above the last bound.
pub(super) fn quantile_ms(before: &[(f64, u64)], after: &[(f64, u64)], share: f64) -> Option<f64> {
    let since = |i: usize| after[i].1 - before.get(i).map_or(0, |(_, count)| *count);
    let all = after.len().checked_sub(1).map(since).filter(|all| *all > 0)?;
    (0..after.len()).find(|i| since(*i) as f64 >= all as f64 * share).map(|i| after[i].0 * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_between_two_readings_is_of_what_came_between_them() {
        let page = |a, b, c| {
            format!(
                "x_seconds_bucket{{le=\"0.001\"}} {a}\nx_seconds_bucket{{le=\"0.005\"}} {b}\nother 1\nx_seconds_bucket{{le=\"+Inf\"}} {c}\n"
            )
        };
        let read = |text: &str| buckets(text, "x_seconds");
        let (before, after) = (read(&page(10, 20, 20)), read(&page(100, 118, 120)));
        assert_eq!(after.len(), 3);
        assert_eq!(quantile_ms(&before, &after, 0.5), Some(1.0));
        assert_eq!(quantile_ms(&before, &after, 0.95), Some(5.0));
        assert_eq!(quantile_ms(&before, &after, 0.999), Some(f64::INFINITY));
        assert_eq!(quantile_ms(&after, &after, 0.5), None);
        assert_eq!(quantile_ms(&[], &read(""), 0.5), None);
    }
}
