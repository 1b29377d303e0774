//! What the words of the first turns say about who speaks: phrases that only machines say, phrases that machines and people say, and
//! phrases that only people say. English; never decides anything by itself.

use super::score::SignalKind;

/// Only a machine says so. In lower case, words alone, one blank between them.
const MACHINE: &[&str] = &[
    "after the tone",
    "after the beep",
    "after the signal",
    "at the tone",
    "at the beep",
    "leave a message",
    "leave me a message",
    "leave your message",
    "leave us a message",
    "leave your name",
    "leave a brief message",
    "leave a short message",
    "leave a detailed message",
    "record your message",
    "record a message",
    "voicemail",
    "voice mail",
    "voice mailbox",
    "mailbox",
    "answering machine",
    "answering service",
    "you have reached the",
    "you've reached the",
    "to leave a callback number",
    "for more options",
    "when you have finished recording",
    "when you are finished recording",
    "forwarded to",
    "is not accepting calls",
];

/// A machine says so, and so does whoever picks up for somebody else.
const ABSENCE: &[&str] = &[
    "not available",
    "unavailable",
    "isn't available",
    "can't come to the phone",
    "cannot come to the phone",
    "can't take your call",
    "cannot take your call",
    "unable to take your call",
    "unable to answer",
    "can't answer",
    "away from the phone",
    "away from my phone",
    "away from my desk",
    "missed your call",
    "get back to you",
    "call you back",
    "return your call",
    "try again later",
    "call again later",
    "please hang up",
];

/// Only a person says so, to somebody who is there.
const PERSON: &[&str] = &[
    "who is this",
    "who's this",
    "who is calling",
    "who's calling",
    "who is speaking",
    "who's speaking",
    "who am i speaking",
    "are you there",
    "anybody there",
    "anyone there",
    "can you hear me",
    "can i help you",
    "can i take a message",
    "shall i take a message",
    "may i ask",
    "can i ask",
    "what do you want",
    "what is this about",
    "what's this about",
    "hello hello",
    "yes speaking",
    "speaking who",
];

/// A lone word that calls into a silence.
const CALLS: &[&str] = &["hello", "hallo", "hi", "yes", "yeah", "sorry"];

/// Words alone, in lower case, one blank between them and at both ends.
fn plain(text: &str) -> String {
    let mut out = String::from(" ");
    for word in text.split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '’')).filter(|word| !word.is_empty())
    {
        out.extend(word.chars().map(|c| if c == '’' { '\'' } else { c }).flat_map(char::to_lowercase));
        out.push(' ');
    }
    out
}

/// The phrase of a list that `plain` holds as whole words.
fn found(plain: &str, list: &[&'static str]) -> Option<&'static str> {
    let holds = |phrase: &str| plain.match_indices(phrase).any(|(at, _)| is_whole(plain, at, phrase.len()));
    list.iter().copied().find(|phrase| holds(phrase))
}

fn is_whole(plain: &str, at: usize, length: usize) -> bool {
    let blank = |at: usize| plain.as_bytes().get(at) == Some(&b' ');
    at.checked_sub(1).is_some_and(blank) && blank(at + length)
}

/// What these words are evidence of, with the phrase that says so.
pub fn evidence(text: &str) -> impl Iterator<Item = (SignalKind, &'static str)> {
    let plain = plain(text);
    let lists =
        [(SignalKind::MachineWords, MACHINE), (SignalKind::AbsenceWords, ABSENCE), (SignalKind::PersonWords, PERSON)];
    lists.into_iter().filter_map(move |(kind, list)| Some((kind, found(&plain, list)?)))
}

/// Is it what a person says who hears nothing: a call, or a question to somebody who is there?
pub fn calls_out(text: &str) -> bool {
    let plain = plain(text);
    let lone = plain.split_whitespace().count() <= 3 && plain.split_whitespace().any(|word| CALLS.contains(&word));
    (lone || found(&plain, PERSON).is_some()) && found(&plain, MACHINE).is_none()
}

/// Are there words at all, and none of a machine's?
pub fn are_a_persons(text: &str) -> bool {
    let plain = plain(text);
    !plain.trim().is_empty() && found(&plain, MACHINE).is_none() && found(&plain, ABSENCE).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<SignalKind> {
        evidence(text).map(|(kind, _)| kind).collect()
    }

    #[test]
    fn greetings_and_people_are_told_apart() {
        use SignalKind::{AbsenceWords, MachineWords, PersonWords};
        for (text, expected) in [
            ("Hi, you've reached Sam. Please leave a message after the tone.", vec![MachineWords]),
            (
                "The person you are calling is not available. At the tone, please record your message.",
                vec![MachineWords, AbsenceWords],
            ),
            ("Your call has been forwarded to an automatic voice message system.", vec![MachineWords]),
            ("The mailbox is full.", vec![MachineWords]),
            ("Sorry I can’t take your call right now", vec![AbsenceWords]),
            ("He is not available at the moment.", vec![AbsenceWords]),
            ("He's not available, can I take a message?", vec![AbsenceWords, PersonWords]),
            ("Hello? Who is this?", vec![PersonWords]),
            ("Acme Dental, how can I help you", vec![PersonWords]),
            ("Hello?", vec![]),
            ("I paid it yesterday", vec![]),
            ("the mailboxes outside", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn a_call_into_a_silence_is_a_persons() {
        for text in ["Hello?", "Yes, hello", "Hello, are you there?", "who is this please"] {
            assert!(calls_out(text), "{text}");
        }
        for text in ["", "please leave your name", "Hello and thank you for calling", "yes leave a message"] {
            assert!(!calls_out(text), "{text}");
        }
        assert!(are_a_persons("tomorrow morning") && !are_a_persons(" ...") && !are_a_persons("leave your name"));
    }

    #[test]
    fn every_phrase_is_found_as_it_is_written() {
        for list in [MACHINE, ABSENCE, PERSON] {
            for phrase in list {
                assert_eq!(plain(phrase).trim(), *phrase);
                assert!(evidence(&format!("Well, {}!", phrase.to_uppercase())).any(|(_, found)| list.contains(&found)));
            }
        }
    }
}
