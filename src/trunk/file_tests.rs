//! Trunk files: what is read, what is refused, and what follows from them.

use super::*;
use crate::wire::sdp::Codec;

#[test]
fn every_fault_is_named_at_once() {
    let text = include_str!("../../fixtures/broken/trunks/every_table.toml");
    let faults = Trunk::parse("every_table", "f", text.as_bytes()).unwrap_err();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    // A table that does not even read is told of by what does not read; its lint follows once that is mended.
    for expected in [
        "colour",
        "inbound.addresses",
        "outbound.targets.0",
        "outbound.prefixes.0",
        "outbound.retry_on",
        "outbound.ring_ms",
        "identity.caller_id",
        "identity.from",
        "identity.country_code",
        "account.password_file",
        "timers.expires_s",
        "media.srtp",
        "limits.chanels",
    ] {
        assert!(keys.iter().any(|key| key.starts_with(expected)), "{expected} is not among {keys:?}");
    }
}

#[test]
fn what_reads_is_linted() {
    let text = "[inbound]\nbot = \"No\"\n[[inbound.route]]\nnumber = \"1\"\nbot = \"No Bot\"\n[[inbound.route]]\nbot = \"desk\"\n\
                header = \"X\"\n[media]\ncodecs = [\"PCMA\", \"G729\", \"pcma\"]\n[limits]\nchannels = 0\n";
    let faults = Trunk::parse("t", "f", text.as_bytes()).unwrap_err();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    let expected = [
        "inbound.addresses",
        "inbound.bot",
        "inbound.route.0.bot",
        "inbound.route.1.value",
        "limits.channels",
        "media.codecs.1",
        "media.codecs.2",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn what_is_told_of_us_is_linted() {
    let faults = |table: &str, line: &str| {
        let head = if table == "outbound" { String::new() } else { format!("[{table}]\n") };
        let text = format!("[outbound]\ntargets = [\"h\"]\n{head}{line}\n");
        Trunk::parse("t", "f", text.as_bytes()).err().map(|faults| faults[0].key.clone())
    };
    for (table, line, sound) in [
        ("identity", "from = \"tel:{number}\"", true),
        ("identity", "from = \"mailto:{number}@{domain}\"", false),
        ("identity", "from = \"sip:{host}\"", false),
        ("identity", "asserted_identity = \"<sip:{number}@{domain}>\"", false),
        ("identity", "contact = \"sip:{number};tgrp=us;trunk-context={domain}@{host}\"", true),
        ("identity", "contact = \"sip:{number}@{host};transport=tcp\"", true),
        ("identity", "contact = \"sip:{number}@{domain}\"", false),
        ("identity", "contact = \"tel:{number}\"", false),
        ("identity", "contact_user = \"a b\"", false),
        ("identity", "contact_user = \"a@b\"", false),
        ("identity", "display_name = \"one\\ntwo\"", false),
        ("identity", "national_prefix = \"o\"", false),
        ("account", "auth_user = \"me\"", false),
        ("outbound", "domain = \"user@host\"", false),
        ("outbound", "domain = \"ims.example\"", true),
        ("inbound", "domain = \"a b\"", false),
    ] {
        let key = format!("{table}.{}", line.split(' ').next().unwrap());
        assert_eq!(faults(table, line), if sound { None } else { Some(key) }, "{line}");
    }
}

#[test]
fn the_digests_name_may_be_another_than_the_users() {
    let mut trunk = Trunk { password: Some(Pii::new("p".to_owned())), ..Trunk::default() };
    assert_eq!(trunk.credentials().map(|c| c.user), None);
    trunk.account.user = "+912255501000".to_owned();
    assert_eq!(trunk.credentials().map(|c| c.user).as_deref(), Some("+912255501000"));
    trunk.account.auth_user = "acme".to_owned();
    assert_eq!(trunk.credentials().map(|c| c.user).as_deref(), Some("acme"));
}

#[test]
fn every_way_of_keys_is_obeyed() {
    let base = "[inbound]\naddresses = [\"127.0.0.1\"]\n[outbound]\ntargets = [\"h\"]\n";
    let parse = |more: &str| Trunk::parse("t", "f", format!("{base}{more}").as_bytes());
    assert!(parse("").is_ok(), "the defaults are no fault");
    assert!(parse("[health]\noptions_s = 60\n").is_ok());
    assert!(parse("[account]\nregister = true\nuser = \"u\"\npassword_file = \"p\"\n").is_ok());
    for (way, events, tones) in
        [("auto", true, false), ("rfc4733", true, false), ("info", false, false), ("inband", false, true)]
    {
        let policy = parse(&format!("[media]\ndtmf = \"{way}\"\n")).unwrap().media_policy();
        assert_eq!((policy.telephone_event, policy.inband_keys), (events, tones), "{way}");
    }
    assert!(parse("[media]\ndtmf = \"smoke\"\n").is_err());
}

#[test]
fn encryption_that_is_required_wants_its_keys_hidden() {
    let parse = |transport: &str, media: &str| {
        let text = format!(
            "[inbound]\naddresses = [\"127.0.0.1\"]\n[outbound]\ntargets = [\"h\"]\ntransport = \"{transport}\"\n[media]\n{media}"
        );
        Trunk::parse("t", "f", text.as_bytes())
    };
    for (transport, media, sound) in [
        ("udp", "srtp = \"optional\"\n", true),
        ("tls", "srtp = \"required\"\n", true),
        ("udp", "srtp = \"required\"\n", false),
        ("tcp", "srtp = \"required\"\n", false),
        ("udp", "srtp = \"required\"\nkeys_in_clear = true\n", true),
    ] {
        let parsed = parse(transport, media);
        let told = parsed.err().map(|faults| faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>());
        assert_eq!(told, if sound { None } else { Some(vec!["outbound.transport".to_owned()]) }, "{transport} {media}");
    }
    let inbound = "[inbound]\naddresses = [\"127.0.0.1\"]\n[media]\nsrtp = \"required\"\n";
    assert!(
        Trunk::parse("t", "f", inbound.as_bytes()).is_ok_and(|trunk| trunk.needs_tls()),
        "no targets: nothing is sent"
    );
}

#[test]
fn the_sample_trunk_is_sound() {
    let text = include_bytes!("../../config/trunks/loopback.toml");
    let trunk = Trunk::parse("loopback", "f", text).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert!(trunk.inbound.addresses[0].holds("127.0.0.9".parse().unwrap()));
    assert!(!trunk.inbound.addresses[0].holds("10.0.0.1".parse().unwrap()));
    assert!(trunk.inbound.addresses[0].holds("::ffff:127.0.0.1".parse().unwrap()));
    assert_eq!(trunk.media_policy().codecs, [Codec::Pcma, Codec::Pcmu, Codec::G722]);
}

#[test]
fn numbers_are_written_as_the_carrier_wants() {
    let mut trunk = Trunk::default();
    assert_eq!(trunk.written("+919800000001"), "+919800000001");
    trunk.identity.number_format = NumberFormat::E164NoPlus;
    assert_eq!(trunk.written("+919800000001"), "919800000001");
    trunk.identity.number_format = NumberFormat::National;
    trunk.identity.country_code = "+91".to_owned();
    trunk.identity.national_prefix = "0".to_owned();
    assert_eq!(trunk.written("+919800000001"), "09800000001");
    assert_eq!(trunk.written("+12015550123"), "12015550123");
    trunk.outbound.prefixes = vec!["+91".to_owned()];
    assert!(trunk.may_call("+919800000001") && !trunk.may_call("+12015550123"));
    for (number, may) in [
        ("+919800000001", true),
        ("919800000001", false),
        ("+910012015550123", false),
        ("+9109800000001", false),
        ("+91980", false),
        ("+9198000000011234", false),
        ("+91980000000a", false),
        ("+12015550123", false),
    ] {
        assert_eq!(trunk.may_follow(number), may, "{number}");
    }
    let free = Trunk::default();
    assert!(free.may_follow("2000") && free.may_follow("0012015550123"), "where no rule looks at it");
    trunk.outbound.per_minute = [("+91".to_owned(), 60), ("+9198".to_owned(), 5)].into();
    let capped = ["+919800000001", "+912255501000", "+12015550123"].map(|number| trunk.cap_of(number));
    assert_eq!(capped, [Some(("+9198", 5)), Some(("+91", 60)), None]);
}

#[test]
fn a_cap_is_for_a_prefix_that_may_be_called() {
    let parse = |rates: &str| {
        let text = format!("[outbound]\ntargets = [\"h\"]\nprefixes = [\"+91\"]\nper_minute = {{ {rates} }}\n");
        Trunk::parse("t", "f", text.as_bytes()).map_err(|faults| faults.len())
    };
    assert!(parse("\"+91\" = 60, \"+9198\" = 5").is_ok());
    assert_eq!([parse("\"+1\" = 5"), parse("\"91\" = 5"), parse("\"+91\" = 0")].map(|r| r.unwrap_err()), [1, 1, 1]);
}
