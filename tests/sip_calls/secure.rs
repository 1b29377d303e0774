//! Encrypted calls: TLS with a certificate of the test's own, SRTP with baresip, who is refused and who is not, and that no key is
//! written down.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use voicefleet::call::{EndReason, LegFact};
use voicefleet::results::{CallResult, DisconnectedBy};
use voicefleet::transport::sip::{MediaPorts as _, OutboundCall, SipLink, TlsSide};

use crate::baresip::{Baresip, PCMA, PCMU, TONE_PEAK};
use crate::calls::{PORTS, digits, messages, only_result, talk, tone_in_recording, world_with};
use crate::endpoint;
use crate::free_port::free_port;
use crate::world::{Folder, World, until};

/// The files of a certificate for this machine.
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
    /// Both in one, as baresip reads them.
    pub both: PathBuf,
}

impl Certificate {
    pub fn new(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let path = |name| folder.join(name);
        let of = Self { chain: path("leaf.pem"), key: path("leaf.key"), both: path("both.pem") };
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        std::fs::write(&of.chain, &chain).unwrap();
        std::fs::write(&of.key, &key).unwrap();
        std::fs::write(&of.both, chain + &key).unwrap();
        of
    }

    /// Lines of baresip's configuration: it shows this certificate, and believes nobody else's.
    pub fn lines(&self) -> String {
        format!("sip_certificate {}\nsip_cafile {}\n", self.both.display(), self.chain.display())
    }
}

/// A worker that takes calls by TLS too, with more for its trunk's `[media]`; where it takes them.
async fn world(name: &str, media: &str) -> (World, SocketAddr, SocketAddr, Certificate) {
    let folder = Folder::new(name);
    let certificate = Certificate::new(folder.path());
    let (chain, key) = (certificate.chain.clone(), certificate.key.clone());
    let tune = |c: &mut voicefleet::config::Config| {
        c.sip.tls_listen = "127.0.0.1:0".parse().unwrap();
        (c.sip.tls_cert, c.sip.tls_key) = (chain, key);
    };
    let (world, plain) = world_with(folder, "", PORTS, media, tune).await;
    let secure = world.running.sip_tls_address().unwrap();
    (world, plain, secure, certificate)
}

/// Whom one dials there by TLS.
pub fn by_tls(to: SocketAddr) -> String {
    format!("sip:2000@{to};transport=tls")
}

/// Every file of every call, as text where it is text.
fn written(folder: &Folder) -> Vec<(PathBuf, String)> {
    let files = folder.calls().into_iter().flat_map(|call| std::fs::read_dir(call).unwrap().flatten());
    files
        .map(|file| (file.path(), String::from_utf8_lossy(&std::fs::read(file.path()).unwrap()).into_owned()))
        .collect()
}

/// Everything was encrypted but the one control packet by which baresip opens its way, before it has made its contexts.
fn assert_sealed(result: &CallResult) {
    let rtp = result.media.rtp.as_ref().unwrap();
    assert!(rtp.encrypted && rtp.refused <= 1, "{rtp:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_over_tls_with_srtp_is_heard_both_ways_and_its_keys_are_nowhere() {
    // Offered as RTP/AVP with keys, and as RTP/SAVP.
    for (media, encryption, profile) in
        [("srtp = \"optional\"\n", "srtp", "RTP/AVP"), ("srtp = \"required\"\n", "srtp-mand", "RTP/SAVP")]
    {
        let (world, _, secure, certificate) = world(encryption, media).await;
        let account = format!(";mediaenc={encryption}");
        let mut baresip = Baresip::with(world.folder.path(), encryption, PCMA, &account, &certificate.lines()).await;
        baresip.call_uri(&by_tls(secure), 1).await;
        baresip.wrote("SRTP is Enabled (cryptosuite=AES_CM_128_HMAC_SHA1_80)", 1).await;
        assert!(baresip.count(&format!(" {profile} 8 ")) >= 2, "offer and answer: {}", baresip.log());
        let keys = baresip.srtp_keys();
        assert_eq!(keys.len(), 2, "one of each side: {keys:?}");
        let result = talk(&world, baresip, encryption, PCMA).await;
        assert_sealed(&result);
        let files = written(&world.folder);
        assert!(files.len() >= 3, "{files:?}");
        for (file, text) in &files {
            assert!(!keys.iter().any(|key| text.contains(key.as_str())), "{} holds a key", file.display());
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_pressed_and_a_hold_pass_an_encrypted_call() {
    let (world, _, secure, certificate) = world("srtp-hold", "srtp = \"required\"\n").await;
    let mut baresip =
        Baresip::with(world.folder.path(), "srtphold", PCMU, ";mediaenc=srtp-mand", &certificate.lines()).await;
    baresip.call_uri(&by_tls(secure), 1).await;
    for (nth, key) in ["7", "7", "*"].into_iter().enumerate() {
        baresip.types(key);
        baresip.wrote("send DTMF digit end", nth + 1).await;
    }
    until(|| baresip.heard_bytes() > 2 * 16_000, || "nothing is heard before the hold".to_owned()).await;
    baresip.types("x");
    baresip.wrote("SIP/2.0 200 OK", 2).await;
    baresip.types("X");
    baresip.wrote("SIP/2.0 200 OK", 3).await;
    let rates = || baresip.rates_since_answer(64_000);
    until(|| rates() >= 20, || format!("audio at full rate was told {} times after the hold", rates())).await;
    // It encrypts with the same key as before, and so do we.
    assert_eq!(baresip.srtp_keys().len(), 2, "{:?}", baresip.srtp_keys());
    assert_eq!(baresip.count("failed to decrypt"), 0, "{}", baresip.log());
    baresip.hang_up();
    let result = only_result(&world).await;
    assert_eq!(digits(&world, &result), "77*");
    assert_eq!(result.disconnected_by, DisconnectedBy::Customer, "{}", result.end_reason);
    assert_sealed(&result);
    let tone = tone_in_recording(&world, &result);
    let last: Vec<f64> = tone.iter().rev().skip(1).take(5).copied().collect();
    assert!(last.iter().all(|&peak| peak > TONE_PEAK * 0.7), "the caller's tone after the hold: {tone:.0?}");
    assert!(messages(&result).iter().filter(|(sent, message)| !sent && message.starts_with("INVITE")).count() == 3);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_encrypt_as_the_trunk_wants_gets_488() {
    for (media, account, tls, why) in [
        ("srtp = \"required\"\n", "", true, "expected audio with usable SRTP keys"),
        // Its keys came by UDP, where others can read them.
        ("srtp = \"required\"\n", ";mediaenc=srtp-mand", false, "expected TLS"),
        ("srtp = \"off\"\n", ";mediaenc=srtp-mand", true, "expected audio without SRTP"),
    ] {
        let (world, plain, secure, certificate) = world("refused", media).await;
        let mut baresip = Baresip::with(world.folder.path(), "refused", PCMU, account, &certificate.lines()).await;
        let uri = if tls { by_tls(secure) } else { format!("sip:2000@{plain}") };
        baresip.types(&format!("/dial {uri}\n"));
        baresip.wrote("SIP/2.0 488", 1).await;
        assert!(baresip.count(why) >= 1, "{media} {account}: no {why:?} in {}", baresip.log());
        assert_eq!(baresip.count("Call established"), 0);
        world.quiet().await;
        assert!(world.folder.results().is_empty());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_clear_are_taken_where_the_trunk_says_that_nobody_else_reads_them() {
    let (world, plain, ..) = world("in-clear", "srtp = \"required\"\nkeys_in_clear = true\n").await;
    let mut baresip = Baresip::with(world.folder.path(), "inclear", PCMU, ";mediaenc=srtp", "").await;
    baresip.call(plain, 1).await;
    let result = talk(&world, baresip, "inclear", PCMU).await;
    assert_sealed(&result);
    world.stop().await;
}

/// A call of ours to a baresip that takes calls by TLS, over a trunk that requires SRTP: what was told of it, whether audio was agreed
/// with keys, and what baresip wrote.
async fn called(target: &str, authorities: impl Fn(&Certificate) -> PathBuf) -> (Vec<LegFact>, Option<bool>, String) {
    let folder = Folder::new("outbound");
    let certificate = Certificate::new(folder.path());
    let port = free_port();
    let lines = format!("sip_listen 127.0.0.1:{}\n{}", port - 1, certificate.lines());
    let account = ";mediaenc=srtp-mand;answermode=auto";
    let baresip = Baresip::with(folder.path(), "+919800000001", PCMU, account, &lines).await;
    let tls = TlsSide::of(Path::new(""), Path::new(""), &authorities(&certificate)).unwrap();
    let trunk = endpoint::trunk(&format!(
        "[outbound]\ntargets = [\"{target}:{port}\"]\ntransport = \"tls\"\n[media]\nsrtp = \"required\"\n"
    ));
    let world = endpoint::World::with(trunk, endpoint::config(500), tls).await;
    let (link, end) = SipLink::pair();
    let call = OutboundCall {
        trunk: "main".to_owned(),
        to: "+919800000001".to_owned(),
        from: String::new(),
        fields: Vec::new(),
    };
    world.endpoint.place_call(call, || world.ports.reserve(), link).unwrap();
    let (facts, _) = endpoint::facts_of_a_short_call(end).await;
    world.settle().await;
    let encrypted = world.notes().into_iter().find_map(|note| match note {
        endpoint::Note::Started(plan) => Some(plan.crypto.is_some()),
        _ => None,
    });
    (facts, encrypted, baresip.log())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_is_called_over_tls_and_only_where_its_certificate_holds() {
    let (facts, encrypted, log) = called("127.0.0.1", |certificate| certificate.chain.clone()).await;
    assert_eq!(facts.last(), Some(&LegFact::HungUp { by: Some("bot".to_owned()) }), "{facts:?}");
    assert!(facts.contains(&LegFact::Answered) && encrypted == Some(true), "{facts:?} {encrypted:?} {log}");
    assert!(log.contains("Call established") && log.contains("SRTP is Enabled"), "{log}");
    assert!(log.contains("Via: SIP/2.0/TLS") && log.contains("BYE "), "{log}");
    // Nobody vouches for it; or it is called by a name that is not its own.
    for (target, known) in [("127.0.0.1", false), ("localhost", true)] {
        let (facts, encrypted, log) =
            called(target, |certificate| if known { certificate.chain.clone() } else { PathBuf::new() }).await;
        assert_eq!(facts, [LegFact::Unreached(EndReason::TrunkFailed)], "{target}");
        assert!(encrypted.is_none() && !log.contains("INVITE sip:"), "{target}: {log}");
    }
}
