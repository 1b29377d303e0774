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

#[test]
fn a_pause_of_the_sender_takes_its_time() {
    // Speech, then nothing for 200 ms with no sequence number missing, then speech: discontinuous transmission.
    let mut line = Line::new(160);
    let mut told = Vec::new();
    for n in 0..30_u16 {
        match n {
            0..5 => line.push(n),
            5 => line.noise_at(5, 5 * 160),
            15.. => line.push_at(n - 9, u32::from(n) * 160),
            _ => {}
        }
        told.push(line.tick());
    }
    assert_eq!(told[..6], ["_160", "0", "1", "2", "3", "4"]);
    assert!(told[6..15].iter().all(|tick| tick == "_160"), "{told:?}");
    let resumed = told.iter().position(|tick| tick == "6").unwrap();
    assert!((15..=17).contains(&resumed), "{told:?}");
    assert_eq!(told[resumed..], (6..6 + 30 - resumed).map(|n| n.to_string()).collect::<Vec<_>>());
    let counters = line.buffer.counters();
    assert_eq!((counters.lost, counters.concealed_ms, counters.dropped), (0, 0, 0));
}

#[test]
fn a_digit_between_the_audio_is_silence_and_no_loss() {
    let mut line = Line::new(160);
    let mut told = Vec::new();
    for n in 0..30_u16 {
        if (10..18).contains(&n) {
            line.buffer.note(n)
        } else {
            line.push(n)
        }
        told.push(line.tick());
    }
    assert!(told[1..11].iter().all(|tick| !tick.contains('_')), "{told:?}");
    assert!(told[11..19].iter().all(|tick| tick == "_160"), "{told:?}");
    assert_eq!(told[19], "18");
    assert_eq!((line.buffer.counters().lost, line.buffer.counters().concealed_ms), (0, 0));
}

#[test]
fn packets_of_any_length_fill_the_same_frames() {
    for ms in [10_u32, 20, 30, 40, 60] {
        let ticks = ms * 8;
        let mut line = Line::new(ticks);
        let start = line.now;
        let (mut filled, mut next, mut ahead) = (0_u32, 0_u16, 0_u32);
        for _ in 0..300 {
            while line.now >= start.plus_ms(u64::from(next) * u64::from(ms)) {
                line.push(next);
                next += 1;
            }
            while ahead < 160 {
                match line.buffer.pop(line.now, ahead, false) {
                    Pop::Packet { payload, skip, joined } => {
                        assert!(skip == 0 && !joined);
                        ahead += payload.len() as u32;
                        filled += payload.len() as u32;
                    }
                    Pop::Conceal { ticks, .. } | Pop::Silence { ticks } => ahead += ticks,
                }
            }
            ahead -= 160;
            line.now = line.now.plus_ms(20);
        }
        let counters = line.buffer.counters();
        assert_eq!((counters.lost, counters.late, counters.dropped), (0, 0, 0), "{ms} ms");
        assert!(filled / 8 >= 6_000 - 140, "{ms} ms packets: {} ms of 6,000 were played", filled / 8);
    }
}

#[test]
fn a_new_time_base_needs_two_packets_and_then_plays() {
    let mut line = Line::new(160);
    for n in 0..20 {
        line.push(n);
        line.tick();
    }
    let mut told = Vec::new();
    for n in 0..10_u16 {
        // Another sequence and another timestamp from the same source: a switch between machines of the carrier.
        line.push_at(40_000 + n, 0x9000_0000 + u32::from(n) * 160);
        told.push(line.tick());
    }
    assert!(told.iter().any(|tick| tick == "40002") && told.last().unwrap() == "40008", "{told:?}");
    let counters = line.buffer.counters();
    assert_eq!((counters.restarted, counters.dropped), (1, 1));
}

#[test]
fn a_burst_after_a_stall_is_no_lasting_delay() {
    let mut line = Line::new(160);
    for n in 0..50 {
        line.push(n);
        line.tick();
    }
    // One second without a packet, then all of it at once, then as before.
    for _ in 0..50 {
        line.tick();
    }
    for n in 50..100 {
        line.push(n);
    }
    let mut told = String::new();
    for n in 100..150 {
        line.push(n);
        told = line.tick();
    }
    assert_eq!(told.trim_start_matches('~'), "148", "the same distance as before the stall");
}

#[test]
fn what_is_too_long_is_dropped_and_counted() {
    let mut buffer = JitterBuffer::new(JitterConfig::new(48_000));
    let long = Arrival { sequence: 1, timestamp: 0, ticks: 960, payload: &[0; MAX_PAYLOAD_BYTES + 1] };
    buffer.push(Moment::ZERO, &long);
    assert_eq!((buffer.counters().received, buffer.counters().dropped, buffer.depth_ms()), (1, 1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_packets_at_any_time_give_frames(
        steps in proptest::collection::vec(
            (any::<u16>(), any::<u32>(), 0_u32..6_000, 0_usize..1_400, 0_u64..200, any::<bool>(), 0_u8..8), 1..250),
        clock in prop_oneof![Just(8_000_u32), Just(48_000), any::<u32>()],
        near: bool,
    ) {
        let config = JitterConfig { start_ms: steps[0].2, min_ms: steps[0].2 / 7, max_ms: steps[0].2 / 3, ..JitterConfig::new(clock) };
        let mut buffer = JitterBuffer::new(config);
        let mut now = Moment::from_millis(steps[0].4);
        let bytes = [0; 1_400];
        for (n, (sequence, timestamp, ticks, length, wait, quiet, what)) in steps.into_iter().enumerate() {
            let (sequence, timestamp) = if near {
                ((n as u16).wrapping_add(sequence % 9), n as u32 * 160 + timestamp % 2_000)
            } else {
                (sequence, timestamp)
            };
            match what {
                0 => buffer.note(sequence),
                1 => buffer.restart(),
                _ => buffer.push(now, &Arrival { sequence, timestamp, ticks, payload: &bytes[..length] }),
            }
            now = now.plus_ms(wait);
            let frame = buffer.frame_ticks();
            let mut filled = 0;
            // However hostile the packets, a frame is full after each of them was looked at once.
            for _ in 0..120 {
                if filled >= frame {
                    break;
                }
                let played = match buffer.pop(now, filled, quiet) {
                    Pop::Packet { skip, .. } => 960_u32.saturating_sub(skip).min(frame),
                    Pop::Conceal { ticks, .. } | Pop::Silence { ticks } => {
                        prop_assert!(ticks <= frame - filled);
                        ticks
                    }
                };
                filled += played;
            }
            prop_assert!(filled >= frame.min(1), "no frame in 120 pops");
            prop_assert!(buffer.target_ms() >= 20);
            let _ = (buffer.depth_ms(), buffer.counters());
        }
    }
}
