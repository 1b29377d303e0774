//! Opus (RFC 6716) for one mono voice at the line's 16 kHz, over the crate `opus-rs`: what a packet lasts, encoding at the
//! cost a shard can bear, decoding with in-band correction and concealment. Whatever the peer's own rate and channels, the
//! decoder gives 16 kHz mono. Allocates when made, never after; bytes that are no Opus give no samples.

use opus_rs::{Application, OpusDecoder as Decode, OpusEncoder as Encode};

use crate::units::SampleRate;

/// The rate on our side.
const RATE: SampleRate = SampleRate::WIDE;
/// The RTP clock of every Opus stream (RFC 7587 4.1).
const CLOCK_HZ: u32 = 48_000;
/// The longest packet: 120 ms.
const MAX_SAMPLES: usize = RATE.frame_samples() * 6;
/// The middle of the scale: half the cost of the best, and hardly told from it in a voice.
const COMPLEXITY: i32 = 5;
/// Wide-band voice without audible loss.
const BITS_PER_SECOND: i32 = 24_000;

/// The codec could not be made; the text is its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected an Opus codec at 16 kHz mono, got `{0}`: a fault of this build")]
pub struct OpusError(&'static str);

/// Ticks of the 48 kHz clock that a packet lasts, from its first two bytes (RFC 6716 3.1); `None` for what is no packet: empty,
/// a broken frame count, or longer than 120 ms.
#[must_use]
pub fn opus_ticks(packet: &[u8]) -> Option<u32> {
    let &toc = packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    Some(frame * frames).filter(|ticks| (1..=CLOCK_HZ * 120 / 1000).contains(ticks))
}

/// Encodes frames of 20 ms at 16 kHz: complexity 5, variable rate around 24 kbit/s, no correction until loss is reported.
pub struct OpusEncoder(Box<Encode>);

impl OpusEncoder {
    /// An encoder at rest.
    ///
    /// # Errors
    /// [`OpusError`] where the codec refuses its settings, which no input can cause.
    pub fn new() -> Result<Self, OpusError> {
        let mut encoder = Encode::new(RATE.hz() as i32, 1, Application::Voip).map_err(OpusError)?;
        encoder.complexity = COMPLEXITY;
        encoder.bitrate_bps = BITS_PER_SECOND;
        encoder.use_cbr = false;
        Ok(Self(Box::new(encoder)))
    }

    /// The peer reports so much loss (RTCP): from 3 % on packets carry what repairs their predecessor.
    pub fn expect_loss(&mut self, percent: u8) {
        self.0.use_inband_fec = percent >= 3;
        self.0.packet_loss_perc = i32::from(percent.min(30));
    }

    /// Encodes one frame of 320 samples, or half of one; 0 where the frame has another length or `out` is too small.
    pub fn encode(&mut self, frame: &[i16], out: &mut [u8]) -> usize {
        if ![RATE.frame_samples(), RATE.frame_samples() / 2].contains(&frame.len()) {
            return 0;
        }
        self.0.encode_i16(frame, frame.len(), out).unwrap_or(0)
    }
}

impl std::fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpusEncoder").finish_non_exhaustive()
    }
}

/// Decodes packets of any rate, length and channel count to 16 kHz mono.
pub struct OpusDecoder {
    decoder: Box<Decode>,
    floats: Box<[f32; MAX_SAMPLES]>,
}

impl OpusDecoder {
    /// A decoder at rest.
    ///
    /// # Errors
    /// [`OpusError`] where the codec refuses its settings, which no input can cause.
    pub fn new() -> Result<Self, OpusError> {
        let decoder = Decode::new(RATE.hz() as i32, 1).map_err(OpusError)?;
        Ok(Self { decoder: Box::new(decoder), floats: Box::new([0.0; MAX_SAMPLES]) })
    }

    /// Decodes a packet; the samples written, 0 for what is no Opus or does not fit.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> usize {
        let Some(samples) = opus_ticks(packet).map(|ticks| ticks as usize / 3) else { return 0 };
        if samples > out.len() {
            return 0;
        }
        let floats = self.floats.get_mut(..samples).unwrap_or_default();
        let got = self.decoder.decode(packet, samples, floats).unwrap_or(0);
        written(self.floats.as_slice(), got, out)
    }

    /// Fills `out` for a lost packet: by what the packet behind it carries of it, else by the codec's own concealment. Whole
    /// steps of 2.5 ms up to 60 ms are filled; the count is returned.
    pub fn conceal(&mut self, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        let step = RATE.frame_samples() / 8;
        let samples = out.len().min(RATE.frame_samples() * 3) / step * step;
        if samples == 0 {
            return 0;
        }
        let floats = self.floats.get_mut(..samples).unwrap_or_default();
        let got = match next.filter(|packet| opus_ticks(packet).is_some()) {
            Some(packet) => self.decoder.decode_fec(packet, samples, floats),
            None => self.decoder.decode(&[], samples, floats),
        };
        written(self.floats.as_slice(), got.unwrap_or(0), out)
    }
}

impl std::fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpusDecoder").finish_non_exhaustive()
    }
}

fn written(floats: &[f32], count: usize, out: &mut [i16]) -> usize {
    let count = count.min(out.len());
    for (sample, &float) in out.iter_mut().zip(floats).take(count) {
        *sample = (float * 32_768.0) as i16;
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::tone::{Noise, Tone};
    use crate::units::dbfs;

    fn packets(samples: &[i16], loss: u8) -> Vec<Vec<u8>> {
        let mut encoder = OpusEncoder::new().unwrap();
        encoder.expect_loss(loss);
        let mut out = [0; 400];
        let mut encode = |frame| {
            let bytes = encoder.encode(frame, &mut out);
            out[..bytes].to_vec()
        };
        samples.chunks_exact(320).map(&mut encode).collect()
    }

    fn speech() -> Vec<i16> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/audio/caller_f3.wav");
        let narrow: Vec<i16> = hound::WavReader::open(path).unwrap().samples::<i16>().map(Result::unwrap).collect();
        narrow.windows(2).flat_map(|w| [w[0], ((i32::from(w[0]) + i32::from(w[1])) / 2) as i16]).collect()
    }

    #[test]
    fn the_length_of_a_packet_is_read_from_its_head() {
        assert_eq!(opus_ticks(&[]), None);
        assert_eq!(opus_ticks(&[0x48, 1]), Some(960), "SILK wide band, one frame of 20 ms");
        assert_eq!(opus_ticks(&[0x58]), Some(2_880), "60 ms");
        assert_eq!(opus_ticks(&[0xe1]), Some(240), "CELT, two frames of 2.5 ms");
        assert_eq!(opus_ticks(&[0x4b, 6]), Some(5_760), "six of 20 ms are the most there may be");
        assert_eq!((opus_ticks(&[0x4b, 7]), opus_ticks(&[0x4b, 0]), opus_ticks(&[0x4b])), (None, None, None));
    }

    #[test]
    fn speech_keeps_its_level_and_its_shape() {
        let speech = speech();
        let packets = packets(&speech, 0);
        assert!(packets.iter().all(|p| opus_ticks(p) == Some(960)));
        let bits = packets.iter().map(Vec::len).sum::<usize>() * 8 * 50 / packets.len();
        assert!((12_000..32_000).contains(&bits), "{bits} bit/s");
        let mut decoder = OpusDecoder::new().unwrap();
        let mut heard = Vec::new();
        for packet in &packets {
            let mut out = [0; 320];
            assert_eq!(decoder.decode(packet, &mut out), 320);
            heard.extend(out);
        }
        assert!((dbfs(&speech) - dbfs(&heard)).abs() < 1.5, "{} against {}", dbfs(&speech), dbfs(&heard));
        let like = (0..400).map(|lag| correlation(&speech, &heard[lag..])).fold(0.0, f64::max);
        assert!(like > 0.9, "correlation {like:.3}");
    }

    fn correlation(a: &[i16], b: &[i16]) -> f64 {
        let (mut ab, mut aa, mut bb) = (0.0, 1.0, 1.0);
        for (&a, &b) in a.iter().zip(b) {
            let (a, b) = (f64::from(a), f64::from(b));
            (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
        }
        ab / f64::sqrt(aa * bb)
    }

    #[test]
    fn a_lost_frame_comes_back_from_the_one_behind_it() {
        let speech = speech();
        let packets = packets(&speech, 20);
        let (mut whole, mut repaired, mut concealed) =
            (OpusDecoder::new().unwrap(), OpusDecoder::new().unwrap(), OpusDecoder::new().unwrap());
        let (mut by_repair, mut by_concealment) = (0.0, 0.0);
        for (n, packet) in packets.iter().enumerate() {
            let (mut truth, mut a, mut b) = ([0; 320], [0; 320], [0; 320]);
            whole.decode(packet, &mut truth);
            if n % 10 == 9 && n + 1 < packets.len() {
                assert_eq!(repaired.conceal(Some(&packets[n + 1]), &mut a), 320);
                assert_eq!(concealed.conceal(None, &mut b), 320);
                by_repair += distance(&truth, &a);
                by_concealment += distance(&truth, &b);
            } else {
                repaired.decode(packet, &mut a);
                concealed.decode(packet, &mut b);
            }
        }
        assert!(by_repair < by_concealment / 2.0, "{by_repair:.0} against {by_concealment:.0}");
    }

    fn distance(a: &[i16], b: &[i16]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
    }

    #[test]
    fn odd_frames_and_small_buffers_give_nothing() {
        let mut encoder = OpusEncoder::new().unwrap();
        assert_eq!(encoder.encode(&[0; 319], &mut [0; 400]), 0);
        assert_eq!(encoder.encode(&[0; 320], &mut []), 0);
        let packet = &packets(&Tone::new(RATE, &[440.0], 9_000).take_ms(20), 0)[0];
        let mut decoder = OpusDecoder::new().unwrap();
        assert_eq!(decoder.decode(packet, &mut [0; 319]), 0);
        assert_eq!(decoder.conceal(None, &mut [0; 39]), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damaged_packets_and_noise_give_samples_or_nothing(
            bytes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..12),
            hits in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..12),
        ) {
            let mut noise = vec![0; 3_200];
            Noise::new(7, -20.0).fill(&mut noise);
            let mut decoder = OpusDecoder::new().unwrap();
            let mut out = [0; MAX_SAMPLES];
            for (mut packet, (at, value)) in packets(&noise, 10).into_iter().zip(hits) {
                let at = usize::from(at) % packet.len();
                packet[at] = value;
                decoder.decode(&packet, &mut out);
                decoder.conceal(Some(&packet[..at]), &mut out);
            }
            for packet in bytes {
                let samples = decoder.decode(&packet, &mut out);
                prop_assert!(samples == 0 || Some(samples as u32 * 3) == opus_ticks(&packet));
                decoder.conceal(Some(&packet), &mut out);
            }
        }
    }
}
