//! The media threads.

mod port;

pub use port::{LegPort, OutFrame, OutItem};
