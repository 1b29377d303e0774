//! The messages of RFC 4475, each with what is odd in it there (the rest of most is plain), with the status that it must get (0: none)
//! and a sound OPTIONS after each. Messages to a registrar meet an endpoint that is none, and get 405.

use std::time::Duration;

use super::hostile::{ask, probe};
use super::world::{World, config, trunk};

/// What the RFC's INVITEs offer.
const OFFER: &str = "v=0\no=mhandley 29739 7272939 IN IP4 192.0.2.3\ns=-\nc=IN IP4 192.0.2.4\nt=0 0\n\
                     m=audio 49217 RTP/AVP 0 12\nm=video 3227 RTP/AVP 31\na=rtpmap:31 LPC\n";

/// Blanks and folds wherever RFC 3261 section 25.1 allows them; `%` is what stands behind the address of To.
const WSINV: &str = r#"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com%
from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : ?
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

"#;

/// The head of a message with nothing odd but its first line, `name` and what is added.
fn plain(first: &str, name: &str, more: &str, body: &str) -> String {
    let method = first.split(' ').next().unwrap();
    let contact = if method == "INVITE" { "Contact: <sip:caller@host.example.net>\n" } else { "" };
    format!(
        "{first}\nTo: <sip:user@example.com>\nFrom: <sip:caller@example.net>;tag=938\nMax-Forwards: 87\n\
         Call-ID: {name}.torture\nCSeq: 234234 {method}\nVia: SIP/2.0/UDP host5.example.net;branch=z9hG4bK{name}\n\
         {contact}{more}Content-Length: ?\n\n{body}"
    )
}

/// The bytes for the wire: line ends, the length of the body, and an `rport` in the first Via: nobody here is at the RFC's addresses.
fn wire(text: &str) -> Vec<u8> {
    let lower = text.to_ascii_lowercase();
    let via = ["\nvia", "\nv:"].iter().filter_map(|name| lower.find(name)).min();
    // Behind the place of the sender: before its first parameter, the next entry or the next field.
    let ends = |at: usize, c: char| matches!(c, ';' | ',') || (c == '\n' && !text[at + 1..].starts_with([' ', '\t']));
    let place = via
        .and_then(|via| text[via + 1..].char_indices().map(|(at, c)| (via + 1 + at, c)).find(|(at, c)| ends(*at, *c)));
    let text = place.map_or_else(|| text.to_owned(), |(at, _)| format!("{};rport{}", &text[..at], &text[at..]));
    let text = text.replace('\n', "\r\n");
    let length = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
    text.replacen(": ?\r\n", &format!(": {length}\r\n"), 1).into_bytes()
}

/// Name, text, status.
type Case = (&'static str, String, u16);

/// 3.1.1, sound but odd.
fn sound() -> Vec<Case> {
    let sdp = "Content-Type: application/sdp\n";
    let both = format!("{WSINV}{OFFER}");
    vec![
        // Its To has a tag, which names a dialog that never was.
        ("wsinv", both.replace('%', " ;   tag    = 1918181833n"), 481),
        ("wsinv, a call", both.replace('%', "").replace("wsinv.", "wsinv2."), 200),
        (
            "intmeth",
            "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,\
             weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\nVia: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n\
             To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>\n\
             From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.\n\
             Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\nCSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\n\
             Max-Forwards: 255\nextensionHeader-!.%*+_`'~:大停電\nContent-Length: 0\n\n"
                .to_owned(),
            501,
        ),
        (
            "esc01",
            plain("INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0", "esc01", sdp, OFFER)
                .replace("<sip:user@example.com>", "sip:%75se%72@example.com")
                .replace("<sip:caller@host.example.net>", "\n <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>")
                .replace("sip:caller@example.net", "sip:I%20have%20spaces@example.net"),
            200,
        ),
        (
            "escnull",
            plain("REGISTER sip:example.com SIP/2.0", "escnull", "Contact: <sip:%00@host5.example.com>\n", "")
                .replace("user@", "null-%00-null@"),
            405,
        ),
        ("escnull, ours", plain("OPTIONS sip:%00%00@example.com SIP/2.0", "escnull2", "", "").replace("user@", "%00@"), 200),
        // No escape in a method: this one is not REGISTER.
        ("esc02", plain("RE%47IST%45R sip:registrar.example.com SIP/2.0", "esc02", "", ""), 501),
        (
            "lwsdisp",
            plain("OPTIONS sip:user@example.com SIP/2.0", "lwsdisp", "", "").replace("From: <", "From: caller<"),
            200,
        ),
        (
            "unreason",
            "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\n\
             Call-ID: unreason.1234ksdfak3j2erwedfsASdf\nCSeq: 35 INVITE\nFrom: sip:user@example.com;tag=11141343\n\
             To: sip:user@example.edu;tag=2229\nContent-Length: ?\nContact: <sip:user@host198.example.com>\n\n"
                .to_owned(),
            0,
        ),
        (
            "noreason",
            "SIP/2.0 100 \nVia: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\nCall-ID: noreason.asndj203insdf99223ndf\n\
             CSeq: 35 INVITE\nFrom: <sip:user@example.com>;tag=39ansfi3\nTo: <sip:user@example.edu>;tag=902jndnke3\n\
             Content-Length: 0\nContact: <sip:user@host105.example.com>\n\n"
                .to_owned(),
            0,
        ),
    ]
}

/// 3.1.1 still: long ones, two in one, lists, parts.
fn sound_and_long() -> Vec<Case> {
    let sdp = "Content-Type: application/sdp\n";
    let long = "a".repeat(600);
    let longreq = format!(
        "INVITE sip:user@example.com SIP/2.0\nTo: \"I have a user name of {long}\" <sip:user@example.com:6000;\
         unknownparam1=very{long}value;longparam{long}=shortvalue;very{long}ParameterNameWithNoValue>\n\
         F: sip:{long}@example.net;tag=12982{long}424;unknownheaderparam{long}={long};unknownValueless{long}\n\
         Call-ID: longreq.one{}longcallid@example.com\nCSeq: 3882340 INVITE\nUnknown{long}: unknown-{long}-value;param=\"{long}\"\n\
         Via: SIP/2.0/TCP sip33.example.com\nv: SIP/2.0/TCP sip32.example.com, SIP/2.0/TCP sip31.example.com;branch=z9hG4bK{long}\n\
         Max-Forwards: 70\nContact: <sip:{long}@host5.example.net>\n{sdp}l: ?\n\n{OFFER}",
        "really".repeat(20)
    );
    vec![
        ("longreq", longreq, 200),
        // What follows the length of a datagram's message is not looked at.
        (
            "dblreq",
            plain("REGISTER sip:example.com SIP/2.0", "dblreq", "Contact: sip:j.user@host.example.com\n", "")
                .replace('?', "0")
                + &plain("INVITE sip:joe@example.com SIP/2.0", "dblreq2", sdp, OFFER),
            405,
        ),
        ("semiuri", plain("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", "semiuri", "", ""), 200),
        (
            "transports",
            plain("OPTIONS sip:user@example.com SIP/2.0", "transports", "", "").replace(
                "Max-Forwards",
                "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw\nVia: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf\n\
                 Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj\nVia: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en\n\
                 Max-Forwards",
            ),
            200,
        ),
        (
            "mpart01",
            plain(
                "MESSAGE sip:kumiko@example.org SIP/2.0",
                "mpart01",
                "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\n",
                "--7a9cbec02ceef655\nContent-Type: text/plain\n\nHello\n--7a9cbec02ceef655\nContent-Type: application/octet-stream\n\
                 Content-Transfer-Encoding: binary\n\n0\u{1}\0\u{2}\n--7a9cbec02ceef655--\n",
            ),
            405,
        ),
        (
            "mpart01, a call",
            plain(
                "INVITE sip:kumiko@example.org SIP/2.0",
                "mpart02",
                "MIME-Version: 1.0\nContent-Type: multipart/mixed;boundary=7a9cbec02ceef655\n",
                &format!(
                    "--7a9cbec02ceef655\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: binary\n\n0\u{1}\0\u{2}\n\
                     --7a9cbec02ceef655\nContent-Type: application/sdp\n\n{OFFER}\n--7a9cbec02ceef655--\n"
                ),
            ),
            200,
        ),
    ]
}

/// 3.1.2, broken.
fn broken() -> Vec<Case> {
    let sdp = "Content-Type: application/sdp\n";
    let options = |name: &str, more: &str| plain("OPTIONS sip:user@example.com SIP/2.0", name, more, "");
    vec![
        (
            "badinv01",
            plain("INVITE sip:user@example.com SIP/2.0", "badinv01", sdp, OFFER)
                .replace("host5.example.net;branch=z9hG4bKbadinv01", "192.0.2.15;;,;,,")
                .replace("caller@example.net>;tag=938", "caller@example.net>;;;;tag=938"),
            400,
        ),
        ("clerr", plain("INVITE sip:user@example.com SIP/2.0", "clerr", sdp, OFFER).replace('?', "9999"), 400),
        ("ncl", plain("INVITE sip:user@example.com SIP/2.0", "ncl", sdp, OFFER).replace('?', "-999"), 400),
        (
            "scalar02",
            plain("REGISTER sip:example.com SIP/2.0", "scalar02", "Expires: 10000000000000000000000000\n", "")
                .replace("234234", "36893488147419103232"),
            400,
        ),
        ("quotbal", options("quotbal", "").replace("To: <", "To: \"Mr. J. User <"), 400),
        ("ltgtruri", plain("INVITE <sip:user@example.com> SIP/2.0", "ltgtruri", sdp, OFFER), 400),
        ("lwsruri", plain("INVITE sip:user@example.com; lr SIP/2.0", "lwsruri", sdp, OFFER), 400),
        ("lwsstart", plain("INVITE  sip:user@example.com  SIP/2.0", "lwsstart", sdp, OFFER), 400),
        ("trws", plain("OPTIONS sip:remote-target@example.com SIP/2.0  ", "trws", "", ""), 400),
        // The RFC lets the header in the Request-URI be refused or be left alone; it must not be followed, and is not.
        (
            "escruri",
            plain("INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0", "escruri", sdp, OFFER),
            200,
        ),
        // A date means nothing to a call; the RFC lets it be.
        (
            "baddate",
            plain("INVITE sip:user@example.com SIP/2.0", "baddate", "Date: Fri, 01 Jan 2010 16:00:00 EST\n", ""),
            200,
        ),
        (
            "regbadct",
            plain(
                "REGISTER sip:example.com SIP/2.0",
                "regbadct",
                "Contact: sip:user@example.com?Route=%3Csip:x%3E\n",
                "",
            ),
            405,
        ),
        // Both of these the RFC lets an endpoint read as they were meant.
        (
            "badaspec",
            options("badaspec", "")
                .replace("<sip:user@example.com>", "\"Watson, Thomas\" < sip:t.watson@example.org >"),
            200,
        ),
        ("baddn", options("baddn", "").replace("From: <", "From: Bell, Alexander <"), 400),
        ("badvers", plain("OPTIONS sip:t.watson@example.org SIP/7.0", "badvers", "", ""), 505),
        ("mismatch01", options("mismatch01", "").replace("234234 OPTIONS", "8 INVITE"), 400),
        (
            "mismatch02",
            plain("NEWMETHOD sip:user@example.com SIP/2.0", "mismatch02", "", "")
                .replace("234234 NEWMETHOD", "8 INVITE"),
            400,
        ),
        (
            "bigcode",
            "SIP/2.0 4294967301 better not break the receiver\nVia: SIP/2.0/UDP 192.0.2.105\nContent-Length: 0\n\n"
                .to_owned(),
            0,
        ),
    ]
}

/// 3.2 to 3.4: transactions, the application, RFC 2543.
fn further() -> Vec<Case> {
    let sdp = "Content-Type: application/sdp\n";
    let options = |name: &str, more: &str| plain("OPTIONS sip:user@example.com SIP/2.0", name, more, "");
    let invite = |name: &str, more: &str| plain("INVITE sip:user@example.com SIP/2.0", name, more, OFFER);
    let realm = "Authorization: NoOneKnowsThisScheme opaque-data=here\n";
    vec![
        ("badbranch", options("badbranch", "").replace("z9hG4bKbadbranch", "z9hG4bK"), 200),
        (
            "insuf",
            "INVITE sip:user@example.com SIP/2.0\nCSeq: 193942 INVITE\nVia: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\n\
             Content-Type: application/sdp\nl: 0\n\n"
                .to_owned(),
            400,
        ),
        ("unkscm", plain("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", "unkscm", "", ""), 416),
        ("novelsc", plain("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", "novelsc", "", ""), 416),
        (
            "bext01",
            options("bext01", "Require: nothingSupportsThis, nothingSupportsThisEither\nProxy-Require: noProxiesSupportThis\n"),
            420,
        ),
        ("invut", plain("INVITE sip:user@example.com SIP/2.0", "invut", "Content-Type: application/unknownformat\n", "<audio/>"), 415),
        ("regaut01", plain("REGISTER sip:example.com SIP/2.0", "regaut01", realm, ""), 405),
        // This trunk demands no digest: what answers none is let be.
        ("regaut01, a call", invite("regaut02", &format!("{realm}{sdp}")), 200),
        ("multi01", invite("multi01", &format!("Call-ID: multi01.another\nTo: <sip:other@example.com>\nMax-Forwards: 5\n{sdp}")), 400),
        ("mcl01", options("mcl01", "Content-Length: 5\n"), 400),
        (
            "bcast",
            "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\nVia: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\n\
             Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf\nCSeq: 35 INVITE\nFrom: sip:user@example.com;tag=11141343\n\
             To: sip:user@example.edu;tag=2229\nContent-Length: 0\nContact: <sip:user@host28.example.com>\n\n"
                .to_owned(),
            0,
        ),
        ("zeromf", options("zeromf", "").replace("87", "0"), 200),
        ("cparam01", plain("REGISTER sip:example.com SIP/2.0", "cparam01", "Contact: sip:+19725552222@gw1.example.net;unknownparam\n", ""), 405),
        ("sdp01", invite("sdp01", &format!("Accept: text/nobodyKnowsThis\n{sdp}")), 406),
        // RFC 2543 knew no From tag and no branch, and the RFC wants both taken. Without a tag the transaction layer under us finds
        // no transaction (RFC 3261 section 17.2.3 would do without), so that the peer is told instead of left to repeat itself.
        ("inv2543", invite("inv2543", sdp).replace(";tag=938", "").replace(";branch=z9hG4bKinv2543", ""), 400),
        ("inv2543, with a tag", invite("inv2543tag", sdp).replace(";branch=z9hG4bKinv2543tag", ""), 200),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_of_the_torture_test_gets_its_status() {
    let mut world = World::new(trunk(""), config(500)).await;
    let to = world.endpoint.address();
    let cases = [sound(), sound_and_long(), broken(), further()].concat();
    let calls = cases.iter().filter(|(_, text, status)| text.starts_with("INVITE") && *status == 200).count();
    let faults = tokio::task::spawn_blocking(move || {
        let mut faults = Vec::new();
        for (number, (name, text, expected)) in cases.iter().enumerate() {
            let wait = Duration::from_millis(if *expected == 0 { 60 } else { 5_000 });
            let got = ask(to, &wire(text), wait).unwrap_or(0);
            if got != *expected {
                faults.push(format!("{name}: expected {expected}, got {got}"));
            }
            if probe(to, number) != Some(200) {
                faults.push(format!("{name}: deaf afterwards"));
            }
        }
        faults
    });
    let faults = faults.await.unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for _ in 0..calls {
        drop(world.call().await);
    }
    assert!(world.no_call(), "a call that nobody made, such as the second message of dblreq");
}
