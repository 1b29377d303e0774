//! The arguments of `voicefleet bench`, and what becomes of them. Nothing is done here.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::gate::Gate;
use super::spoil::Impairment;
use super::worker::WorkerArgs;

/// Puts a worker under load and says what it carries.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum BenchArgs {
    /// Calls over SIP and RTP, G.711
    #[command(
        after_help = "Example:\n  voicefleet bench sip --steps 50,500,1000 --churn 20 --json load.json\n\nStarts a worker of its own on core 0 (the generator on core 1) unless --sip names one. Exit codes: 0 every step passed the gate, 1 one did not or a recording does not hold its own caller, 3 the generator was late in one and cannot tell."
    )]
    Sip {
        /// Load the worker that listens for SIP here, instead of one of the bench's own
        #[arg(long, value_name = "ADDRESS")]
        sip: Option<SocketAddr>,
        /// The bench's own worker places the calls, and the load answers them
        #[arg(long, conflicts_with = "sip")]
        outbound: bool,
        /// Plan and gate
        #[command(flatten)]
        plan: PlanArgs,
        /// What is done to the packets
        #[command(flatten)]
        spoil: SpoilArgs,
    },
    /// Calls over WebSocket in the native dialect, JSON and base64
    #[command(
        after_help = "Example:\n  voicefleet bench ws --steps 50,400 --json load.json\n\nStarts a worker of its own on core 0 (the generator on core 1) unless --url names one."
    )]
    Ws {
        /// Load this media socket, instead of one of the bench's own: ws://ADDRESS:PORT/ws/BOT
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// The load's dialler places the calls: they ring first, and the answer comes later
        #[arg(long)]
        outbound: bool,
        /// Plan and gate
        #[command(flatten)]
        plan: PlanArgs,
    },
    /// Search what this machine carries over SIP and keep it below the data folder, for `serve` to heed
    #[command(after_help = "Example:\n  voicefleet bench calibrate --steps 400 --step-s 10")]
    Calibrate {
        /// Plan and gate; the search begins at the last of the steps
        #[command(flatten)]
        plan: PlanArgs,
    },
    /// The worker that the bench starts; not for people
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// What is tried, and what must hold.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct PlanArgs {
    /// Calls of each step
    #[arg(long, value_delimiter = ',', default_values_t = [50, 200, 500])]
    pub steps: Vec<usize>,
    /// Search the highest number of calls that passes, from the last of the steps on
    #[arg(long)]
    pub knee: bool,
    /// How long a step is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
    pub step_s: f64,
    /// How long it runs before that
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub warm_s: f64,
    /// Set-ups per second on the way to a step
    #[arg(long, default_value_t = 50.0)]
    pub ramp: f64,
    /// Calls per second that end and are replaced while a step is measured
    #[arg(long, default_value_t = 0.0)]
    pub churn: f64,
    /// Most calls of the bench's own worker
    #[arg(long, default_value_t = 4_000)]
    pub max_calls: u32,
    /// Steps above --max-calls are meant: the calls that are too many must be refused with a time to come back
    #[arg(long)]
    pub overload: bool,
    /// The worker's process, where it is not the bench's own: for its cost
    #[arg(long)]
    pub pid: Option<u32>,
    /// A task per call with a timer of its own in place of the media threads
    #[arg(long, value_enum)]
    pub baseline: Option<Baseline>,
    /// The bot sends back what it hears, and the way there and back is measured
    #[arg(long)]
    pub echo: bool,
    /// Where the bench's own worker keeps what it keeps. Default: a temporary folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Leave that folder
    #[arg(long)]
    pub keep: bool,
    /// Recordings that are compared with what was sent
    #[arg(long, default_value_t = 50)]
    pub recordings: usize,
    /// Longest gap of 99 in a hundred
    #[arg(long, value_name = "MS", default_value_t = Gate::default().gap_p99_ms)]
    pub gate_p99_ms: f64,
    /// Longest gap of 999 in a thousand
    #[arg(long, value_name = "MS", default_value_t = Gate::default().gap_p999_ms)]
    pub gate_p999_ms: f64,
    /// Most packets that may be late or lost, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = Gate::default().late_or_lost_percent)]
    pub gate_late_percent: f64,
    /// Most of a core that a call may cost, in percent
    #[arg(long, value_name = "PERCENT")]
    pub gate_cpu_percent: Option<f64>,
    /// Most memory that a call may cost
    #[arg(long, value_name = "KIB")]
    pub gate_memory_kib: Option<f64>,
    /// Longest echo of 99 in a hundred
    #[arg(long, value_name = "MS", requires = "echo")]
    pub gate_echo_ms: Option<f64>,
    /// Longest echo of half
    #[arg(long, value_name = "MS", requires = "echo")]
    pub gate_echo_p50_ms: Option<f64>,
    /// Latest that 99 in a hundred of the worker's frames may leave, by its own account; over SIP its ticks
    #[arg(long, value_name = "MS")]
    pub gate_pacing_ms: Option<f64>,
    /// Write the report there as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What a hop in between does to the packets, each way. The gate judges what the worker sent, before that.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct SpoilArgs {
    /// Packets that are lost each way, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub loss: f64,
    /// Packets that come twice, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub duplicate: f64,
    /// Packets that come behind the next, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub reorder: f64,
    /// Packets are delayed by up to so much
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub jitter_ms: u32,
}

/// What the worker is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Baseline {
    /// The same worker with one task and one timer a call.
    TaskPerCall,
}

impl SpoilArgs {
    /// The same as the generator wants it.
    #[must_use]
    pub const fn impairment(&self) -> Impairment {
        Impairment {
            loss_percent: self.loss,
            duplicate_percent: self.duplicate,
            reorder_percent: self.reorder,
            jitter_ms: self.jitter_ms,
        }
    }
}

impl PlanArgs {
    pub(super) const fn gate(&self) -> Gate {
        Gate {
            gap_p99_ms: self.gate_p99_ms,
            gap_p999_ms: self.gate_p999_ms,
            late_or_lost_percent: self.gate_late_percent,
            refuses_above: if self.overload { Some(self.max_calls as usize) } else { None },
            cpu_percent_a_call: self.gate_cpu_percent,
            memory_kib_a_call: self.gate_memory_kib,
            echo_p50_ms: self.gate_echo_p50_ms,
            echo_p99_ms: self.gate_echo_ms,
            pacing_p99_ms: self.gate_pacing_ms,
        }
    }
}
