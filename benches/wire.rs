//! Cost of one native WebSocket frame each way: what the worker does, beside a `serde_json::Value` doing the same.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use voicefleet::units::Stamp;
use voicefleet::wire::ws::native::{Dialler, Native, NativeOptions};
use voicefleet::wire::ws::{Dialect as _, Egress, Inbox};

/// 2026-03-02 10:15:30 UTC.
const WHEN: Stamp = Stamp::from_unix_ms(1_772_446_530_000);

/// An answered session, and 20 ms of a tone at 8 kHz.
fn call() -> (Native, Vec<u8>) {
    let mut native = Native::new(NativeOptions::default());
    let mut inbox = Inbox::default();
    let dialler = Dialler::new("st-1");
    let named = [("callerId", "+919800000001"), ("did", "+918000000002"), ("callDirection", "incoming")];
    for text in [dialler.connected(&named, &[]), dialler.start("LINEAR", 8000, false), dialler.answer()] {
        native.text(&text, &mut inbox);
    }
    let tone = (0..160).map(|n| (8000.0 * f64::sin(f64::from(n) * 0.314)) as i16);
    (native, tone.flat_map(i16::to_le_bytes).collect())
}

fn frame_in(c: &mut Criterion) {
    let (mut native, payload) = call();
    let text = Dialler::new("st-1").media(&payload);
    let escaped = text.replace('/', "\\/");
    let mut inbox = Inbox::default();
    let mut group = c.benchmark_group("media frame in, 20 ms");
    group.throughput(Throughput::Elements(1));
    group.bench_function("native dialect", |b| {
        b.iter(|| {
            inbox.clear();
            native.text(black_box(&text), &mut inbox);
            black_box(inbox.audio.len())
        });
    });
    group.bench_function("native dialect, escaped base64", |b| {
        b.iter(|| {
            inbox.clear();
            native.text(black_box(&escaped), &mut inbox);
            black_box(inbox.audio.len())
        });
    });
    group.bench_function("baseline: serde_json Value", |b| {
        b.iter(|| {
            let frame: Value = serde_json::from_str(black_box(&text)).unwrap_or_default();
            let payload = frame.get("payload").and_then(Value::as_str).unwrap_or_default();
            black_box(base64_simd::STANDARD.decode_to_vec(payload).map(|bytes| bytes.len()))
        });
    });
    group.finish();
}

fn frame_out(c: &mut Criterion) {
    let (mut native, payload) = call();
    let mut text = String::new();
    let mut group = c.benchmark_group("reverse-media frame out, 20 ms");
    group.throughput(Throughput::Elements(1));
    group.bench_function("native dialect", |b| {
        b.iter(|| {
            text.clear();
            native.write(&Egress::Audio { payload: black_box(&payload), at: WHEN }, &mut text);
            black_box(text.len())
        });
    });
    let mut chunk = 0;
    group.bench_function("baseline: serde_json Value", |b| {
        b.iter(|| {
            chunk += 1;
            let frame = json!({
                "event": "reverse-media", "chunk": chunk, "did": "+918000000002",
                "payload": base64_simd::STANDARD.encode_to_string(black_box(&payload)),
                "timestamp": "2026-03-02 10:15:30", "streamId": "st-1", "callerId": "+919800000001", "chunk_durn_ms": 20,
                "callDirection": "incoming", "encoding": "LINEAR", "RevMediaQ": 0, "source": "ai",
            });
            black_box(frame.to_string().len())
        });
    });
    group.finish();
}

criterion_group!(benches, frame_in, frame_out);
criterion_main!(benches);
