//! The journal of a call: an append-only file of JSON lines that says what the call was told (facts), what it decided
//! (orders) and what is worth keeping whatever happens to the process (notes). `entry` mirrors the machines' types so that
//! these may change without breaking old files; `writer` and `reader` turn them into bytes and back. Never touches a file.

mod entry;
mod fact;
mod line;
mod order;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use entry::{Answerer, Entry, Header, Line, Note, Said, Sign, VERSION, Who};
pub use fact::{Fact, Heard, LegFact, LegLoss, LegMeta, MirrorError, ToolCall};
pub use line::{LineFact, LineOrder, Other, Worker};
pub use order::{Ask, AskCause, LegOrder, Order};
pub use reader::{Journal, Unread, read};
pub use writer::Writer;
