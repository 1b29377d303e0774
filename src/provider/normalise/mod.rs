//! normalise

/// The text as a person would say it.
#[must_use]
pub fn speakable(text: &str, _voice: &crate::provider::Voice) -> String {
    text.to_owned()
}
