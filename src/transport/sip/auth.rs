//! Challenges of ours to callers: nonces that are remembered for a while and counted, so that an answer cannot be used twice. Bounded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::dialog::random_token;
use crate::units::Moment;
use crate::wire::sip::{Algorithm, Answer, Challenge, Credentials, Message};

/// How long a nonce is good.
const NONCE_MS: u64 = 60_000;
/// Most nonces that are remembered; beyond them the oldest go.
const MAX_NONCES: usize = 4_096;

/// What an INVITE's credentials are worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// They prove the password.
    Good,
    /// None, wrong ones, or a nonce of another time: challenge (`stale` where only the nonce was old).
    Challenge { stale: bool },
}

/// The nonces that were given out.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    /// Nonce → when it was made, and the highest count that used it.
    known: Mutex<HashMap<String, (Moment, u32)>>,
}

impl Nonces {
    /// Judges the `Authorization` of a request.
    pub fn judge(&self, request: &Message, credentials: &Credentials, realm: &str, now: Moment) -> Verdict {
        let method = request.method().unwrap_or_default();
        let answers = request.all("Authorization").filter_map(|field| Answer::parse(field).ok());
        for answer in answers {
            if !answer.proves(credentials, realm, method) {
                continue;
            }
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get_mut(&answer.nonce) {
                Some((made, count))
                    if now.ms_since(*made) < NONCE_MS && (answer.count > *count || answer.count == 0) =>
                {
                    *count = answer.count;
                    if answer.count == 0 {
                        // The old form has no count, so a nonce is good once.
                        known.remove(&answer.nonce);
                    }
                    return Verdict::Good;
                }
                _ => return Verdict::Challenge { stale: true },
            }
        }
        Verdict::Challenge { stale: false }
    }

    /// The fields of a 401: SHA-256 before MD5 where `sha256` is set, else MD5 alone.
    pub fn challenges(&self, realm: &str, stale: bool, sha256: bool, now: Moment) -> Vec<String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_NONCES {
            known.retain(|_, (made, _)| now.ms_since(*made) < NONCE_MS);
        }
        if known.len() >= MAX_NONCES
            && let Some(oldest) = known.iter().min_by_key(|(_, (made, _))| *made).map(|(nonce, _)| nonce.clone())
        {
            known.remove(&oldest);
        }
        let nonce = random_token(16);
        known.insert(nonce.clone(), (now, 0));
        let pose = |algorithm| {
            let (realm, nonce) = (realm.to_owned(), nonce.clone());
            Challenge { realm, nonce, opaque: None, algorithm, qop: true, stale }.text()
        };
        // Old peers look at the first challenge alone, so the stronger one is posed only where the trunk says so.
        if sha256 { vec![pose(Algorithm::Sha256), pose(Algorithm::Md5)] } else { vec![pose(Algorithm::Md5)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Pii;

    #[test]
    fn an_answer_is_good_once_and_only_for_a_while() {
        let nonces = Nonces::default();
        let credentials = Credentials { user: "u".to_owned(), password: Pii::new("p".to_owned()) };
        let at = Moment::from_millis;
        let fields = nonces.challenges("r", false, true, at(0));
        let answered = |count: u32| {
            let challenge = Challenge::best(fields.iter().map(String::as_str)).unwrap();
            let mut invite = Message::request("INVITE", "sip:a@h");
            invite.push("Authorization", &challenge.answer(&credentials, "INVITE", "sip:a@h", "c", count));
            invite
        };
        assert_eq!(nonces.judge(&answered(1), &credentials, "r", at(10)), Verdict::Good);
        assert_eq!(nonces.judge(&answered(1), &credentials, "r", at(20)), Verdict::Challenge { stale: true });
        assert_eq!(nonces.judge(&answered(2), &credentials, "r", at(30)), Verdict::Good);
        assert_eq!(nonces.judge(&answered(3), &credentials, "r", at(70_000)), Verdict::Challenge { stale: true });
        let wrong = Credentials { password: Pii::new("x".to_owned()), ..credentials.clone() };
        assert_eq!(nonces.judge(&answered(4), &wrong, "r", at(30)), Verdict::Challenge { stale: false });
        for n in 0..5_000 {
            nonces.challenges("r", false, false, at(n));
        }
        assert!(nonces.known.lock().unwrap().len() <= MAX_NONCES);
    }
}
