//! The signalling of one call, placed or answered: as little SIP as a test caller and a load need, over datagrams. Pure: text in, text
//! out, times are arguments.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::units::Moment;
use crate::wire::sdp::Description;
use crate::wire::sip::{Message, parameter};

/// Until a request is repeated the first time; doubled then (RFC 3261 17.1.1.2).
const T1_MS: u64 = 500;
/// So often is a request repeated before the call counts as failed.
const REPEATS: u32 = 5;
/// An answer of ours that is not acknowledged by then belongs to no call.
const UNACKNOWLEDGED_MS: u64 = 32_000;

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Dialling,
    Up,
    Leaving,
}

/// Who calls whom.
#[derive(Clone, Debug)]
pub(super) struct Parties {
    /// The dialled number.
    pub dialled: String,
    /// The caller's.
    pub caller: String,
    pub call_id: String,
    /// More fields of the INVITE.
    pub fields: Vec<(String, String)>,
}

/// What a message did to the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing that matters here.
    Nothing,
    /// It is up; audio goes there.
    Answered(SocketAddr),
    /// It is refused: the status, and whether a time to come back is named.
    Refused(u16, bool),
    /// The worker hung up.
    HungUp,
    /// The worker wants the call to go there.
    Transfer(String),
    /// Our hang-up is confirmed.
    Over,
}

/// A call that came to us.
#[derive(Clone, Debug)]
struct Came {
    /// Our 200, said again as long as it is not acknowledged (RFC 3261 13.3.1.4: here whenever the INVITE is repeated).
    answer: Vec<u8>,
    /// Where the caller wants its audio.
    audio: SocketAddr,
}

/// One call's signalling.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    call_id: String,
    pub stage: Stage,
    /// When the request that is under way was sent first.
    pub since: Moment,
    here: SocketAddr,
    /// The request's URI, and both ends as From and To have them.
    target: String,
    local: String,
    remote: String,
    /// More fields of the INVITE.
    fields: Vec<(String, String)>,
    sequence: u32,
    body: String,
    repeat_at: Moment,
    repeats: u32,
    came: Option<Came>,
    /// The far end has said that it tries, or more.
    heard_of: bool,
}

/// What this end offers, or answers with: µ-law and keys.
fn description(audio: SocketAddr) -> String {
    let (ip, port) = (audio.ip(), audio.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
    )
}

fn audio_of(message: &Message) -> Option<SocketAddr> {
    let sdp = Description::parse(&message.body).ok()?;
    Some(sdp.media.first()?.remote()).filter(|at| at.port() != 0)
}

impl Dialog {
    /// A call from `here` to `there` whose audio comes to `audio`.
    pub fn new(parties: Parties, here: SocketAddr, there: SocketAddr, audio: SocketAddr) -> Self {
        let Parties { dialled, caller, call_id, fields } = parties;
        Self {
            stage: Stage::Dialling,
            since: Moment::ZERO,
            here,
            target: format!("sip:{dialled}@{there}"),
            local: format!("<sip:{caller}@{here}>;tag=c-{call_id}"),
            remote: format!("<sip:{dialled}@{there}>"),
            call_id,
            fields,
            sequence: 1,
            body: description(audio),
            repeat_at: Moment::ZERO,
            repeats: 0,
            came: None,
            heard_of: false,
        }
    }

    /// A call that comes to `here` by this INVITE and is answered at once, with its audio to come to `audio`; it is up when the answer is
    /// acknowledged. `None` where the INVITE is none that this end can answer. `since`: when the call was asked for.
    pub fn called(invite: &Message, since: Moment, here: SocketAddr, audio: SocketAddr) -> Option<(Self, Vec<u8>)> {
        let call_id = invite.get("Call-ID")?.to_owned();
        let mut answer = Message::response(invite, 200, "", &format!("c-{}", here.port()));
        answer.push("Contact", &format!("<sip:called@{here}>"));
        answer.set_sdp(&description(audio));
        let contact = invite.get("Contact")?;
        let target = contact.split(['<', '>']).nth(1).unwrap_or(contact).to_owned();
        let local = answer.get("To")?.to_owned();
        let answer = answer.to_bytes();
        let came = Some(Came { answer: answer.clone(), audio: audio_of(invite)? });
        let dialog = Self {
            stage: Stage::Dialling,
            since,
            here,
            target,
            local,
            remote: invite.get("From")?.to_owned(),
            call_id,
            fields: Vec::new(),
            sequence: 0,
            body: String::new(),
            repeat_at: Moment::ZERO,
            repeats: 0,
            came,
            heard_of: false,
        };
        Some((dialog, answer))
    }

    /// Its Call-ID.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    fn request(&self, method: &str) -> String {
        let Self { call_id, here, target, local, remote, fields, sequence, .. } = self;
        let mut text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK-{call_id}-{sequence}-{method};rport\r\n\
             Max-Forwards: 70\r\nFrom: {local}\r\nTo: {remote}\r\n\
             Call-ID: {call_id}\r\nCSeq: {sequence} {method}\r\nContact: <sip:caller@{here}>\r\n"
        );
        for (name, value) in fields.iter().filter(|_| method == "INVITE") {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let body = if method == "INVITE" { self.body.as_str() } else { "" };
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
        text
    }

    fn begin(&mut self, now: Moment, method: &str) -> String {
        (self.since, self.repeats, self.repeat_at) = (now, 0, now.plus_ms(T1_MS));
        self.request(method)
    }

    /// Calls.
    pub fn invite(&mut self, now: Moment) -> String {
        self.begin(now, "INVITE")
    }

    /// Hangs up.
    pub fn bye(&mut self, now: Moment) -> String {
        self.stage = Stage::Leaving;
        self.sequence += 1;
        self.begin(now, "BYE")
    }

    /// Gives the call up before it is answered; `None` where nothing has come back yet, and nobody may be told (RFC 3261 section 9.1).
    pub fn cancel(&self) -> Option<String> {
        // It has the branch of what it cancels.
        let text = || self.request("CANCEL").replace("-CANCEL;rport", "-INVITE;rport");
        (self.heard_of && self.stage == Stage::Dialling).then(text)
    }

    /// The request again, where its time has come; `Err` where it was repeated often enough.
    pub fn repeat(&mut self, now: Moment) -> Result<Option<String>, ()> {
        if self.stage == Stage::Dialling && self.came.is_some() {
            return if now.ms_since(self.since) > UNACKNOWLEDGED_MS { Err(()) } else { Ok(None) };
        }
        if self.stage == Stage::Up || now < self.repeat_at {
            return Ok(None);
        }
        if self.repeats >= REPEATS {
            return Err(());
        }
        self.repeats += 1;
        self.repeat_at = now.plus_ms(T1_MS << self.repeats);
        Ok(Some(self.request(if self.stage == Stage::Dialling { "INVITE" } else { "BYE" })))
    }

    /// A message of this call came: what it did, and what is to be said to it.
    pub fn came(&mut self, message: &Message) -> (Step, Option<Vec<u8>>) {
        if message.method().is_some() {
            let answer = (message.method() != Some("ACK")).then(|| Message::response(message, 200, "", "").to_bytes());
            if let Some(Came { answer, audio }) = &self.came {
                match (message.method(), self.stage) {
                    (Some("INVITE"), Stage::Dialling) => return (Step::Nothing, Some(answer.clone())),
                    (Some("ACK"), Stage::Dialling) => {
                        self.stage = Stage::Up;
                        return (Step::Answered(*audio), None);
                    }
                    _ => {}
                }
            }
            let step = match (message.method(), message.get("Refer-To")) {
                (Some("BYE"), _) => Step::HungUp,
                (Some("REFER"), Some(to)) => {
                    let accepted = Message::response(message, 202, "", "").to_bytes();
                    return (Step::Transfer(to.trim_matches(['<', '>']).to_owned()), Some(accepted));
                }
                _ => Step::Nothing,
            };
            return (step, answer);
        }
        let status = message.status().unwrap_or(0);
        let invite = message.get("CSeq").is_some_and(|value| value.ends_with("INVITE"));
        if status < 200 {
            // A provisional answer stops the repeating (RFC 3261 17.1.1.2).
            self.repeat_at = self.repeat_at.plus_ms(60_000);
            self.heard_of = true;
            return (Step::Nothing, None);
        }
        if !invite {
            return (if self.stage == Stage::Leaving { Step::Over } else { Step::Nothing }, None);
        }
        if let Some(tag) = message.get("To").and_then(|to| parameter(to, "tag"))
            && parameter(&self.remote, "tag").is_none()
        {
            let _ = write!(self.remote, ";tag={tag}");
        }
        // Of a refusal the ACK belongs to the transaction and has the same branch (17.1.1.3); of a 2xx it has its own.
        let ack = self.request("ACK");
        if status >= 300 {
            let ack = ack.replace("-ACK;rport", "-INVITE;rport");
            return (Step::Refused(status, message.get("Retry-After").is_some()), Some(ack.into_bytes()));
        }
        if self.stage != Stage::Dialling {
            return (Step::Nothing, (self.stage == Stage::Up).then(|| ack.into_bytes()));
        }
        let Some(audio) = audio_of(message) else {
            return (Step::Refused(488, false), Some(ack.into_bytes()));
        };
        self.stage = Stage::Up;
        (Step::Answered(audio), Some(ack.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog() -> Dialog {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let parties = Parties {
            dialled: "1000".to_owned(),
            caller: "+919876543210".to_owned(),
            call_id: "call-7".to_owned(),
            fields: vec![("X-Campaign-Id".to_owned(), "spring".to_owned())],
        };
        Dialog::new(parties, at(4000), at(5060), at(4002))
    }

    fn answer(request: &str, status: u16, sdp: &str) -> Message {
        let request = Message::parse(request.as_bytes()).unwrap();
        assert_eq!(crate::wire::sip::fault_of(&request), None, "{request:?}");
        let mut response = Message::response(&request, status, "", "b9");
        if !sdp.is_empty() {
            response.set_sdp(sdp);
        }
        Message::parse(&response.to_bytes()).unwrap()
    }

    #[test]
    fn a_call_goes_from_invite_to_bye() {
        let mut call = dialog();
        let invite = call.invite(Moment::from_millis(1));
        let sdp =
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0\r\n";
        assert_eq!(call.came(&answer(&invite, 100, "")).0, Step::Nothing);
        let (step, ack) = call.came(&answer(&invite, 200, sdp));
        assert_eq!(step, Step::Answered(SocketAddr::from(([127, 0, 0, 1], 20_000))));
        let ack = String::from_utf8(ack.unwrap()).unwrap();
        assert!(ack.starts_with("ACK ") && ack.contains(";tag=b9"), "{ack}");
        assert!(call.came(&answer(&invite, 200, sdp)).1.is_some(), "a 200 that is repeated is acknowledged again");
        let bye = call.bye(Moment::from_millis(9));
        assert!(bye.contains("CSeq: 2 BYE"));
        assert_eq!(call.came(&answer(&bye, 200, "")).0, Step::Over);
        assert!(
            bye.contains("Call-ID: call-7")
                && !bye.contains("X-Campaign-Id")
                && invite.contains("X-Campaign-Id: spring")
        );
    }

    #[test]
    fn a_refusal_is_acknowledged_in_its_transaction_and_a_request_is_repeated_until_it_is_hopeless() {
        let mut call = dialog();
        let invite = call.invite(Moment::from_millis(1));
        let mut refusal = answer(&invite, 503, "");
        refusal.push("Retry-After", "5");
        let (step, ack) = call.came(&refusal);
        assert_eq!(step, Step::Refused(503, true));
        assert!(String::from_utf8(ack.unwrap()).unwrap().contains("branch=z9hG4bK-call-7-1-INVITE;"));
        let mut call = dialog();
        call.invite(Moment::from_millis(0));
        let mut repeats = 0;
        for ms in 0..60_000 {
            match call.repeat(Moment::from_millis(ms)) {
                Ok(Some(_)) => repeats += 1,
                Ok(None) => {}
                Err(()) => break,
            }
        }
        assert_eq!(repeats, REPEATS);
    }

    #[test]
    fn a_call_is_given_up_once_something_was_heard_of_it() {
        let mut call = dialog();
        let invite = call.invite(Moment::from_millis(1));
        assert_eq!(call.cancel(), None, "nobody is there to be told");
        call.came(&answer(&invite, 180, ""));
        let cancel = call.cancel().unwrap();
        let read = |text: &str| Message::parse(text.as_bytes()).unwrap();
        let (cancel, invite_read) = (read(&cancel), read(&invite));
        assert_eq!((cancel.get("Via"), cancel.get("To")), (invite_read.get("Via"), invite_read.get("To")));
        assert_eq!((cancel.uri(), cancel.get("CSeq")), (invite_read.uri(), Some("1 CANCEL")));
        let taken = Message::parse(&Message::response(&cancel, 200, "", "b9").to_bytes()).unwrap();
        assert_eq!(call.came(&taken), (Step::Nothing, None), "the answer to the CANCEL is not the call's");
        assert_eq!(call.came(&answer(&invite, 487, "")).0, Step::Refused(487, false));
    }

    #[test]
    fn a_call_that_comes_is_answered_is_up_when_that_is_acknowledged_and_is_hung_up_from_here() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut caller = dialog();
        let invite = Message::parse(caller.invite(Moment::from_millis(1)).as_bytes()).unwrap();
        let (mut called, answer) = Dialog::called(&invite, Moment::from_millis(2), at(5060), at(6000)).unwrap();
        let (step, ack) = caller.came(&Message::parse(&answer).unwrap());
        assert_eq!(step, Step::Answered(at(6000)));
        assert_eq!(called.came(&invite), (Step::Nothing, Some(answer)), "an INVITE that is repeated");
        let ack = Message::parse(&ack.unwrap()).unwrap();
        assert_eq!(called.came(&ack), (Step::Answered(at(4002)), None));
        let bye = Message::parse(called.bye(Moment::from_millis(3)).as_bytes()).unwrap();
        assert_eq!((bye.get("CSeq"), bye.get("To")), (Some("1 BYE"), invite.get("From")));
        assert!(bye.uri().unwrap().ends_with("@127.0.0.1:4000") && bye.get("From").unwrap().ends_with(";tag=c-5060"));
        let (step, answer) = caller.came(&bye);
        assert_eq!(step, Step::HungUp);
        assert_eq!(called.came(&Message::parse(&answer.unwrap()).unwrap()).0, Step::Over);
        let (mut unheard, _) = Dialog::called(&invite, Moment::ZERO, at(5060), at(6000)).unwrap();
        assert_eq!(unheard.repeat(Moment::from_millis(UNACKNOWLEDGED_MS)), Ok(None));
        assert_eq!(unheard.repeat(Moment::from_millis(UNACKNOWLEDGED_MS + 1)), Err(()));
    }

    #[test]
    fn a_worker_that_hangs_up_is_answered() {
        let mut call = dialog();
        call.stage = Stage::Up;
        let bye = "BYE sip:load@127.0.0.1:4000 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx\r\n\
                   From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: load-7-4000\r\nCSeq: 1 BYE\r\n\r\n";
        let (step, answer) = call.came(&Message::parse(bye.as_bytes()).unwrap());
        assert_eq!(step, Step::HungUp);
        assert!(String::from_utf8(answer.unwrap()).unwrap().starts_with("SIP/2.0 200"));
    }
}
