//! The post-call analysis where the dialogue engine gave one, and a fitting stand-in where it did not. Never invents what a
//! caller said.

use serde_json::{Value, json};

/// The disposition of a call that nobody analysed.
pub const NO_ANALYSIS: &str = "no_analysis";

/// As [`analysis_or`] with [`NO_ANALYSIS`]: for calls whose bot is not known any more.
#[must_use]
pub fn analysis(outcome: Option<Value>, end_reason: &str) -> Value {
    analysis_or(outcome, NO_ANALYSIS, end_reason)
}

/// The engine's outcome as it is; without one, `{disposition, summary, slots: {}}` with the end reason in the summary, so that
/// whoever maps the fields finds them in every result.
#[must_use]
pub fn analysis_or(outcome: Option<Value>, disposition: &str, end_reason: &str) -> Value {
    match outcome {
        Some(Value::Object(fields)) => Value::Object(fields),
        _ => json!({
            "disposition": disposition,
            "summary": format!("The call was not analysed; it ended with {end_reason}."),
            "slots": {},
        }),
    }
}

/// The disposition of an analysis; empty where its schema has none.
#[must_use]
pub fn disposition(analysis: &Value) -> &str {
    analysis.get("disposition").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_outcome_is_handed_on_as_it_is() {
        let outcome = json!({"disposition": "promise_to_pay", "summary": "s", "slots": {"amount": "15000"}});
        assert_eq!(analysis(Some(outcome.clone()), "completed"), outcome);
        let own_schema = json!({"mood": "good"});
        assert_eq!(analysis(Some(own_schema.clone()), "completed"), own_schema);
        assert_eq!(disposition(&own_schema), "");
    }

    #[test]
    fn without_an_outcome_the_fields_are_there_all_the_same() {
        for nothing in [None, Some(Value::Null), Some(json!("text"))] {
            let made = analysis(nothing, "busy");
            assert_eq!(disposition(&made), NO_ANALYSIS);
            assert_eq!(made["summary"], "The call was not analysed; it ended with busy.");
            assert_eq!(made["slots"], json!({}));
        }
        assert_eq!(disposition(&analysis_or(None, "no_outcome", "busy")), "no_outcome", "as the bot's file says");
    }
}
