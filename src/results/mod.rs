//! What a call leaves behind: exactly one result, a link to its recording, a row in the call log. `result` is the shape that
//! CRMs read, `summary` what the call hands over, `rebuild` what a crashed call's journal still knows, `token` and `index`
//! serve the page and the links; `io` is the disk. Never decides why a call ended.

mod analysis;
mod index;
mod io;
mod rebuild;
mod result;
mod summary;
mod token;

pub use analysis::{NO_ANALYSIS, analysis, analysis_or, disposition};
pub use index::{CallIndex, CallRow};
pub use io::{
    CallFolderError, ClaimError, DataClaim, IndexLoad, Recovery, SecretError, WriteError, call_folder, load_index,
    load_secret, read_result, recover, write_result,
};
pub use rebuild::{Remains, rebuild};
pub use result::{
    CallResult, Direction, DisconnectedBy, MediaQuality, RecordingReport, Resources, RtpQuality, SipDetails, SipStep,
    Speaker, Stage, TranscriptItem, TurnReport, VoicemailReport, VoicemailSignal, Warning,
};
pub use summary::CallSummary;
pub use token::{Links, Tokens};
