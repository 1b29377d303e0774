//! `voicefleet dial`: has a running worker call a number, and says how it went. Never rings by itself: the worker's trunks do.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::api::WorkerApi;
use super::caller::{Trust, field, secret};
use crate::rt;
use crate::units::Pii;

/// Time between two questions.
const POLL: Duration = Duration::from_millis(500);
/// So many questions in a row may fail before the call is given up on.
const MOST_FAILURES: u32 = 20;
/// A call that the worker still knows after this time is not waited for.
const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// Have a running worker call a number.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Example:\n  voicefleet dial --bot payment-reminder --to +919876543210 --var customer_name=\"Rahul Sharma\" --var amount_due=15000\n\nThe exit code is 0 when the call was answered and ended without an error, 1 otherwise."
)]
pub struct DialArgs {
    /// The bot that talks
    #[arg(long, value_name = "ID")]
    pub bot: String,
    /// The number to call, E.164 with plus
    #[arg(long, value_name = "NUMBER")]
    pub to: String,
    /// The caller ID, one of the trunk's; left out: the trunk's own
    #[arg(long, value_name = "NUMBER")]
    pub from: Option<String>,
    /// The trunk; left out: the first that may call the number
    #[arg(long, value_name = "ID")]
    pub trunk: Option<String>,
    /// What the bot knows of the customer: {{crm.KEY}}
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = field)]
    pub variables: Vec<(String, String)>,
    /// A header field of the INVITE, X- ones
    #[arg(long = "header", value_name = "X-NAME=VALUE", value_parser = field)]
    pub headers: Vec<(String, String)>,
    /// The worker's HTTP API; left out: where this configuration listens
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The operators' token; left out: auth.page_token of this configuration
    #[arg(long, env = "VOICEFLEET_PAGE_TOKEN", hide_env_values = true, value_parser = secret)]
    pub token: Option<Pii<String>>,
    /// Do not wait for the call's end
    #[arg(long)]
    pub no_wait: bool,
    /// Print the call and its result as JSON, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// How a call went that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Dialled {
    /// It was placed, and nobody waited.
    Placed {
        /// The call's id.
        call_id: String,
    },
    /// It ended: the body of `GET /api/v1/calls/{id}`.
    Ended(Value),
}

/// Asks the worker at `base`, and waits for the call's end where that is wanted.
///
/// # Errors
/// What the worker said, or that it could not be reached.
pub async fn dial(args: &DialArgs, base: &str, token: Option<Pii<String>>) -> Result<Dialled, String> {
    let api = WorkerApi::new(base, token, &Trust::Public).await?;
    let placed = api.post("/api/v1/calls", &args.body()).await?;
    let Some(call_id) = placed.get("call_id").and_then(Value::as_str).map(str::to_owned) else {
        return Err(format!("expected a call_id in the worker's answer, found {placed}"));
    };
    if args.no_wait {
        return Ok(Dialled::Placed { call_id });
    }
    let until = rt::now() + LONGEST;
    let mut failures = 0;
    loop {
        match api.get(&format!("/api/v1/calls/{call_id}")).await {
            Ok(call) if call.get("status").and_then(Value::as_str) == Some("ended") => return Ok(Dialled::Ended(call)),
            Ok(_) => failures = 0,
            Err(why) => {
                failures += 1;
                if failures >= MOST_FAILURES {
                    return Err(format!("call {call_id} was placed; how it went could not be had: {why}"));
                }
            }
        }
        if rt::now() >= until {
            return Err(format!("call {call_id} was placed and has not ended"));
        }
        rt::sleep(POLL).await;
    }
}

impl DialArgs {
    fn body(&self) -> Value {
        let object = |pairs: &[(String, String)]| -> Map<String, Value> {
            pairs.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))).collect()
        };
        let mut body = json!({
            "bot_id": self.bot,
            "to_number": self.to,
            "variables": object(&self.variables),
            "headers": object(&self.headers),
        });
        for (key, value) in [("from_number", &self.from), ("trunk", &self.trunk)] {
            if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
                body.insert(key.to_owned(), Value::from(value.clone()));
            }
        }
        body
    }
}

impl Dialled {
    /// Was it answered, and did it end without an error?
    #[must_use]
    pub fn succeeded(&self) -> bool {
        match self {
            Self::Placed { .. } => true,
            Self::Ended(call) => {
                let by = call.get("disconnected_by").and_then(Value::as_str).unwrap_or_default();
                let answered = call.get("call_duration_seconds").and_then(Value::as_f64).unwrap_or(0.0) > 0.0;
                answered && by != "error"
            }
        }
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Placed { call_id } => json!({"status": "placed", "call_id": call_id}),
            Self::Ended(call) => call.clone(),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let call = match self {
            Self::Placed { call_id } => return format!("call {call_id} is placed"),
            Self::Ended(call) => call,
        };
        let word = |from: &Value, key: &str| from.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let nothing = Value::Null;
        let result = call.get("result").unwrap_or(&nothing);
        let mut text = format!(
            "call {}\n  ended       {} ({})\n  talked      {:.1} s\n",
            word(call, "call_id"),
            word(call, "end_reason"),
            word(call, "disconnected_by"),
            call.get("call_duration_seconds").and_then(Value::as_f64).unwrap_or(0.0),
        );
        if let Some(sip) = result.get("sip") {
            let status = sip.get("status").and_then(Value::as_u64).unwrap_or(0);
            let cause =
                sip.get("cause").and_then(Value::as_u64).map_or(String::new(), |cause| format!(", Q.850 {cause}"));
            text.push_str(&format!("  SIP         {status} {}{cause}\n", word(sip, "reason")));
        }
        if let Some(disposition) = call.get("disposition").and_then(Value::as_str) {
            text.push_str(&format!("  disposition {disposition}\n"));
        }
        for line in result.get("transcript").and_then(Value::as_array).map_or(&[][..], Vec::as_slice) {
            text.push_str(&format!("  {:>11} {}\n", word(line, "speaker"), word(line, "text")));
        }
        text.push_str(&format!("  link        {}", word(call, "link")));
        text
    }
}
