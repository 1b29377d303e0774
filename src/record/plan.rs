//! The media shard's half of a recording: every tick's two channels go into blocks of a fixed size that travel to the
//! recorder thread and back through two lock-free queues. Never waits, allocates, locks or touches a file.
//!
//! The position of a sample is counted, not timed: sample `n` of the recording is sample `n` of the call's media clock, so
//! drift is impossible and a lost block leaves a gap whose length is known.

use std::fmt;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::units::prefetch;

/// Stereo samples (one left, one right) that a block holds: 250 ms at 8 kHz, 125 ms at 16 kHz.
pub const BLOCK_FRAMES: usize = 2_000;

/// A stretch of one recording on its way to the recorder thread.
pub struct RecordBlock {
    /// Which recording; see `RecordingId`.
    pub call: u32,
    /// Index of the first stereo sample, counted from the start of the recording.
    pub first_frame: u64,
    /// Stereo samples in use.
    pub len: u32,
    /// Nothing follows.
    pub last: bool,
    /// Interleaved: left (caller), right (bot).
    pub samples: [i16; 2 * BLOCK_FRAMES],
}

impl RecordBlock {
    /// An empty block of no recording.
    #[must_use]
    pub fn empty() -> Box<Self> {
        Box::new(Self { call: 0, first_frame: 0, len: 0, last: false, samples: [0; 2 * BLOCK_FRAMES] })
    }

    /// The samples in use, interleaved.
    #[must_use]
    pub fn used(&self) -> &[i16] {
        let end = (self.len as usize).min(BLOCK_FRAMES) * 2;
        &self.samples[..end]
    }
}

impl fmt::Debug for RecordBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBlock")
            .field("call", &self.call)
            .field("first_frame", &self.first_frame)
            .field("len", &self.len)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// All blocks of the process: the empty ones, and the full ones on their way to the disk. Both queues are lock-free and
/// hold every block there is, so handing one over fails only where a foreign block was put in.
#[derive(Debug)]
pub struct BlockPool {
    free: ArrayQueue<Box<RecordBlock>>,
    full: ArrayQueue<Box<RecordBlock>>,
}

impl BlockPool {
    /// A pool of `blocks` blocks (at least one), 8 KB each, all allocated now.
    #[must_use]
    pub fn new(blocks: usize) -> Arc<Self> {
        let blocks = blocks.max(1);
        let pool = Self { free: ArrayQueue::new(blocks), full: ArrayQueue::new(blocks) };
        for _ in 0..blocks {
            pool.give_back(RecordBlock::empty());
        }
        Arc::new(pool)
    }

    /// The oldest block that waits for the disk.
    #[must_use]
    pub fn pop_full(&self) -> Option<Box<RecordBlock>> {
        self.full.pop()
    }

    /// Returns a block after use.
    pub fn give_back(&self, mut block: Box<RecordBlock>) {
        block.len = 0;
        block.last = false;
        // A refused block is one too many for the pool; it is freed, which costs nothing but its memory.
        drop(self.free.push(block));
    }

    /// Blocks that nobody uses.
    #[must_use]
    pub fn free_blocks(&self) -> usize {
        self.free.len()
    }
}

/// The recording end of one call's line, owned by its media shard.
///
/// Where no block is free (the disk stands still), the time is counted as lost, the position goes on, and the recorder
/// writes silence of the same length.
pub struct BlockWriter {
    pool: Arc<BlockPool>,
    call: u32,
    current: Option<Box<RecordBlock>>,
    next_frame: u64,
    lost_frames: u64,
    closing: bool,
    finished: bool,
}

impl BlockWriter {
    /// The writer of recording `call`, at its first sample.
    #[must_use]
    pub fn new(pool: Arc<BlockPool>, call: u32) -> Self {
        Self { pool, call, current: None, next_frame: 0, lost_frames: 0, closing: false, finished: false }
    }

    /// Records one tick: what the caller said and what the bot said during it. The shorter side is filled up with silence.
    /// Ignored after [`BlockWriter::finish`].
    pub fn push(&mut self, caller: &[i16], bot: &[i16]) {
        if self.closing {
            return;
        }
        let total = caller.len().max(bot.len());
        let mut at = 0;
        while at < total {
            let Some(block) = self.block() else {
                self.lose((total - at) as u64);
                return;
            };
            let begin = (block.len as usize).min(BLOCK_FRAMES);
            let n = (BLOCK_FRAMES - begin).min(total - at);
            let room = &mut block.samples[begin * 2..(begin + n) * 2];
            lay(room, caller.get(at..).unwrap_or_default(), bot.get(at..).unwrap_or_default());
            block.len += n as u32;
            let is_full = block.len as usize >= BLOCK_FRAMES;
            at += n;
            self.next_frame += n as u64;
            if is_full {
                self.hand_over();
            }
        }
    }

    /// Begins to bring near the head of the block being filled.
    pub fn prefetch(&self) {
        if let Some(block) = &self.current {
            prefetch(&block.len);
        }
    }

    /// The same for where the next frame of so many samples goes; wants [`Self::prefetch`] to have been called a while before.
    pub fn prefetch_far(&self, frame: usize) {
        let Some(block) = &self.current else { return };
        let begin = (block.len as usize).min(BLOCK_FRAMES) * 2;
        prefetch(&block.samples[begin..(begin + 2 * frame).min(2 * BLOCK_FRAMES)]);
    }

    /// The media clock went on by `frames` stereo samples without audio (the shard was late and dropped ticks): the
    /// recording has silence there, counted as lost.
    pub fn skip(&mut self, frames: u64) {
        if self.closing || frames == 0 {
            return;
        }
        self.hand_over();
        self.lose(frames);
    }

    /// Hands over what is left, marked as the last. `false`: the recorder had no room; call again later. The recording is
    /// at its end from the first call on.
    pub fn finish(&mut self) -> bool {
        self.closing = true;
        if self.finished {
            return true;
        }
        let Some(block) = self.block() else { return false };
        block.last = true;
        let Some(block) = self.current.take() else { return false };
        match self.pool.full.push(block) {
            Ok(()) => self.finished = true,
            Err(block) => self.current = Some(block),
        }
        self.finished
    }

    /// Stereo samples that were recorded or lost so far: the media clock of the recording.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.next_frame
    }

    /// Stereo samples that became silence because no block was free or ticks were dropped.
    #[must_use]
    pub const fn lost_frames(&self) -> u64 {
        self.lost_frames
    }

    /// The block being filled, or a fresh one that begins at the present position.
    fn block(&mut self) -> Option<&mut RecordBlock> {
        if self.current.is_none() {
            let mut block = self.pool.free.pop()?;
            block.call = self.call;
            block.first_frame = self.next_frame;
            block.len = 0;
            block.last = false;
            self.current = Some(block);
        }
        self.current.as_deref_mut()
    }

    fn lose(&mut self, frames: u64) {
        self.lost_frames += frames;
        self.next_frame += frames;
    }

    fn hand_over(&mut self) {
        let Some(block) = self.current.take() else { return };
        if let Err(block) = self.pool.full.push(block) {
            self.lost_frames += u64::from(block.len);
            self.pool.give_back(block);
        }
    }
}

impl Drop for BlockWriter {
    /// A line that vanishes (its call panicked) still ends its recording where there is room to say so.
    fn drop(&mut self) {
        if !self.finish()
            && let Some(block) = self.current.take()
        {
            self.pool.give_back(block);
        }
    }
}

impl fmt::Debug for BlockWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockWriter")
            .field("call", &self.call)
            .field("next_frame", &self.next_frame)
            .field("lost_frames", &self.lost_frames)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}

/// Writes both channels into interleaved `room`; silence where one is shorter.
fn lay(room: &mut [i16], left: &[i16], right: &[i16]) {
    let (pairs, _) = room.as_chunks_mut::<2>();
    let both = left.len().min(right.len()).min(pairs.len());
    let (filled, rest) = pairs.split_at_mut(both);
    for ((pair, &left), &right) in filled.iter_mut().zip(left).zip(right) {
        *pair = [left, right];
    }
    let sample = |of: &[i16], at: usize| of.get(both + at).copied().unwrap_or(0);
    for (at, pair) in rest.iter_mut().enumerate() {
        *pair = [sample(left, at), sample(right, at)];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes everything that waits and lays it out as the recorder would: silence where a block is missing.
    fn laid_out(pool: &BlockPool) -> (Vec<i16>, bool) {
        let mut out = Vec::new();
        let mut last = false;
        while let Some(block) = pool.pop_full() {
            assert!(!last, "a block after the last one");
            out.resize(block.first_frame as usize * 2, 0);
            out.extend_from_slice(block.used());
            last = block.last;
            pool.give_back(block);
        }
        (out, last)
    }

    fn tone(hz: f64, rate: f64, frames: usize) -> Vec<i16> {
        (0..frames).map(|n| ((n as f64 * hz * std::f64::consts::TAU / rate).sin() * 8_000.0).round() as i16).collect()
    }

    #[test]
    fn two_tones_stay_on_their_channels_to_the_sample() {
        let pool = BlockPool::new(64);
        let mut writer = BlockWriter::new(Arc::clone(&pool), 7);
        let (caller, bot) = (tone(440.0, 8_000.0, 16_000), tone(1_000.0, 8_000.0, 16_000));
        for tick in 0..100 {
            writer.push(&caller[tick * 160..(tick + 1) * 160], &bot[tick * 160..(tick + 1) * 160]);
        }
        assert!(writer.finish());
        let (out, last) = laid_out(&pool);
        assert!(last);
        assert_eq!(out.iter().step_by(2).copied().collect::<Vec<_>>(), caller);
        assert_eq!(out.iter().skip(1).step_by(2).copied().collect::<Vec<_>>(), bot);
    }

    #[test]
    fn a_gap_has_the_exact_length_and_the_audio_after_it_its_exact_place() {
        let pool = BlockPool::new(2);
        let mut writer = BlockWriter::new(Arc::clone(&pool), 1);
        // Two blocks are all there is: 4,000 frames fit, the next 500 are lost.
        for _ in 0..45 {
            writer.push(&[100; 100], &[200; 100]);
        }
        assert_eq!(writer.lost_frames(), 500);
        let (mut out, _) = laid_out(&pool);
        assert_eq!(out.len(), 8_000);
        writer.push(&[300; 100], &[400; 100]);
        assert!(writer.finish());
        let block = pool.pop_full().unwrap();
        assert_eq!((block.first_frame, block.len, block.last), (4_500, 100, true));
        out.resize(block.first_frame as usize * 2, 0);
        out.extend_from_slice(block.used());
        assert!(out[8_000..9_000].iter().all(|&s| s == 0), "the gap is silence");
        assert_eq!(&out[9_000..9_004], &[300, 400, 300, 400]);
    }

    #[test]
    fn dropped_ticks_become_silence() {
        let pool = BlockPool::new(4);
        let mut writer = BlockWriter::new(Arc::clone(&pool), 1);
        writer.push(&[1; 160], &[2; 160]);
        writer.skip(320);
        writer.push(&[3; 160], &[4; 160]);
        assert!(writer.finish());
        let (out, last) = laid_out(&pool);
        assert!(last);
        assert_eq!(out.len(), 640 * 2);
        assert_eq!((out[0], out[319], out[320], out[959], out[960], out[961]), (1, 2, 0, 0, 3, 4));
        assert_eq!(writer.lost_frames(), 320);
    }

    #[test]
    fn the_end_is_delivered_as_soon_as_there_is_room() {
        let pool = BlockPool::new(1);
        let mut first = BlockWriter::new(Arc::clone(&pool), 1);
        first.push(&[1; 2_000], &[1; 2_000]);
        let mut second = BlockWriter::new(Arc::clone(&pool), 2);
        second.push(&[2; 50], &[2; 50]);
        assert!(!second.finish(), "no block is free");
        second.push(&[9; 50], &[9; 50]);
        pool.give_back(pool.pop_full().unwrap());
        assert!(second.finish());
        let block = pool.pop_full().unwrap();
        assert_eq!((block.call, block.first_frame, block.len, block.last), (2, 50, 0, true));
    }

    #[test]
    fn a_line_that_vanishes_ends_its_recording() {
        let pool = BlockPool::new(2);
        let mut writer = BlockWriter::new(Arc::clone(&pool), 3);
        writer.push(&[5; 10], &[6; 10]);
        drop(writer);
        let block = pool.pop_full().unwrap();
        assert_eq!((block.len, block.last), (10, true));
    }

    #[test]
    fn an_hour_drifts_by_nothing() {
        let pool = BlockPool::new(2);
        let mut writer = BlockWriter::new(Arc::clone(&pool), 1);
        let mut written = 0;
        for tick in 0..180_000_u64 {
            let mark = [if tick % 500 == 0 { 1_000 } else { 0 }; 160];
            writer.push(&mark, &[0; 160]);
            while let Some(block) = pool.pop_full() {
                assert_eq!(block.first_frame, written);
                for (n, pair) in block.used().chunks_exact(2).enumerate() {
                    let in_mark = ((block.first_frame + n as u64) / 160).is_multiple_of(500);
                    assert_eq!(pair[0] == 1_000, in_mark, "the marks stand where the media clock put them");
                }
                written += u64::from(block.len);
                pool.give_back(block);
            }
        }
        assert_eq!(writer.position(), 3_600 * 8_000);
        assert_eq!(writer.lost_frames(), 0);
    }

    proptest! {
        /// Whatever the lengths of ticks and the stalls of the disk: what arrives stands where it was said, the rest is
        /// silence, and recorded + lost = the media clock.
        #[test]
        fn every_sample_is_in_its_place_or_counted(
            steps in proptest::collection::vec((0_usize..600, 0_usize..600, any::<bool>()), 1..80),
            blocks in 1_usize..4,
        ) {
            let pool = BlockPool::new(blocks);
            let mut writer = BlockWriter::new(Arc::clone(&pool), 1);
            let mut said = Vec::new();
            let mut got: Vec<(i16, i16)> = Vec::new();
            let mut arrived = 0_u64;
            let mut value = 0_i16;
            let mut drain = |got: &mut Vec<(i16, i16)>| {
                while let Some(block) = pool.pop_full() {
                    got.resize(block.first_frame as usize, (0, 0));
                    got.extend(block.used().chunks_exact(2).map(|p| (p[0], p[1])));
                    arrived += u64::from(block.len);
                    pool.give_back(block);
                }
            };
            for (caller, bot, disk) in steps {
                value = value % 20_000 + 1;
                writer.push(&vec![value; caller], &vec![-value; bot]);
                said.extend((0..caller.max(bot)).map(|n| {
                    (if n < caller { value } else { 0 }, if n < bot { -value } else { 0 })
                }));
                if disk {
                    drain(&mut got);
                }
            }
            while !writer.finish() {
                drain(&mut got);
            }
            drain(&mut got);
            prop_assert_eq!(got.len(), said.len());
            prop_assert_eq!(arrived + writer.lost_frames(), said.len() as u64);
            for (at, (heard, meant)) in got.iter().zip(&said).enumerate() {
                prop_assert!(heard == meant || *heard == (0, 0), "sample {} is {:?}, not {:?}", at, heard, meant);
            }
        }
    }
}
