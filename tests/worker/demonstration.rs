//! The demonstration call of `voicefleet demo` against a worker that asks for everything: a media token, the pages' password, a
//! certificate that no public authority signed.

use std::path::PathBuf;

use voicefleet::config::Config;
use voicefleet::tools::demo::Demonstration;
use voicefleet::units::Pii;

use crate::world::{World, beside_others, brisk};

/// Speaks a recording once, and needs no recogniser.
const SCRIPT: &str = r#"
name = "wave"
limit_s = 30

[[step]]
after = "turn"
wav = "say.wav"
hangup = true
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_brings_the_tokens_and_stands_a_private_certificate() {
    let _turn = beside_others().await;
    let scratch = crate::world::Folder::new("demo-files");
    let made = rcgen::generate_simple_self_signed(vec!["voice.example.com".to_owned()]).unwrap();
    let (pem, key) = (scratch.path().join("leaf.pem"), scratch.path().join("leaf.key"));
    std::fs::write(&pem, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let script = scratch.path().join("wave.toml");
    std::fs::write(&script, SCRIPT).unwrap();
    let clip = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/audio/caller_rms.wav");
    std::fs::copy(clip, scratch.path().join("say.wav")).unwrap();

    let mut used = Config::default();
    let tune = |config: &mut Config| {
        config.auth.ws_token = Some(Pii::new("opens-the-door".to_owned()));
        config.auth.page_token = Some(Pii::new("shows-the-pages".to_owned()));
        (config.server.tls_cert, config.server.tls_key) = (pem, key);
        config.server.public_url = "https://voice.example.com".to_owned();
        used = config.clone();
    };
    let world = World::with("demonstration", tune, brisk()).await;
    let demonstration =
        Demonstration { program: PathBuf::from(env!("CARGO_BIN_EXE_voicefleet")), bot: "demo".to_owned(), script };
    let shown = demonstration.place(&used, world.running.address).await;
    assert!(shown.as_ref().is_ok_and(|text| text.contains("https://voice.example.com/")), "{shown:?}");
    assert_eq!(world.folder.results().len(), 1, "the call was placed");

    // Without what the worker asks for there is no call, so it was brought.
    for forget in [
        |config: &mut Config| config.auth.ws_token = None,
        |config: &mut Config| config.auth.page_token = Some(Pii::new("another".to_owned())),
    ] {
        let mut less = used.clone();
        forget(&mut less);
        assert!(demonstration.place(&less, world.running.address).await.is_err());
    }
    world.quiet().await;
    world.stop().await;
}
