//! Every fault the linter knows is seen once, all at once, and both shipped bots have none.

use super::*;

fn script(text: &str) -> Script {
    toml::from_str(text).unwrap()
}

const SOUND: &str = r#"
    [[step]]
    id = "ask"
    say = ["How much can you pay?", "What amount works?"]
    slot = { name = "amount", type = "money" }
    expect = { amount = "thanks" }
    [[end]]
    id = "thanks"
    say = ["Thank you, {{result.amount}} it is. Goodbye."]
    disposition = "promise_to_pay"
"#;

fn faults(text: &str) -> Vec<String> {
    lint("bot.toml", &script(text)).into_iter().map(|f| format!("{} {} | {}", f.key, f.value, f.expected)).collect()
}

#[track_caller]
fn has(text: &str, start: &str) {
    let found = faults(text);
    assert!(found.iter().any(|fault| fault.starts_with(start)), "expected {start:?} among {found:#?}");
}

#[test]
fn a_sound_script_has_no_fault() {
    assert_eq!(faults(SOUND), Vec::<String>::new());
}

#[test]
fn each_fault_is_found() {
    has("", "script.step nothing");
    has(&SOUND.replace("amount = \"thanks\"", "amount = \"nowhere\""), "script.step.ask.expect.amount `nowhere`");
    has(&SOUND.replace("amount = \"thanks\"", "amount = \"ask\""), "script.step.ask.expect `ask` | a way from here");
    has(&SOUND.replace("amount = \"thanks\"", "amount = \"ask\""), "script.end.thanks `thanks`");
    has(
        &SOUND.replace("{ amount =", "{ will_pay = \"thanks\", amount ="),
        "script.step.ask.expect.will_pay `will_pay`",
    );
    has(&SOUND.replace("{ amount =", "{ human ="), "script.step.ask.expect nothing | `amount` =");
    has(&SOUND.replace("id = \"thanks\"", "id = \"ask\""), "script.end.ask.id `ask`");
    has(&SOUND.replace("\"Thank you, {{result.amount}} it is. Goodbye.\"", ""), "script.end.thanks.say nothing");
    has(&SOUND.replace("result.amount", "result.date"), "script.end.thanks.say `result.date` | a slot of");
    has(&SOUND.replace("result.amount", "bank.amount"), "script.end.thanks.say `{{bank.amount}}`");
    has(&SOUND.replace("{{result.amount}}", "{{crm.amount}"), "script.end.thanks.say");
    has(&SOUND.replace("What amount works?", " "), "script.step.ask.say");
    has(&SOUND.replace("\"money\" }", "\"money\", confirm = false }"), "script.step.ask.slot.confirm `false`");
    has(&SOUND.replace("\"money\" }", "\"yes_no\", confirm = true }"), "script.step.ask.slot.confirm `true`");
    has(&format!("lost = \"x\"\n{SOUND}"), "script.lost `x`");
    has(&format!("utc_offset = \"IST\"\n{SOUND}"), "script.utc_offset `IST`");
    has(&format!("max_turns = 3\n{SOUND}"), "script.max_turns `3`");
    has(&format!("{SOUND}\n[globals]\nhumans = \"thanks\""), "script.globals.humans `humans`");
    has(&format!("{SOUND}\n[intents.will_pay]\nany = []"), "script.intents.will_pay.any nothing");
    has(&format!("{SOUND}\n[intents.will_pay]\nany = [\"i will\"]"), "script.intents.will_pay `will_pay`");
    has(&format!("{SOUND}\n[[answer]]\nintent = \"who\"\nsay = [\"Us.\"]"), "script.answer.who.intent `who`");
}

#[test]
fn a_yes_without_a_no_is_a_missing_intent() {
    let text = r#"
        [[step]]
        id = "ask"
        say = ["Is it you?"]
        expect = { yes = "bye" }
        [[end]]
        id = "bye"
        say = ["Goodbye."]
        disposition = "completed"
    "#;
    has(text, "script.step.ask.expect `yes` | `no` beside");
}

#[test]
fn unreachable_steps_and_circles_are_found_together() {
    let text = r#"
        [[step]]
        id = "a"
        say = ["One."]
        next = "b"
        [[step]]
        id = "b"
        say = ["Two."]
        next = "a"
        [[step]]
        id = "c"
        say = ["Three."]
        next = "@lost"
    "#;
    has(text, "script.step.a `a` | no circle");
    has(text, "script.step.b `b` | no circle");
    has(text, "script.step.c `c` | a step that leads here");
    has(text, "script.step.a.expect `a` | a way from here to an end");
}

#[test]
fn a_slot_that_one_way_leaves_empty_is_found() {
    let text = r#"
        [[step]]
        id = "a"
        say = ["Which day?"]
        slot = { name = "day", type = "date" }
        expect = { day = "bye", call_back_later = "bye" }
        [[end]]
        id = "bye"
        say = ["See you on {{result.day}}."]
        disposition = "completed"
    "#;
    has(text, "script.end.bye.say `result.day` | a slot that is filled on every way");
    assert_eq!(faults(&text.replace("result.day}}", "result.day|the day}}")), Vec::<String>::new());
}

#[test]
fn unknown_keys_and_types_do_not_parse() {
    assert!(toml::from_str::<Script>("stepp = []").is_err());
    assert!(toml::from_str::<Script>(&SOUND.replace("money", "cash")).is_err());
    assert!(toml::from_str::<Script>(&SOUND.replace("id = \"ask\"", "id = \"ask\"\nretry = 1")).is_err());
}

#[test]
fn an_end_may_transfer() {
    let text = format!(
        "{SOUND}\n[[end]]\nid = \"t\"\nsay = [\"One moment.\"]\ndisposition = \"transferred\"\naction = {{ transfer = {{ to = \"100\" }} }}"
    );
    let script = script(&text);
    assert_eq!(script.global_target("human"), Some("t"));
    assert_eq!(lint("bot.toml", &script), Vec::new());
}
