//! What the worker kept of a call: journal, result and recording, read as any program would.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use voicefleet::rt;

use crate::worker::World;

/// A call's folder.
pub struct Kept {
    /// Where it is.
    pub folder: PathBuf,
    /// The journal's lines.
    pub journal: Vec<Value>,
    /// The result.
    pub result: Value,
    /// The caller's channel of the recording.
    pub caller: Vec<i16>,
    /// The bot's channel.
    pub bot: Vec<i16>,
}

impl Kept {
    /// Reads the folder of call `id`.
    pub fn of(world: &World, id: &str) -> Self {
        let folder = world.data.join("calls").join(id);
        let journal = std::fs::read_to_string(folder.join("journal")).unwrap();
        let result = std::fs::read(folder.join("result.json")).unwrap();
        let (caller, bot) = stereo(&folder.join("recording.wav"));
        Self {
            journal: journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            result: serde_json::from_slice(&result).unwrap(),
            folder,
            caller,
            bot,
        }
    }

    /// The only call of this caller, once its result is there.
    pub async fn of_caller(world: &World, number: &str) -> Self {
        let find = || {
            let calls = std::fs::read_dir(world.data.join("calls")).unwrap().map(|entry| entry.unwrap());
            let mut mine = calls.filter(|call| {
                std::fs::read_to_string(call.path().join("result.json")).is_ok_and(|result| result.contains(number))
            });
            mine.next().map(|call| call.file_name().into_string().unwrap())
        };
        let found = rt::timeout(Duration::from_secs(20), async {
            loop {
                if let Some(id) = find() {
                    return id;
                }
                rt::sleep(Duration::from_millis(20)).await;
            }
        });
        Self::of(world, &found.await.unwrap_or_else(|| panic!("no result of {number}")))
    }

    /// The values of one kind of line, e.g. `/fact/line/voice_ceased`, with the moment at which it was written.
    pub fn told<'a>(&'a self, pointer: &'a str) -> impl Iterator<Item = (u64, &'a Value)> {
        self.journal.iter().filter_map(move |line| Some((line["at_us"].as_u64()?, line.pointer(pointer)?)))
    }

    /// When the recording's clock began, on the journal's.
    pub fn zero_us(&self) -> u64 {
        self.told("/fact/line/opened").next().unwrap().1["at_us"].as_u64().unwrap()
    }

    /// The sample of the recording at a moment of the journal.
    pub fn sample(&self, at_us: u64) -> usize {
        usize::try_from(at_us.saturating_sub(self.zero_us()) * 8 / 1_000).unwrap()
    }
}

/// Both channels of a WAV at 8 kHz.
pub fn stereo(path: &Path) -> (Vec<i16>, Vec<i16>) {
    let mut wav = hound::WavReader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 8_000), "{}", path.display());
    let samples: Vec<i16> = wav.samples().map(Result::unwrap).collect();
    let side = |at: usize| samples.iter().skip(at).step_by(2).copied().collect();
    (side(0), side(1))
}

/// The samples without the zeros, so that pauses of playout do not matter.
pub fn sounds(samples: &[i16]) -> Vec<i16> {
    samples.iter().copied().filter(|&sample| sample != 0).collect()
}
