//! Keys in SIP INFO bodies, and the Q.850 cause of a Reason header (RFC 3326). Pure.

use crate::wire::sip::{Message, list, parameter};

/// The key of an INFO; `None` where it holds none.
pub(super) fn digit_of(info: &Message) -> Option<char> {
    let kind = info.get("Content-Type")?.split(';').next()?.trim().to_ascii_lowercase();
    let body = String::from_utf8_lossy(&info.body);
    let signal = match kind.as_str() {
        "application/dtmf-relay" => body.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then(|| value.trim().to_owned())
        })?,
        "application/dtmf" => body.trim().to_owned(),
        _ => return None,
    };
    match signal.as_str() {
        "10" => Some('*'),
        "11" => Some('#'),
        "12" => Some('A'),
        "13" => Some('B'),
        "14" => Some('C'),
        "15" => Some('D'),
        one => {
            let mut letters = one.chars();
            let letter = letters.next().map(|letter| letter.to_ascii_uppercase())?;
            (letters.next().is_none() && matches!(letter, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(letter)
        }
    }
}

/// The Q.850 cause that a message gives.
pub(in crate::transport::sip) fn cause_of(message: &Message) -> Option<u8> {
    let values = message.all("Reason").flat_map(list);
    let mut causes =
        values.filter(|value| value.trim_start().get(..5).is_some_and(|p| p.eq_ignore_ascii_case("Q.850")));
    causes.find_map(|value| parameter(value, "cause")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_body_are_read() {
        for (kind, body, expected) in [
            ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", Some('5')),
            ("application/dtmf-relay; x=y", "Duration= 160\nsignal = #\n", Some('#')),
            ("Application/DTMF-Relay", "Signal=10", Some('*')),
            ("application/dtmf", " d ", Some('D')),
            ("application/dtmf", "E", None),
            ("application/dtmf", "", None),
            ("application/dtmf-relay", "Duration=1", None),
            ("text/plain", "5", None),
        ] {
            let mut info = Message::request("INFO", "sip:a@h");
            info.push("Content-Type", kind);
            info.body = body.as_bytes().to_vec();
            assert_eq!(digit_of(&info), expected, "{kind} {body}");
        }
        let mut bye = Message::request("BYE", "sip:a@h");
        bye.push("Reason", "SIP;cause=200;text=\"a, b\", Q.850;cause=16;text=\"x\"");
        assert_eq!(cause_of(&bye), Some(16));
        bye.set("Reason", "SIP;cause=486");
        assert_eq!(cause_of(&bye), None);
    }
}
