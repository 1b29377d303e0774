//! Fuzz body of SDP and SIP messages: damaged lines in any order. Run on stable over generated input by `tests/sip`; a fuzzing engine may
//! call [`run`] with its own bytes. Holds no assertion about meaning, only invariants.

use voicefleet::wire::sdp::{Codec, CryptoKeys, KEY_BYTES, Negotiator, Policy, Srtp};
use voicefleet::wire::sip::{Framer, Message, Uri, Via, fault_of, is_private, parameter, session_description, tight};

/// Lines that a mutated input is woven from, so that random bytes reach past the first check.
const SEEDS: [&str; 25] = [
    "INVITE sip:2000@h.example SIP/2.0",
    "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx;rport",
    "v: SIP  / 2.0 / TCP  h.example : 9 ; branch = z9hG4bKy ; x = \";\" , SIP/2.0/UDP b",
    "From: \"a \\\" b\" <sip:a@h.example>;tag=77",
    "To: <sip:2000@h.example>",
    "Call-ID: c1",
    "CSeq: 1 INVITE",
    "Contact: <sip:a@127.0.0.1:9>",
    "Content-Type: multipart/mixed;boundary=b",
    "Content-Type: application/sdp",
    "Content-Length: 40",
    "",
    "--b",
    "v=0",
    "o=- 1 1 IN IP4 127.0.0.1",
    "c=IN IP4 198.51.100.1/127",
    "t=0 0",
    "m=audio 4000/2 RTP/AVP 0 8 9 96 101",
    "m=image 0 udptl t38",
    "a=rtpmap:96 opus/48000/2",
    "a=rtpmap:101 telephone-event/8000",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20",
    "a=rtcp:4001 IN IP4 127.0.0.1",
    "a=sendonly",
    "a=ptime:20",
];

/// Weaves a message out of `data` (three bytes a line: which, where to damage, with what) and reads it every way there is.
///
/// # Panics
/// Where an invariant is broken.
pub fn run(data: &[u8]) {
    let mut text = Vec::new();
    for step in data.chunks(3) {
        let mut line = SEEDS[usize::from(step[0]) % SEEDS.len()].as_bytes().to_vec();
        if let [_, at, byte] = *step
            && at < 100
            && !line.is_empty()
        {
            let place = usize::from(at) * line.len() / 100;
            line[place] = byte;
        }
        text.extend(line);
        text.extend(b"\r\n");
    }
    for bytes in [data, &text] {
        let srtp = [Srtp::Off, Srtp::Optional, Srtp::Required][data.len() % 3];
        let policy = Policy { codecs: Codec::ALL.to_vec(), srtp, ..Policy::default() };
        let mut leg = Negotiator::new("127.0.0.1:20000".parse().unwrap(), policy, 1, CryptoKeys([1; KEY_BYTES]));
        if let Ok(agreed) = leg.answer(bytes) {
            let live = agreed.sdp.lines().filter(|line| line.starts_with("m=") && !line.contains(" 0 ")).count();
            assert!(live <= 1 && agreed.sdp.matches("a=rtpmap:").count() <= 2, "{}", agreed.sdp);
            assert_eq!(srtp == Srtp::Required, agreed.plan.crypto.is_some() && srtp == Srtp::Required);
            assert_eq!(leg.answer(bytes).map(|again| again.sdp), Ok(agreed.sdp), "the same offer, the same answer");
        }
        leg.offer(Default::default());
        let _ = leg.accept(bytes);
        let mut framer = Framer::default();
        framer.push(bytes);
        while let Ok(Some(_)) = framer.take() {}
        let Ok(message) = Message::parse(bytes) else { continue };
        let _ = (fault_of(&message), session_description(&message));
        let again = Message::parse(&message.to_bytes()).expect("what we write can be read");
        assert_eq!(again.start, message.start);
        let _ = Message::response(&message, 400, "", "tag").to_bytes();
        fields(&message);
    }
}

/// What stands in a field is the same once blanks are taken out of it and a Via is completed.
fn fields(message: &Message) {
    for (_, value) in message.fields() {
        let short = tight(value);
        assert_eq!(tight(&short), short);
        assert_eq!(parameter(&short, "tag"), parameter(value, "tag"), "{value:?}");
        let _ = (Uri::parse(value), Via::has_gaps(value));
        let Some(via) = Via::parse(value) else { continue };
        let completed = via.completed([192, 0, 2, 1].into(), 1_024);
        let again = Via::parse(&completed).unwrap_or_else(|| panic!("{value:?} became {completed:?}"));
        assert_eq!((again.transport, again.host, again.port), (via.transport, via.host, via.port), "{value:?}");
        let (asked, asks) = (parameter(via.text, "rport").is_some(), parameter(again.text, "rport").is_some());
        assert_eq!(again.branch(), via.branch(), "{value:?}");
        // Who is behind a NAT is taken to ask.
        let behind = via.host.parse().is_ok_and(is_private);
        assert_eq!(asks, asked || behind, "{value:?} became {completed:?}");
        let port = if asks { 1_024 } else { via.port.unwrap_or(5_060) };
        assert_eq!(again.answered_at(), Some(([192, 0, 2, 1], port).into()), "{value:?} became {completed:?}");
    }
}
