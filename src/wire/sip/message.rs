//! One SIP message: start line, header fields in their order, body. Reading is tolerant (compact and folded fields, bare line
//! feeds, bytes that are not UTF-8) and bounded; judging is another file's.

use core::fmt::Write as _;

/// Longest message that is read: the largest datagram.
const MAX_BYTES: usize = 65_535;
/// Most header fields that are read.
const MAX_FIELDS: usize = 256;

/// Bytes that are no SIP message, not even a broken one that could be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected a SIP message")]
pub struct NotSip;

/// The first line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Start {
    /// A request.
    Request {
        /// As it stands; methods are case-sensitive.
        method: String,
        /// Request-URI, as it stands.
        uri: String,
        /// `SIP/2.0`, or what stands there.
        version: String,
    },
    /// A response.
    Response {
        /// 100 to 699.
        status: u16,
        /// The phrase, as it stands.
        reason: String,
    },
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The first line.
    pub start: Start,
    /// Fields in their order; compact names are written out.
    fields: Vec<(String, String)>,
    /// What follows the empty line, cut to Content-Length where that is shorter.
    pub body: Vec<u8>,
    /// Content-Length promised more than came, or is no number.
    pub body_is_short: bool,
}

impl Message {
    /// A request of ours.
    #[must_use]
    pub fn request(method: &str, uri: &str) -> Self {
        let start = Start::Request { method: method.to_owned(), uri: uri.to_owned(), version: "SIP/2.0".to_owned() };
        Self { start, fields: Vec::new(), body: Vec::new(), body_is_short: false }
    }

    /// A response to `request`: its Via, From, To, Call-ID and CSeq, and a To tag where it has none yet and the status is above 100.
    #[must_use]
    pub fn response(request: &Self, status: u16, reason: &str, to_tag: &str) -> Self {
        let reason = if reason.is_empty() { reason_phrase(status) } else { reason };
        let start = Start::Response { status, reason: reason.to_owned() };
        let mut made = Self { start, fields: Vec::new(), body: Vec::new(), body_is_short: false };
        for (name, value) in &request.fields {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is("To") {
                let tagged = status == 100 || to_tag.is_empty() || super::parameter(value, "tag").is_some();
                made.push("To", &if tagged { value.clone() } else { format!("{value};tag={to_tag}") });
            } else {
                let always = is("Via") || is("From") || is("Call-ID") || is("CSeq");
                let timed = is("Timestamp") && status == 100;
                if always || timed || (is("Record-Route") && (101..=299).contains(&status)) {
                    made.push(name, value);
                }
            }
        }
        made
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`NotSip`] where nothing can be made of it. A request that is broken but readable is a message; see [`super::fault_of`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NotSip> {
        if bytes.len() > MAX_BYTES {
            return Err(NotSip);
        }
        let (head, body) = split(bytes);
        let mut lines = head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = start_line(&text_of(lines.next().ok_or(NotSip)?))?;
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in lines {
            let line = text_of(line);
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                continue;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            if fields.len() >= MAX_FIELDS {
                return Err(NotSip);
            }
            fields.push((long_name(name.trim_end()).to_owned(), value.trim().to_owned()));
        }
        let mut message = Self { start, fields, body: Vec::new(), body_is_short: false };
        match message.get("Content-Length").map(str::parse::<usize>) {
            None => body.clone_into(&mut message.body),
            Some(Ok(length)) if length <= body.len() => message.body = body.get(..length).unwrap_or_default().to_vec(),
            Some(_) => {
                body.clone_into(&mut message.body);
                message.body_is_short = true;
            }
        }
        Ok(message)
    }

    /// The message for the wire, with its Content-Length.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = match &self.start {
            Start::Request { method, uri, version } => format!("{method} {uri} {version}\r\n"),
            Start::Response { status, reason } => format!("SIP/2.0 {status} {reason}\r\n"),
        };
        for (name, value) in &self.fields {
            if !name.eq_ignore_ascii_case("Content-Length") {
                let _ = write!(out, "{name}: {value}\r\n");
            }
        }
        let _ = write!(out, "Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = out.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The method, of a request.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        if let Start::Request { method, .. } = &self.start { Some(method) } else { None }
    }

    /// The Request-URI, of a request.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        if let Start::Request { uri, .. } = &self.start { Some(uri) } else { None }
    }

    /// The status, of a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        if let Start::Response { status, .. } = self.start { Some(status) } else { None }
    }

    /// The reason phrase, of a response.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        if let Start::Response { reason, .. } = &self.start { Some(reason) } else { None }
    }

    /// The first field of this name, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every field of this name, in any case, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every field, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds a field at the end. Line breaks in the value become spaces, so that no value can smuggle in another field.
    pub fn push(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), clean(value)));
    }

    /// Adds a field before all others.
    pub fn push_front(&mut self, name: &str, value: &str) {
        self.fields.insert(0, (name.to_owned(), clean(value)));
    }

    /// Replaces the first field of this name, or adds it.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.fields.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = clean(value),
            None => self.push(name, value),
        }
    }

    /// Takes every field of this name away.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// Adds a session description as the body.
    pub fn set_sdp(&mut self, sdp: &str) {
        self.set("Content-Type", "application/sdp");
        self.body = sdp.as_bytes().to_vec();
    }
}

fn clean(value: &str) -> String {
    value.replace(['\r', '\n', '\0'], " ")
}

/// Head and body, parted by an empty line of either kind.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(end) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'\n')).map(|n| at + n) {
        let next = end + 1;
        let rest = bytes.get(next..).unwrap_or_default();
        if rest.starts_with(b"\r\n") {
            return (bytes.get(..end).unwrap_or_default(), rest.get(2..).unwrap_or_default());
        }
        if rest.starts_with(b"\n") {
            return (bytes.get(..end).unwrap_or_default(), rest.get(1..).unwrap_or_default());
        }
        at = next;
    }
    (bytes, &[])
}

/// UTF-8, or else each byte as the Latin-1 letter that it most likely is.
fn text_of(bytes: &[u8]) -> String {
    match core::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}

fn start_line(line: &str) -> Result<Start, NotSip> {
    if line.len() >= 4 && line.is_char_boundary(4) && line[..4].eq_ignore_ascii_case("SIP/") {
        let mut words = line.splitn(3, ' ');
        let status = words.nth(1).and_then(|word| word.trim().parse().ok()).filter(|s| (100..700).contains(s));
        let reason = words.next().unwrap_or_default().trim().to_owned();
        return status.map(|status| Start::Response { status, reason }).ok_or(NotSip);
    }
    // The last word is the version, the first the method; what a broken URI holds between them stays for the judge.
    let (method, rest) = line.split_once(' ').ok_or(NotSip)?;
    let (uri, version) = rest.rsplit_once(' ').unwrap_or((rest, ""));
    let (uri, version) =
        if version.is_empty() { (rest.trim_end(), rest.get(rest.len()..).unwrap_or_default()) } else { (uri, version) };
    if method.is_empty() || !line.to_ascii_uppercase().contains("SIP") {
        return Err(NotSip);
    }
    Ok(Start::Request { method: method.to_owned(), uri: uri.to_owned(), version: version.to_owned() })
}

/// The long name of a compact field (RFC 3261 section 7.3.3 and its extensions).
fn long_name(name: &str) -> &str {
    match name.as_bytes() {
        [letter] => match letter.to_ascii_lowercase() {
            b'a' => "Accept-Contact",
            b'b' => "Referred-By",
            b'c' => "Content-Type",
            b'e' => "Content-Encoding",
            b'f' => "From",
            b'i' => "Call-ID",
            b'k' => "Supported",
            b'l' => "Content-Length",
            b'm' => "Contact",
            b'o' => "Event",
            b'r' => "Refer-To",
            b's' => "Subject",
            b't' => "To",
            b'u' => "Allow-Events",
            b'v' => "Via",
            b'x' => "Session-Expires",
            b'y' => "Identity",
            _ => name,
        },
        _ => name,
    }
}

/// The usual phrase of a status.
#[must_use]
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        603 => "Decline",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn compact_folded_and_latin_fields_are_read() {
        let mut bytes = b"INVITE sip:1@h SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: \"Jos\xe9\" <sip:j@h>;tag=1\r\nSubject: a\r\n  b\r\nl: 3\r\n\r\n".to_vec();
        bytes.extend(b"xyz and more");
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.get("from"), Some("\"José\" <sip:j@h>;tag=1"));
        assert_eq!(message.get("SUBJECT"), Some("a b"));
        assert_eq!((message.body.as_slice(), message.body_is_short), (&b"xyz"[..], false));
        assert!(Message::parse(&message.to_bytes()).is_ok_and(|again| again.get("Via") == message.get("Via")));
    }

    #[test]
    fn a_value_cannot_smuggle_in_a_field() {
        let mut message = Message::request("BYE", "sip:a@h");
        message.push("X-Name", "a\r\nX-Evil: 1");
        assert_eq!(Message::parse(&message.to_bytes()).unwrap().get("X-Evil"), None);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in
            [&b""[..], b"\r\n\r\n", b"hello", b"GET / HTTP/1.1\r\n\r\n", b"SIP/2.0 xyz\r\n\r\n", b"SIP/2.0 99 x\r\n"]
        {
            assert_eq!(Message::parse(bytes), Err(NotSip), "{bytes:?}");
        }
        assert_eq!(Message::parse(&vec![b'a'; 70_000]), Err(NotSip));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read_again(
            name in "X-[A-Za-z]{1,8}", value in "[ -~]{0,40}", body in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut message = Message::request("OPTIONS", "sip:a@h");
            message.push(&name, value.trim());
            message.body = body;
            let mut again = Message::parse(&message.to_bytes()).unwrap();
            again.remove("Content-Length");
            prop_assert_eq!(again, message);
        }
    }
}
