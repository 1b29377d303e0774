//! The page of one ended call: facts, player, two-channel waveform, transcript. Reads `result.json` leniently (a result
//! written by an older version still shows) and treats every value in it as hostile.

use serde_json::Value;

use super::Problem;
use super::control::CallFiles;
use super::html::{Html, clock, head};

/// What the page takes from a result.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CallView {
    caller: String,
    seconds: f64,
    disconnected_by: String,
    end_reason: String,
    disposition: String,
    summary: String,
    lines: Vec<Line>,
}

/// One utterance.
#[derive(Debug, Default, PartialEq)]
struct Line {
    bot: bool,
    text: String,
    timestamp: String,
    start_ms: u64,
}

fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

impl CallView {
    /// What can be read; the rest stays empty.
    pub(super) fn read(result: &Value) -> Self {
        let analysis = result.get("post_call_analysis").unwrap_or(&Value::Null);
        let lines = result.get("transcript").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        Self {
            caller: text(result, "caller_id"),
            seconds: result.get("call_duration_seconds").and_then(Value::as_f64).unwrap_or(0.0).clamp(0.0, 1e9),
            disconnected_by: text(result, "disconnected_by"),
            end_reason: text(result, "end_reason"),
            disposition: text(analysis, "disposition"),
            summary: text(analysis, "summary"),
            lines: lines.iter().map(Line::read).collect(),
        }
    }
}

impl Line {
    fn read(line: &Value) -> Self {
        Self {
            bot: text(line, "speaker") == "bot",
            text: text(line, "text"),
            timestamp: text(line, "timestamp"),
            start_ms: line.get("start_ms").and_then(Value::as_u64).unwrap_or(0),
        }
    }

    const fn speaker(&self) -> &'static str {
        if self.bot { "bot" } else { "customer" }
    }
}

/// `0:01.250 bot: Hello.` per utterance.
pub(super) fn transcript_text(view: &CallView) -> String {
    view.lines
        .iter()
        .map(|line| {
            let said: String = line.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            format!("{}.{:03} {}: {said}\n", clock(line.start_ms / 1000), line.start_ms % 1000, line.speaker())
        })
        .collect()
}

/// The page.
pub(super) fn render(view: &CallView, files: &CallFiles, token: &str) -> String {
    let mut html = head(format_args!("Call {}", files.id), "<script src=\"/ui/recording.js\" defer></script>\n");
    html.raw("<header><h1>Call</h1><p class=\"id\">").text(&files.id).raw("</p></header>\n<main>\n<section>\n<dl>");
    fact(&mut html, "Caller", &view.caller);
    fact(&mut html, "Length", &clock(view.seconds as u64));
    fact(&mut html, "Ended by", &view.disconnected_by);
    fact(&mut html, "Reason", &view.end_reason);
    fact(&mut html, "Disposition", &view.disposition);
    fact(&mut html, "Summary", &view.summary);
    html.raw("</dl>\n");
    if files.recording.is_some() {
        html.raw("<audio id=\"player\" controls preload=\"metadata\" src=\"/r/")
            .text(token)
            .raw("/recording.wav\"></audio>\n");
        html.raw("<canvas id=\"wave\" role=\"img\" aria-label=\"Levels of caller (above) and bot (below); click to seek\"></canvas>");
        html.raw("\n<p class=\"legend\"><span class=\"customer\">caller (left)</span> <span class=\"bot\">bot (right)</span>");
        html.raw(" <span id=\"wave-state\" role=\"status\"></span></p>\n");
    } else {
        html.raw("<p class=\"none\">This call has no recording.</p>\n");
    }
    html.raw("</section>\n");
    transcript(&mut html, &view.lines);
    html.raw("</main>\n<footer><a href=\"/r/")
        .text(token)
        .raw("/result\">result as JSON</a> <a href=\"/r/")
        .text(token);
    html.raw("/transcript\">transcript as text</a>");
    if files.recording.is_some() {
        html.raw(" <a href=\"/r/").text(token).raw("/recording.wav\" download>recording as WAV</a>");
    }
    html.raw("</footer>\n</body>\n</html>\n");
    html.finish()
}

fn transcript(html: &mut Html, lines: &[Line]) {
    html.raw("<section>\n<h2>Transcript</h2>\n");
    if lines.is_empty() {
        html.raw("<p class=\"none\">Nothing was said.</p>\n</section>\n");
        return;
    }
    html.raw("<ol class=\"transcript\">\n");
    for line in lines {
        html.raw("<li class=\"").raw(line.speaker()).raw("\"><button type=\"button\" data-start-ms=\"");
        html.text(line.start_ms).raw("\" title=\"").text(&line.timestamp).raw("\">").text(clock(line.start_ms / 1000));
        html.raw("</button> <b>").raw(line.speaker()).cell("</b> <span dir=\"auto\">", &line.text, "</span></li>\n");
    }
    html.raw("</ol>\n</section>\n");
}

fn fact(html: &mut Html, name: &'static str, value: &str) {
    if !value.is_empty() {
        html.raw("<div><dt>").raw(name).cell("</dt><dd dir=\"auto\">", value, "</dd></div>");
    }
}

/// The page of a refusal, for a person who opened a link.
pub(super) fn render_refusal(problem: &Problem) -> String {
    let mut html = head("Call", "");
    html.raw("<header><h1>Call</h1></header>\n<main><section><p>").text(problem.detail());
    html.raw(".</p></section></main>\n</body>\n</html>\n");
    html.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_strange_result_shows_what_it_has() {
        for strange in [json!(null), json!([1]), json!({"transcript": {"a": 1}, "call_duration_seconds": "long"})] {
            assert_eq!(CallView::read(&strange), CallView::default(), "{strange}");
        }
        let view = CallView::read(&json!({
            "call_duration_seconds": -4.0,
            "caller_id": 919876543210u64,
            "transcript": [{"speaker": "robot", "text": null, "start_ms": -5}, "x"],
            "post_call_analysis": {"disposition": ["a"]},
        }));
        assert_eq!((view.seconds, view.caller.as_str(), view.disposition.as_str()), (0.0, "919876543210", "[\"a\"]"));
        assert_eq!(view.lines, [Line::default(), Line::default()]);
    }

    #[test]
    fn a_transcript_has_one_line_per_utterance_whatever_was_said() {
        let view = CallView::read(&json!({"transcript": [
            {"speaker": "bot", "text": "Hello\r\nbot: I agree", "start_ms": 1250},
            {"speaker": "customer", "text": "yes", "start_ms": 62_000},
        ]}));
        assert_eq!(transcript_text(&view), "0:01.250 bot: Hello  bot: I agree\n1:02.000 customer: yes\n");
    }
}
