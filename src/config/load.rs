//! Reading the configuration from disk: the file itself and the files that it names. Never creates anything, opens no port.

use std::io::Read as _;
use std::path::Path;

use super::{Config, Overrides, Resolved, resolve};
use crate::bot::Fault;
use crate::units::Pii;

/// The file that is read where `--config` names none.
pub const DEFAULT_FILE: &str = "config/voicefleet.toml";

/// Longest configuration file and longest secret file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The process's environment, whatever is in it: what is not text is read as nearly as can be.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

/// Loads the configuration. `path` is what `--config` named; without it [`DEFAULT_FILE`] is read where it exists.
///
/// # Errors
/// All faults at once, of the file, the environment and the files that they name.
pub fn load(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Config, Vec<Fault>> {
    let Resolved { config, faults } = read(path, env, overrides);
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

/// Like [`load`], and gives what is sound also where there are faults, for a linter that goes on.
#[must_use]
pub fn read(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>, overrides: &Overrides) -> Resolved {
    let named = path.is_some();
    let path = path.unwrap_or(Path::new(DEFAULT_FILE));
    let file = path.display().to_string();
    let (text, unreadable) = match text_of(path) {
        Ok(text) => (Some(text), None),
        Err(ReadFault::Missing) if !named => (None, None),
        Err(error) => (None, Some(error.about(&file, "file", "a readable configuration file (`--config`)"))),
    };
    let mut resolved = resolve(&file, text.as_deref(), env, overrides);
    resolved.faults.extend(unreadable);
    read_tokens(&file, &mut resolved);
    resolved.faults.extend(check_files(&file, &resolved.config));
    resolved
}

/// Takes the tokens out of the files that hold them.
fn read_tokens(file: &str, resolved: &mut Resolved) {
    let auth = &resolved.config.auth;
    let (ws_file, page_file) = (auth.ws_token_file.clone(), auth.page_token_file.clone());
    if let Some(token) = read_token(file, "auth.ws_token_file", &ws_file, &mut resolved.faults) {
        resolved.config.auth.ws_token = Some(token);
    }
    if let Some(token) = read_token(file, "auth.page_token_file", &page_file, &mut resolved.faults) {
        resolved.config.auth.page_token = Some(token);
    }
}

fn read_token(file: &str, key: &str, path: &Path, faults: &mut Vec<Fault>) -> Option<Pii<String>> {
    if path.as_os_str().is_empty() {
        return None;
    }
    let expected = "a readable file with the token on its first line";
    match text_of(path) {
        Ok(text) => {
            let token = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
            if token.is_none() {
                faults.push(Fault {
                    file: file.to_owned(),
                    key: key.to_owned(),
                    value: "a file with a blank first line".to_owned(),
                    expected: expected.to_owned(),
                });
            }
            token.map(|token| Pii::new(token.to_owned()))
        }
        Err(error) => {
            faults.push(error.about(file, key, expected));
            None
        }
    }
}

/// The faults of the files that the configuration names and somebody else reads.
fn check_files(file: &str, config: &Config) -> Vec<Fault> {
    let (server, sip) = (&config.server, &config.sip);
    [
        ("server.tls_cert", &server.tls_cert),
        ("server.tls_key", &server.tls_key),
        ("sip.tls_cert", &sip.tls_cert),
        ("sip.tls_key", &sip.tls_key),
        ("sip.tls_ca", &sip.tls_ca),
    ]
    .into_iter()
    .filter(|(_, path)| !path.as_os_str().is_empty() && !path.is_file())
    .map(|(key, path)| Fault {
        file: file.to_owned(),
        key: key.to_owned(),
        value: format!("{:?}, which is no file", path.display().to_string()),
        expected: "a PEM file".to_owned(),
    })
    .collect()
}

enum ReadFault {
    Missing,
    Unreadable(String),
}

impl ReadFault {
    fn about(&self, file: &str, key: &str, expected: &str) -> Fault {
        let value = match self {
            Self::Missing => "no such file",
            Self::Unreadable(why) => why,
        };
        Fault { file: file.to_owned(), key: key.to_owned(), value: value.to_owned(), expected: expected.to_owned() }
    }
}

fn text_of(path: &Path) -> Result<String, ReadFault> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => ReadFault::Missing,
        _ => ReadFault::Unreadable(error.to_string()),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ReadFault::Unreadable(format!("more than {MAX_FILE_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| ReadFault::Unreadable("bytes that are not UTF-8 text".to_owned()))
}
