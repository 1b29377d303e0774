//! Nothing that a tick calls in `media` allocates once it is made: counted by the allocator itself.
#![expect(unsafe_code, reason = "a global allocator cannot be written without it; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use voicefleet::media::g711::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
use voicefleet::media::level::{gain, mix};
use voicefleet::media::pcm::{Endian, PcmReader, from_float, to_float, write_pcm};
use voicefleet::media::{Concealer, EchoGuard, EdgeConfig, Noise, Resampler, Tone, VoiceDetector, VoiceEdges};
use voicefleet::units::SampleRate;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|n| n.set(n.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain thread-local that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

/// The sound of frame `n`: a tone, noise, silence, in turn, so that the voice gate opens and closes.
fn sound(n: usize, tone: &mut Tone, noise: &mut Noise, frame: &mut [i16]) {
    match n / 50 % 3 {
        0 => tone.fill(frame),
        1 => noise.fill(frame),
        _ => frame.fill(0),
    }
}

#[test]
fn the_counter_counts() {
    assert!(allocations(|| drop(std::hint::black_box(vec![1_u8; 100]))) >= 2);
}

#[test]
fn ten_thousand_frames_of_everything_allocate_nothing() {
    let (narrow, wide) = (SampleRate::NARROW, SampleRate::WIDE);
    let rates = [narrow, wide, SampleRate::STUDIO].map(SampleRate::hz).into_iter().chain([48_000]);
    let to_and_fro: Vec<SampleRate> = rates.filter_map(SampleRate::new).collect();
    let mut resamplers: Vec<Resampler> =
        to_and_fro.iter().flat_map(|&a| to_and_fro.iter().filter_map(move |&b| Resampler::new(a, b).ok())).collect();
    let mut up = Resampler::new(narrow, wide).unwrap();
    let mut tone = Tone::new(narrow, &[310.0, 620.0, 1240.0], 6000).with_cadence([90, 40, 130, 70]);
    let mut noise = Noise::new(3, -30.0);
    let mut detector = VoiceDetector::new();
    let mut edges = VoiceEdges::new(EdgeConfig::default());
    let mut guard = EchoGuard::new(narrow);
    let mut concealer = Concealer::new(narrow);
    let mut reader = PcmReader::new(Endian::Little);

    let (mut frame, mut other, mut frame_16k) = ([0_i16; 160], [0_i16; 160], [0_i16; 320]);
    let (mut codes, mut bytes, mut floats) = ([0_u8; 160], [0_u8; 320], [0.0_f32; 160]);
    let (input, mut output) = ([1234_i16; 960], [0_i16; 5760]);
    let counted = allocations(|| {
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
