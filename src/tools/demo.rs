//! The demonstration call of `make run`: the test caller as a process of its own, over a real socket, with whatever the worker asks of
//! a caller. Never puts a token on a command line, where other users of the machine read it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::config::Config;
use crate::rt;

/// The whole demonstration may take this long.
const LIMIT: Duration = Duration::from_secs(240);
/// The bot of the demonstration.
const BOT: &str = "payment-reminder";
/// What its caller says.
const SCRIPT: &str = "fixtures/callers/payment-reminder.toml";

/// One call to a worker on this machine.
#[derive(Clone, Debug)]
pub struct Demonstration {
    /// The program whose `call` command is the caller.
    pub program: PathBuf,
    /// Which bot.
    pub bot: String,
    /// What the caller says.
    pub script: PathBuf,
}

impl Demonstration {
    /// The one of `voicefleet demo`, by this program.
    ///
    /// # Errors
    /// Where the program does not find itself.
    pub fn new() -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| format!("the program does not find itself: {error}"))?;
        Ok(Self { program, bot: BOT.to_owned(), script: Path::new(SCRIPT).to_owned() })
    }

    /// The command that calls the worker with this configuration at this address.
    fn command(&self, config: &Config, bound: SocketAddr) -> Command {
        let ip = if bound.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { bound.ip() };
        let at = SocketAddr::new(ip, bound.port());
        let (ws, http) = if config.server.tls().is_some() { ("wss", "https") } else { ("ws", "http") };
        let mut command = Command::new(&self.program);
        command.args(["call", "--ws", &format!("{ws}://{at}/ws/{}", self.bot)]).arg("--script").arg(&self.script);
        if config.server.tls().is_some() {
            // The certificate is made out to the name that others call this server by, and this call goes to the address at which this
            // very process listens: there is nobody else to be.
            command.arg("--insecure");
        }
        // On an address that others reach, the results are closed without a password.
        if config.auth.page_token.is_some() || bound.ip().to_canonical().is_loopback() {
            command.args(["--result-url", &format!("{http}://{at}")]);
        }
        if let Some(token) = &config.auth.ws_token {
            command.env("VOICEFLEET_CALL_TOKEN", token.reveal());
        }
        if let Some(token) = &config.auth.page_token {
            command.env("VOICEFLEET_CALL_RESULT_TOKEN", token.reveal());
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Places the call and waits for its end; the text says where to look.
    ///
    /// # Errors
    /// Where the call could not be made or failed, with what to do.
    pub async fn place(&self, config: &Config, bound: SocketAddr) -> Result<String, String> {
        let mut child =
            self.command(config, bound).spawn().map_err(|error| format!("the test caller does not start: {error}"))?;
        let status = match rt::timeout(LIMIT, child.wait()).await {
            Some(Ok(status)) => status,
            Some(Err(error)) => return Err(format!("the test caller was lost: {error}")),
            None => return Err(format!("the demonstration call did not end within {} s", LIMIT.as_secs())),
        };
        if !status.success() {
            return Err(format!("the demonstration call failed ({status}); its report above says where"));
        }
        let url = config.server.public_url(bound);
        let calls = config.data.dir.join("calls");
        Ok(format!(
            "\nThe call's recording.wav, result.json and journal are in its folder below {}.\n\
             Open {url}/ for bots, calls, recordings and results. Ctrl-C drains and stops.",
            calls.display()
        ))
    }
}
