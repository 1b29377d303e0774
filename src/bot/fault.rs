//! One fault in a configuration file, said so that the reader can mend it. Never carries a secret's value.

use std::fmt;

/// A fault in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file, as it was named to the loader.
    pub file: String,
    /// Dotted path of the key, e.g. `script.step.greet.expect.yes`.
    pub key: String,
    /// What stands there (shortened), or `nothing`.
    pub value: String,
    /// What was expected, and where it helps what to do.
    pub expected: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: found {}, expected {}", self.file, self.key, self.value, self.expected)
    }
}
