//! The demonstration call of `make run`: the test caller as a process of its own, over a real socket.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use crate::rt;

/// The whole demonstration may take this long.
const LIMIT: Duration = Duration::from_secs(240);
/// What the demonstration's caller says.
const SCRIPT: &str = "fixtures/callers/payment-reminder.toml";

/// Places the call and waits for its end; the text says where to look.
///
/// # Errors
/// Where the call could not be made or failed, with what to do.
pub async fn call(address: SocketAddr, public_url: &str) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| format!("the program does not find itself: {error}"))?;
    let scheme = if public_url.starts_with("https") { "wss" } else { "ws" };
    let mut child = tokio::process::Command::new(program)
        .args(["call", "--ws", &format!("{scheme}://{address}/ws/payment-reminder")])
        .args(["--script", SCRIPT, "--result-url", public_url])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the test caller does not start: {error}"))?;
    let status = match rt::timeout(LIMIT, child.wait()).await {
        Some(Ok(status)) => status,
        Some(Err(error)) => return Err(format!("the test caller was lost: {error}")),
        None => return Err(format!("the demonstration call did not end within {} s", LIMIT.as_secs())),
    };
    if !status.success() {
        return Err(format!("the demonstration call failed ({status}); its report above says where"));
    }
    Ok(format!("\nOpen {public_url}/ for bots, calls, recordings and results. Ctrl-C drains and stops."))
}
