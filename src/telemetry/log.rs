//! Log lines: to standard error, as text or as JSON, filtered by module and level. Never asks the environment itself;
//! never rotates or ships anything (the supervisor does).

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One readable line.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("log filter {given:?}: expected directives such as `info` or `info,voicefleet::turn=debug`: {cause}")]
    Filter {
        /// As it was given.
        given: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Something in this process already logs.
    #[error("logging was started twice; start it once, in the command that runs")]
    AlreadyStarted,
}

/// Starts logging to standard error for the whole process.
///
/// # Errors
/// Where `filter` cannot be read, or logging was started before.
pub fn init(format: Format, filter: &str) -> Result<(), LogError> {
    subscriber(format, filter, std::io::stderr)?.try_init().map_err(|_| LogError::AlreadyStarted)
}

/// A subscriber that writes lines of `format` to `writer`.
///
/// # Errors
/// Where `filter` cannot be read.
pub fn subscriber<W>(format: Format, filter: &str, writer: W) -> Result<impl Subscriber + Send + Sync, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // This crate writes whole SIP messages, with numbers and credentials, at every level below.
    let quiet = if filter.trim().is_empty() { "rsipstack=warn".to_owned() } else { format!("{filter},rsipstack=warn") };
    let filter = EnvFilter::builder()
        .parse(quiet)
        .map_err(|cause| LogError::Filter { given: filter.to_owned(), cause: cause.to_string() })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    Ok(tracing_subscriber::registry().with(filter).with(lines))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::units::Pii;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = subscriber(format, filter, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let caller = Pii::new("+919876543210");
            tracing::info!(%caller, also = ?caller, call = "c1", "a call began for {caller}");
            tracing::debug!("not at this level");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_personal_value_reaches_no_line_in_either_format() {
        for format in [Format::Text, Format::Json] {
            let line = logged(format, "info");
            assert!(!line.contains("9876543210"), "{line}");
            assert_eq!(line.matches("[redacted]").count(), 3, "{line}");
            assert!(line.contains("c1") && !line.contains("not at this level"), "{line}");
        }
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields_at_the_top() {
        let line = logged(Format::Json, "info");
        let object: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
        assert_eq!(object["call"], "c1");
        assert_eq!(object["level"], "INFO");
    }

    #[test]
    fn a_bad_filter_says_what_was_expected() {
        let Err(error) = subscriber(Format::Text, "voicefleet=loud", std::io::sink) else { panic!("accepted") };
        assert!(error.to_string().contains("info,voicefleet::turn=debug"), "{error}");
    }
}
