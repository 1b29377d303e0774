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
    /// By the peer's last report on us.
    pub(super) round_trip_ms: Option<u32>,
    /// Share of our packets that the peer misses, by its last report, in percent.
    pub(super) peer_loss_percent: Option<u8>,
}

impl Control {
    /// A tick passes: is a report due?
    pub(super) fn is_due(&mut self) -> bool {
        self.ticks += 1;
        // The first comes after half the time, so that short calls have one too.
        self.ticks % EVERY_TICKS == EVERY_TICKS / 2
    }

    /// Writes a report into `out`; its length.
    pub(super) fn report(
        now: (Moment, Stamp),
        sent: Sent,
        stats: &mut ReceiveStats,
        bye: bool,
        out: &mut [u8],
    ) -> usize {
        let sender = (sent.packets > 0).then_some(SenderInfo {
            ntp: Ntp::of(now.1),
            rtp_timestamp: sent.timestamp,
            packets: sent.packets as u32,
            octets: sent.bytes as u32,
        });
        let block = stats.block(now.0);
        // The name says nothing of the machine or the caller (RFC 7022).
        let compound = Compound { ssrc: sent.ssrc, sender, block, cname: "voicefleet", goodbye: bye };
        compound.write(out).unwrap_or(0)
    }

    /// The peer's control packets came. What cannot be read is left out; who we are is `ssrc`.
    pub(super) fn arrived(&mut self, now: (Moment, Stamp), ssrc: u32, stats: &mut ReceiveStats, datagram: &[u8]) {
        for part in RtcpParts::new(datagram).map_while(Result::ok) {
            let Rtcp::Report { sender, blocks, .. } = part else { continue };
            if let Some(sender) = sender {
                stats.report_arrived(now.0, sender.ntp);
            }
            for block in blocks.filter(|block| block.ssrc == ssrc) {
                self.round_trip_ms = block.round_trip_ms(Ntp::of(now.1)).or(self.round_trip_ms);
                self.peer_loss_percent = Some((u32::from(block.fraction_lost) * 100 / 256) as u8);
            }
        }
    }
}
