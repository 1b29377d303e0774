//! Barge-in by what the far end heard: nothing old after the cut, the transcript ends where the hearing ended, a pause loses
//! and repeats no sample, and coughs, back-channels and echoes cut nothing.

use voicefleet::turn::Speaker;

use crate::sim::{BotVoice, MS_PER_CHAR, Run, Script, run, tag_of};

const SENTENCE: &str = "Your payment of five hundred rupees was due on the first of May and has not arrived so we would \
    like to know when you will pay it.";

/// A call in which `act` happens while the bot says a long sentence, one second after it became audible.
fn over_the_bot(voice: BotVoice, settings: &str, act: &str) -> Run {
    let text = format!(
        "{settings}\nreply \"Hello.\"\nreply \"{SENTENCE}\"\nreply \"I see.\"\nreply \"Goodbye.\" end=completed\n\
         bot+500ms caller speaks 900ms \"yes speaking\"\nover+1s {act}\n19s caller speaks 900ms \"that is all\"\n\
         30s caller speaks 900ms \"good bye then\"\n40s caller hangs up"
    );
    let mut script = Script::parse(&text);
    script.bot_voice = voice;
    run(&script)
}

/// When a line of the log that ends like this was written, in milliseconds.
fn when(run: &Run, what: &str) -> u64 {
    let line = run.log.iter().find(|l| l[7..].starts_with(what));
    let line = line.unwrap_or_else(|| panic!("no `{what}` in:\n{}", run.log.join("\n")));
    line[..6].trim().parse().expect("milliseconds")
}

#[test]
fn after_the_cut_at_most_one_frame_of_old_audio_leaves() {
    for act in [
        "caller speaks 1600ms \"I already paid it yesterday\"",
        "caller speaks 500ms \"stop\"",
        "caller presses 1#",
        "caller says \"I [50] already paid it\"",
    ] {
        let run = over_the_bot(BotVoice::Tagged, "", act);
        assert_eq!(run.call.turn().counts().cuts, 1, "{act}");
        let cut_ms = when(&run, "cut 2");
        let late = run.sent.iter().filter(|f| f.due.as_millis() > 1_000_000 + cut_ms + 20);
        let late = late.filter(|f| f.samples.iter().any(|&s| tag_of(s) == Some(2))).count();
        assert_eq!(late, 0, "{act}: frames that left more than one tick after the decision");
        assert_eq!(run.late_frames, 0, "{act}: frames that left after the line knew");
        let last = run.heard.iter().rposition(|&s| tag_of(s) == Some(2)).expect("the answer was heard");
        assert!(last as u64 / 8 <= cut_ms + 20, "{act}: heard until {} ms, cut at {cut_ms} ms", last / 8);
    }
}

#[test]
fn the_transcript_ends_where_the_caller_stopped_hearing() {
    for over_ms in [300, 700, 1_000, 1_900, 3_100, 4_700] {
        let text = format!(
            "reply \"{SENTENCE}\"\nreply \"Goodbye.\" end=completed\n\
             over+{over_ms}ms caller speaks 1600ms \"I already paid it yesterday\""
        );
        let mut script = Script::parse(&text);
        script.bot_voice = BotVoice::Tagged;
        let run = run(&script);
        let heard_ms = run.heard.iter().filter(|&&s| tag_of(s) == Some(1)).count() as u64 / 8;
        let lines = run.call.turn().history().lines();
        let said = lines.iter().find(|l| l.speaker == Speaker::Bot).map_or("", |l| l.text.as_str());
        let whole: String = SENTENCE.split_whitespace().collect::<Vec<_>>().join(" ");
        let rest = whole.strip_prefix(said).expect("what was heard is how the sentence begins");
        let next = rest.split_whitespace().next().unwrap_or("").chars().count() as u64 + 1;
        let end_ms = said.chars().count() as u64 * MS_PER_CHAR;
        // Letters are not all alike: a fifth of a second of grace either way.
        assert!(end_ms <= heard_ms + 200, "`{said}` takes {end_ms} ms, {heard_ms} ms were heard");
        assert!(end_ms + next * MS_PER_CHAR + 200 >= heard_ms, "`{said}` takes {end_ms} ms of {heard_ms} ms heard");
    }
}

#[test]
fn a_pause_delivers_every_sample_once_and_in_order() {
    for act in [
        "caller speaks 450ms \"Monday\"",
        "caller speaks 700ms \"okay yeah\"",
        "caller makes 600ms cough",
        "caller says \"okay [600] mm hmm right [700] yeah sure okay\"",
    ] {
        let run = over_the_bot(BotVoice::Counting, "", act);
        assert!(run.call.turn().counts().pauses >= 1, "{act}: this is about pauses");
        let heard: Vec<i16> = run.heard.iter().copied().filter(|&s| s != 0).collect();
        let wanted: Vec<i16> = (0..heard.len()).map(|i| (i % 30_000) as i16 + 1).collect();
        assert!(heard == wanted, "{act}: a sample was lost, doubled or moved");
        let all: usize = run.said.values().map(|t| t.chars().count() * MS_PER_CHAR as usize * 8).sum();
        assert_eq!(heard.len(), all, "{act}: all of the speech was heard");
    }
}

#[test]
fn a_short_word_or_two_that_recognition_is_sure_of_cut_at_once() {
    for act in [
        "caller speaks 500ms \"not now\"",
        "caller speaks 300ms \"no\"",
        "caller speaks 600ms \"call later\" sure=0.75",
    ] {
        let run = over_the_bot(BotVoice::Speech, "", act);
        assert_eq!(run.call.turn().counts().cuts, 1, "{act}");
    }
}

#[test]
fn coughs_back_channels_and_noises_cut_nothing() {
    for act in [
        "caller makes 300ms cough",
        "caller makes 900ms cough",
        "caller makes 400ms of noise",
        "caller makes 2500ms of noise",
        "caller speaks 700ms \"okay yeah\"",
        "caller speaks 350ms \"mm\"",
        // What recognition may make of a murmur.
        "caller speaks 450ms \"been there\" sure=0.65",
        "caller speaks 1100ms \"in it\"",
        "caller speaks 1100ms \"then the nation then\" sure=0.48",
        "caller speaks 400ms \"no\" sure=0.5",
    ] {
        let run = over_the_bot(BotVoice::Speech, "", act);
        assert_eq!(run.call.turn().counts().cuts, 0, "{act}");
        let lines = run.call.turn().history().lines();
        assert!(lines.iter().any(|l| l.text.ends_with("will pay it.")), "{act}: the sentence was heard to its end");
    }
}

#[test]
fn the_bots_own_echo_neither_pauses_nor_cuts_it() {
    for echo in ["echo -20dB 150ms", "echo -20dB 60ms", "echo -14dB 150ms", "echo -26dB 300ms"] {
        let run = over_the_bot(BotVoice::Speech, echo, "caller makes 20ms of noise");
        let counts = run.call.turn().counts();
        assert_eq!((counts.pauses, counts.cuts), (0, 0), "{echo}\n{}", run.log.join("\n"));
    }
}

/// An echo that the guard let through, which recognition understands: these are the bot's own words.
#[test]
fn the_bots_own_words_come_back_cut_nothing() {
    for (words, cuts) in [
        ("your payment of five", 0),
        ("hour payment of fine", 0),
        ("payment of five wait", 1),
        ("I already paid it", 1),
        ("payment of five I have already paid", 1),
    ] {
        let run = over_the_bot(BotVoice::Speech, "", &format!("caller speaks 1600ms \"{words}\""));
        assert_eq!(run.call.turn().counts().cuts, cuts, "{words}\n{}", run.log.join("\n"));
    }
}
