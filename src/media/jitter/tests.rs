//! The buffer on its own: order, loss, pauses, time bases, and no byte or number that hurts it.

use proptest::prelude::*;

use super::*;

/// A stream at 8 kHz whose packets carry their own sequence number.
struct Line {
    buffer: JitterBuffer,
    now: Moment,
    ticks: u32,
}

impl Line {
    fn new(ticks: u32) -> Self {
        Self { buffer: JitterBuffer::new(JitterConfig::new(8_000)), now: Moment::from_millis(1_000), ticks }
    }

    fn push(&mut self, sequence: u16) {
        self.push_at(sequence, u32::from(sequence).wrapping_mul(self.ticks));
    }

    fn push_at(&mut self, sequence: u16, timestamp: u32) {
        let payload = sequence.to_be_bytes().repeat(self.ticks as usize / 2);
        self.buffer.push(self.now, &Arrival { sequence, timestamp, ticks: self.ticks, payload: &payload });
    }

    fn noise_at(&mut self, sequence: u16, timestamp: u32) {
        self.buffer.push(self.now, &Arrival { sequence, timestamp, ticks: 0, payload: &[60] });
    }

    /// One tick of 20 ms: what filled it, in words.
    fn tick(&mut self) -> String {
        self.tick_when(false)
    }

    fn tick_when(&mut self, quiet: bool) -> String {
        let mut told = Vec::new();
        let mut filled = 0;
        while filled < 160 {
            match self.buffer.pop(self.now, filled, quiet) {
                Pop::Packet { payload, skip, joined } => {
                    let join = if joined { "~" } else { "" };
                    told.push(format!("{join}{}", u16::from_be_bytes([payload[0], payload[1]])));
                    filled += payload.len() as u32 - skip;
                }
                Pop::Conceal { ticks, .. } => {
                    told.push(format!("?{ticks}"));
                    filled += ticks;
                }
                Pop::Silence { ticks } => {
                    if ticks > 0 {
                        told.push(format!("_{ticks}"));
                    }
                    filled += ticks;
                }
            }
        }
        self.now = self.now.plus_ms(20);
        told.join(" ")
    }
}

#[test]
fn packets_come_out_in_order_after_the_first_wait() {
    let mut line = Line::new(160);
    let mut told = Vec::new();
    for sequence in [65_533, 65_534, 0, 65_535, 1, 2] {
        // The timestamp of a wrapping sequence number goes on.
        line.push_at(sequence, u32::from(sequence.wrapping_add(10)) * 160);
        told.push(line.tick());
    }
    assert_eq!(told, ["_160", "65533", "65534", "65535", "0", "1"]);
    assert_eq!(line.buffer.counters().reordered, 1);
    assert_eq!(line.buffer.counters().lost, 0);
}

#[test]
fn a_lost_packet_is_concealed_once_and_a_double_is_played_once() {
    let mut line = Line::new(160);
    let mut told = Vec::new();
    for sequence in 0..8 {
        if sequence != 3 {
            line.push(sequence);
        }
        if sequence == 5 {
            line.push(sequence);
        }
        told.push(line.tick());
    }
    assert_eq!(told, ["_160", "0", "1", "2", "?160", "4", "5", "6"]);
    let counters = line.buffer.counters();
    assert_eq!((counters.lost, counters.duplicated, counters.concealed_ms, counters.late), (1, 1, 20, 0));
    line.push(3);
    let counters = line.buffer.counters();
    assert_eq!((counters.lost, counters.late, counters.reordered), (0, 1, 1), "it came after all, too late");
}

#[test]
fn the_packet_behind_a_hole_is_shown_for_forward_correction() {
    let mut line = Line::new(160);
    line.push(0);
    line.tick();
    line.push(2);
    line.tick();
    let Pop::Conceal { ticks: 160, next: Some(next) } = line.buffer.pop(line.now, 0, false) else {
        panic!("expected a hole with a packet behind it")
    };
    assert_eq!(next[..2], [0, 2]);
}
