//! What templates promise: the golden table, and the properties that hold for any text and any value.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn values(json: &Value) -> Values {
    let mut values = Values::default();
    for namespace in Namespace::ALL {
        for (key, value) in json.get(namespace.name()).and_then(Value::as_object).into_iter().flatten() {
            values.set(namespace, key, value.clone());
        }
    }
    values
}

fn crm(key: &str, value: &str) -> Values {
    values(&json!({"crm": {key: value}}))
}

/// A cell of the table: `\n` and `\t` stand for line break and tab.
fn cell(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

#[test]
fn the_golden_table_holds() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/templates.tsv");
    let table = std::fs::read_to_string(path).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(rows.len() >= 50, "the table lost rows: {}", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.split('\t').collect();
        let [template, json, text, unset, flaws] = cells[..] else { panic!("a row needs five cells: {row}") };
        let json: Value = if json == "-" { json!({}) } else { serde_json::from_str(json).unwrap() };
        let template = Template::parse(&cell(template));
        let rendered = template.render(&values(&json));
        assert_eq!(rendered.text, cell(text), "{row}");
        assert_eq!(rendered.unset.join(","), unset.trim_matches('-'), "{row}");
        let unknown = template.unknown_namespaces().into_iter().map(|t| format!("?{t}"));
        let malformed = template.malformed().into_iter().map(|t| format!("!{t}"));
        let found: Vec<String> = unknown.chain(malformed).collect();
        assert_eq!(found.join(" "), cell(flaws.trim_matches('-')), "{row}");
    }
}

#[test]
fn values_and_output_are_cut_at_a_character() {
    let rendered = Template::parse("{{crm.v}}!").render(&crm("v", &"é".repeat(MAX_VALUE_BYTES)));
    assert_eq!(rendered.text.len(), MAX_VALUE_BYTES + 1);
    assert!(rendered.truncated);
    let odd = format!("x{}", "é".repeat(MAX_VALUE_BYTES));
    assert_eq!(Template::parse("{{crm.v}}").render(&crm("v", &odd)).text.len(), MAX_VALUE_BYTES - 1);
    let many = "{{crm.v}}".repeat(9);
    let rendered = Template::parse(&many).render(&crm("v", &"€".repeat(3000)));
    assert!(
        rendered.truncated && rendered.text.len() <= MAX_OUTPUT_BYTES && rendered.text.len() > MAX_OUTPUT_BYTES - 3
    );
}

#[test]
fn a_rendered_text_does_not_print() {
    let rendered = Template::parse("{{crm.name}} {{crm.other}}").render(&crm("name", "Asha Rao"));
    let printed = format!("{rendered:?}");
    assert!(!printed.contains("Asha") && printed.contains("crm.other"), "{printed}");
}

#[test]
fn hostile_texts_cost_one_scan() {
    // Quadratic work on these would take hours, linear work milliseconds: the suite's own time limit is the assertion.
    for piece in ["{{", "<<", "{{crm.a|", "{{ ", "{{crm.a ", "{{crm.", "<<call.x|{{", "{{crm.a|b}", "}}{{a"] {
        let text = piece.repeat(4_000_000 / piece.len());
        assert_eq!(Template::parse(&text).tokens().count(), 0, "{piece}");
    }
    let text = format!("{{{{crm.{}", "a ".repeat(2_000_000));
    assert_eq!(Template::parse(&text).tokens().count(), 0);
    let text = format!("{{{{{}crm.a}}}}", " ".repeat(2_000_000));
    assert_eq!(Template::parse(&text).tokens().count(), 1);
}

/// Texts that are likely to hold tokens, near-tokens and all scripts.
fn token_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{{".to_owned()),
        Just("}}".to_owned()),
        Just("<<".to_owned()),
        Just(">>".to_owned()),
        Just("crm.name".to_owned()),
        Just("Call.id".to_owned()),
        Just("{{crm.a}}".to_owned()),
        Just("<< result.b | c >>".to_owned()),
        Just("|".to_owned()),
        "\\PC{0,4}",
        "[ .{}<>|\n_a-]{0,4}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_token_inside_a_value_never_expands(value in token_like(), around in "[a-z ]{0,8}") {
        let mut values = crm("v", &value);
        values.set(Namespace::Crm, "a", json!("EXPANDED"));
        values.set(Namespace::Crm, "name", json!("EXPANDED"));
        values.set(Namespace::Call, "id", json!("EXPANDED"));
        let text = Template::parse(&format!("{around}{{{{crm.v}}}}<<crm.v>>{around}")).render(&values).text;
        let once = clean(&value);
        let kept = if once.trim().is_empty() { "" } else { &once };
        let as_is = format!("{around}{once}{once}{around}");
        prop_assert!(text == as_is || kept.is_empty(), "{text:?} is not {as_is:?}");
        prop_assert!(!text.contains("EXPANDED"));
    }

    #[test]
    fn every_byte_of_the_source_is_either_text_or_token(source in token_like()) {
        let template = Template::parse(&source);
        let mut at = 0;
        for part in &template.parts {
            match part {
                Part::Text(range) => {
                    prop_assert_eq!(range.start, at);
                    at = range.end;
                }
                Part::Token(found) => {
                    prop_assert!(source[at..].starts_with("{{") || source[at..].starts_with("<<"));
                    at = found.end;
                    prop_assert!(source[..at].ends_with("}}") || source[..at].ends_with(">>"));
                }
            }
        }
        prop_assert_eq!(at, source.len());
    }

    #[test]
    fn text_without_a_token_comes_back_as_it_was(source in token_like()) {
        let template = Template::parse(&source);
        prop_assume!(template.tokens().next().is_none());
        prop_assert_eq!(template.render(&crm("a", "x")).text, source);
    }

    #[test]
    fn unset_names_are_exactly_the_tokens_without_value_and_default(source in token_like()) {
        let template = Template::parse(&source);
        let rendered = template.render(&Values::default());
        let mut wanted: Vec<String> = Vec::new();
        for token in template.tokens().filter(|token| token.default.is_none()) {
            let name = format!("{}.{}", token.namespace, token.path);
            if !wanted.contains(&name) {
                wanted.push(name);
            }
        }
        prop_assert_eq!(rendered.unset, wanted);
    }

    #[test]
    fn what_is_suspect_is_no_token(source in token_like()) {
        let template = Template::parse(&source);
        for text in template.malformed().into_iter().chain(template.unknown_namespaces()) {
            prop_assert!(token_at(text, 0).is_none(), "{text:?}");
        }
    }
}
