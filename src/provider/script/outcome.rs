//! What the dialogue came to, for the result: `{disposition, summary, slots}`, exact because it is where the dialogue
//! stands and not an opinion. Never changes the dialogue.

use serde_json::{Map, Value, json};

use super::engine::Engine;
use super::state::At;

/// The disposition of a call whose caller nobody took.
const UNTAKEN: &str = "transfer_failed";

impl Engine {
    /// Disposition, summary and slots as they stand now; also where the caller hung up in mid-dialogue.
    #[must_use]
    pub fn outcome(&self) -> Value {
        let (disposition, head) = self.standing();
        self.written(&disposition, &head, self.written_summary())
    }

    /// The same where the caller was to be handed over and nobody took him: not what the end that hands over would have counted as.
    #[must_use]
    pub fn outcome_untaken(&self) -> Value {
        let end = if let At::End(at) = self.state.at { self.plan.ends.get(at) } else { None };
        if end.is_none_or(|end| end.transfer.is_none()) {
            return self.outcome();
        }
        self.written(UNTAKEN, "The caller was to be handed over, and nobody took the call.", None)
    }

    fn written(&self, disposition: &str, head: &str, own: Option<String>) -> Value {
        let slots: Map<String, Value> =
            self.state.slots.iter().map(|(name, value)| (name.clone(), value.json())).collect();
        let summary = own.unwrap_or_else(|| summary(head, &slots));
        json!({ "disposition": disposition, "summary": summary, "slots": slots })
    }

    fn standing(&self) -> (String, String) {
        let early = |step: Option<&str>, own: Option<&String>| {
            let place = step.map_or_else(String::new, |step| format!(" at \"{step}\""));
            match (own, self.state.spoken) {
                (Some(own), _) => (own.clone(), format!("The call ended early{place}, counted as {}.", words(own))),
                (None, true) => ("incomplete".to_owned(), format!("The call ended early{place}.")),
                (None, false) => {
                    ("no_response".to_owned(), "The call ended before the caller said anything.".to_owned())
                }
            }
        };
        match self.state.at {
            At::Start => early(None, None),
            At::Step(at) => {
                let step = self.plan.steps.get(at);
                early(step.map(|step| step.id.as_str()), step.and_then(|step| step.disposition.as_ref()))
            }
            At::End(at) => {
                let name = self.plan.ends.get(at).map_or("completed", |end| end.disposition.as_str());
                (name.to_owned(), format!("The call ended as {}.", words(name)))
            }
        }
    }

    /// The end's own summary.
    fn written_summary(&self) -> Option<String> {
        let At::End(at) = self.state.at else { return None };
        let summary = self.plan.ends.get(at)?.summary.as_ref()?;
        let text = summary.render(&self.values).text;
        (!text.trim().is_empty()).then_some(text)
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

fn summary(head: &str, slots: &Map<String, Value>) -> String {
    let said = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{} {value}", words(name))
    };
    let filled: Vec<String> = slots.iter().map(said).collect();
    if filled.is_empty() { head.to_owned() } else { format!("{head} Noted: {}.", filled.join(", ")) }
}
