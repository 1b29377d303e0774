//! Running the machine's package clients: pip and npm, by package name and version, with a deadline. Runs no script of a
//! package and never says which registry a client is set up for.

use std::io;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::manifest::{Package, Registry};

/// The longest one download may take.
const DOWNLOAD_BOUND: Duration = Duration::from_secs(600);
/// The longest a client may take to say its version.
const PROBE_BOUND: Duration = Duration::from_secs(60);

/// Why a client did not deliver.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client is not installed.
    #[error("{client} is not installed; install it (Debian, Ubuntu: `apt-get install {debian}`) and run this again")]
    Absent {
        /// Its name.
        client: &'static str,
        /// Its package in Debian.
        debian: &'static str,
    },
    /// It could not be started.
    #[error("{client} could not be started: {error}")]
    Start {
        /// Its name.
        client: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// It failed.
    #[error("{client} failed ({status}): {said}")]
    Failed {
        /// Its name.
        client: &'static str,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of what it wrote, without addresses.
        said: String,
    },
    /// It took too long and was ended.
    #[error("{client} did not finish within {} s; check the network and run this again", .bound.as_secs())]
    TimedOut {
        /// Its name.
        client: &'static str,
        /// The bound.
        bound: Duration,
    },
}

/// Downloads `package` into the empty folder `into`.
///
/// # Errors
/// [`ClientError`].
pub async fn download(package: &Package, into: &Path) -> Result<(), ClientError> {
    match package.registry {
        Registry::Python => pip(package, into).await,
        Registry::Node => npm(package, into).await,
    }
}

/// The ways to call pip, best first: the module of the default Python is the one that is kept up to date with it.
const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

async fn pip(package: &Package, into: &Path) -> Result<(), ClientError> {
    const CLIENT: &str = "pip";
    let mut found = None;
    for way in PIPS {
        if let Some(mut command) = command_of(way)
            && let Ok(output) = run(CLIENT, command.arg("--version"), PROBE_BOUND).await
            && output.status.success()
        {
            found = command_of(way);
            break;
        }
    }
    let mut command = found.ok_or(ClientError::Absent { client: CLIENT, debian: "python3-pip" })?;
    let platform = package.platform.map_or("manylinux_2_28_x86_64", |platform| platform.tag);
    command
        .args(["download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--python-version", "3.11", "--platform", platform, "--dest"])
        .arg(into)
        .arg(package.specification())
        // A download that breaks off goes on where it broke (pip 25.1 and later; the older ones do not look at it).
        .env("PIP_RESUME_RETRIES", "5");
    succeed(CLIENT, run(CLIENT, &mut command, DOWNLOAD_BOUND).await?)
}

async fn npm(package: &Package, into: &Path) -> Result<(), ClientError> {
    const CLIENT: &str = "npm";
    let mut command = Command::new("npm");
    command
        .args(["pack", "--silent", "--ignore-scripts", "--pack-destination"])
        .arg(into)
        .arg(package.specification())
        .current_dir(into);
    match run(CLIENT, &mut command, DOWNLOAD_BOUND).await {
        Err(ClientError::Start { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            Err(ClientError::Absent { client: CLIENT, debian: "npm" })
        }
        other => succeed(CLIENT, other?),
    }
}

fn command_of(way: &[&str]) -> Option<Command> {
    let (program, arguments) = way.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments);
    Some(command)
}

async fn run(client: &'static str, command: &mut Command, bound: Duration) -> Result<Output, ClientError> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let finished = crate::rt::timeout(bound, command.output()).await;
    finished.ok_or(ClientError::TimedOut { client, bound })?.map_err(|error| ClientError::Start { client, error })
}

fn succeed(client: &'static str, output: Output) -> Result<(), ClientError> {
    if output.status.success() {
        return Ok(());
    }
    let said = without_addresses(&String::from_utf8_lossy(&output.stderr));
    Err(ClientError::Failed { client, status: output.status, said })
}

/// The last lines of what a client wrote, with every address replaced: an error message is often copied somewhere, and
/// a registry's address may carry a credential.
fn without_addresses(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let end = lines.get(lines.len().saturating_sub(4)..).unwrap_or_default();
    let words: Vec<&str> = end
        .iter()
        .flat_map(|line| line.split_whitespace())
        .map(|word| if word.contains("://") || word.contains("host=") { "[address]" } else { word })
        .collect();
    words.join(" ").chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_carries_no_address() {
        let said =
            without_addresses("a\nLooking in indexes: https://u:p@mirror/simple\n\nHTTPPool(host='m', port=1)\n");
        assert_eq!(said, "a Looking in indexes: [address] [address] port=1)");
    }

    #[tokio::test]
    async fn a_client_that_is_not_there_is_named() {
        let error = run("npm", &mut Command::new("/nonexistent/npm"), PROBE_BOUND).await.unwrap_err();
        assert!(matches!(error, ClientError::Start { ref error, .. } if error.kind() == io::ErrorKind::NotFound));
        let text = ClientError::Absent { client: "npm", debian: "npm" }.to_string();
        assert!(text.contains("apt-get install npm"), "{text}");
    }

    #[tokio::test]
    async fn a_client_that_hangs_is_ended() {
        let mut command = Command::new("sleep");
        let error = run("pip", command.arg("600"), Duration::from_millis(20)).await.unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_client_that_fails_tells_why() {
        let mut command = Command::new("sh");
        let output = run("pip", command.args(["-c", "echo no such version >&2; exit 3"]), PROBE_BOUND).await.unwrap();
        let error = succeed("pip", output).unwrap_err().to_string();
        assert!(error.contains("no such version") && error.contains('3'), "{error}");
    }
}
