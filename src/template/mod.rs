//! Templates.

/// Values that templates may name.
#[derive(Clone, Debug, Default)]
pub struct Values {}
