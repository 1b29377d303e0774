//! What this machine was measured to carry, kept beside the calls (`capacity.json`) with a fingerprint of machine and version: a file
//! that was brought from elsewhere, or made by another version, counts for nothing. Written by `voicefleet bench calibrate`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::rt;

/// The file below the data folder.
const FILE: &str = "capacity.json";

/// A measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Version, processor, cores.
    pub fingerprint: String,
    /// The highest number of calls that passed on one core.
    pub knee: u32,
    /// The number of calls that a run of its own proved on one core: nine tenths of the knee.
    pub calls: u32,
    /// When it was measured, in milliseconds since 1970.
    pub measured_unix_ms: i64,
}

impl Calibration {
    /// What is offered of a knee: what lies above it is for bursts and for a machine that is a little busier.
    #[must_use]
    pub const fn nine_tenths(knee: u32) -> u32 {
        // In two parts, so that nothing overflows.
        let calls = knee / 10 * 9 + knee % 10 * 9 / 10;
        if calls == 0 { 1 } else { calls }
    }

    /// From the knee that was found on one core of this machine, and the calls that were proved beneath it.
    #[must_use]
    pub fn new(knee: u32, calls: u32) -> Self {
        Self { fingerprint: fingerprint(), knee, calls, measured_unix_ms: rt::stamp().unix_ms() }
    }

    /// Calls that a worker takes for it: each of its media threads (`media.shards`) has a core of its own, one of
    /// the machine's being left to everything that is not a call.
    #[must_use]
    pub fn offered(&self, shards: usize) -> u32 {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        offered(self.calls, shards, cores)
    }

    /// The measurement of this machine and version below `data`, if there is one.
    #[must_use]
    pub fn read(data: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(data.join(FILE)).ok()?;
        let read: Result<Self, _> = serde_json::from_str(&text);
        match read {
            Ok(found) if found.fingerprint == fingerprint() => Some(found),
            Ok(_) => {
                tracing::warn!(
                    "{FILE} is of another machine or version and is ignored: run `voicefleet bench calibrate`"
                );
                None
            }
            Err(error) => {
                tracing::warn!(%error, "{FILE} cannot be read and is ignored: run `voicefleet bench calibrate`");
                None
            }
        }
    }

    /// Keeps it below `data`, whole or not at all.
    ///
    /// # Errors
    /// Where the folder takes no file.
    pub fn write(&self, data: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(data)?;
        let new = data.join("capacity.json.new");
        std::fs::write(&new, serde_json::to_string_pretty(self).unwrap_or_default())?;
        std::fs::rename(new, data.join(FILE))
    }
}

fn offered(calls: u32, shards: usize, cores: usize) -> u32 {
    let free = cores.saturating_sub(1).max(1);
    let threads = if shards == 0 { free } else { shards.min(free) };
    let threads = u32::try_from(threads).unwrap_or(1);
    calls.saturating_mul(threads).max(1)
}

/// What a measurement is good for.
fn fingerprint() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{} | {} | {cores}", env!("CARGO_PKG_VERSION"), model.trim_start_matches(['\t', ' ', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_counts_on_its_own_machine_alone() {
        let dir = std::env::temp_dir().join(format!("voicefleet-capacity-{}", std::process::id()));
        assert_eq!(Calibration::read(&dir), None);
        let measured = Calibration::new(1_000, 900);
        measured.write(&dir).unwrap();
        assert_eq!(Calibration::read(&dir), Some(measured.clone()));
        Calibration { fingerprint: "another".to_owned(), ..measured }.write(&dir).unwrap();
        assert_eq!(Calibration::read(&dir), None);
        std::fs::write(dir.join(FILE), "{").unwrap();
        assert_eq!(Calibration::read(&dir), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_tenth_of_the_knee_and_one_core_are_left() {
        assert_eq!([0, 1, 9, 10, 1_234].map(Calibration::nine_tenths), [1, 1, 8, 9, 1_110]);
        assert!(Calibration::nine_tenths(u32::MAX) > u32::MAX / 10 * 9 - 9);
        assert_eq!([1, 2, 4].map(|cores| offered(900, 0, cores)), [900, 900, 2_700]);
        assert_eq!([1, 2, 9].map(|shards| offered(900, shards, 4)), [900, 1_800, 2_700]);
        assert_eq!(offered(0, 0, 2), 1);
    }
}
