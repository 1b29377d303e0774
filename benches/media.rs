//! What the audio functions cost, each beside something to compare it with. Costs are shown here and never asserted; what
//! delay and alias rejection they buy is asserted in the tests of `media`.
//!
//! | 20 ms at 8 kHz | delay | 4.6 kHz alias | 5 kHz alias |
//! |---|---|---|---|
//! | `Resampler` (FIR, 32 taps a phase) | 2.0 ms | 71 dB | 77 dB |
//! | rubato `Fft`, block of 20 ms | 10.0 ms, and 20 ms to fill the block unless frames are whole | 140 dB | 140 dB |

use std::hint::black_box;

use audioadapter_buffers::direct::InterleavedSlice;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rubato::{Fft, FixedSync, Resampler as _};
use voicefleet::media::g711::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
use voicefleet::media::pcm::{Endian, PcmReader, from_float, to_float, write_pcm};
use voicefleet::media::{
    Arrival, Codec, Concealer, Decoder, EchoGuard, Encoder, JitterBuffer, JitterConfig, MAX_ENCODED_BYTES, Noise,
    Resampler, RtpReceiver, VoiceDetector, VoiceTables, convert,
};
use voicefleet::units::{Moment, SampleRate};
use voicefleet::wire::rtp::{RtpHeader, RtpPacket};
use voicefleet::wire::sdp::{CryptoKeys, CryptoSuite, KEY_BYTES};
use voicefleet::wire::srtp::{RTP_TRAILER_BYTES, Receiver, Sender};
use webrtc_util::marshal::{Marshal as _, Unmarshal as _};

fn noise(samples: usize, level: f32) -> Vec<i16> {
    let mut out = vec![0; samples];
    Noise::new(1, level).fill(&mut out);
    out
}

fn speech() -> Vec<i16> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/audio/caller_f3.wav");
    let read = || hound::WavReader::open(path)?.samples::<i16>().collect::<Result<Vec<_>, _>>();
    read().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// µ-law by comparing segments: what the float trick is measured against.
fn ulaw_by_search(sample: i16) -> u8 {
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let mut segment = 0;
    while magnitude >= 256 << segment {
        segment += 1;
    }
    let sign = if sample < 0 { 0x80 } else { 0 };
    !((sign | segment << 4 | (magnitude >> (segment + 3)) & 15) as u8)
}

fn g711(c: &mut Criterion) {
    let mut group = c.benchmark_group("g711, 160 samples");
    group.throughput(Throughput::Elements(160));
    let (samples, codes) = (noise(160, -20.0), (0..160).collect::<Vec<u8>>());
    let (mut out, mut linear) = ([0_u8; 160], [0_i16; 160]);
    group.bench_function("ulaw decode", |b| b.iter(|| ulaw_decode(black_box(&codes), &mut linear)));
    group.bench_function("alaw decode", |b| b.iter(|| alaw_decode(black_box(&codes), &mut linear)));
    group.bench_function("ulaw encode", |b| b.iter(|| ulaw_encode(black_box(&samples), &mut out)));
    group.bench_function("alaw encode", |b| b.iter(|| alaw_encode(black_box(&samples), &mut out)));
    group.bench_function("ulaw encode by search", |b| {
        b.iter(|| out.iter_mut().zip(black_box(&samples)).for_each(|(o, &s)| *o = ulaw_by_search(s)));
    });
    group.finish();
}

fn resample(c: &mut Criterion) {
    let mut group = c.benchmark_group("resample, 20 ms");
    for (from, to) in [(8_000, 16_000), (16_000, 8_000), (24_000, 8_000), (8_000, 24_000), (48_000, 8_000)] {
        let pair = format!("{from} to {to}");
        let (Some(a), Some(b)) = (SampleRate::new(from), SampleRate::new(to)) else { continue };
        let input = noise(a.frame_samples(), -12.0);
        let mut out = vec![0; b.frame_samples()];
        if let Ok(mut fir) = Resampler::new(a, b) {
            group.bench_function(BenchmarkId::new("fir", &pair), |bench| {
                bench.iter(|| fir.process(black_box(&input), &mut out));
            });
        }
        if let Ok(mut fft) = Fft::<f32>::new(from as usize, to as usize, input.len(), 1, FixedSync::Both) {
            let (mut float_in, mut float_out) = (vec![0.0; input.len()], vec![0.0; out.len()]);
            // The conversions belong to it: the media path is i16 on both sides.
            group.bench_function(BenchmarkId::new("rubato fft", &pair), |bench| {
                bench.iter(|| {
                    to_float(black_box(&input), &mut float_in);
                    let (frames_in, frames_out) = (float_in.len(), float_out.len());
                    let view_in = InterleavedSlice::new(&float_in, 1, frames_in);
                    let view_out = InterleavedSlice::new_mut(&mut float_out, 1, frames_out);
                    if let (Ok(view_in), Ok(mut view_out)) = (view_in, view_out) {
                        let _ = black_box(fft.process_into_buffer(&view_in, &mut view_out, None));
                    }
                    from_float(&float_out, &mut out)
                });
            });
        }
    }
    group.finish();
}

fn vad(c: &mut Criterion) {
    let tables = VoiceTables::new();
    let mut group = c.benchmark_group("voice detector, 20 ms");
    let speech = convert(&speech(), SampleRate::NARROW, SampleRate::WIDE).unwrap_or_default();
    for (name, sound) in [("speech", speech), ("hiss", noise(64_000, -45.0)), ("silence", vec![0; 64_000])] {
        let mut detector = VoiceDetector::new(&tables);
        let mut frames = sound.chunks_exact(320).cycle();
        group.bench_function(name, |b| b.iter(|| frames.next().map(|frame| detector.push(frame))));
    }
    group.finish();
    c.bench_function("voice detector, made", |b| b.iter(|| VoiceDetector::new(&tables)));
}

fn echo(c: &mut Criterion) {
    let speech = speech();
    let mut guard = EchoGuard::new(SampleRate::NARROW);
    let mut frames = speech.chunks_exact(160).cycle();
    c.bench_function("echo guard, played and heard, 20 ms", |b| {
        b.iter(|| {
            let frame = frames.next().unwrap_or_default();
            guard.played(frame);
            guard.heard(frame);
        });
    });
    c.bench_function("echo guard, similarity", |b| b.iter(|| black_box(&guard).similarity()));
}

fn wire(c: &mut Criterion) {
    let mut group = c.benchmark_group("pcm and base64, 20 ms at 16 kHz");
    let samples = noise(320, -20.0);
    let (mut bytes, mut text, mut back) = ([0_u8; 640], [0_u8; 856], [0_i16; 320]);
    group.bench_function("out", |b| {
        b.iter(|| {
            write_pcm(Endian::Little, black_box(&samples), &mut bytes);
            base64_simd::STANDARD.encode(&bytes, base64_simd::Out::from_slice(&mut text)).len()
        });
    });
    let mut reader = PcmReader::new(Endian::Little);
    group.bench_function("in", |b| {
        b.iter(|| {
            let decoded = base64_simd::STANDARD.decode(black_box(&text), base64_simd::Out::from_slice(&mut bytes));
            decoded.map_or(0, |bytes| reader.read(bytes, &mut back))
        });
    });
    group.finish();
}

fn conceal(c: &mut Criterion) {
    let mut concealer = Concealer::new(SampleRate::NARROW);
    let mut frame = noise(160, -20.0);
    c.bench_function("concealment, one frame kept and one made up", |b| {
        b.iter(|| {
            concealer.arrived(&mut frame);
            concealer.conceal(black_box(&mut frame));
        });
    });
}

fn codecs(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec, 20 ms of speech");
    for codec in Codec::ALL {
        let speech = convert(&speech(), SampleRate::NARROW, codec.rate()).unwrap_or_default();
        let (Ok(mut encoder), Ok(mut decoder)) = (Encoder::new(codec), Decoder::new(codec)) else { continue };
        let mut frames = speech.chunks_exact(codec.rate().frame_samples()).cycle();
        let mut bytes = [0; MAX_ENCODED_BYTES];
        let mut packets = Vec::new();
        for frame in speech.chunks_exact(codec.rate().frame_samples()) {
            let length = encoder.encode(frame, &mut bytes);
            packets.push(bytes[..length].to_vec());
        }
        group.bench_function(BenchmarkId::new("encode", codec.name()), |b| {
            b.iter(|| encoder.encode(black_box(frames.next().unwrap_or_default()), &mut bytes));
        });
        let (mut packets, mut out) = (packets.iter().cycle(), [0; 320]);
        group.bench_function(BenchmarkId::new("decode", codec.name()), |b| {
            b.iter(|| packets.next().map(|packet| decoder.decode(black_box(packet), &mut out)));
        });
    }
    group.finish();
}

fn packets(c: &mut Criterion) {
    let mut group = c.benchmark_group("rtp, 172 bytes");
    let mut datagram = [0x55; 172];
    let header = RtpHeader { sequence: 7, timestamp: 1_120, ssrc: 9, ..Default::default() };
    group.bench_function("build", |b| b.iter(|| black_box(header).write(&mut datagram)));
    group.bench_function("parse", |b| b.iter(|| RtpPacket::parse(black_box(&datagram)).map(|p| p.payload.len())));
    let Ok(theirs) = rtp::packet::Packet::unmarshal(&mut datagram.as_slice()) else { return };
    group.bench_function("build by the crate rtp", |b| b.iter(|| black_box(&theirs).marshal_to(&mut datagram)));
    group.bench_function("parse by the crate rtp", |b| {
        b.iter(|| rtp::packet::Packet::unmarshal(&mut black_box(datagram.as_slice())).map(|p| p.payload.len()));
    });
    group.finish();
}

/// What encryption adds to a packet each way.
fn sealed(c: &mut Criterion) {
    let mut group = c.benchmark_group("srtp, 172 bytes");
    let (suite, key) = (CryptoSuite::AesCm128HmacSha1_80, CryptoKeys([7; KEY_BYTES]));
    let mut header = RtpHeader { payload_type: 8, timestamp: 1_120, ssrc: 9, ..Default::default() };
    let mut next = || {
        let mut datagram = [0x55; 172 + RTP_TRAILER_BYTES];
        let _ = header.write(&mut datagram);
        header.sequence = header.sequence.wrapping_add(1);
        datagram
    };
    let (mut sender, mut receiver) = (Sender::new(suite, &key), Receiver::new(suite, &key));
    group.bench_function("seal", |b| b.iter(|| sender.seal(&mut next(), 172)));
    let mut sender = Sender::new(suite, &key);
    group.bench_function("seal and open", |b| {
        b.iter(|| {
            let mut datagram = next();
            sender.seal(&mut datagram, 172).is_ok() && receiver.open(&mut datagram).is_ok()
        });
    });
    // The number after the last one that was taken, always the same: the tag is computed each time.
    let forged = next();
    group.bench_function("refuse a forged one", |b| b.iter(|| receiver.open(&mut { forged })));
    group.bench_function("contexts of both directions", |b| {
        b.iter(|| (Sender::new(suite, black_box(&key)), Receiver::new(suite, black_box(&key))));
    });
    group.finish();
}

fn jitter(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive, 20 ms of PCMU");
    let payload = [0x55; 160];
    let mut buffer = JitterBuffer::new(JitterConfig::new(8_000));
    let mut n = 0_u32;
    group.bench_function("jitter buffer, push and pop", |b| {
        b.iter(|| {
            let now = Moment::from_millis(u64::from(n) * 20);
            buffer.push(
                now,
                &Arrival { sequence: n as u16, timestamp: n * 160, ticks: 160, payload: black_box(&payload) },
            );
            n += 1;
            black_box(buffer.pop(now, 0, false));
        });
    });
    let Ok(mut receiver) = RtpReceiver::new(Codec::Pcmu) else { return };
    let (mut n, mut frame) = (0_u32, [0; 160]);
    group.bench_function("whole receiving half", |b| {
        b.iter(|| {
            let now = Moment::from_millis(u64::from(n) * 20);
            receiver.audio(now, n as u16, n * 160, black_box(&payload));
            n += 1;
            receiver.frame(now, &mut frame)
        });
    });
    group.finish();
}

criterion_group!(benches, g711, resample, vad, echo, wire, conceal, codecs, packets, sealed, jitter);
criterion_main!(benches);
