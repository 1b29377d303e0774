//! Telephone events (RFC 4733): the four bytes, a receiver that reports each digit once whatever its sender does wrong, and a
//! sender of digits in steps of 20 ms. Works at any clock; keeps no audio and reads no clock.
//!
//! A digit is reported with the first packet of it that arrives. So a lost marker, a lost end, a duration that stays zero or
//! falls, and any number of repeated ends change nothing: what counts is the timestamp and the event.

use crate::units::FRAME_MS;

/// Bytes of one event.
pub const EVENT_BYTES: usize = 4;
/// Digits that wait in a sender at the most: a card number with its hash, and more.
pub const MAX_PRESSES: usize = 32;
/// Times that the end of a digit is sent (RFC 4733 2.5.1.4).
const ENDS: u8 = 3;
/// Frames between two digits: 60 ms, more than the 40 ms that receivers need.
const PAUSE_FRAMES: u8 = 3;
/// Length of a digit that is sent, within what every exchange takes and 16 bits hold at 48 kHz.
const PRESS_MS: std::ops::RangeInclusive<u32> = 40..=1_000;
/// A segment of a long event ends here, and the next begins where it ends (RFC 4733 2.5.1.3).
const SEGMENT_TICKS: u32 = 0xffff;
/// Some senders move the timestamp within a digit, by a packet or two at a time. A new press is never so soon.
const CREEP_MS: u32 = 60;

/// What a packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TelephoneEvent {
    /// 0 to 9, 10 for `*`, 11 for `#`, 12 to 15 for A to D; above are tones and hook events.
    pub event: u8,
    /// The key was let go.
    pub end: bool,
    /// Power of the tone in dBm0 without its sign, 0 to 63.
    pub volume: u8,
    /// How long it has lasted, in ticks.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads the first event of a payload; `None` for less than four bytes. What follows the four is left alone.
    #[must_use]
    pub const fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, high, low, ..] = *payload else { return None };
        Some(Self { event, end: flags & 0x80 != 0, volume: flags & 0x3f, duration: u16::from_be_bytes([high, low]) })
    }

    /// The four bytes of it.
    #[must_use]
    pub const fn bytes(&self) -> [u8; EVENT_BYTES] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, (self.end as u8) << 7 | self.volume & 0x3f, high, low]
    }

    /// The key; `None` for events that are no key.
    #[must_use]
    pub const fn digit(&self) -> Option<char> {
        digit_of(self.event)
    }
}

/// The key of an event; `None` for events that are no key.
#[must_use]
pub const fn digit_of(event: u8) -> Option<char> {
    match event {
        0..=9 => Some((b'0' + event) as char),
        10 => Some('*'),
        11 => Some('#'),
        12..=15 => Some((b'A' + event - 12) as char),
        _ => None,
    }
}

/// The event of a key; `None` for characters that are no key.
#[must_use]
pub const fn event_of(digit: char) -> Option<u8> {
    match digit {
        '0'..='9' => Some(digit as u8 - b'0'),
        '*' => Some(10),
        '#' => Some(11),
        'A'..='D' => Some(digit as u8 - b'A' + 12),
        'a'..='d' => Some(digit as u8 - b'a' + 12),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug)]
struct Running {
    event: u8,
    /// Timestamp of the segment that runs.
    timestamp: u32,
    ended: bool,
}

/// Reports each press once.
#[derive(Clone, Debug)]
pub struct EventReceiver {
    clock_hz: u32,
    running: Option<Running>,
}

impl EventReceiver {
    /// A receiver for a stream whose events count at this clock.
    #[must_use]
    pub const fn new(clock_hz: u32) -> Self {
        Self { clock_hz, running: None }
    }

    /// A packet came; the event where a press begins with it, `None` where it only goes on, ends, or is an old one.
    pub fn arrived(&mut self, timestamp: u32, marker: bool, payload: &[u8]) -> Option<TelephoneEvent> {
        let event = TelephoneEvent::parse(payload)?;
        if let Some(running) = &mut self.running {
            let ahead = timestamp.wrapping_sub(running.timestamp).cast_signed();
            if ahead < 0 {
                return None;
            }
            let ahead = ahead.cast_unsigned();
            let next_segment = ahead == SEGMENT_TICKS;
            let creeps = ahead <= self.clock_hz / 1000 * CREEP_MS;
            let same = running.event == event.event;
            if ahead == 0 || same && !running.ended && !marker && (next_segment || creeps) {
                // Two events at one timestamp would be one key turning into another; the first stands.
                running.timestamp = timestamp;
                running.ended |= same && event.end;
                return None;
            }
        }
        self.running = Some(Running { event: event.event, timestamp, ended: event.end });
        Some(event)
    }

    /// Another source took over: its timestamps are its own.
    pub const fn restart(&mut self) {
        self.running = None;
    }
}

/// A packet to be sent in place of this tick's audio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventPacket {
    /// The payload.
    pub payload: [u8; EVENT_BYTES],
    /// Goes into the header: the same for all packets of a press.
    pub timestamp: u32,
    /// Goes into the header: set on the first packet of a press.
    pub marker: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Press {
    event: u8,
    frames: u16,
}

#[derive(Clone, Copy, Debug)]
enum Sending {
    Resting,
    Pressing { press: Press, timestamp: u32, sent: u16, ends: u8 },
    Pausing { frames: u8 },
}

/// Why a press was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PressError {
    /// No event has this key.
    #[error("expected a key out of 0-9, *, #, A-D, got `{0}`")]
    NoKey(char),
    /// Too many wait already.
    #[error("expected at most {MAX_PRESSES} digits in a row, got one more: wait until some were sent")]
    Full,
}

/// Sends presses one after the other, a packet every 20 ms.
#[derive(Clone, Debug)]
pub struct EventSender {
    frame_ticks: u32,
    volume: u8,
    waiting: [Press; MAX_PRESSES],
    first: usize,
    count: usize,
    sending: Sending,
}

impl EventSender {
    /// A sender at this clock, which must be the clock of the audio beside it; `volume` is in dBm0 without its sign (10 is usual).
    #[must_use]
    pub const fn new(clock_hz: u32, volume: u8) -> Self {
        Self {
            frame_ticks: clock_hz / (1000 / FRAME_MS),
            volume,
            waiting: [Press { event: 0, frames: 0 }; MAX_PRESSES],
            first: 0,
            count: 0,
            sending: Sending::Resting,
        }
    }

    /// Puts a press in line. Its length is brought into 40 to 1,000 ms, in steps of 20.
    ///
    /// # Errors
    /// [`PressError`] where the key is none or the line is full.
    pub fn press(&mut self, digit: char, duration_ms: u32) -> Result<(), PressError> {
        let event = event_of(digit).ok_or(PressError::NoKey(digit))?;
        let place = self.waiting.get_mut((self.first + self.count) % MAX_PRESSES);
        let place = place.filter(|_| self.count < MAX_PRESSES).ok_or(PressError::Full)?;
        let frames = duration_ms.clamp(*PRESS_MS.start(), *PRESS_MS.end()).div_ceil(FRAME_MS);
        *place = Press { event, frames: frames as u16 };
        self.count += 1;
        Ok(())
    }

    /// Whether anything is being sent or waits.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.count > 0 || matches!(self.sending, Sending::Pressing { .. })
    }

    /// Drops what waits; a press that has begun ends as it should.
    pub const fn clear(&mut self) {
        self.count = 0;
    }

    /// Once per tick, with the timestamp that the tick's audio would have: the packet to send in its place, or `None` for
    /// audio. The audio's own timestamp moves on in either case.
    pub fn tick(&mut self, audio_timestamp: u32) -> Option<EventPacket> {
        if let Sending::Pausing { frames } = self.sending {
            self.sending = match frames {
                0 | 1 => Sending::Resting,
                _ => Sending::Pausing { frames: frames - 1 },
            };
            return None;
        }
        let (press, timestamp, sent, ends) = match self.sending {
            Sending::Pressing { press, timestamp, sent, ends } => (press, timestamp, sent, ends),
            _ => (self.take()?, audio_timestamp, 0, 0),
        };
        let sent = (sent + 1).min(press.frames);
        let end = sent == press.frames;
        let ends = ends + u8::from(end);
        let event = TelephoneEvent {
            event: press.event,
            end,
            volume: self.volume,
            duration: u16::try_from(u32::from(sent) * self.frame_ticks).unwrap_or(u16::MAX),
        };
        self.sending = if ends == ENDS {
            Sending::Pausing { frames: PAUSE_FRAMES }
        } else {
            Sending::Pressing { press, timestamp, sent, ends }
        };
        Some(EventPacket { payload: event.bytes(), timestamp, marker: sent == 1 })
    }

    fn take(&mut self) -> Option<Press> {
        self.count = self.count.checked_sub(1)?;
        let press = self.waiting.get(self.first).copied();
        self.first = (self.first + 1) % MAX_PRESSES;
        press
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a receiver reports of the packets, as keys.
    fn heard(clock_hz: u32, packets: &[EventPacket]) -> String {
        let mut receiver = EventReceiver::new(clock_hz);
        let pressed = packets.iter().filter_map(|p| receiver.arrived(p.timestamp, p.marker, &p.payload));
        pressed.filter_map(|event| event.digit()).collect()
    }

    /// The packets of these keys, and how many ticks it took.
    fn sent(clock_hz: u32, keys: &str, duration_ms: u32) -> Vec<EventPacket> {
        let mut sender = EventSender::new(clock_hz, 10);
        for key in keys.chars() {
            sender.press(key, duration_ms).unwrap();
        }
        let ticks = 0..keys.len() as u32 * 80;
        ticks.filter_map(|tick| sender.tick((u32::MAX - 5_000).wrapping_add(tick * (clock_hz / 50)))).collect()
    }

    fn packet(timestamp: u32, marker: bool, event: u8, end: bool, duration: u16) -> EventPacket {
        let payload = TelephoneEvent { event, end, volume: 10, duration }.bytes();
        EventPacket { payload, timestamp, marker }
    }

    #[test]
    fn a_press_is_sent_as_the_rfc_wants_it_at_every_clock() {
        for clock_hz in [8_000, 16_000, 48_000] {
            let packets = sent(clock_hz, "5", 100);
            let step = clock_hz as u16 / 50;
            let told: Vec<_> = packets
                .iter()
                .map(|p| (p.timestamp, p.marker, TelephoneEvent::parse(&p.payload).unwrap()))
                .map(|(at, marker, e)| (at, marker, e.event, e.end, e.volume, e.duration / step))
                .collect();
            let at = u32::MAX - 5_000;
            let expected = [
                (at, true, 5, false, 10, 1),
                (at, false, 5, false, 10, 2),
                (at, false, 5, false, 10, 3),
                (at, false, 5, false, 10, 4),
                (at, false, 5, true, 10, 5),
                (at, false, 5, true, 10, 5),
                (at, false, 5, true, 10, 5),
            ];
            assert_eq!(told, expected, "{clock_hz} Hz");
        }
    }

    #[test]
    fn keys_follow_one_another_with_a_pause_and_wait_their_turn() {
        let mut sender = EventSender::new(8_000, 10);
        for key in "12".chars() {
            sender.press(key, 40).unwrap();
        }
        let line: String = (0..16)
            .map(|tick| match sender.tick(tick * 160) {
                Some(p) => TelephoneEvent::parse(&p.payload).unwrap().digit().unwrap(),
                None => '.',
            })
            .collect();
        assert_eq!(line, "1111...2222.....");
        assert!(!sender.is_busy());
        assert_eq!(sender.press('x', 100), Err(PressError::NoKey('x')));
        for _ in 0..MAX_PRESSES {
            sender.press('#', 9_999).unwrap();
        }
        assert_eq!(sender.press('#', 100), Err(PressError::Full));
        sender.tick(0);
        sender.clear();
        assert!(sender.is_busy(), "a press that has begun is ended");
        assert_eq!((1..100).filter_map(|tick| sender.tick(tick * 160)).count(), 51);
    }

    #[test]
    fn what_senders_do_wrong_is_heard_once() {
        let digit = |packets: &[EventPacket]| heard(8_000, packets);
        // No marker, durations of zero, ends without number.
        assert_eq!(
            digit(&[packet(9, false, 1, false, 0), packet(9, false, 1, true, 0), packet(9, false, 1, true, 0)]),
            "1"
        );
        // Falling durations, an end, and a straggler behind it.
        let falling = [packet(9, true, 2, false, 320), packet(9, false, 2, true, 160), packet(9, false, 2, false, 80)];
        assert_eq!(digit(&falling), "2");
        // Only one end arrived at all.
        assert_eq!(digit(&[packet(9, false, 3, true, 800)]), "3");
        // The end was lost, the same key again.
        assert_eq!(digit(&[packet(9, true, 4, false, 160), packet(2_000, true, 4, false, 160)]), "44");
        assert_eq!(digit(&[packet(9, false, 4, false, 160), packet(2_000, false, 4, false, 160)]), "44");
        // The marker on every packet, which is one digit by its timestamp.
        assert_eq!(digit(&[packet(9, true, 5, false, 160), packet(9, true, 5, false, 320)]), "5");
        // The timestamp creeps with the packets.
        let creeping: Vec<_> = (0..20_u16).map(|n| packet(u32::from(n) * 160, n == 0, 6, n > 16, 160 * n)).collect();
        assert_eq!(digit(&creeping[..18]), "6");
        // An old digit's repeated end behind the new one.
        let crossed =
            [packet(9, true, 7, true, 800), packet(1_609, true, 8, false, 160), packet(9, false, 7, true, 800)];
        assert_eq!(digit(&crossed), "78");
    }

    #[test]
    fn a_key_held_for_ten_seconds_is_one_press() {
        let mut packets = Vec::new();
        let (mut timestamp, mut duration) = (u32::MAX - 70_000, 0_u32);
        for n in 0..500 {
            duration += 160;
            if duration > SEGMENT_TICKS {
                timestamp = timestamp.wrapping_add(SEGMENT_TICKS);
                duration -= SEGMENT_TICKS;
            }
            packets.push(packet(timestamp, n == 0, 9, n == 499, duration as u16));
        }
        assert_eq!(heard(8_000, &packets), "9");
        packets.retain(|p| p.timestamp % 7 != 3);
        assert_eq!(heard(8_000, &packets), "9");
    }

    #[test]
    fn keys_and_events_are_each_other_s() {
        for key in "0123456789*#ABCD".chars() {
            assert_eq!(digit_of(event_of(key).unwrap()), Some(key));
        }
        assert_eq!((event_of('a'), event_of('E'), digit_of(16)), (Some(12), None, None));
    }

    proptest! {
        #[test]
        fn every_key_of_which_a_packet_comes_in_turn_is_heard_once(
            keys in "[0-9*#A-D]{1,12}",
            duration_ms in 0_u32..300,
            clock in prop_oneof![Just(8_000_u32), Just(16_000), Just(48_000)],
            fate in proptest::collection::vec(0_u8..10, 300),
            shift in proptest::collection::vec(0_usize..3, 300),
        ) {
            // Lost by 4 in 10, doubled by 2 in 10, and displaced by up to two places.
            let mut packets: Vec<(usize, EventPacket)> = Vec::new();
            for (n, packet) in sent(clock, &keys, duration_ms).into_iter().enumerate() {
                let copies = match fate[n % 300] { 0..=3 => 0, 4 | 5 => 2, _ => 1 };
                packets.extend(std::iter::repeat_n((n + shift[n % 300], packet), copies));
            }
            packets.sort_by_key(|(place, _)| *place);
            let packets: Vec<EventPacket> = packets.into_iter().map(|(_, packet)| packet).collect();
            // A key is heard where a packet of it came before any of a later key.
            let mut newest = None;
            let mut expected = String::new();
            for packet in &packets {
                let age = packet.timestamp.wrapping_sub(u32::MAX - 5_000);
                if newest.is_none_or(|newest| age > newest) {
                    newest = Some(age);
                    expected.push(TelephoneEvent::parse(&packet.payload).unwrap().digit().unwrap());
                }
            }
            prop_assert_eq!(heard(clock, &packets), expected);
        }

        #[test]
        fn any_bytes_are_an_event_or_none(
            packets in proptest::collection::vec((any::<u32>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..9)), 0..60),
        ) {
            let mut receiver = EventReceiver::new(8_000);
            for (timestamp, marker, payload) in packets {
                let read = receiver.arrived(timestamp, marker, &payload);
                prop_assert!(read.is_none() || payload.len() >= EVENT_BYTES);
                if let Some(event) = TelephoneEvent::parse(&payload) {
                    prop_assert_eq!(TelephoneEvent::parse(&event.bytes()), Some(event));
                }
            }
        }
    }
}
