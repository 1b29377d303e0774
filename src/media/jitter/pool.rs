//! Where the packets of a jitter buffer lie: 64 chunks of 160 bytes (one 20 ms frame of G.711 each), taken and given back by
//! a bit mask, and a list sorted by timestamp. Full means that the oldest packet goes. Allocates once.

use crate::units::prefetch;

/// Bytes of one chunk.
const CHUNK_BYTES: usize = 160;
/// Chunks of the pool, one bit each.
const CHUNKS: usize = 64;
/// Chunks of the largest packet.
const CHUNKS_OF_PACKET: usize = 8;
/// Chunks that a stream of little jitter uses.
const STEADY_CHUNKS: usize = 3;
/// Packets the buffer holds at most: 480 ms at ten milliseconds each, more at twenty.
const PACKETS: usize = 48;

/// The largest payload that is kept: the largest Opus frame and 160 ms of G.711.
pub const MAX_PAYLOAD_BYTES: usize = CHUNK_BYTES * CHUNKS_OF_PACKET;

/// One packet: its place on the straight lines, and where its bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) sequence: i64,
    /// First tick.
    pub(super) start: i64,
    /// The tick behind the last; equal to `start` for comfort noise.
    pub(super) end: i64,
    bytes: u16,
    chunks: [u8; CHUNKS_OF_PACKET],
}

impl Slot {
    /// A packet without its bytes yet.
    pub(super) const fn new(sequence: i64, start: i64, end: i64) -> Self {
        Self { sequence, start, end, bytes: 0, chunks: [0; CHUNKS_OF_PACKET] }
    }

    fn chunks(&self) -> impl Iterator<Item = usize> {
        let used = usize::from(self.bytes).div_ceil(CHUNK_BYTES);
        self.chunks.into_iter().take(used).map(usize::from)
    }
}

/// The chunks and the sorted list.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    chunks: Box<[[u8; CHUNK_BYTES]]>,
    /// Where a packet of several chunks is put together.
    whole: Box<[u8; MAX_PAYLOAD_BYTES]>,
    slots: Box<[Slot; PACKETS]>,
    held: usize,
    /// A set bit is a free chunk.
    free: u64,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self {
            chunks: vec![[0; CHUNK_BYTES]; CHUNKS].into_boxed_slice(),
            whole: Box::new([0; MAX_PAYLOAD_BYTES]),
            slots: Box::new([Slot::new(0, 0, 0); PACKETS]),
            held: 0,
            free: u64::MAX,
        }
    }

    pub(super) const fn clear(&mut self) {
        self.held = 0;
        self.free = u64::MAX;
    }

    /// Begins to bring near the list, the packet to be played next and where the next one to come goes.
    pub(super) fn prefetch(&self) {
        prefetch(self.slots.get(..(self.held + 1).min(PACKETS)).unwrap_or_default());
        // The lowest free ones are taken, so that a steady stream uses no more than these.
        prefetch(self.chunks.get(..STEADY_CHUNKS).unwrap_or_default());
    }

    /// The packet to be played next.
    pub(super) fn first(&self) -> Option<Slot> {
        self.held().first().copied()
    }

    /// The newest packet.
    pub(super) fn last(&self) -> Option<Slot> {
        self.held().last().copied()
    }

    /// Puts a packet in its place. The number of packets that had to go for it is returned; the payload is at most
    /// [`MAX_PAYLOAD_BYTES`], what is longer is cut.
    pub(super) fn insert(&mut self, mut slot: Slot, payload: &[u8]) -> u64 {
        let payload = payload.get(..MAX_PAYLOAD_BYTES).unwrap_or(payload);
        let needed = payload.len().div_ceil(CHUNK_BYTES);
        let mut dropped = 0;
        while self.held == PACKETS || (self.free.count_ones() as usize) < needed {
            self.drop_first();
            dropped += 1;
        }
        slot.bytes = payload.len() as u16;
        for (part, place) in payload.chunks(CHUNK_BYTES).zip(&mut slot.chunks) {
            let index = self.free.trailing_zeros();
            self.free &= !(1 << index);
            *place = index as u8;
            if let Some(chunk) = self.chunks.get_mut(index as usize).and_then(|c| c.get_mut(..part.len())) {
                chunk.copy_from_slice(part);
            }
        }
        let key = (slot.start, slot.sequence);
        let at = self.held().iter().rposition(|held| (held.start, held.sequence) <= key).map_or(0, |before| before + 1);
        self.slots.copy_within(at..self.held, at + 1);
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
        }
        self.held += 1;
        dropped
    }

    /// The bytes of the first packet, which stays.
    pub(super) fn read_first(&mut self) -> &[u8] {
        let Some(first) = self.first() else { return &[] };
        let bytes = usize::from(first.bytes);
        if bytes <= CHUNK_BYTES {
            let chunk = first.chunks().next().and_then(|index| self.chunks.get(index));
            return chunk.and_then(|chunk| chunk.get(..bytes)).unwrap_or_default();
        }
        for (part, index) in self.whole.chunks_mut(CHUNK_BYTES).zip(first.chunks()) {
            if let Some(chunk) = self.chunks.get(index) {
                part.copy_from_slice(chunk);
            }
        }
        self.whole.get(..bytes).unwrap_or_default()
    }

    /// The bytes of the first packet, which goes; they hold until the next call.
    pub(super) fn take_first(&mut self) -> &[u8] {
        let Some(first) = self.first() else { return &[] };
        self.drop_first();
        let bytes = usize::from(first.bytes);
        if bytes <= CHUNK_BYTES {
            let chunk = first.chunks().next().and_then(|index| self.chunks.get(index));
            return chunk.and_then(|chunk| chunk.get(..bytes)).unwrap_or_default();
        }
        for (part, index) in self.whole.chunks_mut(CHUNK_BYTES).zip(first.chunks()) {
            if let Some(chunk) = self.chunks.get(index) {
                part.copy_from_slice(chunk);
            }
        }
        self.whole.get(..bytes).unwrap_or_default()
    }

    /// Gives the first packet's room back.
    pub(super) fn drop_first(&mut self) {
        let Some(first) = self.first() else { return };
        for index in first.chunks() {
            self.free |= 1 << index;
        }
        self.slots.copy_within(1..self.held, 0);
        self.held -= 1;
    }

    fn held(&self) -> &[Slot] {
        self.slots.get(..self.held).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packets_come_out_in_order_and_whole(
            packets in proptest::collection::vec((0_i64..200, proptest::collection::vec(any::<u8>(), 0..1280)), 1..30),
        ) {
            let mut pool = Pool::new();
            let mut expected: Vec<(i64, i64, Vec<u8>)> = Vec::new();
            for (sequence, (start, payload)) in packets.into_iter().enumerate() {
                let sequence = sequence as i64;
                let dropped = pool.insert(Slot::new(sequence, start, start + 160), &payload);
                expected.drain(..dropped as usize);
                expected.push((start, sequence, payload));
                expected.sort();
            }
            for (start, sequence, payload) in expected {
                let first = pool.first().unwrap();
                prop_assert_eq!((first.start, first.sequence), (start, sequence));
                prop_assert_eq!(pool.read_first(), &payload[..]);
                prop_assert_eq!(pool.take_first(), &payload[..]);
            }
            prop_assert!(pool.first().is_none());
            prop_assert_eq!(pool.free, u64::MAX, "every chunk is back");
        }
    }
}
