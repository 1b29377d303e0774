//! What the configuration promises: the committed file is the defaults, layers win in order, and every fault names its place.

use super::super::{LogLevel, load, read};
use super::*;
use crate::units::Pii;

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn lines(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(|f| format!("{} | {} | {} | {}", f.file, f.key, f.value, f.expected)).collect()
}

const COMMITTED: &str = include_str!("../../config/voicefleet.toml");

#[test]
fn the_committed_file_is_complete_and_equals_the_defaults() {
    let resolved = resolve("f", Some(COMMITTED), [], &Overrides::default());
    assert_eq!(resolved, Resolved::default());
    let table: Table = toml::from_str(COMMITTED).unwrap();
    for section in CONFIG {
        let Kind::Table(keys) = section.kind else { panic!("{} is a section", section.name) };
        for key in keys.iter().filter(|key| !matches!(key.kind, Kind::Secret { .. })) {
            assert!(table[section.name].get(key.name).is_some(), "{}.{} is not in the file", section.name, key.name);
        }
    }
}

#[test]
fn an_outgoing_call_may_ring_for_a_minute_before_its_answer() {
    // The guide's callee answers after 45 s.
    assert_eq!(Config::default().websocket.answer_ms, 60_000);
}

#[test]
fn every_declared_key_reaches_the_configuration() {
    for section in CONFIG {
        let Kind::Table(keys) = section.kind else { panic!("{} is a section", section.name) };
        for key in keys {
            let text = match key.kind {
                Kind::Text { .. } | Kind::Secret { .. } => "elsewhere",
                Kind::Checked { .. } if key.name.ends_with("listen") => "0.0.0.0:9",
                Kind::Checked { .. } if matches!(key.name, "advertised_address" | "resolver") => "192.0.2.1",
                Kind::Checked { .. } => "https://h.test",
                Kind::Switch if key.name == "fifo" => "false",
                Kind::Switch => "true",
                Kind::Whole { .. } => "17000000",
                _ => "trace",
            };
            let text = if matches!(key.kind, Kind::Whole { max, .. } if max < 17_000_000) { "999" } else { text };
            let name = format!("{ENV_PREFIX}{}__{}", section.name, key.name).to_uppercase();
            let changed = resolve("f", None, env(&[(&name, text)]), &Overrides::default());
            assert_ne!(changed.config, Config::default(), "{name}");
        }
    }
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
    let text = "[data]\ndir = \"file\"\nmax_bytes = 17000000\n[log]\nlevel = \"warn\"\n";
    let vars = env(&[
        ("VOICEFLEET__DATA__DIR", "environment"),
        ("VOICEFLEET__LOG__LEVEL", "debug"),
        ("VOICEFLEET__MEDIA__SHARDS", " 3 "),
        ("VOICEFLEET__LOG__JSON", "true"),
        ("VOICEFLEET_OTHER", "not ours"),
        ("PATH", "/bin"),
    ]);
    let Resolved { config, faults } = resolve("f", Some(text), vars.clone(), &Overrides::default());
    assert_eq!(faults, []);
    assert_eq!((config.data.dir.to_str(), config.data.max_bytes), (Some("environment"), 17_000_000));
    assert_eq!((config.log.level, config.log.json, config.media.shards), (LogLevel::Debug, true, 3));
    let overrides = Overrides { data: Some(PathBuf::from("command line")) };
    assert_eq!(resolve("f", Some(text), vars, &overrides).config.data.dir.to_str(), Some("command line"));
}

#[test]
fn every_fault_of_every_layer_is_reported_at_once() {
    let vars = env(&[
        ("VOICEFLEET__SERVER__LISTEN", "8080"),
        ("VOICEFLEET__SERVER__LISTENN", "x"),
        ("VOICEFLEET__MEDIA__FIFO", "yes"),
        ("VOICEFLEET__AUTH__WS_TOKEN", " "),
        ("VOICEFLEET__AUTH__TOKEN", "sesame"),
        ("VOICEFLEET__WHAT", "x"),
    ]);
    let text = "serverr = 1\n[server]\ntls_cert = \"cert.pem\"\n[media]\nmax_calls = 0\n";
    let Resolved { config, faults } = resolve("f", Some(text), vars, &Overrides::default());
    assert_eq!(
        lines(&faults),
        [
            "f | media.max_calls | 0 | a whole number from 1 to 100000 (calls)",
            "f | serverr | 1 | no such key; did you mean `server`?",
            "environment | VOICEFLEET__SERVER__LISTEN | \"8080\" | an address and a port, such as 127.0.0.1:8080",
            "environment | VOICEFLEET__SERVER__LISTENN | \"x\" | no such key; did you mean `VOICEFLEET__SERVER__LISTEN`?",
            "environment | VOICEFLEET__MEDIA__FIFO | \"yes\" | true or false",
            "environment | VOICEFLEET__AUTH__WS_TOKEN | a blank secret | a secret that is not blank, or no such variable",
            "environment | VOICEFLEET__AUTH__TOKEN | a secret, not shown | no such key; did you mean \
             `VOICEFLEET__AUTH__WS_TOKEN`?",
            "environment | VOICEFLEET__WHAT | \"x\" | a variable VOICEFLEET__SECTION__KEY for a key of the configuration file",
            "f | server.tls_key | nothing | a PEM file, because server.tls_cert is set",
        ]
    );
    assert_eq!((config.media.max_calls, config.server.listen.port()), (40, 8080), "what is at fault keeps its default");
}

#[test]
fn broken_files_name_all_their_faults() {
    let folder = format!("{}/fixtures/broken/config", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# fault | ")).collect();
        let faults = resolve("f", Some(&text), [], &Overrides::default()).faults;
        let found: Vec<String> = faults.iter().map(|f| format!("{} | {} | {}", f.key, f.value, f.expected)).collect();
        assert_eq!(found, wanted, "{}: found\n{}", path.display(), found.join("\n"));
        assert!(!found.concat().contains("sesame"), "a secret is shown");
        seen += 1;
    }
    assert!(seen >= 2, "only {seen} broken files");
}

#[test]
fn a_secret_comes_from_the_environment_or_its_file_and_never_prints() {
    let vars = || env(&[("VOICEFLEET__AUTH__WS_TOKEN", "sesame")]);
    let config = resolve("f", None, vars(), &Overrides::default()).config;
    assert_eq!(config.auth.ws_token.as_ref().map(|token| token.reveal().as_str()), Some("sesame"));
    assert!(!format!("{config:?}").contains("sesame"));

    let path = std::env::temp_dir().join(format!("voicefleet-token-{}", std::process::id()));
    std::fs::write(&path, "from the file\nrest\n").unwrap();
    let named = || ("VOICEFLEET__AUTH__WS_TOKEN_FILE".to_owned(), path.display().to_string());
    let config = read(None, [named()], &Overrides::default()).config;
    assert_eq!(config.auth.ws_token.map(Pii::into_inner).as_deref(), Some("from the file"));
    let both = load(None, vars().into_iter().chain([named()]), &Overrides::default()).unwrap_err();
    assert!(both[0].expected.contains("one token has one source"), "{both:?}");
    std::fs::remove_file(&path).unwrap();
    let gone = load(None, [named()], &Overrides::default()).unwrap_err();
    assert_eq!((gone[0].key.as_str(), gone[0].value.as_str()), ("auth.ws_token_file", "no such file"));
}

#[test]
fn a_named_file_must_be_there() {
    let faults = load(Some("/no/such/voicefleet.toml".as_ref()), [], &Overrides::default()).unwrap_err();
    assert_eq!((faults.len(), faults[0].value.as_str()), (1, "no such file"));
}

#[test]
fn the_ports_of_audio_are_a_range() {
    let vars = [("VOICEFLEET__SIP__RTP_FIRST", "30000"), ("VOICEFLEET__SIP__RTP_LAST", "29998")];
    let resolved = resolve("f", None, env(&vars), &Overrides::default());
    let told: Vec<&str> = resolved.faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(told, ["sip.rtp_last"], "{:?}", resolved.faults);
}

#[test]
fn carriers_are_told_an_address_that_somebody_is_at() {
    for (text, sound) in [
        ("", true),
        ("[sip]\nlisten = \"0.0.0.0:5060\"\n", false),
        ("[sip]\nlisten = \"[::]:5060\"\n", false),
        ("[sip]\nlisten = \"0.0.0.0:5060\"\nadvertised_address = \"192.0.2.1\"\n", true),
        ("[sip]\nadvertised_address = \"sip.example.com\"\n", false),
        ("[sip]\nadvertised_address = \"0.0.0.0\"\n", false),
    ] {
        let faults = resolve("f", Some(text), [], &Overrides::default()).faults;
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, if sound { vec![] } else { vec!["sip.advertised_address"] }, "{text}");
    }
}
