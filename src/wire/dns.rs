//! The little of DNS (RFC 1035) that finding a carrier needs: a question for SRV records (RFC 2782), its answer, and the order in which
//! they are to be tried. Pure; bounded whatever the bytes say.

/// The type of an SRV record.
const SRV: u16 = 33;
/// The class of the internet.
const IN: u16 = 1;
/// Longest name, as text.
const MAX_NAME: usize = 253;
/// Records of an answer that are looked at.
const MAX_RECORDS: usize = 64;
/// Labels and pointers of a name that are followed.
const MAX_STEPS: usize = 128;

/// An answer that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DnsError {
    /// Not what was asked for, or broken.
    #[error("expected the answer to our question, found something else")]
    Foreign,
    /// The server failed or refused; nothing is known of the name.
    #[error("expected records or none, found the server's code {0}")]
    Server(u8),
    /// Longer than a datagram.
    #[error("expected an answer that fits a datagram, found one that was cut")]
    Cut,
}

/// One service record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Srv {
    /// The lowest is tried first.
    pub priority: u16,
    /// Its share among those of its priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; never blank.
    pub target: String,
}

/// What a name server says of a name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SrvAnswer {
    /// The services; none where there is no such name, or no such service.
    pub records: Vec<Srv>,
    /// How long all of them hold, in seconds (RFC 2181 section 8); 0 where there are none.
    pub ttl_s: u32,
}

/// A question for the SRV records of `name`; `None` where that is no name.
#[must_use]
pub fn srv_question(id: u16, name: &str) -> Option<Vec<u8>> {
    let name = name.trim_end_matches('.');
    if name.is_empty() || name.len() > MAX_NAME {
        return None;
    }
    let mut out = Vec::with_capacity(18 + name.len());
    out.extend(id.to_be_bytes());
    // Recursion desired; one question.
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        out.push(length);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out.extend(SRV.to_be_bytes());
    out.extend(IN.to_be_bytes());
    Some(out)
}

/// The SRV records of an answer to `question`.
///
/// # Errors
/// [`DnsError`].
pub fn srv_answer(question: &[u8], bytes: &[u8]) -> Result<SrvAnswer, DnsError> {
    let mut read = Reader { bytes, at: 0 };
    let head: Vec<u16> = (0..6).map_while(|_| read.u16()).collect();
    let [id, flags, questions, answers, ..] = head[..] else { return Err(DnsError::Foreign) };
    let asked = question.get(12..).unwrap_or_default();
    let same = Some(id.to_be_bytes().as_slice()) == question.get(..2) && flags & 0x8000 != 0 && questions == 1;
    let echoed = bytes.get(12..12 + asked.len()).is_some_and(|echo| echo.eq_ignore_ascii_case(asked));
    if !same || !echoed {
        return Err(DnsError::Foreign);
    }
    // No such name is an answer, too.
    match flags & 0x0f {
        0 => {}
        3 => return Ok(SrvAnswer::default()),
        code => return Err(DnsError::Server(code as u8)),
    }
    if flags & 0x0200 != 0 {
        return Err(DnsError::Cut);
    }
    read.at = 12 + asked.len();
    let (mut records, mut ttl_s) = (Vec::new(), u32::MAX);
    for _ in 0..usize::from(answers).min(MAX_RECORDS) {
        let record = read.record().ok_or(DnsError::Foreign)?;
        // A single point says that there is none (RFC 2782).
        if let Some((srv, holds_s)) = record.filter(|(srv, _)| !srv.target.is_empty() && srv.port != 0) {
            records.push(srv);
            ttl_s = ttl_s.min(holds_s);
        }
    }
    let ttl_s = if records.is_empty() { 0 } else { ttl_s };
    Ok(SrvAnswer { records, ttl_s })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u16(&mut self) -> Option<u16> {
        let bytes = self.bytes.get(self.at..self.at + 2)?;
        self.at += 2;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    }

    /// The next record, if it reads: an SRV one and how long it holds in seconds, or another that is passed over.
    fn record(&mut self) -> Option<Option<(Srv, u32)>> {
        self.name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        // One with the highest bit set is none (RFC 2181 section 8).
        let ttl_s = u32::from(self.u16()?) << 16 | u32::from(self.u16()?);
        let ttl_s = if ttl_s > i32::MAX as u32 { 0 } else { ttl_s };
        let length = usize::from(self.u16()?);
        let end = self.at + length;
        if end > self.bytes.len() {
            return None;
        }
        let mut found = None;
        if kind == SRV && class == IN {
            let (priority, weight, port) = (self.u16()?, self.u16()?, self.u16()?);
            found = Some((Srv { priority, weight, port, target: self.name()? }, ttl_s));
        }
        self.at = end;
        Some(found)
    }

    /// A name, its pointers followed; what is no host's is blank.
    fn name(&mut self) -> Option<String> {
        let (mut at, mut end, mut name) = (self.at, None, String::new());
        for _ in 0..MAX_STEPS {
            let length = *self.bytes.get(at)?;
            match length {
                0 => {
                    self.at = end.unwrap_or(at + 1);
                    return Some(name);
                }
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + usize::from(length))?;
                    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
                    let text = core::str::from_utf8(label).ok().filter(|_| label.iter().all(plain))?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(text);
                    if name.len() > MAX_NAME {
                        return None;
                    }
                    at += 1 + usize::from(length);
                }
                // A pointer.
                192.. => {
                    let low = *self.bytes.get(at + 1)?;
                    end.get_or_insert(at + 2);
                    at = usize::from(length & 0x3f) << 8 | usize::from(low);
                }
                64..=191 => return None,
            }
        }
        None
    }
}

/// The order in which records are tried: by priority, and within one by chance in proportion to the weights (RFC 2782). `random` gives a
/// number from 0 up to and including its argument.
#[must_use]
pub fn in_order(mut records: Vec<Srv>, mut random: impl FnMut(u32) -> u32) -> Vec<Srv> {
    // Those without weight stand first, so that they have their small chance.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let same = records.iter().take_while(|record| record.priority == priority);
        let sum: u32 = same.map(|record| u32::from(record.weight)).sum();
        let chosen = random(sum).min(sum);
        let mut running = 0;
        let at = records.iter().position(|record| {
            running += u32::from(record.weight);
            running >= chosen
        });
        ordered.push(records.remove(at.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn srv(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 5060, target: target.to_owned() }
    }

    /// An answer with these records; names point back to the question's.
    fn answer(question: &[u8], flags: u16, records: &[(u16, u16, u16, &[u8])]) -> Vec<u8> {
        let mut out = question.to_vec();
        out[2..4].copy_from_slice(&flags.to_be_bytes());
        out[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        for (priority, weight, port, target) in records {
            out.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
            out.extend((6 + target.len() as u16).to_be_bytes());
            for number in [priority, weight, port] {
                out.extend(number.to_be_bytes());
            }
            out.extend(*target);
        }
        out
    }

    #[test]
    fn an_answer_is_read_and_a_wrong_one_refused() {
        let question = srv_question(7, "_sip._udp.carrier.example.").unwrap();
        // `a.` and then the question's `carrier.example`, by a pointer behind `_sip._udp`.
        let target = [1, b'a', 0xc0, 22];
        let whole = answer(&question, 0x8180, &[(10, 5, 5070, &target), (20, 0, 5060, &[0])]);
        let expected = Srv { priority: 10, weight: 5, port: 5070, target: "a.carrier.example".to_owned() };
        assert_eq!(
            srv_answer(&question, &whole),
            Ok(SrvAnswer { records: vec![expected], ttl_s: 60 }),
            "a single point is no host"
        );
        let none = SrvAnswer::default();
        assert_eq!(srv_answer(&question, &answer(&question, 0x8183, &[])), Ok(none), "no such name");
        assert_eq!(srv_answer(&question, &answer(&question, 0x8182, &[])), Err(DnsError::Server(2)));
        assert_eq!(srv_answer(&question, &answer(&question, 0x8380, &[])), Err(DnsError::Cut));
        assert_eq!(srv_answer(&question, &question), Err(DnsError::Foreign), "a question");
        let other = srv_question(7, "_sip._udp.other.example").unwrap();
        assert_eq!(srv_answer(&other, &whole), Err(DnsError::Foreign));
        let later = srv_question(8, "_sip._udp.carrier.example").unwrap();
        assert_eq!(srv_answer(&later, &whole), Err(DnsError::Foreign));
        let turning = answer(&question, 0x8180, &[(1, 1, 1, &[0xc0, 61])]);
        assert_eq!(srv_answer(&question, &turning), Err(DnsError::Foreign), "a pointer to itself");
        for name in ["", ".", "a..b", &"x".repeat(64), &"x.".repeat(200)] {
            assert_eq!(srv_question(1, name), None, "{name}");
        }
    }

    #[test]
    fn records_are_tried_by_priority_and_weight() {
        let all = vec![srv(20, 0, "last"), srv(10, 60, "heavy"), srv(10, 0, "none"), srv(10, 20, "light")];
        let names = |random: &mut dyn FnMut(u32) -> u32| {
            in_order(all.clone(), random).into_iter().map(|record| record.target).collect::<Vec<_>>()
        };
        assert_eq!(names(&mut |_| 0), ["none", "heavy", "light", "last"]);
        assert_eq!(names(&mut |most| most), ["light", "heavy", "none", "last"]);
        let (mut heavy, mut seed) = (0, 1_u32);
        for _ in 0..4_000 {
            let first = names(&mut |most| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) % (most + 1)
            });
            heavy += u32::from(first[0] == "heavy");
        }
        assert!((2_800..3_200).contains(&heavy), "three quarters of the calls: {heavy} of 4000");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..200), flags in any::<u16>()) {
            let question = srv_question(7, "_sip._udp.carrier.example").unwrap();
            let mut bytes = answer(&question, flags | 0x8000, &[]);
            bytes[7] = 3;
            bytes.extend(tail);
            let found = srv_answer(&question, &bytes).unwrap_or_default().records;
            prop_assert!(found.len() <= 3 && found.iter().all(|srv| !srv.target.is_empty()));
            prop_assert_eq!(in_order(found.clone(), |_| 0).len(), found.len());
        }
    }
}
