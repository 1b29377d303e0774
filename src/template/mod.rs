//! Templates: `{{ns.path}}` and `<<ns.path>>` in prompts and spoken lines, with `ns` one of `crm`, `call`, `result` and an
//! optional default (`{{crm.name|there}}`). Parsed once, rendered many times, in one pass from left to right. Never a
//! language: no conditions, no loops, no filters; a value is never scanned for tokens, whatever stands in it, and text
//! that is not exactly a token stays text, so JSON examples and shifts survive in a prompt.

mod hygiene;
mod render;
mod sources;
mod token;
mod values;

pub use hygiene::clean;
pub use render::{MAX_OUTPUT_BYTES, MAX_VALUE_BYTES, Rendered, Template, Token};
pub use sources::{BUILT_INS, CallEnd, CallFacts, CrmSources, SET_AFTER_THE_CALL, call_values};
pub use values::{Fields, Values};

use std::fmt;

/// Where a token's value comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Namespace {
    /// What the customer's systems know: explicit variables, pre-fetch, the dialler's custom fields.
    Crm,
    /// The call itself: built-ins over the dialler's custom fields.
    Call,
    /// The analysis after the call.
    Result,
}

impl Namespace {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Crm, Self::Call, Self::Result];

    /// The name as a token writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crm => "crm",
            Self::Call => "call",
            Self::Result => "result",
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
