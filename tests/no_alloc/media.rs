//! Nothing that a tick calls in `media` allocates once it is made: counted by the allocator itself.

use voicefleet::media::g711::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
use voicefleet::media::level::{gain, mix};
use voicefleet::media::pcm::{Endian, PcmReader, from_float, to_float, write_pcm};
use voicefleet::media::{
    Codec, Concealer, EchoGuard, EdgeConfig, Encoder, MAX_ENCODED_BYTES, Noise, Resampler, RtpReceiver, Tone,
    VoiceDetector, VoiceEdges, VoiceTables,
};
use voicefleet::units::{Moment, SampleRate, Stamp};
use voicefleet::wire::rtp::{
    Compound, EventReceiver, EventSender, Ntp, ReceiveStats, RtcpParts, RtpHeader, RtpPacket, SenderInfo,
};

use crate::touches;

/// The sound of frame `n`: a tone, noise, silence, in turn, so that the voice gate opens and closes.
fn sound(n: usize, tone: &mut Tone, noise: &mut Noise, frame: &mut [i16]) {
    match n / 50 % 3 {
        0 => tone.fill(frame),
        1 => noise.fill(frame),
        _ => frame.fill(0),
    }
}

#[test]
fn ten_thousand_frames_of_everything_allocate_nothing() {
    let (narrow, wide) = (SampleRate::NARROW, SampleRate::WIDE);
    let rates = [narrow, wide, SampleRate::STUDIO].map(SampleRate::hz).into_iter().chain([48_000]);
    let to_and_fro: Vec<SampleRate> = rates.filter_map(SampleRate::new).collect();
    let mut resamplers: Vec<Resampler> =
        to_and_fro.iter().flat_map(|&a| to_and_fro.iter().filter_map(move |&b| Resampler::new(a, b).ok())).collect();
    let mut up = Resampler::new(narrow, wide).expect("rates");
    let mut tone = Tone::new(narrow, &[310.0, 620.0, 1240.0], 6000).with_cadence([90, 40, 130, 70]);
    let mut noise = Noise::new(3, -30.0);
    let mut detector = VoiceDetector::new(&VoiceTables::new());
    let mut edges = VoiceEdges::new(EdgeConfig::default());
    let mut guard = EchoGuard::new(narrow);
    let mut concealer = Concealer::new(narrow);
    let mut reader = PcmReader::new(Endian::Little);

    let (mut frame, mut other, mut frame_16k) = ([0_i16; 160], [0_i16; 160], [0_i16; 320]);
    let (mut codes, mut bytes, mut floats) = ([0_u8; 160], [0_u8; 320], [0.0_f32; 160]);
    let (input, mut output) = ([1234_i16; 960], [0_i16; 5760]);
    let counted = touches(|| {
        for n in 0..10_000 {
            sound(n, &mut tone, &mut noise, &mut frame);
            ulaw_encode(&frame, &mut codes);
            ulaw_decode(&codes, &mut other);
            alaw_encode(&other, &mut codes);
            alaw_decode(&codes, &mut other);
            write_pcm(Endian::Little, &other, &mut bytes);
            reader.read(&bytes[..319 + n % 2], &mut other);
            to_float(&other, &mut floats);
            from_float(&floats, &mut other);
            gain(&mut other, 0.5);
            mix(&mut other, &frame);
            if n % 9 < 2 {
                concealer.conceal(&mut other)
            } else {
                concealer.arrived(&mut other)
            }
            up.process(&frame, &mut frame_16k);
            edges.push(if n % 31 == 0 { detector.gap() } else { detector.push(&frame_16k) });
            guard.played(&other);
            guard.heard(&frame);
            if n % 100 == 0 {
                std::hint::black_box(guard.is_echo());
                resamplers.iter_mut().for_each(|r| assert!(r.process(&input[..n % 961], &mut output) <= output.len()));
            }
        }
        [detector.reset(), guard.reset(), concealer.reset(), edges.reset(), up.reset()].iter().for_each(drop);
    });
    assert!(detector.gate().skipped > 100 && detector.gate().skipped < detector.gate().hops);
    assert_eq!(counted, 0);
}

/// A leg in both directions over a line that loses, doubles and swaps packets, with digits and reports in between.
fn leg(codec: Codec, ticks: u32) -> u64 {
    let (mut encoder, mut receiver) =
        (Encoder::new(codec).expect("a codec"), RtpReceiver::new(codec).expect("a codec"));
    let mut stats = ReceiveStats::new(codec.clock_hz());
    let (mut keys, mut pressed) = (EventSender::new(codec.clock_hz(), 10), EventReceiver::new(codec.clock_hz()));
    let mut tone = Tone::new(codec.rate(), &[310.0, 620.0], 6_000).with_cadence([90, 40, 130, 70]);
    let mut frame = [0_i16; 320];
    let frame = &mut frame[..codec.rate().frame_samples()];
    let mut datagram = [0_u8; RtpHeader::BYTES + MAX_ENCODED_BYTES];
    let (mut before, mut before_bytes) = ([0_u8; RtpHeader::BYTES + MAX_ENCODED_BYTES], 0);
    let counted = touches(|| {
        for n in 0..ticks {
            let now = Moment::from_millis(1_000 + u64::from(n) * 20);
            if n % 400 == 0 {
                encoder.expect_loss((n / 400 % 2 * 10) as u8);
                keys.press('5', 100).expect("a key");
            }
            let timestamp = n * codec.frame_ticks();
            let event = keys.tick(timestamp);
            let (head, body) = datagram.split_at_mut(RtpHeader::BYTES);
            let mut header = RtpHeader { sequence: n as u16, timestamp, ssrc: 7, ..Default::default() };
            let bytes = match event {
                Some(event) => {
                    header =
                        RtpHeader { payload_type: 101, marker: event.marker, timestamp: event.timestamp, ..header };
                    body[..4].copy_from_slice(&event.payload);
                    4
                }
                None => {
                    tone.fill(frame);
                    encoder.encode(frame, body)
                }
            };
            let bytes = header.write(head).expect("room") + bytes;
            let mut arrived = |datagram: &[u8]| {
                let packet = RtpPacket::parse(datagram).expect("a packet");
                let header = packet.header;
                stats.arrived(now, &header, packet.payload.len(), header.payload_type == 0);
                if header.payload_type == 101 {
                    pressed.arrived(header.timestamp, header.marker, packet.payload);
                    receiver.other(header.sequence);
                } else {
                    receiver.audio(now, header.sequence, header.timestamp, packet.payload);
                }
            };
            match n % 23 {
                3 => {}
                5 => (before, before_bytes) = (datagram, bytes),
                6 => [&datagram[..bytes], &before[..before_bytes]].into_iter().for_each(arrived),
                7 => [&datagram[..bytes]; 2].into_iter().for_each(arrived),
                _ => arrived(&datagram[..bytes]),
            }
            receiver.frame(now, frame);
            if n % 250 == 249 {
                let sender = SenderInfo { ntp: Ntp::of(Stamp::from_unix_ms(i64::from(n) * 20)), ..Default::default() };
                let block = stats.block(now);
                let report = Compound { ssrc: 7, sender: Some(sender), block, cname: "leg@host", goodbye: false };
                let length = report.write(&mut datagram).expect("room");
                assert_eq!(RtcpParts::new(&datagram[..length]).filter(Result::is_ok).count(), 2);
                stats.report_arrived(now, sender.ntp);
            }
        }
    });
    let counters = receiver.jitter().counters();
    assert!(counters.duplicated > 0 && counters.lost > 0 && counters.reordered > 0 && counters.concealed_ms > 0);
    counted
}

#[test]
fn a_leg_of_any_codec_allocates_nothing_whatever_the_line_does() {
    for (codec, ticks) in [(Codec::Pcmu, 10_000), (Codec::Pcma, 10_000), (Codec::G722, 10_000), (Codec::Opus, 2_000)] {
        assert_eq!(leg(codec, ticks), 0, "{codec:?}");
    }
}
