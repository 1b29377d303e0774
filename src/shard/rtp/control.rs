//! RTCP of one leg (RFC 3550 6): a report every five seconds, what the peer reports, the round trip. Never touches a socket.

use crate::units::{Moment, Stamp};
use crate::wire::rtp::{Compound, Ntp, ReceiveStats, Rtcp, RtcpParts, SenderInfo};

/// Between two reports, in ticks: 5 s (RFC 3550 6.2 for two members).
const EVERY_TICKS: u32 = 250;
/// Room for a compound packet of ours.
pub(super) const REPORT_BYTES: usize = 128;

/// What was sent so far, for a sender report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) ssrc: u32,
    pub(super) timestamp: u32,
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// The control side of one leg.
#[derive(Clone, Debug, Default)]
pub(super) struct Control {
    ticks: u32,
    /// A moment and the wall time it was. All that reports say of time is counted from there by the monotonic clock: a wall clock
    /// that is set in mid-call must not become a round trip.
    clock: Option<(Moment, Stamp)>,
    /// By the peer's last report on us.
    pub(super) round_trip_ms: Option<u32>,
    /// Share of our packets that the peer misses, by its last report, in percent.
    pub(super) peer_loss_percent: Option<u8>,
}

impl Control {
    /// What time it is; heard once.
    pub(super) fn set_clock(&mut self, now: Moment, stamp: impl FnOnce() -> Stamp) {
        self.clock.get_or_insert_with(|| (now, stamp()));
    }

    fn ntp(&self, at: Moment) -> Ntp {
        let (begun, stamp) = self.clock.unwrap_or((Moment::ZERO, Stamp::from_unix_ms(0)));
        // What the kernel took off the wire before the first tick is from before it.
        let since = at.as_millis() as i64 - begun.as_millis() as i64;
        Ntp::of(stamp.plus_ms(since))
    }

    /// A tick passes: is a report due?
    pub(super) fn is_due(&mut self) -> bool {
        self.ticks += 1;
        // The first comes after half the time, so that short calls have one too.
        self.ticks % EVERY_TICKS == EVERY_TICKS / 2
    }

    /// Writes a report into `out`; its length.
    pub(super) fn report(&self, now: Moment, sent: Sent, stats: &mut ReceiveStats, bye: bool, out: &mut [u8]) -> usize {
        let sender = (sent.packets > 0).then_some(SenderInfo {
            ntp: self.ntp(now),
            rtp_timestamp: sent.timestamp,
            packets: sent.packets as u32,
            octets: sent.bytes as u32,
        });
        let block = stats.block(now);
        // The name says nothing of the machine or the caller (RFC 7022).
        let compound = Compound { ssrc: sent.ssrc, sender, block, cname: "voicefleet", goodbye: bye };
        compound.write(out).unwrap_or(0)
    }

    /// The peer's control packets came off the wire at `at`. What cannot be read is left out; who we are is `ssrc`.
    pub(super) fn arrived(&mut self, at: Moment, ssrc: u32, stats: &mut ReceiveStats, datagram: &[u8]) {
        for part in RtcpParts::new(datagram).map_while(Result::ok) {
            let Rtcp::Report { sender, blocks, .. } = part else { continue };
            if let Some(sender) = sender {
                stats.report_arrived(at, sender.ntp);
            }
            for block in blocks.filter(|block| block.ssrc == ssrc) {
                self.round_trip_ms = block.round_trip_ms(self.ntp(at)).or(self.round_trip_ms);
                self.peer_loss_percent = Some((u32::from(block.fraction_lost) * 100 / 256) as u8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtp::ReportBlock;

    #[test]
    fn a_report_that_is_read_late_has_its_round_trip_by_when_it_came() {
        let at = |ms: u64| Moment::from_millis(70_000 + ms);
        let mut control = Control::default();
        control.set_clock(at(0), || Stamp::from_unix_ms(1_700_000_000_123));
        // The wall clock was set since; nobody asks it again.
        control.set_clock(at(20), || Stamp::from_unix_ms(1_500_000_000_000));
        let mut stats = ReceiveStats::new(8_000);
        let mut out = [0; REPORT_BYTES];
        let sent = Sent { ssrc: 7, timestamp: 0, packets: 9, bytes: 1_440 };
        let length = control.report(at(2_500), sent, &mut stats, false, &mut out);
        let Some(Ok(Rtcp::Report { sender: Some(sender), .. })) = RtcpParts::new(&out[..length]).next() else {
            panic!("a sender report")
        };
        // The peer kept it for 100 ms and its answer was under way for 80 ms in all.
        let block = ReportBlock { ssrc: 7, last_report: sender.ntp.middle(), delay: 65_536 / 10, ..Default::default() };
        let theirs = Compound { ssrc: 1, sender: None, block: Some(block), cname: "p", goodbye: false };
        let length = theirs.write(&mut out).unwrap();
        control.arrived(at(2_500 + 180), 7, &mut stats, &out[..length]);
        assert!(control.round_trip_ms.is_some_and(|ms| ms.abs_diff(80) <= 1), "{:?}", control.round_trip_ms);
    }
}
