//! Personal data that must not reach a log by accident.

use std::fmt;

/// A value about a person (a name, a number, what was said). Prints as `[redacted]`; [`Pii::reveal`] is the one
/// way to the value and easy to search for.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Pii<T>(T);

impl<T> Pii<T> {
    /// Wraps a personal value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the call's own result and the wire, never for a log line.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// The value itself, owned.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_personal_value_never_prints() {
        let name = Pii::new("Asha Rao".to_owned());
        assert_eq!(format!("{name} {name:?}"), "[redacted] [redacted]");
        assert_eq!(name.reveal(), "Asha Rao");
    }
}
