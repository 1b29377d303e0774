//! Outgoing calls that a machine answers, by a trunk and by a dialler's socket: it greets at length and beeps, and the message is on its
//! tape after the beep, whole, and nothing of the bot in between. Without a message the machine is hung up on.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use voicefleet::media::{Tone, ulaw_decode, ulaw_encode};
use voicefleet::provider::standin;
use voicefleet::results::CallResult;
use voicefleet::rt;
use voicefleet::transport::ws::{ClientTls, connect};
use voicefleet::units::SampleRate;
use voicefleet::wire::ws::native::{Dialler, FromBot};

use crate::http::send;
use crate::tape::{channels, is_audible, tone_peaks};
use crate::world::{Folder, PATIENCE, World, beside_others, brisk, standin_bot};

const FRAME: usize = 160;
const GREETING_MS: usize = 4_000;
const PAUSE_MS: usize = 700;
const BEEP_MS: usize = 500;
/// Where on the machine's own tape its beep ends.
const RECORDS_FROM: usize = (GREETING_MS + PAUSE_MS + BEEP_MS) * 8;
/// The machine records so long, then hangs up on whoever is still there.
const TAPE: usize = RECORDS_FROM + 20_000 * 8;

/// What a machine plays: speech without a pause, a breath, a beep.
fn greeting_and_beep() -> Vec<i16> {
    let path = format!("{}/fixtures/audio/caller_rms.wav", env!("CARGO_MANIFEST_DIR"));
    let mut reader = hound::WavReader::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let clip: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let loud = clip.chunks(FRAME).filter(|frame| frame.iter().any(|s| s.unsigned_abs() > 1_200));
    let mut played: Vec<i16> = loud.flatten().copied().cycle().take(GREETING_MS * 8).collect();
    played.resize((GREETING_MS + PAUSE_MS) * 8, 0);
    played.extend(Tone::new(SampleRate::NARROW, &[1_000.0], 6_000).take_ms(BEEP_MS as u64));
    played
}

fn frame_of(played: &[i16], at: usize) -> [i16; FRAME] {
    let mut frame = [0; FRAME];
    let rest = played.get(at..).unwrap_or_default();
    frame.iter_mut().zip(rest).for_each(|(out, sample)| *out = *sample);
    frame
}

fn words() -> standin::Config {
    let line = "I cannot come to the phone, please leave a message after the tone.".to_owned();
    standin::Config { caller_lines: vec![line], ..brisk() }
}

const WITH_MESSAGE: &str =
    "[voicemail]\nmessage = \"This is the bank, please call us back about {{call.what|your account}}.\"\n";

/// A SIP machine: answers the first call, plays, and keeps what it hears until it is hung up on.
struct Machine {
    sip: UdpSocket,
    rtp: UdpSocket,
    /// It greets before it answers.
    early: bool,
}

impl Machine {
    fn new(early: bool) -> Self {
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        Self { sip: socket(), rtp: socket(), early }
    }

    fn response(&self, request: &str, status: &str, sdp: bool) -> String {
        let copied: String = request
            .lines()
            .filter(|line| ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)))
            .map(|line| format!("{}\r\n", line.trim()))
            .collect();
        let to = request.lines().find(|line| line.starts_with("To:")).unwrap().trim();
        let to = if to.contains(";tag=") { to.to_owned() } else { format!("{to};tag=m1") };
        let here = self.sip.local_addr().unwrap();
        let port = self.rtp.local_addr().unwrap().port();
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n\
             a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
        );
        let (kind, body) = if sdp { ("Content-Type: application/sdp\r\n", body) } else { ("", String::new()) };
        format!(
            "SIP/2.0 {status}\r\n{copied}{to}\r\nContact: <sip:machine@{here}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Waits for a call and serves it; returns what was heard, at the machine's own clock.
    fn serve(self) -> Vec<i16> {
        self.sip.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = [0; 8_192];
        let (n, from) = self.sip.recv_from(&mut buffer).expect("a call");
        let invite = String::from_utf8_lossy(&buffer[..n]).into_owned();
        assert!(invite.starts_with("INVITE "), "{invite}");
        let port = invite.lines().find_map(|line| line.strip_prefix("m=audio ")).expect("an offer");
        let to = SocketAddr::from(([127, 0, 0, 1], port.split(' ').next().unwrap().parse().unwrap()));
        self.say(from, &self.response(&invite, if self.early { "183 Session Progress" } else { "200 OK" }, true));
        for socket in [&self.sip, &self.rtp] {
            socket.set_nonblocking(true).unwrap();
        }
        let (played, start) = (greeting_and_beep(), rt::now());
        let answer_at = if self.early { GREETING_MS * 8 } else { 0 };
        let mut heard = Vec::new();
        for i in 0..TAPE / FRAME {
            if self.early && i * FRAME == answer_at {
                self.say(from, &self.response(&invite, "200 OK", true));
            }
            let mut packet = vec![0x80, 0, (i >> 8) as u8, i as u8];
            packet.extend(((i * FRAME) as u32).to_be_bytes());
            packet.extend(99_u32.to_be_bytes());
            let mut coded = [0; FRAME];
            ulaw_encode(&frame_of(&played, i * FRAME), &mut coded);
            packet.extend(coded);
            self.rtp.send_to(&packet, to).unwrap();
            let due = start + Duration::from_millis(20 * (i as u64 + 1));
            while rt::now() < due {
                while let Ok((n, _)) = self.rtp.recv_from(&mut buffer) {
                    if n == FRAME + 12 && buffer[1] & 0x7f == 0 {
                        let mut frame = [0; FRAME];
                        ulaw_decode(&buffer[12..n], &mut frame);
                        heard.extend(frame);
                    }
                }
                if let Ok((n, from)) = self.sip.recv_from(&mut buffer) {
                    let request = String::from_utf8_lossy(&buffer[..n]).into_owned();
                    if request.starts_with("BYE ") {
                        self.say(from, &self.response(&request, "200 OK", false));
                        return heard;
                    }
                }
                std::thread::yield_now();
            }
            // What has not come by now is silence on the tape.
            heard.resize(heard.len().max((i * FRAME).saturating_sub(3 * FRAME)), 0);
        }
        panic!("nobody hangs up");
    }

    fn say(&self, to: SocketAddr, text: &str) {
        self.sip.send_to(text.as_bytes(), to).unwrap();
    }
}

/// The bot said nothing from the moment that it was suspected until the beep was over, and then all of its message.
fn assert_left(result: &CallResult, wav: &std::path::Path) {
    assert_eq!((result.end_reason.as_str(), result.disconnected_by.code()), ("voicemail", "voicemail"));
    let known = result.voicemail.as_ref().unwrap();
    assert_eq!((known.verdict.as_str(), known.message_left), ("beep", true), "{known:?}");
    assert!(known.confidence >= 0.9 && known.signals.iter().any(|signal| signal.kind == "machine_words"), "{known:?}");
    let (left, right) = channels(wav);
    let beeps = tone_peaks(&left, 1_000.0);
    let beep = beeps.iter().rposition(|&peak| peak > 3_000.0).expect("the beep is recorded");
    let end = (beep + 1) * 1_600;
    assert!(!is_audible(&right[end - 12_000..end - 1_600]), "the bot lets it finish");
    assert!(is_audible(&right[end..]), "and speaks after it");
    let last = result.transcript.last().unwrap();
    assert!(last.heard && last.text.reveal().ends_with("call us back about your account."), "{last:?}");
}

async fn by_trunk(name: &str, bot: &str, early: bool) -> (CallResult, Vec<i16>, World) {
    let machine = Machine::new(early);
    let folder = Folder::new(name);
    folder.bot("demo", &standin_bot("").replace("[providers]", &format!("{bot}\n[providers]")));
    let address = machine.sip.local_addr().unwrap();
    let trunk = format!(
        "name = \"Carrier\"\n[outbound]\ntargets = [\"{address}\"]\nprefixes = [\"+91\"]\n[identity]\ncaller_id = \"+9180\"\n"
    );
    folder.trunk("carrier", &trunk);
    let world = World::over(folder, |_| {}, words()).await;
    let serving = tokio::task::spawn_blocking(move || machine.serve());
    let body = json!({"bot_id": "demo", "to_number": "+911"}).to_string();
    assert_eq!(send(world.running.address, "/api/v1/calls", &body).await.status, 200);
    let heard = serving.await.unwrap();
    let result = world.result_of("+911").await;
    (result, heard, world)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_on_a_trunk_gets_the_message_after_its_beep() {
    let _beside = beside_others().await;
    let (result, heard, world) = by_trunk("voicemail-sip", WITH_MESSAGE, false).await;
    assert_left(&result, &world.folder.calls().remove(0).join("recording.wav"));
    // The machine's own tape, from where it records.
    assert!(!is_audible(&heard[RECORDS_FROM - 8_000..RECORDS_FROM]), "not into the beep");
    let message = heard[RECORDS_FROM..].iter().filter(|sample| sample.unsigned_abs() > 500).count();
    assert!(message > 4_000, "{message} loud samples of the message");
    let journal = std::fs::read_to_string(world.folder.calls().remove(0).join("journal")).unwrap();
    assert!(journal.contains("\"beeped\":{") && journal.contains("\"verdict\":\"beep\""), "the evidence is kept");
    assert!(journal.contains("\"message_left\":true"));
    let counted = async |verdict| world.metric(&format!("voicefleet_machines_total{{verdict=\"{verdict}\"}}")).await;
    assert_eq!([counted("human").await, counted("machine").await, counted("beep").await], [0.0, 1.0, 1.0]);
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_greets_before_it_answers_is_heard_and_not_answered() {
    let _beside = beside_others().await;
    let (result, heard, world) = by_trunk("voicemail-early", WITH_MESSAGE, true).await;
    assert_left(&result, &world.folder.calls().remove(0).join("recording.wav"));
    let known = result.voicemail.unwrap();
    assert_eq!(known.signals[0].kind, "early_speech", "{known:?}");
    assert!(!is_audible(&heard[..RECORDS_FROM]), "nothing is said before the answer, nor until the beep");
    assert_eq!(result.resources.llm_asks, 0, "the dialogue never began");
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_hung_up_on_where_the_bot_has_no_message() {
    let _beside = beside_others().await;
    let (result, heard, world) = by_trunk("voicemail-none", "", false).await;
    assert_eq!((result.end_reason.as_str(), result.disconnected_by.code()), ("voicemail", "voicemail"));
    let known = result.voicemail.unwrap();
    assert!(known.verdict == "machine" && !known.message_left && known.signals.len() >= 2, "{known:?}");
    assert!(heard.len() < RECORDS_FROM, "before the beep");
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_behind_a_dialler_gets_the_message_after_its_beep() {
    let _beside = beside_others().await;
    let folder = Folder::new("voicemail-ws");
    folder.bot("demo", &standin_bot("").replace("[providers]", &format!("{WITH_MESSAGE}\n[providers]")));
    let world = World::over(folder, |_| {}, words()).await;
    let mut client = connect(&world.ws("demo"), None, &ClientTls::Public, PATIENCE).await.unwrap();
    let wire = Dialler::new("st-mail");
    let named = [("callerId", "+91-mail"), ("did", "+9180"), ("callDirection", "outgoing")];
    for text in [wire.connected(&named, &[]), wire.start("LINEAR", 8_000, false), wire.answer()] {
        client.send_text(text).await.unwrap();
    }
    let (played, start, mut at) = (greeting_and_beep(), rt::now(), 0);
    let mut after_beep = 0;
    loop {
        tokio::select! {
            biased;
            came = client.next() => {
                let Ok(Message::Text(text)) = came else { break };
                match Dialler::read(text.as_str()).unwrap() {
                    FromBot::Media(_) if at >= RECORDS_FROM => after_beep += 1,
                    FromBot::HangUp { .. } => client.send_text(wire.hang_up("bot")).await.unwrap(),
                    _ => {}
                }
            }
            () = rt::sleep_until(start.plus_ms(at as u64 / 8)) => {
                assert!(at < TAPE, "nobody hangs up");
                let bytes: Vec<u8> = frame_of(&played, at).iter().flat_map(|sample| sample.to_le_bytes()).collect();
                if client.send_text(wire.media(&bytes)).await.is_err() {
                    break;
                }
                at += FRAME;
            }
        }
    }
    let result = world.result_of("+91-mail").await;
    assert_left(&result, &world.folder.calls().remove(0).join("recording.wav"));
    assert!(after_beep > 40, "{after_beep} frames after the beep");
    world.quiet().await;
    world.stop().await;
}
