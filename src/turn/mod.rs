//! The turn loop.

mod fact;
mod policy;

pub use fact::{Ask, AskCause, Heard, HistoryItem, ProviderRole, Speaker, ToolCall};
pub use policy::Policy;
