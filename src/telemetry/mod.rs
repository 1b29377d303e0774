//! What the process says of itself: log lines and metrics. Names no call and holds no personal value: labels come from
//! closed lists, and personal values are of a type that prints as `[redacted]`.

mod histogram;
mod live;
mod log;
mod metrics;
mod names;
mod process;
mod rtp;

pub use histogram::Histogram;
pub use live::{Live, LiveGuard};
pub use log::{Format, LogError, init, subscriber};
pub use metrics::{CONTENT_TYPE, Metrics, ProviderLabels, SipFigures, Stage};
pub use names::{DECLARED, Declared, Kind, ZERO_AFTER_DRAIN};
pub use process::{ProcessSample, memory_left_bytes};
pub use rtp::RtpFigures;
