//! What the local speech set costs: one sentence said, one turn recognised, one end of turn judged. Wall time of one job
//! on an idle pool; needs the model files (`voicefleet models fetch`).

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use tokio::sync::mpsc::{Receiver, channel};
use voicefleet::provider::local::{LocalConfig, LocalSpeech};
use voicefleet::provider::{Voice, models};
use voicefleet::turn::Heard;
use voicefleet::units::{SampleRate, TurnNo, UtteranceId};

/// Every sentence is another one, so that none is a kept line.
fn sentence(number: u32) -> String {
    format!("I would like to move appointment {number} to next Thursday, please.")
}

fn spoken(heard: &mut Receiver<Heard>) -> Vec<i16> {
    let mut audio = Vec::new();
    while let Some(Heard::Spoken { samples, last, .. }) = heard.blocking_recv() {
        audio.extend_from_slice(&samples);
        if last {
            break;
        }
    }
    audio
}

fn local_speech(criterion: &mut Criterion) {
    let config = LocalConfig { partial_every_ms: 0, ..LocalConfig::default() };
    let speech = match LocalSpeech::load(&models::default_cache(), &config) {
        Ok(speech) => speech,
        Err(error) => panic!("this bench needs the speech models: {error}"),
    };
    let voice = Voice {
        name: "heart".to_owned(),
        speed: 1.0,
        language: "en-US".to_owned(),
        pronounce: Arc::new([]),
        currency: "USD".to_owned(),
    };
    let (facts, mut heard) = channel(64);
    let (Ok(mut mouth), Ok(mut ears), Ok(mut judge)) = (
        speech.tts().open(&voice, SampleRate::WIDE, facts.clone()),
        speech.stt().open(facts.clone()),
        speech.judge().open(facts),
    ) else {
        panic!("the local set refused a session")
    };
    let mut number = 1_000;
    criterion.bench_function("synthesis of an eleven-word sentence", |bencher| {
        bencher.iter(|| {
            number += 1;
            mouth.say(UtteranceId(number), 0, &sentence(number));
            spoken(&mut heard)
        });
    });
    mouth.say(UtteranceId(1), 0, &sentence(1));
    let audio = spoken(&mut heard);
    ears.audio(&[0; 8_000]);
    ears.begin(TurnNo(1), 0);
    ears.audio(&audio);
    judge.audio(&audio);
    let mut take = 0;
    criterion.bench_function("final transcript of it", |bencher| {
        bencher.iter(|| {
            take += 1;
            ears.take(TurnNo(1), take);
            heard.blocking_recv()
        });
    });
    criterion.bench_function("end-of-turn judgement of it", |bencher| {
        bencher.iter(|| {
            take += 1;
            judge.judge(TurnNo(1), take);
            heard.blocking_recv()
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = local_speech
}
criterion_main!(benches);
