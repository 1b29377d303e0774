//! Spoken lines that are kept: a script says the same sentences in every call. Bounded by bytes, the line unused for
//! longest goes first. Holds audio in memory only, never on disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::provider::Voice;
use crate::units::SampleRate;

/// What makes two lines sound the same.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct LineKey {
    voice: Arc<str>,
    speed_bits: u32,
    rate_hz: u32,
    /// After the normaliser.
    text: Arc<str>,
}

impl LineKey {
    pub(super) fn new(voice: &Voice, rate: SampleRate, text: &str) -> Self {
        Self {
            voice: voice.name.as_str().into(),
            speed_bits: voice.speed.to_bits(),
            rate_hz: rate.hz(),
            text: text.into(),
        }
    }
}

struct Line {
    samples: Arc<[i16]>,
    used: u64,
}

#[derive(Default)]
struct Kept {
    lines: HashMap<LineKey, Line>,
    bytes: usize,
    clock: u64,
}

/// The kept lines of a process.
pub(super) struct Lines {
    kept: Mutex<Kept>,
    bound_bytes: usize,
}

impl Lines {
    pub(super) fn new(bound_bytes: usize) -> Self {
        Self { kept: Mutex::default(), bound_bytes }
    }

    pub(super) fn find(&self, key: &LineKey) -> Option<Arc<[i16]>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let line = kept.lines.get_mut(key)?;
        line.used = now;
        Some(line.samples.clone())
    }

    /// Keeps a line; one that alone takes more than an eighth of the room is not worth what would go for it.
    pub(super) fn keep(&self, key: LineKey, samples: Arc<[i16]>) {
        let size = size_of(&key, &samples);
        if size > self.bound_bytes / 8 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let used = kept.clock;
        kept.bytes += size;
        if let Some(old) = kept.lines.insert(key.clone(), Line { samples, used }) {
            kept.bytes -= size_of(&key, &old.samples);
        }
        while kept.bytes > self.bound_bytes {
            let oldest = kept.lines.iter().min_by_key(|(_, line)| line.used).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            if let Some(line) = kept.lines.remove(&oldest) {
                kept.bytes -= size_of(&oldest, &line.samples);
            }
        }
    }
}

fn size_of(key: &LineKey, samples: &[i16]) -> usize {
    samples.len() * 2 + key.text.len() + 128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> LineKey {
        LineKey { voice: "heart".into(), speed_bits: 0, rate_hz: 8_000, text: text.into() }
    }

    #[test]
    fn the_line_unused_for_longest_goes_first() {
        let lines = Lines::new(10_000);
        let audio: Arc<[i16]> = vec![1i16; 500].into();
        for n in 0..8 {
            lines.keep(key(&n.to_string()), audio.clone());
            assert!(lines.find(&key("0")).is_some(), "the first one is in use");
        }
        lines.keep(key("8"), audio.clone());
        assert!(lines.find(&key("0")).is_some());
        assert!(lines.find(&key("1")).is_none());
        assert!(lines.kept.lock().unwrap().bytes <= 10_000);
    }

    #[test]
    fn a_line_kept_twice_counts_once_and_a_giant_is_not_kept() {
        let lines = Lines::new(10_000);
        let audio: Arc<[i16]> = vec![1i16; 500].into();
        lines.keep(key("a"), audio.clone());
        let once = lines.kept.lock().unwrap().bytes;
        lines.keep(key("a"), audio);
        assert_eq!(lines.kept.lock().unwrap().bytes, once);
        lines.keep(key("b"), vec![1i16; 4_000].into());
        assert!(lines.find(&key("b")).is_none());
    }
}
