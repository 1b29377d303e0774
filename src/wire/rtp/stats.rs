//! What a receiver knows of a stream: extended sequence numbers with probation (RFC 3550 A.1), losses (A.3), interarrival jitter
//! (A.8), runs of loss, and the report block made of them. Counts over a change of source; reads no clock.

use crate::units::Moment;

use super::packet::RtpHeader;
use super::rtcp::{Ntp, ReportBlock, middle_units};

/// A step forward of less than this is a loss; more is another sequence (A.1).
const MAX_DROPOUT: u16 = 3_000;
/// A step back of at most this is a late packet.
const MAX_MISORDER: u16 = 100;
/// Packets in a row that make a source valid.
const MIN_SEQUENTIAL: u8 = 2;

/// What a packet was to the statistics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// The next, or one after a loss.
    Forward,
    /// Late, or doubled: the two cannot be told apart here.
    Behind,
    /// The first of a new source, or of a new sequence of the same one.
    Began,
    /// A sequence number out of every order; counts once the next confirms it.
    Stray,
}

/// Sums of a stream, over all its sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamSums {
    /// Packets that came, late ones and doubles included.
    pub received: u64,
    /// Payload bytes that came.
    pub bytes: u64,
    /// Packets that the sequence numbers say were sent.
    pub expected: u64,
    /// Runs of missing packets, as they were first seen.
    pub gaps: u64,
    /// Packets missing in those runs, some of which came later.
    pub missing: u64,
    /// Times the source or its sequence changed.
    pub changes: u64,
    /// The largest interarrival jitter.
    pub max_jitter_us: u32,
}

impl StreamSums {
    /// Packets lost: negative counts of A.3 (more doubles than losses) are none.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }

    /// Share of the packets that were lost, 0 to 1.
    #[must_use]
    pub fn loss(&self) -> f32 {
        if self.expected == 0 { 0.0 } else { self.lost() as f32 / self.expected as f32 }
    }

    /// How much longer the runs of loss are than chance would make them; 1 for random loss (G.107 BurstR).
    #[must_use]
    pub fn burst_ratio(&self) -> f32 {
        if self.gaps == 0 {
            return 1.0;
        }
        let mean = self.missing as f32 / self.gaps as f32;
        (mean * (1.0 - self.loss())).max(1.0)
    }
}

/// The statistics of one received stream.
#[derive(Clone, Debug)]
pub struct ReceiveStats {
    clock_hz: u32,
    ssrc: Option<u32>,
    base: u32,
    highest: u16,
    cycles: u32,
    received: u32,
    /// Packets still wanted before the source is valid; only counted, never in the way of the audio.
    probation: u8,
    /// The sequence number that would confirm a stray.
    confirms: Option<u16>,
    expected_before: u32,
    received_before: u32,
    transit: Option<i64>,
    /// Jitter in 1/16 tick, as A.8 keeps it.
    jitter: i64,
    report: Option<(u32, Moment)>,
    past: StreamSums,
    running: StreamSums,
}

impl ReceiveStats {
    /// Statistics of a stream whose RTP clock has so many ticks per second; nothing came yet.
    #[must_use]
    pub fn new(clock_hz: u32) -> Self {
        Self {
            clock_hz: clock_hz.max(1),
            ssrc: None,
            base: 0,
            highest: 0,
            cycles: 0,
            received: 0,
            probation: 0,
            confirms: None,
            expected_before: 0,
            received_before: 0,
            transit: None,
            jitter: 0,
            report: None,
            past: StreamSums::default(),
            running: StreamSums::default(),
        }
    }

    /// A packet came. `timed` is false for telephone-event, whose timestamps stand still and say nothing about jitter.
    pub fn arrived(&mut self, now: Moment, header: &RtpHeader, payload_bytes: usize, timed: bool) -> Counted {
        let counted = if self.ssrc == Some(header.ssrc) {
            self.place(header.sequence)
        } else {
            self.begin(header.ssrc, header.sequence);
            Counted::Began
        };
        if counted == Counted::Stray {
            return counted;
        }
        self.received = self.received.wrapping_add(1);
        self.running.received += 1;
        self.running.bytes += payload_bytes as u64;
        self.probation = self.probation.saturating_sub(u8::from(counted == Counted::Forward));
        if timed {
            self.measure(now, header.timestamp);
        }
        counted
    }

    /// The peer's sender report came: our next block will say so.
    pub fn report_arrived(&mut self, now: Moment, ntp: Ntp) {
        self.report = Some((ntp.middle(), now));
    }

    /// The block for our next report, with the loss since the last one; `None` while no source is valid.
    pub fn block(&mut self, now: Moment) -> Option<ReportBlock> {
        let ssrc = self.ssrc.filter(|_| self.probation == 0)?;
        let highest = self.cycles.wrapping_add(u32::from(self.highest));
        let expected = highest.wrapping_sub(self.base).wrapping_add(1);
        let interval = expected.wrapping_sub(self.expected_before);
        let came = self.received.wrapping_sub(self.received_before);
        (self.expected_before, self.received_before) = (expected, self.received);
        let missing = i64::from(interval) - i64::from(came);
        let fraction = if interval == 0 || missing <= 0 { 0 } else { (missing << 8) / i64::from(interval) };
        let lost = i64::from(expected) - i64::from(self.received);
        let (last_report, delay) = self.report.map_or((0, 0), |(middle, at)| (middle, middle_units(at, now)));
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction.min(255) as u8,
            lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest,
            jitter: u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX),
            last_report,
            delay,
        })
    }

    /// Everything counted so far.
    #[must_use]
    pub fn sums(&self) -> StreamSums {
        let (past, running) = (self.past, self.running);
        let highest = self.cycles.wrapping_add(u32::from(self.highest));
        let expected = self.ssrc.map_or(0, |_| u64::from(highest.wrapping_sub(self.base)) + 1);
        StreamSums {
            received: past.received + running.received,
            bytes: past.bytes + running.bytes,
            // A source's doubles do not make up for another's losses.
            expected: past.expected + expected.max(running.received),
            gaps: past.gaps + running.gaps,
            missing: past.missing + running.missing,
            changes: past.changes,
            max_jitter_us: past.max_jitter_us.max(running.max_jitter_us),
        }
    }

    /// Interarrival jitter in microseconds.
    #[must_use]
    pub fn jitter_us(&self) -> u32 {
        u32::try_from((self.jitter >> 4).saturating_mul(1_000_000) / i64::from(self.clock_hz)).unwrap_or(u32::MAX)
    }

    /// The source that is counted.
    #[must_use]
    pub const fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    fn begin(&mut self, ssrc: u32, sequence: u16) {
        let changes = u64::from(self.ssrc.is_some());
        self.past = self.sums();
        self.past.changes += changes;
        self.running = StreamSums::default();
        self.ssrc = Some(ssrc);
        self.base = u32::from(sequence);
        self.highest = sequence;
        self.cycles = 0;
        self.received = 0;
        self.probation = MIN_SEQUENTIAL - 1;
        self.confirms = None;
        self.expected_before = 0;
        self.received_before = 0;
        self.transit = None;
        self.jitter = 0;
        self.report = None;
    }

    /// A.1: where the sequence number stands to the highest.
    fn place(&mut self, sequence: u16) -> Counted {
        let step = sequence.wrapping_sub(self.highest);
        let back = self.highest.wrapping_sub(sequence);
        if step == 0 || back <= MAX_MISORDER {
            return Counted::Behind;
        }
        if step < MAX_DROPOUT {
            if sequence < self.highest {
                self.cycles = self.cycles.wrapping_add(1 << 16);
            }
            if step > 1 {
                self.running.gaps += 1;
                self.running.missing += u64::from(step - 1);
            }
            self.highest = sequence;
            self.confirms = None;
            return Counted::Forward;
        }
        if self.confirms == Some(sequence) {
            let (ssrc, report) = (self.ssrc.unwrap_or(0), self.report);
            self.begin(ssrc, sequence);
            self.report = report;
            return Counted::Began;
        }
        self.confirms = Some(sequence.wrapping_add(1));
        Counted::Stray
    }

    /// A.8, with the transit on a line of 64 bits so that a wrapping timestamp is no spike.
    fn measure(&mut self, now: Moment, timestamp: u32) {
        let arrival = i128::from(now.as_micros()) * i128::from(self.clock_hz) / 1_000_000;
        let transit = i64::from((arrival as u32).wrapping_sub(timestamp).cast_signed());
        if let Some(before) = self.transit.replace(transit) {
            let moved = i64::from(((transit - before) as i32).unsigned_abs());
            // A new time base within a source is no jitter: one step of more than two seconds is left out.
            if moved < i64::from(self.clock_hz) * 2 {
                self.jitter += moved - ((self.jitter + 8) >> 4);
                self.running.max_jitter_us = self.running.max_jitter_us.max(self.jitter_us());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(sequence: u16, timestamp: u32, ssrc: u32) -> RtpHeader {
        RtpHeader { sequence, timestamp, ssrc, ..Default::default() }
    }

    /// Plays 20 ms packets by their place in the stream, from a sequence number and a timestamp about to wrap.
    fn play(stats: &mut ReceiveStats, places: impl IntoIterator<Item = u32>, late_us: impl Fn(u32) -> u64) {
        for n in places {
            let now = Moment::from_micros(1_000_000 + u64::from(n) * 20_000 + late_us(n));
            let (sequence, timestamp) = ((65_500 + n) as u16, (u32::MAX - 1_000).wrapping_add(n * 160));
            stats.arrived(now, &header(sequence, timestamp, 9), 160, true);
        }
    }

    #[test]
    fn losses_are_counted_over_the_wrap_and_by_interval() {
        let mut stats = ReceiveStats::new(8_000);
        play(&mut stats, (0..100).filter(|n| n % 10 != 5), |_| 0);
        let block = stats.block(Moment::ZERO).unwrap();
        assert_eq!((block.lost, block.fraction_lost, block.jitter), (10, 25, 0));
        assert_eq!(block.highest, 65_500 + 99);
        play(&mut stats, 100..200, |_| 0);
        let block = stats.block(Moment::ZERO).unwrap();
        assert_eq!((block.lost, block.fraction_lost), (10, 0));
        let sums = stats.sums();
        assert_eq!((sums.expected, sums.received, sums.lost(), sums.gaps), (200, 190, 10, 10));
        assert!((sums.loss() - 0.05).abs() < 1e-6 && (sums.burst_ratio() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn loss_in_runs_has_a_burst_ratio() {
        let mut stats = ReceiveStats::new(8_000);
        play(&mut stats, (0..400).filter(|n| n % 100 < 96), |_| 0);
        play(&mut stats, [400], |_| 0);
        let sums = stats.sums();
        assert_eq!((sums.gaps, sums.missing), (4, 16));
        assert!((sums.burst_ratio() - 3.84).abs() < 0.02, "{}", sums.burst_ratio());
    }

    #[test]
    fn late_and_doubled_packets_are_no_loss() {
        let mut stats = ReceiveStats::new(8_000);
        play(&mut stats, [0, 1, 3, 2, 3, 4], |_| 0);
        let block = stats.block(Moment::ZERO).unwrap();
        assert_eq!((block.lost, block.fraction_lost), (-1, 0));
        assert_eq!(stats.sums().lost(), 0);
    }

    #[test]
    fn jitter_is_that_of_the_rfc() {
        // Every second packet 5 ms late: D is 40 ticks each time, and J tends to it.
        let mut stats = ReceiveStats::new(8_000);
        play(&mut stats, 0..400, |n| u64::from(n % 2) * 5_000);
        assert!((4_700..=5_000).contains(&stats.jitter_us()), "{}", stats.jitter_us());
        assert_eq!(stats.block(Moment::ZERO).unwrap().jitter, 8 * stats.jitter_us() / 1000);
        // A digit's packets keep one timestamp for half a second.
        let before = stats.jitter_us();
        for n in 400..425_u32 {
            let now = Moment::from_micros(1_000_000 + u64::from(n) * 20_000);
            stats.arrived(now, &header((65_500 + n) as u16, 7, 9), 4, false);
        }
        assert_eq!(stats.jitter_us(), before);
    }

    #[test]
    fn a_source_is_on_probation_and_a_new_one_starts_afresh() {
        let mut stats = ReceiveStats::new(8_000);
        assert_eq!(stats.block(Moment::ZERO), None);
        play(&mut stats, [0], |_| 0);
        assert_eq!(stats.block(Moment::ZERO), None, "one packet makes no source");
        play(&mut stats, [1, 3], |_| 0);
        assert!(stats.block(Moment::ZERO).is_some());
        assert_eq!(stats.arrived(Moment::ZERO, &header(5, 5, 77), 160, true), Counted::Began);
        stats.arrived(Moment::ZERO, &header(6, 165, 77), 160, true);
        let (block, sums) = (stats.block(Moment::ZERO).unwrap(), stats.sums());
        assert_eq!((block.ssrc, block.lost, block.highest), (77, 0, 6));
        assert_eq!((sums.expected, sums.received, sums.changes), (6, 5, 1));
    }

    #[test]
    fn a_jump_counts_once_the_next_packet_confirms_it() {
        let mut stats = ReceiveStats::new(8_000);
        play(&mut stats, 0..10, |_| 0);
        assert_eq!(stats.arrived(Moment::ZERO, &header(30_000, 0, 9), 160, true), Counted::Stray);
        play(&mut stats, 10..12, |_| 0);
        assert_eq!(stats.sums().lost(), 0, "a stray alone changes nothing");
        assert_eq!(stats.arrived(Moment::ZERO, &header(30_001, 0, 9), 160, true), Counted::Stray);
        assert_eq!(stats.arrived(Moment::ZERO, &header(30_002, 0, 9), 160, true), Counted::Began);
        assert_eq!((stats.sums().changes, stats.sums().lost()), (1, 0));
    }

    #[test]
    fn a_sender_report_is_answered_with_its_time_and_our_delay() {
        let mut stats = ReceiveStats::new(8_000);
        play(&mut stats, 0..3, |_| 0);
        stats.report_arrived(Moment::from_millis(1_000), Ntp(0x1234_5678_9abc_def0));
        let block = stats.block(Moment::from_millis(1_250)).unwrap();
        assert_eq!((block.last_report, block.delay), (0x5678_9abc, 1 << 14));
    }

    proptest! {
        #[test]
        fn any_packets_at_any_time_keep_the_sums_sane(
            packets in proptest::collection::vec((any::<u64>(), any::<u16>(), any::<u32>(), 0_u32..3, any::<bool>()), 0..300),
        ) {
            let mut stats = ReceiveStats::new(48_000);
            for (micros, sequence, timestamp, ssrc, timed) in packets {
                stats.arrived(Moment::from_micros(micros), &header(sequence, timestamp, ssrc), 1, timed);
                stats.block(Moment::from_micros(micros));
                let sums = stats.sums();
                prop_assert!(sums.expected >= sums.received && (0.0..=1.0).contains(&sums.loss()));
                prop_assert!(sums.burst_ratio() >= 1.0);
            }
        }
    }
}
