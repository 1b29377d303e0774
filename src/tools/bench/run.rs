//! A load run from its first call to its report: starts the worker, tells the generator's thread how many calls to keep, reads what the
//! worker costs before and after each window. Blocks; the generator has a thread of its own.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::args::PlanArgs;
use super::counts::Counts;
use super::gate::Verdict;
use super::knee::Ladder;
use super::limits::{Means, limits};
use super::load::{self, Census, Load, Order, Spoke};
use super::recordings;
use super::report::{Cost, Own, Planted, Report, Step};
use super::rtp_load::{Calls, RtpLoad};
use super::sound::Pool;
use super::spoil::Impairment;
use super::worker::{Core, Worker, WorkerArgs, WorkerError, buckets, page, pin, quantile_ms};
use super::ws_load::{Direction, WsLoad};
use crate::rt;
use crate::telemetry::{ProcessSample, memory_left_bytes};

/// A step is begun with fewer calls where none was added for so long.
const STUCK_MS: u64 = 5_000;
/// Results are waited for so long after the last call.
const RESULTS_MS: u64 = 20_000;
/// The range of ports that a worker's own default gives its legs.
const PORTS: u64 = 5_000;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The generator's own sockets, threads or files.
    #[error("the generator: {0}")]
    System(#[from] std::io::Error),
    /// The speech that is compiled in.
    #[error("the callers' speech cannot be read: {0}")]
    Speech(#[from] hound::Error),
    /// The generator's thread is gone.
    #[error("the generator's thread ended before its time")]
    Gone,
}

/// What is loaded, by which protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// SIP and RTP: the worker's SIP address, or a worker of the bench's own; and what is done to the packets.
    Sip(Option<SocketAddr>, Impairment),
    /// SIP and RTP from a worker of the bench's own, which places the calls; and what is done to the packets.
    Outbound(Impairment),
    /// WebSocket: the address and path of a media socket, or a worker of the bench's own; and whose calls the dialler brings.
    Ws(Option<(SocketAddr, String)>, Direction),
}

impl Target {
    /// The media socket that an address of the kind `ws://127.0.0.1:8080/ws/BOT` names.
    ///
    /// # Errors
    /// What was expected, where it is none.
    pub fn ws(url: Option<&str>, outbound: bool) -> Result<Self, String> {
        let direction = if outbound { Direction::Outgoing } else { Direction::Incoming };
        let Some(url) = url else { return Ok(Self::Ws(None, direction)) };
        let parted = url.strip_prefix("ws://").and_then(|rest| rest.split_once('/'));
        let found = parted.and_then(|(at, path)| Some((at.parse().ok()?, format!("/{path}"))));
        found
            .map(|found| Self::Ws(Some(found), direction))
            .ok_or(format!("expected ws://ADDRESS:PORT/ws/BOT, found {url}"))
    }

    const fn is_own(&self) -> bool {
        matches!(self, Self::Sip(None, _) | Self::Outbound(_) | Self::Ws(None, _))
    }
}

/// A folder that goes with the run.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn new(args: &PlanArgs) -> std::io::Result<Self> {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let own = || std::env::temp_dir().join(format!("voicefleet-bench-{}-{run}", std::process::id()));
        let path = args.dir.clone().unwrap_or_else(own);
        std::fs::create_dir_all(&path)?;
        Ok(Self { path, keep: args.keep || args.dir.is_some() })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // What is left of a temporary folder is the system's to remove.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

/// Runs a load; `program` is what a worker of the bench's own is started from.
///
/// # Errors
/// Where worker or generator cannot be set up.
pub fn run(target: &Target, program: &Path, args: &PlanArgs) -> Result<Report, BenchError> {
    let folder = Folder::new(args)?;
    let pool = Arc::new(Pool::new()?);
    let sip = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let out = if matches!(target, Target::Outbound(_)) { Some(sip.local_addr()?) } else { None };
    let mut worker =
        if target.is_own() { Some(Worker::start(program, &worker_args(&folder.path, args, out))?) } else { None };
    let (speech, first) = (Arc::clone(&pool), first_id());
    let mut bench = match target.clone() {
        Target::Sip(there, impairment) => {
            let there = worker.as_ref().map(|worker| worker.sip).or(there).ok_or(WorkerError::Start)?;
            let make = move || RtpLoad::new((sip, there), Calls::In, speech, impairment, first);
            Bench::start(make, args, worker.as_ref())?
        }
        Target::Outbound(impairment) => {
            let own = worker.as_ref().ok_or(WorkerError::Start)?;
            let (there, calls) = (own.sip, Calls::Out { http: own.http, bot: "load".to_owned() });
            let make = move || RtpLoad::new((sip, there), calls, speech, impairment, first);
            Bench::start(make, args, worker.as_ref())?
        }
        Target::Ws(there, direction) => {
            let own = worker.as_ref().map(|worker| (worker.http, "/ws/load".to_owned()));
            let (there, path) = own.or(there).ok_or(WorkerError::Start)?;
            let echoes = args.echo;
            Bench::start(move || WsLoad::new((there, &path), direction, echoes, speech, first), args, worker.as_ref())?
        }
    };
    let steps = bench.climb()?;
    let (spoke, planted) = bench.finish()?;
    let found = worker.as_ref().map(|worker| results_of(&worker.dir.join("data"), &spoke)).unwrap_or_default();
    let own = worker.is_some();
    let recordings = own.then(|| recordings::check(&pool, &found, &spoke, args.recordings));
    let recordings = recordings.filter(|looked| looked.sampled > 0);
    let limits = limits(&means(&steps, worker.as_ref(), bench.before, args));
    if let Some(worker) = &mut worker {
        worker.stop();
    }
    let (protocol, impairment) = match target {
        Target::Sip(_, impairment) => ("sip", *impairment),
        Target::Outbound(impairment) => ("sip outbound", *impairment),
        Target::Ws(_, Direction::Incoming) => ("ws", Impairment::default()),
        Target::Ws(_, Direction::Outgoing) => ("ws outbound", Impairment::default()),
    };
    Ok(Report {
        protocol,
        version: env!("CARGO_PKG_VERSION"),
        pinned: worker.as_ref().is_some_and(|worker| worker.pinned),
        task_per_call: args.baseline.is_some(),
        churn: args.churn,
        impairment,
        gate: args.gate(),
        asked: Ladder::new(&args.steps, false, 0).asked().to_vec(),
        // In a step that was meant to be too much, only what was let in counts.
        knee: Ladder::knee(&steps).min(steps.iter().map(|step| step.up.1).max().unwrap_or(0)),
        limits,
        steps,
        recordings,
        planted: (own && !matches!(target, Target::Ws(..))).then(|| recordings::seen(&found, &spoke, planted)),
    })
}

fn worker_args(dir: &Path, args: &PlanArgs, calls_out: Option<SocketAddr>) -> WorkerArgs {
    WorkerArgs {
        dir: dir.to_owned(),
        max_calls: args.max_calls,
        task_per_call: args.baseline.is_some(),
        speech_ms_per_char: 60,
        echo: args.echo,
        calls_out,
    }
}

/// Calls are numbered from here, so that a run never meets the numbers of the one before.
fn first_id() -> u64 {
    rt::stamp().unix_ms().unsigned_abs() / 1_000 % 90_000 * 1_000 + 1
}

/// The results of a worker's calls, waited for until those that are over have theirs.
fn results_of(data: &Path, spoke: &[Spoke]) -> HashMap<String, (PathBuf, crate::results::CallResult)> {
    let until = rt::now().plus_ms(RESULTS_MS);
    loop {
        let found = recordings::results(data);
        if found.len() >= spoke.len() || rt::now() >= until {
            return found;
        }
        rt::park_until(rt::now().plus_ms(500));
    }
}

fn means(steps: &[Step], worker: Option<&Worker>, before: ProcessSample, args: &PlanArgs) -> Means {
    let knee = Ladder::knee(steps);
    let failed = steps.iter().any(|step| step.calls > knee && matches!(step.verdict, Verdict::Failed(_)));
    let best = steps.iter().filter(|step| step.worker.is_some()).max_by_key(|step| step.calls);
    let Some((step, cost)) = best.and_then(|step| Some((step, step.worker?))) else { return Means::default() };
    Means {
        calls: step.up.1 as u64,
        cpu_percent: cost.cpu_percent,
        knee: (failed && knee > 0).then_some(knee as u64),
        bytes_a_call: cost.resident_bytes_a_call,
        memory_left_bytes: memory_left_bytes().unwrap_or(0),
        files: cost.open_files.into(),
        files_before: before.open_files.into(),
        most_files: worker.map_or(0, |worker| open_file_limit(worker.pid)),
        ports: Some(PORTS),
        max_calls: worker.map(|_| u64::from(args.max_calls)),
    }
}

fn open_file_limit(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A run between its worker and its generator.
struct Bench<'a> {
    args: &'a PlanArgs,
    orders: Sender<Order>,
    thread: Option<std::thread::JoinHandle<(Vec<Spoke>, Planted)>>,
    pid: Option<u32>,
    http: Option<SocketAddr>,
    ports: Vec<u16>,
    /// The worker before its first call.
    before: ProcessSample,
}

impl<'a> Bench<'a> {
    /// `make` runs on the generator's own thread: its buffers stay there.
    fn start<L: Load>(
        make: impl FnOnce() -> std::io::Result<L> + Send + 'static,
        args: &'a PlanArgs,
        worker: Option<&Worker>,
    ) -> Result<Self, BenchError> {
        let (orders, taken): (Sender<Order>, Receiver<Order>) = bounded(16);
        let (to, made) = bounded(1);
        let pinned = worker.is_some_and(|worker| worker.pinned);
        let thread = std::thread::Builder::new().name("generator".to_owned()).spawn(move || {
            if pinned {
                // Without a core of its own the generator says by its lateness what that costs.
                let _ = pin(Core::Generator);
            }
            let mut load = match make() {
                Ok(load) => load,
                Err(error) => {
                    drop(to.send(Err(error)));
                    return (Vec::new(), Planted::default());
                }
            };
            drop(to.send(Ok(load.ports())));
            load::run(&mut load, &taken);
            load.leavings()
        })?;
        let ports = made.recv().map_err(|_| BenchError::Gone)??;
        let pid = worker.map(|worker| worker.pid).or(args.pid);
        let before = pid.map(ProcessSample::of).unwrap_or_default();
        let http = worker.map(|worker| worker.http);
        Ok(Self { args, orders, thread: Some(thread), pid, http, ports, before })
    }

    fn tell(&self, order: Order) -> Result<(), BenchError> {
        self.orders.send(order).map_err(|_| BenchError::Gone)
    }

    fn census(&self) -> Result<Census, BenchError> {
        let (to, answer) = bounded(1);
        self.tell(Order::Census(to))?;
        answer.recv().map_err(|_| BenchError::Gone)
    }

    /// All steps, lowest first; then the search, where it is wanted.
    fn climb(&mut self) -> Result<Vec<Step>, BenchError> {
        let ladder = Ladder::new(&self.args.steps, self.args.knee, self.args.max_calls as usize);
        let mut steps: Vec<Step> = Vec::new();
        while let Some(calls) = ladder.next(&steps) {
            let mut step = self.step(calls)?;
            step.judge(&self.args.gate());
            steps.push(step);
        }
        Ok(steps)
    }

    /// Waits until `calls` are up, or no more come.
    fn reach(&self, calls: usize) -> Result<(), BenchError> {
        let mut best = (usize::MAX, rt::now());
        loop {
            let census = self.census()?;
            let far = census.up.abs_diff(calls) + census.leaving;
            let now = rt::now();
            if far == 0 || now.ms_since(best.1) > STUCK_MS {
                return Ok(());
            }
            if far < best.0 {
                best = (far, now);
            }
            rt::park_until(now.plus_ms(50));
        }
    }

    fn step(&self, calls: usize) -> Result<Step, BenchError> {
        let args = self.args;
        self.tell(Order::Churn { per_second: 0.0 })?;
        self.tell(Order::Target { calls, per_second: args.ramp })?;
        self.reach(calls)?;
        self.tell(Order::Target { calls, per_second: args.ramp.max(args.churn * 2.0) })?;
        self.tell(Order::Churn { per_second: args.churn })?;
        rt::park_until(rt::now().plus_ms((args.warm_s * 1_000.0) as u64));
        let page_of = || self.http.map_or(String::new(), |http| page(http, "/metrics"));
        let sample = || (rt::now(), self.pid.map(ProcessSample::of), ProcessSample::read());
        let pages_before = page_of();
        let drops_before = own_drops(&self.ports);
        let (began, worker_before, own_before) = sample();
        self.tell(Order::Begin)?;
        rt::park_until(began.plus_ms((args.step_s * 1_000.0) as u64));
        let (to, answer) = bounded(1);
        self.tell(Order::End(to))?;
        let counts: Counts = answer.recv().map_err(|_| BenchError::Gone)?;
        let (ended, worker_after, own_after) = sample();
        let seconds = ended.since(began).as_secs_f64();
        let own = Own {
            late_ms: (&counts.own_late).into(),
            cpu_percent: (own_after.cpu_seconds - own_before.cpu_seconds) / seconds * 100.0,
            drops: own_drops(&self.ports).saturating_sub(drops_before),
            unsent: counts.unsent,
        };
        let worker = worker_before.zip(worker_after).map(|(before, after)| {
            let pages_after = page_of();
            let late =
                |family: &str| quantile_ms(&buckets(&pages_before, family), &buckets(&pages_after, family), 0.99);
            let up = counts.most_up.max(1);
            let cpu_percent = (after.cpu_seconds - before.cpu_seconds) / seconds * 100.0;
            Cost {
                cpu_percent,
                cpu_percent_a_call: cpu_percent / up as f64,
                resident_bytes: after.resident_bytes,
                resident_bytes_a_call: after.resident_bytes.saturating_sub(self.before.resident_bytes) / up as u64,
                open_files: after.open_files,
                tick_late_p99_ms: late("voicefleet_tick_lateness_seconds"),
                pacing_p99_ms: late("voicefleet_pacing_error_seconds"),
            }
        });
        let echo_ms = args.echo.then(|| (&counts.echo).into());
        Ok(Step { echo_ms, ..Step::new(calls, seconds, &counts, own, worker) })
    }

    /// Hangs up whatever is up and lets the generator go.
    fn finish(&mut self) -> Result<(Vec<Spoke>, Planted), BenchError> {
        self.tell(Order::Churn { per_second: 0.0 })?;
        self.tell(Order::Target { calls: 0, per_second: self.args.ramp.max(200.0) })?;
        self.reach(0)?;
        self.tell(Order::Stop)?;
        self.thread.take().and_then(|thread| thread.join().ok()).ok_or(BenchError::Gone)
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        // Where the run failed half-way, the generator must not go on calling.
        let _ = self.orders.try_send(Order::Stop);
    }
}

/// Datagrams that the kernel had no room for on these ports of ours (the last column of `/proc/net/udp`).
fn own_drops(ports: &[u16]) -> u64 {
    let text = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let mut drops = 0;
    for line in text.lines().skip(1) {
        let mut fields = line.split_whitespace();
        let port = fields.nth(1).and_then(|local| u16::from_str_radix(local.split(':').nth(1)?, 16).ok());
        if port.is_some_and(|port| ports.contains(&port)) {
            drops += fields.last().and_then(|drops| drops.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    drops
}
