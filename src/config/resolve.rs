//! From layers to one configuration: each layer is checked on its own, what is sound is merged over the layer below, and what
//! the merged keys must agree on is checked last. Pure: file text and environment are arguments.

use std::path::PathBuf;

use toml::{Table, Value};

use super::Config;
use super::keys::CONFIG;
use crate::bot::Fault;
use crate::bot::schema::{Key, Kind, Origin, check, nearest, shown};
use crate::bot::source;

/// What every environment key of the product begins with; sections and keys follow, parted by two underscores.
pub const ENV_PREFIX: &str = "VOICEFLEET__";

/// How the environment is named as the place of a fault.
const ENVIRONMENT: &str = "environment";

/// What the command line says over file and environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--data DIR`.
    pub data: Option<PathBuf>,
}

/// A configuration and what is wrong with its sources. Keys at fault have the value of the layer below.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// The configuration; to be used only where `faults` is empty.
    pub config: Config,
    /// All faults.
    pub faults: Vec<Fault>,
}

/// Merges defaults, the file's text (if there is a file), the environment and the command line.
#[must_use]
pub fn resolve(
    file: &str,
    text: Option<&str>,
    env: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Resolved {
    let mut faults = Vec::new();
    let mut merged = match source::parse(file, text.unwrap_or_default()) {
        Ok(table) => table,
        Err(syntax) => {
            faults.extend(syntax);
            Table::new()
        }
    };
    check(&mut merged, CONFIG, "", file, Origin::File, &mut faults);
    for (name, text) in env {
        if let Some(path) = name.strip_prefix(ENV_PREFIX)
            && let Err(fault) = apply_env(&mut merged, &name, path, &text)
        {
            faults.push(fault);
        }
    }
    let mut config: Config = match Value::Table(merged).try_into() {
        Ok(config) => config,
        Err(error) => {
            faults.push(fault(file, "file", "values that do not fit".to_owned(), error.message().to_owned()));
            Config::default()
        }
    };
    if let Some(data) = &overrides.data {
        config.data.dir.clone_from(data);
    }
    agree(file, &config, &mut faults);
    Resolved { config, faults }
}

/// Puts one environment key into the table, over what is there.
fn apply_env(table: &mut Table, name: &str, path: &str, text: &str) -> Result<(), Fault> {
    let lower = path.to_ascii_lowercase();
    let known = lower.split_once("__").and_then(|(section, key)| Some((section, find(section, key)?)));
    let Some((section, key)) = known else {
        let value = shown(path, &Value::String(text.to_owned()));
        return Err(fault(ENVIRONMENT, name, value, unknown_env(path)));
    };
    let mut one = Table::from_iter([(key.name.to_owned(), key.kind.read(text))]);
    let mut found = Vec::new();
    check(&mut one, std::slice::from_ref(key), "", ENVIRONMENT, Origin::Process, &mut found);
    if let Some(first) = found.into_iter().next() {
        let value = if matches!(key.kind, Kind::Secret { .. }) { "a blank secret".to_owned() } else { first.value };
        let expected = match key.kind {
            Kind::Secret { .. } => "a secret that is not blank, or no such variable".to_owned(),
            _ => first.expected,
        };
        return Err(fault(ENVIRONMENT, name, value, expected));
    }
    if let Value::Table(section) = table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
        section.extend(one);
    }
    Ok(())
}

fn find(section: &str, name: &str) -> Option<&'static Key> {
    let section = CONFIG.iter().find(|key| key.name == section)?;
    let Kind::Table(keys) = section.kind else { return None };
    keys.iter().find(|key| key.name == name)
}

fn unknown_env(path: &str) -> String {
    let names: Vec<String> = CONFIG
        .iter()
        .filter_map(|section| if let Kind::Table(keys) = section.kind { Some((section.name, keys)) } else { None })
        .flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}__{}", key.name).to_uppercase()))
        .collect();
    nearest(path, names.iter().map(String::as_str)).map_or_else(
        || format!("a variable {ENV_PREFIX}SECTION__KEY for a key of the configuration file"),
        |near| format!("no such key; did you mean `{ENV_PREFIX}{near}`?"),
    )
}

/// What keys must agree on.
fn agree(file: &str, config: &Config, faults: &mut Vec<Fault>) {
    let has = |path: &PathBuf| !path.as_os_str().is_empty();
    let (server, sip) = (&config.server, &config.sip);
    for (key, missing, other) in [
        ("server.tls_key", has(&server.tls_cert) && !has(&server.tls_key), "server.tls_cert"),
        ("server.tls_cert", has(&server.tls_key) && !has(&server.tls_cert), "server.tls_key"),
        ("sip.tls_key", has(&sip.tls_cert) && !has(&sip.tls_key), "sip.tls_cert"),
        ("sip.tls_cert", has(&sip.tls_key) && !has(&sip.tls_cert), "sip.tls_key"),
    ] {
        if missing && !faults.iter().any(|fault| fault.key == key) {
            faults.push(fault(file, key, "nothing".to_owned(), format!("a PEM file, because {other} is set")));
        }
    }
    if sip.listen.ip().is_unspecified() && sip.advertised_address.trim().is_empty() {
        let expected = format!("an IP address for carriers to come back to, because sip.listen is {}", sip.listen);
        faults.push(fault(file, "sip.advertised_address", "nothing".to_owned(), expected));
    }
    if sip.rtp_last <= sip.rtp_first {
        let expected = format!("a port above sip.rtp_first, {}", sip.rtp_first);
        faults.push(fault(file, "sip.rtp_last", sip.rtp_last.to_string(), expected));
    }
    let auth = &config.auth;
    for (key, variable, token, path) in [
        ("auth.ws_token_file", "AUTH__WS_TOKEN", &auth.ws_token, &auth.ws_token_file),
        ("auth.page_token_file", "AUTH__PAGE_TOKEN", &auth.page_token, &auth.page_token_file),
    ] {
        if token.is_some() && has(path) {
            let value = path.display().to_string();
            let expected = format!("nothing, because {ENV_PREFIX}{variable} is set: one token has one source");
            faults.push(fault(file, key, format!("{value:?}"), expected));
        }
    }
}

fn fault(file: &str, key: &str, value: String, expected: String) -> Fault {
    Fault { file: file.to_owned(), key: key.to_owned(), value, expected }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
