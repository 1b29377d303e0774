//! Where the values of a call come from and which source wins. `call.*`: the built-ins, over the dialler's custom fields, so
//! that a dialler cannot forge one (not even one that is not known yet). `crm.*`, strongest first: explicit variables,
//! pre-fetch, the dialler's custom fields. Never fetches anything.

use serde_json::{Value, json};

use super::{Fields, Namespace, Values};
use crate::units::Stamp;

/// Names under `call.*` that belong to the product.
pub const BUILT_INS: [&str; 11] = [
    "id",
    "session_id",
    "caller_id",
    "to",
    "from",
    "direction",
    "started_at",
    "ended_at",
    "duration",
    "recording_url",
    "disconnected_by",
];

/// Built-ins that no prompt and no spoken line can name, because they are known only after the call.
pub const SET_AFTER_THE_CALL: [&str; 3] = ["ended_at", "duration", "disconnected_by"];

/// What is known of a call when it begins.
#[derive(Clone, Copy, Debug)]
pub struct CallFacts<'a> {
    /// The call's id; also `session_id`.
    pub id: &'a str,
    /// The customer's number.
    pub caller_id: &'a str,
    /// The number that was called.
    pub to: &'a str,
    /// The number that called.
    pub from: &'a str,
    /// `inbound` or `outbound`.
    pub direction: &'a str,
    /// When the call began.
    pub started_at: Stamp,
    /// Where the recording will be; `None` where the call is not recorded.
    pub recording_url: Option<&'a str>,
}

/// What is known of a call when it is over.
#[derive(Clone, Copy, Debug)]
pub struct CallEnd<'a> {
    /// When it ended.
    pub ended_at: Stamp,
    /// From answer to end; 0 unanswered.
    pub duration_ms: u64,
    /// Who ended it, as the result says it.
    pub disconnected_by: &'a str,
}

/// The sources of `crm.*`.
#[derive(Clone, Default)]
pub struct CrmSources {
    /// Explicit `variables` or `metadata` of a dialout.
    pub variables: Fields,
    /// The answer of the CRM pre-fetch.
    pub prefetch: Fields,
    /// Custom fields of the dialler's `connected`; they also become `call.*`.
    pub custom_fields: Fields,
}

/// The values of a call at its beginning.
#[must_use]
pub fn call_values(facts: &CallFacts<'_>, sources: CrmSources) -> Values {
    let CrmSources { variables, prefetch, custom_fields } = sources;
    let mut values = Values::default();
    for (key, text) in [
        ("id", facts.id),
        ("session_id", facts.id),
        ("caller_id", facts.caller_id),
        ("to", facts.to),
        ("from", facts.from),
        ("direction", facts.direction),
    ] {
        values.set(Namespace::Call, key, json!(text));
    }
    values.set(Namespace::Call, "started_at", json!(facts.started_at.to_string()));
    if let Some(url) = facts.recording_url {
        values.set(Namespace::Call, "recording_url", json!(url));
    }
    let free = |key: &String| !BUILT_INS.iter().any(|name| key == name || is_below(key, name));
    let dialler = custom_fields.iter().filter(|(key, _)| free(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    values.merge_weaker(Namespace::Call, dialler);
    for weaker in [variables, prefetch, custom_fields] {
        values.merge_weaker(Namespace::Crm, weaker);
    }
    values
}

/// `id.x` is below `id`.
fn is_below(key: &str, name: &str) -> bool {
    key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
}

impl Values {
    /// Adds what is known when the call is over, and its analysis as `result.*`.
    pub fn close_call(&mut self, end: &CallEnd<'_>, analysis: Option<&Value>) {
        self.set(Namespace::Call, "ended_at", json!(end.ended_at.to_string()));
        self.set(Namespace::Call, "duration", json!(end.duration_ms as f64 / 1000.0));
        self.set(Namespace::Call, "disconnected_by", json!(end.disconnected_by));
        for (key, value) in analysis.and_then(Value::as_object).into_iter().flatten() {
            self.set(Namespace::Result, key, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: Value) -> Fields {
        json.as_object().unwrap().clone()
    }

    fn facts() -> CallFacts<'static> {
        CallFacts {
            id: "c-1",
            caller_id: "+919876543210",
            to: "+911234567890",
            from: "+919876543210",
            direction: "inbound",
            started_at: Stamp::from_unix_ms(0),
            recording_url: None,
        }
    }

    #[test]
    fn a_dialler_forges_no_built_in_and_serves_both_namespaces() {
        let custom = json!({"customer_name": "Asha", "id": "forged", "recording_url": "http://evil.test", "id.x": 1});
        let sources = CrmSources { custom_fields: fields(custom), ..CrmSources::default() };
        let mut values = call_values(&facts(), sources);
        let call = |values: &Values, path: &str| values.get(Namespace::Call, path);
        assert_eq!(call(&values, "id").as_deref(), Some("c-1"));
        assert_eq!(call(&values, "session_id").as_deref(), Some("c-1"));
        assert_eq!(call(&values, "recording_url"), None);
        assert_eq!(call(&values, "id.x"), None);
        assert_eq!(call(&values, "customer_name").as_deref(), Some("Asha"));
        assert_eq!(values.get(Namespace::Crm, "customer_name").as_deref(), Some("Asha"));
        let end = CallEnd { ended_at: Stamp::from_unix_ms(61_500), duration_ms: 61_500, disconnected_by: "customer" };
        values.close_call(&end, Some(&json!({"disposition": "promise_to_pay", "slots": {"amount": 15000}})));
        assert_eq!(call(&values, "duration").as_deref(), Some("61.5"));
        assert_eq!(call(&values, "ended_at").as_deref(), Some("1970-01-01T00:01:01.500Z"));
        assert_eq!(values.get(Namespace::Result, "slots.amount").as_deref(), Some("15000"));
    }

    #[test]
    fn crm_values_come_from_the_strongest_source() {
        let sources = CrmSources {
            variables: fields(json!({"a": "variables"})),
            prefetch: fields(json!({"a": "prefetch", "b": "prefetch"})),
            custom_fields: fields(json!({"a": "dialler", "b": "dialler", "c": "dialler"})),
        };
        let values = call_values(&facts(), sources);
        let crm = |path| values.get(Namespace::Crm, path).unwrap();
        assert_eq!([crm("a"), crm("b"), crm("c")], ["variables", "prefetch", "dialler"]);
        assert_eq!(values.get(Namespace::Call, "a").as_deref(), Some("dialler"));
    }

    #[test]
    fn every_built_in_is_set_by_the_end() {
        let mut values =
            call_values(&CallFacts { recording_url: Some("http://h/r/t"), ..facts() }, CrmSources::default());
        for name in BUILT_INS {
            let known = values.get(Namespace::Call, name).is_some();
            assert_eq!(known, !SET_AFTER_THE_CALL.contains(&name), "{name}");
        }
        let end = CallEnd { ended_at: Stamp::default(), duration_ms: 0, disconnected_by: "bot" };
        values.close_call(&end, None);
        assert!(BUILT_INS.iter().all(|name| values.get(Namespace::Call, name).is_some()));
    }
}
