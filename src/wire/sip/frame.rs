//! Cutting a TCP or TLS stream into messages (RFC 3261 section 18.3), and the pings between them (RFC 5626). Bounded; a stream
//! that lost its frame cannot be saved and says so.

/// Longest head of a message on a stream.
const MAX_HEAD: usize = 32 * 1024;
/// Longest body.
const MAX_BODY: usize = 64 * 1024;

/// A stream that cannot be read on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FramingError {
    /// A head without end, or a body beyond measure.
    #[error("expected a SIP message of at most {MAX_HEAD} bytes of head and {MAX_BODY} of body, found a longer one")]
    TooLong,
    /// No usable Content-Length.
    #[error("expected one Content-Length that is a number, found none")]
    NoLength,
}

/// What a stream held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A whole message.
    Message(Vec<u8>),
    /// A ping that wants a pong (two line breaks).
    Ping,
    /// A pong (one line break).
    Pong,
}

/// Collects a stream's bytes.
#[derive(Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
}

impl Framer {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole thing, `None` where more is needed.
    ///
    /// # Errors
    /// [`FramingError`]: the stream is to be closed. The head that broke it is [`Framer::rest`].
    pub fn take(&mut self) -> Result<Option<Frame>, FramingError> {
        if self.bytes.starts_with(b"\r\n\r\n") {
            self.bytes.drain(..4);
            return Ok(Some(Frame::Ping));
        }
        if self.bytes.starts_with(b"\r\n") && self.bytes.get(2).is_some_and(|b| *b != b'\r') {
            self.bytes.drain(..2);
            return Ok(Some(Frame::Pong));
        }
        if self.bytes.is_empty() || self.bytes == b"\r" || self.bytes == b"\r\n" || self.bytes == b"\r\n\r" {
            return Ok(None);
        }
        let Some(head) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if self.bytes.len() > MAX_HEAD { Err(FramingError::TooLong) } else { Ok(None) };
        };
        if head > MAX_HEAD {
            return Err(FramingError::TooLong);
        }
        let body = length(self.bytes.get(..head).unwrap_or_default())?;
        if body > MAX_BODY {
            return Err(FramingError::TooLong);
        }
        let whole = head + 4 + body;
        if self.bytes.len() < whole {
            return Ok(None);
        }
        Ok(Some(Frame::Message(self.bytes.drain(..whole).collect())))
    }

    /// A lone pong at the end of what came, which only waiting could tell from the start of a ping.
    pub fn settle(&mut self) {
        if self.bytes == b"\r\n" {
            self.bytes.clear();
        }
    }

    /// What is not yet read.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes
    }
}

fn length(head: &[u8]) -> Result<usize, FramingError> {
    let text = String::from_utf8_lossy(head);
    let mut found = None;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = name.trim();
        if name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("l") {
            let value: usize = value.trim().parse().map_err(|_| FramingError::NoLength)?;
            if found.is_some_and(|before| before != value) {
                return Err(FramingError::NoLength);
            }
            found = Some(value);
        }
    }
    found.ok_or(FramingError::NoLength)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &[u8] = b"BYE sip:a SIP/2.0\r\nl: 3\r\n\r\nabc";

    #[test]
    fn a_stream_that_lost_its_frame_says_so() {
        for (head, error) in [
            (&b"BYE sip:a SIP/2.0\r\n\r\n"[..], FramingError::NoLength),
            (b"BYE sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n", FramingError::NoLength),
            (b"BYE sip:a SIP/2.0\r\nContent-Length: 18446744073709551615\r\n\r\n", FramingError::TooLong),
            (b"BYE sip:a SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n", FramingError::NoLength),
        ] {
            let mut framer = Framer::default();
            framer.push(head);
            assert_eq!(framer.take(), Err(error), "{}", String::from_utf8_lossy(head));
        }
        let mut framer = Framer::default();
        framer.push(&vec![b'a'; MAX_HEAD + 1]);
        assert_eq!(framer.take(), Err(FramingError::TooLong));
    }

    proptest! {
        #[test]
        fn any_cut_of_a_stream_gives_the_same_messages(cuts in prop::collection::vec(1_usize..20, 1..40)) {
            let stream = [ONE, b"\r\n\r\n", ONE, b"\r\n", ONE].concat();
            let mut framer = Framer::default();
            let (mut at, mut found, mut cut) = (0, Vec::new(), cuts.into_iter().cycle());
            while at < stream.len() {
                let end = (at + cut.next().unwrap()).min(stream.len());
                framer.push(&stream[at..end]);
                at = end;
                while let Some(frame) = framer.take().unwrap() {
                    found.push(frame);
                }
            }
            let message = || Frame::Message(ONE.to_vec());
            prop_assert_eq!(found, vec![message(), Frame::Ping, message(), Frame::Pong, message()]);
        }
    }
}
