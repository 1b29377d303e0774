//! Marks: what a far end says of its own playout moves what counts as heard, and costs no more than its limit where it says
//! nothing.

use voicefleet::turn::Speaker;

use crate::sim::{BotVoice, MS_PER_CHAR, Run, Script, run, tag_of};

const SENTENCE: &str = "Your payment of five hundred rupees was due on the first of May and has not arrived so we would \
    like to know when you will pay it.";

/// The only moment at which something like this was noted, in milliseconds.
fn when(run: &Run, what: &str) -> u64 {
    let line = run.log.iter().find(|l| l.get(7..).is_some_and(|l| l.starts_with(what)));
    let line = line.unwrap_or_else(|| panic!("no `{what}` in:\n{}", run.log.join("\n")));
    line[..6].trim().parse().expect("milliseconds")
}

/// When the far end played the last sample of this answer, in milliseconds.
fn far_end_done(run: &Run, utterance: u32) -> u64 {
    run.heard.iter().rposition(|&s| tag_of(s) == Some(utterance)).expect("heard") as u64 / 8
}

fn tagged(text: &str) -> Run {
    let mut script = Script::parse(text);
    script.bot_voice = BotVoice::Tagged;
    run(&script)
}

#[test]
fn the_hang_up_and_the_transfer_wait_until_the_far_end_has_played_the_goodbye() {
    for (act, order) in [("end=completed", "hang up"), ("transfer=2000", "transfer")] {
        for buffer in [0, 300, 1_800] {
            let reply = format!("reply \"Thank you for your time. Goodbye.\" {act}");
            let run = tagged(&format!("marks 40ms\nbuffer {buffer}ms\n{reply}"));
            let (done, left) = (far_end_done(&run, 1), when(&run, order));
            assert!((done..done + 100).contains(&left), "{order}: the far end was done at {done}, left at {left}");
            // Without marks nobody knows of the buffer.
            let run = tagged(&format!("buffer {buffer}ms\n{reply}"));
            assert!(when(&run, order) < when(&run, "heard 1.1") + 20);
        }
    }
}

#[test]
fn a_dialler_that_never_answers_costs_two_seconds_once() {
    let replies = "reply \"Hello.\"\nreply \"Thank you for your time. Goodbye.\" end=completed\n\
        bot+3s caller speaks 900ms \"that is all\"";
    let run = run(&Script::parse(&format!("marks never\n{replies}")));
    assert_eq!(run.call.ending().map(|e| e.reason.code()), Some("completed"));
    let heard = when(&run, "heard 2.1");
    assert!((heard..heard + 20).contains(&when(&run, "hang up")), "{}", run.log.join("\n"));
    // A far end beyond the limit: the goodbye waits for the limit and no longer.
    let far = self::run(&Script::parse("marks 40ms\nbuffer 5s\nreply \"Goodbye.\" end=completed"));
    let heard = when(&far, "heard 1.0");
    assert_eq!(when(&far, "hang up"), heard + 2_000);
}

#[test]
fn the_transcript_ends_where_the_far_end_stopped_playing() {
    for buffer in [0, 200, 500, 900] {
        for over_ms in [400, 1_000, 1_900, 3_100, 4_700] {
            let run = tagged(&format!(
                "marks 40ms\nbuffer {buffer}ms\nreply \"Hello.\"\nreply \"{SENTENCE}\"\nreply \"Goodbye.\" end=completed\n\
                 bot+1500ms caller speaks 900ms \"yes speaking\"\n\
                 over+{over_ms}ms caller speaks 1600ms \"stop I already paid it\""
            ));
            let heard_ms = run.heard.iter().filter(|&&s| tag_of(s) == Some(2)).count() as u64 / 8;
            let lines = run.call.turn().history().lines();
            let cut = lines.iter().filter(|l| l.speaker == Speaker::Bot).nth(1).expect("the sentence");
            assert!(!cut.whole && SENTENCE.starts_with(&cut.text), "{cut:?}");
            let end_ms = cut.text.chars().count() as u64 * MS_PER_CHAR;
            let next = SENTENCE[cut.text.len()..].split_whitespace().next().map_or(0, |w| w.chars().count() as u64 + 1);
            let told = format!("buffer {buffer}, cut after {over_ms}: `{}` takes {end_ms} ms of {heard_ms}", cut.text);
            // The report itself takes 40 ms to come, and letters are not all alike.
            assert!(end_ms <= heard_ms + 200, "{told}");
            assert!(end_ms + next * MS_PER_CHAR + 260 >= heard_ms, "{told}");
        }
    }
}

#[test]
fn the_far_ends_buffer_is_cleared_after_the_line_has_finished() {
    // 700 ms after the line's clock has played the last word the far end still has 500 ms of it.
    let run = tagged(
        "marks 40ms\nbuffer 1200ms\nreply \"Hello.\"\nreply \"Will you pay on the first of May or later?\"\n\
         reply \"Goodbye.\" end=completed\nbot+1500ms caller speaks 900ms \"yes speaking\"\n\
         over+1800ms caller speaks 900ms \"stop I paid\"",
    );
    assert!(when(&run, "heard 2.0") < when(&run, "cut 2"), "{}", run.log.join("\n"));
    assert!(run.log.iter().any(|l| l.ends_with("threw away g2.u1")), "{}", run.log.join("\n"));
    let heard_ms = run.heard.iter().filter(|&&s| tag_of(s) == Some(2)).count() as u64 / 8;
    let made_ms = "Will you pay on the first of May or later?".chars().count() as u64 * MS_PER_CHAR;
    assert!(heard_ms + 100 < made_ms, "{heard_ms} ms of {made_ms} were heard");
    let lines = run.call.turn().history().lines();
    assert!(lines.iter().any(|l| l.text.starts_with("Will you") && !l.whole && !l.text.ends_with('?')), "{lines:?}");
}

#[test]
fn the_measured_lag_is_the_far_ends_buffer() {
    for buffer in [0, 300, 800] {
        let run = tagged(&format!("marks 40ms\nbuffer {buffer}ms\nreply \"Hello. Goodbye.\" end=completed"));
        // The report takes 40 ms and is sent at the end of the last frame, where the line's clock counts from its beginning.
        assert_eq!(run.lags_ms.first(), Some(&(buffer + 40)), "{:?}", run.lags_ms);
        assert_eq!(run.marks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["g1.u1", "g1.u2"]);
    }
}
