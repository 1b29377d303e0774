//! A payment reminder that `voicefleet dial` places: a telephone that others wrote answers, and what it says are the words of a borrower
//! of an earlier call, each a little later than they came there. What the telephone wrote down of the bot is recognised.

use std::time::Duration;

use clap::Parser;
use voicefleet::media::convert;
use voicefleet::provider::score::word_errors;
use voicefleet::rt;
use voicefleet::tools::dial::{self, DialArgs};
use voicefleet::trunk::{Book, Trunk};
use voicefleet::turn::Heard;
use voicefleet::units::{SampleRate, TurnNo, dbfs};

use crate::baresip::{Baresip, PCMU};
use crate::free_port::free_port;
use crate::kept::Kept;
use crate::tally::show;
use crate::worker::World;

/// A number that no other call of this world has.
const CALLED: &str = "919876500066";
/// The most word errors in one call's words, as the telephone heard them; measured: 0.05.
const MOST_ERRORS: f64 = 0.15;
/// The bot may word its lines differently, so each answer comes this much later behind the one before it, in milliseconds.
const LATER_MS: usize = 2_500;

#[derive(Parser)]
struct Dial {
    #[command(flatten)]
    args: DialArgs,
}

/// The lines of the caller in a recording of 8 kHz, with a longer pause before each.
fn replayed(kept: &Kept) -> Vec<i16> {
    let lines = kept.result["transcript"].as_array().unwrap().iter().filter(|line| line["speaker"] == "customer");
    let (mut out, mut at) = (Vec::new(), 0);
    for line in lines {
        let sample = |key: &str| usize::try_from(line[key].as_u64().unwrap()).unwrap() * 8;
        // Some of what was around it: a detector tells of a voice late.
        let (from, to) = (sample("start_ms").saturating_sub(2_400).max(at), sample("end_ms") + 2_400);
        out.resize(out.len() + LATER_MS * 8 + (from - at), 0);
        out.extend_from_slice(&kept.caller[from..to.min(kept.caller.len())]);
        at = to;
    }
    // Then it listens.
    out.resize(out.len() + 60 * 8_000, 0);
    out
}

/// The words of a recording of 8 kHz, by the recogniser of the callers.
async fn recognised(world: &World, samples: &[i16]) -> String {
    let (facts, mut heard) = tokio::sync::mpsc::channel(1_000);
    let mut session = world.speech.stt().open(facts).unwrap();
    let turn = TurnNo(1);
    session.begin(turn, 0);
    for stretch in convert(samples, SampleRate::NARROW, SampleRate::WIDE).unwrap().chunks(320) {
        session.audio(stretch);
    }
    session.take(turn, 1);
    let words = async {
        loop {
            if let Heard::Transcribed { text, .. } = heard.recv().await.expect("a recogniser that lives") {
                return text;
            }
        }
    };
    rt::timeout(Duration::from_secs(60), words).await.expect("the words in time")
}

/// Calls a baresip that answers with the borrower's words of `before`.
pub async fn the_same_by_dial(world: &World, before: &Kept) {
    let port = free_port();
    let mut phone = Baresip::start_with(&world.tapes, CALLED, PCMU, port, &replayed(before)).await;
    let trunk = format!("name = \"Out\"\n[outbound]\ntargets = [\"127.0.0.1:{port}\"]\n");
    let out = Trunk::parse("out", "out.toml", trunk.as_bytes()).unwrap();
    let carrier = std::fs::read(world.data.with_file_name("trunks").join("carrier.toml")).unwrap();
    let carrier = Trunk::parse("carrier", "carrier.toml", &carrier).unwrap();
    world.running.set_trunks(Book::new(vec![carrier, out]));

    let fields = ["customer_name=Rahul Sharma", "loan_number=LN123456", "amount_due=15000", "due_date=2026-12-01"];
    let told = ["dial", "--bot", "payment-reminder", "--to", CALLED].into_iter();
    let args = Dial::parse_from(told.chain(fields.into_iter().flat_map(|field| ["--var", field]))).args;
    let dialled = dial::dial(&args, &world.http(), None).await.unwrap();
    assert!(dialled.succeeded(), "{}", dialled.text());

    let kept = Kept::of_caller(world, CALLED).await;
    for line in kept.result["transcript"].as_array().unwrap() {
        show(&format!("{}: {}", line["speaker"].as_str().unwrap(), line["text"].as_str().unwrap()));
    }
    assert_eq!(kept.result["post_call_analysis"]["disposition"], "promise_to_pay", "{}", kept.result["transcript"]);
    assert_eq!((&kept.result["disconnected_by"], &kept.result["direction"]), (&"bot".into(), &"outbound".into()));
    let loud = |samples: &[i16]| samples.chunks(160).filter(|frame| dbfs(frame) > -45.0).count();
    assert!(loud(&kept.caller) > 100 && loud(&kept.bot) > 250, "both are on the recording");
    assert!(phone.heard_loud() > 250, "the telephone heard the bot for five seconds");
    let words = recognised(world, &phone.heard()).await;
    let bot = kept.result["transcript"].as_array().unwrap().iter().filter(|line| line["speaker"] == "bot");
    let said = bot.map(|line| line["text"].as_str().unwrap()).collect::<Vec<_>>().join(" ");
    let errors = word_errors(&said, &words);
    show(&format!("the telephone heard, {:.1} % of its words wrong: {words}", errors.rate() * 100.0));
    assert!(errors.rate() <= MOST_ERRORS, "{said}\n{words}");
    let opening = ["Hello", "Maya", "Sunrise", "Finance", "Rahul", "Sharma"];
    assert!(opening.iter().filter(|word| words.contains(*word)).count() >= 4, "whom it speaks for and to: {words}");
    phone.hang_up();
}
