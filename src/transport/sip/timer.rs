//! Session timers (RFC 4028): whether a session is kept alive, by whom and until when. Pure.

use crate::trunk::{TimerMode, Timers};
use crate::units::Moment;
use crate::wire::sip::{Message, list, parameter};

/// A session that must be refreshed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Session {
    /// Seconds.
    pub interval_s: u32,
    /// It is on us.
    pub ours: bool,
    refreshed: Moment,
}

impl Session {
    /// A session that was refreshed just now.
    pub const fn begun(interval_s: u32, ours: bool, now: Moment) -> Self {
        Self { interval_s, ours, refreshed: now }
    }

    /// When something is to be done: our refresh at half the interval, or else the end, a third or 32 s before it.
    pub fn due(&self) -> Moment {
        let whole = u64::from(self.interval_s) * 1_000;
        self.refreshed.plus_ms(if self.ours { whole / 2 } else { whole - (whole / 3).min(32_000) })
    }

    /// When the session is dead, whoever should have refreshed it.
    pub fn dead(&self) -> Moment {
        self.refreshed.plus_ms(u64::from(self.interval_s) * 1_000)
    }

    /// The field that says so, in an answer to a request of the peer's.
    pub fn answer_field(&self) -> String {
        format!("{};refresher={}", self.interval_s, if self.ours { "uas" } else { "uac" })
    }
}

/// Longest least interval that a peer may ask for; one that asks for more asks for no session timer at all.
const MOST_S: u32 = 86_400;

/// The seconds of a Session-Expires or Min-SE.
pub(super) fn seconds(value: &str) -> Option<u32> {
    value.split(';').next()?.trim().parse().ok()
}

/// What a peer's INVITE or UPDATE asks for: a session, none, or an interval that is refused with 422 and this least one.
///
/// # Errors
/// The least interval that is taken.
pub(super) fn asked(request: &Message, timers: &Timers, now: Moment) -> Result<Option<Session>, u32> {
    let supports = request.all("Supported").flat_map(list).any(|option| option.eq_ignore_ascii_case("timer"))
        || request.all("Require").flat_map(list).any(|option| option.eq_ignore_ascii_case("timer"));
    let floor = request.get("Min-SE").and_then(seconds).unwrap_or(0).max(timers.min_se_s);
    match request.get("Session-Expires").and_then(|value| Some((seconds(value)?, parameter(value, "refresher")))) {
        Some((interval, _)) if interval < timers.min_se_s && supports => Err(timers.min_se_s),
        Some((interval, refresher)) => {
            let ours = match refresher {
                Some(word) => word.eq_ignore_ascii_case("uas"),
                None => !supports,
            };
            let wanted = if timers.mode == TimerMode::On { interval.min(timers.expires_s) } else { interval };
            Ok(Some(Session::begun(wanted.max(floor), ours, now)))
        }
        None if timers.mode == TimerMode::On => Ok(Some(Session::begun(timers.expires_s.max(floor), true, now))),
        None => Ok(None),
    }
}

/// What a 2xx to a request of ours agreed to.
pub(super) fn granted(response: &Message, now: Moment) -> Option<Session> {
    let value = response.get("Session-Expires")?;
    let ours = parameter(value, "refresher").is_none_or(|word| !word.eq_ignore_ascii_case("uas"));
    Some(Session::begun(seconds(value)?.max(1), ours, now))
}

/// The least interval of a 422; `None` where it names none that can be met.
pub(super) fn least(response: &Message) -> Option<u32> {
    response.get("Min-SE").and_then(seconds).filter(|least| *least <= MOST_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Message {
        let mut message = Message::request("INVITE", "sip:a@h");
        fields.iter().for_each(|(name, value)| message.push(name, value));
        message
    }

    #[test]
    fn both_roles_are_agreed_as_the_standard_says() {
        let now = Moment::from_millis(1_000);
        let timers = Timers::default();
        let off = Timers { mode: TimerMode::Off, ..Timers::default() };
        let ask = |fields: &[(&str, &str)], timers: &Timers| {
            asked(&request(fields), timers, now).map(|session| session.map(|s| (s.interval_s, s.ours)))
        };
        assert_eq!(ask(&[], &timers), Ok(Some((1_800, true))));
        assert_eq!(ask(&[], &off), Ok(None));
        assert_eq!(ask(&[("Supported", "timer"), ("Session-Expires", "90")], &timers), Ok(Some((90, false))));
        assert_eq!(
            ask(&[("Session-Expires", "90;refresher=uas"), ("Supported", "100rel, timer")], &off),
            Ok(Some((90, true)))
        );
        assert_eq!(ask(&[("Supported", "timer"), ("Session-Expires", "10")], &timers), Err(90));
        assert_eq!(
            ask(&[("Supported", "timer"), ("Session-Expires", "600"), ("Min-SE", "300")], &timers),
            Ok(Some((600, false)))
        );
        assert_eq!(ask(&[("Supported", "timer"), ("Session-Expires", "9000")], &timers), Ok(Some((1_800, false))));
        let ours = Session::begun(90, true, now);
        assert_eq!((ours.due(), ours.dead()), (now.plus_ms(45_000), now.plus_ms(90_000)));
        assert_eq!(Session::begun(90, false, now).due(), now.plus_ms(60_000));
        assert_eq!(Session::begun(1_800, false, now).due(), now.plus_ms(1_768_000));
        let mut ok = Message::response(&request(&[]), 200, "", "");
        assert_eq!(granted(&ok, now), None);
        ok.push("Session-Expires", "100;refresher=uas");
        assert_eq!(granted(&ok, now).map(|s| (s.interval_s, s.ours)), Some((100, false)));
    }

    #[test]
    fn a_call_of_sixteen_minutes_is_refreshed_before_it_is_dead_and_no_more_than_that() {
        let end = Moment::from_millis(16 * 60 * 1_000);
        for (interval_s, wanted) in [(90, 21), (300, 6), (1_800, 1)] {
            let mut session = Session::begun(interval_s, true, Moment::ZERO);
            let mut refreshed = 0;
            while session.due() < end {
                let now = session.due();
                assert!(now < session.dead(), "{interval_s} s: in time");
                let mut ok = Message::response(&request(&[]), 200, "", "");
                ok.push("Session-Expires", &format!("{interval_s};refresher=uac"));
                session = granted(&ok, now).unwrap();
                refreshed += 1;
            }
            assert_eq!(refreshed, wanted, "{interval_s} s");
            assert!(session.dead() > end, "{interval_s} s: alive at the end");
        }
        // Whom the peer refreshes for at half the time is never hung up on, and one whom it forgets before the session is over.
        let refreshes = (0..16 * 60).step_by(45).map(|s| Moment::from_millis(s * 1_000));
        assert!(refreshes.into_iter().all(|at| Session::begun(90, false, at).due() > at.plus_ms(45_000)));
    }
}
