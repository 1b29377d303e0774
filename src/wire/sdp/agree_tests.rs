//! Offer and answer, by table: what carriers send, what we answer, what the media side is told.

use proptest::prelude::*;

use super::*;

const KEY: CryptoKeys = CryptoKeys([7; KEY_BYTES]);
const THEIR_KEY: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20";

fn leg(policy: Policy) -> Negotiator {
    Negotiator::new("192.0.2.10:20000".parse().unwrap(), policy, 42, KEY)
}

fn usual() -> Negotiator {
    leg(Policy { codecs: vec![Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus], ..Policy::default() })
}

fn with_srtp(srtp: Srtp) -> Negotiator {
    leg(Policy { srtp, ..Policy::default() })
}

/// An offer with these media lines.
fn sdp(media: &str) -> String {
    format!("v=0\r\no=carrier 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n{media}")
}

fn media_of(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("m=")).collect()
}

const PLAIN: &str = "m=audio 4000 RTP/AVP 0 8 18 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
                     a=rtpmap:18 G729/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n";

#[test]
fn one_codec_and_the_keys_are_answered_in_the_trunks_order() {
    let agreed = usual().answer(sdp(PLAIN).as_bytes()).unwrap();
    assert_eq!(
        agreed.sdp,
        "v=0\r\no=- 42 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 20000 RTP/AVP 8 101\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
    let plan = agreed.plan;
    assert_eq!(plan.remote, "198.51.100.1:4000".parse().unwrap());
    assert_eq!(plan.rtcp, Rtcp::At("198.51.100.1:4001".parse().unwrap()));
    assert_eq!((plan.codec, plan.payload_type, plan.ptime_ms, plan.peer_ptime_ms), (Codec::Pcma, 8, 20, Some(20)));
    let event = plan.telephone_event.unwrap();
    assert_eq!((event.payload_type, event.clock_hz), (101, 8_000));
    assert!(plan.sends() && plan.crypto.is_none());
}

#[test]
fn another_peer_is_told_another_key() {
    let keys = sdp(&format!("{PLAIN}a=crypto:{THEIR_KEY}\r\n"));
    let mut leg = with_srtp(Srtp::Required);
    let before = leg.answer(keys.as_bytes()).unwrap();
    let fresh = CryptoKeys([9; KEY_BYTES]);
    leg.rekey(fresh);
    let offer = leg.offer(Direction::SendRecv);
    assert!(offer.contains("inline:CQkJ") && !offer.contains("inline:BwcH"), "{offer}");
    leg.withdraw();
    let after = leg.answer(keys.as_bytes()).unwrap();
    assert!(after.sdp.contains("inline:CQkJ"), "{}", after.sdp);
    assert_eq!(before.plan.crypto.map(|c| c.local), Some(KEY));
    assert_eq!(after.plan.crypto.map(|c| c.local), Some(fresh));
}

#[test]
fn what_carriers_send_is_understood() {
    // (media lines, codec and payload type, remote, event payload type, direction)
    type Row = (&'static str, (Codec, u8), &'static str, Option<u8>, Direction);
    let table: &[Row] = &[
        // No rtpmap: the numbers speak for themselves.
        ("m=audio 4000 RTP/AVP 0\r\n", (Codec::Pcmu, 0), "198.51.100.1:4000", None, Direction::SendRecv),
        // An address of the line's own, a multicast suffix, names in any case.
        (
            "m=audio 4000 RTP/AVP 97\r\nc=IN IP4 203.0.113.9/127\r\na=RTPMAP:97 pcmu/8000/1\r\n",
            (Codec::Pcmu, 97),
            "203.0.113.9:4000",
            None,
            Direction::SendRecv,
        ),
        // G.722's clock said as what it is.
        (
            "m=audio 4000 RTP/AVP 9\r\na=rtpmap:9 G722/16000\r\n",
            (Codec::G722, 9),
            "198.51.100.1:4000",
            None,
            Direction::SendRecv,
        ),
        // The key events of the codec's own clock.
        (
            "m=audio 4000 RTP/AVP 111 101 110\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=rtpmap:110 telephone-event/48000\r\n",
            (Codec::Opus, 111),
            "198.51.100.1:4000",
            Some(110),
            Direction::SendRecv,
        ),
        // Hold: sendonly, inactive, an address of zeros.
        ("m=audio 4000 RTP/AVP 8\r\na=sendonly\r\n", (Codec::Pcma, 8), "198.51.100.1:4000", None, Direction::RecvOnly),
        ("m=audio 4000 RTP/AVP 8\r\na=inactive\r\n", (Codec::Pcma, 8), "198.51.100.1:4000", None, Direction::Inactive),
        ("m=audio 4000 RTP/AVP 8\r\nc=IN IP4 0.0.0.0\r\n", (Codec::Pcma, 8), "0.0.0.0:4000", None, Direction::RecvOnly),
        // Comfort noise and a redundancy format are no codecs.
        (
            "m=audio 4000 RTP/AVP 13 121 8\r\na=rtpmap:13 CN/8000\r\na=rtpmap:121 red/8000\r\n",
            (Codec::Pcma, 8),
            "198.51.100.1:4000",
            None,
            Direction::SendRecv,
        ),
        // A static number that is mapped to something else is something else.
        (
            "m=audio 4000 RTP/AVP 8 0\r\na=rtpmap:8 AMR/8000\r\n",
            (Codec::Pcmu, 0),
            "198.51.100.1:4000",
            None,
            Direction::SendRecv,
        ),
        // IPv6, no number of ports, a feedback profile.
        (
            "m=audio 4000/1 RTP/AVPF 8\r\nc=IN IP6 2001:db8::1\r\n",
            (Codec::Pcma, 8),
            "[2001:db8::1]:4000",
            None,
            Direction::SendRecv,
        ),
    ];
    for (media, (codec, payload_type), remote, event, direction) in table {
        let plan = usual().answer(sdp(media).as_bytes()).unwrap_or_else(|error| panic!("{media}: {error}")).plan;
        assert_eq!((plan.codec, plan.payload_type), (*codec, *payload_type), "{media}");
        assert_eq!(plan.remote, remote.parse().unwrap(), "{media}");
        assert_eq!(plan.telephone_event.map(|e| e.payload_type), *event, "{media}");
        assert_eq!(plan.direction, *direction, "{media}");
    }
}

#[test]
fn sloppy_text_is_read() {
    for text in [
        // Neither s= nor t=, bare line feeds.
        "v=0\no=x 1 1 IN IP4 198.51.100.1\nc=IN IP4 198.51.100.1\nm=audio 4000 RTP/AVP 8\n".to_owned(),
        // A negative and an over-long number in o=, a line that is none, blank lines, trailing spaces.
        "v=0\r\no=- -1 99999999999999999999999 IN IP4 host.invalid\r\n\r\ngarbage\r\nc=IN IP4 198.51.100.1  \r\n\
         m=audio 4000 RTP/AVP 8 \r\n"
            .to_owned(),
        // Two of what may stand once, unknown keys.
        sdp("x=1\r\nm=audio 4000 RTP/AVP 8\r\na=\r\na=:\r\na=rtpmap:\r\na=rtpmap:8\r\n")
            .replace("s=-", "s=-\r\ns=again"),
        // No v= at all.
        "o=x 1 1 IN IP4 198.51.100.1\r\nc=IN IP4 198.51.100.1\r\nm=audio 4000 RTP/AVP 8\r\n".to_owned(),
    ] {
        let plan = usual().answer(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).plan;
        assert_eq!(plan.remote, "198.51.100.1:4000".parse().unwrap(), "{text}");
    }
    let mut latin = sdp("i=").into_bytes();
    latin.extend(b"Se\xf1or\r\nm=audio 4000 RTP/AVP 8\r\n");
    assert!(usual().answer(&latin).is_ok());
}

#[test]
fn unwanted_lines_are_mirrored_and_refused() {
    let offer = sdp("m=image 5000 udptl t38\r\nm=audio 4000 RTP/AVP 8\r\nm=video 6000 RTP/AVP 96 97\r\n\
                     m=audio 4002 RTP/AVP 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n");
    let mut leg = usual();
    let agreed = leg.answer(offer.as_bytes()).unwrap();
    let lines = [
        "m=image 0 udptl t38",
        "m=audio 20000 RTP/AVP 8",
        "m=video 0 RTP/AVP 96 97",
        "m=audio 0 RTP/AVP 0",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
    ];
    assert_eq!(media_of(&agreed.sdp), lines);
    // Our own later offer keeps the number of lines.
    assert_eq!(media_of(&leg.offer(Direction::SendRecv)), lines);
}

#[test]
fn a_switch_to_fax_is_refused_and_the_call_goes_on() {
    let mut leg = usual();
    let before = leg.answer(sdp(PLAIN).as_bytes()).unwrap();
    assert_eq!(leg.answer(sdp("m=image 5000 udptl t38\r\n").as_bytes()), Err(SdpError::NoAudio));
    let both = sdp("m=audio 0 RTP/AVP 8\r\nm=image 5000 udptl t38\r\n");
    assert_eq!(leg.answer(both.as_bytes()), Err(SdpError::NoAudio));
    assert_eq!(leg.plan(), Some(&before.plan));
    assert_eq!(leg.answer(sdp(PLAIN).as_bytes()).unwrap(), before, "the same offer, the same answer, the same version");
}

#[test]
fn offers_that_cannot_be_met_say_why() {
    let g729 = sdp("m=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n");
    assert_eq!(usual().answer(g729.as_bytes()), Err(SdpError::NoCodec));
    assert_eq!(usual().answer(sdp("").as_bytes()), Err(SdpError::NoAudio));
    let dtls = sdp("m=audio 4000 UDP/TLS/RTP/SAVPF 8\r\n");
    assert_eq!(usual().answer(dtls.as_bytes()), Err(SdpError::NoAudio));
    assert!(matches!(usual().answer(b"hello"), Err(SdpError::NoAudio | SdpError::Parse(_))));
    assert!(matches!(usual().answer(&vec![b'a'; 100_000]), Err(SdpError::Parse(ParseError::TooLong(100_000)))));
    assert_eq!(usual().accept(sdp(PLAIN).as_bytes()), Err(SdpError::NothingOffered));
}

#[test]
fn the_version_rises_exactly_when_something_changed() {
    let mut leg = usual();
    let version = |text: &str| text.lines().nth(1).unwrap().split(' ').nth(2).unwrap().to_owned();
    assert_eq!(version(&leg.answer(sdp(PLAIN).as_bytes()).unwrap().sdp), "1");
    assert_eq!(version(&leg.answer(sdp(PLAIN).as_bytes()).unwrap().sdp), "1");
    assert_eq!(version(&leg.again().unwrap()), "1");
    let hold = sdp(&format!("{PLAIN}a=sendonly\r\n"));
    assert_eq!(version(&leg.answer(hold.as_bytes()).unwrap().sdp), "2");
    assert_eq!(version(&leg.answer(sdp(PLAIN).as_bytes()).unwrap().sdp), "3");
    assert_eq!(version(&leg.offer(Direction::SendRecv)), "3", "our refresh says nothing new");
}

#[test]
fn a_refresh_during_a_hold_keeps_the_hold_and_not_longer() {
    for (hold, held) in [("sendonly", Direction::RecvOnly), ("inactive", Direction::Inactive)] {
        let mut leg = usual();
        let hold = sdp(&format!("{PLAIN}a={hold}\r\n"));
        leg.answer(sdp(PLAIN).as_bytes()).unwrap();
        let said = leg.answer(hold.as_bytes()).unwrap();
        assert_eq!(said.plan.direction, held);
        assert_eq!(leg.again(), Some(said.sdp), "word for word");
        assert!(leg.is_offering());
        assert_eq!(leg.accept(hold.as_bytes()).unwrap().direction, held);
        assert_eq!(leg.answer(sdp(PLAIN).as_bytes()).unwrap().plan.direction, Direction::SendRecv);
    }
    assert_eq!(usual().again(), None);
}

#[test]
fn the_codec_of_a_call_stays_while_it_is_offered() {
    let mut leg = usual();
    let only_mu = sdp("m=audio 4000 RTP/AVP 0\r\n");
    assert_eq!(leg.answer(only_mu.as_bytes()).unwrap().plan.codec, Codec::Pcmu);
    assert_eq!(leg.answer(sdp(PLAIN).as_bytes()).unwrap().plan.codec, Codec::Pcmu);
    let only_a = sdp("m=audio 4000 RTP/AVP 8\r\n");
    assert_eq!(leg.answer(only_a.as_bytes()).unwrap().plan.codec, Codec::Pcma);
}

#[test]
fn an_offer_of_ours_is_answered() {
    let mut leg = usual();
    let offer = leg.offer(Direction::SendRecv);
    assert_eq!(media_of(&offer), ["m=audio 20000 RTP/AVP 8 0 9 96 101 110"]);
    assert!(leg.is_offering());
    let answer =
        sdp("m=audio 4000 RTP/AVP 120 101\r\na=rtpmap:120 opus/48000/2\r\na=rtpmap:101 telephone-event/48000\r\n");
    let plan = leg.accept(answer.as_bytes()).unwrap();
    assert_eq!((plan.codec, plan.payload_type, plan.receive_payload_type), (Codec::Opus, 120, 96));
    let event = plan.telephone_event.unwrap();
    assert_eq!((event.payload_type, event.receive_payload_type, event.clock_hz), (101, 110, 48_000));
    // The next offer is locked to what was agreed.
    assert_eq!(media_of(&leg.offer(Direction::SendOnly)), ["m=audio 20000 RTP/AVP 96 110"]);
    assert_eq!(leg.accept(sdp("m=audio 0 RTP/AVP 96\r\n").as_bytes()), Err(SdpError::Refused));
    assert_eq!(leg.plan(), Some(&plan));
}

#[test]
fn encryption_follows_the_policy() {
    let plain = sdp(PLAIN);
    let keys = sdp(&format!("{PLAIN}a=crypto:{THEIR_KEY}\r\n"));
    let secure = keys.replace("RTP/AVP", "RTP/SAVP");
    let unknown = sdp("m=audio 4000 RTP/SAVP 8\r\na=crypto:1 F8_128_HMAC_SHA1_80 inline:x\r\n");
    // (policy, offer, encrypted or refused)
    for (srtp, offer, expected) in [
        (Srtp::Off, &plain, Some(false)),
        (Srtp::Off, &keys, Some(false)),
        (Srtp::Off, &secure, None),
        (Srtp::Optional, &plain, Some(false)),
        (Srtp::Optional, &keys, Some(true)),
        (Srtp::Optional, &secure, Some(true)),
        (Srtp::Optional, &unknown, None),
        (Srtp::Required, &plain, None),
        (Srtp::Required, &keys, Some(true)),
        (Srtp::Required, &secure, Some(true)),
    ] {
        let agreed = with_srtp(srtp).answer(offer.as_bytes());
        assert_eq!(agreed.as_ref().ok().map(|a| a.plan.crypto.is_some()), expected, "{srtp:?}: {offer}");
        if let Ok(agreed) = agreed {
            assert_eq!(
                agreed.sdp.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:BwcHBwcH"),
                expected == Some(true)
            );
            assert!(agreed.plan.crypto.is_none_or(|c| c.local == KEY));
        }
    }
    // Optional is offered so that plain peers can answer it, required is not.
    assert!(with_srtp(Srtp::Optional).offer(Direction::SendRecv).contains("m=audio 20000 RTP/AVP 8 0 9 101\r\n"));
    assert!(with_srtp(Srtp::Required).offer(Direction::SendRecv).contains("m=audio 20000 RTP/SAVP 8 0 9 101\r\n"));
    let mut leg = with_srtp(Srtp::Optional);
    leg.offer(Direction::SendRecv);
    assert!(leg.accept(plain.as_bytes()).unwrap().crypto.is_none());
    let mut leg = with_srtp(Srtp::Required);
    leg.offer(Direction::SendRecv);
    assert!(matches!(leg.accept(plain.as_bytes()), Err(SdpError::Encryption { .. })));
    leg.offer(Direction::SendRecv);
    let wrong_tag = secure.replace("crypto:1 ", "crypto:9 ");
    assert!(matches!(leg.accept(wrong_tag.as_bytes()), Err(SdpError::Mismatch(_))));
    leg.offer(Direction::SendRecv);
    assert!(leg.accept(secure.as_bytes()).unwrap().crypto.is_some());
}

#[test]
fn keys_and_profile_outlast_a_re_offer_and_a_key_is_never_shared() {
    let keys = sdp(&format!("{PLAIN}a=crypto:{THEIR_KEY}\r\n"));
    let secure = keys.replace("RTP/AVP", "RTP/SAVP");
    for (offer, profile) in [(&keys, "RTP/AVP"), (&secure, "RTP/SAVP")] {
        let mut leg = with_srtp(Srtp::Optional);
        let before = leg.answer(offer.as_bytes()).unwrap();
        let again = leg.offer(Direction::SendOnly);
        assert!(again.contains(&format!("m=audio 20000 {profile} 8 101\r\n")), "{again}");
        let ours = |text: &str| text.lines().find(|line| line.starts_with("a=crypto:1 ")).map(str::to_owned);
        assert!(ours(&again).is_some() && ours(&again) == ours(&before.sdp), "{again}");
        assert_eq!(leg.accept(offer.as_bytes()).unwrap().crypto, before.plan.crypto);
    }
    // The answer to our offer means to encrypt in a way that we do not have: never taken for a plain one.
    let mut leg = with_srtp(Srtp::Optional);
    leg.offer(Direction::SendRecv);
    let odd = keys.replace("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM");
    assert_eq!(leg.accept(odd.as_bytes()), Err(SdpError::Mismatch("keys that cannot be used")));
    // Our own key comes back.
    let offer = leg.offer(Direction::SendRecv);
    assert_eq!(leg.accept(offer.as_bytes()), Err(SdpError::Mismatch("our own key")));
    assert!(matches!(with_srtp(Srtp::Required).answer(offer.as_bytes()), Err(SdpError::Encryption { .. })));
}

#[test]
fn no_fault_of_a_description_repeats_a_key() {
    let key = THEIR_KEY.split("inline:").nth(1).and_then(|rest| rest.split('|').next()).unwrap();
    let whole = sdp(&format!("{PLAIN}a=crypto:{THEIR_KEY}\r\n")).replace("RTP/AVP", "RTP/SAVP");
    for offer in [
        whole.clone(),
        whole.replace("v=0", &format!("v={key}")),
        whole.replace("a=crypto", "crypto"),
        whole.replace("a=crypto:1 ", "a=crypto:x "),
        whole.replace("a=crypto:1 AES", "m=crypto AES"),
        whole.replace("m=audio 4000", "m=audio inline"),
        whole.replace("inline:", "c=inline:"),
        whole.replace("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", "k=base64:"),
        whole.replace("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", "c="),
        whole.replace("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", "m="),
    ] {
        for srtp in [Srtp::Off, Srtp::Required] {
            let answered = with_srtp(srtp).answer(offer.as_bytes());
            let told =
                answered.map_or_else(|error| format!("{error} {error:?}"), |agreed| format!("{:?}", agreed.plan));
            assert!(!told.contains(key), "{told}");
        }
    }
}

#[test]
fn control_packets_go_where_the_peer_says() {
    for (attribute, expected) in [
        ("a=rtcp:4500\r\n", Rtcp::At("198.51.100.1:4500".parse().unwrap())),
        ("a=rtcp:4500 IN IP4 203.0.113.7\r\n", Rtcp::At("203.0.113.7:4500".parse().unwrap())),
        ("a=rtcp:0\r\n", Rtcp::At("198.51.100.1:4001".parse().unwrap())),
        ("a=rtcp-mux\r\n", Rtcp::Muxed),
    ] {
        let agreed = usual().answer(sdp(&format!("{PLAIN}{attribute}")).as_bytes()).unwrap();
        assert_eq!(agreed.plan.rtcp, expected, "{attribute}");
        assert_eq!(agreed.sdp.contains("a=rtcp-mux"), expected == Rtcp::Muxed);
    }
    let slow = usual().answer(sdp(&PLAIN.replace("ptime:20", "ptime:60")).as_bytes()).unwrap().plan;
    assert_eq!((slow.ptime_ms, slow.peer_ptime_ms), (20, Some(60)));
    let short = usual().answer(sdp(&PLAIN.replace("ptime:20", "maxptime:10")).as_bytes()).unwrap().plan;
    assert_eq!(short.ptime_ms, 10);
}

#[test]
fn one_stream_that_is_announced_is_known_and_of_several_none() {
    let heard =
        |attributes: &str| usual().answer(sdp(&format!("{PLAIN}{attributes}")).as_bytes()).unwrap().plan.peer_ssrc;
    assert_eq!(heard("a=ssrc:4294967295 cname:load\r\n"), Some(u32::MAX));
    assert_eq!(heard("a=ssrc:12 cname:x\r\na=ssrc:12 msid:y z\r\n"), Some(12));
    for attributes in [
        "",
        "a=ssrc:12 cname:x\r\na=ssrc:13 cname:x\r\n",
        "a=ssrc:4294967296 cname:x\r\n",
        "a=ssrc:x\r\n",
        "a=ssrc\r\n",
    ] {
        assert_eq!(heard(attributes), None, "{attributes}");
    }
}

fn directions() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["sendrecv", "sendonly", "recvonly", "inactive"])
}

#[test]
fn an_answer_with_several_codecs_is_spoken_by_its_first_and_heard_by_all() {
    let mut leg = usual();
    leg.offer(Direction::SendRecv);
    // Opus by a number of the peer's own, one that was never offered, one said twice.
    let answer = sdp(
        "m=audio 4000 RTP/AVP 0 120 8 18 0 101\r\na=rtpmap:120 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n",
    );
    let plan = leg.accept(answer.as_bytes()).unwrap();
    assert_eq!((plan.codec, plan.payload_type, plan.receive_payload_type), (Codec::Pcmu, 0, 0));
    // What is received comes by the numbers of our offer (RFC 3264 section 5.1).
    assert_eq!(plan.others, [(96, Codec::Opus), (8, Codec::Pcma)]);
    // The next offer of ours settles on one.
    assert_eq!(media_of(&leg.offer(Direction::SendRecv)), ["m=audio 20000 RTP/AVP 0 101"]);
    let plan =
        leg.accept(sdp("m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n").as_bytes()).unwrap();
    assert_eq!(plan.others, []);
}

proptest! {
    /// Two legs of ours always understand each other, whatever their policies, and agree on who may send.
    #[test]
    fn two_legs_agree(
        ours in prop::sample::subsequence(Codec::ALL.to_vec(), 1..=4).prop_shuffle(),
        theirs in prop::sample::subsequence(Codec::ALL.to_vec(), 1..=4).prop_shuffle(),
        events in any::<(bool, bool)>(),
        hold in any::<bool>(),
    ) {
        let mut a = leg(Policy { codecs: ours.clone(), telephone_event: events.0, ..Policy::default() });
        let mut b = leg(Policy { codecs: theirs.clone(), telephone_event: events.1, ..Policy::default() });
        let offer = a.offer(if hold { Direction::SendOnly } else { Direction::SendRecv });
        match b.answer(offer.as_bytes()) {
            Ok(agreed) => {
                let plan = a.accept(agreed.sdp.as_bytes()).unwrap();
                prop_assert_eq!(plan.codec, agreed.plan.codec);
                prop_assert!(ours.contains(&plan.codec) && theirs.contains(&plan.codec));
                prop_assert_eq!(plan.payload_type, agreed.plan.receive_payload_type);
                prop_assert_eq!(plan.direction, agreed.plan.direction.reversed());
                prop_assert_eq!(plan.telephone_event.is_some(), events.0 && events.1);
                prop_assert_eq!(media_of(&agreed.sdp).len(), 1);
            }
            Err(error) => {
                prop_assert_eq!(error, SdpError::NoCodec);
                prop_assert!(!ours.iter().any(|codec| theirs.contains(codec)));
            }
        }
    }

    /// An answer has as many lines as the offer, exactly one with a port, and allows no more than the offer did.
    #[test]
    fn an_answer_mirrors_its_offer(
        before in 0_usize..4, after in 0_usize..4, way in directions(), hold in any::<bool>(),
    ) {
        let other = "m=video 7000 RTP/AVP 96\r\n";
        let zero = if hold { "c=IN IP4 0.0.0.0\r\n" } else { "" };
        let text = sdp(&format!("{}m=audio 4000 RTP/AVP 8\r\n{zero}a={way}\r\n{}", other.repeat(before), other.repeat(after)));
        let agreed = usual().answer(text.as_bytes()).unwrap();
        let lines = media_of(&agreed.sdp);
        prop_assert_eq!(lines.len(), before + 1 + after);
        for (at, line) in lines.iter().enumerate() {
            prop_assert_eq!(line.split(' ').nth(1) != Some("0"), at == before);
        }
        let sends = agreed.plan.direction.sends();
        prop_assert_eq!(sends, !hold && (way == "sendrecv" || way == "recvonly"));
        prop_assert_eq!(agreed.plan.direction.receives(), way == "sendrecv" || way == "sendonly");
    }
}
