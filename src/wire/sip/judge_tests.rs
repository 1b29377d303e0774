//! Requests and the status that each must get, by table.

use super::*;

fn request(method: &str, changes: &[(&str, Option<&str>)]) -> Message {
    let mut message = Message::request(method, "sip:1800@voice.example");
    message.push("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1");
    message.push("From", "<sip:a@h>;tag=1");
    message.push("To", "<sip:b@h>");
    message.push("Call-ID", "c1");
    message.push("CSeq", &format!("1 {method}"));
    message.push("Contact", "<sip:a@192.0.2.1>");
    for (name, value) in changes {
        match value {
            Some(value) => message.set(name, value),
            None => message.remove(name),
        }
    }
    message
}

fn status(message: &Message) -> u16 {
    fault_of(message).map_or(0, |fault| fault.status)
}

#[test]
fn every_fault_has_its_status() {
    for (method, changes, expected) in [
        ("INVITE", &[][..], 0),
        ("OPTIONS", &[("Contact", None)], 0),
        ("OPTIONS", &[("Max-Forwards", Some("0"))], 0),
        ("OPTIONS", &[("Max-Forwards", Some("300"))], 400),
        ("INVITE", &[("Contact", None)], 400),
        ("INVITE", &[("Via", None)], 400),
        ("INVITE", &[("Via", Some("SIP/2.0/UDP"))], 400),
        ("INVITE", &[("From", None)], 400),
        ("INVITE", &[("From", Some("<sip:a@h>"))], 400),
        ("INVITE", &[("From", Some("\"open <sip:a@h>;tag=1"))], 400),
        ("INVITE", &[("To", Some("<sip:b@>"))], 400),
        ("INVITE", &[("To", Some("<tel:+1>"))], 0),
        ("INVITE", &[("Call-ID", None)], 400),
        ("INVITE", &[("CSeq", Some("1 BYE"))], 400),
        ("INVITE", &[("CSeq", Some("4294967296 INVITE"))], 400),
        ("INVITE", &[("CSeq", Some("INVITE"))], 400),
        ("INVITE", &[("Require", Some("timer"))], 0),
        ("INVITE", &[("Require", Some("timer, nothing-known"))], 420),
        ("INVITE", &[("Accept", Some("application/ISUP;q=0.1, Application/SDP;level=1"))], 0),
        ("INVITE", &[("Accept", Some("*/*"))], 0),
        ("INVITE", &[("Accept", Some("text/nobody-knows"))], 406),
        ("OPTIONS", &[("Accept", Some("text/nobody-knows"))], 0),
        ("INVITE", &[("Via", Some("SIP / 2.0 / UDP 192.0.2.1 ; branch = z9hG4bK1"))], 0),
        ("INVITE", &[("Via", Some("SIP/2.0/UDP 192.0.2.1;;,;,,"))], 400),
        ("CANCEL", &[("Require", Some("nothing-known"))], 0),
        ("REGISTER", &[], 405),
        ("SUBSCRIBE", &[], 405),
        ("NEWMETHOD", &[], 501),
        ("BAD{METHOD", &[], 400),
    ] {
        assert_eq!(status(&request(method, changes)), expected, "{method} {changes:?}");
    }
    let fault = fault_of(&request("INVITE", &[("Require", Some("a, timer, b"))])).unwrap();
    assert_eq!(fault.field, Some(("Unsupported", "a, b".to_owned())));
}

#[test]
fn the_first_line_is_judged() {
    for (uri, version, expected) in [
        ("sip:1@h", "SIP/2.0", 0),
        ("tel:+123", "sip/2.0", 0),
        ("sip:1@h", "SIP/7.0", 505),
        ("sip:1@h", "HTTP/1.1", 400),
        ("nobodyknows:1@h", "SIP/2.0", 416),
        ("<sip:1@h>", "SIP/2.0", 400),
        ("sip:1@h; lr", "SIP/2.0", 400),
        ("sip:1 2@h", "SIP/2.0", 400),
        ("name", "SIP/2.0", 400),
    ] {
        let mut message = request("OPTIONS", &[]);
        message.start =
            Start::Request { method: "OPTIONS".to_owned(), uri: uri.to_owned(), version: version.to_owned() };
        assert_eq!(status(&message), expected, "{uri} {version}");
    }
}

#[test]
fn repeated_and_short_fields_are_faults() {
    let mut message = request("OPTIONS", &[]);
    message.push("CSeq", "1 OPTIONS");
    assert_eq!(status(&message), 400);
    let bytes = String::from_utf8(request("OPTIONS", &[]).to_bytes()).unwrap();
    for (length, expected) in
        [("0", 0), ("5", 400), ("-1", 400), ("18446744073709551615", 400), ("99999999999999999999999", 400)]
    {
        let text = bytes.replace("Content-Length: 0", &format!("Content-Length: {length}"));
        assert_eq!(status(&Message::parse(text.as_bytes()).unwrap()), expected, "{length}");
    }
}

#[test]
fn a_body_must_be_one_that_is_understood() {
    let mut message = request("INVITE", &[("Content-Type", Some("application/SDP; charset=x"))]);
    message.body = b"v=0".to_vec();
    assert_eq!((status(&message), session_description(&message)), (0, Some(&b"v=0"[..])));
    message.set("Content-Type", "text/plain");
    assert_eq!(status(&message), 415);
    message.set("Content-Type", "multipart/mixed;boundary=\"b1\"");
    message.body = b"--b1\r\nContent-Type: application/ISUP\r\n\r\nxx\r\n--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b1--".to_vec();
    assert_eq!((status(&message), session_description(&message)), (0, Some(&b"v=0\r\n"[..])));
    message.set("Content-Encoding", "gzip");
    assert_eq!(status(&message), 415);
    let mut info = request("INFO", &[("Content-Type", Some("application/dtmf-relay"))]);
    info.body = b"Signal=5".to_vec();
    assert_eq!(status(&info), 0);
}
