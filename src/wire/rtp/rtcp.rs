//! RTCP (RFC 3550 6): compound packets read one part at a time, and our own reports written. Reads defensively: a part that
//! is cut ends the reading, what is unknown is stepped over. Keeps no state; the statistics are in `stats`.

use thiserror::Error;

use crate::units::{Moment, Stamp};

const VERSION: u8 = 2;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
/// The SDES item that names a source for good.
const CNAME: u8 = 1;
/// Bytes of one report block.
const BLOCK_BYTES: usize = 24;
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_TO_UNIX_S: i64 = 2_208_988_800;

/// Why a part of a compound packet could not be read; what came before it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RtcpError {
    /// Shorter than its length field or its type demands.
    #[error("expected {expected} bytes of RTCP, got {actual}: the packet was cut or its length is wrong")]
    Short {
        /// Bytes that are demanded.
        expected: usize,
        /// Bytes that are there.
        actual: usize,
    },
    /// The version field is not 2.
    #[error("expected RTCP version 2, got {0}: something else is sent to this port")]
    Version(u8),
}

/// A moment of wall time as NTP writes it: seconds since 1900 in the upper half, their fraction in the lower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ntp(pub u64);

impl Ntp {
    /// Wall time as NTP.
    #[must_use]
    pub const fn of(stamp: Stamp) -> Self {
        let ms = stamp.unix_ms();
        let seconds = (ms.div_euclid(1000) + NTP_TO_UNIX_S) as u64;
        let fraction = ((ms.rem_euclid(1000) as u64) << 32) / 1000;
        Self(seconds << 32 | fraction)
    }

    /// The middle 32 bits, which reports carry: a count of 1/65,536 s, modulo 18 hours.
    #[must_use]
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A stretch of monotonic time in the unit of the middle 32 bits.
#[must_use]
pub fn middle_units(from: Moment, to: Moment) -> u32 {
    let micros = u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX >> 16);
    u32::try_from((micros << 16) / 1_000_000).unwrap_or(u32::MAX)
}

/// What one receiver says about one sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReportBlock {
    /// Whose packets are reported on.
    pub ssrc: u32,
    /// Share of them lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning; negative where doubles outnumber the losses. 24 bits on the wire.
    pub lost: i32,
    /// Highest sequence number, with the count of its wraps above it.
    pub highest: u32,
    /// Interarrival jitter in ticks of the RTP clock.
    pub jitter: u32,
    /// The middle of the last sender report's NTP time; 0 where none came.
    pub last_report: u32,
    /// Time since then in 1/65,536 s.
    pub delay: u32,
}

impl ReportBlock {
    /// The way there and back: our report went out, came to the peer, waited there for `delay`, and this block came back at
    /// `now`. `None` where the peer has had no report of ours, or claims to have waited longer than all of it took.
    #[must_use]
    pub const fn round_trip_ms(&self, now: Ntp) -> Option<u32> {
        if self.last_report == 0 {
            return None;
        }
        let spent = now.middle().wrapping_sub(self.last_report).wrapping_sub(self.delay);
        // Half the circle is nine hours: anything beyond is a negative time.
        if spent > u32::MAX / 2 { None } else { Some(((spent as u64 * 1000) >> 16) as u32) }
    }

    fn read(bytes: &[u8; BLOCK_BYTES]) -> Self {
        let word = |at: usize| u32_at(bytes, at);
        Self {
            ssrc: word(0),
            fraction_lost: bytes[4],
            lost: (word(4) << 8).cast_signed() >> 8,
            highest: word(8),
            jitter: word(12),
            last_report: word(16),
            delay: word(20),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        let lost = self.lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
        out.word(self.ssrc);
        out.word(u32::from(self.fraction_lost) << 24 | lost);
        out.word(self.highest);
        out.word(self.jitter);
        out.word(self.last_report);
        out.word(self.delay);
    }
}

/// The sender's half of a sender report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SenderInfo {
    /// Wall time of the report.
    pub ntp: Ntp,
    /// The same instant on the stream's RTP clock.
    pub rtp_timestamp: u32,
    /// Packets sent, modulo 2^32.
    pub packets: u32,
    /// Payload bytes sent, modulo 2^32.
    pub octets: u32,
}

/// One part of a compound packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rtcp<'a> {
    /// SR or RR.
    Report {
        /// Who reports.
        ssrc: u32,
        /// What it sent; `None` in a receiver report.
        sender: Option<SenderInfo>,
        /// What it received.
        blocks: Blocks<'a>,
    },
    /// SDES: the first source described, and its CNAME.
    Description {
        /// Who is described.
        ssrc: u32,
        /// Its lasting name, as sent: any bytes.
        cname: &'a [u8],
    },
    /// BYE: this source stops.
    Goodbye {
        /// Who leaves.
        ssrc: u32,
    },
    /// Anything else: APP, feedback, an empty description.
    Other {
        /// The packet type.
        packet_type: u8,
    },
}

/// The report blocks of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Blocks<'a>(&'a [u8]);

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_first_chunk::<BLOCK_BYTES>()?;
        self.0 = rest;
        Some(ReportBlock::read(block))
    }
}

/// The parts of a compound packet, in order; ends with the first that cannot be read.
#[derive(Clone, Debug)]
pub struct RtcpParts<'a> {
    rest: &'a [u8],
}

impl<'a> RtcpParts<'a> {
    /// Reads a datagram.
    #[must_use]
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }

    fn part(&mut self) -> Result<Rtcp<'a>, RtcpError> {
        let short = |expected| RtcpError::Short { expected, actual: self.rest.len() };
        let (head, _) = self.rest.split_first_chunk::<4>().ok_or(short(4))?;
        let version = head[0] >> 6;
        if version != VERSION {
            return Err(RtcpError::Version(version));
        }
        let bytes = 4 + usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
        let body = self.rest.get(4..bytes).ok_or(short(bytes))?;
        let part = read_part(head[1], head[0] & 0x1f, unpadded(body, head[0]))?;
        self.rest = self.rest.get(bytes..).unwrap_or_default();
        Ok(part)
    }
}

impl<'a> Iterator for RtcpParts<'a> {
    type Item = Result<Rtcp<'a>, RtcpError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let part = self.part();
        if part.is_err() {
            self.rest = &[];
        }
        Some(part)
    }
}

/// The body without its padding; a padding count that cannot be is ignored.
fn unpadded(body: &[u8], first: u8) -> &[u8] {
    let count = body.last().filter(|_| first & 0x20 != 0).map_or(0, |&count| usize::from(count));
    body.len().checked_sub(count).and_then(|kept| body.get(..kept)).unwrap_or(body)
}

fn read_part(packet_type: u8, count: u8, body: &[u8]) -> Result<Rtcp<'_>, RtcpError> {
    let at_least = |bytes: usize| body.get(..bytes).ok_or(RtcpError::Short { expected: bytes, actual: body.len() });
    let blocks_at = |from: usize| {
        let end = from + usize::from(count) * BLOCK_BYTES;
        at_least(end).map(|body| Blocks(body.get(from..).unwrap_or_default()))
    };
    match packet_type {
        SENDER_REPORT => {
            let blocks = blocks_at(24)?;
            let word = |at| u32_at(body, at);
            let ntp = Ntp(u64::from(word(4)) << 32 | u64::from(word(8)));
            let sender = SenderInfo { ntp, rtp_timestamp: word(12), packets: word(16), octets: word(20) };
            Ok(Rtcp::Report { ssrc: word(0), sender: Some(sender), blocks })
        }
        RECEIVER_REPORT => Ok(Rtcp::Report { ssrc: u32_at(at_least(4)?, 0), sender: None, blocks: blocks_at(4)? }),
        DESCRIPTION if count > 0 => {
            let ssrc = u32_at(at_least(4)?, 0);
            Ok(Rtcp::Description { ssrc, cname: cname(body.get(4..).unwrap_or_default()) })
        }
        GOODBYE if count > 0 => Ok(Rtcp::Goodbye { ssrc: u32_at(at_least(4)?, 0) }),
        other => Ok(Rtcp::Other { packet_type: other }),
    }
}

/// The CNAME among the items of a source; empty where there is none.
fn cname(mut items: &[u8]) -> &[u8] {
    while let [kind, length, rest @ ..] = items
        && *kind != 0
    {
        let Some((value, behind)) = rest.split_at_checked(usize::from(*length)) else { break };
        if *kind == CNAME {
            return value;
        }
        items = behind;
    }
    &[]
}

/// One compound packet of ours: a report (sender's where `sender` is there), our name, and BYE at the end of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compound<'a> {
    /// Our source.
    pub ssrc: u32,
    /// What we sent; `None` while we send nothing.
    pub sender: Option<SenderInfo>,
    /// What we received; at most one peer.
    pub block: Option<ReportBlock>,
    /// Our lasting name, at most 255 bytes.
    pub cname: &'a str,
    /// The source stops with this packet.
    pub goodbye: bool,
}

impl Compound<'_> {
    /// Writes it to the start of `out` and returns its length; `None` where it does not fit.
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let mut out = Writer { out, at: 0, fits: true };
        let blocks = u8::from(self.block.is_some());
        let report = out.open(blocks, if self.sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT });
        out.word(self.ssrc);
        if let Some(sender) = self.sender {
            out.word((sender.ntp.0 >> 32) as u32);
            out.word(sender.ntp.0 as u32);
            out.word(sender.rtp_timestamp);
            out.word(sender.packets);
            out.word(sender.octets);
        }
        if let Some(block) = self.block {
            block.write(&mut out);
        }
        out.close(report);

        let description = out.open(1, DESCRIPTION);
        let name = self.cname.as_bytes();
        let name = name.get(..255).unwrap_or(name);
        out.word(self.ssrc);
        out.bytes(&[CNAME, name.len() as u8]);
        out.bytes(name);
        // One to four zeros end the list on a word's bound.
        let end = 4 - (2 + name.len()) % 4;
        out.bytes([0; 4].get(..end).unwrap_or_default());
        out.close(description);

        if self.goodbye {
            let goodbye = out.open(1, GOODBYE);
            out.word(self.ssrc);
            out.close(goodbye);
        }
        out.fits.then_some(out.at)
    }
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    fits: bool,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        match self.out.get_mut(self.at..self.at + bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => self.fits = false,
        }
        self.at += bytes.len();
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    /// Begins a part; its length is filled in by [`Self::close`].
    fn open(&mut self, count: u8, packet_type: u8) -> usize {
        let at = self.at;
        self.bytes(&[VERSION << 6 | count, packet_type, 0, 0]);
        at
    }

    fn close(&mut self, opened: usize) {
        let words = ((self.at - opened) / 4 - 1) as u16;
        if let Some(place) = self.out.get_mut(opened + 2..opened + 4) {
            place.copy_from_slice(&words.to_be_bytes());
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|word| word.first_chunk()).map_or(0, |word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_block()(
            ssrc: u32, fraction_lost: u8, lost in -0x80_0000..0x80_0000, highest: u32, jitter: u32, last_report: u32,
            delay: u32,
        ) -> ReportBlock {
            ReportBlock { ssrc, fraction_lost, lost, highest, jitter, last_report, delay }
        }
    }

    prop_compose! {
        fn any_sender()(ntp: u64, rtp_timestamp: u32, packets: u32, octets: u32) -> SenderInfo {
            SenderInfo { ntp: Ntp(ntp), rtp_timestamp, packets, octets }
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            ssrc: u32,
            sender in proptest::option::of(any_sender()),
            block in proptest::option::of(any_block()),
            cname in "[a-z0-9@.-]{0,40}",
            goodbye: bool,
        ) {
            let mut out = [0; 200];
            let length = Compound { ssrc, sender, block, cname: &cname, goodbye }.write(&mut out).unwrap();
            prop_assert_eq!(length % 4, 0);
            let parts: Vec<_> = RtcpParts::new(&out[..length]).collect::<Result<_, _>>().unwrap();
            let Rtcp::Report { ssrc: by, sender: sent, blocks } = parts[0] else { panic!("{parts:?}") };
            prop_assert_eq!((by, sent, blocks.collect::<Vec<_>>()), (ssrc, sender, Vec::from_iter(block)));
            prop_assert_eq!(parts[1], Rtcp::Description { ssrc, cname: cname.as_bytes() });
            prop_assert_eq!(parts.get(2).copied(), goodbye.then_some(Rtcp::Goodbye { ssrc }));
            // Every shorter buffer is refused, not overrun.
            for room in 0..length {
                prop_assert_eq!(Compound { ssrc, sender, block, cname: &cname, goodbye }.write(&mut out[..room]), None);
            }
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), first in 0x80_u8..0xc0, kind in 199_u8..206) {
            for part in RtcpParts::new(&bytes) {
                if let Ok(Rtcp::Report { blocks, .. }) = part {
                    prop_assert!(blocks.count() <= 31);
                }
            }
            let mut bytes = bytes;
            if bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&[first, kind, 0, 6]);
                prop_assert!(RtcpParts::new(&bytes).count() <= bytes.len() / 4 + 1);
            }
        }
    }

    #[test]
    fn faults_end_the_reading_and_keep_what_came_before() {
        let mut out = [0; 200];
        let compound = Compound { ssrc: 7, sender: None, block: None, cname: "a@b", goodbye: true };
        let length = compound.write(&mut out).unwrap();
        let cut: Vec<_> = RtcpParts::new(&out[..length - 4]).collect();
        assert_eq!(cut.len(), 3);
        assert_eq!(cut[2], Err(RtcpError::Short { expected: 8, actual: 4 }));
        // More blocks announced than there are.
        assert_eq!(
            RtcpParts::new(&[0x82, 201, 0, 1, 0, 0, 0, 7]).next(),
            Some(Err(RtcpError::Short { expected: 52, actual: 4 }))
        );
        assert_eq!(RtcpParts::new(&[0; 8]).collect::<Vec<_>>(), [Err(RtcpError::Version(0))]);
    }

    #[test]
    fn the_round_trip_of_the_rfc_is_found() {
        // RFC 3550, figure 2: A = 0xb710:8000, DLSR = 5.250 s, LSR = 0xb705:2000, 6.125 s in all.
        let block = ReportBlock { last_report: 0xb705_2000, delay: 0x0005_4000, ..Default::default() };
        assert_eq!(block.round_trip_ms(Ntp(0x0000_b710_8000_0000)), Some(6_125));
        assert_eq!(block.round_trip_ms(Ntp(0x0000_b70a_0000_0000)), None, "it waited longer than it took");
        assert_eq!(ReportBlock::default().round_trip_ms(Ntp(u64::MAX)), None);
    }

    #[test]
    fn wall_time_becomes_ntp() {
        let epoch = Ntp::of(Stamp::from_unix_ms(0));
        assert_eq!(epoch.0, 2_208_988_800 << 32);
        let later = Ntp::of(Stamp::from_unix_ms(1_500));
        assert_eq!(later.middle().wrapping_sub(epoch.middle()), 3 << 15);
        assert_eq!(middle_units(Moment::from_millis(10), Moment::from_millis(2_510)), 5 << 15);
        assert_eq!(middle_units(Moment::from_millis(10), Moment::ZERO), 0);
    }
}
