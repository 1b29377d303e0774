//! As much WebSocket framing (RFC 6455) as a load needs: whole text frames out, whole frames in. The mask is zero, so that masking costs
//! the generator nothing; a server cannot tell. Pure.

/// Longest frame that a server of ours sends.
const MOST: usize = 1 << 20;

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Text(&'a str),
    Ping(&'a [u8]),
    Close,
    Other,
}

const TEXT: u8 = 1;
pub(super) const CLOSE: u8 = 8;
const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// A client's frame.
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    out.push(0x80 | opcode);
    match payload.len() {
        n if n < 126 => out.push(0x80 | n as u8),
        n if n < 1 << 16 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

/// A client's text frame.
pub(super) fn text(payload: &str) -> Vec<u8> {
    frame(TEXT, payload.as_bytes())
}

/// The first frame in `bytes` and how long it is; `None` where it is not whole yet. `Err` where it never will be.
pub(super) fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, ()> {
    let [head, length, ..] = *bytes else { return Ok(None) };
    let (from, length) = match length & 0x7f {
        126 => match bytes.get(2..4) {
            Some(n) => (4, usize::from(u16::from_be_bytes([n[0], n[1]]))),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|n| <[u8; 8]>::try_from(n).ok()) {
            Some(n) => (10, usize::try_from(u64::from_be_bytes(n)).map_err(|_| ())?),
            None => return Ok(None),
        },
        n => (2, usize::from(n)),
    };
    if length > MOST {
        return Err(());
    }
    let Some(payload) = bytes.get(from..from + length) else { return Ok(None) };
    let frame = match head & 0x0f {
        TEXT => Frame::Text(std::str::from_utf8(payload).map_err(|_| ())?),
        PING => Frame::Ping(payload),
        CLOSE => Frame::Close,
        _ => Frame::Other,
    };
    Ok(Some((frame, from + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_read_whole_or_not_yet() {
        for n in [0usize, 5, 125, 126, 4_000, 70_000] {
            let payload = "x".repeat(n);
            let masked = text(&payload);
            // A server's frame is the client's without the mask.
            let head = masked.len() - n - 4;
            let mut bytes = [&masked[..head], payload.as_bytes()].concat();
            bytes[1] &= 0x7f;
            assert_eq!(first(&bytes), Ok(Some((Frame::Text(&payload), bytes.len()))));
            for cut in [0, 1, head - 1, bytes.len() - 1] {
                assert_eq!(first(&bytes[..cut.min(bytes.len() - 1)]), Ok(None), "{n}: {cut}");
            }
        }
        assert_eq!(first(&[0x88, 0]), Ok(Some((Frame::Close, 2))));
        assert_eq!(first(&[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]), Err(()));
        assert_eq!(first(&[0x81, 1, 0xff]), Err(()));
    }
}
