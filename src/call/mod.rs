//! One conversation.

mod leg;

pub use leg::{LegFact, LegLoss, LegMeta, LegOrder};
