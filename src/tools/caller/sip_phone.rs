//! The caller's telephone on a SIP trunk: a call over datagrams with G.711 µ-law and keys as RFC 4733 has them. Gives and takes what a
//! dialler's socket does, so that the caller behind it does not know which line it is on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::machine::FRAME;
use super::socket::{Came, ConnectError};
use crate::media::{ulaw_decode, ulaw_encode};
use crate::rt;
use crate::tools::ua::{Dialog, Parties, Stage, Step};
use crate::wire::rtp::{EventSender, RtpHeader, RtpPacket};
use crate::wire::sip::Message;
use crate::wire::ws::native::{FromBot, ReverseMedia};

/// For the last word on a call that was given up, and between two tries to have it.
const CANCEL_LIMIT: Duration = Duration::from_secs(3);
const CANCEL_AGAIN: Duration = Duration::from_millis(500);
/// For the answer to our BYE.
const BYE_LIMIT: Duration = Duration::from_secs(3);
/// Between two looks at what has to be repeated.
const REPEAT: Duration = Duration::from_millis(100);
/// Messages that wait for the caller's next tick. Full: the newest is dropped, as a network would.
const WAITING: usize = 1_024;
/// Payload types of our offer.
const ULAW: u8 = 0;
const KEYS: u8 = 101;
/// How long a key is pressed, and how loud, in dBm0 below zero.
const PRESS_MS: u32 = 120;
const PRESS_VOLUME: u8 = 10;
const SSRC: u32 = 0x7068_6f6e;

/// The telephone while the call lasts.
pub(super) struct SipPhone {
    sip: Arc<UdpSocket>,
    rtp: Arc<UdpSocket>,
    there: SocketAddr,
    media: SocketAddr,
    dialog: Arc<Mutex<Dialog>>,
    sequence: u16,
    timestamp: u32,
    keys: EventSender,
}

/// Number and address of `sip:NUMBER@ADDRESS:PORT`.
fn target(url: &str) -> Option<(String, SocketAddr)> {
    let (number, at) = url.strip_prefix("sip:")?.split_once('@')?;
    Some((number.to_owned(), at.parse().ok()?))
}

fn lock(dialog: &Mutex<Dialog>) -> MutexGuard<'_, Dialog> {
    dialog.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SipPhone {
    /// Calls `url` and waits for the answer, `ring_s` at the most; custom fields become `X-` fields.
    ///
    /// # Errors
    /// [`ConnectError`] where no call comes about.
    pub(super) async fn open(
        url: &str,
        caller: &str,
        fields: &[(String, String)],
        ring_s: u32,
    ) -> Result<(Self, mpsc::Receiver<Came>, tokio::task::AbortHandle), ConnectError> {
        let expected = "expected sip:NUMBER@ADDRESS:PORT, the address in figures".to_owned();
        let bad = || ConnectError::BadUrl { url: url.to_owned(), detail: expected.clone() };
        let (dialled, there) = target(url).ok_or_else(bad)?;
        let gone = |error: std::io::Error| ConnectError::Unreachable { url: url.to_owned(), detail: error.to_string() };
        let ip = if there.ip().is_loopback() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let sip = Arc::new(UdpSocket::bind((ip, 0)).await.map_err(gone)?);
        let rtp = Arc::new(UdpSocket::bind((ip, 0)).await.map_err(gone)?);
        // What this machine is called on the way there.
        sip.connect(there).await.map_err(gone)?;
        let here = sip.local_addr().map_err(gone)?;
        let audio = SocketAddr::new(here.ip(), rtp.local_addr().map_err(gone)?.port());
        let fields =
            fields.iter().map(|(name, value)| (format!("X-{}", name.replace('_', "-")), value.clone())).collect();
        let call_id = uuid::Uuid::now_v7().simple().to_string();
        let parties = Parties { dialled, caller: caller.to_owned(), call_id, fields };
        let mut dialog = Dialog::new(parties, here, there, audio);
        let limit = Duration::from_secs(u64::from(ring_s));
        let Some(answered) = rt::timeout(limit, answered(&sip, &mut dialog, url)).await else {
            // Whatever comes of it, nobody is left ringing for longer than that.
            let _ = rt::timeout(CANCEL_LIMIT, give_up(&sip, &mut dialog)).await;
            return Err(ConnectError::RangOut { url: url.to_owned(), seconds: ring_s });
        };
        let media = answered?;
        let dialog = Arc::new(Mutex::new(dialog));
        let (to, came) = mpsc::channel(WAITING);
        let reader =
            Reader { sip: Arc::clone(&sip), rtp: Arc::clone(&rtp), dialog: Arc::clone(&dialog), to, first: None };
        let reading = rt::spawn("caller-reader", reader.run()).abort_handle();
        let keys = EventSender::new(8_000, PRESS_VOLUME);
        Ok((Self { sip, rtp, there, media, dialog, sequence: 1, timestamp: 0, keys }, came, reading))
    }

    /// One frame of the caller, or of the key that is pressed.
    pub(super) async fn media(&mut self, samples: &[i16]) {
        let mut packet = [0; RtpHeader::BYTES + FRAME];
        let pressed = self.keys.tick(self.timestamp);
        let (payload_type, timestamp, marker) = match &pressed {
            Some(key) => (KEYS, key.timestamp, key.marker),
            None => (ULAW, self.timestamp, self.sequence == 1),
        };
        let header = RtpHeader { payload_type, marker, sequence: self.sequence, timestamp, ssrc: SSRC };
        let head = header.write(&mut packet).unwrap_or(0);
        let length = match pressed {
            Some(key) => {
                packet[head..head + key.payload.len()].copy_from_slice(&key.payload);
                key.payload.len()
            }
            None => ulaw_encode(samples, &mut packet[head..]),
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        // A packet that the system does not take is a packet lost.
        let _ = self.rtp.send_to(&packet[..head + length], self.media).await;
    }

    /// Presses a key; one too many is no key.
    pub(super) fn key(&mut self, key: char) {
        if let Err(error) = self.keys.press(key, PRESS_MS) {
            tracing::warn!(%error, "a key of the caller is not pressed");
        }
    }

    /// Hangs up, unless the far end did.
    pub(super) async fn hang_up(&mut self) {
        let text = {
            let mut dialog = lock(&self.dialog);
            (dialog.stage == Stage::Up).then(|| dialog.bye(rt::now()))
        };
        if let Some(text) = text {
            let _ = self.sip.send(text.as_bytes()).await;
        }
    }

    /// Waits for the answer to our BYE, which is repeated meanwhile.
    pub(super) async fn close(&mut self, came: &mut mpsc::Receiver<Came>) {
        let closed = async {
            loop {
                match rt::timeout(REPEAT, came.recv()).await {
                    Some(None | Some(Came::Closed { .. })) => return,
                    Some(Some(_)) => {}
                    None => {
                        let again = lock(&self.dialog).repeat(rt::now());
                        match again {
                            Ok(Some(text)) => drop(self.sip.send(text.as_bytes()).await),
                            Ok(None) => {}
                            Err(()) => return,
                        }
                    }
                }
            }
        };
        if rt::timeout(BYE_LIMIT, closed).await.is_none() {
            tracing::warn!(there = %self.there, "the far end did not answer the caller's hang-up");
        }
    }
}

/// Sends the INVITE until it is answered.
async fn answered(sip: &UdpSocket, dialog: &mut Dialog, url: &str) -> Result<SocketAddr, ConnectError> {
    let gone = |error: std::io::Error| ConnectError::Unreachable { url: url.to_owned(), detail: error.to_string() };
    let invite = dialog.invite(rt::now());
    sip.send(invite.as_bytes()).await.map_err(gone)?;
    let mut buffer = [0; 4096];
    loop {
        let Some(read) = rt::timeout(REPEAT, sip.recv(&mut buffer)).await else {
            if let Ok(Some(again)) = dialog.repeat(rt::now()) {
                sip.send(again.as_bytes()).await.map_err(gone)?;
            }
            continue;
        };
        let Ok(message) = Message::parse(&buffer[..read.map_err(gone)?]) else { continue };
        let (step, say) = dialog.came(&message);
        if let Some(say) = say {
            sip.send(&say).await.map_err(gone)?;
        }
        match step {
            Step::Answered(media) => return Ok(media),
            Step::Refused(status, _) => {
                let body = message.reason().unwrap_or_default().to_owned();
                return Err(ConnectError::Refused { url: url.to_owned(), status, body });
            }
            _ => {}
        }
    }
}

/// Cancels a call that is not answered; one that is answered in that moment is ended by BYE.
async fn give_up(sip: &UdpSocket, dialog: &mut Dialog) {
    // Whom nobody has heard of there is nobody to be told (RFC 3261 section 9.1).
    let Some(cancel) = dialog.cancel() else { return };
    let mut say = cancel;
    let mut buffer = [0; 4096];
    loop {
        let _ = sip.send(say.as_bytes()).await;
        let again = rt::now().plus_ms(CANCEL_AGAIN.as_millis().try_into().unwrap_or(u64::MAX));
        while let Some(read) =
            rt::timeout(Duration::from_millis(again.ms_since(rt::now())), sip.recv(&mut buffer)).await
        {
            let Ok(message) = read.map(|length| Message::parse(&buffer[..length])) else { return };
            let Ok(message) = message else { continue };
            let (step, answer) = dialog.came(&message);
            if let Some(answer) = answer {
                let _ = sip.send(&answer).await;
            }
            match step {
                Step::Refused(..) | Step::Over => return,
                Step::Answered(_) => {
                    say = dialog.bye(rt::now());
                    break;
                }
                _ => {}
            }
        }
    }
}

/// Reads both sockets until the call is over.
struct Reader {
    sip: Arc<UdpSocket>,
    rtp: Arc<UdpSocket>,
    dialog: Arc<Mutex<Dialog>>,
    to: mpsc::Sender<Came>,
    /// The number of the first packet of the far end.
    first: Option<u16>,
}

impl Reader {
    async fn run(mut self) {
        let (mut message, mut packet) = ([0; 4096], [0; 2048]);
        loop {
            tokio::select! {
                read = self.sip.recv(&mut message) => {
                    let Ok(n) = read else { continue };
                    if self.signalled(&message[..n]).await {
                        return;
                    }
                }
                read = self.rtp.recv(&mut packet) => {
                    let Ok(n) = read else { continue };
                    self.heard(&packet[..n]);
                }
            }
        }
    }

    /// `true` where the call is over.
    async fn signalled(&mut self, bytes: &[u8]) -> bool {
        let Ok(message) = Message::parse(bytes) else { return false };
        let (step, say) = lock(&self.dialog).came(&message);
        if let Some(say) = say {
            let _ = self.sip.send(&say).await;
        }
        let over = matches!(step, Step::HungUp | Step::Over);
        let told = match step {
            Step::HungUp => Some(FromBot::HangUp { message: String::new() }),
            Step::Transfer(to) => Some(FromBot::Transfer { to }),
            _ => None,
        };
        if let Some(told) = told {
            let _ = self.to.send(Came::Message(rt::now(), told)).await;
        }
        if over {
            let _ = self.to.send(Came::Closed { in_order: true }).await;
        }
        over
    }

    fn heard(&mut self, bytes: &[u8]) {
        let Ok(packet) = RtpPacket::parse(bytes) else { return };
        if packet.header.payload_type != ULAW {
            return;
        }
        let first = *self.first.get_or_insert(packet.header.sequence);
        let mut samples = [0i16; FRAME];
        let n = ulaw_decode(packet.payload, &mut samples);
        let media = ReverseMedia {
            // Counts on over what was lost, as a dialler's chunks would not.
            chunk: u64::from(packet.header.sequence.wrapping_sub(first)) + 1,
            did: String::new(),
            payload: samples[..n].iter().flat_map(|sample| sample.to_le_bytes()).collect(),
            timestamp: String::new(),
            stream_id: String::new(),
            caller_id: String::new(),
            chunk_durn_ms: 20,
            call_direction: String::new(),
            encoding: "MULAW".to_owned(),
        };
        // A caller that is far behind loses what comes now.
        let _ = self.to.try_send(Came::Message(rt::now(), FromBot::Media(media)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_or_refused() {
        assert_eq!(target("sip:2000@127.0.0.1:5060"), Some(("2000".to_owned(), "127.0.0.1:5060".parse().unwrap())));
        for bad in ["sip:127.0.0.1:5060", "2000@127.0.0.1:5060", "sip:2000@host", "ws://h/ws/b"] {
            assert_eq!(target(bad), None, "{bad}");
        }
    }
}
