//! How many instructions one frame costs on the codec, RTP and message paths: exact, the same on a busy and on a quiet machine, and
//! held to a bar. Runs itself under valgrind's callgrind twice per case, the second time with twice the work; the difference is
//! the work alone. Never a time.

#![expect(clippy::print_stdout, reason = "a bench shows its figures")]

use std::hint::black_box;
use std::process::{Command, ExitCode};

use voicefleet::media::g711::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
use voicefleet::media::{Codec, RtpReceiver};
use voicefleet::units::{Moment, Stamp};
use voicefleet::wire::rtp::{RtpHeader, RtpPacket};
use voicefleet::wire::sdp::{CryptoKeys, CryptoSuite, KEY_BYTES};
use voicefleet::wire::srtp::{RTP_TRAILER_BYTES, Sender};
use voicefleet::wire::ws::native::{Dialler, Native, NativeOptions};
use voicefleet::wire::ws::{Dialect as _, Egress, Inbox};

/// What a run under valgrind is to do, and how often.
const CASE: &str = "VOICEFLEET_COUNTED_CASE";
const TIMES: &str = "VOICEFLEET_COUNTED_TIMES";
/// Repetitions of the shorter run.
const FEW: u64 = 2_000;

/// A frame's work, made ready before it is repeated.
type Work = Box<dyn FnMut(u64)>;

struct Case {
    name: &'static str,
    /// Instructions that a frame may cost.
    bar: u64,
    ready: fn() -> Work,
}

const CASES: [Case; 9] = [
    Case { name: "µ-law, decode and encode 160 samples", bar: 1_600, ready: ulaw },
    Case { name: "A-law, decode and encode 160 samples", bar: 1_900, ready: alaw },
    Case { name: "RTP, write a header and parse the packet", bar: 200, ready: rtp },
    Case { name: "RTP packet through jitter buffer and decoder", bar: 6_000, ready: received },
    Case { name: "SRTP, seal a packet of 172 bytes", bar: 12_000, ready: sealed },
    Case { name: "native media frame in, 8 kHz PCM16", bar: 5_500, ready: frame_in },
    Case { name: "native reverse-media frame out", bar: 1_500, ready: frame_out },
    Case { name: "SIP message parsed", bar: 30_000, ready: message },
    Case { name: "nothing: what repeating costs", bar: 20, ready: || Box::new(|n| _ = black_box(n)) },
];

fn tone() -> [i16; 160] {
    std::array::from_fn(|n| (8_000.0 * f64::sin(n as f64 * 0.314)) as i16)
}

fn ulaw() -> Work {
    let (mut codes, mut linear) = ([0; 160], tone());
    Box::new(move |_| {
        ulaw_encode(black_box(&linear), &mut codes);
        ulaw_decode(black_box(&codes), &mut linear);
    })
}

fn alaw() -> Work {
    let (mut codes, mut linear) = ([0; 160], tone());
    Box::new(move |_| {
        alaw_encode(black_box(&linear), &mut codes);
        alaw_decode(black_box(&codes), &mut linear);
    })
}

fn rtp() -> Work {
    let mut datagram = [0x55; 172];
    Box::new(move |n| {
        let header = RtpHeader { sequence: n as u16, timestamp: n as u32 * 160, ssrc: 9, ..Default::default() };
        let _ = black_box(header).write(&mut datagram);
        let _ = black_box(RtpPacket::parse(black_box(&datagram)).map(|packet| packet.payload.len()));
    })
}

fn received() -> Work {
    let mut receiver = RtpReceiver::new(Codec::Pcmu).expect("G.711 needs nothing");
    let (payload, mut frame) = ([0x55; 160], [0; 160]);
    Box::new(move |n| {
        let now = Moment::from_millis(n * 20);
        receiver.audio(now, n as u16, n as u32 * 160, black_box(&payload));
        black_box(receiver.frame(now, &mut frame));
    })
}

fn sealed() -> Work {
    let mut sender = Sender::new(CryptoSuite::AesCm128HmacSha1_80, &CryptoKeys([7; KEY_BYTES]));
    Box::new(move |n| {
        let mut datagram = [0x55; 172 + RTP_TRAILER_BYTES];
        let header = RtpHeader { sequence: n as u16, timestamp: n as u32 * 160, ssrc: 9, ..Default::default() };
        let _ = header.write(&mut datagram);
        let _ = black_box(sender.seal(&mut datagram, 172));
    })
}

/// An answered session of the native dialect, and its dialler's frame of a tone.
fn session() -> (Native, String, Vec<u8>) {
    let (mut native, mut inbox) = (Native::new(NativeOptions::default()), Inbox::default());
    let dialler = Dialler::new("st-1");
    let named = [("callerId", "+919800000001"), ("did", "+918000000002"), ("callDirection", "incoming")];
    for text in [dialler.connected(&named, &[]), dialler.start("LINEAR", 8_000, false), dialler.answer()] {
        native.text(&text, &mut inbox);
    }
    let payload: Vec<u8> = tone().into_iter().flat_map(i16::to_le_bytes).collect();
    (native, Dialler::new("st-1").media(&payload), payload)
}

fn frame_in() -> Work {
    let (mut native, text, _) = session();
    let mut inbox = Inbox::default();
    Box::new(move |_| {
        inbox.clear();
        native.text(black_box(&text), &mut inbox);
        black_box(inbox.audio.len());
    })
}

fn frame_out() -> Work {
    let (mut native, _, payload) = session();
    let mut text = String::new();
    let at = Stamp::from_unix_ms(1_772_446_530_000);
    Box::new(move |_| {
        text.clear();
        native.write(&Egress::Audio { payload: black_box(&payload), at }, &mut text);
        black_box(text.len());
    })
}

fn message() -> Work {
    let text = "INVITE sip:+918000000002@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK74bf9;rport\r\n\
                Max-Forwards: 70\r\nFrom: \"Asha\" <sip:+919800000001@192.0.2.9>;tag=9fxced76sl\r\n\
                To: <sip:+918000000002@192.0.2.1>\r\nCall-ID: 3848276298220188511@192.0.2.9\r\nCSeq: 2 INVITE\r\n\
                Contact: <sip:+919800000001@192.0.2.9:5060>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\nContent-Length: 0\r\n\r\n";
    Box::new(move |_| drop(black_box(voicefleet::wire::sip::Message::parse(black_box(text.as_bytes())))))
}

/// Instructions of `times` repetitions of a case, and of the program around them.
fn counted(case: usize, times: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .envs([(CASE, case.to_string()), (TIMES, times.to_string())])
        .output()
        .map_err(|error| format!("valgrind counts the instructions: {error}; install it (apt-get install valgrind)"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let count = told.lines().find_map(|line| line.split("Collected :").nth(1)?.trim().parse().ok());
    count.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind gave no count:\n{told}"))
}

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if let (Some(case), Some(times)) = (number(CASE), number(TIMES)) {
        let mut work = (CASES[case as usize].ready)();
        (0..times).for_each(&mut work);
        return ExitCode::SUCCESS;
    }
    let mut kept = true;
    for (at, case) in CASES.iter().enumerate() {
        let figures = counted(at, FEW).and_then(|few| Ok((few, counted(at, 2 * FEW)?)));
        let (few, twice) = match figures {
            Ok(figures) => figures,
            Err(error) => {
                println!("{error}");
                return ExitCode::FAILURE;
            }
        };
        let each = twice.saturating_sub(few) / FEW;
        let verdict = if each <= case.bar { "kept" } else { "BROKEN" };
        println!("{each:>8} instructions, bar {:>6} {verdict}: {}", case.bar, case.name);
        kept &= each <= case.bar;
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
