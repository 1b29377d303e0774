//! The inference runtime: one environment per process, made from the library in the model folder, and the settings every
//! session shares. Never checks a file: loading does that before anything is opened from here.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::provider::ProviderError;
use crate::provider::models::REPAIR;

/// The library is loaded once; a process cannot have two.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// The process's environment, made from the library at `library` at the first call.
///
/// # Errors
/// [`ProviderError::Unavailable`] where the library cannot be loaded or another one is loaded already.
pub(super) fn environment(library: &Path) -> Result<Environment, ProviderError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((path, environment)) = loaded.as_ref() {
        if path == library {
            return Ok(environment.clone());
        }
        let text = format!(
            "the inference runtime is loaded from {} already; restart to load it from {}",
            path.display(),
            library.display()
        );
        return Err(ProviderError::Unavailable(text));
    }
    let unavailable = |why: String| {
        ProviderError::Unavailable(format!(
            "the inference runtime {} cannot be loaded ({why}); run `{REPAIR}`",
            library.display()
        ))
    };
    let builder = ort::init_from(library).map_err(|error| unavailable(error.to_string()))?;
    let environment = builder
        .with_name("voicefleet")
        .with_telemetry(false)
        .build()
        .map_err(|error| unavailable(error.to_string()))?;
    *loaded = Some((library.to_path_buf(), environment.clone()));
    Ok(environment)
}

/// A session of the model at `model`: one thread, no spinning, so that a model never takes a core from the media.
///
/// # Errors
/// [`ProviderError::Unavailable`] where the runtime refuses the file.
pub(super) fn session(environment: &Environment, model: &Path) -> Result<Session, ProviderError> {
    settings(environment).and_then(|mut builder| builder.commit_from_file(model)).map_err(|error| {
        ProviderError::Unavailable(format!("the model {} cannot be opened ({error}); run `{REPAIR}`", model.display()))
    })
}

/// As [`session`], of a model in memory, which the session does not keep.
///
/// # Errors
/// [`ProviderError::Unavailable`] where the runtime refuses it; `what` names it.
pub(super) fn session_of(environment: &Environment, model: &[u8], what: &str) -> Result<Session, ProviderError> {
    settings(environment)
        .and_then(|mut builder| builder.commit_from_memory(model))
        .map_err(|error| ProviderError::Unavailable(format!("{what} cannot be opened ({error})")))
}

fn settings(environment: &Environment) -> Result<SessionBuilder, ort::Error> {
    Ok(Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_log_level(ort::logging::LogLevel::Error)?)
}

/// A failed step of a model as the rest of the product sees it.
pub(super) fn failed(what: &'static str) -> impl Fn(ort::Error) -> ProviderError {
    move |error| ProviderError::Failed { what, detail: error.to_string() }
}

/// What a model gave that nothing can be made of.
pub(super) fn odd(what: &'static str, detail: impl Into<String>) -> ProviderError {
    ProviderError::Failed { what, detail: detail.into() }
}
