//! A live line allocates nothing and frees nothing: ten thousand ticks with speech in both directions, the voice detector, the
//! search for a voicemail's beep, the echo guard, the recording, the listeners and every order, counted by the allocator itself; and as many over a socket, with RTP,
//! plain and sealed, that is lost, late and doubled, keys, comfort noise, control packets and codecs that change in mid-call. And the
//! real media thread, counted from outside, while calls come and go on it.
#![expect(unsafe_code, reason = "a global allocator cannot be written without it; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use voicefleet::call::line::{Ended, LegEdge, Line, LineFact, LineOrder, Rings};
use voicefleet::media::{Codec as Coding, Encoder, Tone};
use voicefleet::record::{BlockPool, BlockWriter};
use voicefleet::rt;
use voicefleet::shard::rtp::{PortRange, RtpPorts};
use voicefleet::shard::{Config, LegPort, LineHandle, OutItem, Shards};
use voicefleet::telemetry::Metrics;
use voicefleet::units::{MAX_FRAME_SAMPLES, Moment, SampleRate, Stamp, UtteranceId};
use voicefleet::wire::rtp::{Compound, Ntp, RtpHeader, RtpPacket, SenderInfo, looks_like_rtcp};
use voicefleet::wire::sdp::{
    Codec, CryptoKeys, CryptoPlan, CryptoSuite, Direction, KEY_BYTES, MediaPlan, Rtcp, TelephoneEvent,
};
use voicefleet::wire::srtp::{CONTROL_TRAILER_BYTES, RTP_TRAILER_BYTES, Receiver, Sender};

struct Counting;

thread_local! {
    static TOUCHES: Cell<u64> = const { Cell::new(0) };
    static OWN_ID: Cell<u64> = const { Cell::new(0) };
}

/// A thread of the product that is counted from outside, by its id in the system, and how often it called the allocator.
static WATCHED: AtomicU64 = AtomicU64::new(0);
static WATCHED_TOUCHES: AtomicU64 = AtomicU64::new(0);

fn count() {
    TOUCHES.with(|n| n.set(n.get() + 1));
    let watched = WATCHED.load(Ordering::Relaxed);
    if watched != 0 && OWN_ID.with(own_id) == watched {
        WATCHED_TOUCHES.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asks the system once; asking allocates nothing.
fn own_id(known: &Cell<u64>) -> u64 {
    if known.get() == 0 {
        known.set(rt::thread_id());
    }
    known.get()
}

/// From here on this thread's calls of the allocator are counted.
fn watch(thread: u64) {
    WATCHED.store(0, Ordering::SeqCst);
    WATCHED_TOUCHES.store(0, Ordering::SeqCst);
    WATCHED.store(thread, Ordering::SeqCst);
}

fn watched() -> u64 {
    WATCHED_TOUCHES.load(Ordering::SeqCst)
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

fn touches(work: impl FnOnce()) -> u64 {
    let before = TOUCHES.with(Cell::get);
    work();
    TOUCHES.with(Cell::get) - before
}

/// A far end that sometimes has no room.
struct FarEnd {
    frames: u64,
    clears: u64,
    full: bool,
}

impl LegEdge for FarEnd {
    fn has_room(&self) -> bool {
        !self.full
    }

    fn send(&mut self, _due: Moment, _samples: &[i16], _ended: &Ended) {
        self.frames += 1;
    }

    fn clear(&mut self) {
        self.clears += 1;
    }
}

fn clip(name: &str) -> Vec<i16> {
    let path = format!("{}/fixtures/audio/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    hound::WavReader::open(&path).expect("a clip").samples().map(|s| s.expect("a sample")).collect()
}

#[test]
fn the_counter_counts() {
    assert!(touches(|| drop(std::hint::black_box(vec![1_u8; 100]))) >= 2);
}

#[test]
fn ten_thousand_ticks_of_a_live_line_allocate_and_free_nothing() {
    for rate in [SampleRate::NARROW, SampleRate::WIDE, SampleRate::STUDIO] {
        let frame = rate.frame_samples();
        let (caller, bot) = (clip("caller_rms"), clip("bot_slt"));
        let (rings, mut leg, mut ends) = Rings::new(rate);
        let mut line = Line::new(rate, rings).expect("a leg's rate");
        let pool = BlockPool::new(8);
        let mut tape = BlockWriter::new(pool.clone(), 1);
        let mut far = FarEnd { frames: 0, clears: 0, full: false };
        let (mut voices, mut cuts, mut heard, mut blocks, mut beeps) = (0, 0, 0, 0, 0);
        let beep = Tone::new(rate, &[1_000.0], 6_000).take_ms(400);
        let mut utterance = UtteranceId(1);
        let mut listened = [0_i16; 4_096];
        let n = touches(|| {
            for tick in 0..10_000_usize {
                // Three seconds of the caller, two of silence; the bot nearly always.
                let from = tick * frame;
                if tick % 250 < 150 {
                    for i in 0..frame {
                        let _ = leg.push(caller[(from + i) % caller.len()]);
                    }
                } else if (200..220).contains(&(tick % 250)) {
                    let from = (tick % 250 - 200) * frame;
                    let _ = leg.push_partial_slice(&beep[from..from + frame]);
                } else if tick % 7 != 0 {
                    for _ in 0..frame {
                        let _ = leg.push(0);
                    }
                }
                if tick % 400 < 380 {
                    let at = from % (bot.len() - frame);
                    ends.speech.push(utterance, (tick % 400 / 100) as u16, &bot[at..at + frame], tick % 100 == 99);
                }
                let order = match tick % 400 {
                    // Not for the whole call: it is switched on and off as often as may be.
                    10 => Some(LineOrder::SeekBeep { on: tick % 2_000 < 1_600 }),
                    90 => Some(LineOrder::Pause),
                    110 => Some(LineOrder::Resume),
                    300 if tick % 800 > 400 => Some(LineOrder::Cut { utterance }),
                    _ => None,
                };
                if let Some(order) = order {
                    let _ = ends.orders.push(order);
                }
                if matches!(order, Some(LineOrder::Cut { .. })) || tick % 400 == 399 {
                    utterance = utterance.next();
                }
                far.full = tick % 1_000 > 990;
                if tick % 333 == 332 {
                    line.skip(Moment::from_millis(20 * tick as u64), &mut far, &mut tape);
                } else {
                    line.tick(Moment::from_millis(20 * tick as u64), &mut far, &mut tape);
                }
                heard += ends.listen.pop_partial_slice(&mut listened).0.len();
                while let Ok(fact) = ends.facts.pop() {
                    voices += u32::from(matches!(fact, LineFact::VoiceBegan { .. }));
                    cuts += u32::from(matches!(fact, LineFact::SpeechCut { .. }));
                    beeps += u32::from(matches!(fact, LineFact::Beeped { .. }));
                }
                while let Some(block) = pool.pop_full() {
                    blocks += 1;
                    pool.give_back(block);
                }
            }
        });
        assert_eq!(n, 0, "{rate:?}: {n} times the allocator was called");
        let stats = line.stats();
        assert!(beeps > 10, "{rate:?}: {beeps} beeps");
        assert!(
            voices > 20 && cuts > 5 && far.clears > 5,
            "{rate:?}: {voices} voices, {cuts} cuts: the line was alive"
        );
        assert!(far.frames > 5_000 && heard > 3_000_000 && blocks > 500, "{rate:?}: {stats:?}, {blocks} blocks");
    }
}

/// What the two ends agree on.
fn plan(codec: Codec, remote: SocketAddr, crypto: Option<CryptoPlan>) -> MediaPlan {
    let payload_type = match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus => 96,
    };
    MediaPlan {
        remote,
        rtcp: Rtcp::Muxed,
        codec,
        payload_type,
        receive_payload_type: payload_type,
        telephone_event: Some(TelephoneEvent { payload_type: 101, receive_payload_type: 101, clock_hz: 8_000 }),
        inband_keys: false,
        direction: Direction::SendRecv,
        ptime_ms: 20,
        peer_ptime_ms: None,
        crypto,
    }
}

/// A phone on this machine: real datagrams, as bad a network as there is.
struct Phone {
    socket: UdpSocket,
    to: SocketAddr,
    sequence: u16,
    timestamp: u32,
    /// A packet that is to come late.
    held: Option<Vec<u8>>,
    /// Packets that came, the last one's number, and numbers that did not follow the one before.
    got: u64,
    last: Option<u16>,
    gaps: u64,
    /// Control packets that came.
    reports: u64,
    /// Its keys, where the audio is encrypted.
    keys: Option<(Sender, Receiver)>,
}

impl Phone {
    fn send(&mut self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.to).expect("room in a socket of this machine");
    }

    fn packet(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let header = RtpHeader { payload_type, marker, sequence: self.sequence, timestamp, ssrc: 0x0102_0304 };
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = vec![0; RtpHeader::BYTES];
        header.write(&mut bytes).expect("room for a header");
        bytes.extend(payload);
        if let Some((sender, _)) = &mut self.keys {
            let length = bytes.len();
            bytes.resize(length + RTP_TRAILER_BYTES, 0);
            let length = sender.seal(&mut bytes, length).expect("a packet");
            bytes.truncate(length);
        }
        bytes
    }

    /// One tick's packets: lost, held back, doubled, a key, comfort noise or plain audio.
    fn speak(&mut self, tick: usize, payload_type: u8, audio: &[u8], clock_ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(clock_ticks);
        let timestamp = self.timestamp;
        let late = self.held.take();
        match tick % 200 {
            // A key of eight packets, the last three with its end.
            at @ 100..108 => {
                let event = [5, if at > 104 { 0x8a } else { 10 }, 0, (at - 99) as u8 * 20];
                let started = timestamp.wrapping_sub((at as u32 - 100) * clock_ticks);
                let packet = self.packet(101, at == 100, started, &event);
                self.send(&packet);
            }
            at @ 150..170 => {
                if at % 10 == 0 {
                    let packet = self.packet(13, false, timestamp, &[40]);
                    self.send(&packet);
                }
            }
            at => {
                let packet = self.packet(payload_type, false, timestamp, audio);
                match at % 50 {
                    7..=9 => {}
                    20 => self.held = Some(packet),
                    30 => {
                        self.send(&packet);
                        self.send(&packet);
                    }
                    // Somebody else's, as far as anybody can tell: a type that nobody agreed to.
                    40 => {
                        let odd = self.packet(77, false, timestamp, audio);
                        self.send(&odd);
                    }
                    _ => self.send(&packet),
                }
            }
        }
        if let Some(late) = late {
            self.send(&late);
        }
        if tick % 250 == 60 {
            let ntp = Ntp::of(Stamp::from_unix_ms(1_700_000_000_000 + tick as i64 * 20));
            let sender = Some(SenderInfo { ntp, rtp_timestamp: timestamp, packets: tick as u32, octets: 0 });
            let report = Compound { ssrc: 0x0102_0304, sender, block: None, cname: "phone", goodbye: false };
            let mut bytes = [0; 128 + CONTROL_TRAILER_BYTES];
            let mut length = report.write(&mut bytes).expect("room for a report");
            if let Some((sender, _)) = &mut self.keys {
                length = sender.seal_control(&mut bytes, length).expect("a report");
            }
            self.send(&bytes[..length]);
        }
    }

    fn listen(&mut self) {
        let mut bytes = [0; 1_500];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            if looks_like_rtcp(&bytes[..length]) {
                let opened = self.keys.as_mut().map(|(_, receiver)| receiver.open_control(&mut bytes[..length]));
                assert!(opened.is_none_or(|opened| opened.is_ok()), "{opened:?}");
                self.reports += 1;
                continue;
            }
            let opened = self.keys.as_mut().map(|(_, receiver)| receiver.open(&mut bytes[..length]));
            assert!(opened.is_none_or(|opened| opened.is_ok()), "{opened:?}");
            let sequence = RtpPacket::parse(&bytes[..length]).expect("a packet").header.sequence;
            self.gaps += u64::from(self.last.is_some_and(|last| last.wrapping_add(1) != sequence));
            (self.last, self.got) = (Some(sequence), self.got + 1);
        }
    }
}

#[test]
fn ten_thousand_ticks_of_a_line_over_rtp_allocate_and_free_nothing() {
    ten_thousand_ticks(21_000, None);
}

#[test]
fn ten_thousand_ticks_of_a_line_over_srtp_allocate_and_free_nothing() {
    for (first, suite) in (21_200..).step_by(200).zip(CryptoSuite::ALL) {
        let (local, remote) = (CryptoKeys([1; KEY_BYTES]), CryptoKeys([2; KEY_BYTES]));
        ten_thousand_ticks(first, Some(CryptoPlan { suite, local, remote }));
    }
}

fn ten_thousand_ticks(first: u16, crypto: Option<CryptoPlan>) {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let socket = UdpSocket::bind((ip, 0)).expect("a socket");
    socket.set_nonblocking(true).expect("a socket that does not wait");
    let remote = socket.local_addr().expect("an address");
    let ports = RtpPorts::new(PortRange { ip, first, last: first + 199 }, 60_000);
    let mut port = ports.reserve().expect("a free port");
    let (mut leg, rate) = port.start(plan(Codec::Pcma, remote, crypto)).expect("a codec").expect("the first start");
    let mut phone = Phone {
        socket,
        to: port.local(),
        sequence: 65_000,
        timestamp: u32::MAX - 9_000,
        held: None,
        got: 0,
        last: None,
        gaps: 0,
        reports: 0,
        keys: crypto.map(|keys| (Sender::new(keys.suite, &keys.remote), Receiver::new(keys.suite, &keys.local))),
    };
    let (caller, bot) = (clip("caller_rms"), clip("bot_slt"));
    let (rings, _unused, mut ends) = Rings::new(rate);
    let mut line = Line::new(rate, rings).expect("a leg's rate");
    let pool = BlockPool::new(8);
    let mut tape = BlockWriter::new(pool.clone(), 1);
    let codecs = [(Codec::Pcma, Coding::Pcma), (Codec::G722, Coding::G722), (Codec::Opus, Coding::Opus)];
    let (mut codec, mut encoder) = (codecs[0].0, Encoder::new(codecs[0].1).expect("a codec"));
    let (mut calls, mut voices, mut keys) = (0, 0, 0);
    let mut listened = [0_i16; 4_096];
    for tick in 0..10_000_usize {
        if tick % 1_000 == 999 {
            // The signalling's thread makes what changes and frees what was replaced.
            let (next, coding) = codecs[(tick / 1_000 + 1) % codecs.len()];
            assert!(port.change(plan(next, remote, crypto)).expect("a codec"), "no room for a change");
            (codec, encoder) = (next, Encoder::new(coding).expect("a codec"));
        }
        let coding = codecs.iter().find(|(one, _)| *one == codec).expect("one of them").1;
        let frame = coding.rate().frame_samples();
        let from = tick * frame % (caller.len() - frame);
        let mut audio = [0; 1_000];
        let bytes = encoder.encode(&caller[from..from + frame], &mut audio);
        phone.speak(tick, plan(codec, remote, crypto).payload_type, &audio[..bytes], coding.frame_ticks());
        if tick % 400 < 380 {
            let at = tick * rate.frame_samples() % (bot.len() - rate.frame_samples());
            let samples = &bot[at..at + rate.frame_samples()];
            ends.speech.push(UtteranceId(1), (tick % 400 / 100) as u16, samples, tick % 100 == 99);
        }
        let due = Moment::from_millis(20 * tick as u64);
        if tick % 100 == 50 {
            assert!(port.press('7'), "no room for a key");
        }
        // What a thread reads with is made at the first tick of its life.
        let measured = touches(|| {
            if tick % 333 == 332 {
                line.skip(due, &mut leg, &mut tape);
            } else {
                line.tick(due, &mut leg, &mut tape);
            }
        });
        calls += if tick == 0 { 0 } else { measured };
        assert_eq!(calls, 0, "tick {tick}: the allocator was called");
        phone.listen();
        let _ = ends.listen.pop_partial_slice(&mut listened);
        while let Ok(fact) = ends.facts.pop() {
            voices += u32::from(matches!(fact, LineFact::VoiceBegan { .. }));
            keys += u32::from(matches!(fact, LineFact::Digit { .. }));
        }
        while let Some(block) = pool.pop_full() {
            pool.give_back(block);
        }
    }
    let stats = leg.stats();
    assert!(voices > 10 && keys > 40, "{voices} voices, {keys} keys: {stats:?}");
    assert!(stats.lost > 100 && stats.reordered > 10 && stats.duplicated > 10 && stats.foreign > 100, "{stats:?}");
    // A tick that is skipped, 30 of them, has no packet.
    assert_eq!((phone.got, phone.gaps, stats.sent), (9_970, 0, 9_970), "one packet a tick: {stats:?}");
    assert!(phone.reports >= 39, "{} reports", phone.reports);
}

/// What a call's two tasks do in one frame's time: audio and speech in, orders, and everything out that is there.
struct Caller {
    line: LineHandle,
    port: LegPort,
    rate: SampleRate,
    frames: usize,
    utterance: UtteranceId,
    heard: Heard,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    frames: u64,
    clears: u64,
    voices: u64,
    cuts: u64,
    listened: usize,
}

impl std::ops::AddAssign for Heard {
    fn add_assign(&mut self, more: Self) {
        self.frames += more.frames;
        self.clears += more.clears;
        self.voices += more.voices;
        self.cuts += more.cuts;
        self.listened += more.listened;
    }
}

impl Caller {
    fn open(shards: &Shards, rate: SampleRate, tape: BlockWriter) -> Self {
        let (line, port) = shards.open(rate, Some(tape)).expect("a place");
        Self { line, port, rate, frames: 0, utterance: UtteranceId(1), heard: Heard::default() }
    }

    fn frame(&mut self, caller: &[i16], bot: &[i16]) {
        let (frame, at) = (self.rate.frame_samples(), self.frames);
        self.frames += 1;
        let from = at * frame;
        if at % 150 < 100 {
            self.port.caller_audio(&caller[from % (caller.len() - frame)..][..frame]);
        } else if at % 7 != 0 {
            self.port.caller_audio(&[0; MAX_FRAME_SAMPLES][..frame]);
        }
        self.line.ends.speech.push(self.utterance, 0, &bot[from % (bot.len() - frame)..][..frame], at % 100 == 99);
        let order = match at % 100 {
            10 => Some(LineOrder::SeekBeep { on: at % 200 == 10 }),
            30 => Some(LineOrder::Pause),
            35 => Some(LineOrder::Resume),
            60 => Some(LineOrder::Cut { utterance: self.utterance }),
            _ => None,
        };
        if let Some(order) = order {
            let _ = self.line.ends.orders.push(order);
        }
        if at % 100 == 60 {
            self.utterance = self.utterance.next();
        }
        // A far end that stops reading for a while, also when its utterance is cut.
        let reads = !(50..65).contains(&(at % 200));
        while let Some(item) = reads.then(|| self.port.pop()).flatten() {
            match item {
                OutItem::Frame(_) => self.heard.frames += 1,
                OutItem::Clear => self.heard.clears += 1,
            }
        }
        self.heard.listened += self.line.ends.listen.pop_partial_slice(&mut [0_i16; 4_096]).0.len();
        while let Ok(fact) = self.line.ends.facts.pop() {
            self.heard.voices += u64::from(matches!(fact, LineFact::VoiceBegan { .. }));
            self.heard.cuts += u64::from(matches!(fact, LineFact::SpeechCut { .. }));
        }
    }
}

/// Waits for the media thread.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = rt::now().plus_ms(60_000);
    while !holds() {
        assert!(rt::now() < limit, "{what}");
        rt::park_until(rt::now().plus_ms(5));
    }
}

#[test]
fn a_media_thread_allocates_and_frees_nothing_from_a_calls_first_tick_to_its_last() {
    const LINES: usize = 24;
    const TICKS: u64 = 10_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let _within = runtime.enter();
    let lateness = Metrics::new().tick_lateness.clone();
    let config = Config { shards: 1, ..Config::default() };
    let shards = Shards::start(&config, LINES, Some(lateness)).expect("a media thread");
    until("the thread says who it is", || shards.views()[0].thread_id != 0);
    // Here, so that what is watched is seen to be counted.
    watch(rt::thread_id());
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert!(watched() >= 2, "the counter counts");

    let pool = BlockPool::new(LINES * 4);
    let (caller, bot) = (clip("caller_rms"), clip("bot_slt"));
    let rates = [SampleRate::NARROW, SampleRate::WIDE, SampleRate::STUDIO];
    let mut tapes = 0;
    let mut call = || {
        tapes += 1;
        Caller::open(&shards, rates[tapes as usize % 3], BlockWriter::new(pool.clone(), tapes))
    };
    watch(shards.views()[0].thread_id);
    let mut calls: Vec<Caller> = (0..LINES).map(|_| call()).collect();
    let (mut heard, mut blocks, mut due) = (Heard::default(), 0, rt::now());
    while shards.views()[0].ticks < TICKS {
        due = due.max(rt::now()).plus_ms(20);
        for one in &mut calls {
            one.frame(&caller, &bot);
        }
        // Calls come and go while others are up.
        if calls[0].frames % 50 == 0 {
            let mut over = calls.remove(0);
            let mut done = over.line.done().expect("asked once");
            let _ = over.line.ends.orders.push(LineOrder::Close);
            until("a line that is closed is over", || done.try_recv().is_ok());
            heard += over.heard;
            calls.push(call());
        }
        while let Some(block) = pool.pop_full() {
            blocks += 1;
            pool.give_back(block);
        }
        rt::park_until(due);
    }
    for one in &calls {
        heard += one.heard;
    }
    drop(calls);
    until("every line is over", || shards.views()[0].lines == 0);
    let (touches, view) = (watched(), &shards.views()[0]);
    assert_eq!(touches, 0, "{touches} times the media thread called the allocator: {view:?}");
    assert!(heard.voices > 20 && heard.cuts > 5 && heard.clears > 5, "{heard:?}: the lines were alive");
    assert!(heard.frames > 2_000 && heard.listened > 1_000_000 && blocks > 100, "{heard:?}, {blocks} blocks");
}
