//! The stereo recording of a call: caller on the left, bot on the right, PCM16 at the call's own rate, placed by the media
//! clock. `plan` is the media shard's half (no lock, no allocation), `wav` the file's header, `io` the one recorder
//! thread. Never delays a call: what cannot be written is counted and becomes silence.

mod io;
mod plan;
#[cfg(test)]
pub(crate) mod scratch;
mod wav;

pub use io::{
    Config, Log, LogOutcome, Recorder, RecorderError, RecorderStats, RecorderThread, Recording, RecordingId,
    RepairError, RepairReport, Repaired, repair, repair_file,
};
pub use plan::{BLOCK_FRAMES, BlockPool, BlockWriter, RecordBlock};
pub use wav::{FRAME_BYTES, HEADER_BYTES, Incomplete, MAX_DATA_BYTES};
